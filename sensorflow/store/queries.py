"""The questions that are put to the SQL stores and concern more than one key, by name.

The condition of a partial index stands in each query that is to use it, word for word.
"""

from collections.abc import Iterable, Mapping
from typing import Any, TypeAlias

from sensorflow.core.states import RunState
from sensorflow.store.tables import (
    ALERTS,
    ARRIVALS,
    ATTEMPTS,
    BACKFILLS,
    EVENTS,
    IDENTITIES,
    OPERATIONS,
    PARTITIONS,
    PIPELINES,
    RUNS,
    SENSORS,
    TASKS,
    TIMERS,
    TOKENS,
    Table,
)

_OPEN = ("waiting", "running", "failed")
_IS_OPEN = "state IN ('waiting', 'running', 'failed')"
_HAS_ENDED = "state IN ('succeeded', 'cancelled')"
#: It has a version since it was ready first; by this what only counts arrivals leaves the indexes alone.
_IS_READY = "ready_at IS NOT NULL AND withdrawn = 0"


def _by_id(runs: str, states: Iterable[str] = tuple(RunState)) -> str:
    """Return a query for runs by id; an index holds those of each state so, SQLite merges what it finds."""
    pages = (f"SELECT {RUNS.columns} FROM runs WHERE {runs} AND state = '{state}'" for state in states)
    return " UNION ALL ".join(f"{page} AND id > :after" for page in pages) + " ORDER BY id LIMIT :limit"


# --- Decisions: none of these may get slower as history or the number of waiting runs grows. ---

LAST_SEQ = "SELECT seq FROM sqlite_sequence WHERE name = 'events'"
#: Changes nothing, and is written all the same.
WRITE_SOMETHING = "UPDATE meta SET value = value WHERE key = 'instance'"
INSTANCE = "SELECT value FROM meta WHERE key = 'instance'"

REPLACE_EVENT = "UPDATE events SET state = ?, reason = ? WHERE seq = ?"

ARRIVALS_OF_EVENT = f"SELECT {ARRIVALS.columns} FROM arrivals WHERE seq = ? ORDER BY dataset, partition, part"
READY_ARRIVALS_SINCE = """
    SELECT count(*) FROM (
        SELECT 1 FROM arrivals INDEXED BY arrivals_of_dataset
        WHERE dataset = ? AND ready = 1 AND seq > ? AND NOT EXISTS (
            SELECT 1 FROM partitions
            WHERE partitions.dataset = arrivals.dataset AND partitions.partition = arrivals.partition
            AND withdrawn = 1)
        LIMIT ?)"""

#: A query for the rows of so many keys at once, by their number, the least first.
OfKeys: TypeAlias = Mapping[int, str]
NUMBERS = (4, 8, 16, 32, 64)


def _of_keys(table: Table[Any], *key: str, condition: str = "TRUE") -> OfKeys:
    """Return queries for the rows of keys of so many columns, by how many keys are asked for."""
    one = f"({', '.join('?' * len(key))})"
    names = ", ".join(f"of_{column}" for column in key)
    where = " AND ".join(f"{column} = asked.of_{column}" for column in key)
    return {
        number: f"""
    WITH asked ({names}) AS (VALUES {", ".join([one] * number)})
    SELECT {table.columns} FROM asked CROSS JOIN {table.name} WHERE {where} AND {condition}"""
        for number in NUMBERS
    }


IDENTITIES_OF_KEYS = _of_keys(IDENTITIES, "source", "id")
PARTITIONS_OF_PAIRS = _of_keys(PARTITIONS, "dataset", "partition")
RUNS_OF_PARTITIONS = _of_keys(RUNS, "pipeline", "partition", condition="partition <> ''")
TASKS_OF_RUNS = _of_keys(TASKS, "run_id")

PARTITIONS_OF_KEYS = f"""
    SELECT {PARTITIONS.columns} FROM partitions
    WHERE dataset = ? AND partition IN (SELECT value FROM json_each(?))"""

NEWEST_READY = f"""
    SELECT {PARTITIONS.columns} FROM partitions
    WHERE dataset = ? AND {_IS_READY} AND start <= ?
    ORDER BY start DESC, partition DESC LIMIT 1"""

# What has no bounds stands before all that has.
NEWEST_READY_BESIDE = f"""
    SELECT {PARTITIONS.columns} FROM partitions INDEXED BY partitions_ready_beside
    WHERE dataset = ? AND beside = ? AND beside <> '' AND {_IS_READY} AND coalesce(start, -1e300) <= ?
    ORDER BY coalesce(start, -1e300) DESC, partition DESC LIMIT 1"""

NEWEST_READY_WITHOUT_BOUNDS = f"""
    SELECT {PARTITIONS.columns} FROM partitions
    WHERE dataset = ? AND {_IS_READY} AND start IS NULL
    ORDER BY ready_at DESC, partition DESC LIMIT 1"""

