# ruff: noqa: E501 - files and messages stand on one line each, as users see them
from pathlib import Path
from textwrap import dedent

import pytest

from sensorflow.core.errors import DefinitionsError
from sensorflow.core.vocabulary import SHARED
from sensorflow.home import Home, load_home
from sensorflow.sensors import SENSORS

PIPELINE = "tasks: {t: {run: x, inputs: [d]}}\n"
KIND = """
    from pydantic import BaseModel, ConfigDict

    class Ticks:
        class Options(BaseModel):
            model_config = ConfigDict(extra="forbid", strict=True)
            every: int

        def __init__(self, options, context):
            self.options = options

        async def events(self):
            yield None

    SENSORS = {"ticks": Ticks}
"""


def make_home(folder: Path, **files: str) -> Path:
    """Write files, their paths with `__` for `/` and `_dot_` for the dot."""
    for name, text in files.items():
        path = folder / name.replace("__", "/").replace("_dot_", ".")
        path.parent.mkdir(exist_ok=True)
        path.write_text(dedent(text))
    return folder


def load(folder: Path, **environ: str) -> Home:
    return load_home(folder, environ, SENSORS)


def mistakes(folder: Path) -> list[str]:
    with pytest.raises(DefinitionsError) as raised:
        load(folder)
    return [str(problem) for problem in raised.value.problems]


def test_a_home_is_its_pipelines_and_its_shared_sensors(tmp_path: Path) -> None:
    make_home(
        tmp_path,
        pipelines__b_dot_yaml=PIPELINE,
        pipelines__a_dot_yml="tasks: {t: {run: x, env: {A: '${SECRET}'}}}\n",
        pipelines__notes_dot_txt="no pipeline",
        sensors__s_dot_yaml="sensors: {s: {type: events, dataset: d, partition: id}}\n",
    )
    home = load(tmp_path, SECRET="x")
    assert home.path == tmp_path
    assert list(home.definitions.pipelines) == ["a", "b"]
    assert list(home.definitions.sensors) == [(SHARED, "s")]
    assert home.definitions.pipelines["b"].file == "pipelines/b.yaml"
    assert home.secret_names == {"SECRET"}
    assert home.kinds == SENSORS
    assert [warning.file for warning in home.warnings] == ["pipelines/a.yml"]


def test_a_home_without_pipelines_is_refused(tmp_path: Path) -> None:
    expected = "pipelines: expected a pipeline in pipelines/*.yaml, found"
    following = "; `sensorflow init` makes a home"
    assert mistakes(tmp_path) == [f"{expected} no such folder{following}"]
    (tmp_path / "pipelines").mkdir()
    assert mistakes(tmp_path) == [f"{expected} no such file{following}"]


def test_a_file_that_is_not_utf_8_is_told_with_its_line(tmp_path: Path) -> None:
    make_home(tmp_path, pipelines__a_dot_yaml=PIPELINE)
    (tmp_path / "pipelines" / "b.yaml").write_bytes(b"name: b\ndescription: caf\xe9\n")
    assert mistakes(tmp_path) == ["pipelines/b.yaml:2:1: expected text in UTF-8, found other bytes"]


def test_a_folder_in_place_of_a_file_is_told(tmp_path: Path) -> None:
    (tmp_path / "pipelines" / "a.yaml").mkdir(parents=True)
    assert mistakes(tmp_path) == ["pipelines/a.yaml: expected a file that can be read, found: Is a directory"]


def test_a_home_brings_sensor_kinds_of_its_own(tmp_path: Path) -> None:
    sensor = "sensors: {s: {type: ticks, every: 5, dataset: d, partition: id}}\n"
    make_home(tmp_path, pipelines__a_dot_yaml=sensor + PIPELINE, sensors__ticks_dot_py=KIND)
    home = load(tmp_path)
    options = home.definitions.sensors["a", "s"].options
    assert isinstance(options, home.kinds["ticks"].Options)
    assert options.model_dump() == {"every": 5}


def test_the_options_of_an_own_kind_are_checked_with_their_place(tmp_path: Path) -> None:
    sensor = "sensors: {s: {type: ticks, every: x, dataset: d, partition: id}}\n"
    make_home(tmp_path, pipelines__a_dot_yaml=sensor + PIPELINE, sensors__ticks_dot_py=KIND)
    assert mistakes(tmp_path) == [
        'pipelines/a.yaml:1:35: sensors.s.every: expected a whole number, found "x"'
    ]


