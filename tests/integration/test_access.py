"""Who may do what, at every route that there is: the router says which, so none can be forgotten."""

import io
import json
import re
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from aiohttp import web
from yarl import URL

from sensorflow.app import Running
from sensorflow.core.vocabulary import Scope
from sensorflow.web.app import all_routes
from sensorflow.web.bodies import Room
from sensorflow.web.guard import Guard
from sensorflow.web.routes import Route, Routes, add_routes, require_declared
from sensorflow.web.schemas import Schema
from tests.access import add_weather, bearer, new_token
from tests.serving import SECRETS, client_of, make_home, serving, until

DAY = "2026-03-08"
ROUTES = all_routes()
#: What asks for no token: it has a scheme of its own, or holds no data.
PUBLIC = {
    *("GET /healthz", "GET /readyz", "GET /openapi.json", "GET /docs", "GET /docs/{file}"),
    *("GET /", "GET /page/{version}/{file:.+}"),
    *("POST /hooks/{sensor}", "POST /hooks/{pipeline}/{sensor}"),
    *("OPTIONS /hooks/{sensor}", "OPTIONS /hooks/{pipeline}/{sensor}", "OPTIONS /api/v1/events"),
    "POST /api/v1/callbacks/{token}",
}


@dataclass(slots=True)
class Place:
    """A service with two pipelines, tokens for it, and what there is of the pipeline that some do not see."""

    service: Running
    client: aiohttp.ClientSession
    tokens: dict[str, str] = field(default_factory=dict)
    #: What stands in a path for each of its names.
    named: dict[str, str] = field(default_factory=dict)


@pytest.fixture
async def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Place]:
    for name, secret in SECRETS.items():
        monkeypatch.setenv(name, secret)
    home = add_weather(make_home(tmp_path / "home"))
    async with serving(home) as service, client_of(service) as client:
        found = Place(service, client)
        for scope in Scope:
            found.tokens[scope] = await new_token(home, scope)
            if scope is not Scope.ADMIN:
                found.tokens[f"{scope} of sales"] = await new_token(home, scope, "sales")
        found.named = await make_weather(found)
        yield found


async def make_weather(place: Place) -> dict[str, str]:
    """Let the pipeline of the weather run, and return what names what there is of it."""
    await ask(place, "POST /hooks/weather_report/gauge", body={"day": DAY, "canary": "a storm"})
    service = place.service
    await until(service, lambda: state_of(service, "weather_report") == "succeeded")
    run = service.store.listing.last_run("weather_report")
    assert run is not None
    backfill = {"pipeline": "weather_report", "from": "2026-01-01", "to": "2026-01-02"}
    _, made = await ask(place, "POST /api/v1/backfills", token="operate", body=backfill)
    return {"run": run.id, "backfill": made["id"], "seq": "1"}


def state_of(service: Running, pipeline: str) -> str | None:
    run = service.store.listing.last_run(pipeline)
    return run.state.value if run else None


async def ask(place: Place, call: str, *, token: str = "", body: Any = None, **more: Any) -> tuple[int, Any]:
    """Ask by a token of the place, or by none; return the status and what is answered, streams unread."""
    method, path = call.split(" ")
    given = bearer(place.tokens.get(token, token)) if token else {}
    headers = {**given, **more.pop("headers", {})}
    async with place.client.request(method, path, json=body, headers=headers, **more) as response:
        if response.content_type in {"text/event-stream", "text/html"}:
            return response.status, None
        text = await response.text()
        if response.status == 401:
            assert response.headers["WWW-Authenticate"].startswith("Bearer realm=")
        if response.status >= 400:
            assert response.content_type == "application/problem+json", call
        return response.status, json.loads(text) if response.content_type.endswith("json") else text


def add_folder(app: web.Application) -> object:
    return app.router.add_static("/static", Path(__file__).parent)


def call_of(route: Route, **named: str) -> str:
    """Return a route as it is called, with a word for each name in its path."""
    path = re.sub(r"{(\w+)}", lambda name: named.get(name[1], "nothing"), route.path)
    return f"{route.method} {path}"


# Scopes


def test_what_asks_for_no_token_is_what_the_documents_say() -> None:
    assert {f"{route.method} {route.path}" for route in ROUTES if route.scope is None} == PUBLIC


async def answered(request: web.Request) -> web.Response:
    return web.Response()


