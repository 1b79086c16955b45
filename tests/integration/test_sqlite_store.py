"""What only the SQLite store can show: files, crashes, full disks, and how it finds its rows."""

import asyncio
import re
import resource
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, contextmanager
from math import ceil
from pathlib import Path

import pytest

from sensorflow.core import retention
from sensorflow.core.definitions import Definitions
from sensorflow.core.messages import Moment
from sensorflow.core.state import State, TimerRow, WatermarkRow
from sensorflow.core.states import AttemptState, RunState, TaskState
from sensorflow.core.turn import Turn
from sensorflow.core.vocabulary import Retention
from sensorflow.ports import StoreError
from sensorflow.store import queries, tables
from sensorflow.store.sqlite import SqliteStore
from sensorflow.store.sqlite_file import examine
from tests.store_rows import (
    alert_row,
    arrival_row,
    attempt_row,
    backfill_row,
    event_row,
    operation_row,
    partition_row,
    put_event,
    run_row,
    task_row,
    timer_row,
)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "state.db"


@pytest.fixture
def store(path: Path) -> Iterator[SqliteStore]:
    made = SqliteStore(path)
    yield made
    made.close()


async def test_reopening_keeps_rows_numbers_and_instance(path: Path) -> None:
    with closing(SqliteStore(path)) as first:
        put_event(first.begin())
        await first.commit()
        instance = first.instance
    with closing(SqliteStore(path)) as second:
        assert second.instance == instance
        assert second.reader.event(1) == event_row(1)
        assert second.begin().next_seq() == 2


async def test_a_number_is_not_given_again_when_its_event_was_deleted(path: Path) -> None:
    with closing(SqliteStore(path)) as first:
        put_event(first.begin())
        await first.commit()
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("DELETE FROM events")
        connection.commit()
    with closing(SqliteStore(path)) as second:
        assert second.begin().next_seq() == 2
        assert second.reader.identity("/erp", "event-1") == 1


async def test_what_is_not_committed_is_gone_after_closing(path: Path) -> None:
    with closing(SqliteStore(path)) as first:
        state = first.begin()
        put_event(state)
        assert state.partitions("orders", ["key-000000001"])
    with closing(SqliteStore(path)) as second:
        assert second.reader.event(1) is None


async def test_the_reader_does_not_see_what_is_not_committed(store: SqliteStore) -> None:
    state = store.begin()
    seq = put_event(state)
    key = "key-000000001"
    assert state.newest_ready("orders", None) == partition_row(key, start=1.0)
    assert store.reader.newest_ready("orders", None) is None
    assert store.listing.partitions("orders", after=None, limit=5) == []
    await store.commit()
    assert store.reader.event(seq) == event_row(seq)
    assert store.reader.newest_ready("orders", None) == partition_row(key, start=1.0)


def test_the_reading_connection_cannot_write(store: SqliteStore) -> None:
    with pytest.raises(sqlite3.OperationalError, match="readonly"):
        store._reading.execute("DELETE FROM events")


def test_commits_survive_power_loss_by_the_settings_that_sqlite_has_for_it(store: SqliteStore) -> None:
    assert store._writer.execute("PRAGMA journal_mode").fetchone()[0] == "wal"
    assert store._writer.execute("PRAGMA synchronous").fetchone()[0] == 2


@pytest.mark.parametrize("busy", [False, True])
async def test_transactions_of_any_size_are_committed(store: SqliteStore, busy: bool) -> None:
    for size in (0, 1, 300):
        state = store.begin()
        for _ in range(size):
            put_event(state)
        await store.commit(busy=busy)
    assert store.reader.event(301) == event_row(301)


async def test_a_cancelled_commit_is_carried_through_and_leaves_the_store_usable(store: SqliteStore) -> None:
    put_event(store.begin())
    commit = asyncio.create_task(store.commit(busy=True))
    await asyncio.sleep(0)
    commit.cancel()
    with pytest.raises(asyncio.CancelledError):
        await commit
    assert store.reader.event(1) == event_row(1)
    put_event(store.begin())
    await store.commit()
    assert store.reader.event(2) == event_row(2)


