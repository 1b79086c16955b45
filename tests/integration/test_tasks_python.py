"""Python tasks in warm workers, through the executor."""

import asyncio
import json
import os
import signal
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from sensorflow.core.commands import StartAttempt
from sensorflow.core.messages import AttemptEnded
from sensorflow.core.states import AttemptState
from sensorflow.core.vocabulary import PythonFunction
from tests.integration.attempts import Bench, Signal, key, open_descriptors, order, runs, zombie_children

JOBS = """
import asyncio, contextvars, json, os, signal, subprocess, sys, threading, time

print_pid = lambda context: print(os.getpid())

def show(context):
    names = ("pipeline task run_id partition partition_start partition_end attempt generation"
             " idempotency_key inputs missing")
    print(json.dumps({name: getattr(context, name) for name in names.split()}))

def show_dimensions(context):
    print(json.dumps(context.dimensions))

def environment(context):
    print(json.dumps(dict(os.environ)))

def everything_printed(context):
    print("out")
    print("err", file=sys.stderr)
    os.write(1, b"raw\\n")
    subprocess.run(["sh", "-c", "echo child; echo child err >&2"], check=True)

async def asynchronous(context):
    await asyncio.sleep(0)
    print("awaited", context.partition)

def fails(context):
    raise ValueError("42 rows are missing\\nand more lines")

async def fails_asynchronously(context):
    raise KeyError("airport")

def leaves(context):
    sys.exit(json.loads(context.partition))

def dies(context):
    os._exit(int(context.partition))

def is_killed(context):
    os.kill(os.getpid(), signal.SIGKILL)

def waits(context):
    with open("said", "w") as said: said.write(f"{os.getpid()}\\n")
    os.read(os.open("heard", os.O_RDONLY), len("go\\n"))

def hangs(context):
    child = subprocess.Popen(["sh", "-c", "trap '' TERM; while :; do sleep 1000; done"])
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    with open("said", "w") as said: said.write(f"{child.pid}\\n")
    while True: time.sleep(1000)

def cleans_up(context):
    try:
        with open("said", "w") as said: said.write("ready\\n")
        time.sleep(1000)
    finally:
        print("cleaned up")

def leaves_a_child(context):
    with open("said", "w") as said: said.write(f"{subprocess.Popen(['sleep', '1000']).pid}\\n")

def leaves_a_thread(context):
    threading.Thread(target=time.sleep, args=(1000,), daemon=True).start()

def spoils(context):
    os.environ["SPOILED"] = "yes"
    os.chdir("/")
    sys.stdout = open(os.devnull, "w")
    signal.signal(signal.SIGTERM, signal.SIG_IGN)

not_callable = 7
"""


def call(function: str, **values: object) -> StartAttempt:
    return order(PythonFunction("jobs", function), **values)  # type: ignore[arg-type]


@pytest.fixture
async def bench(tmp_path: Path) -> AsyncIterator[Bench]:
    (tmp_path / "jobs.py").write_text(JOBS)
    made = Bench(tmp_path)
    yield made
    await made.executor.close()


@pytest.fixture
def said(tmp_path: Path) -> Iterator[Signal]:
    made = Signal(tmp_path / "said")
    yield made
    made.close()


@pytest.fixture
def heard(tmp_path: Path) -> Iterator[Signal]:
    made = Signal(tmp_path / "heard")
    yield made
    made.close()


def ended_as(ended: AttemptEnded) -> tuple[AttemptState, int | None, str | None]:
    return ended.state, ended.exit_code, ended.error


async def worker_of(bench: Bench, asked: StartAttempt) -> int:
    await bench.reports.end_of(key(asked))
    return bench.reports.started[key(asked)].pid


async def test_the_function_is_called_with_the_context(bench: Bench) -> None:
    asked = call("show", inputs={"flights": {"2013-03-10": {"version": 1, "events": []}}})

    assert ended_as(await bench.run(asked)) == (AttemptState.SUCCEEDED, 0, None)

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
        "inputs": {"flights": {"2013-03-10": {"version": 1, "events": []}}},
        "missing": [],
    }