@pytest.mark.parametrize("add", [lambda app: app.router.add_get("/new", answered), add_folder])
def test_a_route_that_says_no_scope_cannot_be_added(add: Callable[[web.Application], object]) -> None:
    with pytest.raises(TypeError, match="scope"):
        Routes("New").get("/new", answers=Schema)(answered)
    app = web.Application()
    add_routes(app, Guard([], 0, Room(0)), [])
    add(app)
    with pytest.raises(RuntimeError, match="asks for no scope"):
        require_declared(app)


async def test_every_route_asks_for_its_scope_and_no_other(place: Place) -> None:
    """The matrix: every route by no token, a wrong one, each scope, and each scope of another pipeline."""
    for route in ROUTES:
        call = call_of(route)
        for token in ("", "sf_wrong", *place.tokens):
            status, problem = await ask(place, call, token=token)
            known = place.tokens.get(token) is not None
            scope = Scope(token.split()[0]) if known else None
            shown = f"{call} by {token or 'no token'}: {status} {problem}"
            if route.scope is None:
                assert status not in (401, 403), shown
            elif scope is None:
                assert status == 401, shown
            elif not scope.includes(route.scope):
                assert status == 403 and f"scope {route.scope}" in problem["detail"], shown
            elif "of sales" in token and not route.limited:
                assert status == 403 and "limited to the pipeline sales" in problem["detail"], shown
            else:
                assert status not in (401, 403), shown


@pytest.mark.parametrize(
    ("holds", "may"),
    [
        (Scope.READ, {Scope.READ}),
        (Scope.EMIT, {Scope.EMIT}),
        (Scope.OPERATE, {Scope.OPERATE, Scope.READ}),
        (Scope.ADMIN, set(Scope)),
    ],
)
def test_a_scope_includes_what_the_documents_say(holds: Scope, may: set[Scope]) -> None:
    assert {scope for scope in Scope if holds.includes(scope)} == may


@pytest.mark.parametrize(
    "spelling",
    [
        *("/api/v1/tokens/", "//api/v1/tokens", "/api/v1/./tokens", "/api/v1/%74okens", "/API/v1/tokens"),
        *("/healthz/../api/v1/tokens", "/hooks/../api/v1/tokens", "/hooks/%2e%2e/api/v1/tokens"),
    ],
)
async def test_no_spelling_of_a_path_gets_around_its_scope(place: Place, spelling: str) -> None:
    url = URL(f"{place.service.url}{spelling}", encoded=True)
    async with place.client.get(url, headers=bearer(place.tokens["read"])) as response:
        assert response.status in (401, 403, 404, 421), await response.text()
        assert "created_at" not in await response.text()


async def test_a_dry_run_is_a_read_and_a_backfill_is_an_operation(place: Place) -> None:
    body = {"pipeline": "sales", "from": DAY, "to": DAY}
    for token in ("read", "read of sales"):
        dry = await ask(place, "POST /api/v1/backfills", token=token, body={**body, "dry_run": True})
        assert dry[0] == 200
        status, problem = await ask(place, "POST /api/v1/backfills", token=token, body=body)
        assert (status, "scope operate" in problem["detail"]) == (403, True)
    assert (await ask(place, "POST /api/v1/backfills", token="operate of sales", body=body))[0] == 201


@pytest.mark.parametrize(
    "header", ["", "Bearer", "Bearer ", "Basic dTpw", "bearer\tx", "Bearer \u00fc", "x" * 4000, "Bearer sf_"]
)
async def test_a_header_that_is_no_known_token_is_401(place: Place, header: str) -> None:
    status, problem = await ask(place, "GET /api/v1/runs", headers={"Authorization": header})
    assert status == 401, problem


async def test_the_word_bearer_may_be_written_in_any_case(place: Place) -> None:
    headers = {"Authorization": f"bEARER   {place.tokens['read']} "}
    assert (await ask(place, "GET /api/v1/runs", headers=headers))[0] == 200


async def test_what_is_too_large_is_refused_before_anybody_is_asked_for_a_token(place: Place) -> None:
    body = io.BytesIO(b" " * (place.service.settings.batch_limit + 1))
    async with place.client.post("/api/v1/events", data=body) as response:
        assert response.status == 413


# Limits