async def test_a_full_database_is_an_error_and_the_store_goes_on(store: SqliteStore) -> None:
    pages = store._writer.execute("PRAGMA page_count").fetchone()[0]
    store._writer.execute(f"PRAGMA max_page_count = {pages}")
    state = store.begin()
    for _ in range(500):
        put_event(state)
    with pytest.raises(StoreError, match="full"):
        await store.commit()
    assert store.reader.event(1) is None

    store._writer.execute("PRAGMA max_page_count = 1000000")
    assert put_event(store.begin()) == 1
    await store.commit()
    assert store.reader.event(1) == event_row(1)


@contextmanager
def files_limited_to(size: int) -> Iterator[None]:
    """Let no file of this process grow beyond `size` bytes."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


@pytest.mark.parametrize("busy", [False, True])
async def test_a_commit_that_the_disk_refuses_is_undone_and_the_store_goes_on(
    store: SqliteStore, path: Path, busy: bool
) -> None:
    put_event(store.begin())
    await store.commit()
    put_event(store.begin())
    with files_limited_to(path.with_name("state.db-wal").stat().st_size), pytest.raises(StoreError):
        await store.commit(busy=busy)
    assert store.reader.event(2) is None
    assert store.reader.run("run-000000002") is None

    assert put_event(store.begin()) == 2
    await store.commit(busy=busy)
    assert store.reader.event(2) == event_row(2)


def test_a_second_writer_is_told_that_the_store_is_in_use(store: SqliteStore, path: Path) -> None:
    store.begin()
    with closing(SqliteStore(path, busy_timeout_s=0)) as second:
        with pytest.raises(StoreError, match="locked"):
            second.begin()
        store.rollback()
        second.begin()


def test_a_database_of_a_newer_version_is_refused_and_left_as_it_is(path: Path) -> None:
    SqliteStore(path).close()
    with closing(sqlite3.connect(path)) as connection:
        connection.execute(
            "INSERT INTO _sqlite_migrations (migration_set, name, applied_at)"
            " VALUES ('sensorflow', 'from_the_future', 'x')"
        )
        connection.commit()
    with pytest.raises(StoreError, match=r"state\.db: was written by a newer version .*from_the_future"):
        SqliteStore(path)


def test_a_file_that_is_no_database_is_refused(path: Path) -> None:
    path.write_text("not a database, but long enough to be looked at " * 10)
    with pytest.raises(StoreError, match=r"state\.db: cannot be used as a store"):
        SqliteStore(path)


def test_a_folder_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="absent"):
        SqliteStore(tmp_path / "absent" / "state.db")


_WRITER = """
import asyncio, sys
from sensorflow.store.sqlite import SqliteStore
from tests.store_rows import put_event

async def main():
    store = SqliteStore(sys.argv[1])
    while True:
        state = store.begin()
        seqs = [put_event(state) for _ in range(3)]
        state.newest_ready("orders", None)
        state.open_runs("daily_sales", since=None, before=None, after="", limit=1)
        if seqs[-1] == 300:
            print("inside", flush=True)
            sys.stdin.read()
        await store.commit(busy=bool(seqs[-1] % 2))
        print(seqs[-1], flush=True)

