# ruff: noqa: E501 - files and messages stand on one line each, as users see them
"""`${NAME}`: where it is replaced, and that its value is told to nobody."""

import traceback
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sensorflow.config.environment import Environment
from sensorflow.config.kinds import WebhookOptions
from sensorflow.core.errors import DefinitionsError
from sensorflow.core.vocabulary import Command
from tests.home_files import pipeline, wrong_in_pipeline

CANARY = "c4nary/v@lue:#'\"\\x"


def test_names_are_replaced_in_sensors_and_env_and_nowhere_else() -> None:
    found = pipeline(
        """
        description: costs ${PRICE}
        defaults: {env: {A: "${ONE}"}}
        sensors:
          s: {type: webhook, dataset: d, partition: data.day, auth: {scheme: bearer, secret: ["${ONE}", "x${TWO}y$${ONE}"]}}
          e: {type: events, dataset: d, partition: data.day, match: {type: ["${TWO}"]}}
        tasks:
          t: {run: [echo, "${ONE}", $HOME], inputs: [d], env: {B: "${TWO}", C: '$${TWO}', D: $TWO}}
          u: {run: "echo ${ONE}"}
        """,
        {"ONE": "1", "TWO": "${ONE}", "HOME": "h"},
    )
    definitions = found.definitions
    assert definitions.pipelines["p"].description == "costs ${PRICE}"
    options: Any = definitions.sensors["p", "s"].options
    assert isinstance(options, WebhookOptions)
    assert options.auth.secrets == ("1", "x${ONE}y${ONE}")
    assert definitions.sensors["p", "e"].rule.match == {"type": ["${ONE}"]}
    tasks = definitions.pipelines["p"].tasks
    assert tasks["t"].env == {"A": "1", "B": "${ONE}", "C": "${TWO}", "D": "$TWO"}
    assert tasks["t"].action == Command(("echo", "${ONE}", "$HOME"))
    assert tasks["u"].action == Command(line="echo ${ONE}")
    assert found.secret_names == {"ONE", "TWO"}


def test_an_unset_name_is_an_error_that_names_it() -> None:
    assert wrong_in_pipeline('tasks: {t: {run: x, env: {A: "${NOPE}"}}}') == [
        "1:30: tasks.t.env.A: expected the environment variable NOPE to be set, found it unset"
    ]


def test_an_unset_name_is_the_only_thing_said_about_its_value() -> None:
    text = 'sensors: {s: {type: mqtt, url: "${URL}", topic: t, dataset: d, partition: id}}\ntasks: {t: {run: x, inputs: [d]}}'
    assert wrong_in_pipeline(text) == [
        "1:32: sensors.s.url: expected the environment variable URL to be set, found it unset"
    ]


def test_an_unset_secret_is_not_said_to_be_no_base64() -> None:
    text = 'sensors: {s: {type: webhook, auth: {scheme: standard-webhooks, secret: "${STD}"}, dataset: d, partition: id}}\ntasks: {t: {run: x, inputs: [d]}}'
    assert [line.partition(": ")[2] for line in wrong_in_pipeline(text)] == [
        "sensors.s.auth.secret: expected the environment variable STD to be set, found it unset"
    ]


@pytest.mark.parametrize("text", ["${", "${1A}", "${A:-b}", "a ${A B}", "${}"])
def test_a_reference_without_a_name_is_an_error(text: str) -> None:
    (found,) = wrong_in_pipeline(f"tasks: {{t: {{run: x, env: {{A: '{text}'}}}}}}", {"A": "1"})
    assert (
        found
        == '1:30: tasks.t.env.A: expected "${NAME}", found "${" without a name (write "$${" for the characters)'
    )


@pytest.mark.parametrize(
    "section",
    [
        'type: mqtt, url: "${CANARY}", topic: t',
        'type: mqtt, url: "mqtt://u:${CANARY}@h:port", topic: t',
        'type: mqtt, url: "mqtt://h", topic: "a/${CANARY}/#/b"',
        'type: mqtt, url: "mqtt://h", topic: t, qos: "${CANARY}"',
        'type: file, path: "${CANARY}/../{partition}"',
        'type: file, path: "{partition:${CANARY}}"',
        'type: file, path: "x/{partition}", settle: "${CANARY}"',
        'type: webhook, auth: "${CANARY}"',
        'type: webhook, auth: {scheme: "${CANARY}", secret: x}',
        'type: webhook, auth: {scheme: standard-webhooks, secret: "whsec_${CANARY}a"}',
        'type: webhook, auth: {scheme: none, secret: "${CANARY}"}',
        'type: "${CANARY}"',
        'type: events, match: {type: "${CANARY}"}',
        'type: events, match: {type: [{wildcard: "**${CANARY}"}]}',
        'type: events, match: {type: [{numeric: ["${CANARY}", 1]}]}',
        'type: events, part: "${CANARY}"',
        'type: events, dedupe: "${CANARY}"',
    ],
)
@pytest.mark.parametrize("secret", [CANARY, "sésame-öffne-dich", "qzxw jkvb yyqq"])
def test_no_error_shows_what_came_from_the_environment(section: str, secret: str) -> None:
    text = f"sensors: {{s: {{{section}, dataset: '${{CANARY}}', partition: '${{CANARY}}'}}}}\ntasks: {{t: {{run: x}}}}"
    with pytest.raises(DefinitionsError) as raised:
        pipeline(text, {"CANARY": secret})
    told = "".join(traceback.format_exception(raised.value)) + repr(raised.value.problems)
    pieces = {secret[n : n + 5] for n in range(len(secret) - 4)}
    assert not [piece for piece in pieces if piece in told]


@given(st.text(min_size=1, max_size=12), st.text(max_size=12), st.text(max_size=12))
def test_hiding_leaves_no_piece_of_four_characters(secret: str, before: str, after: str) -> None:
    environment = Environment({}, used={"N": secret})
    hidden = environment.hide(before + secret + after)
    if hidden.startswith("expected another value"):
        return
    assert not any(secret[n : n + 4] in hidden for n in range(len(secret) - 3))
    assert len(secret) < 4 or secret not in hidden


def test_hiding_tells_the_name_in_place_of_the_value() -> None:
    environment = Environment({}, used={"USER": "ann", "PASSWORD": "ann-secret"})
    assert environment.hide('found "mqtt://ann:ann-secret@h"') == 'found "mqtt://${USER}:${PASSWORD}@h"'