def hidden(place: Place) -> dict[str, tuple[str, Any]]:
    """Return, for every route that takes limited tokens, a call for what is of the weather's pipeline."""
    run, backfill, seq = (place.named[name] for name in ("run", "backfill", "seq"))
    pipeline, dataset = "/api/v1/pipelines/weather_report", "/api/v1/datasets/weather"
    event = {"specversion": "1.0", "id": "w1", "source": "/gauge", "type": "weather.observed"}
    ranged = {"pipeline": "weather_report", "from": DAY, "to": DAY}
    return {
        "GET /api/v1/pipelines/{name}": (f"GET {pipeline}", None),
        "GET /api/v1/pipelines/{name}/partitions": (f"GET {pipeline}/partitions", None),
        "GET /api/v1/pipelines/{name}/why": (f"GET {pipeline}/why?partition={DAY}", None),
        "POST /api/v1/pipelines/{name}/pause": (f"POST {pipeline}/pause", {}),
        "POST /api/v1/pipelines/{name}/resume": (f"POST {pipeline}/resume", {}),
        "POST /api/v1/runs": ("POST /api/v1/runs", {"pipeline": "weather_report", "partition": DAY}),
        "GET /api/v1/runs/{id}": (f"GET /api/v1/runs/{run}", None),
        "GET /api/v1/runs/{id}/why": (f"GET /api/v1/runs/{run}/why", None),
        "POST /api/v1/runs/{id}/retry": (f"POST /api/v1/runs/{run}/retry", {}),
        "POST /api/v1/runs/{id}/cancel": (f"POST /api/v1/runs/{run}/cancel", {}),
        "POST /api/v1/runs/{id}/tasks/{task}/mark": (
            f"POST /api/v1/runs/{run}/tasks/report/mark",
            {"state": "succeeded"},
        ),
        "GET /api/v1/runs/{id}/tasks/{task}/log": (f"GET /api/v1/runs/{run}/tasks/report/log", None),
        "POST /api/v1/backfills": ("POST /api/v1/backfills", ranged),
        "GET /api/v1/backfills/{id}": (f"GET /api/v1/backfills/{backfill}", None),
        "POST /api/v1/backfills/{id}/cancel": (f"POST /api/v1/backfills/{backfill}/cancel", {}),
        "GET /api/v1/events/{seq}": (f"GET /api/v1/events/{seq}", None),
        "POST /api/v1/events/{seq}/redrive": (f"POST /api/v1/events/{seq}/redrive", None),
        "GET /api/v1/datasets/{name}": (f"GET {dataset}", None),
        "GET /api/v1/datasets/{name}/partitions": (f"GET {dataset}/partitions", None),
        "POST /api/v1/datasets/{name}/withdraw": (
            f"POST {dataset}/withdraw",
            {"partition": DAY, "reason": "wrong"},
        ),
        "POST /api/v1/match": (f"POST /api/v1/match?seq={seq}", None),
        "GET /api/v1/sensors/{pipeline}/{sensor}": ("GET /api/v1/sensors/weather_report/gauge", None),
        "POST /api/v1/ready": ("POST /api/v1/ready", {"dataset": "weather", "partition": DAY}),
        "POST /api/v1/events": ("POST /api/v1/events", {**event, "data": {"day": DAY}}),
    }


#: Named in what is sent, not in the path: the answer says that the token is for others.
_SENT = {"POST /api/v1/runs", "POST /api/v1/backfills", "POST /api/v1/ready", "POST /api/v1/events"}
#: Shown in part: `hidden` has no call for them, the tests below have.
_LISTS = {
    *(f"GET /api/v1/{name}" for name in ("pipelines", "runs", "backfills", "events", "datasets", "sensors")),
    *("GET /api/v1/alerts", "GET /api/v1/stream", "POST /api/v1/lineage"),
    "POST /api/v1/rehearsals",
}


async def test_what_is_of_other_pipelines_is_not_there_for_a_limited_token(place: Place) -> None:
    calls = hidden(place)
    limited = {f"{route.method} {route.path}": route.scope for route in ROUTES if route.limited}
    assert set(limited) == set(calls) | _LISTS, "a route that takes limited tokens has no test of that here"
    for name, (call, body) in calls.items():
        scope = "operate" if limited[name] is Scope.READ and body else limited[name]
        event = {"headers": {"Content-Type": "application/cloudevents+json"}} if "events" in name else {}
        status, problem = await ask(place, call, token=f"{scope} of sales", body=body, **event)
        assert status == (403 if name in _SENT else 404), f"{name}: {status} {problem}"
        assert "canary" not in json.dumps(problem)
        opened, answer = await ask(place, call, token="admin", body=body, **event)
        assert opened < 300 or opened in (409, 422), f"{name}: {opened} {answer}"


