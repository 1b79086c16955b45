"""The verbs that work on a home itself: init, doctor, backup; each a process of its own, as users call it."""

import asyncio
import gzip
import json
import os
import shutil
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from sensorflow.cli.doctor import kept
from sensorflow.config.settings import Settings, load_settings
from sensorflow.store.migrations import migrate
from tests.calling import Ended, called, environment
from tests.conftest import BrokerAddress
from tests.observing import PATIENCE_S
from tests.serving import SECRETS, make_home, serving, until

pytestmark = pytest.mark.slow

DAY = "2026-03-02"


def run(*arguments: str, **more: str) -> Ended:
    """Call the command line in this process, with no settings in the environment but these."""
    with pytest.MonkeyPatch.context() as patch:
        for name in set(os.environ) - set(environment()):
            patch.delenv(name)
        for name, value in more.items():
            patch.setenv(name, value)
        return called(*arguments)


@contextmanager
def served(command: str, folder: Path, port: int) -> Iterator[None]:
    """Run a command line that serves for as long as the context lasts."""
    service = subprocess.Popen(
        ["sh", "-c", f"exec {command}"],
        cwd=folder, env=environment(SENSORFLOW_PORT=str(port)), text=True, stderr=subprocess.PIPE,
    )  # fmt: skip
    try:
        assert service.stderr is not None
        while " serving " not in (line := service.stderr.readline()):
            assert line, "the service ended before it served"
        yield
    finally:
        service.send_signal(signal.SIGTERM)
        service.communicate(timeout=30)


# init


def next_commands(said: str) -> list[str]:
    return [line.partition("#")[0].strip() for line in said.splitlines() if line.startswith("  sensorflow ")]


def typed(command: str, folder: Path, port: int) -> subprocess.CompletedProcess[str]:
    """Run a command line as it is written."""
    return subprocess.run(
        ["sh", "-c", command],
        cwd=folder, env=environment(SENSORFLOW_PORT=str(port)),
        capture_output=True, text=True, check=True, timeout=60,
    )  # fmt: skip


