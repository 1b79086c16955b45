"""The schema of the SQLite store, as the steps that lead to it. A step that was released never changes."""

import sqlite3
import uuid

from sqlite_utils import Database, Migrations

_FIRST_SCHEMA = (
    "CREATE TABLE meta (key TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID",
    # An identity outlives its event, so that a redelivery is known for ever.
    """CREATE TABLE identities (
        source TEXT NOT NULL, id TEXT NOT NULL, seq INTEGER NOT NULL,
        PRIMARY KEY (source, id)
    ) WITHOUT ROWID""",
    # AUTOINCREMENT: a number is not given again when the newest events were deleted.
    """CREATE TABLE events (
        seq INTEGER PRIMARY KEY AUTOINCREMENT,
        source TEXT NOT NULL, id TEXT NOT NULL, event_id TEXT, type TEXT NOT NULL, subject TEXT, time TEXT,
        data TEXT NOT NULL, extensions TEXT NOT NULL, content TEXT NOT NULL, replaces TEXT NOT NULL,
        received_at REAL NOT NULL, sensor_pipeline TEXT, sensor_name TEXT,
        state TEXT NOT NULL, reason TEXT
    )""",
    "CREATE INDEX events_odd ON events (state, seq) WHERE state <> 'accepted'",
    """CREATE INDEX events_odd_of_pipeline ON events (sensor_pipeline, seq)
        WHERE state <> 'accepted' AND sensor_pipeline IS NOT NULL""",
    """CREATE TABLE arrivals (
        seq INTEGER NOT NULL, dataset TEXT NOT NULL, partition TEXT NOT NULL, part TEXT NOT NULL,
        version INTEGER NOT NULL, ready INTEGER NOT NULL, sensor_pipeline TEXT, sensor_name TEXT,
        PRIMARY KEY (seq, dataset, partition, part)
    ) WITHOUT ROWID""",
    "CREATE INDEX arrivals_of_partition ON arrivals (dataset, partition, seq)",
    "CREATE INDEX arrivals_of_dataset ON arrivals (dataset, ready, seq)",
    """CREATE TABLE partitions (
        dataset TEXT NOT NULL, partition TEXT NOT NULL, start REAL, version INTEGER NOT NULL,
        arrivals INTEGER NOT NULL, first_at REAL NOT NULL, last_at REAL NOT NULL, ready_at REAL,
        withdrawn INTEGER NOT NULL, beside TEXT NOT NULL,
        PRIMARY KEY (dataset, partition)
    ) WITHOUT ROWID""",
    "CREATE INDEX partitions_ready ON partitions (dataset, start) WHERE version > 0 AND withdrawn = 0",
    """CREATE INDEX partitions_ready_beside
        ON partitions (dataset, beside, coalesce(start, -1e300), partition)
        WHERE beside <> '' AND version > 0 AND withdrawn = 0""",
    """CREATE INDEX partitions_ready_at ON partitions (dataset, ready_at)
        WHERE version > 0 AND withdrawn = 0 AND start IS NULL""",
    """CREATE INDEX partitions_partial ON partitions (dataset)
        WHERE arrivals > 0 AND (version = 0 OR withdrawn = 1)""",
    "CREATE INDEX partitions_arrived ON partitions (dataset, last_at)",
    """CREATE TABLE parts (
        dataset TEXT NOT NULL, partition TEXT NOT NULL, part TEXT NOT NULL,
        version INTEGER NOT NULL, seq INTEGER NOT NULL,
        PRIMARY KEY (dataset, partition, part)
    ) WITHOUT ROWID""",
    """CREATE TABLE runs (
        id TEXT PRIMARY KEY, pipeline TEXT NOT NULL, partition TEXT NOT NULL, partition_start REAL,
        generation INTEGER NOT NULL, state TEXT NOT NULL, active INTEGER NOT NULL, stale INTEGER NOT NULL,
        trigger TEXT NOT NULL, created_at REAL NOT NULL, started_at REAL, ended_at REAL,
        forced INTEGER NOT NULL, pending TEXT NOT NULL, backfill TEXT NOT NULL
    ) WITHOUT ROWID""",
    "CREATE UNIQUE INDEX runs_of_partition ON runs (pipeline, partition) WHERE partition <> ''",
    # Not `partition = ''`: SQLite would plan `partition = ?` anew for each value, to see if it is ''.
    "CREATE INDEX runs_without_partition ON runs (pipeline, id) WHERE length(partition) = 0",
    """CREATE INDEX runs_open_by_start ON runs (pipeline, partition_start, id)
        WHERE state IN ('waiting', 'running', 'failed')""",
    # Beside the one above, not over all runs: history must not stand in the way of open runs.
    """CREATE INDEX runs_ended_by_start ON runs (pipeline, partition_start, id)
        WHERE state IN ('succeeded', 'cancelled')""",
    "CREATE INDEX runs_active ON runs (pipeline, id) WHERE active = 1",
    "CREATE INDEX runs_by_state ON runs (pipeline, state, id)",
    "CREATE INDEX runs_of_backfill ON runs (backfill, state, id) WHERE backfill <> ''",
    """CREATE TABLE tasks (
        run_id TEXT NOT NULL, task TEXT NOT NULL, pipeline TEXT NOT NULL, state TEXT NOT NULL,
        generation INTEGER NOT NULL, attempts INTEGER NOT NULL, failures INTEGER NOT NULL,
        crashes INTEGER NOT NULL, priority INTEGER NOT NULL, outdated INTEGER NOT NULL,
        stopping INTEGER NOT NULL, lane TEXT NOT NULL,
        queued_at REAL, next_attempt_at REAL,
        PRIMARY KEY (run_id, task)
    ) WITHOUT ROWID""",
    """CREATE INDEX tasks_queued ON tasks (pipeline, lane, priority DESC, queued_at, run_id, task)
        WHERE state = 'queued'""",
    """CREATE INDEX tasks_queued_of_run ON tasks (run_id, priority DESC, queued_at, task)
        WHERE state = 'queued'""",
    "CREATE INDEX tasks_by_state ON tasks (pipeline, state)",
    """CREATE TABLE attempts (
        run_id TEXT NOT NULL, task TEXT NOT NULL, number INTEGER NOT NULL, pipeline TEXT NOT NULL,
        generation INTEGER NOT NULL, state TEXT NOT NULL, started_at REAL NOT NULL, ended_at REAL,
        exit_code INTEGER, error TEXT, pid INTEGER, pid_started TEXT, token TEXT, consumed TEXT NOT NULL,
        PRIMARY KEY (run_id, task, number)
    )""",
    "CREATE INDEX attempts_running ON attempts (pipeline, run_id, task, number) WHERE state = 'running'",
    "CREATE UNIQUE INDEX attempts_of_token ON attempts (token) WHERE token IS NOT NULL",
    # The key is what makes a second firing impossible.
    """CREATE TABLE firings (
        run_id TEXT NOT NULL, generation INTEGER NOT NULL, task TEXT NOT NULL, fired_at REAL NOT NULL,
        PRIMARY KEY (run_id, generation, task)
    ) WITHOUT ROWID""",
    """CREATE TABLE timers (
        key TEXT PRIMARY KEY, due_at REAL NOT NULL, kind TEXT NOT NULL, run_id TEXT NOT NULL,
        task TEXT NOT NULL, pipeline TEXT NOT NULL, dataset TEXT NOT NULL, partition TEXT NOT NULL,
        after TEXT NOT NULL
    ) WITHOUT ROWID""",
    "CREATE INDEX timers_due ON timers (due_at, key)",
    """CREATE TABLE contents (
        source TEXT NOT NULL, key TEXT NOT NULL, digest TEXT NOT NULL, seq INTEGER NOT NULL,
        expires_at REAL NOT NULL,
        PRIMARY KEY (source, key)
    ) WITHOUT ROWID""",
    """CREATE TABLE sensors (
        pipeline TEXT NOT NULL, name TEXT NOT NULL, accepted INTEGER NOT NULL, duplicates INTEGER NOT NULL,
        rejected INTEGER NOT NULL, unmatched INTEGER NOT NULL, last_event_at REAL, last_seq INTEGER,
        last_rejected_seq INTEGER,
        PRIMARY KEY (pipeline, name)
    ) WITHOUT ROWID""",
    """CREATE TABLE pipelines (
        name TEXT PRIMARY KEY, paused INTEGER NOT NULL, paused_in_file INTEGER NOT NULL
    ) WITHOUT ROWID""",
    """CREATE TABLE watermarks (
        pipeline TEXT NOT NULL, task TEXT NOT NULL, dataset TEXT NOT NULL, seq INTEGER NOT NULL,
        PRIMARY KEY (pipeline, task, dataset)
    ) WITHOUT ROWID""",
    """CREATE TABLE backfills (
        id TEXT PRIMARY KEY, pipeline TEXT NOT NULL, first TEXT NOT NULL, last TEXT NOT NULL,
        only TEXT NOT NULL, "order" TEXT NOT NULL, max_active INTEGER NOT NULL, force INTEGER NOT NULL,
        runs INTEGER NOT NULL, created_at REAL NOT NULL, cancelled_at REAL, reason TEXT
    ) WITHOUT ROWID""",
    "CREATE INDEX backfills_of_pipeline ON backfills (pipeline, id)",
    """CREATE TABLE alerts (
        id TEXT PRIMARY KEY, cause TEXT NOT NULL, kind TEXT NOT NULL, text TEXT NOT NULL,
        pipeline TEXT NOT NULL, dataset TEXT NOT NULL, partitions TEXT NOT NULL, run_id TEXT NOT NULL,
        opened_at REAL NOT NULL, resolved_at REAL
    ) WITHOUT ROWID""",
    "CREATE UNIQUE INDEX alerts_of_cause ON alerts (cause) WHERE resolved_at IS NULL",
    "CREATE INDEX alerts_opened ON alerts (opened_at, id)",
    "CREATE INDEX alerts_open ON alerts (opened_at, id) WHERE resolved_at IS NULL",
    """CREATE TABLE operations (
        id TEXT PRIMARY KEY, at REAL NOT NULL, kind TEXT NOT NULL, pipeline TEXT NOT NULL,
        run_id TEXT NOT NULL, task TEXT NOT NULL, dataset TEXT NOT NULL, partition TEXT NOT NULL,
        reason TEXT
    ) WITHOUT ROWID""",
    "CREATE INDEX operations_of_run ON operations (run_id, at, id) WHERE run_id <> ''",
    """CREATE TABLE tokens (
        id TEXT PRIMARY KEY, digest TEXT NOT NULL UNIQUE, scope TEXT NOT NULL, pipelines TEXT NOT NULL,
        created_at REAL NOT NULL
    ) WITHOUT ROWID""",
)


