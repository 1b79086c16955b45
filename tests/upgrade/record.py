"""Records what this version decides, for later ones to be held against: `python -m tests.upgrade.record X`.

A story is sent to the decisions over an SQLite store. In `recorded/X`, `log.jsonl` gets every message with
what was decided, and `state.db.gz` the store as it was in the middle of the log. What was recorded once is
never recorded again: `test_upgrade` replays the log, whole and from the middle on.
"""

import asyncio
import gzip
import json
import sqlite3
import sys
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter
from pydantic_core import to_jsonable_python

from sensorflow.core import messages
from sensorflow.core.commands import Order, SendAlert, StartAttempt, StopAttempt
from sensorflow.core.decide import decide, dispatch
from sensorflow.core.definitions import Definitions
from sensorflow.core.errors import SensorflowError
from sensorflow.core.messages import (
    Answer,
    AttemptEnded,
    CalledBack,
    CancelBackfill,
    DeclaredReady,
    MakeRun,
    MarkTask,
    Message,
    Moment,
    Observed,
    PausePipeline,
    Receipt,
    Redrive,
    RetryTasks,
    Reviewed,
    StartBackfill,
    TimersDue,
    WithdrawPartition,
)
from sensorflow.core.states import AttemptState, TaskState
from sensorflow.core.turn import Turn
from sensorflow.core.vocabulary import Event
from sensorflow.home import load_home
from sensorflow.ports import Store
from sensorflow.sensors import SENSORS
from sensorflow.store.sqlite import SqliteStore

HERE = Path(__file__).parent
RECORDED = HERE / "recorded"
#: 2026-06-03T00:00Z
BEGIN = 1_780_444_800.0
DAY_S = 86_400.0
WORKERS = 6


def definitions() -> Definitions:
    """Return what the home of the story defines."""
    return load_home(HERE / "home", {}, SENSORS).definitions


class Decider:
    """The decisions over a store, with ids that are the same each time."""

    def __init__(self, store: Store, ids: int = 0) -> None:
        self.store = store
        self.ids = ids
        self.definitions = definitions()

    def decide(self, message: Message, now: float) -> dict[str, Any]:
        """Decide a message as a group of its own, and return what that says to the world."""
        moment = Moment(now=now, new_id=self._new_id, new_token=self._new_id, draw=lambda: 0.0)
        turn = Turn(self.definitions, self.store.begin(), moment)
        answer: Answer | SensorflowError
        try:
            answer = decide(turn, message)
        except SensorflowError as error:
            answer = error
        dispatch(turn, WORKERS)
        asyncio.run(self.store.commit())
        return {"answer": _answer(answer), "orders": [_order(order) for order in turn.orders]}

    def _new_id(self) -> str:
        self.ids += 1
        return f"id-{self.ids:06}"


def _answer(answer: Answer | SensorflowError) -> Any:
    if isinstance(answer, SensorflowError):
        return {"refused": type(answer).__name__}
    if isinstance(answer, Receipt):
        arrivals = [[a.dataset, a.partition, a.part, a.version] for a in answer.arrivals]
        return {"seq": answer.seq, "state": answer.state.value, "arrivals": arrivals}
    return None if answer is None else {"id": answer.id, "created": answer.created}


def _order(order: Order) -> Any:
    match order:
        case StartAttempt():
            return {
                "start": order.idempotency_key,
                "partition": order.partition,
                "attempt": order.number,
                "inputs": to_jsonable_python(order.inputs, fallback=dict),
                "missing": to_jsonable_python(order.missing, fallback=dict),
                "token": order.token,
            }
        case StopAttempt():
            return {"stop": [order.run_id, order.task, order.number]}
        case SendAlert():
            return {"alert": order.kind, "text": order.text, "resolved": order.resolved}


def written(message: Message) -> dict[str, Any]:
    """Return a message as a line of the log has it."""
    fields: Any = message._asdict() if isinstance(message, tuple) else message
    if isinstance(message, Observed | DeclaredReady):
        fields = {**fields, "event": message.event._asdict()}
    return {"kind": type(message).__name__, "fields": to_jsonable_python(fields, fallback=dict)}


def read(line: Mapping[str, Any]) -> Message:
    """Return the message of a line of the log."""
    kind = getattr(messages, line["kind"])
    fields = line["fields"]
    if "event" in fields:
        fields = {**fields, "event": Event(**fields["event"])}
    found: Message = TypeAdapter(kind).validate_python(fields)
    return found


