"""The command line by itself: options, exit codes, and what it says where."""

import json
import os
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import typer

from sensorflow import __version__
from sensorflow.cli.commands import app as command_line
from sensorflow.cli.output import plain
from sensorflow.cli.reading import EventStateOption, RunStateOption
from sensorflow.cli.tokens import ScopeOption
from sensorflow.core.messages import EventState
from sensorflow.core.states import RunState
from sensorflow.core.vocabulary import Scope
from tests.calling import Ended, called, environment

Cli = Callable[..., Ended]


@pytest.fixture
def cli(monkeypatch: pytest.MonkeyPatch) -> Cli:
    for name in ("SENSORFLOW_HOME", "SENSORFLOW_URL", "SENSORFLOW_TOKEN"):
        monkeypatch.delenv(name, raising=False)
    return called


@pytest.fixture
def nobody() -> str:
    """Give an address where nothing listens."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        return f"http://127.0.0.1:{taken.getsockname()[1]}"


def make_home(folder: Path, pipeline: str) -> str:
    (folder / "pipelines").mkdir()
    (folder / "pipelines" / "sales.yaml").write_text(pipeline)
    return str(folder)


GOOD = "name: sales\ntasks:\n  load: {inputs: [orders], run: [echo]}\n"


@pytest.mark.parametrize("arguments", [("version",), ("--version",), ("--version", "runs")])
def test_the_version_is_told_by_verb_and_by_option(cli: Cli, arguments: tuple[str, ...]) -> None:
    assert cli(*arguments) == Ended(0, f"sensorflow {__version__}\n", "")


@pytest.mark.parametrize("arguments", [("--json", "version"), ("version", "--json")])
def test_common_options_stand_before_or_after_the_verb(cli: Cli, arguments: tuple[str, ...]) -> None:
    assert json.loads(cli(*arguments).out) == {"version": __version__}


@pytest.mark.parametrize(
    "arguments",
    [
        ("frobnicate",),
        ("why",),
        ("runs", "--state", "odd"),
        ("runs", "--limit", "0"),
        ("serve", "--port", "70000"),
        ("logs", "run"),
        ("logs", "run", "task", "--attempt", "0"),
        ("logs", "run", "task", "-f", "--json"),
        ("ready", "orders", "--data", "{"),
        ("backfill", "sales"),
        ("backfill", "sales", "2026-03-01"),
        ("backfill", "sales", "2026-03-01", "2026-03-02", "--partition", "2026-03-04"),
        ("backfill", "sales", "2026-03-01", "2026-03-02", "--only", "some"),
        ("backfill", "sales", "2026-03-01", "2026-03-02", "--max-active", "0"),
        ("withdraw", "orders", "2026-03-08"),
        ("mark", "sales/2026-03-08", "load", "failed"),
        ("graph", "sales", "--format", "png"),
        ("redrive", "first"),
        ("runs", "--url", "ftp://here"),
        ("runs", "--url", "http://127.0.0.1:port"),
    ],
)
def test_a_call_that_makes_no_sense_exits_2_with_a_reason(cli: Cli, arguments: tuple[str, ...]) -> None:
    ended = cli(*arguments)
    assert (ended.code, ended.out) == (2, "")
    assert ended.err


@pytest.mark.parametrize(
    "arguments",
    [
        ("status",),
        ("runs",),
        ("why", "sales"),
        ("logs", "sales/2026-03-08", "load"),
        ("retry", "sales/2026-03-08"),
        ("ready", "orders", "2026-03-08"),
        ("run", "sales", "2026-03-08"),
        ("cancel", "sales/2026-03-08"),
        ("mark", "run", "load", "skipped"),
        ("pause", "sales"),
        ("resume", "sales"),
        ("withdraw", "orders", "2026-03-08", "--reason", "wrong"),
        ("backfill", "sales", "2026-03-01", "2026-03-02"),
        ("events",),
        ("redrive", "1"),
        ("reload",),
    ],
)
def test_a_service_that_does_not_answer_exits_5_and_says_the_next_step(
    cli: Cli, nobody: str, arguments: tuple[str, ...]
) -> None:
    ended = cli(*arguments, "--url", nobody)
    assert (ended.code, ended.out) == (5, "")
    assert nobody in ended.err and "sensorflow serve" in ended.err


def test_the_address_comes_from_the_option_the_environment_or_the_settings_in_this_order(
    cli: Cli, nobody: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "sensorflow.toml").write_text('host = "0.0.0.0"\nport = 9\n')
    monkeypatch.setenv("SENSORFLOW_HOME", str(tmp_path))
    assert "http://127.0.0.1:9 " in cli("runs").err
    monkeypatch.setenv("SENSORFLOW_URL", "http://127.0.0.1:10")
    assert "http://127.0.0.1:10 " in cli("runs").err
    assert f"{nobody} " in cli("--url", nobody, "runs").err
    assert f"{nobody} " in cli("--url", "http://127.0.0.1:11", "runs", "--url", nobody).err


def test_validate_says_what_a_good_home_holds(cli: Cli, tmp_path: Path) -> None:
    ended = cli("validate", "--home", make_home(tmp_path, GOOD))
    assert ended.code == 0
    assert "1 pipelines" in ended.out


def test_validate_names_file_line_and_column_of_all_that_is_wrong_and_exits_4(
    cli: Cli, tmp_path: Path
) -> None:
    home = make_home(
        tmp_path, GOOD + "  check: {after: [nobody], run: [true], retries: {max: three}}\nlate: never\n"
    )
    ended = cli("--home", home, "validate")
    assert ended.code == 4
    assert "pipelines/sales.yaml:4:" in ended.err and "pipelines/sales.yaml:5:" in ended.err
    assert "expected" in ended.err and "three" in ended.err
    document = json.loads(cli("--home", home, "validate", "--json").out)
    assert document["valid"] is False
    assert {problem["line"] for problem in document["problems"]} == {4, 5}


GRAPH = """\
name: sales
datasets: {rates: {partition: none}}
tasks:
  load: {inputs: [orders, {any: [prices, rates]}], run: [echo]}
  end: {after: [load], run: [echo], outputs: [sales_daily]}
  tell: {after: [load, end], when: any_failed, run: [echo]}
