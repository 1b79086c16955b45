"""R16: what a service that died by kill -9 left behind, as it is seen from outside."""

import json
import sqlite3
import subprocess
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.integration.receiver import Receiver, answering, receiving
from tests.torture.kept import Kept
from tests.torture.process import ServiceProcess, client_of, lives

pytestmark = pytest.mark.slow

#: Its child holds on for a while when it is told to stop, and says when it ends.
STUBBORN = """\
name: stubborn
partition: none
datasets:
  asked: {partition: none}
tasks:
  work:
    inputs: [asked]
    run: sh child.sh & wait
"""
CHILD = """\
tell() { echo "$1 $SENSORFLOW_ATTEMPT $$" >> said; }
trap 'tell told; sleep 0.5; tell ended; exit 0' TERM
tell began
while [ ! -e go ]; do sleep 0.05; done
"""
CALLING = """\
name: calling
partition: none
datasets:
  asked: {partition: none}
tasks:
  work:
    inputs: [asked]
    retries: {max: 1, delay: 0s}
    http: {url: "URL", method: POST, wait: callback, lease: LEASE}
"""


@pytest.fixture
async def service(home: Path) -> AsyncIterator[ServiceProcess]:
    made = ServiceProcess(home)
    yield made
    if made.is_there:
        await made.stop()


def said(home: Path) -> list[str]:
    place = home / "said"
    return place.read_text().splitlines() if place.exists() else []


def attempts(home: Path) -> list[tuple[int, str]]:
    return [(number, state) for *_, number, state in Kept(home).attempts()]


def change(home: Path, sql: str, *values: object) -> None:
    """Change what a dead service has kept."""
    store = sqlite3.connect(home / ".sensorflow" / "state.db", isolation_level=None)
    store.execute(sql, values)
    store.close()


async def ask(service: ServiceProcess) -> None:
    async with (
        client_of(service) as client,
        client.post("/api/v1/ready", json={"dataset": "asked"}) as response,
    ):
        assert response.status == 202, await response.text()


def make_stubborn(home: Path) -> None:
    (home / "pipelines" / "stubborn.yaml").write_text(STUBBORN)
    (home / "child.sh").write_text(CHILD)


async def begun(service: ServiceProcess, number: int) -> int:
    """Wait until an attempt has begun, and return the process of its child."""
    await service.until(lambda: any(line.startswith(f"began {number} ") for line in said(service.home)))
    (line,) = (line for line in said(service.home) if line.startswith(f"began {number} "))
    return int(line.split()[2])


async def test_what_a_dead_service_left_running_has_ended_before_its_task_starts_again(
    home: Path, service: ServiceProcess
) -> None:
    make_stubborn(home)
    await service.start()
    await ask(service)
    orphan = await begun(service, 1)
    await service.kill()
    assert lives(orphan)

    await service.start()
    await begun(service, 2)
    assert not lives(orphan)
    assert [line.rsplit(" ", 1)[0] for line in said(home)] == ["began 1", "told 1", "ended 1", "began 2"]
    assert attempts(home) == [(1, "interrupted"), (2, "running")]
    (home / "go").touch()
    await service.until(lambda: attempts(home) == [(1, "interrupted"), (2, "succeeded")])


async def test_the_fifth_crash_under_one_firing_is_a_failure(home: Path, service: ServiceProcess) -> None:
    make_stubborn(home)
    await service.start()
    await ask(service)
    for number in range(1, 6):
        await begun(service, number)
        await service.kill()
        await service.start()
    await service.until(lambda: Kept(home).runs_in("failed") == 1)
    assert attempts(home) == [*((number, "interrupted") for number in range(1, 5)), (5, "failed")]
    ((error,),) = Kept(home).rows("SELECT error FROM attempts WHERE number = 5")
    assert error == "the service died under it 5 times, so it is taken for the cause"


async def test_a_process_that_has_the_pid_of_an_orphan_by_chance_is_left_alone(
    home: Path, service: ServiceProcess
) -> None:
    make_stubborn(home)
    await service.start()
    await ask(service)
    orphan = await begun(service, 1)
    await service.until(lambda: Kept(home).count("SELECT count(pid) FROM attempts") == 1)
    await service.kill()
    with subprocess.Popen(["sleep", "1000"], start_new_session=True) as stranger:
        # As if the machine had given the pid that was written down to another process since.
        change(home, "UPDATE attempts SET pid = ?", stranger.pid)
        try:
            await service.start()
            await begun(service, 2)
            assert stranger.poll() is None
            assert not lives(orphan)  # Its environment names the attempt, whatever is written down.
        finally:
            stranger.kill()


def make_calling(home: Path, url: str, lease: str) -> None:
    (home / "pipelines" / "calling.yaml").write_text(CALLING.replace("URL", url).replace("LEASE", lease))


async def call_back(service: ServiceProcess, receiver: Receiver, attempt: int, state: str) -> int:
    """Say how an attempt stands, by the URL that its request named; return the status of the answer."""
    await service.until(lambda: len(receiver.requests) >= attempt)
    url = json.loads(receiver.requests[attempt - 1].body)["callback"]
    async with client_of(service) as client, client.post(url, json={"state": state}) as response:
        return response.status


async def test_work_elsewhere_goes_on_over_a_crash_and_ends_once(home: Path, service: ServiceProcess) -> None:
    async with receiving(answering(202)) as receiver:
        make_calling(home, receiver.url, "10m")
        await service.start()
        await ask(service)
        assert await call_back(service, receiver, 1, "running") == 200
        await service.kill()
        await service.start()
        assert attempts(home) == [(1, "running")]
        assert await call_back(service, receiver, 1, "succeeded") == 200
        assert attempts(home) == [(1, "succeeded")]
        assert await call_back(service, receiver, 1, "succeeded") == 200
        assert await call_back(service, receiver, 1, "failed") == 409
        assert attempts(home) == [(1, "succeeded")]
    assert len(receiver.requests) == 1


async def test_a_lease_is_kept_by_calls_outlives_a_dead_service_and_ends_what_is_silent(
    home: Path, service: ServiceProcess
) -> None:
    async with receiving(answering(202)) as receiver:
        make_calling(home, receiver.url, "6s")
        await service.start()
        await ask(service)
        for _ in range(4):
            assert await call_back(service, receiver, 1, "running") == 200
            await service.moment(2.0)
        await service.kill()
        change(home, "UPDATE timers SET due_at = due_at - 60")  # As if it had been dead for a minute.
        await service.start()
        assert attempts(home) == [(1, "running")]
        await service.until(lambda: attempts(home) == [(1, "failed"), (2, "running")])
        # What ended by its lease is fenced: its word counts no more, whatever it is.
        for state in ("running", "succeeded", "skipped"):
            assert await call_back(service, receiver, 1, state) == 409
        assert attempts(home) == [(1, "failed"), (2, "running")]
        assert await call_back(service, receiver, 2, "succeeded") == 200
        assert attempts(home) == [(1, "failed"), (2, "succeeded")]
