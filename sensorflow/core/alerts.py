"""Alerts: one row a cause, told when it is opened and when it is resolved."""

from sensorflow.core.commands import SendAlert
from sensorflow.core.state import AlertRow, PartitionRow, RunRow
from sensorflow.core.states import AttemptState, RunState
from sensorflow.core.turn import Turn

FAILED, LATE, SENSOR_DOWN = "failed", "late", "sensor_down"


def run_ended(turn: Turn, run: RunRow) -> None:
    """Open the alert of a run that has failed; resolve that of one that has not."""
    cause = f"{FAILED}/{run.id}"
    if run.state is not RunState.FAILED:
        run_mended(turn, run)
        return
    errors = [
        f"{attempt.task}: {attempt.error or 'failed'}"
        for attempt in turn.state.attempts(run.id)
        if attempt.state is AttemptState.FAILED and attempt.ended_at == turn.now
    ]
    place = "/".join(filter(None, (run.pipeline, run.partition)))
    text = f"{place} has failed" + (f": {'; '.join(errors)}" if errors else "")
    _open(
        turn,
        AlertRow(
            id="",
            cause=cause,
            kind=FAILED,
            text=text,
            pipeline=run.pipeline,
            partitions=(run.partition,) if run.partition else (),
            run_id=run.id,
            opened_at=turn.now,
        ),
    )


def run_mended(turn: Turn, run: RunRow) -> None:
    """Resolve the alert of a run that is not failed any more, though it may still wait."""
    _resolve(turn, f"{FAILED}/{run.id}")


def missed(turn: Turn, dataset: str, partition: str) -> None:
    """Open the alert of a dataset that is late, or add the partition to it."""
    cause = f"{LATE}/{dataset}"
    there = turn.state.open_alert(cause)
    partitions = (*(there.partitions if there else ()), partition)
    text = f"{dataset} is late: {', '.join(partitions)}"
    if there is not None:
        turn.state.put_alert(there._replace(partitions=partitions, text=text))
        return
    row = AlertRow(
        id="", cause=cause, kind=LATE, text=text, dataset=dataset, partitions=partitions, opened_at=turn.now
    )
    _open(turn, row)


def arrived(turn: Turn, row: PartitionRow) -> None:
    """Take a partition that is there from the alert of its dataset."""
    if not row.ready or turn.definitions.datasets[row.dataset].expect is None:
        return
    cause = f"{LATE}/{row.dataset}"
    alert = turn.state.open_alert(cause)
    if alert is None or row.partition not in alert.partitions:
        return
    left = tuple(key for key in alert.partitions if key != row.partition)
    if left:
        turn.state.put_alert(
            alert._replace(partitions=left, text=f"{row.dataset} is late: {', '.join(left)}")
        )
    else:
        _resolve(turn, cause)


def sensor_reported(turn: Turn, pipeline: str, sensor: str, error: str | None) -> None:
    """Open or resolve the alert of a sensor."""
    cause = f"{SENSOR_DOWN}/{pipeline}/{sensor}"
    if error is None:
        _resolve(turn, cause)
    elif turn.state.open_alert(cause) is None:
        text = f"sensor {pipeline}/{sensor} is down: {error}"
        _open(
            turn,
            AlertRow(id="", cause=cause, kind=SENSOR_DOWN, text=text, pipeline=pipeline, opened_at=turn.now),
        )


def _open(turn: Turn, row: AlertRow) -> None:
    if turn.state.open_alert(row.cause) is not None:
        return
    row = row._replace(id=turn.moment.new_id())
    turn.state.put_alert(row)
    _tell(turn, row)


def _resolve(turn: Turn, cause: str) -> None:
    alert = turn.state.open_alert(cause)
    if alert is not None:
        row = alert._replace(resolved_at=turn.now)
        turn.state.put_alert(row)
        _tell(turn, row)


def _tell(turn: Turn, row: AlertRow) -> None:
    turn.orders.append(
        SendAlert(
            id=row.id,
            kind=row.kind,
            text=row.text,
            resolved=row.resolved_at is not None,
            pipeline=row.pipeline,
            dataset=row.dataset,
            partitions=row.partitions,
            run_id=row.run_id,
            at=turn.now,
        )
    )
