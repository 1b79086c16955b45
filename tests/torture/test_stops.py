"""A service that is told to stop in the middle of tasks, and one that is suspended under load."""

import asyncio
import random
import signal
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.calling import environment
from tests.torture.amounts import amount
from tests.torture.kept import Kept
from tests.torture.process import ServiceProcess, client_of, lives, served
from tests.torture.sending import BATCH, SOURCE, sending
from tests.torture.shop import all_shipped, make_shop, see_each_fired_once, see_nothing_lost

pytestmark = pytest.mark.slow

#: More than the crashes after which a firing is taken for their cause.
STOPS = amount("STOPS", 6, 20)
SUSPENSIONS = amount("SUSPENSIONS", 3, 20)
LONG_TASK_S = amount("LONG_TASK_S", 5, 600)

#: Neither may fail once: there are no retries. Each waits until the test makes the file `go`.
LONG_TASKS = """\
name: long
partition: key
defaults: {retries: {max: 0}}
tasks:
  command:
    inputs: [asked]
    run: echo $SENSORFLOW_ATTEMPT $$ >> command; while [ ! -e go ]; do sleep 0.05; done
  warm:
    inputs: [asked]
    python: jobs:waits
datasets:
  asked: {partition: key}
"""
JOBS = """\
import os, time
from pathlib import Path

def waits(context):
    with open("warm", "a") as said:
        print(context.attempt, os.getpid(), file=said)
    while not Path("go").exists():
        time.sleep(0.05)
"""


def make_long_tasks(home: Path) -> Path:
    (home / "pipelines" / "long.yaml").write_text(LONG_TASKS)
    (home / "jobs.py").write_text(JOBS)
    return home


def begun(home: Path, task: str) -> list[tuple[int, int]]:
    """Return the attempts of a task that began, each with its process."""
    said = home / task
    lines = said.read_text().splitlines() if said.exists() else []
    return [(int(number), int(pid)) for number, pid in (line.split() for line in lines)]


async def ask(service: ServiceProcess, partition: str) -> None:
    async with client_of(service) as client:
        body = {"dataset": "asked", "partition": partition}
        async with client.post("/api/v1/ready", json=body) as response:
            assert response.status == 202, await response.text()


async def test_a_stop_in_the_middle_of_tasks_interrupts_them_and_spends_no_retry(
    home: Path, figure: Callable[[str], None]
) -> None:
    service = ServiceProcess(make_long_tasks(home), stop_grace="2s")
    try:
        await service.start()
        await ask(service, "one")
        for number in range(1, STOPS + 1):
            await service.until(lambda n=number: all(len(begun(home, t)) == n for t in ("command", "warm")))
            assert await service.stop() == 0
            running = {begun(home, task)[-1][1] for task in ("command", "warm")}
            assert not any(map(lives, running))
            assert {state for *_, state in Kept(home).attempts()} == {"interrupted"}
            await service.start()
        (home / "go").touch()
        await service.until(lambda: Kept(home).runs_in("succeeded") == 1)
    finally:
        if service.is_there:
            await service.stop()
    expected = [(number, "interrupted") for number in range(1, STOPS + 1)] + [(STOPS + 1, "succeeded")]
    for task in ("command", "warm"):
        assert [(number, state) for _, of, number, state in Kept(home).attempts() if of == task] == expected
        assert [number for number, _ in begun(home, task)] == [number for number, _ in expected]
    figure(
        f"{STOPS} stops in the middle of two tasks without retries: {STOPS} interruptions each, no failure"
    )


async def test_while_a_service_lives_nobody_takes_its_attempts_over(
    home: Path, figure: Callable[[str], None]
) -> None:
    async with served(make_long_tasks(home)) as service:
        await ask(service, "one")
        await service.until(lambda: all(len(begun(home, task)) == 1 for task in ("command", "warm")))
        for suspends in (False, True):
            service.send(signal.SIGSTOP if suspends else signal.SIGHUP)
            other = await asyncio.create_subprocess_exec(
                *(sys.executable, "-m", "sensorflow", "serve", "--home", str(home), "--port", "0"),
                env=environment(),
                stderr=asyncio.subprocess.PIPE,
            )
            _, said = await other.communicate()
            service.send(signal.SIGCONT)
            assert other.returncode == 1 and f"process {service.pid}" in said.decode()
        ends_at = asyncio.get_running_loop().time() + LONG_TASK_S
        while asyncio.get_running_loop().time() < ends_at:
            await service.moment()
        (home / "go").touch()
        await service.until(lambda: Kept(home).runs_in("succeeded") == 1)
    assert [(number, state) for *_, number, state in Kept(home).attempts()] == [(1, "succeeded")] * 2
    assert [len(begun(home, task)) for task in ("command", "warm")] == [1, 1]
    figure(f"two tasks of {LONG_TASK_S} s, a reload and two services more: each began once")


async def test_a_service_that_is_suspended_under_load_loses_nothing_and_starts_nothing_again(
    home: Path, figure: Callable[[str], None]
) -> None:
    lots = random.Random(17)
    async with served(make_shop(home)) as service:
        async with sending(service, per_s=500) as sender:
            for number in range(SUSPENSIONS):
                await service.moment(lots.uniform(0.2, 1.0))
                service.send(signal.SIGSTOP)
                # Now and then for longer than senders wait, so that they send again.
                await service.moment(12 if number % 10 == 2 else lots.uniform(0.1, 2.0))
                service.send(signal.SIGCONT)
        await all_shipped(service, sender.sent)
    see_nothing_lost(home, SOURCE, sender.sent)
    partitions = sender.sent // BATCH
    assert see_each_fired_once(home, sender.sent) == partitions
    figure(
        f"{SUSPENSIONS} suspensions, {sender.sent} events, {sender.repeated} sent again: 0 lost; "
        f"{partitions} partitions, each in one attempt"
    )