DROP_PARTS = "DELETE FROM parts WHERE dataset = ? AND partition = ?"
DROP_PART = f"{DROP_PARTS} AND part = ?"

RUN_OF = f"SELECT {RUNS.columns} FROM runs WHERE pipeline = ? AND partition = ? AND partition <> ''"
NEWEST_RUN_WITHOUT_PARTITION = f"""
    SELECT {RUNS.columns} FROM runs WHERE pipeline = ? AND length(partition) = 0 ORDER BY id DESC LIMIT 1"""

_BETWEEN = "partition_start >= :since AND partition_start < :before"
_OPEN_BETWEEN = f"runs INDEXED BY runs_open_by_start WHERE pipeline = :pipeline AND {_IS_OPEN} AND {_BETWEEN}"
_ENDED_BETWEEN = (
    f"runs INDEXED BY runs_ended_by_start WHERE pipeline = :pipeline AND {_HAS_ENDED} AND {_BETWEEN}"
)

OPEN_RUNS = _by_id("pipeline = :pipeline", _OPEN)
RUNS_OF_PIPELINE = _by_id("pipeline = :pipeline")

# How many lie between, up to a limit: it decides between the next two.
OPEN_RUNS_BETWEEN_COUNT = f"SELECT count(*) FROM (SELECT 1 FROM {_OPEN_BETWEEN} LIMIT :enough)"
RUNS_BETWEEN_COUNT = f"""
    SELECT count(*) FROM (
        SELECT 1 FROM {_OPEN_BETWEEN} UNION ALL SELECT 1 FROM {_ENDED_BETWEEN} LIMIT :enough)"""

# Few lie between: take them all and sort them.
OPEN_RUNS_BETWEEN = f"SELECT {RUNS.columns} FROM {_OPEN_BETWEEN} AND id > :after ORDER BY id LIMIT :limit"
RUNS_BETWEEN = f"""
    SELECT {RUNS.columns} FROM {_OPEN_BETWEEN} AND id > :after
    UNION ALL SELECT {RUNS.columns} FROM {_ENDED_BETWEEN} AND id > :after
    ORDER BY id LIMIT :limit"""

# Many lie between: going by id the next of them are soon found.
OPEN_RUNS_BETWEEN_BY_ID = _by_id(f"pipeline = :pipeline AND {_BETWEEN}", _OPEN)
RUNS_BETWEEN_BY_ID = _by_id(f"pipeline = :pipeline AND {_BETWEEN}")

BACKFILL_RUNS = _by_id("backfill = :backfill AND backfill <> ''")

ACTIVE_RUNS = f"SELECT {RUNS.columns} FROM runs WHERE pipeline = ? AND active = 1 ORDER BY id"


# Asked again from what it answered, so that the length of the queue does not matter.
# (Of `(pipeline, lane) > (?, ?)` SQLite would walk over all that equals.)
NEXT_QUEUED_LANE = """
    SELECT * FROM (
        SELECT pipeline, lane FROM tasks INDEXED BY tasks_queued
        WHERE state = 'queued' AND pipeline = :pipeline AND lane > :lane ORDER BY lane LIMIT 1)
    UNION ALL SELECT * FROM (
        SELECT pipeline, lane FROM tasks INDEXED BY tasks_queued
        WHERE state = 'queued' AND pipeline > :pipeline ORDER BY pipeline, lane LIMIT 1)
    LIMIT 1"""

NEXT_QUEUED = f"""
    SELECT {TASKS.columns} FROM tasks WHERE pipeline = ? AND lane = ? AND state = 'queued'
    ORDER BY priority DESC, queued_at, run_id, task LIMIT 1"""

NEXT_QUEUED_OF_RUN = f"""
    SELECT {TASKS.columns} FROM tasks INDEXED BY tasks_queued_of_run
    WHERE pipeline = ? AND lane = ? AND run_id = ? AND state = 'queued'
    ORDER BY priority DESC, queued_at, task LIMIT 1"""

RUNNING = f"""
    SELECT {ATTEMPTS.columns} FROM attempts WHERE state = 'running'
    ORDER BY pipeline, run_id, task, number"""
RUNNING_COUNT = "SELECT count(*) FROM attempts WHERE state = 'running'"
RUNNING_COUNT_OF = "SELECT count(*) FROM attempts WHERE state = 'running' AND pipeline = ?"

ATTEMPTS_OF = f"SELECT {ATTEMPTS.columns} FROM attempts WHERE run_id = ? ORDER BY task, number"
ATTEMPT_OF_TOKEN = f"SELECT {ATTEMPTS.columns} FROM attempts WHERE token = ?"