_FEWER_INDEXES = (
    # What arrived as a whole is told by its partition's row; only parts have rows of their own.
    "ALTER TABLE partitions ADD COLUMN whole INTEGER NOT NULL DEFAULT 0",
    "ALTER TABLE partitions ADD COLUMN whole_seq INTEGER NOT NULL DEFAULT 0",
    """UPDATE partitions SET (whole, whole_seq) = (whole_part.version, whole_part.seq)
        FROM parts AS whole_part
        WHERE whole_part.dataset = partitions.dataset AND whole_part.partition = partitions.partition
            AND whole_part.part = ''""",
    "DELETE FROM parts WHERE part = ''",
    # Nobody asks for all arrivals of a partition.
    "DROP INDEX arrivals_of_partition",
    # Which arrived last is kept for each dataset, instead of an index of when each did.
    """CREATE TABLE last_arrivals (dataset TEXT PRIMARY KEY, partition TEXT NOT NULL) WITHOUT ROWID""",
    """INSERT INTO last_arrivals (dataset, partition)
        SELECT dataset, (
            SELECT partition FROM partitions INDEXED BY partitions_arrived
            WHERE partitions.dataset = found.dataset ORDER BY last_at DESC, partition DESC LIMIT 1)
        FROM (SELECT DISTINCT dataset FROM partitions) AS found""",
    "DROP INDEX partitions_arrived",
    # By columns that one more arrival of what is ready does not change.
    "DROP INDEX partitions_ready",
    "DROP INDEX partitions_ready_beside",
    "DROP INDEX partitions_ready_at",
    "DROP INDEX partitions_partial",
    """CREATE INDEX partitions_ready ON partitions (dataset, start)
        WHERE ready_at IS NOT NULL AND withdrawn = 0""",
    """CREATE INDEX partitions_ready_beside
        ON partitions (dataset, beside, coalesce(start, -1e300), partition)
        WHERE beside <> '' AND ready_at IS NOT NULL AND withdrawn = 0""",
    """CREATE INDEX partitions_ready_at ON partitions (dataset, ready_at)
        WHERE ready_at IS NOT NULL AND withdrawn = 0 AND start IS NULL""",
    """CREATE INDEX partitions_partial ON partitions (dataset)
        WHERE arrivals > 0 AND (ready_at IS NULL OR withdrawn = 1)""",
)


