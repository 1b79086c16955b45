"""Rehearsals over the REST API and the command line, against the real service."""

import asyncio
import contextlib
import io
import json
import os
import sqlite3
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from sensorflow.app import Running
from sensorflow.config.environment import STAND_IN
from sensorflow.web.problems import ProblemError
from sensorflow.web.rehearsals import MOST_EVENTS, Stage
from sensorflow.web.rehearsed import RehearsalSchema
from tests.operating import DAY, post, ready
from tests.serving import SALES, SECRETS, client_of, make_home, serving, task_state, until

Cli = Callable[..., Awaitable[tuple[int, str, str]]]
STEPS = [
    {"at": f"{DAY}T06:00:00Z", "ready": {"dataset": "orders", "partition": DAY, "part": "eu"}},
    {"at": "+1h", "ready": {"dataset": "orders", "partition": DAY, "part": "us"}},
]


@pytest.fixture
async def service(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Running]:
    for name, secret in SECRETS.items():
        monkeypatch.setenv(name, secret)
    home = make_home(tmp_path / "home")
    (home / "checked.ok").touch()
    async with serving(home) as started:
        yield started


@pytest.fixture
async def client(service: Running) -> AsyncIterator[aiohttp.ClientSession]:
    async with client_of(service) as session:
        yield session


@pytest.fixture
def cli(service: Running) -> Cli:
    async def call(*arguments: str, stdin: bytes = b"") -> tuple[int, str, str]:
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "sensorflow", *arguments),
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            env={**os.environ, "SENSORFLOW_URL": service.url, "SENSORFLOW_HOME": str(service.home.path)},
        )
        out, err = await asyncio.wait_for(process.communicate(stdin), 30)
        return process.returncode or 0, out.decode(), err.decode()

    return call


async def rehearsed(client: aiohttp.ClientSession, **body: Any) -> dict[str, Any]:
    status, answer = await post(client, "rehearsals", body)
    assert status == 200, answer
    named = {("begin" if key == "from" else key): value for key, value in answer.items()}
    RehearsalSchema.model_validate_json(json.dumps(named))
    return answer


def fired(answer: dict[str, Any]) -> list[tuple[str, str, str]]:
    return [
        (entry["pipeline"], entry["partition"], entry["task"])
        for entry in answer["timeline"]
        if entry["kind"] in ("fired", "retried")
    ]


def waiting(answer: dict[str, Any]) -> dict[str, list[str]]:
    return {
        task["name"]: [wait["text"] for wait in task["waiting_for"]]
        for run in answer["runs"]
        for task in run["tasks"]
        if task["waiting_for"]
    }


def stored(service: Running) -> list[tuple[Any, ...]]:
    """Return all rows of all tables, as they are on disk."""
    with contextlib.closing(sqlite3.connect(service.home.path / ".sensorflow" / "state.db")) as database:
        found = database.execute("SELECT name FROM sqlite_schema WHERE type = 'table' ORDER BY name")
        names = [row[0] for row in found]
        return [row for name in names for row in database.execute(f"SELECT * FROM {name}")]  # noqa: S608


async def told(client: aiohttp.ClientSession, service: Running) -> None:
    """Let the service receive what fires all of a day, and something that it rejects."""
    await ready(client, "orders", DAY, part="eu")
    event = {"specversion": "1.0", "id": "e1", "source": "/erp", "type": "orders.exported"}
    for data in ({"day": DAY, "region": "us"}, {"day": "yesterday", "region": "us"}):
        event["id"] += "1"
        headers = {"Content-Type": "application/cloudevents+json"}
        async with client.post("/api/v1/events", json={**event, "data": data}, headers=headers) as response:
            assert response.status == 202
    await until(service, lambda: task_state(service, DAY, "publish") == "succeeded")


KEYS = list(range(110))
LONG_AGO, FAR_OFF = "2020-01-01T00:00:00Z", "2100-01-01T00:00:00Z"
ALL = {"from": LONG_AGO, "to": FAR_OFF}
DAYS_WORK = [("sales", DAY, "load"), ("sales", DAY, "check"), ("sales", DAY, "publish")]


# --- over REST ---


