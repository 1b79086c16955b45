"""The same mistake has the same exit code in every verb."""

import json
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from sensorflow.app import Running
from tests.calling import Ended, asked
from tests.serving import SECRETS, make_home, serving, task_state, until

pytestmark = pytest.mark.slow

DAY = "2026-03-08"
#: How verbs are called that ask the service; in braces what may be mistaken.
CALLS = (
    "ready {dataset} {partition}",
    "withdraw {dataset} {partition} --reason mistake",
    "events --dataset {dataset}",
    "run {pipeline} {partition}",
    "runs {pipeline}",
    "why {pipeline}",
    "why {pipeline} {partition}",
    "why {pipeline} {partition} {task}",
    "pause {pipeline}",
    "resume {pipeline}",
    "backfill {pipeline} {partition} {partition} --no-wait",
    "backfill {pipeline} --partition {partition} --dry-run",
    "logs {run} {task}",
    "retry {run} {task}",
    "mark {run} {task} skipped",
    "cancel {run}",
    "redrive {seq}",
)
RIGHT = {
    "dataset": "orders",
    "partition": DAY,
    "pipeline": "sales",
    "run": f"sales/{DAY}",
    "task": "check",
    "seq": "1",
}


@pytest.fixture
async def service(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Running]:
    """Give a service with one failed run."""
    for name, secret in SECRETS.items():
        monkeypatch.setenv(name, secret)
    # What the service logs must not stand on the stdout of the calls, which are made in its process.
    with capture_logs():
        async with serving(make_home(tmp_path / "home")) as started:
            assert (await asked(started.url, "ready", "orders", DAY, "-q")).code == 0
            await until(started, lambda: task_state(started, DAY, "check") == "failed")
            yield started


def fails_quietly_on_stdout(ended: Ended) -> bool:
    return ended.out == "" and bool(ended.err.strip()) and "Traceback" not in ended.err


@pytest.mark.parametrize(
    ("place", "value", "code"),
    [
        ("dataset", "nobody", 3),
        ("pipeline", "nobody", 3),
        ("task", "nobody", 3),
        ("run", "nobody", 3),
        ("run", "nobody/2026-05-05", 3),
        ("run", "sales/2026-05-05", 3),
        ("run", "00000000-0000-0000-0000-000000000000", 3),
        ("seq", "99", 3),
        ("seq", "first", 2),
        ("partition", "someday", 2),
        ("partition", "2026-02-30", 2),
        ("partition", "eu|2026-03-08", 2),
    ],
)
async def test_a_mistake_has_one_code_in_all_verbs(
    service: Running, place: str, value: str, code: int
) -> None:
    ended = {
        call: await asked(service.url, *call.format(**{**RIGHT, place: value}).split(), *flags)
        for call in CALLS
        if f"{{{place}}}" in call
        for flags in ((), ("--json",))
    }
    assert {call: each.code for call, each in ended.items()} == dict.fromkeys(ended, code)
    assert [call for call, each in ended.items() if not fails_quietly_on_stdout(each)] == []


@pytest.mark.parametrize(
    ("call", "code"),
    [
        ("ready orders", 2),
        (f"ready orders {DAY} --part asia", 2),
        (f"ready orders {DAY} --time noon", 2),
        ("run sales 2025-05-05", 2),
        (f"backfill sales {DAY} 2026-03-07", 2),
        ("backfill sales 2025-01-01 2025-01-02", 2),
        (f"withdraw orders {DAY} --part asia --reason x", 2),
        (f"logs sales/{DAY} check --attempt 9", 3),
        (f"logs sales/{DAY} publish", 3),
        (f"mark sales/{DAY} load succeeded", 1),
        (f"cancel sales/{DAY} --token wrong", 0),
        (f"why sales {DAY}", 0),
        ("why sales 2026-05-05", 0),
        ("why sales", 0),
    ],
)
async def test_what_cannot_be_done_and_what_can_have_their_codes(
    service: Running, call: str, code: int
) -> None:
    ended = await asked(service.url, *call.split())
    assert ended.code == code, ended.err
    assert code == 0 or fails_quietly_on_stdout(ended)


async def test_every_verb_that_asks_gives_one_document_with_json(service: Running) -> None:
    calls = {
        **{call: call.format(**RIGHT).split() for call in CALLS if not call.startswith(("mark", "retry"))},
        **{name: [name] for name in ("status", "runs", "events", "reload", "version")},
    }
    wrong = {}
    for name, arguments in calls.items():
        ended = await asked(service.url, *arguments, "--json")
        try:
            document = json.loads(ended.out)
        except ValueError:
            document = None
        if ended.code or not isinstance(document, dict):
            wrong[name] = ended
    assert wrong == {}
