# ruff: noqa: E501 - files and messages stand on one line each, as users see them
import os
from pathlib import Path

import pytest

from sensorflow.config.settings import (
    LogFormat,
    LogLevel,
    Settings,
    alert_warnings,
    load_settings,
    setting_warnings,
)
from sensorflow.core.errors import DefinitionsError

KEYS = (
    "host, port, store, workers, python_workers, log_level, log_format, body_limit, batch_limit, "
    "header_timeout, body_timeout, connections, stop_grace, retention_events, "
    "retention_runs, retention_logs, allowed_hosts, allow_private, alerts"
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
    text = 'host = 1\nport = 70000\nworkers = "2"\n  prot = 1\nlog_level = "loud"\nstop_grace = "soon"\n[x]\nhost = 1\nretention_logs = 1\n'
    assert mistakes(tmp_path, text, SENSORFLOW_WORKERS="many", SENSORFLOW_RETENTION_RUNS="0s") == [
        "sensorflow.toml:1:1: host: expected text, found 1",
        "sensorflow.toml:2:1: port: expected a port from 0 to 65535, found 70000",
        'sensorflow.toml:3:1: workers: expected a whole number >= 1, found "2"',
        'sensorflow.toml:5:1: log_level: expected one of debug, info, warning, error, found "loud"',
        'sensorflow.toml:6:1: stop_grace: expected a duration such as 10s, or seconds, found "soon"',
        'sensorflow.toml:4:3: prot: expected a known key, found "prot"; did you mean "port"?',
        f'sensorflow.toml:7:2: x: expected one of the keys {KEYS}, found "x"',
        'environment: SENSORFLOW_WORKERS: expected a whole number >= 1, found "many"',
        "environment: SENSORFLOW_RETENTION_RUNS: "
        'expected a duration from 1s on, such as 90d, or forever, found "0s"',
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


# Hosts and alerts

URL = "https://hooks.example.com/${HOOK}"


def test_hosts_and_private_addresses_are_allowed_in_the_file_or_in_the_environment(tmp_path: Path) -> None:
    text = 'allowed_hosts = ["sensorflow.example.com", "10.0.0.1", "[::1]"]\nallow_private = true\n'
    settings = load(tmp_path, text)
    assert settings.allowed_hosts == ["sensorflow.example.com", "10.0.0.1", "[::1]"]
    assert settings.allow_private
    settings = load(tmp_path, text, SENSORFLOW_ALLOWED_HOSTS="a.b, c", SENSORFLOW_ALLOW_PRIVATE="false")
    assert (settings.allowed_hosts, settings.allow_private) == (["a.b", "c"], False)


def test_an_alert_goes_to_the_log_or_to_a_url(tmp_path: Path) -> None:
    text = f"""
        [[alerts]]
        type = "log"
        [[alerts]]
        type = "webhook"
        url = "{URL}"
        on = ["failed", "sensor_down"]
        pipelines = ["flights"]
    """
    settings = load(tmp_path, text, HOOK="T0/secret")
    log, webhook = settings.alerts
    assert (log.type, log.url, log.on, log.pipelines) == ("log", None, ["failed", "late", "sensor_down"], [])
    assert (webhook.type, webhook.url) == ("webhook", "https://hooks.example.com/T0/secret")
    assert (webhook.on, webhook.pipelines) == (["failed", "sensor_down"], ["flights"])
    assert settings.secret_names == {"HOOK"}
    assert "secret" not in repr(settings.alerts)


def test_alerts_of_the_environment_are_json(tmp_path: Path) -> None:
    (alert,) = load(tmp_path, SENSORFLOW_ALERTS='[{"type": "log", "on": ["late"]}]').alerts
    assert (alert.type, alert.on) == ("log", ["late"])
    assert mistakes(tmp_path, SENSORFLOW_ALERTS="log") == [
        'environment: SENSORFLOW_ALERTS: expected a list, found "log"'
    ]
    assert mistakes(tmp_path, SENSORFLOW_ALERTS='[{"type": "mail"}]') == [
        'environment: SENSORFLOW_ALERTS.0.type: expected one of log, webhook, apprise, found "mail"'
    ]


@pytest.mark.parametrize(
    ("alert", "problem"),
    [
        ("on = []", "1:3: alerts.0.type: expected this key, found nothing"),
        ('type = "log"\nurl = "http://h/"', "1:3: alerts.0: expected no url for the type log, found one"),
        ('type = "webhook"', "1:3: alerts.0: expected a url for the type webhook, found none"),
        ('type = "webhook"\nurl = "h"', '3:1: alerts.0.url: expected a URL of http or https with a host, found "h"'),
        (
            'type = "webhook"\nurl = "${NO}"',
            "3:1: alerts.0.url: expected the environment variable NO to be set, found it unset",
        ),
        ('type = "log"\non = ["lost"]', '3:1: alerts.0.on.0: expected one of failed, late, sensor_down, found "lost"'),
        ('type = "log"\non = ["late", "late"]', '3:1: alerts.0.on: expected each item once, found "late" twice'),
        ('type = "log"\npipeline = "p"', '3:1: alerts.0.pipeline: expected a known key, found "pipeline"; did you mean "pipelines"?'),
        ('type = "log"\n[[alerts]]\ntype = "log"\nto = 1', "5:1: alerts.1.to: expected one of the keys type, url, on, pipelines, "
         'found "to"'),
    ],
)  # fmt: skip
def test_what_is_wrong_in_an_alert_is_told_with_its_line(tmp_path: Path, alert: str, problem: str) -> None:
    assert f"sensorflow.toml:{problem}" in mistakes(tmp_path, f"[[alerts]]\n{alert}\n")


def test_no_mistake_in_an_alert_shows_what_came_from_the_environment(tmp_path: Path) -> None:
    (found,) = mistakes(tmp_path, '[[alerts]]\ntype = "webhook"\nurl = "${HOOK}"\n', HOOK="c4nary value")
    assert found.endswith('found "${HOOK}"')


def test_what_is_no_host_is_refused(tmp_path: Path) -> None:
    (found,) = mistakes(tmp_path, 'allowed_hosts = ["https://a.example.com"]\n')
    assert found == (
        "sensorflow.toml:1:1: allowed_hosts.0: expected a host such as sensorflow.example.com, "
        'without scheme and port, found "https://a.example.com"'
    )


def test_an_alert_of_a_pipeline_that_is_not_there_is_a_warning(tmp_path: Path) -> None:
    settings = load(tmp_path, '[[alerts]]\ntype = "log"\npipelines = ["flights", "flihgts"]\n')
    (warning,) = alert_warnings(settings, ["flights"])
    assert str(warning) == (
        'sensorflow.toml: alerts.0.pipelines: no pipeline is called "flihgts"; did you mean "flights"?'
    )


@pytest.mark.parametrize(
    ("given", "seconds"), [("90d", 7_776_000.0), ("3600", 3600.0), ("1s", 1.0), ("forever", None)]
)
def test_what_is_over_is_kept_for_a_duration_or_for_ever(
    tmp_path: Path, given: str, seconds: float | None
) -> None:
    settings = load_settings(tmp_path, {"SENSORFLOW_RETENTION_EVENTS": given})
    assert settings.retention.events_s == seconds


@pytest.mark.parametrize("given", ["true", "-1", "0.5", '"soon"', '"never"', "inf", "nan"])
def test_no_other_retention_is_taken(tmp_path: Path, given: str) -> None:
    (told,) = mistakes(tmp_path, f"retention_logs = {given}\n")
    assert "retention_logs: expected a duration from 1s on, such as 90d, or forever, found" in told
