"""A rehearsal decides as the service does, and tells what happened and what still waits."""

from collections.abc import Iterable
from heapq import heappop, heappush
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from sensorflow.core.commands import StartAttempt
from sensorflow.core.definitions import Definitions
from sensorflow.core.errors import SensorflowError
from sensorflow.core.messages import (
    AttemptEnded,
    DeclaredReady,
    MakeRun,
    Observed,
    PausePipeline,
    Reviewed,
    TimersDue,
)
from sensorflow.core.states import AttemptState, RunState, TaskState
from sensorflow.core.vocabulary import Event, Expectation, Grain, LatePolicy, RetryPolicy, Rule, Selection
from sensorflow.rehearsal.playing import HORIZON_S, Ending, Rehearsal
from sensorflow.rehearsal.story import Hold, Outcome, Refusal, Step, Story, altered, recorded
from sensorflow.rehearsal.timeline import Entry
from sensorflow.store.memory import MemoryStore
from sensorflow.testing import FakeClock, VirtualService
from tests.flows import NOW, WHOLE, dataset, mqtt_sensor, pipeline, reads, same, task
from tests.random_homes import homes

DAY = "2026-06-01"
_RETRIES = RetryPolicy(max=2, delay_s=10, backoff=1, jitter=0)


def home(*pipelines: Any, datasets: Iterable[Any] = (), sensors: Iterable[Any] = ()) -> Definitions:
    given = {each.name: each for each in datasets}
    for name in "abc":
        given.setdefault(name, dataset(name))
    return Definitions(
        {each.name: each for each in pipelines}, given, {(each.pipeline, each.name): each for each in sensors}
    )


def arrives(name: str, partition: str = DAY, *, at: float = NOW, part: str | None = None) -> Step:
    event = Event(source=f"/ready/{name}", id=f"{name} {partition} {part} {at}")
    return Step(at, DeclaredReady(event=event, dataset=name, partition=partition, part=part))


def played(definitions: Definitions, *steps: Step, workers: int = 100, **story: Any) -> Rehearsal:
    told = Story(begins_at=story.pop("begins_at", NOW), steps=steps, **story)
    rehearsal = Rehearsal(definitions, told, MemoryStore(), workers)
    for _ in rehearsal.play():
        pass
    return rehearsal


def told(rehearsal: Rehearsal, *kinds: str) -> list[Entry]:
    return [entry for entry in rehearsal.entries if not kinds or entry.kind in kinds]


def firings(rehearsal: Rehearsal) -> list[tuple[str | None, str | None, float]]:
    return [(entry.task, entry.partition, entry.at - NOW) for entry in told(rehearsal, "fired", "retried")]


def states(rehearsal: Rehearsal) -> dict[str, TaskState]:
    return {task.name: task.state for run in rehearsal.runs() for task in run.tasks}


def waits(rehearsal: Rehearsal) -> list[str]:
    return [wait.text for run in rehearsal.runs() for task in run.tasks for wait in task.waiting_for]


# --- it is the service's own decision ---

KEYS = {
    Grain.HOURLY: ("2026-06-01T00Z", "2026-06-01T01Z", "2026-06-01T23Z"),
    Grain.DAILY: ("2026-06-01", "2026-06-02", "2026-05-31"),
    Grain.WEEKLY: ("2026-W23", "2026-W22"),
    Grain.KEY: ("k1", "k2"),
    Grain.NONE: ("",),
}
ENDS = [AttemptState.SUCCEEDED, AttemptState.SUCCEEDED, AttemptState.FAILED, AttemptState.SKIPPED]


def how(order: StartAttempt, luck: int) -> Outcome:
    """Return how an attempt ends, which differs between attempts and is the same each time."""
    place = sum(map(ord, f"{order.pipeline}{order.task}{order.partition}")) + 7 * order.number + luck
    return Outcome(
        pipeline=order.pipeline,
        task=order.task,
        partition=order.partition,
        attempts=frozenset({order.number}),
        ends=ENDS[place % len(ENDS)],
        takes_s=float(place % 3 * 7),
    )