async def test_lists_hold_for_a_limited_token_what_is_of_its_pipelines(place: Place) -> None:
    ready = {"dataset": "orders", "partition": DAY, "data": {"mine": True}}
    await ask(place, "POST /api/v1/ready", token="emit of sales", body=ready)
    for part in ("eu", "us"):
        await ask(place, "POST /api/v1/ready", token="emit of sales", body={**ready, "part": part})
    await ask(
        place, "POST /api/v1/runs", token="operate of sales", body={"pipeline": "sales", "partition": DAY}
    )
    backfill = {"pipeline": "sales", "from": "2026-01-05", "to": "2026-01-06"}
    await ask(place, "POST /api/v1/backfills", token="operate of sales", body=backfill)
    kept = {
        "pipelines": ("name", {"sales"}),
        "runs": ("pipeline", {"sales"}),
        "backfills": ("pipeline", {"sales"}),
        "datasets": ("name", {"orders", "delivered", "pushed", "sales_daily"}),
    }
    for name, (key, expected) in kept.items():
        _, page = await ask(place, f"GET /api/v1/{name}", token="read of sales")
        assert {item[key] for item in page["items"]} == expected, name
        _, everything = await ask(place, f"GET /api/v1/{name}", token="read")
        assert {item[key] for item in everything["items"]} > expected, name
    _, sensors = await ask(place, "GET /api/v1/sensors", token="read of sales")
    assert {item["pipeline"] for item in sensors["items"]} == {"sales", "-"}
    for path in ("pipelines", "runs", "backfills", "events", "datasets", "sensors", "alerts"):
        for order in ("", "?order=newest") if path == "events" else ("",):
            _, page = await ask(place, f"GET /api/v1/{path}{order}", token="read of sales")
            assert not re.search("weather|canary", json.dumps(page)), path


async def test_an_event_is_matched_for_a_limited_token_by_the_rules_that_it_sees(place: Place) -> None:
    order = {"type": "orders.exported", "source": "/shop", "data": {"day": DAY, "region": "eu"}}
    _, told = await ask(place, "POST /api/v1/match", token="read of sales", body=order)
    taken = [rule["sensor"] for rule in told["rules"] if rule["state"] == "accepted"]
    assert taken == ["sales/orders_posted"]
    for query in ("sensor=weather_report/gauge", "seq=1"):
        status, problem = await ask(
            place, f"POST /api/v1/match?{query}", token="read of sales", body={"day": DAY}
        )
        assert (status, "canary" in json.dumps(problem)) == (404, False), query


async def test_a_limited_token_rehearses_what_it_sees_and_nothing_else(place: Place) -> None:
    ready = {"dataset": "orders", "partition": DAY, "part": "eu"}
    await ask(place, "POST /api/v1/ready", token="emit of sales", body=ready)
    span = {"from": "2026-01-01T00:00:00Z", "to": "2100-01-01T00:00:00Z"}
    script = {"recorded": span, "steps": [{"at": span["to"], "ready": {**ready, "part": "us"}}]}
    status, told = await ask(place, "POST /api/v1/rehearsals", token="read of sales", body=script)
    assert status == 200, told
    fired = [entry["task"] for entry in told["timeline"] if entry["kind"] == "fired"]
    assert fired[0] == "load" and {run["pipeline"] for run in told["runs"]} == {"sales"}
    assert not re.search("weather|canary|gauge", json.dumps(told))
    _, everything = await ask(place, "POST /api/v1/rehearsals", token="read", body=script)
    assert "weather_report" in {run["pipeline"] for run in everything["runs"]}
    theirs = {"from": span["from"], "steps": [{"make": {"pipeline": "weather_report", "partition": DAY}}]}
    status, problem = await ask(place, "POST /api/v1/rehearsals", token="read of sales", body=theirs)
    assert status == 422 and "sales" in problem["detail"], problem
    sent = {**script, "definitions": {"pipelines/sales.yaml": None}}
    status, problem = await ask(place, "POST /api/v1/rehearsals", token="read of sales", body=sent)
    assert status == 403 and "definitions" in problem["detail"], problem


async def test_what_another_pipeline_makes_comes_in_a_rehearsal_of_who_sees_only_what_it_made(
    tmp_path: Path,
) -> None:
    home = tmp_path / "home"
    (home / "pipelines").mkdir(parents=True)
    (home / "pipelines" / "maker.yaml").write_text("""name: maker
tasks: {make: {inputs: [raw], run: ["true"], outputs: [made]}}
""")
    (home / "pipelines" / "taker.yaml").write_text("""name: taker
tasks: {take: {inputs: [made], run: ["true"]}}
""")
    async with serving(home) as service, client_of(service) as client:
        place = Place(service, client)
        place.tokens["read"] = await new_token(home, "read", "taker")
        place.tokens["emit"] = await new_token(home, "emit")
        await ask(place, "POST /api/v1/ready", token="emit", body={"dataset": "raw", "partition": DAY})
        await until(service, lambda: state_of(service, "taker") == "succeeded")
        script = {"recorded": {"from": "2026-01-01T00:00:00Z", "to": "2100-01-01T00:00:00Z"}}
        status, told = await ask(place, "POST /api/v1/rehearsals", token="read", body=script)
        assert status == 200, told
        assert [(run["pipeline"], run["state"]) for run in told["runs"]] == [("taker", "succeeded")]
        assert "raw" not in json.dumps(told)


