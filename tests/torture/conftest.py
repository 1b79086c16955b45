"""What the tests of this folder share: a home of its own for each, and the figures that they tell."""

from collections.abc import Callable
from pathlib import Path

import pytest

FIGURES: pytest.StashKey[list[str]] = pytest.StashKey()


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """Give an empty home; beside it is room for what the test keeps."""
    folder = tmp_path / "home"
    (folder / "pipelines").mkdir(parents=True)
    return folder


@pytest.fixture
def figure(request: pytest.FixtureRequest) -> Callable[[str], None]:
    """Give what tells a figure that was seen, for the page of promises."""
    told = request.config.stash.setdefault(FIGURES, [])
    return lambda text: told.append(f"{request.node.name}: {text}")


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Tell the figures."""
    figures = terminalreporter.config.stash.get(FIGURES, [])
    if figures:
        terminalreporter.section("figures")
    for line in figures:
        terminalreporter.write_line(line)
