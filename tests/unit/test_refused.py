"""What a command is told that names something unknown, or what its sender may not."""

from dataclasses import replace

import pytest

from sensorflow.core.backfills import plan
from sensorflow.core.errors import ForbiddenError, NotFoundError, UnknownDatasetError
from sensorflow.core.explain import explain
from sensorflow.core.messages import (
    CreateToken,
    Made,
    MakeRun,
    MarkTask,
    Message,
    Only,
    PausePipeline,
    RetryTasks,
    RevokeToken,
    WithdrawPartition,
)
from sensorflow.core.states import TaskState
from sensorflow.core.tokens import Caller, digest_of
from sensorflow.core.vocabulary import SHARED, Rule, Scope
from sensorflow.testing import VirtualService
from tests.flows import dataset, make, mqtt_sensor, pipeline, same, seen, service, task

DAY = "2026-06-01"


def flow_of_one() -> VirtualService:
    return service(pipeline("p", task("load", same("a"), outputs=("out",))), datasets=(dataset("out"),))


@pytest.mark.parametrize(
    ("message", "said"),
    [
        (MakeRun(pipeline="q", partition=DAY), "there is no pipeline q"),
        (PausePipeline(pipeline="q", paused=True), "there is no pipeline q"),
        (RetryTasks(run_id="r"), "there is no run r"),
        (RevokeToken(id="t"), 'there is no token "t"; `sensorflow token list` shows those there are'),
    ],
)
def test_what_is_not_there_is_named(message: Message, said: str) -> None:
    flow = flow_of_one()
    with pytest.raises(NotFoundError) as refused:
        flow.send(message)
    assert str(refused.value) == said
    assert flow.store.reader.last_seq() == 0
    assert flow.run_of("p", DAY) is None


def test_what_no_file_names_is_not_taken_back() -> None:
    flow = flow_of_one()
    with pytest.raises(UnknownDatasetError, match=r"^no file names a dataset q$"):
        flow.send(WithdrawPartition(dataset="q", partition=DAY))


def test_a_task_that_a_pipeline_does_not_have_is_not_marked() -> None:
    flow = flow_of_one()
    run = make(flow, "p", DAY)
    with pytest.raises(NotFoundError, match=r"^pipeline p has no task lod$"):
        flow.send(MarkTask(run_id=run.id, task="lod", state=TaskState.SUCCEEDED))
    assert flow.task_states("p", DAY) == {"load": TaskState.WAITING}


def test_why_of_an_unknown_pipeline_names_those_there_are() -> None:
    flow = flow_of_one()
    with pytest.raises(NotFoundError, match=r'^there is no pipeline "q"; there are: p$'):
        flow.why("q", DAY)
    empty = service()
    with pytest.raises(NotFoundError, match=r'^there is no pipeline "q"; there are: none$'):
        explain(empty.definitions, empty.store.reader, "q", DAY, 1, 0.0)


def test_a_plan_for_a_pipeline_that_is_not_there_is_refused() -> None:
    flow = flow_of_one()
    with pytest.raises(NotFoundError, match=r"^there is no pipeline q$"):
        plan(flow.definitions, flow.store.reader, "q", (DAY,), Only.MISSING)


def test_a_sender_makes_only_its_own_datasets_ready_by_an_event() -> None:
    rule = Rule(dataset="a", partition="data")
    flow = service(pipeline("p", task("load", same("a"))), sensors=(mqtt_sensor(rule),))
    for own, may in ((frozenset({"c", "b"}), "b, c"), (frozenset[str](), "nothing")):
        with pytest.raises(ForbiddenError) as refused:
            flow.send(seen(DAY)._replace(datasets=own))
        assert str(refused.value) == f"this token may emit {may}; a rule reads this event for a"
    assert flow.run_of("p", DAY) is None
    flow.send(seen(DAY)._replace(datasets=frozenset({"a"})))
    assert flow.run_of("p", DAY) is not None


def test_a_token_is_kept_as_its_digest_until_it_is_taken_back() -> None:
    flow = flow_of_one()
    digest = digest_of("s3cret")
    made = flow.send(CreateToken(id="t", digest=digest, scope=Scope.EMIT, pipelines=("p",)))
    assert made == Made(id="t")
    (row,) = flow.store.listing.tokens()
    assert (row.digest, row.scope, row.pipelines) == (digest, Scope.EMIT, ("p",))
    assert row.created_at == flow.clock.now()
    assert flow.send(RevokeToken(id="t")) == Made(id="t", created=False)
    assert flow.store.listing.tokens() == []


def test_a_token_is_for_the_pipelines_that_it_names_and_what_they_read_and_write() -> None:
    flow = flow_of_one()
    everybody, one = Caller(Scope.OPERATE), Caller(Scope.EMIT, frozenset({"p", "gone"}))
    assert everybody.sees("p")
    assert everybody.datasets(flow.definitions) is None
    assert one.sees("p")
    assert not one.sees("q")
    assert one.datasets(flow.definitions) == {"a", "out"}
    assert Caller(Scope.EMIT, frozenset()).datasets(flow.definitions) == frozenset()


def test_a_caller_for_one_pipeline_sees_what_is_of_it_and_the_shared_sensors_of_its_datasets() -> None:
    own = mqtt_sensor(Rule(dataset="a", partition="data.day"))
    shared = replace(own, pipeline=SHARED, name="for_a")
    other = replace(own, pipeline=SHARED, name="for_b", rule=Rule(dataset="b", partition="data.day"))
    elsewhere = replace(own, pipeline="q")
    flow = service(
        pipeline("p", task("load", same("a"), outputs=("out",))),
        pipeline("q", task("load", same("b"))),
        datasets=(dataset("out"),),
        sensors=(own, shared, other, elsewhere),
    )
    limited, whole = Caller(Scope.READ, frozenset({"p", "gone"})), Caller(Scope.READ)
    assert limited.datasets(flow.definitions) == {"a", "out"}
    part = limited.part_of(flow.definitions)
    assert list(part.pipelines) == ["p"]
    assert list(part.datasets) == ["a", "out"]
    assert list(part.sensors) == [("p", "s"), (SHARED, "for_a")]
    assert whole.part_of(flow.definitions) is flow.definitions
    assert whole.sensors(flow.definitions) is flow.definitions.sensors


@pytest.mark.parametrize("scope", Scope)
def test_admin_may_all_and_who_operates_may_read(scope: Scope) -> None:
    more = {Scope.ADMIN: set(Scope), Scope.OPERATE: {Scope.READ}}
    assert {other for other in Scope if scope.includes(other)} == {scope} | more.get(scope, set())
