# ruff: noqa: E501 - files and messages stand on one line each, as users see them
import os
from pathlib import Path

import pytest

from sensorflow.config.settings import LogFormat, LogLevel, Settings, load_settings, setting_warnings
from sensorflow.core.errors import DefinitionsError

KEYS = (
    "host, port, store, workers, python_workers, log_level, log_format, body_limit, batch_limit, stop_grace"
)


def load(home: Path, text: str = "", **environ: str) -> Settings:
    (home / "sensorflow.toml").write_text(text)
    return load_settings(home, environ)


def mistakes(home: Path, text: str = "", **environ: str) -> list[str]:
    with pytest.raises(DefinitionsError) as raised:
        load(home, text, **environ)
    return [str(problem) for problem in raised.value.problems]


def test_a_home_without_settings_has_the_defaults(tmp_path: Path) -> None:
    settings = load_settings(tmp_path, {})
    assert (settings.host, settings.port, settings.store) == ("127.0.0.1", 8484, ".sensorflow/state.db")
    cores = os.cpu_count() or 1
    assert (settings.workers, settings.python_workers) == (2 * cores, cores)
    assert (settings.log_level, settings.log_format) == (LogLevel.INFO, LogFormat.TEXT)
    assert (settings.body_limit, settings.batch_limit, settings.stop_grace) == (1_048_576, 16_777_216, 10.0)


def test_the_environment_wins_over_the_file(tmp_path: Path) -> None:
    text = 'port = 9000\nhost = "::1"\nstop_grace = 2.5\nlog_format = "json"\n'
    settings = load(tmp_path, text, SENSORFLOW_PORT="9001", SENSORFLOW_STOP_GRACE="500ms")
    assert (settings.host, settings.port, settings.stop_grace) == ("::1", 9001, 0.5)
    assert settings.log_format is LogFormat.JSON


def test_a_text_of_digits_stays_text_where_the_setting_is_one(tmp_path: Path) -> None:
    assert load(tmp_path, SENSORFLOW_STORE="7", SENSORFLOW_STOP_GRACE="7").store == "7"


def test_a_value_can_stand_in_a_file_that_the_environment_names(tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("other.db\n")
    assert load(tmp_path, SENSORFLOW_STORE_FILE=str(tmp_path / "secret")).store == "other.db"


def test_a_file_that_is_not_there_and_a_value_given_twice_are_errors(tmp_path: Path) -> None:
    missing = str(tmp_path / "nothing")
    assert mistakes(tmp_path, SENSORFLOW_STORE_FILE=missing) == [
        f'environment: SENSORFLOW_STORE_FILE: expected a text file that can be read, found "{missing}"'
    ]
    assert mistakes(tmp_path, SENSORFLOW_STORE="a", SENSORFLOW_STORE_FILE="b") == [
        "environment: SENSORFLOW_STORE: expected one of SENSORFLOW_STORE and SENSORFLOW_STORE_FILE, found both"
    ]


def test_all_that_is_wrong_is_told_with_its_line(tmp_path: Path) -> None:
    text = 'host = 1\nport = 70000\nworkers = "2"\n  prot = 1\nlog_level = "loud"\nstop_grace = "soon"\n[x]\n[[alerts]]\ntype = "log"\n'
    assert mistakes(tmp_path, text, SENSORFLOW_WORKERS="many", SENSORFLOW_RETENTION_RUNS="1d") == [
        "sensorflow.toml:1:1: host: expected text, found 1",
        "sensorflow.toml:2:1: port: expected a port from 0 to 65535, found 70000",
        'sensorflow.toml:3:1: workers: expected a whole number >= 1, found "2"',
        'sensorflow.toml:5:1: log_level: expected one of debug, info, warning, error, found "loud"',
        'sensorflow.toml:6:1: stop_grace: expected a duration such as 10s, or seconds, found "soon"',
        f'sensorflow.toml:4:3: prot: expected one of {KEYS}, found "prot"; did you mean "port"?',
        f'sensorflow.toml:7:2: x: expected one of {KEYS}, found "x"',
        "sensorflow.toml:8:3: alerts: not supported yet by this version",
        'environment: SENSORFLOW_WORKERS: expected a whole number >= 1, found "many"',
        "environment: SENSORFLOW_RETENTION_RUNS: not supported yet by this version",
    ]


def test_a_file_that_is_no_toml_is_told_with_its_place(tmp_path: Path) -> None:
    (found,) = mistakes(tmp_path, "port = 1\nhost = \n")
    assert found.startswith("sensorflow.toml:2:8: expected TOML, found a mistake: ")
    (tmp_path / "sensorflow.toml").write_bytes(b"\xff")
    with pytest.raises(DefinitionsError, match="bytes that are not UTF-8"):
        load_settings(tmp_path, {})


def test_what_tasks_and_the_command_line_are_told_is_no_setting(tmp_path: Path) -> None:
    names = ("PIPELINE", "TASK", "PARTITION", "CONTEXT_FILE", "HOME", "URL", "TOKEN", "PORT", "PORT_FILE")
    assert setting_warnings({f"SENSORFLOW_{name}": "x" for name in names}) == []
    assert load(tmp_path, SENSORFLOW_TOKEN="t", SENSORFLOW_PARTITION="p", SENSORFLOW_PRT="1").port == 8484


def test_another_name_is_a_warning() -> None:
    (warning,) = setting_warnings({"SENSORFLOW_PRT": "1", "PATH": "x"})
    assert (
        str(warning)
        == "environment: SENSORFLOW_PRT: is no setting and is ignored; did you mean SENSORFLOW_PORT?"
    )
