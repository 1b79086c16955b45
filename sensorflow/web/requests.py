"""The shapes of what is sent; closed, so that a misspelled field is told and not passed over."""

from typing import Annotated, Any, Literal

from pydantic import AfterValidator, ConfigDict, Field, JsonValue

from sensorflow.web.schemas import Name, Schema, iso_time

Reason = Annotated[str, Field(max_length=2000)]


def _example(**fields: JsonValue) -> ConfigDict:
    """Return the configuration of a model with an example for its document."""
    return ConfigDict(json_schema_extra={"examples": [fields]})


class ReadyBody(Schema):
    """Says that a dataset's partition, or a part of it, is there."""

    model_config = _example(dataset="orders", partition="2026-03-08", part="eu")
    dataset: Name
    partition: Name | None = None
    part: Name | None = None
    id: Name | None = None
    source: Name | None = None
    time: Annotated[str, AfterValidator(iso_time)] | None = None
    data: Any = None


class ReasonBody(Schema):
    """Asks for an operation that needs no more than its path says."""

    #: Kept with the operation.
    reason: Reason | None = None


class RunBody(ReasonBody):
    """Asks for a pipeline's run for a partition."""

    model_config = _example(pipeline="sales", partition="2026-03-08")
    pipeline: Name
    #: Absent for pipelines without partitions.
    partition: Name | None = None
    #: Fire without inputs and times.
    force: bool = False


class RetryBody(ReasonBody):
    """Asks for another try of tasks."""

    #: Empty or absent: every failed or cancelled task. A succeeded or skipped one opens the next generation.
    tasks: Annotated[list[Name], Field(default_factory=list)]
    #: Put what is blocked below back to waiting.
    downstream: bool = True


class MarkBody(ReasonBody):
    """Says that a task counts as done."""

    #: `succeeded` makes its outputs ready, `skipped` does not.
    state: Literal["succeeded", "skipped"]


class WithdrawBody(Schema):
    """Takes a partition back, or a part of it."""

    model_config = _example(partition="2026-03-08", reason="the file was cut off")
    #: Absent for datasets without partitions.
    partition: Name | None = None
    part: Name | None = None
    reason: Annotated[Reason, Field(min_length=1)]


class BackfillBody(ReasonBody):
    """Asks for runs for many partitions: a range, both ends included, or a list."""

    model_config = _example(**{"pipeline": "sales", "from": "2026-03-08", "to": "2026-03-09"}, dry_run=True)
    pipeline: Name
    first: Annotated[Name | None, Field(alias="from")] = None
    last: Annotated[Name | None, Field(alias="to")] = None
    partitions: list[Name] | None = None
    #: `missing`: no run yet, or one that has not started; `all`: every one again, as its next generation.
    only: Literal["missing", "failed", "all"] = "missing"
    order: Literal["oldest", "newest"] = "oldest"
    #: Absent: half of the pipeline's `max_active_runs`, so that live runs always find room.
    max_active: Annotated[int, Field(ge=1, le=10_000)] | None = None
    #: Fire without inputs and times.
    force: bool = False
    #: Do nothing; say what would be done.
    dry_run: bool = False


class CallbackBody(Schema):
    """Says how the work of a task stands."""

    #: `running` renews the lease.
    state: Literal["succeeded", "failed", "skipped", "running"]
    error: Annotated[str, Field(max_length=10_000)] | None = None