async def test_the_context_has_the_dimensions_of_the_partition(bench: Bench) -> None:
    several = call("show_dimensions", dimensions={"day": "2013-03-10", "region": "eu"})
    plain = call("show_dimensions", number=2)

    await bench.run(several)
    await bench.run(plain)

    assert json.loads(bench.log(several)) == {"day": "2013-03-10", "region": "eu"}
    assert json.loads(bench.log(plain)) == {}


async def test_a_worker_is_used_again(bench: Bench) -> None:
    first, second = call("print_pid"), call("print_pid", number=2)

    await bench.run(first)
    await bench.run(second)

    assert bench.log(first) == bench.log(second) == f"{bench.reports.started[key(first)].pid}\n"


async def test_a_worker_is_never_shared_by_two_attempts_at_once(
    bench: Bench, said: Signal, heard: Signal
) -> None:
    asked = [call("waits", number=number) for number in range(1, 5)]
    pids = set()
    for each in asked:  # More than are kept warm.
        bench.executor.start(each)
        pids.add(int(await said.line()))
    assert len(pids) == 4

    for each in asked:
        bench.executor.stop(key(each), "seen enough")
        await bench.reports.end_of(key(each))
    assert not any(runs(pid) for pid in pids)


async def test_only_so_many_idle_workers_are_kept(bench: Bench, said: Signal, heard: Signal) -> None:
    asked = [call("waits", number=number) for number in range(1, 5)]
    pids = []
    for each in asked:
        bench.executor.start(each)
        pids.append(int(await said.line()))
    for _ in asked:
        heard.give()
    for each in asked:
        assert (await bench.reports.end_of(key(each))).state == AttemptState.SUCCEEDED

    assert sum(runs(pid) for pid in pids) == 2
    assert zombie_children() == []


async def test_output_of_the_function_and_its_children_is_the_attempts_log(bench: Bench) -> None:
    asked, silent = call("everything_printed"), call("asynchronous", number=2)

    await bench.run(asked)
    await bench.run(silent)

    assert bench.log(asked) == "out\nerr\nraw\nchild\nchild err\n"
    assert bench.log(silent) == "awaited 2013-03-10\n"


async def test_the_environment_is_that_of_the_attempt(bench: Bench) -> None:
    first, second = call("environment", env={"ONLY_FIRST": "secret"}), call("environment", number=2)

    await bench.run(first)
    await bench.run(second)

    before, after = json.loads(bench.log(first)), json.loads(bench.log(second))
    assert (before["ONLY_FIRST"], before["SENSORFLOW_ATTEMPT"]) == ("secret", "1")
    assert after["SENSORFLOW_ATTEMPT"] == "2" and "ONLY_FIRST" not in after
    worker = await worker_of(bench, second)
    assert b"secret" not in Path(f"/proc/{worker}/environ").read_bytes()


async def test_what_a_function_spoils_is_put_right_for_the_next_one(bench: Bench) -> None:
    spoiling, next_one = call("spoils"), call("environment", number=2)

    await bench.run(spoiling)
    await bench.run(next_one)

    seen = json.loads(bench.log(next_one))
    assert "SPOILED" not in seen
    assert await worker_of(bench, spoiling) == await worker_of(bench, next_one)


@pytest.mark.parametrize(
    ("code", "state", "exit_code", "error"),
    [
        ("null", AttemptState.SUCCEEDED, 0, None),
        ("0", AttemptState.SUCCEEDED, 0, None),
        ("99", AttemptState.SKIPPED, 99, None),
        ("3", AttemptState.FAILED, 3, "exit status 3"),
        ('"no rows"', AttemptState.FAILED, 1, "no rows"),
    ],
)
async def test_sys_exit_means_what_it_means_in_a_program(
    bench: Bench, code: str, state: AttemptState, exit_code: int, error: str | None
) -> None:
    asked = call("leaves", partition=code)

    assert ended_as(await bench.run(asked)) == (state, exit_code, error)
    assert runs(await worker_of(bench, asked))