async def test_a_script_says_what_would_fire_and_why_the_rest_waits(
    client: aiohttp.ClientSession, service: Running
) -> None:
    answer = await rehearsed(client, steps=STEPS)
    assert fired(answer) == DAYS_WORK
    assert answer["ending"] == "nothing_due"
    assert (answer["from"], answer["until"]) == (f"{DAY}T06:00:00Z", f"{DAY}T07:00:00Z")
    (run,) = answer["runs"]
    assert (run["partition_start"], run["partition_end"]) == (f"{DAY}T00:00:00Z", "2026-03-09T00:00:00Z")
    assert waiting(answer)["deliver"] == [
        f"waiting for delivered {DAY}; it comes from sensor standard; nothing of it has ever arrived"
    ]
    answer = await rehearsed(client, steps=STEPS[:1])
    assert fired(answer) == []
    assert f"waiting for orders {DAY}: part us is missing" in waiting(answer)["load"][0]


async def test_what_if_a_task_fails_an_input_is_held_or_the_pipeline_is_paused(
    client: aiohttp.ClientSession, service: Running
) -> None:
    answer = await rehearsed(
        client, steps=STEPS, tasks=[{"pipeline": "sales", "task": "check", "ends": "failed"}], retries=1
    )
    assert fired(answer) == [*DAYS_WORK[:2], DAYS_WORK[1]]
    assert [entry["kind"] for entry in answer["timeline"] if entry.get("task") == "publish"] == ["blocked"]
    assert [alert["kind"] for alert in answer["alerts"]] == ["failed"]
    held = await rehearsed(client, steps=STEPS, hold=[{"dataset": "orders", "part": "us"}])
    assert fired(held) == [] and held["counts"]["held"] == 1
    paused = await rehearsed(client, steps=STEPS, paused=["sales"])
    assert fired(paused) == [] and "sales is paused" in waiting(paused)["load"][0]


async def test_recorded_events_fire_what_they_fired(client: aiohttp.ClientSession, service: Running) -> None:
    await told(client, service)
    happened = [
        (row.pipeline, DAY, row.task)
        for run in [service.store.reader.run_of("sales", DAY)]
        if run is not None
        for row in sorted(service.store.reader.attempts(run.id), key=lambda row: row.started_at)
    ]
    before = stored(service)
    answer = await rehearsed(client, recorded=ALL)
    assert fired(answer) == happened == DAYS_WORK
    events = [entry for entry in answer["timeline"] if entry["kind"] == "event"]
    assert [(entry["state"], entry["source"]) for entry in events] == [
        ("accepted", "/ready/orders"),
        ("accepted", "/erp"),
        ("accepted", "/pipelines/sales"),
        ("rejected", "/erp"),
    ]
    assert "data.day: expected a day" in events[3]["text"]
    assert stored(service) == before


async def test_only_what_came_in_between_two_instants_comes_in_again(
    client: aiohttp.ClientSession, service: Running
) -> None:
    for day in range(1, 8):
        await ready(client, "orders", f"2026-05-0{day}", part="eu")
    rows = [service.store.reader.event(seq) for seq in range(1, 8)]
    times = [row.received_at for row in rows if row is not None]
    lines = await recording(client, since=between(times, 1), before=between(times, 4))
    assert [line["brought"][0][1] for line in lines] == ["2026-05-03", "2026-05-04", "2026-05-05"]
    assert await recording(client, since=LONG_AGO, before=iso(times[0] - 1)) == []
    assert await recording(client, since=iso(times[6] + 1), before=FAR_OFF) == []
    assert len(await recording(client, since=LONG_AGO, before=FAR_OFF)) == 7


async def test_changed_definitions_are_tried_without_being_taken_up(
    client: aiohttp.ClientSession, service: Running
) -> None:
    changed = SALES.replace("after: [check]\n", "after: [load]\n")
    answer = await rehearsed(client, steps=STEPS, definitions={"pipelines/sales.yaml": changed})
    assert fired(answer) == [DAYS_WORK[0], DAYS_WORK[1], DAYS_WORK[2]]
    assert service.service.definitions.pipelines["sales"].tasks["publish"].after == ("check",)
    more = "name: more\ntasks: {after_sales: {inputs: [sales_daily], run: x}}\n"
    answer = await rehearsed(client, steps=STEPS, definitions={"pipelines/more.yaml": more})
    assert fired(answer)[-1] == ("more", DAY, "after_sales")
    keyed = "name: keyed\npartition: key\ntasks: {load: {inputs: [batch], run: x}}\n"
    only = {"pipelines/sales.yaml": None, "sensors/shared.yaml": None, "pipelines/keyed.yaml": keyed}
    batch = {"at": f"{DAY}T06:00:00Z", "ready": {"dataset": "batch", "partition": "b1"}}
    assert fired(await rehearsed(client, steps=[batch], definitions=only)) == [("keyed", "b1", "load")]


