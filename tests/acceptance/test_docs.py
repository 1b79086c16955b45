"""The documents tell what is true: commands run, files load, names exist and none is left out."""

import re
import shutil
import subprocess
import sys
import time
import tomllib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from os import environ
from pathlib import Path
from typing import Any, get_args

import pytest
import typer
from aiohttp import web
from pydantic import BaseModel
from ruamel.yaml import YAML

from sensorflow.cli.commands import app as command_line
from sensorflow.cli.common import ExitCode
from sensorflow.config import models
from sensorflow.config.alerts import AlertKind, AlertTarget, AlertType
from sensorflow.config.http import Http, Method
from sensorflow.config.kinds import PASSIVE_KINDS, WebhookAuth, WebhookOptions, WebhookScheme
from sensorflow.config.partitions import Keys, Several
from sensorflow.config.reading import Reading
from sensorflow.config.settings import Settings, load_settings
from sensorflow.config.sources import HttpOptions, ScheduleOptions
from sensorflow.config.values import PLACEHOLDERS
from sensorflow.core.durations import parse_duration
from sensorflow.core.matching import PatternError, compile_pattern
from sensorflow.core.messages import EventState
from sensorflow.core.states import AttemptState, RunState, TaskState
from sensorflow.core.vocabulary import Catchup, Grain, LatePolicy, Selection, When
from sensorflow.home import load_home
from sensorflow.sensors import SENSORS
from sensorflow.sensors.file import FileOptions
from sensorflow.sensors.mqtt import MqttOptions
from sensorflow.tasks.context import TaskContext
from sensorflow.web import build_app
from tests.serving import SECRETS, make_home, serving

ROOT = Path(__file__).parents[2]
DOCS = ["README.md", *(f"docs/{path.name}" for path in sorted((ROOT / "docs").glob("*.md")))]
REFERENCE = (ROOT / "docs" / "reference.md").read_text()
#: The address that the documents name, and that tests replace by one of their own.
ADDRESS = "127.0.0.1:8484"
#: Verbs that change nothing, so they may be asked until the answer is there.
ASKING = ("why", "runs", "logs", "status")
PATIENCE_S = 20.0


# Documents


@dataclass(frozen=True, slots=True)
class Block:
    """A fenced block."""

    language: str
    text: str
    #: The file of a home that the line above the block names; empty for none.
    file: str


def blocks(document: str) -> list[Block]:
    """Return the fenced blocks of a document, in order."""
    found = []
    above = ""
    lines = iter((ROOT / document).read_text().splitlines())
    for line in lines:
        if line.startswith("```"):
            text = "".join(f"{inside}\n" for inside in iter(lambda: next(lines), "```"))
            names = re.findall(r"`((?:pipelines|sensors)/[\w/]+\.(?:yaml|py)|sensorflow\.toml)`", above)
            found.append(Block(line.removeprefix("```"), text, names[-1] if names else ""))
        elif line.strip():
            above = line
    return found


def tables(text: str) -> Iterator[list[list[str]]]:
    """Yield the tables of a document: rows of cells, the first row names the columns."""
    for table in re.findall(r"(?:^\|.*\n)+", text, flags=re.MULTILINE):
        rows = [[cell.strip() for cell in row.strip("|").split(" | ")] for row in table.splitlines()]
        yield [[cell.strip("| ") for cell in row] for row in rows if not set("".join(row)) <= set("-| ")]


def table(first_column: str) -> list[list[str]]:
    """Return the rows of the reference's tables whose first column is called so."""
    found = [row for rows in tables(REFERENCE) if rows[0][0] == first_column for row in rows[1:]]
    assert found, f"the reference has no table of {first_column}"
    return found


def code(cell: str) -> list[str]:
    """Return what stands in a cell as code."""
    return re.findall(r"`([^`]+)`", cell)


def section(heading: str) -> str:
    """Return what stands below a heading of the reference, up to the next of its rank."""
    rank = heading.partition(" ")[0]
    return REFERENCE.split(f"\n{heading}\n")[1].split(f"\n{rank} ")[0]


