"""Attempts of a service that was killed: what is found and stopped, and what is left alone."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from sensorflow.core.messages import LostAttempt
from sensorflow.core.states import AttemptState
from sensorflow.processes import process_started
from tests.integration.attempts import LIMIT_S, Bench, Signal, order, process_ended, runs, shell

#: A service of one attempt: it starts what argv names and says what it reports, then waits.
SERVICE = """
import asyncio, json, sys
from pathlib import Path
from sensorflow.core.vocabulary import Command, PythonFunction
from tests.integration.attempts import Bench, key, order

async def serve(home, kind, word):
    action = Command(line=word) if kind == "line" else PythonFunction("jobs", word)
    bench, asked = Bench(Path(home), grace_s=60), order(action)
    bench.executor.start(asked)
    started = await bench.reports.start_of(key(asked))
    print(json.dumps([started.pid, started.pid_started]), flush=True)
    await asyncio.Event().wait()

asyncio.run(serve(*sys.argv[1:]))
"""
ROOT = Path(__file__).parents[2]

#: Ignores SIGTERM in two generations; the younger one says its process id.
STUBBORN = 'trap "" TERM; sh -c \'trap "" TERM; echo $$ > said; while :; do sleep 1000; done\' & wait; wait'


@dataclass
class KilledService:
    """A service that was killed with -9 while its attempt ran."""

    lost: LostAttempt
    #: What the attempt wrote to `said`.
    said: str


@pytest.fixture
async def bench(tmp_path: Path) -> AsyncIterator[Bench]:
    made = Bench(tmp_path)
    yield made
    await made.executor.close()


@pytest.fixture
def said(tmp_path: Path) -> Iterator[Signal]:
    made = Signal(tmp_path / "said")
    yield made
    made.close()


async def killed_service(home: Path, said: Signal, kind: str, word: str) -> KilledService:
    service = subprocess.Popen(
        [sys.executable, "-c", SERVICE, str(home), kind, word], stdout=subprocess.PIPE, cwd=ROOT
    )
    assert service.stdout is not None
    with service, service.stdout:
        pid, pid_started = json.loads(service.stdout.readline())
        line = await said.line()
        assert runs(pid)
        service.kill()
    lost = LostAttempt(run_id="run-1", task="load", number=1, pid=pid, pid_started=pid_started)
    return KilledService(lost, line)


async def test_an_orphan_is_stopped_with_its_children(bench: Bench, said: Signal) -> None:
    killed = await killed_service(bench.home, said, "line", STUBBORN)
    grandchild = int(killed.said)
    assert runs(killed.lost.pid or 0) and runs(grandchild)

    await bench.executor.rescue([killed.lost])

    assert not runs(killed.lost.pid or 0) and not runs(grandchild)


async def test_an_orphan_is_given_time_to_clean_up(tmp_path: Path, said: Signal) -> None:
    line = "trap 'echo cleaned up; exit 0' TERM; echo ready > said; while :; do sleep 0.05; done"
    killed = await killed_service(tmp_path, said, "line", line)

    await Bench(tmp_path, grace_s=LIMIT_S).executor.rescue([killed.lost])

    assert (tmp_path / ".sensorflow/logs/run-1/load.1.log").read_text().endswith("cleaned up\n")


async def test_an_orphan_that_was_never_recorded_is_found_by_its_environment(
    bench: Bench, said: Signal
) -> None:
    killed = await killed_service(bench.home, said, "line", STUBBORN + " > /dev/null 2>&1")
    others = [
        LostAttempt(run_id="run-2", task="load", number=1, pid=None, pid_started=None),
        LostAttempt(run_id="run-1", task="join", number=1, pid=None, pid_started=None),
        LostAttempt(run_id="run-1", task="load", number=2, pid=None, pid_started=None),
    ]

    await bench.executor.rescue(others)
    assert runs(int(killed.said))

    await bench.executor.rescue([*others, killed.lost._replace(pid=None, pid_started=None)])
    assert not runs(int(killed.said)) and not runs(killed.lost.pid or 0)


async def test_an_orphan_that_emptied_its_environment_is_found_by_its_log(bench: Bench, said: Signal) -> None:
    killed = await killed_service(bench.home, said, "line", "exec env -i sh -c 'echo $$ > said; sleep 1000'")

    await bench.executor.rescue([killed.lost._replace(pid=None, pid_started=None)])

    assert not runs(int(killed.said))


async def test_children_are_found_when_their_recorded_leader_has_ended(bench: Bench, said: Signal) -> None:
    killed = await killed_service(bench.home, said, "line", STUBBORN)
    os.kill(killed.lost.pid or 0, signal.SIGKILL)

    await bench.executor.rescue([killed.lost])

    assert not runs(int(killed.said))


@pytest.mark.parametrize("how", ["idles", "computes"])
async def test_a_python_worker_ends_with_its_service_also_in_the_middle_of_an_attempt(
    bench: Bench, said: Signal, how: str
) -> None:
    (bench.home / "jobs.py").write_text(
        "import os, signal, subprocess, time\n"
        "def say():\n"
        "    child = subprocess.Popen(['sleep', '1000'])\n"
        "    with open('said', 'w') as said: said.write(f'{child.pid}\\n')\n"
        "def idles(context):\n"
        "    signal.signal(signal.SIGTERM, signal.SIG_IGN)\n"
        "    say()\n"
        "    time.sleep(1000)\n"
        "def computes(context):\n"
        "    say()\n"
        "    while True: pass\n"
    )
    killed = await killed_service(bench.home, said, "python", how)
    pid = killed.lost.pid or 0
    await process_ended(pid)
    await process_ended(int(killed.said))
    assert not runs(pid) and not runs(int(killed.said))

    await bench.executor.rescue([killed.lost])


async def test_a_process_that_only_has_the_same_pid_is_never_touched(bench: Bench) -> None:
    with subprocess.Popen(["sleep", "1000"], start_new_session=True) as stranger:
        started = process_started(stranger.pid)
        assert started
        boot, _, ticks = started.partition(":")
        reused = [
            LostAttempt(run_id="run-1", task="load", number=n, pid=stranger.pid, pid_started=pid_started)
            for n, pid_started in enumerate([f"{boot}:{int(ticks) - 1}", f"other-boot:{ticks}", "", None])
        ]

        await bench.executor.rescue(reused)

        assert stranger.poll() is None
        stranger.kill()


async def test_the_service_never_stops_its_own_group(bench: Bench) -> None:
    own = LostAttempt(
        run_id="run-1", task="load", number=1, pid=os.getpid(), pid_started=process_started(os.getpid())
    )

    await bench.executor.rescue([own])

    assert runs(os.getpid())


async def test_pid_and_start_time_are_reported_so_that_they_are_known_again(
    bench: Bench, said: Signal
) -> None:
    asked = order(shell("echo ready > said; sleep 1000"))
    bench.executor.start(asked)
    await said.line()
    started = await bench.reports.start_of(("run-1", "load", 1))

    assert started.pid_started == process_started(started.pid) != process_started(os.getpid())
    bench.executor.stop(("run-1", "load", 1), "seen enough")
    assert (await bench.reports.end_of(("run-1", "load", 1))).state == AttemptState.CANCELLED
