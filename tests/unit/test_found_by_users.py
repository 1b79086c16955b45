"""What went wrong when somebody used it: each once, so that it does not come back."""

from dataclasses import replace

from sensorflow.core.explain import explain_run
from sensorflow.core.messages import AttemptEnded, CancelBackfill, Made, MakeRun, Reviewed, StartBackfill
from sensorflow.core.messages import WithdrawPartition as Withdraw
from sensorflow.core.states import AttemptState, TaskState
from sensorflow.core.vocabulary import Catchup, Grain, HttpCall, LatePolicy, Partitioning, Selection
from tests.flows import fired, pipeline, reads, same, service, task

DAY = "2026-06-01"


def test_data_that_comes_after_a_backfill_was_cancelled_fires_its_run() -> None:
    flow = service(pipeline("p", task("load", same("a"))))
    made = flow.send(StartBackfill(pipeline="p", partitions=(DAY,)))
    assert isinstance(made, Made)
    flow.send(CancelBackfill(backfill=made.id))
    assert flow.task_states("p", DAY) == {"load": TaskState.CANCELLED}
    flow.ready("a", DAY)
    assert fired(flow) == [("load", DAY)]


def test_a_backfill_of_what_is_missing_takes_up_what_a_cancelled_one_never_started() -> None:
    flow = service(pipeline("p", task("load", same("a"))))
    made = flow.send(StartBackfill(pipeline="p", partitions=(DAY,)))
    assert isinstance(made, Made)
    flow.send(CancelBackfill(backfill=made.id))
    flow.send(StartBackfill(pipeline="p", partitions=(DAY,), force=True))
    assert fired(flow) == [("load", DAY)]


def test_an_input_that_an_edit_adds_is_nothing_that_a_task_went_without() -> None:
    flow = service(pipeline("p", task("load", same("a")), late=LatePolicy.RERUN))
    flow.ready("a", DAY)
    flow.end_all()
    edited = pipeline("p", task("load", same("a"), same("b")), late=LatePolicy.RERUN)
    flow.definitions = replace(flow.definitions, pipelines={"p": edited})
    flow.send(Reviewed())
    flow.ready("b", DAY)
    assert fired(flow) == [("load", DAY)]


def test_a_task_that_is_new_since_its_run_ended_says_so_and_how_to_run_it() -> None:
    flow = service(pipeline("p", task("load", same("a"))))
    flow.ready("a", DAY)
    flow.end_all()
    edited = pipeline("p", task("load", same("a")), task("extra", same("b")))
    flow.definitions = replace(flow.definitions, pipelines={"p": edited})
    flow.send(Reviewed())
    (extra,) = [waits for waits in flow.why("p", DAY).tasks if waits.name == "extra"]
    (wait,) = extra.waiting_for
    assert wait.text == f"it is new since this run ended; `sensorflow retry p/{DAY} extra` runs it"


def test_a_run_whose_partition_no_longer_fits_the_pipeline_is_cancelled_by_the_reload() -> None:
    flow = service(pipeline("p", task("load", same("a"), same("b"))))
    flow.ready("a", DAY)
    run = flow.run_of("p", DAY)
    assert run is not None
    monthly = pipeline("p", task("load"), partitioning=Partitioning(Grain.MONTHLY))
    flow.definitions = replace(flow.definitions, pipelines={"p": monthly})
    flow.send(Reviewed())
    flow.pass_time(1)
    row = flow.store.reader.run(run.id)
    assert row is not None
    assert row.state == "cancelled"


def test_a_firing_that_took_the_service_down_five_times_says_so() -> None:
    flow = service(pipeline("p", task("load", same("a"))))
    flow.ready("a", DAY)
    for _ in range(5):
        (order,) = flow.running()
        flow.send(
            AttemptEnded(
                run_id=order.run_id,
                task="load",
                number=order.number,
                state=AttemptState.INTERRUPTED,
                crashed=True,
            )
        )
    (wait,) = flow.why("p", DAY).tasks[0].waiting_for
    assert "the service died under it 5 times" in wait.text


def test_a_lease_that_ran_out_while_no_service_was_there_is_given_anew_once() -> None:
    call = HttpCall(url="http://127.0.0.1:9/", callback=True, lease_s=30.0)
    calling = replace(task("load", same("a")), action=call)
    flow = service(pipeline("p", calling))
    flow.ready("a", DAY)
    flow.clock.advance(3_600)
    flow.pass_time(0)
    assert flow.task_states("p", DAY) == {"load": TaskState.RUNNING}
    flow.pass_time(30)
    assert flow.task_states("p", DAY) == {"load": TaskState.FAILED}


def test_what_comes_after_a_withdrawal_counts_on() -> None:
    flow = service(pipeline("p", task("load", same("a"))))
    flow.ready("a", DAY)
    flow.send(Withdraw(dataset="a", partition=DAY, reason="wrong file"))
    (arrival,) = flow.ready("a", DAY).arrivals
    assert arrival.version == 2


def test_why_speaks_of_a_scheduled_pipeline_without_a_run() -> None:
    flow = service(
        pipeline(
            "p",
            task("load"),
            partitioning=Partitioning(Grain.NONE),
            schedule="0 6 * * *",
            catchup=Catchup.NONE,
        )
    )
    (wait,) = flow.why("p", "").tasks[0].waiting_for
    assert wait.text == "there is no run yet: the schedule's next time is 2026-06-03T06:00:00+00:00"


def test_an_ended_run_without_partition_is_explained_as_itself_and_not_as_the_next_one() -> None:
    flow = service(
        pipeline("p", task("load", reads("a", Selection.LATEST)), partitioning=Partitioning(Grain.NONE))
    )
    made = flow.send(MakeRun(pipeline="p", partition="", force=True))
    assert isinstance(made, Made)
    (order,) = flow.running()
    flow.end(order, AttemptState.FAILED, "too few rows")
    flow.send(MakeRun(pipeline="p", partition=""))
    first = flow.store.reader.run(made.id)
    assert first is not None
    why = explain_run(flow.definitions, flow.store.reader, first, flow.workers, flow.clock.now())
    assert (why.run, why.tasks[0].state) == (first, TaskState.FAILED)
    assert flow.task_states("p", "") == {"load": TaskState.WAITING}


def test_an_arrival_that_was_withdrawn_is_no_news_for_a_pipeline_without_partitions() -> None:
    flow = service(
        pipeline(
            "p",
            task("load", reads("a", Selection.LATEST), reads("b", Selection.LATEST)),
            partitioning=Partitioning(Grain.NONE),
        )
    )
    flow.ready("a", DAY)
    flow.ready("b", DAY)
    assert len(fired(flow)) == 1
    flow.end(flow.started[0])
    flow.ready("a", "2026-06-02")
    flow.send(Withdraw(dataset="a", partition="2026-06-02", reason="half of it is missing"))
    flow.ready("b", "2026-06-02")
    assert len(fired(flow)) == 1
    flow.ready("a", "2026-06-02")
    assert len(fired(flow)) == 2
    assert list(flow.started[1].inputs["a"]) == ["2026-06-02"]