def test_loading_leaves_nothing_behind_in_the_home(tmp_path: Path) -> None:
    make_home(tmp_path, pipelines__a_dot_yaml=PIPELINE, sensors__ticks_dot_py=KIND)
    before = sorted(tmp_path.rglob("*"))
    load(tmp_path)
    assert sorted(tmp_path.rglob("*")) == before


def test_a_changed_kind_is_loaded_anew(tmp_path: Path) -> None:
    make_home(tmp_path, pipelines__a_dot_yaml=PIPELINE, sensors__ticks_dot_py=KIND)
    assert "ticks" in load(tmp_path).kinds
    make_home(tmp_path, sensors__ticks_dot_py=KIND.replace('"ticks"', '"tocks"'))
    assert "tocks" in load(tmp_path).kinds


@pytest.mark.parametrize(
    ("module", "mistake"),
    [
        ("import os\n\nraise ValueError('no')\n", "3:1: expected a module that can be imported, found ValueError: no"),
        ("x = 1\nimport nothing_of_this_name\n",
         "2:1: expected a module that can be imported, found ModuleNotFoundError: No module named 'nothing_of_this_name'"),
        ("x = 1\ndef f(:\n", "2:1: expected a module that can be imported, found SyntaxError: invalid syntax"),
        ("x = 1\n", "1:1: expected SENSORS, a mapping of sensor kinds to their classes, found none"),
        ("SENSORS = {'k': 1}\n", '1:1: expected a class as the sensor kind "k", found int'),
        ("\nclass K: ...\nSENSORS = {'k': K}\n", "2:1: expected K to have Options, a pydantic model, found none"),
        ("from pydantic import BaseModel\n\nclass K:\n    Options = BaseModel\nSENSORS = {'k': K}\n",
         "3:1: expected K to have the method events, found none"),
        ("class K: ...\nSENSORS = {'webhook': K}\n",
         '1:1: expected another name for a sensor kind, found "webhook", which sensorflow has itself'),
        ("import sys\nsys.exit('no')\n", "2:1: expected a module that can be imported, found SystemExit: no"),
        ("from pydantic import BaseModel\nclass K:\n    class Options(BaseModel):\n        id: str\n        part: str\nSENSORS = {'k': K}\n",
         "2:1: expected K.Options without keys that all sensors have, found id, part"),
        ("from pydantic import BaseModel\nclass K:\n    Options = BaseModel\n    async def events(self): ...\nSENSORS = {'k': K}\n",
         "2:1: expected K.events to yield events, found an async function without yield"),
        ("from pydantic import BaseModel\nclass K:\n    Options = BaseModel\n    async def events(self): yield\nSENSORS = {'k': K}\n",
         "2:1: expected K(options, context), found K()"),
        ("class K: ...\nSENSORS = {1: K}\n", "1:1: expected text as the name of a sensor kind, found 1"),
    ],
)  # fmt: skip
def test_a_broken_kind_is_told_with_its_file_and_line(tmp_path: Path, module: str, mistake: str) -> None:
    make_home(tmp_path, pipelines__a_dot_yaml=PIPELINE, sensors__k_dot_py=module)
    assert mistakes(tmp_path) == [f"sensors/k.py:{mistake}"]


def test_two_kinds_of_one_name_are_refused(tmp_path: Path) -> None:
    make_home(tmp_path, pipelines__a_dot_yaml=PIPELINE, sensors__a_dot_py=KIND, sensors__b_dot_py=KIND)
    (found,) = mistakes(tmp_path)
    assert (
        found == 'sensors/b.py:4:1: expected another name than the kind in sensors/a.py, found "ticks" again'
    )


def test_a_broken_kind_and_a_broken_file_are_told_together(tmp_path: Path) -> None:
    make_home(tmp_path, pipelines__a_dot_yaml="tasks: {t: {}}\n", sensors__k_dot_py="1 / 0\n")
    assert mistakes(tmp_path) == [
        'pipelines/a.yaml:1:9: tasks.t: expected one of "run", "python" and "http", found none',
        "sensors/k.py:1:1: expected a module that can be imported, found ZeroDivisionError: division by zero",
    ]