class Story:
    """What happens in the home: it goes on by what was decided, so it can be told only once."""

    def __init__(self, decider: Decider) -> None:
        self.now = BEGIN
        self.lines: list[dict[str, Any]] = []
        self._decider = decider
        self._running: list[list[Any]] = []
        self._events = 0

    def send(self, message: Message) -> dict[str, Any]:
        told = self._decider.decide(message, self.now)
        line = {"at": self.now, **written(message), "ids": self._decider.ids, "told": told}
        self.lines.append(json.loads(json.dumps(line)))
        for order in told["orders"]:
            if "start" in order:
                self._running.append([order["start"], order["attempt"], order["token"]])
        return told

    def ready(self, dataset: str, partition: str, part: str | None = None) -> None:
        self._events += 1
        event = Event(source=f"/ready/{dataset}", id=f"e{self._events}", data={"n": self._events})
        self.send(DeclaredReady(event=event, dataset=dataset, partition=partition, part=part))

    def end(self, state: AttemptState = AttemptState.SUCCEEDED, error: str | None = None) -> None:
        """Let the attempt end that was started first; one that is called back ends so."""
        key, number, token = self._running.pop(0)
        run_id, _, task = key.split("/")
        if token is not None:
            self.send(CalledBack(token=token, state=state, error=error))
        else:
            self.send(AttemptEnded(run_id=run_id, task=task, number=number, state=state, error=error))

    def end_all(self) -> None:
        while self._running:
            self.end()

    def wait(self, seconds: float) -> None:
        until = self.now + seconds
        while (due_at := self._decider.store.reader.next_timer_at()) is not None and due_at <= until:
            self.now = max(self.now, due_at)
            self.send(TimersDue())
        self.now = until

    def tell(self) -> Iterator[None]:
        """Tell it, with a rest in the middle."""
        self.send(Reviewed())
        for day in ("2026-06-01", "2026-06-02", "2026-06-03"):
            self.ready("orders", day)
            self.ready("payments", day, "eu")
        self.ready("rates", "")
        self.ready("payments", "2026-06-01", "us")
        self.end(AttemptState.FAILED, "exit status 1")
        self.wait(60)
        self.end_all()
        self.ready("payments", "2026-06-02", "us")
        self.end_all()
        posted = {"type": "orders.exported", "source": "/erp"}
        self.send(Observed(event=Event(**posted, id="good", data={"date": "2026-06-04"})))
        self.send(Observed(event=Event(**posted, id="bad", data={"date": "soon"})))
        self.send(Observed(event=Event(**posted, id="good", data={"date": "2026-06-04"})))
        self.ready("orders", "2026-06-01")  # Late: the run's next generation.
        self.end_all()
        for key in ("k-1", "k-2", "k-1"):
            self.ready("pieces", key)
        self.ready("burst", "k-3")
        self.wait(DAY_S / 4)
        self.end()
        self.ready("weather", "2026-06-03")
        self.send(PausePipeline(pipeline="shop", paused=True, reason="a look at it"))
        self.ready("payments", "2026-06-03", "us")
        self.ready("rates", "")
        backfill = StartBackfill(
            pipeline="shop", partitions=("2026-05-01", "2026-05-02"), first="2026-05-01", last="2026-05-02"
        )
        self.send(backfill)
        self.wait(DAY_S)
        yield
        self.send(Reviewed())
        self.ready("orders", "2026-05-01")
        self.ready("payments", "2026-05-01", "us")
        self.ready("payments", "2026-05-01", "eu")
        self.send(PausePipeline(pipeline="shop", paused=False))
        self.end_all()
        self.ready("sales", "2026-06-01")  # Late for a week that has consumed it: stale.
        self.send(WithdrawPartition(dataset="payments", partition="2026-06-02", part="us", reason="wrong"))
        self.ready("payments", "2026-06-02", "us")
        for _ in range(2):
            self.end(AttemptState.FAILED, "exit status 3")
            self.wait(60)
        self.end_all()
        failed = [
            row.id
            for row in self._decider.store.listing.runs(
                pipeline=None, partition=None, state=None, before=None, limit=100
            )
            if row.state == "failed"
        ]
        for run_id in failed:
            self.send(RetryTasks(run_id=run_id, reason="mended"))
        self.end_all()
        self.ready("pieces", "k-2")
        self.end(AttemptState.FAILED, "no box")
        shop = self._decider.store.reader.run_of("keyed", "k-2")
        assert shop is not None
        self.send(MarkTask(run_id=shop.id, task="ship", state=TaskState.SKIPPED))
        self.send(Redrive(seq=9_999))
        self.send(Redrive(seq=3))
        self.send(MakeRun(pipeline="timed", partition="2026-06-03"))
        self.send(CancelBackfill(backfill=self._backfill()))
        self.wait(2 * DAY_S)
        self.end_all()
        self.ready("orders", "2026-06-02")
        self.ready("rates", "")
        self.end_all()

    def _backfill(self) -> str:
        (row,) = self._decider.store.listing.backfills(before=None, limit=2)
        return row.id


def record(folder: Path) -> None:
    """Tell the story and keep what it makes."""
    folder.mkdir(parents=True)
    with tempfile.TemporaryDirectory() as place:
        path = Path(place) / "state.db"
        store = SqliteStore(path)
        story = Story(Decider(store))
        middle = 0
        for _ in story.tell():
            middle = len(story.lines)
            copy = sqlite3.connect(Path(place) / "copy.db")
            with sqlite3.connect(path) as source:
                source.backup(copy)
            copy.execute("PRAGMA journal_mode = DELETE")
            copy.close()
            with gzip.GzipFile(folder / "state.db.gz", "wb", mtime=0) as packed:
                packed.write((Path(place) / "copy.db").read_bytes())
        store.close()
    lines = [json.dumps({"stored": number < middle, **line}) for number, line in enumerate(story.lines)]
    (folder / "log.jsonl").write_text("\n".join(lines) + "\n")


if __name__ == "__main__":
    record(RECORDED / sys.argv[1])