async def test_what_is_wrong_in_definitions_is_told_by_file_line_and_column(
    client: aiohttp.ClientSession, service: Running
) -> None:
    wrong = {
        "pipelines/sales.yaml": SALES.replace("inputs: [orders]", "inputs: [orders], rum: x"),
        "x.txt": "a",
    }
    status, answer = await post(client, "rehearsals", {"steps": STEPS, "definitions": wrong})
    assert status == 422
    assert answer["errors"][0]["message"] == ("expected a file as pipelines/NAME.yaml or sensors/NAME.yaml")
    del wrong["x.txt"]
    wrong["pipelines/sales.yaml"] = SALES.replace("    run: [echo", "    rum: [echo")
    status, answer = await post(client, "rehearsals", {"steps": STEPS, "definitions": wrong})
    assert (status, answer["detail"]) == (422, "1 thing is wrong in the definitions")
    (error,) = answer["errors"]
    line = 1 + wrong["pipelines/sales.yaml"].split("\n").index('    rum: [echo, "orders of {partition}"]')
    assert (error["file"], error["line"], error["column"]) == ("pipelines/sales.yaml", line, 5)
    status, answer = await post(
        client, "rehearsals", {"steps": STEPS, "definitions": {"pipelines/gone.yaml": None}}
    )
    assert status == 422 and "found none to leave out" in answer["errors"][0]["message"]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (
            "name: w\ntasks: {t: {inputs: [{dataset: d, partitions: {last: 20000}}], run: x}}\n",
            "at most 10000 partitions of an input, found 20000",
        ),
        (
            f"name: w\npartition: {{several: {{a: {{keys: {KEYS}}}, b: {{keys: {KEYS}}}}}}}\n"
            "tasks: {t: {inputs: [d], run: x}}\n",
            "at most 10000 partitions at one time, found 12100",
        ),
        (f"name: w\ndescription: {'x' * 2**20}\n", "at most 1048576 characters"),
    ],
)
async def test_sent_definitions_cannot_ask_for_more_than_the_service_can_bear(
    client: aiohttp.ClientSession, text: str, words: str
) -> None:
    body = io.BytesIO(json.dumps({"steps": STEPS, "definitions": {"pipelines/w.yaml": text}}).encode())
    headers = {"Content-Type": "application/json"}
    async with client.post("/api/v1/rehearsals", data=body, headers=headers) as response:
        assert response.status == 422
        assert words in (await response.json())["detail"]


async def test_sent_definitions_do_not_learn_what_the_environment_holds(
    client: aiohttp.ClientSession, service: Running
) -> None:
    spy = (
        "name: spy\npartition: key\n"
        "sensors: {s: {type: webhook, auth: none, partition: 'data.${BEARER_SECRET}', dataset: d}}\n"
        "tasks: {t: {inputs: [d], run: x}}\n"
    )
    step = {"at": f"{DAY}T06:00:00Z", "event": {"data": {}}, "sensor": "spy/s"}
    answer = await rehearsed(client, steps=[step], definitions={"pipelines/spy.yaml": spy})
    text = json.dumps(answer)
    assert f"data.{STAND_IN}" in text
    assert not any(secret in text for secret in SECRETS.values())


