"""A group of events tells the state beforehand what it will ask for."""

from dataclasses import replace
from typing import Any

from sensorflow.core.commands import Order
from sensorflow.core.decide import decide, dispatch
from sensorflow.core.definitions import Definitions
from sensorflow.core.foresight import foresee
from sensorflow.core.ingest import Reading
from sensorflow.core.messages import DeclaredReady, Message, Moment, Observed, PausePipeline
from sensorflow.core.state import State
from sensorflow.core.turn import Turn
from sensorflow.core.vocabulary import Event, Rule, Selection, SensorDefinition
from sensorflow.store.memory import MemoryStore
from tests.flows import dataset, pipeline, reads, same, task

POSTED = SensorDefinition(
    pipeline="p", name="a", kind="events", rule=Rule(dataset="a", match={"type": ["a"]}, partition="data.day")
)
HOME = Definitions(
    pipelines={"p": pipeline("p", task("join", same("a"), same("b"), same("c")), task("other", same("d")))},
    datasets={name: dataset(name) for name in "abcd"},
    sensors={("p", "a"): POSTED},
)


class Attentive:
    """A state that notes what it is told beforehand, and what it is asked."""

    def __init__(self, state: State) -> None:
        self._state = state
        self.foreseen: list[set[tuple[str, str]]] = [set(), set(), set()]
        self.asked: list[set[tuple[str, str]]] = [set(), set(), set()]

    def __getattr__(self, name: str) -> Any:
        return getattr(self._state, name)

    def foresee(self, *pairs: Any) -> None:
        self.foreseen = [set(found) for found in pairs]

    def identity(self, source: str, event_id: str) -> int | None:
        self.asked[0].add((source, event_id))
        return self._state.identity(source, event_id)

    def partition(self, name: str, key: str) -> Any:
        self.asked[1].add((name, key))
        return self._state.partition(name, key)

    def run_of(self, name: str, key: str) -> Any:
        self.asked[2].add((name, key))
        return self._state.run_of(name, key)


def posted(day: str, **options: Any) -> Observed:
    return Observed(event=Event(source="/erp", id=day, type="a", data={"day": day}), **options)


def declared(name: str, day: str) -> DeclaredReady:
    return DeclaredReady(event=Event(source="/ready", id=f"{name}-{day}"), dataset=name, partition=day)


def turn_of(state: Any) -> Turn:
    ids = iter(range(1000))
    return Turn(HOME, state, Moment(now=1e9, new_id=lambda: f"{next(ids):04}", new_token=str, draw=float))


def test_all_that_a_group_of_events_asks_for_was_foreseen() -> None:
    state = Attentive(MemoryStore().begin())
    messages = [posted(f"2026-06-0{day}") for day in range(1, 6)]
    turn = turn_of(state)
    for message in foresee(turn, [*messages, *(declared("b", f"2026-06-0{day}") for day in range(1, 6))]):
        decide(turn, message)
    for asked, foreseen in zip(state.asked, state.foreseen, strict=True):
        assert asked
        assert asked <= foreseen


def test_a_few_messages_are_decided_as_they_are() -> None:
    state = Attentive(MemoryStore().begin())
    messages = [posted("2026-06-01"), declared("b", "2026-06-01")]
    assert foresee(turn_of(state), messages) is messages
    assert state.foreseen == [set(), set(), set()]


def test_what_is_no_event_or_may_not_be_sent_keeps_its_place() -> None:
    not_allowed = posted("2026-06-02", datasets=frozenset({"b"}))
    pause = PausePipeline(pipeline="p", paused=True)
    messages: list[Message] = [posted("2026-06-01"), not_allowed, pause, declared("c", "2026-06-03")]
    first, *between, last = foresee(turn_of(MemoryStore().begin()), messages)
    assert isinstance(first, Reading)
    assert between == [not_allowed, pause]
    assert isinstance(last, Reading)
    assert last.event.id == "c-2026-06-03"


def test_of_an_event_without_an_id_no_identity_is_foreseen_and_of_the_latest_no_run() -> None:
    home = replace(
        HOME,
        pipelines={"p": pipeline("p", task("load", same("a"), reads("b", Selection.LATEST)))},
        sensors={},
    )
    state = Attentive(MemoryStore().begin())
    turn = Turn(home, state, Moment(now=1e9, new_id=str, new_token=str, draw=float))  # type: ignore[arg-type]
    nameless = Observed(event=Event(source="/erp", id=None, type="a", content="x"))
    foresee(turn, [nameless, *(declared("b", f"2026-06-0{day}") for day in range(1, 4))])
    identities, partitions, runs = state.foreseen
    assert identities == {("/ready", f"b-2026-06-0{day}") for day in range(1, 4)}
    assert partitions == {("b", f"2026-06-0{day}") for day in range(1, 4)}
    assert runs == set()


def decided(messages: list[Message], *, ahead: bool) -> tuple[list[Any], list[Order]]:
    turn = turn_of(MemoryStore().begin())
    answers = [decide(turn, message) for message in (foresee(turn, messages) if ahead else messages)]
    dispatch(turn, 10)
    return answers, turn.orders


def test_foresight_changes_no_decision() -> None:
    messages: list[Message] = [
        *(declared(name, f"2026-06-0{day}") for day in range(1, 4) for name in "bcbd"),
        *(posted(f"2026-06-0{day}") for day in (1, 2, 1, 3)),
    ]
    answers, orders = decided(messages, ahead=True)
    assert (answers, orders) == decided(messages, ahead=False)
    assert sorted(f"{order.task} {order.partition}" for order in orders) == sorted(  # type: ignore[union-attr]
        f"{task} 2026-06-0{day}" for day in range(1, 4) for task in ("join", "other")
    )
