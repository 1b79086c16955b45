"""What all tests share: brokers, ports, topics; and in CI no test is skipped for want of a server."""

import os
import uuid
from collections.abc import Iterator
from dataclasses import dataclass

import pytest

from tests.broker import Broker, answers, mosquitto
from tests.broker import free_port as find_free_port

_UNMET: pytest.StashKey[list[str]] = pytest.StashKey()


@dataclass(frozen=True, slots=True)
class BrokerAddress:
    """Where a broker listens. Others use it too, so topics start with `topic_prefix`."""

    host: str
    port: int


@pytest.fixture(scope="session")
def broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[BrokerAddress]:
    """Give the MQTT broker of this machine, or one started for this session where there is none."""
    if answers("127.0.0.1", 1883):
        yield BrokerAddress("127.0.0.1", 1883)
        return
    own = Broker(tmp_path_factory.mktemp("broker"), mosquitto())
    own.start()
    try:
        yield BrokerAddress(own.host, own.port)
    finally:
        own.stop()


@pytest.fixture
def private_broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Broker]:
    """Give a running broker of this test alone, which it may `stop`, `kill` and `start` again."""
    own = Broker(tmp_path_factory.mktemp("private-broker"), mosquitto())
    own.start()
    try:
        yield own
    finally:
        own.stop()


@pytest.fixture
def free_port() -> int:
    """Give a port of 127.0.0.1 that nothing listens on."""
    return find_free_port()


@pytest.fixture
def topic_prefix() -> str:
    """Give the first level of this test's MQTT topics."""
    return f"sensorflow-test-{uuid.uuid4().hex}"


def _unmet_needs(session: pytest.Session) -> list[str]:
    reporter = session.config.pluginmanager.get_plugin("terminalreporter")
    assert isinstance(reporter, pytest.TerminalReporter)
    needs = []
    for report in reporter.stats.get("skipped", []):
        reason = report.longrepr[2].removeprefix("Skipped: ")
        if reason.startswith("needs "):
            needs.append(f"{report.nodeid}: {reason}")
    return needs


def pytest_sessionfinish(session: pytest.Session, exitstatus: int) -> None:
    """In CI a test that was skipped because it needs something fails the run."""
    if os.environ.get("CI") != "true":
        return
    session.config.stash[_UNMET] = _unmet_needs(session)
    if session.config.stash[_UNMET] and exitstatus in {
        pytest.ExitCode.OK,
        pytest.ExitCode.NO_TESTS_COLLECTED,
    }:
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Name the tests that failed the run by being skipped."""
    for need in terminalreporter.config.stash.get(_UNMET, []):
        terminalreporter.write_line(f"FAILED, skipped in CI: {need}", red=True)