async def test_pages_for_a_limited_token_are_whole_and_in_order(place: Place) -> None:
    for day in range(1, 8):
        for dataset in ("delivered", "weather"):
            body = {"dataset": dataset, "partition": f"2026-02-0{day}"}
            assert (await ask(place, "POST /api/v1/ready", token="admin", body=body))[0] == 202
    for path in ("runs", "events", "events?order=newest"):
        mark = "&" if "?" in path else "?"
        found: list[Any] = []
        cursor = ""
        while True:
            more = f"&cursor={cursor}" if cursor else ""
            _, page = await ask(place, f"GET /api/v1/{path}{mark}limit=3{more}", token="read of sales")
            found += page["items"]
            assert len(page["items"]) == 3 or page["next"] is None
            cursor = page["next"]
            if cursor is None:
                break
        numbers = [item.get("seq", item["id"]) for item in found]
        assert len(set(numbers)) == len(numbers) == 7, path
        assert numbers == sorted(numbers, reverse=path != "events"), path


async def test_a_filter_by_what_is_of_others_is_as_one_by_what_is_not_there(place: Place) -> None:
    for path, name in (("runs?pipeline=weather_report", "pipeline"), ("events?dataset=weather", "dataset")):
        status, problem = await ask(place, f"GET /api/v1/{path}", token="read of sales")
        assert (status, problem["errors"][0]["where"]) == (400, name)


async def test_of_a_shared_event_a_limited_token_sees_its_own_part(tmp_path: Path) -> None:
    home = tmp_path / "home"
    (home / "pipelines").mkdir(parents=True)
    for name, dataset in (("mine", "orders"), ("theirs", "secrets")):
        (home / "pipelines" / f"{name}.yaml").write_text(f"""\
name: {name}
sensors: {{posted: {{type: events, partition: data.day, dataset: {dataset}}}}}
tasks: {{load: {{inputs: [{dataset}], run: ["true"]}}}}
""")
    async with serving(home) as service, client_of(service) as client:
        place = Place(service, client)
        for scope in ("read", "emit", "operate"):
            place.tokens[scope] = await new_token(home, scope, "mine")
        place.tokens["admin"] = await new_token(home, "admin")
        event = {"specversion": "1.0", "id": "1", "source": "/x", "type": "t", "data": {"day": DAY}}
        structured = {"Content-Type": "application/cloudevents+json"}
        batch = {"Content-Type": "application/cloudevents-batch+json"}
        refused = await ask(place, "POST /api/v1/events", token="emit", body=event, headers=structured)
        assert refused[0] == 403 and "secrets" in refused[1]["detail"]
        status, told = await ask(place, "POST /api/v1/events", token="emit", body=[event], headers=batch)
        assert (status, told["invalid"], told["events"][0]["state"]) == (202, 1, "invalid")
        assert service.store.reader.last_seq() == 0
        await ask(place, "POST /api/v1/events", token="admin", body=event, headers=structured)
        await until(service, lambda: state_of(service, "theirs") == "succeeded")
        _, seen = await ask(place, "GET /api/v1/events/1", token="read")
        assert [arrival["dataset"] for arrival in seen["arrivals"]] == ["orders"]
        assert [run["pipeline"] for run in seen["runs"]] == ["mine"]
        _, page = await ask(place, "GET /api/v1/events", token="read")
        assert [arrival["dataset"] for arrival in page["items"][0]["arrivals"]] == ["orders"]
        for call, body in (("match?seq=1", None), ("match", {"type": "t", "data": {"day": DAY}})):
            for token, rules in (("read", {"mine/posted"}), ("admin", {"mine/posted", "theirs/posted"})):
                _, told = await ask(place, f"POST /api/v1/{call}", token=token, body=body)
                assert {rule["sensor"] for rule in told["rules"]} == rules and told["more"] == 0, call
        assert (await ask(place, "POST /api/v1/events/1/redrive", token="operate"))[0] == 403
        assert (await ask(place, "POST /api/v1/events/1/redrive", token="admin"))[0] == 200
