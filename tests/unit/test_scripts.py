"""Scripts of rehearsals: what they say, and where they are wrong."""

import re
from pathlib import Path
from textwrap import dedent

import pytest

from sensorflow.config.scripts import (
    EventStep,
    HeldInput,
    MakeStep,
    OutcomeRule,
    ReadyStep,
    Script,
    ScriptStep,
    read_instant,
    read_script,
)
from sensorflow.config.stories import MistakesError, story_of
from sensorflow.core.errors import DefinitionsError
from sensorflow.core.messages import DeclaredReady, MakeRun, Observed, PausePipeline
from sensorflow.core.states import AttemptState
from sensorflow.rehearsal.story import Hold, Outcome, Story
from tests import home_files

HOME = home_files.pipeline(
    """
    name: sales
    datasets: {orders: {complete: {parts: [eu, us]}}}
    sensors:
      posted:
        {type: events, match: {type: [exported]}, partition: data.day, part: data.region, dataset: orders}
      hook: {type: webhook, auth: none, partition: data.day, dataset: fx}
    tasks:
      load: {inputs: [orders, fx], run: [load]}
      publish: {after: [load], run: [publish], outputs: [published]}
    """
).definitions
NOON = read_instant("2026-03-08T12:00:00Z")


def script(text: str) -> Script:
    return read_script("story.yaml", dedent(text))[0]


def story(text: str) -> Story:
    return story_of(script(text), HOME)


def wrong(text: str) -> list[str]:
    """Return what is wrong in a script, as people see it."""
    try:
        found, document = read_script("s", dedent(text))
    except DefinitionsError as error:
        return str(error).splitlines()
    with pytest.raises(MistakesError) as mistakes:
        story_of(found, HOME)
    return [str(document.problem(each.path, each.message)) for each in mistakes.value.mistakes]


def test_a_script_says_what_comes_in_and_when() -> None:
    told = story(
        """
        steps:
          - {at: 2026-03-08T12:00:00Z, ready: {dataset: orders, partition: 2026-03-08, part: eu}}
          - {at: +10m, event: {type: exported, source: /erp, id: e1, data: {day: 2026-03-08}, tenant: north}}
          - {event: {data: {day: 2026-03-08}}, sensor: sales/hook}
          - {at: 2026-03-08T13:00+02:00, pause: sales}
          - {at: +1h, resume: sales}
          - {make: {pipeline: sales, partition: 2026-03-09, force: true}}
        """
    )
    assert [step.at - NOON for step in told.steps] == [-3600, 0, 0, 0, 600, 600]
    paused, declared, resumed, made, posted, hooked = [step.message for step in told.steps]
    assert (paused, resumed) == (
        PausePipeline(pipeline="sales", paused=True),
        PausePipeline(pipeline="sales", paused=False),
    )
    assert isinstance(declared, DeclaredReady) and (declared.partition, declared.part) == ("2026-03-08", "eu")
    assert declared.event.source == "/ready/orders"
    assert made == MakeRun(pipeline="sales", partition="2026-03-09", force=True)
    assert isinstance(posted, Observed) and posted.sensor is None
    assert posted.event.extensions == {"tenant": "north"} and posted.event.id == "e1"
    assert isinstance(hooked, Observed) and hooked.sensor == ("sales", "hook")
    assert hooked.event.source == "/hooks/sales/hook" and hooked.event.id is None and hooked.event.content
    assert told.begins_at == NOON - 3600 and told.until is None


def test_a_script_says_how_attempts_end_and_what_does_not_come() -> None:
    told = story(
        """
        from: 2026-03-08
        until: 2026-03-09T06:00:00Z
        tasks:
          - {pipeline: sales, task: load, partition: 2026-W10-7, attempt: [1, 2], ends: failed, error: full}
          - {takes: 90s}
        hold: [{dataset: orders, partition: 2026-03-08, part: us}, {dataset: fx}]
        retries: 3
        paused: [sales]
        """
    )
    assert told.outcomes == (
        Outcome(
            pipeline="sales",
            task="load",
            partition="2026-03-08",
            attempts=frozenset({1, 2}),
            ends=AttemptState.FAILED,
            error="full",
        ),
        Outcome(takes_s=90.0),
    )
    assert told.holds == (Hold(dataset="orders", partition="2026-03-08", part="us"), Hold(dataset="fx"))
    assert (told.begins_at, told.until) == (NOON - 43_200, NOON + 64_800)


def test_lines_are_steps_or_cloudevents_that_say_themselves_when() -> None:
    lines = (
        '{"specversion": "1.0", "id": "1", "source": "/erp", "type": "t", "time": "2026-03-08T12:00:00Z"}\n'
        "\n"
        '{"at": "+5m", "ready": {"dataset": "fx", "partition": "2026-03-08"}}\n'
    )
    told = story_of(read_script("-", lines)[0], HOME)
    assert [step.at - NOON for step in told.steps] == [0, 300]
    (first, second) = (step.message for step in told.steps)
    assert isinstance(first, Observed) and first.event.time == "2026-03-08T12:00:00Z"
    assert first.event.extensions == {}
    assert isinstance(second, DeclaredReady)