"""


def test_a_graph_as_text_says_what_each_task_comes_after_reads_and_makes(cli: Cli, tmp_path: Path) -> None:
    ended = cli("graph", "sales", "--home", make_home(tmp_path, GRAPH))
    assert ended.out.splitlines() == [
        "sales (daily)",
        "  load: reads orders, prices, rates",
        "    end: after load; makes sales_daily",
        "      tell: after load, end; when any_failed",
    ]
    assert ended.code == 0


def test_a_graph_is_drawn_for_mermaid_and_graphviz_with_names_only_as_labels(
    cli: Cli, tmp_path: Path
) -> None:
    home = make_home(tmp_path, GRAPH)
    assert cli("graph", "sales", "--home", home, "--format", "mermaid").out.splitlines() == [
        "flowchart LR",
        '  dataset0[("orders")]',
        '  dataset1[("prices")]',
        '  dataset2[("rates")]',
        '  dataset3[("sales_daily")]',
        '  task0["load"]',
        '  task1["end"]',
        '  task2["tell"]',
        "  dataset0 --> task0",
        "  dataset1 --> task0",
        "  dataset2 --> task0",
        "  task0 --> task1",
        "  task1 --> dataset3",
        "  task0 --> task2",
        "  task1 --> task2",
    ]
    dot = cli("graph", "sales", "--home", home, "--format", "dot").out
    assert dot.startswith('digraph "sales" {\n') and dot.endswith("}\n")
    assert '"task load" -> "task end";' in dot and '"task end" -> "dataset sales_daily";' in dot
    document = json.loads(cli("graph", "sales", "--home", home, "--format", "dot", "--json").out)
    assert (document["pipeline"], document["format"], document["graph"] + "\n") == ("sales", "dot", dot)


def test_a_graph_of_no_pipeline_exits_3_and_of_a_broken_home_4(cli: Cli, tmp_path: Path) -> None:
    home = make_home(tmp_path, GOOD)
    ended = cli("graph", "nobody", "--home", home)
    assert (ended.code, ended.out, "sales" in ended.err) == (3, "", True)
    (tmp_path / "pipelines" / "sales.yaml").write_text("name: [")
    assert cli("graph", "sales", "--home", home).code == 4


def test_emit_of_a_file_that_is_not_there_exits_3(cli: Cli, nobody: str, tmp_path: Path) -> None:
    ended = cli("emit", str(tmp_path / "none.json"), "--url", nobody)
    assert (ended.code, "none.json" in ended.err) == (3, True)


def test_help_of_a_verb_names_the_common_options(cli: Cli) -> None:
    ended = cli("why", "--help")
    assert ended.code == 0
    assert all(option in ended.out for option in ("--home", "--url", "--token", "--json", "-q", "-v"))


def test_the_words_that_verbs_take_are_those_of_the_core() -> None:
    assert [*RunStateOption] == [*RunState]
    assert [*ScopeOption] == [*Scope]
    assert {*EventStateOption} == {*EventState} - {EventState.DUPLICATE}  # Those are counted, not kept.


def test_text_of_an_event_cannot_steer_the_terminal() -> None:
    assert plain("a\x1b[2Jb\u009bc\x7f") == "a\ufffd[2Jb\ufffdc\ufffd"


def verbs(group: Any, *above: str) -> Iterator[tuple[str, ...]]:
    """Yield every verb, those with two words as two."""
    for name, command in group.commands.items():
        if hasattr(command, "commands"):
            yield from verbs(command, *above, name)
        else:
            yield (*above, name)


def test_the_common_options_stand_before_or_after_every_verb(cli: Cli) -> None:
    options = (
        "-q",
        "-v",
        "--no-input",
        "--json",
        "--home",
        ".",
        "--url",
        "http://127.0.0.1:1",
        "--token",
        "x",
    )
    root: Any = typer.main.get_command(command_line)
    for verb in verbs(root):
        assert cli(*options, *verb, "--help").code == 0, verb
        assert cli(*verb, *options, "--help").code == 0, verb


@pytest.mark.parametrize("arguments", [["--version"], ["--help"], ["why", "--help"]])
def test_help_and_version_load_nothing_heavy(arguments: list[str]) -> None:
    heavy = {"aiohttp", "asyncio", "http.client", "rich", "ruamel", "sqlite3", "ssl", "structlog"}
    heavy |= {"sensorflow.config", "sensorflow.core.vocabulary", "sensorflow.web"}
    if "why" not in arguments:
        heavy.add("pydantic")  # Typer itself reads the arguments of a verb by it.
    script = (
        "import sys\nfrom sensorflow.cli import main\n"
        "try:\n    main(sys.argv[1:])\n"
        "finally:\n    print(*sys.modules, file=sys.stderr)\n"
    )
    ended = subprocess.run(
        [sys.executable, "-c", script, *arguments], capture_output=True, text=True, check=True
    )
    assert heavy & set(ended.stderr.split()) == set()


def test_colours_are_left_out_where_no_color_is_set() -> None:
    script = "from sensorflow.cli import output\noutput.table(['task', 'state'], [['load', 'succeeded']])\n"
    shown = {}
    for name, more in (("colours", {}), ("none", {"NO_COLOR": "1"})):
        ours, theirs = os.openpty()
        environ = {key: value for key, value in os.environ.items() if key != "NO_COLOR"}
        with os.fdopen(theirs, "wb") as terminal:
            subprocess.run(
                [sys.executable, "-c", script],
                stdout=terminal,
                check=True,
                env={**environ, "TERM": "xterm-256color", **more},
            )
        with os.fdopen(ours, "rb", buffering=0) as screen:
            shown[name] = screen.read(4096)
    assert b"\x1b[32m" in shown["colours"] and b"\x1b[3" not in shown["none"]


@pytest.mark.parametrize(
    ("typed", "completed"),
    [
        ("sensorflow back", ["backfill", "backup"]),
        ("sensorflow --home {home} why s", ["sales"]),
        ("sensorflow why --home {home} s", ["sales"]),
        ("sensorflow runs --home {home} x", []),
        ("sensorflow ready --home {home} sales_", ["sales_daily"]),
        ("sensorflow graph sales --form", ["--format"]),
    ],
)
def test_a_shell_completes_verbs_options_and_names_of_the_home(
    tmp_path: Path, typed: str, completed: list[str]
) -> None:
    words = typed.format(home=make_home(tmp_path, GRAPH))
    asked = {"COMP_WORDS": words, "COMP_CWORD": str(len(words.split()) - 1)}
    ended = subprocess.run(
        [sys.executable, "-c", "from sensorflow.cli import main; main()"],
        capture_output=True,
        text=True,
        check=False,
        env=environment(_SENSORFLOW_COMPLETE="complete_bash", **asked),
    )
    assert ended.stdout.split() == completed


def test_an_answer_that_cannot_be_written_is_a_failure_in_one_line() -> None:
    with Path("/dev/full").open("w") as full:
        ended = subprocess.run(
            [sys.executable, "-m", "sensorflow", "schema"],
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
            env=environment(),
            check=False,
        )
    assert (ended.returncode, len(ended.stderr.splitlines())) == (1, 1)
    assert "No space left" in ended.stderr