OPEN_ALERT = f"SELECT {ALERTS.columns} FROM alerts WHERE cause = ? AND resolved_at IS NULL"

DROP_TIMER = "DELETE FROM timers WHERE key = ?"
DUE_TIMERS = f"SELECT {TIMERS.columns} FROM timers WHERE due_at <= ? ORDER BY due_at, key LIMIT ?"
TIMERS_BETWEEN = f"SELECT {TIMERS.columns} FROM timers WHERE key >= ? AND key < ? ORDER BY key"
NEXT_TIMER_AT = "SELECT min(due_at) FROM timers"

# --- What is over. ---

# `content` stands for the event where no id does; `replaces` names a place whose content it is.
EVENT_MARKS = """
    SELECT seq, source,
        CASE WHEN replaces <> '' THEN replaces WHEN event_id IS NULL THEN content ELSE '' END,
        received_at, state
    FROM events WHERE seq > ? ORDER BY seq LIMIT ?"""
DROP_EVENT = "DELETE FROM events WHERE seq = ?"
DROP_ARRIVALS = "DELETE FROM arrivals WHERE seq = ?"
DROP_CONTENT = "DELETE FROM contents WHERE source = ? AND key = ?"

RUNS_ENDED = f"""
    SELECT {RUNS.columns} FROM runs INDEXED BY runs_ended
    WHERE {_HAS_ENDED} AND (ended_at, id) > (?, ?) AND ended_at < ? ORDER BY ended_at, id LIMIT ?"""
DROP_RUN = (
    "DELETE FROM firings WHERE run_id = ?",
    "DELETE FROM attempts WHERE run_id = ?",
    "DELETE FROM tasks WHERE run_id = ?",
    "DELETE FROM operations WHERE run_id = ? AND run_id <> ''",
    "DELETE FROM runs WHERE id = ?",
)
FIRST_PAST_RUN = "SELECT pipeline FROM past_runs WHERE pipeline > '' LIMIT 1"
DROP_RESOLVED_ALERTS = """
    DELETE FROM alerts WHERE id IN (
        SELECT id FROM alerts INDEXED BY alerts_opened
        WHERE opened_at < :before AND resolved_at < :before ORDER BY opened_at, id LIMIT :limit)"""

# --- Listings. Pages are found by index; counts walk an index of what they count. ---

RUNS_BEFORE = f"SELECT {RUNS.columns} FROM runs WHERE id < :before ORDER BY id DESC LIMIT :limit"

RUNS_OF_STATE_BEFORE = f"""
    SELECT {RUNS.columns} FROM runs
    WHERE pipeline = :pipeline AND state = :state AND id < :before
        AND (:partition IS NULL OR partition = :partition)
    ORDER BY id DESC LIMIT :limit"""

RUNS_BY_PARTITION_BEFORE = f"""
    SELECT {RUNS.columns} FROM runs INDEXED BY runs_of_partition
    WHERE pipeline = ? AND partition <> '' AND partition < ?
    ORDER BY partition DESC LIMIT ?"""

RUNS_OF_BACKFILL_BEFORE = f"""
    SELECT {RUNS.columns} FROM runs INDEXED BY runs_of_backfill
    WHERE backfill = :backfill AND backfill <> '' AND state = :state AND id < :before
        AND (:pipeline IS NULL OR pipeline = :pipeline) AND (:partition IS NULL OR partition = :partition)
    ORDER BY id DESC LIMIT :limit"""

PIPELINES_WITH_RUNS = """
    WITH RECURSIVE found (pipeline) AS (
        SELECT min(pipeline) FROM runs
        UNION ALL
        SELECT (SELECT min(pipeline) FROM runs WHERE pipeline > found.pipeline)
        FROM found WHERE found.pipeline IS NOT NULL)
    SELECT pipeline FROM found WHERE pipeline IS NOT NULL"""

RUN_COUNTS = "SELECT state, count(*) FROM runs WHERE pipeline = ? GROUP BY state"
BACKFILL_COUNTS = """
    SELECT state, count(*) FROM runs INDEXED BY runs_of_backfill
    WHERE backfill = ? AND backfill <> '' GROUP BY state"""
TASK_COUNTS = "SELECT state, count(*) FROM tasks WHERE pipeline = ? GROUP BY state"
QUEUED_COUNT = "SELECT count(*) FROM tasks INDEXED BY tasks_queued WHERE state = 'queued'"


def _events(order: str) -> str:
    return f"""
    SELECT {EVENTS.columns} FROM events
    WHERE seq > :after AND seq < :before AND (:state IS NULL OR state = :state)
    ORDER BY seq {order} LIMIT :limit"""


