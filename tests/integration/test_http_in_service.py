"""Polling in the service: partitions that are waited for, restarts, and secrets that stay where they are."""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from sensorflow.app import Running
from sensorflow.clock import SystemClock
from sensorflow.core.lateness import newest_ended
from sensorflow.core.partitions import shifted
from sensorflow.core.states import RunState
from sensorflow.core.vocabulary import Grain, Partitioning
from tests.integration.receiver import header, receiving
from tests.integration.site import Site, asked
from tests.serving import client_of, serving, until

DAILY = Partitioning(Grain.DAILY)

FARES = """\
name: fares
partition: daily
start: {start}
sensors:
  api: {{type: http, url: "{url}/{{partition:%Y/%m}}/{{partition}}.json", every: 100ms, dataset: fares}}
tasks:
  load: {{inputs: [fares], run: ["true"]}}
"""


@asynccontextmanager
async def polling_service(home: Path, text: str) -> AsyncIterator[Running]:
    (home / "pipelines").mkdir(parents=True, exist_ok=True)
    (home / "pipelines" / "fares.yaml").write_text(text)
    async with serving(home) as service:
        yield service


def arrived(service: Running, dataset: str, partition: str, version: int = 1) -> Callable[[], bool]:
    def holds() -> bool:
        row = service.store.reader.partition(dataset, partition)
        return row is not None and row.version >= version

    return holds


async def test_a_partition_is_polled_until_it_is_there_and_its_run_fires(tmp_path: Path) -> None:
    site = Site()
    async with receiving(site.answer) as server:
        newest = newest_ended(DAILY, SystemClock().now())
        older = shifted(DAILY, newest, -3)
        pages = {day: f"/{day[:4]}/{day[5:7]}/{day}.json" for day in (newest, older)}
        text = FARES.format(start=shifted(DAILY, newest, -20), url=server.url)
        async with polling_service(tmp_path, text) as service:
            await asked(server, 1)
            site.put(pages[older], {"rows": 3})
            await until(service, arrived(service, "fares", older))
            await until(service, lambda: service.store.listing.run_counts("fares").get(RunState.SUCCEEDED))
            event = service.store.listing.events(after=0, dataset=None, state=None, limit=5)[0]
            assert event.id == f"{server.url}{pages[older]}@1"
            assert event.event.extensions["partition"] == older
            site.put(pages[newest], {"rows": 4})
            await until(service, arrived(service, "fares", newest))
            await asked(server, len(server.requests) + 60)
        polled = [each.target for each in server.requests]
        assert polled[0] >= pages[newest] and len(set(polled)) >= 21
        assert pages[older] not in polled[-20:] and pages[newest] not in polled[-20:]


async def test_a_restart_of_the_service_goes_on_with_the_validators_of_before(tmp_path: Path) -> None:
    site = Site()
    site.put("/rates", 1, ETag='"1"')
    async with receiving(site.answer) as server:
        text = (
            "partition: none\nsensors:\n"
            f'  rates: {{type: http, url: "{server.url}/rates", every: 100ms, dataset: rates}}\n'
            "tasks: {load: {inputs: [rates], run: ['true']}}\n"
        )
        async with polling_service(tmp_path, text) as service:
            await until(service, arrived(service, "rates", ""))
        before = len(server.requests)
        async with polling_service(tmp_path, text) as service:
            await asked(server, before + 2)
            assert service.store.reader.last_seq() == 1
            assert header(server.requests[before], "If-None-Match") == '"1"'
            site.put("/rates", 2, ETag='"2"')
            await until(service, arrived(service, "rates", "", version=2))
            events = service.store.listing.events(after=0, dataset=None, state=None, limit=5)
            assert [row.id for row in events] == [f"{server.url}/rates@1", f"{server.url}/rates@2"]


async def test_a_secret_of_the_environment_is_in_nothing_that_is_stored_or_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RATES_KEY", "canary-of-rates")
    monkeypatch.setenv("RATES_LOGIN", "me:canary-of-login")
    site = Site(status=403)
    async with receiving(site.answer) as server:
        text = (
            "partition: none\nsensors:\n  rates:\n    type: http\n    dataset: rates\n    every: 100ms\n"
            f'    url: "{server.url}/rates?key=${{RATES_KEY}}"\n'.replace("//", "//${RATES_LOGIN}@")
            + "tasks: {load: {inputs: [rates], run: ['true']}}\n"
        )
        async with polling_service(tmp_path, text) as service:
            await asked(server, 2)
            assert "403" in str(service.supervisor.status("fares", "rates").error)
            assert "canary" not in str(service.supervisor.status("fares", "rates"))
            site.put("/rates", {})
            await until(service, arrived(service, "rates", ""))
    assert server.requests[0].target == "/rates?key=canary-of-rates"
    stored = b"".join(path.read_bytes() for path in (tmp_path / ".sensorflow").glob("state.db*"))
    assert b"/rates?key=***@1" in stored and b"canary" not in stored


async def test_a_partition_that_an_open_run_waits_for_is_polled(tmp_path: Path) -> None:
    site = Site()
    async with receiving(site.answer) as server:
        text = FARES.format(start="2020-01-01", url=server.url)
        # Without a start only the newest ended day is polled by itself.
        text = text.replace("start: 2020-01-01\n", "").replace("[fares]", "[fares, orders]")
        async with polling_service(tmp_path, text) as service:
            await asked(server, 1)
            site.put("/2019/05/2019-05-05.json", {})
            async with client_of(service) as client:
                body = {"dataset": "orders", "partition": "2019-05-05"}
                async with client.post("/api/v1/ready", json=body) as response:
                    assert response.status == 202
            await until(service, arrived(service, "fares", "2019-05-05"))
    assert len({each.target for each in server.requests}) <= 3  # Over midnight there are two newest.