# The quickstart


def same_for_all(text: str) -> list[str]:
    """Return lines without what differs from one time to the next: ids, times, versions, widths."""
    text = re.sub(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}", "ID", text)
    text = re.sub(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z", "TIME", text)
    text = re.sub(r"\b\d+\.\d+\.\d+$", "VERSION", text, flags=re.MULTILINE)
    return [" ".join(line.split()) for line in text.splitlines() if line.strip()]


def untold(told: str, output: str) -> list[str]:
    """Return the lines of a document that the output does not have."""
    lines = same_for_all(output)
    return [line for line in same_for_all(told) if not any(line in other for other in lines)]


class Terminal:
    """Somebody who types what a document says into a shell, in an empty folder."""

    def __init__(self, folder: Path, port: int) -> None:
        self._folder = folder
        self._own_address = f"127.0.0.1:{port}"
        own = {name: value for name, value in environ.items() if not name.startswith("SENSORFLOW_")}
        path = f"{Path(sys.executable).parent}:{own.get('PATH', '')}"
        self._environ = own | {"PATH": path, "SENSORFLOW_PORT": str(port)}
        self._service: subprocess.Popen[str] | None = None

    def write(self, file: str, text: str) -> None:
        (self._folder / file).write_text(text)

    def type(self, command: str, told: str) -> None:
        """Run a command until it has told what the document tells; once, if it changes anything."""
        ask_again = all(line.split()[:1] == ["sensorflow"] and line.split()[1] in ASKING
                        for line in command.splitlines())  # fmt: skip
        patient_until = time.monotonic() + PATIENCE_S
        while True:
            done = subprocess.run(
                ["sh", "-ec", command.replace(ADDRESS, self._own_address)],
                cwd=self._folder, env=self._environ, timeout=60, check=False, text=True,
                stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
            )  # fmt: skip
            output = done.stdout.replace(self._own_address, ADDRESS)
            missing = untold(told, output)
            if done.returncode == 0 and not missing:
                return
            if not ask_again or time.monotonic() > patient_until:
                pytest.fail(f"{command}ended with {done.returncode} and without\n{missing}:\n{output}")

    def serve(self, command: str, told: str) -> None:
        """Start the service and return when it has told what the document tells."""
        self._service = subprocess.Popen(
            ["sh", "-c", f"exec {command.strip()}"],
            cwd=self._folder, env=self._environ, text=True, stderr=subprocess.PIPE,
        )  # fmt: skip
        assert self._service.stderr is not None
        output = ""
        while untold(told, output):
            line = self._service.stderr.readline()
            assert line, f"the service ended without {told}:\n{output}"
            output += line.replace(self._own_address, ADDRESS)

    def interrupt(self) -> int:
        """Stop the service and return its exit code."""
        assert self._service is not None
        self._service.terminate()
        self._service.communicate(timeout=30)
        return self._service.returncode

    def leave(self) -> None:
        if self._service is not None and self._service.poll() is None:
            self._service.kill()
            self._service.communicate()


@pytest.fixture
def terminal(tmp_path: Path, free_port: int) -> Iterator[Terminal]:
    started = Terminal(tmp_path, free_port)
    try:
        yield started
    finally:
        started.leave()


@pytest.mark.slow
def test_the_quickstart_goes_as_it_says(terminal: Terminal) -> None:
    story = blocks("docs/quickstart.md")
    for block, following in zip(story, [*story[1:], Block("", "", "")], strict=True):
        told = following.text if following.language == "text" else ""
        if block.file:
            terminal.write(block.file, block.text)
        elif block.language == "sh" and "sensorflow serve" in block.text:
            terminal.serve(block.text, told)
        elif block.language == "sh":
            if "curl" in block.text and not shutil.which("curl"):
                break  # Nothing that comes behind does without.
            terminal.type(block.text, told)
        else:
            assert block.language == "text"
    assert terminal.interrupt() == 0


# What stands in files


@pytest.mark.parametrize("document", [name for name in DOCS if any(b.file for b in blocks(name))])
def test_every_file_that_is_shown_can_be_used(document: str, tmp_path: Path) -> None:
    for block in blocks(document):
        if block.file:
            (tmp_path / block.file).parent.mkdir(parents=True, exist_ok=True)
            (tmp_path / block.file).write_text(block.text)
    names = {name for block in blocks(document) for name in re.findall(r"\$\{(\w+)\}", block.text)}
    home = load_home(tmp_path, dict.fromkeys(names, SECRETS["STANDARD_SECRET"]), SENSORS)
    shown = {Path(block.file).stem for block in blocks(document) if block.file.endswith(".yaml")}
    assert shown == set(home.definitions.pipelines)
    load_settings(tmp_path, dict.fromkeys(names, "https://chat.example.com/hook"))


@pytest.mark.parametrize("document", DOCS)
def test_every_definition_that_is_shown_names_its_file(document: str) -> None:
    assert [b.text for b in blocks(document) if b.language in ("yaml", "toml") and not b.file] == []


def test_the_sensor_kind_that_is_shown_passes_the_test_that_is_shown(tmp_path: Path) -> None:
    shown = [block for block in blocks("docs/how-to.md") if block.language == "python"]
    (kind,) = (block for block in shown if block.file == "sensors/outbox.py")
    (test,) = (block for block in shown if "sensorflow.testing" in block.text)
    for file, text in ((kind.file, kind.text), ("tests/test_outbox.py", test.text)):
        (tmp_path / file).parent.mkdir()
        (tmp_path / file).write_text(text)
    command = [sys.executable, "-m", "pytest", "-q", "-c", "/dev/null", "--rootdir", ".", "tests"]
    own = {**environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(command, cwd=tmp_path, env=own, capture_output=True, text=True, check=False)
    assert "1 passed" in done.stdout, done.stdout


#: The models whose keys a table of the reference lists, by what its first column is called.
TABLES: dict[str, tuple[type[BaseModel], ...]] = {
    "key": (models.PipelineFile,),
    "key of a shared file": (models.SharedFile,),
    "key of a dataset": (models.Dataset, models.SharedDataset),
    "key of `complete`": (models.Complete,),
    "key of a task": (models.Task,),
    "key of `http`": (Http,),
    "key of `retries`": (models.Retries,),
    "key of `defaults`": (models.Defaults,),
    "key of an input": (models.DatasetItem,),
    "key of a group": (models.AnyItem, models.AllItem, models.AtLeastItem),
    "key of a sensor": (models.Sensor,),
    "key of a value": (Reading,),
    "option of `file`": (FileOptions,),
    "option of `http`": (HttpOptions,),
    "option of `schedule`": (ScheduleOptions,),
    "option of `mqtt`": (MqttOptions,),
    "option of `webhook`": (WebhookOptions,),
    "key of `auth`": (WebhookAuth,),
    "setting": (Settings,),
    "key of `[[alerts]]`": (AlertTarget,),
}
#: Models of one key, which is shown where the value is: `{keys: [eu, us]}`.
IN_PLACE = (Keys, Several, models.Last, models.Offset)


@pytest.mark.parametrize("first_column", TABLES)
def test_a_table_lists_the_keys_that_a_file_may_hold(first_column: str) -> None:
    keys = {
        field.alias or name for model in TABLES[first_column] for name, field in model.model_fields.items()
    }
    assert sorted(code(row[0])[0] for row in table(first_column)) == sorted(keys)


@pytest.mark.parametrize("first_column", [name for name in TABLES if name != "key of a group"])
def test_a_table_tells_the_defaults_that_hold(first_column: str) -> None:
    told = {code(row[0])[0]: code(row[2])[:1] for row in table(first_column)}
    for name, field in TABLES[first_column][0].model_fields.items():
        default = field.default
        if isinstance(default, str | int | float) and default != "":
            assert told[name], f"{name} has the default {default}"
            assert is_told(default, told[name][0]), f"{name}: {told[name][0]} is told, {default} is true"


def is_told(default: str | int | float, words: str) -> bool:
    if isinstance(default, bool):
        return words == str(default).lower()
    if not isinstance(default, float):
        return words == str(default)
    try:
        return parse_duration(words) == default
    except ValueError:
        return float(words) == default


def models_within(annotation: Any, found: set[type[BaseModel]]) -> set[type[BaseModel]]:
    """Return all models that a type is made of, however nested."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel) and annotation not in found:
        found.add(annotation)
        for field in annotation.model_fields.values():
            models_within(field.annotation, found)
    for inner in get_args(annotation):
        models_within(inner, found)
    return found


def test_no_section_of_a_file_is_left_out() -> None:
    options = [sensor.Options for sensor in SENSORS.values()]
    used: set[type[BaseModel]] = set()
    for model in (models.PipelineFile, models.SharedFile, Settings, *options, *PASSIVE_KINDS.values()):
        models_within(model, used)
    told = {model for listed in TABLES.values() for model in listed}
    assert {model for model in used - told if model.model_fields} == set(IN_PLACE)
    for model in IN_PLACE:
        assert all(re.search(rf"`{{{name}: ", REFERENCE) for name in model.model_fields)


def words_of(*enums: Iterable[str]) -> list[str]:
    return [str(word) for enum in enums for word in enum]


@pytest.mark.parametrize(
    "word",
    [
        *words_of(TaskState, AttemptState, RunState, EventState, When, LatePolicy, Catchup),
        *words_of(WebhookScheme, Method, AlertType, AlertKind),
        *("{" + name + "}" for name in PLACEHOLDERS),
        *TaskContext.__dataclass_fields__,
    ],
)
def test_a_word_of_the_field_is_told(word: str) -> None:
    assert f"`{word}`" in REFERENCE


def test_grains_selections_and_sensor_kinds_are_told_and_no_others() -> None:
    grains = {re.findall(r"[a-z]+", found)[0] for row in table("grain") for found in code(row[0])}
    assert grains == set(words_of(Grain))
    selections = {re.sub(r"\W+|\d", "", code(row[0])[0]) for row in table("`partitions`")}
    assert selections == set(words_of(Selection))
    assert {code(row[0])[0] for row in table("kind")} == {*SENSORS, *PASSIVE_KINDS}


def test_what_is_fixed_for_later_is_told() -> None:
    later = section("## Not supported yet")
    assert [word for word in Settings.LATER if f"`{word}`" not in later] == []


def test_the_event_patterns_that_are_told_are_all_that_there_are() -> None:
    yaml = YAML(typ="safe", pure=True)
    for row in table("leaf"):
        for shown in code(row[0]):
            compile_pattern({"field": [yaml.load(shown)]})
    with pytest.raises(PatternError) as refused:
        compile_pattern({"field": [{"nothing-such": 1}]})
    forms = re.findall(r"[a-z-]+", str(refused.value).partition("expected one of ")[2].partition(" found")[0])
    assert len(forms) > 3
    assert [form for form in forms if f"`{{{form}: " not in section("### Event patterns")] == []


# The API and the command line


async def test_every_route_is_told_and_every_route_that_is_told_is_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, secret in SECRETS.items():
        monkeypatch.setenv(name, secret)
    apps: list[web.Application] = []

    def recorded(*arguments: Any, **more: Any) -> web.Application:
        apps.append(build_app(*arguments, **more))
        return apps[-1]

    monkeypatch.setattr("sensorflow.app.build_app", recorded)
    async with serving(make_home(tmp_path / "home")):
        routes = {
            f"{route.method} {route.resource.canonical}"
            for route in apps[0].router.routes()
            if route.resource is not None and route.method != "HEAD"
        }
    told = [code(row[0])[0] for row in table("route")]
    assert sorted(told) == sorted(routes)


def options_of(command: Any) -> set[str]:
    """Return the options of a verb, without those that all verbs have."""
    return {name for p in command.params for name in (*p.opts, *p.secondary_opts) if name.startswith("-")}


def verbs_of(group: Any) -> Iterator[tuple[str, Any]]:
    """Yield each verb with its name; of those that have verbs of their own, these."""
    for name, command in group.commands.items():
        if hasattr(command, "commands"):
            yield from ((f"{name} {own}", found) for own, found in verbs_of(command))
        else:
            yield name, command


def test_every_verb_and_option_is_told_and_no_others() -> None:
    root: Any = typer.main.get_command(command_line)
    common = options_of(root.commands["version"])
    commands = dict(verbs_of(root))
    rows = {}
    for row in table("verb"):
        words = code(row[0])[0].split()
        rows[" ".join(words[1:3]) if words[1:3] and " ".join(words[1:3]) in commands else words[1]] = row
    assert set(rows) == set(commands)
    for verb, command in commands.items():
        shown, _, options = rows[verb]
        assert set(re.findall(r"-[-\w]+", " ".join(code(options)))) == options_of(command) - common, verb
        arguments = [
            re.sub(r"\W", "", p.metavar or p.name).upper()
            for p in command.params
            if not p.opts[0].startswith("-")
        ]
        assert re.findall(r"[A-Z]+", shown) == arguments, verb
    told = {name.split()[0] for row in table("option") for name in code(row[0])}
    assert told == common | {"--help"}
    assert [name for name in options_of(root) if f"`{name}" not in section("## Command line")] == []


def test_every_exit_code_is_told() -> None:
    assert [row[0] for row in table("exit code")] == [*(str(each.value) for each in ExitCode), "130"]


@pytest.mark.parametrize("document", [*DOCS, "CONTRIBUTING.md"])
def test_every_command_that_is_told_has_a_verb_that_exists(document: str) -> None:
    text = (ROOT / document).read_text()
    fenced = "".join(block.text for block in blocks(document))
    told = re.findall(r"`sensorflow ([a-z]+)", text) + re.findall(
        r"^(?:\$ )?sensorflow ([a-z]+)", fenced, flags=re.MULTILINE
    )
    root: Any = typer.main.get_command(command_line)
    assert set(told) <= set(root.commands)


# The architecture


def test_the_layers_that_are_told_are_those_that_are_checked() -> None:
    told = " ".join((ROOT / "docs" / "architecture.md").read_text().split())
    contracts = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]["contracts"]
    (layers,) = (contract["layers"] for contract in contracts if contract["type"] == "layers")
    spelled = [layer.replace(" | ", ", ") for layer in layers if layer != "__main__"]
    assert " -> ".join(f"{{{layer}}}" if "," in layer else layer for layer in spelled) in told


def test_every_file_of_the_core_is_told_and_no_others() -> None:
    rows = [rows for rows in tables((ROOT / "docs" / "architecture.md").read_text()) if rows[0][0] == "file"]
    told = [name for row in rows[0][1:] for name in code(row[0])]
    files = [path.name for path in (ROOT / "sensorflow" / "core").glob("*.py") if path.name != "__init__.py"]
    assert sorted(told) == sorted(files)


# The picture


def test_the_picture_of_the_demo_asks_no_other_host() -> None:
    picture = (ROOT / "docs" / "demo.svg").read_text()
    assert "week_in_review" in picture
    assert re.findall(r"\w+://[^\s\"')]+", picture) == ["http://www.w3.org/2000/svg"]
    assert not re.search(r"@import|href|url\((?!#)", picture)


# Links


def anchors(document: Path) -> set[str]:
    """Return what headings can be linked by, as GitHub makes it."""
    headings = re.findall(r"^#+ (.+)$", document.read_text(), flags=re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("document", [*DOCS, "CONTRIBUTING.md", "CHANGELOG.md"])
def test_every_link_leads_somewhere(document: str) -> None:
    place = ROOT / document
    broken = []
    for target in re.findall(r"\]\(([^)\s]+)\)", place.read_text()):
        file, _, anchor = target.partition("#")
        if re.match(r"[a-z]+:", target):
            continue
        linked = place.parent / file if file else place
        if not linked.exists() or (anchor and anchor not in anchors(linked)):
            broken.append(target)
    assert broken == []
