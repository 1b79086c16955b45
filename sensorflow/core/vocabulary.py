"""The words of the field as types: what users define, and the events that come in.

Everything here is frozen. Instants are seconds since the epoch, durations are seconds;
names that end in `_s` say so.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from types import MappingProxyType
from typing import Any, NamedTuple, TypeAlias

#: What a JSON document can hold.
JsonValue: TypeAlias = Any

#: The pipeline of sensors that live in `sensors/*.yaml`.
SHARED = "-"


class Scope(StrEnum):
    """What a token allows."""

    #: To ask for anything, and for what would be done.
    READ = "read"
    #: To tell of what is ready, and no more.
    EMIT = "emit"
    #: To change what runs; and to read.
    OPERATE = "operate"
    #: All.
    ADMIN = "admin"

    def includes(self, needed: "Scope") -> bool:
        """Tell whether this scope is enough where `needed` is asked for."""
        return needed is self or self is Scope.ADMIN or (needed is Scope.READ and self is Scope.OPERATE)


class Grain(StrEnum):
    """How a dataset or a pipeline is cut into partitions."""

    NONE = "none"
    HOURLY = "hourly"
    DAILY = "daily"
    WEEKLY = "weekly"
    MONTHLY = "monthly"
    #: Any text, as of a batch, an order or a customer.
    KEY = "key"
    #: One of the keys that the definition lists.
    KEYS = "keys"
    #: Several dimensions, at most one of them of the calendar.
    SEVERAL = "several"


@dataclass(frozen=True, slots=True)
class Partitioning:
    """A grain with what it needs to be exact."""

    grain: Grain
    #: IANA name; gives the bounds of days, weeks and months. Hours are UTC hours.
    timezone: str = "UTC"
    #: The allowed keys of `Grain.KEYS`, in their order.
    keys: tuple[str, ...] = ()
    #: Of `Grain.SEVERAL`: name and partitioning of each dimension, in their order.
    dimensions: "tuple[tuple[str, Partitioning], ...]" = ()

    def __hash__(self) -> int:
        # Caches ask for it with every key; the keys tell the grains apart.
        return hash(self.timezone)


@dataclass(frozen=True, slots=True, kw_only=True)
class Retention:
    """How long what is over is kept; None: for ever."""

    #: From when an event was received.
    events_s: float | None = None
    #: From a run's end.
    runs_s: float | None = None
    logs_s: float | None = None


class LatePolicy(StrEnum):
    """What a newer version of a consumed input does to a run."""

    IGNORE = "ignore"
    #: Mark the run until its next generation.
    STALE = "stale"
    #: Run what consumed it, and what is below, as the run's next generation.
    RERUN = "rerun"


class Catchup(StrEnum):
    """Which schedule times that a stop of the service missed are made up for."""

    NONE = "none"
    LAST = "last"
    ALL = "all"


class When(StrEnum):
    """Which ends of the tasks in `after` let a task start."""

    ALL_SUCCEEDED = "all_succeeded"
    ALL_ENDED = "all_ended"
    ANY_FAILED = "any_failed"
    ANY_SUCCEEDED = "any_succeeded"


class Selection(StrEnum):
    """Which partitions of a dataset a task reads."""

    SAME = "same"
    ALL = "all"
    CONTAINING = "containing"
    LATEST = "latest"
    LAST = "last"
    OFFSET = "offset"


@dataclass(frozen=True, slots=True, kw_only=True)
class DatasetInput:
    """A leaf of what a task waits for."""

    dataset: str
    selection: Selection
    #: For `last`: how many. For `offset`: how far, negative is earlier. Else 0.
    count: int = 0
    #: So many of the partitions are enough; None means all of them.
    at_least: int | None = None
    #: From so long after the partition's end the task may start without what is missing.
    optional_after_s: float | None = None
    #: An arrival that was received longer ago does not count.
    max_age_s: float | None = None
    #: Which keys of a dimension that only the dataset has; one that is not named needs all of them.
    dimensions: Mapping[str, tuple[str, ...]] = field(default_factory=dict)

    def __hash__(self) -> int:
        return hash(self.dataset)


@dataclass(frozen=True, slots=True, kw_only=True)
class InputGroup:
    """`needed` of `members` must hold: 1 is any, all of them is all."""

    needed: int
    members: tuple["Input", ...]


Input: TypeAlias = DatasetInput | InputGroup


@dataclass(frozen=True, slots=True, kw_only=True)
class RetryPolicy:
    """How a failed attempt is tried again."""

    #: Tries after the first.
    max: int = 0
    delay_s: float = 10.0
    backoff: float = 2.0
    max_delay_s: float = 300.0
    #: Share of the delay that is added at random at most.
    jitter: float = 0.1


@dataclass(frozen=True, slots=True)
class Command:
    """Run a program. `argv` holds placeholders in braces; nothing is pasted into `line`."""

    argv: tuple[str, ...] = ()
    #: One `sh -c` line; used where `argv` is empty.
    line: str = ""


@dataclass(frozen=True, slots=True)
class PythonFunction:
    """Call `function` of `module` in a warm worker process with the task's context."""

    module: str
    function: str


