"""What those who watch are told of a commit."""

from sensorflow.core.changes import WatchedState
from sensorflow.core.messages import Reviewed, SensorReported, TimersDue
from sensorflow.core.state import PipelineRow
from sensorflow.core.vocabulary import SHARED
from sensorflow.store.memory import MemoryStore
from tests.store_rows import (
    alert_row,
    arrival_row,
    backfill_row,
    event_row,
    partition_row,
    run_row,
    sensor_row,
    task_row,
)


def watched() -> WatchedState:
    return WatchedState(MemoryStore().begin())


def test_what_is_put_is_stored_and_noted_and_the_last_of_each_key_counts() -> None:
    state = watched()
    seq = state.next_seq()
    state.add_event(event_row(seq))
    state.replace_event(event_row(seq)._replace(reason="read again"))
    state.add_arrival(arrival_row(seq))
    state.add_arrival(arrival_row(seq, dataset="items"))
    older, newer = partition_row("2013-03-10"), partition_row("2013-03-10", version=2)
    state.put_partition(older)
    state.put_partition(newer)
    run, task = run_row("r1"), task_row("r1", "load")
    state.put_run(run)
    state.put_task(task)
    row = PipelineRow(name="p", paused=True, paused_in_file=False)
    state.put_pipeline(row)
    backfill, alert = backfill_row("b1"), alert_row("a1")
    state.put_backfill(backfill)
    state.put_alert(alert)
    state.put_sensor(sensor_row("p", "s"))
    changes = state.changes
    assert changes.events[seq].reason == "read again"
    assert changes.arrivals == {seq: {"orders", "items"}}
    assert changes.partitions == {("orders", "2013-03-10"): newer}
    assert changes.runs == {"r1": run}
    assert changes.tasks == {"r1": {"load": task}}
    assert changes.pipelines == {"p": row}
    assert changes.backfills == {"b1": backfill}
    assert changes.alerts == {"a1": alert}
    assert changes.sensors == {("p", "s")}
    assert not changes.definitions
    assert (state.event(seq), state.partition("orders", "2013-03-10")) == (changes.events[seq], newer)
    assert (state.run("r1"), state.task("r1", "load"), state.pipeline("p")) == (run, task, row)
    assert (state.backfill("b1"), state.open_alert(alert.cause)) == (backfill, alert)


def test_a_message_tells_of_sensors_and_of_files_that_were_read_again() -> None:
    changes = watched().changes
    changes.note([TimersDue(), SensorReported(pipeline="p", sensor="s", error="refused")])
    changes.note([SensorReported(pipeline="", sensor="all", error=None)])
    assert changes.sensors == {("p", "s"), (SHARED, "all")}
    assert not changes.definitions
    changes.note([Reviewed()])
    assert changes.definitions