class Served:
    """A story told to a virtual service, as somebody with a watch would do it."""

    def __init__(self, definitions: Definitions, workers: int, luck: int) -> None:
        self.service = VirtualService(definitions, clock=FakeClock(NOW), workers=workers)
        self.luck = luck
        self.outcomes: list[Outcome] = []
        self.started: list[tuple[float, StartAttempt]] = []
        self._ends: list[tuple[float, int, StartAttempt]] = []

    def send(self, message: Any) -> None:
        self.service.send(message)
        now = self.service.clock.now()
        for order in self.service.started[len(self.started) :]:
            self.started.append((now, order))
            self.outcomes.append(how(order, self.luck))
            heappush(self._ends, (now + (self.outcomes[-1].takes_s or 0), len(self.started), order))

    def live_until(self, until: float) -> None:
        while True:
            timer_at = self.service.store.reader.next_timer_at()
            now = self.service.clock.now()
            timer_at = None if timer_at is None else max(timer_at, now)
            end_at = self._ends[0][0] if self._ends else None
            due = min((at for at in (timer_at, end_at) if at is not None), default=None)
            if due is None or due > until:
                break
            self.service.clock.advance(due - now)
            if due == end_at:
                _, place, order = heappop(self._ends)
                self.send(
                    AttemptEnded(
                        run_id=order.run_id,
                        task=order.task,
                        number=order.number,
                        state=self.outcomes[place - 1].ends or AttemptState.SUCCEEDED,
                        error="it is said to fail"
                        if self.outcomes[place - 1].ends is AttemptState.FAILED
                        else None,
                    )
                )
            else:
                self.send(TimersDue())
        self.service.clock.advance(until - self.service.clock.now())


