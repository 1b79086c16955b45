"""The questions that are put to the SQL stores and concern more than one key, by name.

The condition of a partial index stands in each query that is to use it, word for word.
"""

from sensorflow.store.tables import (
    ARRIVALS,
    ATTEMPTS,
    EVENTS,
    PARTITIONS,
    PARTS,
    RUNS,
    SENSORS,
    TASKS,
    TIMERS,
)

_IS_OPEN = "state IN ('waiting', 'running', 'failed')"

# --- Decisions: none of these may get slower as history or the number of waiting runs grows. ---

LAST_SEQ = "SELECT seq FROM sqlite_sequence WHERE name = 'events'"
INSTANCE = "SELECT value FROM meta WHERE key = 'instance'"

PARTITIONS_OF_KEYS = f"""
    SELECT {PARTITIONS.columns} FROM partitions
    WHERE dataset = ? AND partition IN (SELECT value FROM json_each(?))"""

NEWEST_READY = f"""
    SELECT {PARTITIONS.columns} FROM partitions
    WHERE dataset = ? AND version > 0 AND start <= ?
    ORDER BY start DESC, partition DESC LIMIT 1"""

NEWEST_READY_WITHOUT_BOUNDS = f"""
    SELECT {PARTITIONS.columns} FROM partitions
    WHERE dataset = ? AND version > 0 AND start IS NULL
    ORDER BY ready_at DESC, partition DESC LIMIT 1"""

NEWEST_ARRIVAL = f"""
    SELECT {PARTITIONS.columns} FROM partitions
    WHERE dataset = ? ORDER BY last_at DESC, partition DESC LIMIT 1"""

PARTS_OF = f"SELECT {PARTS.columns} FROM parts WHERE dataset = ? AND partition = ?"

RUN_OF = f"SELECT {RUNS.columns} FROM runs WHERE pipeline = ? AND partition = ? AND partition <> ''"
NEWEST_RUN_WITHOUT_PARTITION = f"""
    SELECT {RUNS.columns} FROM runs WHERE pipeline = ? AND length(partition) = 0 ORDER BY id DESC LIMIT 1"""

# The index by state holds the runs of each state by id; SQLite merges what it finds for the three.
OPEN_RUNS = (
    " UNION ALL ".join(
        f"SELECT {RUNS.columns} FROM runs WHERE pipeline = :pipeline AND state = '{state}' AND id > :after"
        for state in ("waiting", "running", "failed")
    )
    + " ORDER BY id LIMIT :limit"
)

# How many open runs lie between, up to a limit: it decides between the next two.
OPEN_RUNS_BETWEEN_COUNT = f"""
    SELECT count(*) FROM (
        SELECT 1 FROM runs INDEXED BY runs_open_by_start
        WHERE pipeline = :pipeline AND {_IS_OPEN} AND partition_start >= :since AND partition_start < :before
        LIMIT :enough)"""

# Few lie between: take them all and sort them.
OPEN_RUNS_BETWEEN = f"""
    SELECT {RUNS.columns} FROM runs INDEXED BY runs_open_by_start
    WHERE pipeline = :pipeline AND {_IS_OPEN} AND partition_start >= :since AND partition_start < :before
        AND id > :after
    ORDER BY id LIMIT :limit"""

# Many lie between: going by id the next of them are soon found.
OPEN_RUNS_BETWEEN_BY_ID = OPEN_RUNS.replace(
    "AND id > :after", "AND id > :after AND partition_start >= :since AND partition_start < :before"
)

ACTIVE_RUNS = f"SELECT {RUNS.columns} FROM runs WHERE pipeline = ? AND active = 1 ORDER BY id"

TASKS_OF = f"SELECT {TASKS.columns} FROM tasks WHERE run_id = ? ORDER BY task"

# Steps from pipeline to pipeline, so that the length of the queue does not matter.
QUEUED_PIPELINES = """
    WITH RECURSIVE found (pipeline) AS (
        SELECT min(pipeline) FROM tasks INDEXED BY tasks_queued WHERE state = 'queued'
        UNION ALL
        SELECT (SELECT min(pipeline) FROM tasks INDEXED BY tasks_queued
                WHERE state = 'queued' AND pipeline > found.pipeline)
        FROM found WHERE found.pipeline IS NOT NULL)
    SELECT pipeline FROM found WHERE pipeline IS NOT NULL"""

NEXT_QUEUED = f"""
    SELECT {TASKS.columns} FROM tasks WHERE pipeline = ? AND state = 'queued'
    ORDER BY priority DESC, queued_at, run_id, task LIMIT 1"""