def test_one_line_of_json_can_be_a_whole_script() -> None:
    assert len(script('{"from": "2026-03-08", "steps": [{"pause": "sales"}]}').steps) == 1


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("- x", "s:1:1: expected a mapping with steps, found a list"),
        ("steps: [{at: noon, pause: sales}]", "s:1:14: steps.0.at: expected an instant such as"),
        ("steps: [{at: +1y, pause: sales}]", 'or +10m after the step before, found "+1y"'),
        (
            "steps: [{at: 2026-03-08}]",
            "s:1:9: steps.0: expected one of ready, event, make, pause, resume in a step",
        ),
        (
            "steps: [{at: 2026-03-08, pause: a, resume: b}]",
            "expected one of ready, event, make, pause, resume",
        ),
        ("steps: [{at: 2026-03-08, pause: sales, sensor: a/b}]", "expected an event beside sensor"),
        ("steps: [{at: 2026-03-08, pauze: sales}]", 'found "pauze"; did you mean "pause"?'),
        ("steps: [{at: 2026-03-08, event: {data_base64: AA==}}]", "expected data of JSON, found data_base64"),
        (
            "tasks: [{ends: exploded}]",
            's:1:16: tasks.0.ends: expected one of succeeded, failed, skipped, found "exploded"',
        ),
        ("tasks: [{attempt: 0}]", "expected the number of an attempt, from 1, or a list of them, found 0"),
        ("tasks: [{takes: soon}]", "expected a duration such as"),
        (
            "until: tomorrow",
            's:1:8: until: expected an instant such as 2013-03-08T05:00:00Z, found "tomorrow"',
        ),
        ("until: 0001-01-01", "s:1:8: until: expected an instant such as"),
        (
            "steps: [{at: 2026-03-08, pause: sales}, {at: +999999999999d, pause: sales}]",
            "steps.1.at: expected an instant before the year 3000",
        ),
        ("retries: -1", "s:1:10: retries: expected a whole number >= 0, found -1"),
        ("steps: []", "s:1:1: expected steps, or from, found neither"),
        (
            "steps: [{pause: sales}]",
            "steps.0: expected at in the first step, or from above all steps, found neither",
        ),
        ("steps: [{event: {time: noon}}]", "s:1:24: steps.0.event.time: expected an instant such as"),
        (
            "{from: 2026-03-09, steps: [{at: 2026-03-08, pause: sales}]}",
            "s:1:8: from: expected an instant not after",
        ),
        ("{from: 2026-03-09, until: 2026-03-08}", "until: expected an instant not before the beginning"),
        ("{from: 2026-03-09, paused: [sale]}", 's:1:29: paused.0: expected a pipeline (sales), found "sale"'),
        (
            "{from: 2026-03-09, hold: [{dataset: order}]}",
            'expected a dataset (fx, orders, published), found "order"',
        ),
        (
            "{from: 2026-03-09, hold: [{dataset: published}]}",
            "which task publish of sales makes: let that fail instead",
        ),
        ("{from: 2026-03-09, hold: [{dataset: fx, partition: may}]}", "hold.0.partition: expected a day"),
        ("{from: 2026-03-09, hold: [{dataset: orders, part: mars}]}", "expected a part of orders (eu, us)"),
        ("{from: 2026-03-09, tasks: [{pipeline: p}]}", 'expected a pipeline (sales), found "p"'),
        (
            "{from: 2026-03-09, tasks: [{pipeline: sales, task: lod}]}",
            'expected a task of sales (load, publish), found "lod"',
        ),
        (
            "{from: 2026-03-09, tasks: [{pipeline: sales, partition: may}]}",
            "tasks.0.partition: expected a day",
        ),
        (
            "{from: 2026-03-09, steps: [{ready: {dataset: orders}}]}",
            "expected a partition: orders is daily, found none",
        ),
        ("{from: 2026-03-09, steps: [{ready: {dataset: x}}]}", "steps.0.ready.dataset: expected a dataset"),
        (
            "{from: 2026-03-09, steps: [{event: {}, sensor: sales/nope}]}",
            "expected a sensor (sales/hook, sales/posted), found",
        ),
        ("{from: 2026-03-09, steps: [{make: {pipeline: sales}}]}", "steps.0.make.partition: expected"),
        (
            "{from: 2026-03-09, steps: [{make: {pipeline: nope}}]}",
            "steps.0.make.pipeline: expected a pipeline",
        ),
        (
            '{"pause": "sales", "at": "2026-03-08"}\n\n{"pause": "nope"}\n',
            "s:3:1: steps.1.pause: expected a pipeline",
        ),
        ('{"pause": "sales", "at": "2026-03-08"}\n{nope}\n', "s:2:1: expected a JSON document on each line"),
        (
            '{"pause": "sales", "at": "2026-03-08"}\n{"pause": 1}\n',
            "s:2:1: steps.1.pause: expected text, found 1",
        ),
    ],
)
def test_what_is_wrong_in_a_script_is_told_with_its_place(text: str, words: str) -> None:
    told = wrong(text)
    assert len(told) == 1
    assert words in told[0]


def test_all_that_is_wrong_is_told_at_once() -> None:
    assert len(wrong("{from: 2026-03-09, paused: [a, b], hold: [{dataset: c}]}")) == 3


def test_the_reference_has_every_key_of_a_script_and_its_examples_can_be_read() -> None:
    docs = Path(__file__).parents[2] / "docs"
    reference = (docs / "reference.md").read_text().split("\n### Rehearsals\n")[1].split("\n## ")[0]
    how_to = (docs / "how-to.md").read_text().split("\n## Rehearse a change ")[1].split("\n## ")[0]
    examples = re.findall(r"```yml\n(.*?)```", reference + how_to, flags=re.DOTALL)
    assert len(examples) == 2
    for example in examples:
        assert script(example).steps
    for model in (Script, ScriptStep, OutcomeRule, HeldInput, ReadyStep, EventStep, MakeStep):
        for name, field in model.model_fields.items():
            key = field.alias or name
            assert re.search(rf"\b{key}\b", reference), f"{model.__name__}.{key}"