@given(data=st.data())
@settings(max_examples=60, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
def test_a_rehearsal_fires_what_the_service_fires_whatever_the_story(data: st.DataObject) -> None:
    definitions = data.draw(homes())
    workers, luck = data.draw(st.sampled_from([100, 1, 2])), data.draw(st.integers(0, 20))
    outside = [each for name, each in definitions.datasets.items() if name.startswith("d")]
    steps: list[Step] = []
    now = NOW
    for _ in range(data.draw(st.integers(1, 25))):
        now += data.draw(st.sampled_from([0.0, 0.0, 5.0, 30.0, 3600.0]))
        name = data.draw(st.sampled_from(sorted(definitions.pipelines)))
        match data.draw(st.sampled_from(["arrive"] * 8 + ["pause", "make"])):
            case "arrive":
                each = data.draw(st.sampled_from(outside))
                key = data.draw(st.sampled_from(KEYS[each.partitioning.grain]))
                parts = sorted(each.complete.parts) or (["x", "y"] if each.complete.count else [])
                part = data.draw(st.sampled_from([*parts, None]))
                steps.append(arrives(each.name, key, at=now, part=part))
            case "pause":
                message = PausePipeline(pipeline=name, paused=data.draw(st.booleans()))
                steps.append(Step(now, message))
            case "make":
                keys = KEYS[definitions.pipelines[name].partitioning.grain]
                steps.append(Step(now, MakeRun(pipeline=name, partition=data.draw(st.sampled_from(keys)))))

    served = Served(definitions, workers, luck)
    refused = 0
    served.send(Reviewed())
    for step in steps:
        served.live_until(step.at)
        try:
            served.send(step.message)
        except SensorflowError:
            refused += 1
    served.live_until(now + 7200)

    rehearsal = played(
        definitions, *steps, workers=workers, until=now + 7200, outcomes=tuple(served.outcomes)
    )
    found = [
        (
            each.at,
            each.pipeline,
            each.partition,
            each.task,
            each.generation,
            each.attempt,
            each.idempotency_key,
        )
        for each in told(rehearsal, "fired", "retried")
    ]
    assert found == [
        (at, o.pipeline, o.partition, o.task, o.generation, o.number, o.idempotency_key)
        for at, o in served.started
    ]
    assert len(told(rehearsal, "refused")) == refused
    for run in rehearsal.runs():
        if run.run.state in (RunState.WAITING, RunState.RUNNING, RunState.FAILED):
            newest = served.service.run_of(run.run.pipeline, run.run.partition)
            if newest is not None and newest.id == run.run.id:
                assert run.tasks == served.service.why(run.run.pipeline, run.run.partition).tasks
    assert (
        rehearsal.alerts()
        == served.service.store.listing.alerts(open_only=False, before=None, limit=10_000)[::-1]
    )


# --- what is told ---


def test_each_thing_is_told_when_it_happens_and_to_what() -> None:
    definitions = home(
        pipeline(
            "p",
            task("load", same("a"), retries=_RETRIES),
            task("publish", after=("load",), outputs=("out",)),
        ),
        datasets=[dataset("out")],
    )
    told_ends = (
        Outcome(task="load", attempts=frozenset({1}), ends=AttemptState.FAILED, error="disk full"),
        Outcome(takes_s=60.0),
    )
    rehearsal = played(definitions, arrives("a"), outcomes=told_ends)
    assert [(entry.at - NOW, entry.kind, entry.task) for entry in rehearsal.entries] == [
        (0, "event", None),
        (0, "run", None),
        (0, "fired", "load"),
        (60, "retrying", "load"),
        (70, "retried", "load"),
        (130, "succeeded", "load"),
        (130, "fired", "publish"),
        (190, "succeeded", "publish"),
        (190, "event", None),
        (190, "ended", None),
    ]
    first, again = told(rehearsal, "fired", "retried")[:2]
    assert (first.pipeline, first.partition, first.generation, first.attempt) == ("p", DAY, 1, 1)
    assert again.attempt == 2 and again.idempotency_key == first.idempotency_key
    (retrying,) = told(rehearsal, "retrying")
    assert (retrying.text, retrying.next_attempt_at) == ("disk full", NOW + 70)
    assert rehearsal.ending is Ending.NOTHING_DUE and rehearsal.now == NOW + 190


def test_a_task_that_fails_for_good_blocks_what_is_below_it_and_raises_the_alert() -> None:
    definitions = home(pipeline("p", task("load", same("a")), task("publish", after=("load",))))
    rehearsal = played(definitions, arrives("a"), outcomes=(Outcome(task="load", ends=AttemptState.FAILED),))
    assert [entry.kind for entry in rehearsal.entries][2:] == ["fired", "failed", "blocked", "ended", "alert"]
    assert states(rehearsal) == {"load": TaskState.FAILED, "publish": TaskState.BLOCKED}
    assert any("load failed for good: it is said to fail" in text for text in waits(rehearsal))
    assert [alert.kind for alert in rehearsal.alerts()] == ["failed"]


def test_what_is_held_back_is_told_and_leaves_its_task_waiting() -> None:
    definitions = home(pipeline("p", task("join", same("a"), same("b"))))
    hold = Hold(dataset="a", partition=DAY)
    rehearsal = played(definitions, arrives("a"), arrives("b"), arrives("a", "2026-06-02"), holds=(hold,))
    (held,) = told(rehearsal, "held")
    assert held.arrivals is not None and held.arrivals[0].partition == DAY and held.seq is None
    assert next(text for text in waits(rehearsal) if DAY in text).startswith(f"waiting for a {DAY}")
    assert firings(rehearsal) == []
    assert rehearsal.store.reader.identity("/ready/a", f"a {DAY} None {NOW}") is None


def test_a_part_can_be_held_back_alone() -> None:
    definitions = home(pipeline("p", task("load", same("a"))), datasets=[dataset("a", parts=("x", "y"))])
    steps = [arrives("a", part="x"), arrives("a", part="y")]
    assert firings(played(definitions, *steps, holds=(Hold(dataset="a", part="y"),))) == []
    assert len(firings(played(definitions, *steps, holds=(Hold(dataset="a", part="z"),)))) == 1


def test_lateness_is_told_by_what_is_newly_late_and_newly_there() -> None:
    late = dataset("a", expect=Expectation(after_s=3600.0))
    definitions = home(pipeline("p", task("load", same("a"))), datasets=[late])
    day = 86_400.0
    rehearsal = played(definitions, arrives("a", "2026-06-03", at=NOW + 3 * day), until=NOW + 4 * day)
    assert [(e.at - NOW, e.kind, e.text) for e in told(rehearsal, "alert", "resolved")] == [
        (3600.0, "alert", "a is late: 2026-06-02"),
        (day + 3600, "alert", "a is late: 2026-06-03"),
        (2 * day + 3600, "alert", "a is late: 2026-06-04"),
        (3 * day, "resolved", "a is late: 2026-06-03"),
        (3 * day + 3600, "alert", "a is late: 2026-06-05"),
    ]
    (alert,) = rehearsal.alerts()
    assert alert.partitions == ("2026-06-02", "2026-06-04", "2026-06-05")


def test_schedules_go_on_for_a_day_after_the_last_step_unless_it_is_said_until_when() -> None:
    definitions = home(pipeline("p", task("load"), schedule="0 */6 * * *", partitioning=WHOLE))
    rehearsal = played(definitions)
    assert [at for _, _, at in firings(rehearsal)] == [0.0, 21_600.0, 43_200.0, 64_800.0, HORIZON_S]
    assert rehearsal.ending is Ending.UNTIL and rehearsal.now == NOW + HORIZON_S
    rehearsal = played(definitions, until=NOW + 30_000)
    assert len(firings(rehearsal)) == 2 and rehearsal.now == NOW + 30_000


def test_an_optional_input_is_gone_without_and_the_firing_says_so() -> None:
    definitions = home(pipeline("p", task("join", same("a"), same("b", optional_after_s=600.0))))
    rehearsal = played(definitions, arrives("a", "2026-06-03"), until=NOW + 3 * 86_400)
    (fired,) = told(rehearsal, "fired")
    assert fired.at == NOW + 86_400 + 600 and fired.text == "without b 2026-06-03"


def test_quiet_makes_ready_without_an_event_and_that_is_told() -> None:
    definitions = home(pipeline("p", task("load", same("a"))), datasets=[dataset("a", quiet_s=30.0)])
    rehearsal = played(definitions, arrives("a"))
    assert [(entry.kind, entry.at - NOW) for entry in told(rehearsal, "ready", "fired")] == [
        ("ready", 30.0),
        ("fired", 30.0),
    ]


def test_late_data_marks_or_reruns_as_the_pipeline_says() -> None:
    steps = [arrives("a"), arrives("a", at=NOW + 60)]
    stale = played(home(pipeline("p", task("load", same("a")))), *steps)
    assert [entry.kind for entry in told(stale, "stale", "rerun")] == ["stale"]
    rerun = played(home(pipeline("p", task("load", same("a")), late=LatePolicy.RERUN)), *steps)
    assert [entry.kind for entry in told(rerun, "stale", "rerun")] == ["rerun"]
    assert [entry.generation for entry in told(rerun, "fired")] == [1, 2]


def test_pauses_are_told_and_hold_what_is_ready() -> None:
    definitions = altered(home(pipeline("p", task("load", same("a")))), retries=None, paused=["p"])
    rehearsal = played(definitions, arrives("a"), Step(NOW + 60, PausePipeline(pipeline="p", paused=False)))
    assert [(entry.kind, entry.at - NOW) for entry in told(rehearsal, "paused", "resumed", "fired")] == [
        ("paused", 0),
        ("resumed", 60),
        ("fired", 60),
    ]
    waiting = played(definitions, arrives("a"))
    assert any("p is paused" in text for text in waits(waiting))


def test_retries_can_be_switched_off_and_on() -> None:
    kept = home(pipeline("p", task("load", same("a"), retries=_RETRIES)))
    failing = (Outcome(ends=AttemptState.FAILED),)
    assert len(firings(played(kept, arrives("a"), outcomes=failing))) == 3
    off = altered(kept, retries=0, paused=())
    assert len(firings(played(off, arrives("a"), outcomes=failing))) == 1
    assert altered(kept, retries=None, paused=()) is kept


def test_an_attempt_that_takes_longer_than_its_timeout_fails_by_it() -> None:
    definitions = home(pipeline("p", task("load", same("a"), timeout_s=60.0)))
    rehearsal = played(definitions, arrives("a"), outcomes=(Outcome(takes_s=61.0),))
    (failed,) = told(rehearsal, "failed")
    assert (failed.at, failed.text) == (NOW + 60, "timed out after 60 s")


def test_a_limit_holds_as_long_as_the_attempts_take() -> None:
    definitions = home(pipeline("p", task("load", same("a")), concurrency=1))
    steps = [arrives("a", f"2026-06-0{day}") for day in (1, 2, 3)]
    rehearsal = played(definitions, *steps, outcomes=(Outcome(takes_s=100.0),))
    assert [at for _, _, at in firings(rehearsal)] == [0, 100, 200]


def test_what_the_service_would_refuse_is_told_and_changes_nothing() -> None:
    definitions = home(pipeline("p", task("load", same("a"), retries=_RETRIES)))
    busy = Step(NOW, MakeRun(pipeline="p", partition=DAY, force=True))
    gone = Step(NOW, Refusal(source="/erp", id="1", reason="expected a dataset"))
    rehearsal = played(definitions, busy, busy, gone, outcomes=(Outcome(takes_s=9.0),))
    assert len(firings(rehearsal)) == 1
    refused = told(rehearsal, "refused")
    assert "running" in str(refused[0].text)
    assert (refused[1].source, refused[1].id, refused[1].text) == ("/erp", "1", "expected a dataset")


def test_events_are_told_with_what_became_of_them() -> None:
    rule = Rule(dataset="a", match={"data": {"day": [{"exists": True}]}}, partition="data.day")
    definitions = home(pipeline("p", task("load", same("a"))), sensors=[mqtt_sensor(rule)])

    def seen(data: Any, at: float = NOW) -> Step:
        event = Event(source="/mqtt/p/s", id=None, data=data, content=str(data))
        return Step(at, Observed(event=event, sensor=("p", "s")))

    rehearsal = played(
        definitions,
        seen({"day": DAY}),
        seen({"day": DAY}),
        seen({"day": "never"}),
        seen({}),
        seen({"day": DAY}, NOW + 601),
    )
    events = told(rehearsal, "event")
    assert [entry.state for entry in events] == ["accepted", "duplicate", "rejected", "unmatched", "accepted"]
    assert "data.day: expected a day" in str(events[2].text)
    assert events[1].seq == events[0].seq == 1


def test_a_rehearsal_is_bounded_and_says_so() -> None:
    definitions = home(pipeline("p", task("load"), schedule="* * * * *", partitioning=WHOLE))
    story = Story(begins_at=NOW, until=NOW + 10**9)
    rehearsal = Rehearsal(definitions, story, MemoryStore(), 100, most_decisions=50)
    assert sum(1 for _ in rehearsal.play()) == 50
    assert rehearsal.ending is Ending.MOST_DECISIONS


# --- what was recorded ---


def test_recorded_events_come_in_as_they_did_and_outputs_come_from_the_runs() -> None:
    definitions = home(pipeline("p", task("load", same("a"))))
    posted = Event(source="/erp", id="1", type="orders")
    assert recorded(definitions, NOW, posted, None, []) == [Step(NOW, Observed(event=posted))]
    assert recorded(definitions, NOW, posted, ("p", "s"), [("a", DAY, None, ("p", "s"))]) == [
        Step(NOW, Observed(event=posted, sensor=("p", "s")))
    ]
    assert recorded(definitions, NOW, posted, None, [("a", DAY, None, None)]) == [
        Step(NOW, DeclaredReady(event=posted, dataset="a", partition=DAY))
    ]
    output = Event(source="/pipelines/p", id="r/1/load/a", type="dev.sensorflow.output")
    assert recorded(definitions, NOW, output, None, [("a", DAY, None, None)]) == []


def test_a_declared_partition_that_the_changed_files_cannot_read_is_refused() -> None:
    definitions = home(pipeline("p", task("load", reads("a", Selection.LATEST))))
    event = Event(source="/ready/a", id="1")
    for brought, words in [
        (("gone", DAY, None, None), "found gone"),
        (("a", "2026-06-01T05Z!", None, None), "expected a day"),
    ]:
        (step,) = recorded(definitions, NOW, event, None, [brought])
        assert isinstance(step.message, Refusal) and words in step.message.reason


def test_what_a_task_outputs_is_marked_as_rehearsals_know_it() -> None:
    flow = VirtualService(
        home(pipeline("p", task("load", same("a"), outputs=("out",))), datasets=[dataset("out")]),
        clock=FakeClock(NOW),
    )
    flow.ready("a", DAY)
    flow.end_all()
    row = flow.store.reader.event(2)
    assert row is not None
    arrivals = [(a.dataset, a.partition, a.part, a.sensor) for a in flow.store.listing.arrivals(2)]
    assert recorded(flow.definitions, NOW, row.event, row.sensor, arrivals) == []