def first_schema(database: Database) -> None:
    """Make all tables."""
    for statement in _FIRST_SCHEMA:
        database.conn.execute(statement)
    database.conn.execute("INSERT INTO meta (key, value) VALUES ('instance', ?)", (uuid.uuid4().hex,))


def retention(database: Database) -> None:
    """Make room for what is kept of runs that are removed, and find those that are to be."""
    database.conn.execute(
        """CREATE TABLE past_runs (
            pipeline TEXT NOT NULL, partition TEXT NOT NULL, generation INTEGER NOT NULL, state TEXT NOT NULL,
            PRIMARY KEY (pipeline, partition)
        ) WITHOUT ROWID"""
    )
    database.conn.execute(
        "CREATE INDEX runs_ended ON runs (ended_at, id) WHERE state IN ('succeeded', 'cancelled')"
    )


def fewer_indexes(database: Database) -> None:
    """Let an arrival change one row of its partition, and no index of it but where it becomes ready."""
    for statement in _FEWER_INDEXES:
        database.conn.execute(statement)


#: A step that is added here wants its store recorded: `tests/upgrade`.
_STEPS = (first_schema, retention, fewer_indexes)
_MIGRATIONS = Migrations("sensorflow")
for _step in _STEPS:
    _MIGRATIONS()(_step)


def migrate(connection: sqlite3.Connection) -> None:
    """Take the steps that a database has still to take."""
    _MIGRATIONS.apply(_database(connection))


def steps_between(connection: sqlite3.Connection) -> tuple[list[str], list[str]]:
    """Return the steps a database has taken that are unknown here, and those it has still to take."""
    database = _database(connection)
    known = {step.__name__ for step in _STEPS}
    unknown = [step.name for step in _MIGRATIONS.applied(database) if step.name not in known]
    return unknown, [step.name for step in _MIGRATIONS.pending(database)]


def is_new(to_take: list[str]) -> bool:
    """Tell whether a database has taken no step yet."""
    return len(to_take) == len(_STEPS)


def _database(connection: sqlite3.Connection) -> Database:
    # Plugins that somebody installed for the sqlite-utils command have no business here.
    return Database(connection, recursive_triggers=False, execute_plugins=False)