@dataclass(frozen=True, slots=True, kw_only=True)
class HttpCall:
    """Ask a server to do the work. 2xx is success, or with `callback` the beginning of it."""

    url: str
    method: str = "POST"
    headers: Mapping[str, str] = field(default_factory=dict)
    #: The attempt ends when the callback URL is called, or when `lease_s` has passed without a call.
    callback: bool = False
    lease_s: float = 600.0
    allow_private: bool = False


Action: TypeAlias = Command | PythonFunction | HttpCall


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskDefinition:
    """A node of a pipeline's DAG."""

    name: str
    action: Action
    after: tuple[str, ...] = ()
    inputs: tuple[Input, ...] = ()
    outputs: tuple[str, ...] = ()
    when: When = When.ALL_SUCCEEDED
    retries: RetryPolicy = field(default_factory=RetryPolicy)
    timeout_s: float | None = None
    priority: int = 0
    #: A skipped task above counts as failed, not as succeeded.
    skipped_blocks: bool = False
    #: Added to what the task inherits from the service.
    env: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class PipelineDefinition:
    """A DAG of tasks with one partition grain."""

    name: str
    partitioning: Partitioning
    tasks: Mapping[str, TaskDefinition]
    description: str = ""
    #: Partition keys, both included; events outside are kept and fire nothing.
    start: str | None = None
    end: str | None = None
    late: LatePolicy = LatePolicy.STALE
    max_active_runs: int = 16
    concurrency: int = 8
    #: Cron, in the pipeline's time zone.
    schedule: str | None = None
    catchup: Catchup = Catchup.NONE
    #: A partition's run waits for the success of the one before.
    sequential: bool = False
    #: The state at first sight, and when the file's value changes.
    paused: bool = False
    #: A run that has waited so long is cancelled.
    expire_s: float | None = None
    #: The file it stands in, relative to the home.
    file: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Completeness:
    """When a partition is all there. Without any of these one arrival is enough."""

    parts: frozenset[str] = frozenset()
    #: Distinct parts where the rule reads a part, else events.
    count: int | None = None
    #: Complete when nothing more has arrived for so long.
    quiet_s: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Expectation:
    """When a partition should be there: a clock time at or after its end, or so long after it."""

    #: Seconds since midnight, in the dataset's zone; None where `after_s` is given.
    clock_s: int | None = None
    after_s: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class DatasetDefinition:
    """Named data that becomes ready, partition by partition."""

    name: str
    partitioning: Partitioning
    complete: Completeness = Completeness()
    expect: Expectation | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Reshaped:
    """A value of an event that is not taken as it stands at its path, but so, one after the other."""

    path: str
    #: A regular expression with one group, which takes the value out of a longer text.
    regex: str | None = None
    #: How the text writes a date or an instant, as `%d.%m.%Y`.
    format: str | None = None
    #: Of an instant only the date, as it is written, whatever its offset.
    as_date: bool = False
    #: Where the event has nothing at the path, or null: what is read instead, or the value itself.
    otherwise: "Reshaped | None" = None
    default: str | None = None


#: How a rule reads a value: a path into the event, or more than that.
ValueSource: TypeAlias = str | Reshaped


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """Which events a sensor takes, and what it reads from them."""

    dataset: str
    #: An event pattern as in `matching`; None matches every event.
    match: Mapping[str, JsonValue] | None = None
    #: Each None where nothing is to be read. Of several dimensions: one for each, by name.
    partition: ValueSource | Mapping[str, ValueSource] | None = None
    part: ValueSource | None = None
    id: ValueSource | None = None
    time: ValueSource | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class SensorDefinition:
    """What observes events, and the rule that reads them."""

    #: `SHARED` for those of `sensors/*.yaml`.
    pipeline: str
    name: str
    kind: str
    rule: Rule
    #: What the kind itself needs, validated by the kind's own model.
    options: object = None
    #: The same content without an id counts once for so long; 0 means every time.
    dedupe_s: float = 600.0


class Event(NamedTuple):
    """One fact from outside. `source` and `id` together are its identity."""

    source: str
    #: None where the sender gave none: `content` identifies it then.
    id: str | None
    type: str = "dev.sensorflow.observed"
    subject: str | None = None
    #: When it happened, as the sender says; ISO 8601.
    time: str | None = None
    data: JsonValue = None
    #: Further attributes of the event, as `headers` of a webhook or `topic` levels.
    extensions: Mapping[str, JsonValue] = MappingProxyType({})
    #: A digest of what was received, for events without id. For those that `replaces` names a place of:
    #: what the sensor wants to know of it after a restart; it is kept in the event's commit.
    content: str = ""
    #: Names the one place whose content counts once until it changes (a retained MQTT topic, a polled URL).
    replaces: str = ""

    def document(self) -> dict[str, JsonValue]:
        """Return the event as rules and paths see it."""
        return {
            **self.extensions,
            "source": self.source,
            "id": self.id,
            "type": self.type,
            "subject": self.subject,
            "time": self.time,
            "data": self.data,
        }