asyncio.run(main())
"""


@contextmanager
def writer(path: Path) -> Iterator["subprocess.Popen[str]"]:
    command = [sys.executable, "-c", _WRITER, str(path)]
    pipe = subprocess.PIPE
    with subprocess.Popen(command, stdin=pipe, stdout=pipe, text=True, cwd=Path.cwd()) as child:
        try:
            yield child
        finally:
            child.kill()


def kill_after(path: Path, last_line: str) -> int:
    """Run a writer, kill it when it has said `last_line`, and return the last number it had stored."""
    stored = 0
    with writer(path) as child:
        assert child.stdout
        for line in child.stdout:
            if line.strip().isdigit():
                stored = int(line)
            if line.strip() == last_line:
                child.send_signal(signal.SIGKILL)
                break
        else:
            pytest.fail(f"the writer ended before it said {last_line}")
    return stored


def whole_events(path: Path) -> int:
    """Return how many events there are, each of them with all that was put beside it."""
    with closing(SqliteStore(path)) as store, closing(sqlite3.connect(path)) as connection:
        assert connection.execute("PRAGMA integrity_check").fetchone()[0] == "ok"
        tables_of_events = ("events", "identities", "arrivals", "parts", "partitions", "runs")
        questions = [f"SELECT count(*) FROM {name}" for name in tables_of_events]  # noqa: S608 - names above
        counts = {connection.execute(question).fetchone()[0] for question in questions}
        assert len(counts) == 1
        count: int = counts.pop()
        assert all(store.reader.event(seq) for seq in range(1, count + 1))
        return count


def test_a_kill_in_a_transaction_loses_nothing_committed_and_shows_nothing_else(path: Path) -> None:
    assert kill_after(path, "inside") == 297
    assert whole_events(path) == 297


@pytest.mark.parametrize("last_line", ["3", "60", "150"])
def test_a_kill_at_any_moment_leaves_whole_groups(path: Path, last_line: str) -> None:
    stored = kill_after(path, last_line)
    found = whole_events(path)
    assert found >= stored == int(last_line)
    assert found % 3 == 0


# --- How rows are found. ---

_QUERIES = {
    **{
        name: text
        for name, text in vars(queries).items()
        if isinstance(text, str) and name.isupper() and not name.startswith("_")
    },
    **{f"DROP_RUN {number}": text for number, text in enumerate(queries.DROP_RUN)},
    **{
        f"{name} {number}": text
        for name, texts in vars(queries).items()
        if isinstance(texts, Mapping) and name.isupper() and not name.startswith("_")
        for number, text in texts.items()
    },
    **{
        f"{table.name} {how}": text
        for table in vars(tables).values()
        if isinstance(table, tables.Table)
        for how, text in (("by key", table.select), ("of a group", table.select_group))
        if how == "by key" or len(table.key) > 1
    },
}

#: The indexes that hold only what is going on now, so that walking one is walking the answer.
_SMALL = ("tasks_queued", "attempts_running")
#: No tables that grow: what a query makes or is given, one row, one row for each sensor, pipeline or token.
_NOT_GROWING = (
    "found",
    "asked",
    "(subquery",
    "json_each",
    "sqlite_sequence",
    "sensors",
    "pipelines",
    "tokens",
)
#: What is sorted is bounded: by a limit on how many lie between; by the parts that one event brings.
_SORTED = {"OPEN_RUNS_BETWEEN", "RUNS_BETWEEN", "ALL_TOKENS"}


def plan(store: SqliteStore, query: str) -> list[str]:
    names = re.findall(r":(\w+)", query)
    values = dict.fromkeys(names) if names else (None,) * query.count("?")
    return [row[3] for row in store._writer.execute(f"EXPLAIN QUERY PLAN {query}", values)]


@pytest.mark.parametrize("name", _QUERIES)
def test_no_query_scans_a_table_that_grows(store: SqliteStore, name: str) -> None:
    steps = plan(store, _QUERIES[name])
    assert steps
    for step in steps:
        if step.startswith("SCAN") and not step.endswith("CONSTANT ROWS"):
            table = step.split()[1].partition("-")[0]
            assert table in _NOT_GROWING or step.split()[-1] in _SMALL, step
        if step.startswith("USE TEMP B-TREE"):
            assert name in _SORTED, step


def fill_with_history(state: State, count: int) -> None:
    """Put what has ended or waits for something else, and a little that goes on."""
    for n in range(count):
        put_event(state)
        pipeline = ("daily_sales", "archive")[n % 2]  # With and without queued tasks.
        state.add_arrival(arrival_row(n + 1, dataset="parts", part="EWR", ready=False))
        state.put_run(
            run_row(f"ended-{n:06d}", pipeline=pipeline, state=RunState.SUCCEEDED, backfill=f"b{n // 10}")
        )
        state.put_task(task_row(f"ended-{n:06d}", "load", pipeline=pipeline, state=TaskState.SUCCEEDED))
        ended = attempt_row(
            f"ended-{n:06d}", "load", state=AttemptState.SUCCEEDED, token=f"token-{n}" if n % 2 else None
        )
        state.put_attempt(ended)
        state.put_timer(timer_row(f"timer-{n:06d}", 5000.0 + n))
        state.put_alert(alert_row(f"alert-{n:06d}", cause="late/orders", resolved_at=2000.0))
        state.put_watermark(WatermarkRow(pipeline=f"p{n}", task="load", dataset="orders", seq=n))
        state.put_backfill(backfill_row(f"b{n}"))
        state.add_operation(operation_row(f"operation-{n:06d}", run_id=f"ended-{n:06d}"))
    state.put_alert(alert_row("alert-open", cause="late/orders"))
    for n in range(3):
        state.put_run(run_row(f"active-{n}", start=-1.0, active=True, state=RunState.RUNNING))
        state.put_task(task_row(f"active-{n}", "load"))
        state.put_attempt(attempt_row(f"active-{n}", "load"))


_QUESTIONS: dict[str, Callable[[State], object]] = {
    "identity": lambda state: state.identity("/erp", "event-7"),
    "event": lambda state: state.event(7),
    "partition": lambda state: state.partition("orders", "key-000000007"),
    "partitions": lambda state: state.partitions("orders", ["key-000000007", "x"]),
    "newest_ready": lambda state: state.newest_ready("orders", None),
    "newest_ready not after": lambda state: state.newest_ready("orders", 50.0),
    "newest_arrival": lambda state: state.newest_arrival("orders"),
    "parts": lambda state: state.parts("orders", "key-000000007"),
    "run": lambda state: state.run("run-000000007"),
    "run_of": lambda state: state.run_of("daily_sales", "of-run-000000007"),
    "run_of none": lambda state: state.run_of("daily_sales", ""),
    "open_runs": lambda state: state.open_runs("daily_sales", since=None, before=None, after="", limit=5),
    "open_runs between": lambda state: state.open_runs(
        "daily_sales", since=5.0, before=8.0, after="", limit=5
    ),
    "runs_between": lambda state: state.runs_between(
        "daily_sales", since=None, before=None, after="", limit=5
    ),
    "runs_between two starts": lambda state: state.runs_between(
        "daily_sales", since=5.0, before=8.0, after="", limit=5
    ),
    "backfill_runs": lambda state: state.backfill_runs("b3", after="", limit=5),
    "active_runs": lambda state: state.active_runs("daily_sales"),
    "tasks": lambda state: state.tasks("ended-000007"),
    "queued_lanes": lambda state: state.queued_lanes(),
    "next_queued": lambda state: state.next_queued("daily_sales", "", None),
    "next_queued of run": lambda state: state.next_queued("daily_sales", "", "active-1"),
    "running": lambda state: state.running(),
    "running_count": lambda state: state.running_count(None),
    "running_count of": lambda state: state.running_count("daily_sales"),
    "attempts": lambda state: state.attempts("ended-000007"),
    "attempt_of": lambda state: state.attempt_of("token-7"),
    "last_seq": lambda state: state.last_seq(),
    "arrivals": lambda state: state.arrivals(7),
    "ready_arrivals_since": lambda state: state.ready_arrivals_since("orders", 0, 5),
    "ready_arrivals_since none": lambda state: state.ready_arrivals_since("parts", 0, 5),
    "watermark": lambda state: state.watermark("p7", "load", "orders"),
    "backfill": lambda state: state.backfill("b7"),
    "open_alert": lambda state: state.open_alert("late/orders"),
    "timer": lambda state: state.timer("timer-000007"),
    "due_timers": lambda state: state.due_timers(1.0, 5),
    "next_timer_at": lambda state: state.next_timer_at(),
}


def work_of(store: SqliteStore, ask: Callable[[State], object]) -> int:
    """Return how many steps SQLite's machine takes to answer."""
    steps = 0

    def count() -> int:
        nonlocal steps
        steps += 1
        return 0

    ask(store.reader)  # Prepared once, as in the life of a service.
    store._reading.set_progress_handler(count, 1)
    ask(store.reader)
    store._reading.set_progress_handler(None, 1)
    return steps