@pytest.mark.parametrize(
    ("function", "error"),
    [("fails", "ValueError: 42 rows are missing"), ("fails_asynchronously", "KeyError: 'airport'")],
)
async def test_an_exception_is_the_error_and_its_traceback_is_in_the_log(
    bench: Bench, function: str, error: str
) -> None:
    asked = call(function)

    assert ended_as(await bench.run(asked)) == (AttemptState.FAILED, 1, error)
    assert bench.log(asked).startswith("Traceback (most recent call last):\n")
    assert f'jobs.py", line {JOBS[: JOBS.index("raise " + error[:8])].count(chr(10)) + 1}, in {function}' in (
        bench.log(asked)
    )
    assert runs(await worker_of(bench, asked))


@pytest.mark.parametrize(
    ("module", "function", "error"),
    [
        ("nowhere", "run", "cannot import nowhere: ModuleNotFoundError: No module named 'nowhere'"),
        ("jobs", "nobody", "module jobs has no function nobody"),
        ("jobs", "not_callable", "module jobs has no function not_callable"),
        ("broken", "run", "cannot import broken: SyntaxError: expected ':' (broken.py, line 1)"),
    ],
)
async def test_a_function_that_cannot_be_had_is_a_failed_attempt(
    bench: Bench, module: str, function: str, error: str
) -> None:
    (bench.home / "broken.py").write_text("def run(context)\n    pass\n")

    ended = await bench.run(order(PythonFunction(module, function)))

    assert ended_as(ended) == (AttemptState.FAILED, 1, error)


@pytest.mark.parametrize(
    ("function", "partition", "exit_code", "error"),
    [
        ("is_killed", "", 137, "the worker was killed by SIGKILL"),
        ("dies", "0", 1, "the worker ended by itself with exit status 0"),
        ("dies", "99", 1, "the worker ended by itself with exit status 99"),
        ("dies", "7", 7, "the worker ended by itself with exit status 7"),
    ],
)
async def test_a_worker_that_dies_is_a_failure_of_its_attempt_alone(
    bench: Bench, function: str, partition: str, exit_code: int, error: str
) -> None:
    ended = await bench.run(call(function, partition=partition))

    assert ended_as(ended) == (AttemptState.FAILED, exit_code, error)
    assert (await bench.run(call("print_pid", number=2))).state == AttemptState.SUCCEEDED
    assert zombie_children() == []


async def test_a_worker_that_died_while_idle_costs_no_attempt(bench: Bench) -> None:
    first, second = call("print_pid"), call("print_pid", number=2)
    await bench.run(first)
    worker = await worker_of(bench, first)
    os.kill(worker, signal.SIGKILL)

    assert (await bench.run(second)).state == AttemptState.SUCCEEDED

    assert await worker_of(bench, second) != worker
    assert zombie_children() == []


async def test_an_edited_module_is_used(bench: Bench) -> None:
    package = bench.home / "steps"
    package.mkdir()
    (bench.home / "edited.py").write_text("from steps import words\ndef say(context): print(words.WORD)\n")
    (package / "words.py").write_text("WORD = 'one'\n")
    asked = [order(PythonFunction("edited", "say"), number=number) for number in (1, 2, 3)]

    await bench.run(asked[0])
    await bench.run(asked[1])
    (package / "words.py").write_text("WORD = 'two'\n")  # As long as before, perhaps in the same second.
    await bench.run(asked[2])

    assert [bench.log(each) for each in asked] == ["one\n", "one\n", "two\n"]
    workers = [bench.reports.started[key(each)].pid for each in asked]
    assert workers[0] == workers[1] != workers[2]


async def test_a_module_that_is_edited_while_its_function_runs_is_used_by_the_next_attempt(
    bench: Bench, said: Signal, heard: Signal
) -> None:
    running, next_one = call("waits"), call("print_pid", number=2)
    bench.executor.start(running)
    await said.line()
    (bench.home / "jobs.py").write_text("def print_pid(context): print('edited')\n")
    heard.give()
    await bench.reports.end_of(key(running))

    await bench.run(next_one)

    assert bench.log(next_one) == "edited\n"


async def test_a_module_that_was_missing_is_found_once_it_is_there(bench: Bench) -> None:
    function = PythonFunction("late_module", "run")
    assert (await bench.run(order(function))).state == AttemptState.FAILED
    (bench.home / "late_module.py").write_text("def run(context): pass\n")

    assert (await bench.run(order(function, number=2))).state == AttemptState.SUCCEEDED


