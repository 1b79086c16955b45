import asyncio
import json
import os
import resource
import subprocess
import sys
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from pathlib import Path
from typing import Any

import pytest
from structlog.testing import capture_logs

from sensorflow.core.commands import StartAttempt
from sensorflow.core.messages import AttemptEnded
from sensorflow.core.states import AttemptState
from sensorflow.core.vocabulary import Command, HttpCall
from sensorflow.executor.attempt_files import attempt_files, log_path
from sensorflow.ports import AttemptKey, AttemptPlace
from tests.integration.attempts import (
    Bench,
    Signal,
    key,
    open_descriptors,
    order,
    runs,
    shell,
    zombie_children,
)


@pytest.fixture
async def bench(tmp_path: Path) -> AsyncIterator[Bench]:
    made = Bench(tmp_path)
    yield made
    await made.executor.close()


@pytest.fixture
def said(tmp_path: Path) -> Iterator[Signal]:
    signal = Signal(tmp_path / "said")
    yield signal
    signal.close()


@pytest.fixture
def heard(tmp_path: Path) -> Iterator[Signal]:
    signal = Signal(tmp_path / "heard")
    yield signal
    signal.close()


@pytest.mark.parametrize(
    ("line", "state", "exit_code", "error"),
    [
        ("exit 0", AttemptState.SUCCEEDED, 0, None),
        ("exit 99", AttemptState.SKIPPED, 99, None),
        ("exit 3", AttemptState.FAILED, 3, "exit status 3"),
        ("kill -KILL $$", AttemptState.FAILED, 137, "killed by SIGKILL"),
        ("echo too few rows; echo; exit 3", AttemptState.FAILED, 3, "exit status 3: too few rows"),
        ("no-such-program", AttemptState.FAILED, 127, "exit status 127: sh: 1: no-such-program: not found"),
    ],
)
async def test_the_exit_status_says_how_an_attempt_ended(
    bench: Bench, line: str, state: AttemptState, exit_code: int, error: str | None
) -> None:
    ended = await bench.run(order(shell(line)))

    assert (ended.state, ended.exit_code, ended.error) == (state, exit_code, error)
    assert not ended.crashed


async def test_the_start_is_reported_before_the_end_with_a_process_that_can_be_recognised(
    bench: Bench,
) -> None:
    await bench.run(order(shell("true")))

    started, ended = bench.reports.all
    assert started == bench.reports.started["run-1", "load", 1]
    assert ended == bench.reports.ended["run-1", "load", 1]


async def test_a_command_runs_already_when_its_start_returns(bench: Bench) -> None:
    asked = order(shell("true"))

    bench.executor.start(asked)

    assert bench.reports.started[key(asked)].pid
    await bench.reports.end_of(key(asked))


async def test_an_order_that_is_performed_twice_starts_one_attempt(bench: Bench) -> None:
    once = order(shell("echo once"))
    bench.executor.start(once)

    await bench.run(once)

    assert bench.log(once) == "once\n"


HOSTILE = [
    "$(touch broken)",
    "`touch broken`",
    "; touch broken",
    "| touch broken &",
    "' \" \\",
    "a\nb\tc",
    "{partition}",
    "{}{nobody}{{task}}",
    "$HOME ${HOME} %s",
    "-rf",
    "",
    "ünïcødé",
    "*",
]


@pytest.mark.parametrize("payload", HOSTILE)
async def test_a_value_arrives_literally_in_argv_and_environment(bench: Bench, payload: str) -> None:
    script = "import os, sys, json; print(json.dumps([sys.argv[1], os.environ['SENSORFLOW_PARTITION']]))"
    asked = order(Command(argv=("python", "-c", script, "{partition}")), partition=payload)

    assert (await bench.run(asked)).state == AttemptState.SUCCEEDED

    assert json.loads(bench.log(asked)) == [payload, payload]
    assert not (bench.home / "broken").exists()


async def test_only_the_listed_placeholders_are_replaced_and_only_in_argv(bench: Bench) -> None:
    names = "{partition} {partition_start} {partition_end} {pipeline} {task} {run_id} {attempt}"
    in_argv = order(Command(argv=("echo", names, "{inputs} {Task} {task", "{{task}}")))
    in_line = order(shell("echo '{task}'"), number=2)

    await bench.run(in_argv)
    await bench.run(in_line)

    assert bench.log(in_argv) == (
        "2013-03-10 2013-03-10T00:00:00-05:00 2013-03-11T00:00:00-04:00 flight_delays load run-1 1"
        " {inputs} {Task} {task {load}\n"
    )
    assert bench.log(in_line) == "{task}\n"