NEXT_QUEUED_OF_RUN = f"""
    SELECT {TASKS.columns} FROM tasks INDEXED BY tasks_queued_of_run
    WHERE pipeline = ? AND run_id = ? AND state = 'queued'
    ORDER BY priority DESC, queued_at, task LIMIT 1"""

RUNNING = f"""
    SELECT {ATTEMPTS.columns} FROM attempts WHERE state = 'running'
    ORDER BY pipeline, run_id, task, number"""
RUNNING_COUNT = "SELECT count(*) FROM attempts WHERE state = 'running'"
RUNNING_COUNT_OF = "SELECT count(*) FROM attempts WHERE state = 'running' AND pipeline = ?"

ATTEMPTS_OF = f"SELECT {ATTEMPTS.columns} FROM attempts WHERE run_id = ? ORDER BY task, number"

DROP_TIMER = "DELETE FROM timers WHERE key = ?"
DUE_TIMERS = f"SELECT {TIMERS.columns} FROM timers WHERE due_at <= ? ORDER BY due_at, key LIMIT ?"
NEXT_TIMER_AT = "SELECT min(due_at) FROM timers"

# --- Listings. Pages are found by index; counts walk an index of what they count. ---

RUNS_BEFORE = f"SELECT {RUNS.columns} FROM runs WHERE id < :before ORDER BY id DESC LIMIT :limit"

RUNS_OF_STATE_BEFORE = f"""
    SELECT {RUNS.columns} FROM runs
    WHERE pipeline = :pipeline AND state = :state AND id < :before
        AND (:partition IS NULL OR partition = :partition)
    ORDER BY id DESC LIMIT :limit"""

PIPELINES_WITH_RUNS = """
    WITH RECURSIVE found (pipeline) AS (
        SELECT min(pipeline) FROM runs
        UNION ALL
        SELECT (SELECT min(pipeline) FROM runs WHERE pipeline > found.pipeline)
        FROM found WHERE found.pipeline IS NOT NULL)
    SELECT pipeline FROM found WHERE pipeline IS NOT NULL"""

RUN_COUNTS = "SELECT state, count(*) FROM runs WHERE pipeline = ? GROUP BY state"
TASK_COUNTS = "SELECT state, count(*) FROM tasks WHERE pipeline = ? GROUP BY state"
QUEUED_COUNT = "SELECT count(*) FROM tasks INDEXED BY tasks_queued WHERE state = 'queued'"

EVENTS_AFTER = f"""
    SELECT {EVENTS.columns} FROM events
    WHERE seq > :after AND (:state IS NULL OR state = :state) ORDER BY seq LIMIT :limit"""

# What was not accepted is rare, so it has an index.
ODD_EVENTS_AFTER = f"""
    SELECT {EVENTS.columns} FROM events INDEXED BY events_odd
    WHERE state <> 'accepted' AND state = :state AND seq > :after ORDER BY seq LIMIT :limit"""

EVENTS_OF_DATASET_AFTER = f"""
    SELECT {", ".join(f"events.{column}" for column in EVENTS.columns.split(", "))}
    FROM arrivals INDEXED BY arrivals_of_dataset CROSS JOIN events ON events.seq = arrivals.seq
    WHERE arrivals.dataset = :dataset AND arrivals.seq > :after AND (:state IS NULL OR events.state = :state)
    GROUP BY arrivals.seq ORDER BY arrivals.seq LIMIT :limit"""

ARRIVALS_OF_EVENT = f"SELECT {ARRIVALS.columns} FROM arrivals WHERE seq = ? ORDER BY dataset, partition, part"

ARRIVALS_OF_PARTITION = f"""
    SELECT {ARRIVALS.columns} FROM arrivals
    WHERE dataset = ? AND partition = ? ORDER BY seq DESC, part LIMIT ?"""

PARTITIONS_BEFORE = f"""
    SELECT {PARTITIONS.columns} FROM partitions
    WHERE dataset = ? AND partition < ? ORDER BY partition DESC LIMIT ?"""

READY_COUNT = "SELECT count(*) FROM partitions INDEXED BY partitions_ready WHERE dataset = ? AND version > 0"
PARTIAL_COUNT = """
    SELECT count(*) FROM partitions INDEXED BY partitions_partial WHERE dataset = ? AND version = 0"""

ALL_SENSORS = f"SELECT {SENSORS.columns} FROM sensors ORDER BY pipeline, name"
