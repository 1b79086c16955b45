"""The home of a story: one at random, with a sensor for each dataset from outside, and some things more."""

from dataclasses import replace

from pydantic import SecretStr

from sensorflow.core.definitions import Definitions
from sensorflow.core.vocabulary import (
    Catchup,
    DatasetInput,
    Grain,
    HttpCall,
    Input,
    InputGroup,
    Partitioning,
    PipelineDefinition,
    Rule,
    Selection,
    SensorDefinition,
    TaskDefinition,
)
from sensorflow.sensors.mqtt import MqttOptions
from tests.flows import HOURLY, pipeline, task
from tests.random_homes import change_home, make_home
from tests.simulation.senders import topic_of
from tests.simulation.world import Choices


def make_story_home(choices: Choices) -> Definitions:
    """Make the home of a story."""
    home = _with_schedule(make_home(choices), choices)
    pipelines = {name: _with_more(each, home, choices) for name, each in home.pipelines.items()}
    return _with_sensors(replace(home, pipelines=pipelines))


def edited(choices: Choices, home: Definitions) -> Definitions:
    """Return the home with an edit of one of its pipelines, but for those with a schedule."""
    scheduled = {name: each for name, each in home.pipelines.items() if each.schedule}
    others = {name: each for name, each in home.pipelines.items() if not each.schedule}
    changed = change_home(choices, replace(home, pipelines=others))
    return _with_sensors(replace(changed, pipelines={**changed.pipelines, **scheduled}))


def _with_sensors(home: Definitions) -> Definitions:
    """Let a sensor bring each dataset from outside."""
    sensors = {}
    for name, dataset in home.datasets.items():
        if name.startswith("d"):
            takes_part = bool(dataset.complete.parts or dataset.complete.count)
            rule = Rule(
                dataset=name,
                partition=None if dataset.partitioning.grain is Grain.NONE else "data.partition",
                part="data.part" if takes_part else None,
            )
            # What has no id is known by its content for longer than any clock goes wrong.
            sensors["-", f"s_{name}"] = SensorDefinition(
                pipeline="-",
                name=f"s_{name}",
                kind="mqtt",
                rule=rule,
                options=MqttOptions(url=SecretStr("mqtt://broker"), topic=topic_of(f"s_{name}")),
                dedupe_s=86_400,
            )
    return replace(home, sensors=sensors)


def _with_schedule(home: Definitions, choices: Choices) -> Definitions:
    """Add a pipeline that fires by the clock, now and then."""
    if choices.number(0, 2):
        return home
    made = pipeline(
        "scheduled",
        task("tick"),
        partitioning=choices.one([HOURLY, Partitioning(Grain.NONE)]),
        schedule=choices.one(["* * * * *", "10 * * * *"]),
        catchup=choices.one(list(Catchup)),
    )
    return replace(home, pipelines={**home.pipelines, made.name: made})


def _with_more(definition: PipelineDefinition, home: Definitions, choices: Choices) -> PipelineDefinition:
    """Let inputs be too old, and tasks end by a callback, now and then."""
    tasks = {name: _task_with_more(each, home, choices) for name, each in definition.tasks.items()}
    return replace(definition, tasks=tasks)


def _task_with_more(definition: TaskDefinition, home: Definitions, choices: Choices) -> TaskDefinition:
    inputs = tuple(_with_age(item, home, choices) for item in definition.inputs)
    if choices.number(0, 5):
        return replace(definition, inputs=inputs)
    lease_s = choices.one([8.0, 20.0])
    call = HttpCall(url="http://127.0.0.1/work", callback=True, lease_s=lease_s)
    return replace(definition, inputs=inputs, action=call)


def _with_age(item: Input, home: Definitions, choices: Choices) -> Input:
    if isinstance(item, InputGroup):
        return replace(item, members=tuple(_with_age(member, home, choices) for member in item.members))
    # Which of several is the newest is said in tests of their own.
    is_whole = home.datasets[item.dataset].partitioning.grain is Grain.NONE
    if choices.number(0, 5) or (item.selection is Selection.LATEST and not is_whole):
        return item
    limited: DatasetInput = replace(item, max_age_s=choices.one([10.0, 45.0, 100.0]))
    return limited