async def test_a_task_gets_the_environment_of_the_contract_and_no_settings_or_secrets(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SENSORFLOW_PORT", "9999")
    monkeypatch.setenv("VENDOR_SECRET", "very-secret")
    monkeypatch.setenv("ORDINARY", "inherited")
    bench = Bench(tmp_path, hidden_names=frozenset({"VENDOR_SECRET"}))
    asked = order(shell("env -0"), env={"REGION": "eu", "ORDINARY": "overridden"})

    await bench.run(asked)

    seen = dict(entry.partition("=")[::2] for entry in bench.log(asked).rstrip("\0").split("\0"))
    assert {name: value for name, value in seen.items() if name.startswith("SENSORFLOW_")} == {
        "SENSORFLOW_PIPELINE": "flight_delays",
        "SENSORFLOW_TASK": "load",
        "SENSORFLOW_RUN_ID": "run-1",
        "SENSORFLOW_PARTITION": "2013-03-10",
        "SENSORFLOW_PARTITION_START": "2013-03-10T00:00:00-05:00",
        "SENSORFLOW_PARTITION_END": "2013-03-11T00:00:00-04:00",
        "SENSORFLOW_ATTEMPT": "1",
        "SENSORFLOW_GENERATION": "2",
        "SENSORFLOW_IDEMPOTENCY_KEY": "key-1",
        "SENSORFLOW_CONTEXT_FILE": attempt_files(tmp_path, "run-1", "load", 1).context,
    }
    assert seen["REGION"] == "eu"
    assert seen["ORDINARY"] == "overridden"
    assert "VENDOR_SECRET" not in seen
    assert seen["PATH"].split(":")[0] == str(Path(sys.executable).parent)
    await bench.executor.close()


REGIONAL = {"day": "2013-03-10", "sales-region": "eu", "start": "x"}


async def test_a_task_is_told_each_dimension_of_its_partition(bench: Bench) -> None:
    partition = "2013-03-10|eu|x"
    in_environment = order(shell("env"), partition=partition, dimensions=REGIONAL)
    in_argv = order(
        Command(argv=("echo", "{partition.sales-region}/{partition.day}", "{partition.size} {partition.}")),
        partition=partition,
        dimensions=REGIONAL,
        number=2,
    )
    in_context = order(shell('cat "$SENSORFLOW_CONTEXT_FILE"'), dimensions=REGIONAL, number=3)

    for asked in (in_environment, in_argv, in_context):
        await bench.run(asked)

    lines = [
        line for line in bench.log(in_environment).splitlines() if line.startswith("SENSORFLOW_PARTITION")
    ]
    assert sorted(lines) == [
        "SENSORFLOW_PARTITION=2013-03-10|eu|x",
        "SENSORFLOW_PARTITION_DAY=2013-03-10",
        "SENSORFLOW_PARTITION_END=2013-03-11T00:00:00-04:00",
        "SENSORFLOW_PARTITION_SALES_REGION=eu",
        "SENSORFLOW_PARTITION_START=2013-03-10T00:00:00-05:00",
    ]
    assert bench.log(in_argv) == "eu/2013-03-10 {partition.size} {partition.}\n"
    assert json.loads(bench.log(in_context))["dimensions"] == REGIONAL


async def test_the_context_file_holds_the_inputs(bench: Bench) -> None:
    inputs = {
        "flights": {"2013-03-10": {"version": 2, "events": [{"id": "a", "data": {"text": "\ud800 é"}}]}}
    }
    asked = order(shell('cat "$SENSORFLOW_CONTEXT_FILE"'), inputs=inputs)

    await bench.run(asked)

    assert json.loads(bench.log(asked)) == {
        "pipeline": "flight_delays",
        "task": "load",
        "run_id": "run-1",
        "partition": "2013-03-10",
        "partition_start": "2013-03-10T00:00:00-05:00",
        "partition_end": "2013-03-11T00:00:00-04:00",
        "attempt": 1,
        "generation": 2,
        "idempotency_key": "key-1",
        "inputs": inputs,
        "missing": [],
    }


async def test_a_command_runs_in_the_home_with_nothing_to_read_as_leader_of_its_own_group(
    bench: Bench,
) -> None:
    script = "import os, sys; print(os.getcwd(), os.getpgrp() == os.getpid(), repr(sys.stdin.read()))"
    asked = order(Command(argv=("python", "-c", script)))

    await bench.run(asked)

    assert bench.log(asked) == f"{bench.home.resolve()} True ''\n"


OWN_GROUP = """
import os, sys
if sys.argv[1:]:
    os.open(sys.argv[1], os.O_RDWR)  # A session without a terminal gets the first that its leader opens.
from sensorflow.processes import own_group
print(*own_group())
"""


def own_group_beside(*terminal: str) -> str:
    """Return what makes a child the leader of its group in a process of this terminal, or of none."""
    command = [sys.executable, "-c", OWN_GROUP, *terminal]
    return subprocess.run(command, check=True, capture_output=True, text=True, start_new_session=True).stdout


def test_a_program_cannot_ask_at_the_terminal_of_the_service() -> None:
    ours, theirs = os.openpty()
    try:
        assert own_group_beside(os.ttyname(theirs)) == "start_new_session\n"
    finally:
        os.close(ours)
        os.close(theirs)


def test_where_there_is_no_terminal_no_session_is_made() -> None:
    assert own_group_beside() == "process_group\n"


async def test_the_log_shows_output_as_it_comes(bench: Bench, said: Signal, heard: Signal) -> None:
    script = (
        "import sys; print('first'); print('second', file=sys.stderr);"
        "open(sys.argv[1], 'w').write('so far\\n'); open(sys.argv[2]).readline(); print('third')"
    )
    asked = order(Command(argv=("python", "-c", script, str(said.path), str(heard.path))))
    bench.executor.start(asked)

    await said.line()
    assert bench.log(asked) == "first\nsecond\n"
    heard.give()
    await bench.reports.end_of(key(asked))
    assert bench.log(asked) == "first\nsecond\nthird\n"


async def test_a_program_that_is_not_there_is_a_failed_attempt(bench: Bench) -> None:
    ended = await bench.run(order(Command(argv=("no-such-program", "x"))))

    assert (ended.state, ended.exit_code) == (AttemptState.FAILED, 127)
    assert ended.error == "program not found: no-such-program"
    assert not bench.reports.started


async def test_a_file_that_is_no_program_is_a_failed_attempt(bench: Bench) -> None:
    (bench.home / "notes.txt").write_text("not a program")

    ended = await bench.run(order(Command(argv=("./notes.txt",))))

    assert (ended.state, ended.exit_code) == (AttemptState.FAILED, 126)
    assert ended.error == "program may not be run: ./notes.txt"


async def test_a_log_that_cannot_be_written_is_a_failed_attempt(bench: Bench) -> None:
    asked = order(shell("true"))
    log = log_path(bench.home, *key(asked))
    log.mkdir(parents=True)

    ended = await bench.run(asked)

    assert ended.state == AttemptState.FAILED
    assert ended.error == f"cannot start: Is a directory: {log}"


async def test_a_value_with_a_nul_is_a_failed_attempt(bench: Bench) -> None:
    ended = await bench.run(order(Command(argv=("echo", "{partition}")), partition="a\0b"))

    assert ended.state == AttemptState.FAILED
    assert ended.error == "cannot start: ValueError: embedded null byte"


@pytest.mark.parametrize("name", ["", ".", "..", "../up", "a/b", "a\0b", "-x", "a b", "x" * 201])
async def test_a_run_id_that_is_no_plain_name_is_a_failed_attempt_and_writes_nothing(
    bench: Bench, name: str
) -> None:
    ended = await bench.run(order(shell("true"), run_id=name))

    assert ended.state == AttemptState.FAILED
    assert ended.error is not None and ended.error.startswith(
        "cannot start: ValueError: expected a plain name"
    )
    assert list(bench.home.iterdir()) == []


#: Two generations that ignore SIGTERM; the younger one says its process id.
STUBBORN = 'trap "" TERM; sh -c \'trap "" TERM; echo $$ > said; while :; do sleep 1000; done\' & wait; wait'


async def test_a_timeout_takes_the_whole_process_group(bench: Bench, said: Signal) -> None:
    asked = order(shell(STUBBORN), timeout_s=1)
    bench.executor.start(asked)
    grandchild = int(await said.line())
    assert runs(grandchild)

    ended = await bench.reports.end_of(key(asked))

    assert (ended.state, ended.exit_code, ended.error) == (AttemptState.FAILED, None, "timed out after 1 s")
    assert not runs(grandchild)
    assert not runs(bench.reports.started[key(asked)].pid)


async def test_a_stop_takes_the_whole_process_group_and_ends_the_attempt_cancelled(
    bench: Bench, said: Signal
) -> None:
    asked = order(shell(STUBBORN))
    bench.executor.start(asked)
    grandchild = int(await said.line())

    bench.executor.stop(key(asked), "no longer needed")
    bench.executor.stop(key(asked), "said twice")
    ended = await bench.reports.end_of(key(asked))

    assert (ended.state, ended.error) == (AttemptState.CANCELLED, "no longer needed")
    assert not runs(grandchild)


async def test_a_stop_gives_a_program_time_to_clean_up(tmp_path: Path, said: Signal) -> None:
    bench = Bench(tmp_path, grace_s=20)
    asked = order(
        shell("trap 'echo cleaned up; exit 0' TERM; echo ready > said; while :; do sleep 0.05; done")
    )
    bench.executor.start(asked)
    await said.line()

    bench.executor.stop(key(asked), "enough")
    ended = await bench.reports.end_of(key(asked))

    assert ended.state == AttemptState.CANCELLED
    assert bench.log(asked).endswith("cleaned up\n")
    await bench.executor.close()


async def test_a_suspended_program_is_stopped_too(tmp_path: Path, said: Signal) -> None:
    bench = Bench(tmp_path, grace_s=20)
    asked = order(shell("echo ready > said; kill -STOP $$; sleep 1000"))
    bench.executor.start(asked)
    await said.line()

    bench.executor.stop(key(asked), "enough")

    assert (await bench.reports.end_of(key(asked))).state == AttemptState.CANCELLED
    await bench.executor.close()


async def test_a_stop_of_an_attempt_that_does_not_run_here_is_reported_at_once(bench: Bench) -> None:
    bench.executor.stop(("run-1", "elsewhere", 1), "no longer needed")

    (reported,) = bench.reports.all
    assert reported == AttemptEnded(
        run_id="run-1",
        task="elsewhere",
        number=1,
        state=AttemptState.CANCELLED,
        error="no longer needed; who works on it is not told",
    )


class HandsOver:
    """A kind of task that goes on elsewhere from the start."""

    def __init__(self, then: Callable[[], object]) -> None:
        self._then = then

    def start(self, order: StartAttempt, place: AttemptPlace) -> Coroutine[Any, Any, None]:
        return self._hand_over()

    async def _hand_over(self) -> None:
        asyncio.get_running_loop().call_soon(self._then)

    async def close(self) -> None:
        """Nothing is kept."""


async def test_an_attempt_that_was_handed_over_ends_neither_by_itself_nor_by_a_close(tmp_path: Path) -> None:
    bench = Bench(tmp_path, http=HandsOver(lambda: None))

    await bench.hand_over(order(HttpCall(url="http://127.0.0.1")))
    await bench.executor.close()

    assert bench.reports.all == []


async def test_an_attempt_that_is_stopped_in_the_moment_of_its_hand_over_is_cancelled(tmp_path: Path) -> None:
    asked = order(HttpCall(url="http://127.0.0.1"))
    bench = Bench(tmp_path, http=HandsOver(lambda: bench.executor.stop(key(asked), "enough")))

    await bench.hand_over(asked)

    ended = bench.reports.ended[key(asked)]
    assert (ended.state, ended.error) == (AttemptState.CANCELLED, "enough; who works on it is not told")
    await bench.executor.close()


async def test_an_attempt_that_is_stopped_at_once_ends_all_the_same(bench: Bench) -> None:
    asked = order(shell("sleep 1000"))
    bench.executor.start(asked)

    bench.executor.stop(key(asked), "changed my mind")

    assert (await bench.reports.end_of(key(asked))).state == AttemptState.CANCELLED


async def test_a_close_interrupts_all_attempts_and_returns_when_none_is_left(
    bench: Bench, said: Signal
) -> None:
    stubborn, plain = order(shell(STUBBORN)), order(shell("sleep 1000"), task="plain")
    bench.executor.start(stubborn)
    bench.executor.start(plain)
    grandchild = int(await said.line())

    await bench.executor.close()

    for asked in (stubborn, plain):
        ended = bench.reports.ended[key(asked)]
        assert (ended.state, ended.error) == (AttemptState.INTERRUPTED, "the service stopped")
        assert not runs(bench.reports.started[key(asked)].pid)
    assert not runs(grandchild)


async def test_an_attempt_that_is_started_during_a_close_is_interrupted(bench: Bench) -> None:
    await bench.executor.close()

    ended = await bench.run(order(shell("touch ran")))

    assert ended.state == AttemptState.INTERRUPTED
    assert not (bench.home / "ran").exists()


async def test_what_a_program_leaves_running_is_stopped_before_its_attempt_ends(
    bench: Bench, said: Signal
) -> None:
    asked = order(shell("(echo $(exec sh -c 'echo $PPID') > said; sleep 1000) & exit 0"))
    bench.executor.start(asked)
    left_running = int(await said.line())

    ended = await bench.reports.end_of(key(asked))

    assert ended.state == AttemptState.SUCCEEDED
    assert not runs(left_running)


async def test_what_a_program_leaves_running_may_end_by_itself_first(
    bench: Bench, said: Signal, heard: Signal
) -> None:
    asked = order(shell(f"(echo ready > said; read x < {heard.path}; echo late output) & exit 0"))
    bench.executor.start(asked)
    await said.line()

    heard.give()

    assert (await bench.reports.end_of(key(asked))).state == AttemptState.SUCCEEDED
    assert bench.log(asked) == "late output\n"


async def test_where_the_kernel_has_no_pidfd_ends_are_seen_all_the_same(
    bench: Bench, said: Signal, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delattr(os, "pidfd_open")
    stubborn, failing = order(shell(STUBBORN)), order(shell("exit 3"), task="failing")
    bench.executor.start(stubborn)
    grandchild = int(await said.line())

    assert (await bench.run(failing)).exit_code == 3
    bench.executor.stop(key(stubborn), "enough")
    await bench.reports.end_of(key(stubborn))
    assert not runs(grandchild)


async def test_a_hundred_attempts_leave_no_descriptor_and_no_zombie(bench: Bench) -> None:
    await bench.run(order(shell("true"), task="first"))
    descriptors = open_descriptors()
    endless = [order(shell("sleep 1000"), number=number, task="endless") for number in range(10)]
    short = [order(shell("exit $((SENSORFLOW_ATTEMPT % 2))"), number=number) for number in range(80)]
    unknown = [order(Command(argv=("nothing",)), number=number, task="unknown") for number in range(10)]

    for asked in [*endless, *short, *unknown]:
        bench.executor.start(asked)
    for asked in endless:
        await bench.reports.start_of(key(asked))
        bench.executor.stop(key(asked), "enough")
    states = [(await bench.reports.end_of(key(asked))).state for asked in [*endless, *short, *unknown]]

    expected = [AttemptState.CANCELLED] * 10 + [AttemptState.SUCCEEDED, AttemptState.FAILED] * 40
    assert states == expected + [AttemptState.FAILED] * 10
    assert open_descriptors() == descriptors
    assert zombie_children() == []
    every_key: list[AttemptKey] = [key(asked) for asked in [*endless, *short, *unknown]]
    assert set(every_key) < set(bench.reports.ended)


async def test_an_event_loop_that_is_torn_down_leaves_no_process(tmp_path: Path) -> None:
    pids: list[int] = []

    async def service() -> None:
        bench = Bench(tmp_path)
        asked = order(shell("sleep 1000"))
        bench.executor.start(asked)
        pids.append((await bench.reports.start_of(key(asked))).pid)

    await asyncio.to_thread(asyncio.run, service())

    assert pids and not runs(pids[0])


async def test_secrets_are_masked_in_the_log_and_in_the_error(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ERP_PASSWORD", "hunter2hunter2")
    bench.executor.hide(frozenset({"ERP_PASSWORD"}))

    attempt = order(shell("echo first; echo wrong password hunter2hunter2; exit 1"))
    ended = await bench.run(attempt)

    assert ended.error == "exit status 1: wrong password **************"
    assert bench.log(attempt) == "first\nwrong password **************\n"


async def test_an_attempt_that_finds_no_room_waits_for_it_and_has_not_failed(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sensorflow.executor.local._LOOK_AGAIN_S", 0.05)
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    asked = order(shell("echo at last"))
    os.close(lowest_free := os.dup(0))
    with capture_logs() as lines:
        resource.setrlimit(resource.RLIMIT_NOFILE, (lowest_free + 1, hard))
        try:
            bench.executor.start(asked)
            await asyncio.sleep(0)
            assert lines
        finally:
            resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
        ended = await bench.reports.end_of(key(asked))
    assert ended.state == AttemptState.SUCCEEDED and bench.log(asked) == "at last\n"
    assert [line["event"] for line in lines] == ["no room for an attempt yet"]
    assert "Too many open files" in lines[0]["error"]