async def test_a_home_is_not_written_to(bench: Bench) -> None:
    await bench.run(call("print_pid"))

    assert {path.name for path in bench.home.iterdir()} == {"jobs.py", ".sensorflow"}


async def test_a_module_of_the_home_may_be_called_as_one_of_the_library(bench: Bench) -> None:
    (bench.home / "socket.py").write_text("raise RuntimeError('not the library')\n")

    assert (await bench.run(call("print_pid"))).state == AttemptState.SUCCEEDED


async def test_a_timeout_takes_the_worker_and_its_children(bench: Bench, said: Signal) -> None:
    asked = call("hangs", timeout_s=1)
    bench.executor.start(asked)
    child = int(await said.line())

    ended = await bench.reports.end_of(key(asked))

    assert ended_as(ended) == (AttemptState.FAILED, None, "timed out after 1 s")
    assert not runs(child)
    assert not runs(bench.reports.started[key(asked)].pid)


async def test_a_stop_lets_finally_blocks_run(tmp_path: Path, said: Signal) -> None:
    (tmp_path / "jobs.py").write_text(JOBS)
    bench = Bench(tmp_path, grace_s=20)
    asked = call("cleans_up")
    bench.executor.start(asked)
    await said.line()

    bench.executor.stop(key(asked), "enough")

    assert (await bench.reports.end_of(key(asked))).state == AttemptState.CANCELLED
    assert bench.log(asked) == "cleaned up\n"
    await bench.executor.close()


async def test_a_close_interrupts_an_attempt_and_ends_all_workers(bench: Bench, said: Signal) -> None:
    done, hanging = call("print_pid"), call("hangs", number=2)
    await bench.run(done)
    bench.executor.start(hanging)
    child = int(await said.line())
    idle = call("print_pid", number=3)
    await bench.run(idle)

    await bench.executor.close()

    assert bench.reports.ended[key(hanging)].state == AttemptState.INTERRUPTED
    assert not any(runs(started.pid) for started in bench.reports.started.values())
    assert not runs(child)
    assert zombie_children() == []


async def test_a_child_that_a_function_leaves_is_stopped_before_its_attempt_ends(
    bench: Bench, said: Signal
) -> None:
    asked = call("leaves_a_child")
    bench.executor.start(asked)
    child = int(await said.line())

    assert (await bench.reports.end_of(key(asked))).state == AttemptState.SUCCEEDED
    assert not runs(child)


async def test_a_thread_that_a_function_leaves_works_into_no_other_attempt(bench: Bench) -> None:
    asked = call("leaves_a_thread")

    assert (await bench.run(asked)).state == AttemptState.SUCCEEDED
    assert not runs(await worker_of(bench, asked))


async def test_a_worker_is_replaced_after_200_attempts(bench: Bench) -> None:
    asked = [call("print_pid", number=number) for number in range(1, 202)]

    for each in asked:
        assert (await bench.run(each)).state == AttemptState.SUCCEEDED

    workers = [bench.reports.started[key(each)].pid for each in asked]
    assert len(set(workers[:200])) == 1
    assert workers[200] != workers[199]


async def test_a_log_that_cannot_be_written_is_a_failed_attempt(bench: Bench) -> None:
    asked = call("print_pid")
    log = bench.home / ".sensorflow/logs/run-1/load.1.log"
    log.mkdir(parents=True)

    ended = await bench.run(asked)

    assert ended.state == AttemptState.FAILED
    assert ended.error == f"IsADirectoryError: [Errno 21] Is a directory: '{log}'"


async def test_a_hundred_attempts_leave_no_descriptor_and_no_zombie(bench: Bench) -> None:
    await bench.run(call("print_pid", task="first"))
    descriptors = open_descriptors()
    functions = ["print_pid", "fails", "asynchronous", "is_killed"]
    asked = [call(functions[number % 4], number=number) for number in range(100)]

    async def in_turn(some: list[StartAttempt]) -> list[AttemptState]:
        return [(await bench.run(each)).state for each in some]

    halves = await asyncio.gather(in_turn(asked[:50]), in_turn(asked[50:]))

    assert sum(state == AttemptState.SUCCEEDED for half in halves for state in half) == 50
    await bench.executor.close()
    assert open_descriptors() <= descriptors
    assert zombie_children() == []
