"""The demo as people run it: the week of 2013 through the real service, stopped, killed and repaired."""

import contextlib
import csv
import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]
DATA = ROOT / "pipelines" / "data"
DAYS = [f"2013-03-{day:02}" for day in range(4, 11)]


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """A copy of the repository's home, so that no run sees another's state."""
    for folder in ("pipelines", "sensors"):
        shutil.copytree(ROOT / folder, tmp_path / folder)
    return tmp_path


class Demo:
    """A demo that runs as a process of its own."""

    def __init__(self, home: Path, *options: str) -> None:
        self.home = home
        self.lines: list[str] = []
        self.process = subprocess.Popen(
            [sys.executable, "-m", "sensorflow", "--home", str(home), "demo", "--port", "0", *options],
            cwd=ROOT,
            env=os.environ | {"COLUMNS": "200", "PYTHONPATH": str(ROOT)},
            stdout=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )

    def read_until(self, text: str) -> str:
        """Read what it prints up to a line that holds the text."""
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self.lines.append(line.rstrip())
            if text in line:
                return line
        raise AssertionError(f"the demo ended without {text!r}:\n" + "\n".join(self.lines))

    def ask(self, *words: str) -> Any:
        """Run a verb against the demo's service and return its JSON."""
        url = json.loads((self.home / ".sensorflow" / "lock").read_text())["url"]
        done = subprocess.run(
            [sys.executable, "-m", "sensorflow", "--url", url, "--json", *words],
            check=True,
            capture_output=True,
            text=True,
        )
        return json.loads(done.stdout)

    def end(self) -> int:
        """Read the rest and return the exit status."""
        assert self.process.stdout is not None
        self.lines += self.process.stdout.read().splitlines()
        return self.process.wait()


@contextlib.contextmanager
def demo(home: Path, *options: str) -> Iterator[Demo]:
    started = Demo(home, *options)
    try:
        yield started
    finally:
        if started.process.poll() is None:
            started.process.kill()
        started.process.wait()
        assert started.process.stdout is not None
        started.process.stdout.close()


def published(home: Path) -> list[dict[str, Any]]:
    done = subprocess.run(
        [sys.executable, "-m", "pipelines.jobs.results", "--json"],
        cwd=home,
        check=True,
        capture_output=True,
        text=True,
    )
    rows: list[dict[str, Any]] = json.loads(done.stdout)
    return rows


def counted(days: list[str]) -> dict[tuple[str, str], int]:
    """Flights by day and airport, straight from the files."""
    counts: dict[tuple[str, str], int] = {}
    for day in days:
        with (DATA / "flights" / f"{day}.csv").open(newline="") as file:
            for row in csv.DictReader(file):
                key = (day, row["origin"])
                counts[key] = counts.get(key, 0) + 1
    return counts


def states(run: dict[str, Any]) -> dict[str, str]:
    return {task["name"]: task["state"] for task in run["tasks"]}


def run_of(demo: Demo, pipeline: str, partition: str) -> dict[str, Any]:
    (run,) = [run for run in demo.ask("runs", pipeline)["items"] if run["partition"] == partition]
    return dict(run)


@pytest.mark.slow
def test_the_week_runs_says_what_it_waits_for_and_is_repaired_by_hand(home: Path) -> None:
    with demo(home) as shown:
        shown.read_until("2013-03-08 check failed")
        early = shown.ask("why", "week_in_review", "2013-W10")
        (summarise,) = [task for task in early["tasks"] if task["name"] == "summarise"]
        waited_for = {wait["partition"]: wait["text"] for wait in summarise["waiting_for"]}
        assert "2013-03-08" in waited_for
        assert waited_for["2013-03-08"].startswith("waiting for flight_delays_daily 2013-03-08; task publish")

        shown.read_until("serving at")
        ok = [day for day in DAYS if day != "2013-03-08"]
        assert {(row["day"], row["airport"]): row["flights"] for row in published(home)} == counted(ok)
        short_day = [row["weather_hours"] for row in published(home) if row["day"] == "2013-03-10"]
        assert short_day == [23, 23, 23]

        failed = run_of(shown, "flight_delays", "2013-03-08")
        assert failed["state"] == "failed"
        assert (states(failed)["check"], states(failed)["publish"]) == ("failed", "blocked")
        (publish,) = [task for task in failed["tasks"] if task["name"] == "publish"]
        assert "180 of 979 flights (18.4%) were cancelled" in publish["waiting_for"][0]["text"]
        assert run_of(shown, "week_in_review", "2013-W10")["state"] == "waiting"
        retried = run_of(shown, "flight_delays", "2013-03-07")
        (weather,) = [task for task in retried["tasks"] if task["name"] == "load_weather"]
        assert [attempt["state"] for attempt in weather["attempts"]][-2:] == ["failed", "succeeded"]

        with (home / "landing" / "accepted_days.csv").open("a") as file:
            file.write("2013-03-08\n")
        shown.ask("retry", "flight_delays/2013-03-08", "--reason", "the storm was real")
        log = ["logs", "week_in_review/2013-W10", "report", "--follow"]
        while run_of(shown, "week_in_review", "2013-W10")["state"] in ("waiting", "running"):
            with contextlib.suppress(subprocess.CalledProcessError):
                shown.ask(*log)
        assert run_of(shown, "week_in_review", "2013-W10")["state"] == "succeeded"
        assert {(row["day"], row["airport"]): row["flights"] for row in published(home)} == counted(DAYS)

        shown.process.send_signal(signal.SIGTERM)
        assert shown.end() == 0


@pytest.mark.slow
def test_a_kill_in_the_middle_and_a_new_start_end_with_the_same_result(home: Path, tmp_path: Path) -> None:
    with demo(home, "--once") as killed:
        killed.read_until("join succeeded")
        killed.process.kill()
        assert killed.end() == -signal.SIGKILL
    with demo(home, "--once") as again:
        assert again.end() == 0
        assert "1 failed, 6 succeeded, 1 waiting" in "\n".join(again.lines)
    ok = [day for day in DAYS if day != "2013-03-08"]
    assert {(row["day"], row["airport"]): row["flights"] for row in published(home)} == counted(ok)
    assert [row["weather_hours"] for row in published(home) if row["day"] == "2013-03-05"] == [24, 23, 23]


@pytest.mark.slow
def test_where_no_broker_listens_the_demo_brings_its_own(home: Path, free_port: int) -> None:
    pipeline = home / "pipelines" / "flight_delays.yaml"
    pipeline.write_text(pipeline.read_text().replace("127.0.0.1:1883", f"127.0.0.1:{free_port}"))
    with demo(home, "--once") as shown:
        assert shown.end() == 0
    assert f"no MQTT broker listened at 127.0.0.1:{free_port}: the demo brings its own" in shown.lines
    assert "1 failed, 6 succeeded, 1 waiting" in "\n".join(shown.lines)
