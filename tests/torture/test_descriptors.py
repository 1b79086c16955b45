"""R19: a service that may open 64 files, and callers who take them all."""

import asyncio
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import aiohttp
import pytest

from tests.torture.amounts import amount
from tests.torture.kept import Kept
from tests.torture.process import ServiceProcess, client_of
from tests.torture.sending import BATCH, SOURCE, Sender
from tests.torture.shop import all_shipped, make_shop, see_each_fired_once, see_nothing_lost

pytestmark = pytest.mark.slow

FLOODS = amount("DESCRIPTOR_FLOODS", 2, 20)
FILES = 64
CALLERS = 200


@contextmanager
def callers(port: int) -> Iterator[None]:
    """Hold connections on which nothing is said, more than the service may have files."""
    held = []
    try:
        for _ in range(CALLERS):
            caller = socket.socket()
            held.append(caller)
            caller.setblocking(False)
            caller.connect_ex(("127.0.0.1", port))
        yield
    finally:
        for caller in held:
            caller.close()


async def test_callers_that_take_all_descriptors_harm_no_task_and_are_forgotten(
    home: Path, figure: Callable[[str], None]
) -> None:
    limited = ("sh", "-c", f'ulimit -n {FILES}; exec "$@"', "sh")
    service = ServiceProcess(make_shop(home), wrapper=limited, workers=4)
    await service.start()
    try:

        def open_files() -> int:
            return len(list(Path(f"/proc/{service.pid}/fd").iterdir()))

        at_rest, sender, most = open_files(), Sender(service, per_s=1), 0
        async with client_of(service) as client:
            for flood in range(FLOODS):
                # Two batches on a connection of its own, one of them while others take all there is.
                for number in range(flood * 2 * BATCH, (flood * 2 + 1) * BATCH):
                    assert await sender.is_acknowledged(client, number)
                with callers(service.port):
                    await service.moment()
                    most = max(most, open_files())
                    for number in range((flood * 2 + 1) * BATCH, (flood + 1) * 2 * BATCH):
                        assert await sender.is_acknowledged(client, number)
                    await all_shipped(service, (flood + 1) * 2 * BATCH)
                async with client_of(service) as stranger, asyncio.timeout(30):
                    while not await is_answered(stranger):
                        await service.moment()
        # And /dev/null, which commands read: it is opened for the first of them, once.
        await service.until(lambda: open_files() <= at_rest + 1)
    finally:
        assert await service.stop() == 0
    events = FLOODS * 2 * BATCH
    see_nothing_lost(home, SOURCE, events)
    assert see_each_fired_once(home, events) == events // BATCH
    assert {state for *_, state in Kept(home).attempts()} == {"succeeded"}
    assert len(service.lines) < 100 * FLOODS, service.lines[-50:]
    figure(
        f"{FILES} files, {FLOODS} times {CALLERS} callers: {most} files open at most, no crash, "
        f"{events // BATCH} tasks in one attempt each, {len(service.lines)} lines in the log"
    )


async def is_answered(client: aiohttp.ClientSession) -> bool:
    """Tell whether the service answers a new connection as ever."""
    try:
        async with client.get("/readyz") as response:
            return response.status == 200
    except aiohttp.ClientError:
        return False