async def test_lanes_are_found_without_walking_over_what_stands_in_them(tmp_path: Path) -> None:
    work: list[int] = []
    for size in (100, 2000):
        with closing(SqliteStore(tmp_path / f"{size}.db")) as store:
            state = store.begin()
            for n in range(size):
                state.put_task(
                    task_row(f"r{n:06d}", "load", pipeline="ab"[n % 2], lane=("", "b1")[n // 2 % 2])
                )
            await store.commit()
            assert len(store.reader.queued_lanes()) == 4
            work.append(work_of(store, lambda state: state.queued_lanes()))
    assert work[1] <= 1.2 * work[0]


@pytest.mark.parametrize("pairs", [3, 8, 64, 150])
async def test_what_is_foreseen_is_read_at_once_and_not_asked_for_again(tmp_path: Path, pairs: int) -> None:
    keys = [f"key-{n:09d}" for n in range(pairs)]
    with closing(SqliteStore(tmp_path / "state.db")) as store:
        state = store.begin()
        for n, key in enumerate(keys[::2]):
            state.add_event(event_row(state.next_seq(), id=key))
            state.put_partition(partition_row(key))
            state.put_run(run_row(f"run-{n}", partition=key))
            if n % 2:
                state.put_task(task_row(f"run-{n}", "load"))
                state.put_task(task_row(f"run-{n}", "join"))
        await store.commit()
    with closing(SqliteStore(tmp_path / "state.db")) as store:
        state, asked = store.begin(), list[str]()
        store._writer.set_trace_callback(asked.append)
        state.foresee(*([(name, key) for key in keys] for name in ("/erp", "orders", "daily_sales")))
        questions = 3 * ceil(pairs / 64) + ceil(ceil(pairs / 2) / 64)
        assert len(asked) == questions
        for number, key in enumerate(keys):
            there = number % 2 == 0
            assert (state.identity("/erp", key) is not None) == there
            assert (state.partition("orders", key) is not None) == there
            run = state.run_of("daily_sales", key)
            assert (run.id if run else None) == (f"run-{number // 2}" if there else None)
            if run is not None:
                assert list(state.tasks(run.id)) == ["join", "load"] * (number // 2 % 2)
        assert len(asked) == questions


async def test_no_question_takes_more_work_when_history_grows(tmp_path: Path) -> None:
    work: list[dict[str, int]] = []
    for size in (100, 2000):
        with closing(SqliteStore(tmp_path / f"{size}.db")) as store:
            fill_with_history(store.begin(), size)
            await store.commit()
            work.append({name: work_of(store, ask) for name, ask in _QUESTIONS.items()})
    small, large = work
    assert all(small.values())
    grown = {name: (small[name], large[name]) for name in small if large[name] > 1.2 * small[name]}
    assert grown == {}


async def test_the_file_becomes_shorter_when_much_was_dropped_and_keeps_a_reserve(path: Path) -> None:
    with closing(SqliteStore(path)) as store:
        state = store.begin()
        for _ in range(4000):
            put_event(state)
        await store.commit()
        whole = pages(path)
        for begin in range(0, 4000, 200):
            state = store.begin()
            for seq in range(begin + 1, begin + 201):
                state.drop_event(seq)
            await store.commit()
        left = pages(path)
        free = store._pragma("freelist_count")
        assert left < whole
        assert 0 < free <= left / 3  # A quarter of what there was before the last pages went.
        assert store.reader.identity("/erp", "event-1") == 1
    assert examine(path, thoroughly=True).faults == ()


def pages(path: Path) -> int:
    with closing(sqlite3.connect(path)) as connection:
        return int(connection.execute("PRAGMA page_count").fetchone()[0])


async def test_large_events_go_a_few_at_a_time(path: Path) -> None:
    with closing(SqliteStore(path)) as store:
        state = store.begin()
        for _ in range(12):
            row = event_row(state.next_seq())
            state.add_event(row._replace(event=row.event._replace(data="x" * 1_000_000)))
        await store.commit()
        definitions = Definitions(pipelines={}, datasets={}, sensors={})
        left: list[int] = []
        timer = TimerRow(key="retention/events", due_at=0.0, kind="retention")
        while not left or timer.after:
            moment = Moment(now=1e9, new_id=str, new_token=str, draw=float)
            turn = Turn(definitions, store.begin(), moment, retention=Retention(events_s=1.0))
            retention.due(turn, timer)
            await store.commit()
            left.append(len(store.reader.event_marks(0, 99)))
            timer = store.reader.timer(timer.key) or timer
        assert left == [3, 0]
