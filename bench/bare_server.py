"""The ceiling of all that is posted: the same aiohttp, answering 202 without doing anything."""

import sys

from aiohttp import web

from bench.comparison import loop_factory


async def accept(request: web.Request) -> web.Response:
    """Read the body and answer."""
    await request.read()
    return web.json_response({"accepted": 1}, status=202)


def main() -> None:
    """Serve on 127.0.0.1 at the port that is given."""
    app = web.Application(client_max_size=1 << 24)
    app.router.add_post("/api/v1/events", accept)
    app.router.add_get("/healthz", lambda _: _healthy())
    web.run_app(
        app, host="127.0.0.1", port=int(sys.argv[1]), print=None, access_log=None, loop=loop_factory()()
    )


async def _healthy() -> web.Response:
    return web.json_response({})


if __name__ == "__main__":
    main()