@pytest.mark.parametrize("folder", ["", "a home"])
def test_a_new_home_works_by_the_commands_that_init_says(tmp_path: Path, free_port: int, folder: str) -> None:
    made = subprocess.run(
        [sys.executable, "-m", "sensorflow", "init", *([folder] if folder else [])],
        cwd=tmp_path, env=environment(), capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert made.returncode == 0, made.stderr
    home = tmp_path / folder
    assert [line for line in made.stdout.splitlines() if not (tmp_path / line).is_file()] == []
    serve, ready, why = next_commands(made.stderr)
    assert "sensorflow serve" in serve
    with served(serve, tmp_path, free_port):
        told = typed(ready, tmp_path, free_port)
        assert "accepted" in told.stdout
        until = time.monotonic() + PATIENCE_S
        state = ""
        while state != "succeeded":  # Each look is a process of its own.
            assert time.monotonic() < until, state
            told_runs = run(
                "runs", "sales", "--json", "--home", str(home), SENSORFLOW_PORT=str(free_port)
            ).out
            (found,) = json.loads(told_runs)["items"]
            assert found["partition"] == DAY
            state = found["state"]
        followed = run(
            "logs", f"sales/{DAY}", "report", "-f", "--home", str(home), SENSORFLOW_PORT=str(free_port)
        )
        explained = typed(why, tmp_path, free_port)
    assert f"sales {DAY} (run " in explained.stdout
    assert followed.out == f"wrote reports/{DAY}.txt: 2 orders, 29.50 in all\n"
    assert (home / "reports" / f"{DAY}.txt").read_text() == "2 orders, 29.50 in all\n"


def test_init_overwrites_nothing_and_says_what_is_there(tmp_path: Path) -> None:
    (tmp_path / "sensorflow.toml").write_text("port = 9\n")
    ended = run("init", str(tmp_path))
    assert (ended.code, ended.out) == (1, "")
    assert "sensorflow.toml" in ended.err and "init DIR" in ended.err
    assert [path.name for path in tmp_path.iterdir()] == ["sensorflow.toml"]

    other = tmp_path / "other"
    assert json.loads(run("init", "--json", "--home", str(other)).out)["home"] == str(other)
    again = run("init", str(other))
    assert (again.code, "pipelines/sales.yaml" in again.err) == (1, True)
    (tmp_path / "file").touch()
    file = run("init", str(tmp_path / "file"))
    assert (file.code, "is a file" in file.err) == (1, True)


def test_the_settings_of_a_new_home_are_the_defaults_and_each_line_can_be_used(tmp_path: Path) -> None:
    assert run("init", str(tmp_path)).code == 0
    file = tmp_path / "sensorflow.toml"
    assert load_settings(tmp_path, {}) == Settings()
    lines = [line.removeprefix("# ") for line in file.read_text().splitlines()]
    settings = [line for line in lines if " = " in line or line.startswith("[[")]
    file.write_text("\n".join(settings))
    taken = load_settings(tmp_path, {"ALERTS_URL": "https://chat.example.com/hook"})
    others = {"alerts", "workers"}
    assert taken.model_dump(exclude=others) == Settings().model_dump(exclude=others)
    assert taken.alerts[0].url == "https://chat.example.com/hook"


# doctor


def findings(*arguments: str, code: int = 0, **more: str) -> list[dict[str, str]]:
    ended = run("doctor", "--json", *arguments, **more)
    assert ended.code == code, ended.out + ended.err
    document = json.loads(ended.out)
    assert document["well"] is (code == 0)
    found: list[dict[str, str]] = document["findings"]
    assert [finding for finding in found if finding["grade"] == "wrong" and not finding.get("fix")] == []
    return found


def wrong(found: list[dict[str, str]]) -> list[str]:
    return [finding["text"] for finding in found if finding["grade"] == "wrong"]


@pytest.fixture
def home(tmp_path: Path) -> Path:
    assert run("init", str(tmp_path / "home")).code == 0
    return tmp_path / "home"


def stored(home: Path) -> Path:
    """Give a home a store, as a service leaves it behind."""
    folder = home / ".sensorflow"
    folder.mkdir(mode=0o700)
    connection = sqlite3.connect(folder / "state.db", isolation_level=None)
    connection.execute("PRAGMA journal_mode = WAL")
    migrate(connection)
    connection.close()
    return folder / "state.db"


def damage(store: Path) -> None:
    """Write over the last pages of a store, which its tables and indexes use."""
    with store.open("r+b") as file:
        file.seek(-3 * 4096, os.SEEK_END)
        file.write(b"\xff" * 3 * 4096)


def test_doctor_finds_a_home_well_whether_or_not_it_is_served(home: Path, free_port: int) -> None:
    down = findings("--home", str(home))
    assert {"definitions", "store", "sqlite", "disk", "permissions", "inotify", "open files", "clock"} <= {
        finding["subject"] for finding in down
    }
    assert any("nobody serves" in finding["text"] for finding in down)
    with served(f"sensorflow serve --home {home}", home, free_port):
        up = findings("--home", str(home), "--full")
    (service,) = (finding for finding in up if finding["subject"] == "service")
    assert service["grade"] == "well" and f":{free_port} takes events" in service["text"]
    assert any("is whole" in finding["text"] for finding in up)
    told = run("doctor", "--home", str(home))
    assert (told.code, "nobody serves" in told.out) == (0, True)


def test_doctor_says_the_fix_of_each_thing_that_is_wrong(home: Path) -> None:
    store = stored(home)
    store.parent.chmod(0o755)
    (home / "pipelines" / "sales.yaml").write_text("late: never\ntasks: {a: {run: [echo]}}\n")
    connection = sqlite3.connect(store, isolation_level=None)
    connection.execute(
        "INSERT INTO _sqlite_migrations (migration_set, name, applied_at) "
        "VALUES ('sensorflow', 'of_2030', '')"
    )
    connection.close()
    found = findings("--home", str(home), code=1)
    problems = wrong(found)
    assert any("pipelines/sales.yaml:1:" in text for text in problems)
    assert any("newer version" in text and "of_2030" in text for text in problems)
    assert any("mode 755" in text for text in problems)
    fixes = " ".join(finding.get("fix", "") for finding in found)
    assert "sensorflow validate" in fixes and f"chmod 700 {store.parent}" in fixes


def test_doctor_finds_a_damaged_store_and_one_that_is_none(home: Path) -> None:
    store = stored(home)
    damage(store)
    (text,) = wrong(findings("--home", str(home), code=1))
    assert "is damaged" in text
    store.write_bytes(b"no database, but as long as the header of one would be" * 20)
    (text,) = wrong(findings("--home", str(home), code=1))
    assert "cannot be read as a store" in text


def test_doctor_finds_a_clock_that_was_put_back(home: Path) -> None:
    connection = sqlite3.connect(stored(home), isolation_level=None)
    connection.execute(
        "INSERT INTO events (source, id, type, data, extensions, content, replaces, received_at, state) "
        "VALUES ('/s', '1', 't', 'null', '{}', '', '', 9e9, 'accepted')"
    )
    connection.close()
    (text,) = wrong(findings("--home", str(home), code=1))
    assert "put back" in text


def test_doctor_finds_secrets_that_others_may_read_and_not_those_that_are_named(home: Path) -> None:
    pipeline = home / "pipelines" / "sales.yaml"
    named = pipeline.read_text().replace(
        "tasks:",
        '  signed: {type: webhook, auth: {scheme: github, secret: "${HOOK_SECRET}"}, dataset: orders, '
        "partition: data.day}\n\ntasks:",
    )
    pipeline.write_text(named)
    assert wrong(findings("--home", str(home), HOOK_SECRET="canary-canary")) == []
    pipeline.write_text(named.replace("${HOOK_SECRET}", "canary-canary"))
    found = findings("--home", str(home), code=1)
    (text,) = wrong(found)
    assert "pipelines/sales.yaml:" in text and "canary" not in json.dumps(found)
    pipeline.chmod(0o600)
    assert wrong(findings("--home", str(home))) == []


MQTT = """\
tasks: {{load: {{inputs: [weather], run: [echo]}}}}
sensors:
  observed: {{type: mqtt, url: "mqtt://{host}:{port}", topic: w/+, dataset: weather, partition: data.day}}
"""


def test_doctor_asks_the_brokers_and_says_what_no_broker_tells(
    home: Path, broker: BrokerAddress, free_port: int
) -> None:
    file = home / "pipelines" / "weather.yaml"
    file.write_text(MQTT.format(host=broker.host, port=broker.port))
    found = [finding for finding in findings("--home", str(home)) if finding["subject"] == "mqtt"]
    assert "takes a login" in found[0]["text"] and "weather/observed" in found[0]["text"]
    assert "no broker tells" in found[-1]["text"] or "mosquitto.conf" in found[-1]["text"]
    file.write_text(MQTT.format(host="127.0.0.1", port=free_port))
    (text,) = wrong(findings("--home", str(home), code=1))
    assert f"127.0.0.1:{free_port} of weather/observed cannot be reached: connection refused" in text


def test_doctor_finds_limits_that_are_too_low(home: Path) -> None:
    ended = subprocess.run(
        ["sh", "-c", f"ulimit -n 200; exec {sys.executable} -m sensorflow doctor --json --home '{home}'"],
        env=environment(), capture_output=True, text=True, check=False,
    )  # fmt: skip
    (text,) = wrong(json.loads(ended.stdout)["findings"])
    assert (ended.returncode, "may open 200 files" in text) == (1, True)


def test_doctor_finds_a_store_on_a_file_system_of_another_machine(
    home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stored(home)
    mounts = tmp_path / "mounts"
    monkeypatch.setattr(kept, "_MOUNTS", mounts)
    mounts.write_text(f"/dev/a / ext4 rw 0 0\nnas:/a {tmp_path} nfs4 rw 0 0\n")
    (text,) = wrong(findings("--home", str(home), code=1))
    assert "another machine (nfs4)" in text
    mounts.write_text(f"/dev/a / ext4 rw 0 0\nnas:/a {tmp_path}/other nfs4 rw 0 0\na {home} tmpfs rw 0 0\n")
    found = findings("--home", str(home))
    assert any("in memory (tmpfs)" in finding["text"] for finding in found)
    mounts.unlink()
    assert wrong(findings("--home", str(home))) == []


def test_doctor_finds_a_folder_that_is_watched_and_is_not_there_or_cannot_be_read(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def of_files() -> list[str]:
        return [f["text"] for f in findings("--home", str(home)) if f["subject"] == "files"]

    assert of_files() == []
    root = home / "landing" / "orders"
    shutil.rmtree(root)
    (text,) = of_files()
    assert text.startswith(f"{root} is not there")
    root.mkdir()
    monkeypatch.setattr(os, "access", lambda path, mode: Path(path) != root)
    assert any("cannot be read by user" in text for text in wrong(findings("--home", str(home), code=1)))


def test_doctor_tells_of_an_older_store_what_the_next_start_does_to_it(home: Path) -> None:
    (home / ".sensorflow").mkdir(mode=0o700)
    packed = Path(__file__).parents[1] / "upgrade" / "recorded" / "first_schema" / "state.db.gz"
    (home / ".sensorflow" / "state.db").write_bytes(gzip.decompress(packed.read_bytes()))
    told = {f["subject"]: f["text"] for f in findings("--home", str(home))}
    assert (
        told["schema"]
        == "its schema is older: the next start copies it and takes what it lacks (retention, fewer_indexes)"
    )
    assert "21 events so far" in told["store"]


# backup


async def post_until(stopped: asyncio.Event, url: str, acknowledged: list[str], prefix: str) -> None:
    """Post events one after the other, and note each that was acknowledged."""
    async with aiohttp.ClientSession(url) as client:
        while not stopped.is_set():
            name = f"{prefix}-{len(acknowledged)}"
            body = {"dataset": "delivered", "partition": "2026-03-08", "id": name, "source": "/test"}
            async with client.post("/api/v1/ready", json=body) as response:
                assert response.status == 202
            acknowledged.append(name)


async def test_a_backup_under_load_restores_with_every_event_that_was_acknowledged_before_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, secret in SECRETS.items():
        monkeypatch.setenv(name, secret)
    home, file = make_home(tmp_path / "home"), tmp_path / "backup.db"
    acknowledged: dict[str, list[str]] = {name: [] for name in "abcd"}
    stopped = asyncio.Event()
    async with serving(home) as service, asyncio.TaskGroup() as senders:
        for name, theirs in acknowledged.items():
            senders.create_task(post_until(stopped, service.url, theirs, name))
        await until(service, lambda: all(len(theirs) > 100 for theirs in acknowledged.values()))
        before = {name for theirs in acknowledged.values() for name in theirs}
        ended = await asyncio.to_thread(typed, f"sensorflow backup {file} --json --home {home}", home, 0)
        during = {name for theirs in acknowledged.values() for name in theirs} - before
        stopped.set()
    assert ended.returncode == 0, ended.stderr
    assert during, "nothing came while the store was copied"
    answer = json.loads(ended.stdout)
    assert (answer["integrity"], file.stat().st_size, file.stat().st_mode & 0o777) == (
        "ok",
        answer["bytes"],
        0o600,
    )
    assert sorted(path.name for path in tmp_path.iterdir()) == ["backup.db", "home"]

    restored = make_home(tmp_path / "restored")
    (restored / ".sensorflow").mkdir(mode=0o700)
    (restored / ".sensorflow" / "state.db").write_bytes(file.read_bytes())
    async with serving(restored) as service, aiohttp.ClientSession(service.url) as client:
        missing = {name for name in before if service.store.reader.identity("/test", name) is None}
        body = {"dataset": "delivered", "partition": "2026-03-09"}
        async with client.post("/api/v1/ready", json=body) as response:
            told: Mapping[str, Any] = await response.json()
    assert missing == set()
    assert told["events"][0]["seq"] > answer["newest_event"]


async def test_a_backup_is_of_the_store_that_the_service_writes_wherever_that_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, secret in SECRETS.items():
        monkeypatch.setenv(name, secret)
    home, elsewhere = make_home(tmp_path / "home"), tmp_path / "elsewhere.db"
    stored(home)  # From before the store was moved.
    async with serving(home, store=elsewhere) as service:
        # Nothing runs by it: the service of this test would write its log between the lines of the verb.
        body = {"dataset": "pushed", "id": "one"}
        async with (
            aiohttp.ClientSession() as client,
            client.post(f"{service.url}/api/v1/ready", json=body) as response,
        ):
            assert response.status == 202
        ended = await asyncio.to_thread(run, "backup", str(tmp_path / "b"), "--json", "--home", str(home))
        looked = await asyncio.to_thread(run, "doctor", "--home", str(home))
    assert ended.code == 0, ended.err
    assert json.loads(ended.out)["newest_event"] == 1
    assert str(elsewhere) in looked.out


def test_a_backup_refuses_to_overwrite_and_leaves_nothing_half_done(home: Path, tmp_path: Path) -> None:
    assert run("backup", str(tmp_path / "b"), "--home", str(home)).code == 3
    stored(home)
    (tmp_path / "b").write_text("mine")
    ended = run("backup", str(tmp_path / "b"), "--home", str(home))
    assert (ended.code, (tmp_path / "b").read_text()) == (1, "mine")
    assert "is there already" in ended.err
    assert run("backup", str(tmp_path / "no" / "b"), "--home", str(home)).code == 1
    assert run("backup", str(tmp_path / "c"), "--home", str(home)).code == 0
    assert sorted(path.name for path in tmp_path.iterdir()) == ["b", "c", "home"]


def test_a_damaged_store_is_not_backed_up_as_if_it_were_whole(home: Path, tmp_path: Path) -> None:
    damage(stored(home))
    ended = run("backup", str(tmp_path / "b"), "--home", str(home))
    assert (ended.code, "not whole" in ended.err) == (1, True)
    assert [path.name for path in tmp_path.iterdir()] == ["home"]


def test_who_looks_at_a_terminal_sees_how_far_a_backup_is(home: Path, tmp_path: Path) -> None:
    stored(home)
    ours, theirs = os.openpty()
    with os.fdopen(theirs, "wb") as terminal:
        ended = subprocess.run(
            [sys.executable, "-m", "sensorflow", "backup", str(tmp_path / "b"), "--home", str(home)],
            env=environment(TERM="xterm"), stdout=subprocess.PIPE, stderr=terminal, text=True, check=True,
        )  # fmt: skip
    with os.fdopen(ours, "rb", buffering=0) as screen:
        seen = screen.read(4096)
    assert b"copying" in seen and b"100%" in seen
    assert ended.stdout.startswith(f"{tmp_path / 'b'}: ")


# restore


def how_to_restore() -> list[str]:
    """Return the commands of the how-to."""
    text = (Path(__file__).parents[2] / "docs" / "how-to.md").read_text()
    _, _, part = text.partition("To restore, stop the service")
    return part.split("```")[1].removeprefix("sh\n").splitlines()


async def test_the_how_to_of_a_restore_does_it(tmp_path: Path, free_port: int) -> None:
    home, file = tmp_path / "home", tmp_path / "backup.db"
    assert run("init", str(home)).code == 0
    store = home / ".sensorflow" / "state.db"
    told = f"sensorflow ready orders {DAY} --url http://127.0.0.1:{free_port} --json --id"
    with served(f"sensorflow serve --home {home}", home, free_port):
        assert typed(f"{told} before", home, free_port).returncode == 0
        assert run("backup", str(file), "--home", str(home)).code == 0
        assert typed(f"{told} since", home, free_port).returncode == 0
        left = {path.name: path.read_bytes() for path in store.parent.glob("state.db*")}
    assert set(left) == {"state.db", "state.db-wal", "state.db-shm", "state.db-ballast"}
    for name, content in left.items():  # As a kill leaves them, on a disk that fails.
        (store.parent / name).write_bytes(b"x" * len(content))
    assert "cannot be read as a store" in " ".join(wrong(findings("--home", str(home), code=1)))

    commands = how_to_restore()
    stop, *steps, start = commands
    assert ("stop" in stop, "start" in start) == (True, True)
    named = {"/srv/sales": str(home), "/var/backups/sales-2026-03-08.db": str(file), " -o sensorflow": ""}
    script = "\n".join(["set -e", *steps])
    for written, here in named.items():
        assert written in script
        script = script.replace(written, here)
    done = subprocess.run(["sh", "-c", script], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    assert (store.parent / "damaged" / "state.db").exists()
    assert not store.with_name("state.db-wal").exists()
    assert wrong(findings("--home", str(home), "--full")) == []
    with served(f"sensorflow serve --home {home}", home, free_port):
        again = {name: typed(f"{told} {name}", home, free_port).stdout for name in ("before", "since")}
    states = {name: json.loads(text)["events"][0]["state"] for name, text in again.items()}
    assert states == {"before": "duplicate", "since": "accepted"}