@pytest.mark.parametrize(
    ("body", "where", "expected", "found"),
    [
        ({"steps": [{"at": "x", "pause": "sales"}]}, "/steps/0/at", "an instant such as", '"x"'),
        ({"steps": [{"at": DAY, "pause": "sale"}]}, "/steps/0/pause", "a pipeline (sales)", '"sale"'),
        ({"steps": [{"at": DAY, "ready": {"dataset": "o"}}]}, "/steps/0/ready/dataset", "a dataset (", '"o"'),
        (
            {"steps": STEPS, "hold": [{"dataset": "sales_daily"}]},
            "/hold/0/dataset",
            "from outside",
            "task publish",
        ),
        ({"steps": STEPS, "foo": 1}, "/foo", "no such field", "1"),
        ({}, "", "steps, or from", "neither"),
        ({"steps": [{"pause": "sales", "at": DAY}] * (MOST_EVENTS + 1)}, "", "at most 10000 events", "10001"),
    ],
)
async def test_a_script_that_is_wrong_is_refused_with_the_place(
    client: aiohttp.ClientSession, body: Any, where: str, expected: str, found: str
) -> None:
    status, answer = await post(client, "rehearsals", body)
    assert status == 422
    (error,) = answer["errors"]
    assert error["where"] == where and expected in error["expected"] and found in error["found"]