def _odd_events(order: str) -> str:
    # What was not accepted is rare, so it has an index.
    return f"""
    SELECT {EVENTS.columns} FROM events INDEXED BY events_odd
    WHERE state <> 'accepted' AND state = :state AND seq > :after AND seq < :before
    ORDER BY seq {order} LIMIT :limit"""


def _events_of_dataset(order: str) -> str:
    return f"""
    SELECT {", ".join(f"events.{column}" for column in EVENTS.columns.split(", "))}
    FROM arrivals INDEXED BY arrivals_of_dataset CROSS JOIN events ON events.seq = arrivals.seq
    WHERE arrivals.dataset = :dataset AND arrivals.ready = :ready
        AND arrivals.seq > :after AND arrivals.seq < :before
        AND (:state IS NULL OR events.state = :state)
    GROUP BY arrivals.seq ORDER BY arrivals.seq {order} LIMIT :limit"""


#: In the order in which they came, and the other way round.
EVENTS_AFTER, EVENTS_BEFORE = _events("ASC"), _events("DESC")
ODD_EVENTS_AFTER, ODD_EVENTS_BEFORE = _odd_events("ASC"), _odd_events("DESC")
EVENTS_OF_DATASET_AFTER, EVENTS_OF_DATASET_BEFORE = _events_of_dataset("ASC"), _events_of_dataset("DESC")

# Events are numbered as they are received, so that what was received when is found by halving.
FIRST_SEQ = "SELECT min(seq) FROM events"
RECEIVED_FROM = "SELECT received_at FROM events WHERE seq >= ? ORDER BY seq LIMIT 1"
REJECTED_BETWEEN = """
    SELECT count(*) FROM events INDEXED BY events_odd
    WHERE state <> 'accepted' AND state = 'rejected' AND seq >= ? AND seq < ?"""


def _odd_events_of_pipeline(order: str) -> str:
    return f"""
    SELECT {EVENTS.columns} FROM events INDEXED BY events_odd_of_pipeline
    WHERE state <> 'accepted' AND sensor_pipeline = :pipeline AND seq > :after AND seq < :before
        AND (:state IS NULL OR state = :state)
    ORDER BY seq {order} LIMIT :limit"""


ODD_EVENTS_OF_PIPELINE_AFTER = _odd_events_of_pipeline("ASC")
ODD_EVENTS_OF_PIPELINE_BEFORE = _odd_events_of_pipeline("DESC")

PARTITIONS_BEFORE = f"""
    SELECT {PARTITIONS.columns} FROM partitions
    WHERE dataset = ? AND partition < ? ORDER BY partition DESC LIMIT ?"""

READY_COUNT = f"SELECT count(*) FROM partitions INDEXED BY partitions_ready WHERE dataset = ? AND {_IS_READY}"
PARTIAL_COUNT = """
    SELECT count(*) FROM partitions INDEXED BY partitions_partial
    WHERE dataset = ? AND arrivals > 0 AND (ready_at IS NULL OR withdrawn = 1)"""

ALL_SENSORS = f"SELECT {SENSORS.columns} FROM sensors ORDER BY pipeline, name"
ALL_PIPELINES = f"SELECT {PIPELINES.columns} FROM pipelines ORDER BY name"

BACKFILLS_BEFORE = f"""
    SELECT {BACKFILLS.columns} FROM backfills WHERE id < :before ORDER BY id DESC LIMIT :limit"""
BACKFILLS_OF_PIPELINE_BEFORE = f"""
    SELECT {BACKFILLS.columns} FROM backfills INDEXED BY backfills_of_pipeline
    WHERE pipeline = :pipeline AND id < :before ORDER BY id DESC LIMIT :limit"""

_ALERTS_BEFORE = """(opened_at, id) < (:opened_at, :id)
        AND (:pipelines IS NULL OR pipeline IN (SELECT value FROM json_each(:pipelines))
            OR (pipeline = '' AND dataset IN (SELECT value FROM json_each(:datasets))))
    ORDER BY opened_at DESC, id DESC LIMIT :limit"""
ALERTS_BEFORE = f"SELECT {ALERTS.columns} FROM alerts INDEXED BY alerts_opened WHERE {_ALERTS_BEFORE}"
OPEN_ALERTS_BEFORE = f"""
    SELECT {ALERTS.columns} FROM alerts INDEXED BY alerts_open
    WHERE resolved_at IS NULL AND {_ALERTS_BEFORE}"""

OPERATIONS_OF_RUN = f"""
    SELECT {OPERATIONS.columns} FROM operations WHERE run_id = ? AND run_id <> '' ORDER BY at, id"""

ALL_TOKENS = f"SELECT {TOKENS.columns} FROM tokens ORDER BY created_at, id"
FORGET_TOKEN = "DELETE FROM tokens WHERE id = ?"  # noqa: S105 - a token is what it forgets, not what it holds