async def test_what_takes_too_long_is_given_up(
    client: aiohttp.ClientSession, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sensorflow.web.rehearsals._LONGEST_S", 0)
    endless = "name: w\npartition: none\nschedule: '* * * * *'\ntasks: {t: {run: x}}\n"
    body = {"from": DAY, "until": "2999-01-01", "definitions": {"pipelines/w.yaml": endless}}
    status, answer = await post(client, "rehearsals", body)
    assert status == 422 and "take a shorter time" in answer["detail"]


async def test_what_is_no_json_and_what_is_not_said_to_be_is_refused(client: aiohttp.ClientSession) -> None:
    async with client.post(
        "/api/v1/rehearsals", data=b"{", headers={"Content-Type": "application/json"}
    ) as answer:
        assert answer.status == 400
    async with client.post(
        "/api/v1/rehearsals", data=b"{}", headers={"Content-Type": "text/plain"}
    ) as answer:
        assert answer.status == 415
    async with client.get("/api/v1/rehearsals/recording?since=x&before=y") as answer:
        assert answer.status == 400


async def test_a_few_rehearsals_wait_for_their_turn_and_no_more() -> None:
    stage = Stage()
    async with asyncio.TaskGroup() as group, asyncio.timeout(5):
        done: list[int] = []

        async def play(number: int) -> None:
            async with stage:
                done.append(number)

        async with stage:
            waiting_ones = [group.create_task(play(number)) for number in range(3)]
            await asyncio.sleep(0)
            assert stage.waiting == 4
            with pytest.raises(ProblemError, match="4 rehearsals are asked for already"):
                await play(9)
            waiting_ones[0].cancel()
    assert done == [1, 2]
    assert stage.waiting == 0


async def test_events_are_taken_while_a_rehearsal_is_played(
    client: aiohttp.ClientSession, service: Running
) -> None:
    days = [
        f"{year}-{month:02}-{day:02}"
        for year in (2026, 2027)
        for month in range(1, 13)
        for day in range(1, 29)
    ]
    steps = [
        {"at": f"{DAY}T06:00:00Z", "ready": {"dataset": "orders", "partition": day, "part": part}}
        for day in days
        for part in ("eu", "us")
    ]
    rehearsal = asyncio.create_task(rehearsed(client, steps=steps))
    answered = 0
    while not rehearsal.done():
        await ready(client, "delivered", DAY)
        answered += 1
    assert len(fired(await rehearsal)) == 3 * len(days)
    assert answered > 1  # How many is a matter of the machine.


# --- from the command line ---


async def test_the_command_line_rehearses_a_script_by_what_the_service_runs(cli: Cli, tmp_path: Path) -> None:
    script = tmp_path / "story.yaml"
    script.write_text(json.dumps({"steps": STEPS}, indent=1))
    code, out, err = await cli("rehearse", str(script))
    assert code == 0
    assert f"{DAY}T07:00:00Z  fired      sales {DAY} publish attempt 1" in out
    assert f"waiting for delivered {DAY}; it comes from sensor standard" in out
    assert "nothing was executed" in err
    code, out, _ = await cli("rehearse", str(script), "--json", "--fail", "sales/load@1", "--retries", "1")
    assert code == 0
    assert fired(json.loads(out)) == [DAYS_WORK[0], *DAYS_WORK]


async def test_the_same_story_offline_is_the_same_rehearsal(cli: Cli, tmp_path: Path) -> None:
    script = tmp_path / "story.ndjson"
    script.write_text("".join(json.dumps(step) + "\n" for step in STEPS))
    options = ("--takes", "5m", "--until", "2026-03-10T00:00:00Z", "--json")
    _, online, _ = await cli("rehearse", str(script), *options)
    code, offline, err = await cli(
        "rehearse", str(script), *options, "--offline", "--url", "http://127.0.0.1:1"
    )
    assert (code, err.count("by the files of")) == (0, 1)
    assert json.loads(offline) == json.loads(online)


async def test_recorded_events_are_rehearsed_by_the_changed_files_of_the_home(
    cli: Cli, client: aiohttp.ClientSession, service: Running
) -> None:
    await told(client, service)
    before = stored(service)
    file = service.home.path / "pipelines" / "sales.yaml"
    file.write_text(SALES.replace("inputs: [orders]", "inputs: [orders, fx]"))
    code, out, err = await cli("rehearse", "--from", LONG_AGO, "--json")
    assert code == 0, err
    answer = json.loads(out)
    assert fired(answer) == []
    assert waiting(answer)["load"][0].startswith(f"waiting for fx {DAY}")
    code, out, _ = await cli("rehearse", "--from", LONG_AGO, "--json", "--deployed")
    assert fired(json.loads(out)) == DAYS_WORK
    code, out, _ = await cli("rehearse", "--from", LONG_AGO, "--to", "2021-01-01", "--json")
    assert json.loads(out)["timeline"] == []
    file.write_text(SALES.replace("partition: daily", "partition: dally"))
    code, _, err = await cli("rehearse", "--from", LONG_AGO)
    assert code == 4 and "pipelines/sales.yaml:3:12" in err
    assert stored(service) == before


async def test_a_wrong_script_is_told_with_its_lines_whoever_reads_it(cli: Cli, tmp_path: Path) -> None:
    script = tmp_path / "story.yaml"
    script.write_text("steps:\n  - at: 2026-03-08\n    pause: sale\n")
    for options in ((), ("--offline",)):
        code, out, err = await cli("rehearse", str(script), *options)
        assert (code, out) == (1, "")
        assert err == f'{script}:3:12: steps.0.pause: expected a pipeline (sales), found "sale"\n'
    script.write_text("steps: 1\n")
    code, _, err = await cli("rehearse", str(script))
    assert (code, err) == (1, f"{script}:1:8: steps: expected a list, found 1\n")


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        ((), 2, "expected a script, or --from"),
        (("-", "--to", DAY), 2, "--to: expected --from beside it"),
        (("--from", DAY, "--offline"), 2, "--from: expected no --offline beside it"),
        (("-", "--deployed", "--offline"), 2, "--deployed: expected no --offline beside it"),
        (("gone.yaml",), 3, "there is no file gone.yaml"),
        (("-", "--fail", "load"), 2, '--fail: expected PIPELINE/TASK or PIPELINE/TASK@2, found "load"'),
        (("-", "--url", "http://127.0.0.1:1"), 5, "cannot be reached"),
        (
            ("-", "--offline", "--until", "soon"),
            2,
            'expected an instant such as 2013-03-08T05:00:00Z, found "soon"',
        ),
    ],
)
async def test_what_cannot_be_rehearsed_is_told_with_its_exit_code(
    cli: Cli, arguments: tuple[str, ...], code: int, words: str
) -> None:
    found, _, err = await cli("rehearse", *arguments, stdin=b"from: 2026-03-08")
    assert (found, words in err) == (code, True), err


async def recording(client: aiohttp.ClientSession, **query: str) -> list[Any]:
    async with client.get("/api/v1/rehearsals/recording", params=query) as response:
        assert response.status == 200
        return [json.loads(line) for line in (await response.text()).splitlines()]


def iso(at: float) -> str:
    return datetime.fromtimestamp(at, UTC).isoformat()


def between(times: list[float], place: int) -> str:
    """Return an instant behind one of them and before the next: a text has no more than microseconds."""
    return iso((times[place] + times[place + 1]) / 2)
