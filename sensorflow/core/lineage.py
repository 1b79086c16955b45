"""OpenLineage events as rules see them: once for each output of a complete run, and each partition of it."""

from collections.abc import Iterator

from sensorflow.core.vocabulary import Event, Grain, JsonValue, Partitioning, Reshaped, ValueSource

#: The extension that names the outputs, as namespace/name. No CloudEvent has an extension that is a list.
OUTPUTS = "outputs"
#: The event type that says that the outputs are there; all others only tell how a run goes.
COMPLETE = "COMPLETE"

_NOMINAL_TIME = "data.run.facets.nominalTime.nominalStartTime"
_DATED = (Grain.DAILY, Grain.WEEKLY, Grain.MONTHLY)
_CALENDAR = (Grain.HOURLY, *_DATED)


def is_lineage(event: Event) -> bool:
    """Tell whether an event was posted as lineage."""
    return isinstance(event.extensions.get(OUTPUTS), list)


def output_documents(event: Event) -> Iterator[dict[str, JsonValue]]:
    """Yield what rules see of an event: nothing unless it says that a run is complete.

    Beside the event, each has `dataset`, the output as namespace/name, and `output`, what stands there of it.
    Where the output's subset facet names partitions, each is seen on its own: `subset` has its dimensions,
    and `partition` the same, or their value where there is but one.
    """
    if event.data.get("eventType") != COMPLETE:
        return
    document = event.document()
    for output in event.data.get("outputs") or []:
        seen = {**document, "dataset": f"{output['namespace']}/{output['name']}", "output": output}
        subsets = list(_subsets(output))
        if not subsets:
            yield seen
        for subset in subsets:
            (value,) = subset.values() if len(subset) == 1 else (subset,)
            yield {**seen, "subset": subset, "partition": value}


def default_partition(partitioning: Partitioning) -> ValueSource | dict[str, ValueSource] | None:
    """Return where the partition of an output stands if the sensor does not say."""
    if partitioning.grain is Grain.NONE:
        return None
    if partitioning.grain is Grain.SEVERAL:
        return {name: _default(f"subset.{name}", cut) for name, cut in partitioning.dimensions}
    return _default("partition", partitioning)


def _default(path: str, cut: Partitioning) -> ValueSource:
    if cut.grain not in _CALENDAR:
        return path
    # A daily run of a scheduler in another zone means its own date, not the one that its midnight has here.
    return Reshaped(path=path, otherwise=Reshaped(path=_NOMINAL_TIME, as_date=cut.grain in _DATED))


def _subsets(output: JsonValue) -> Iterator[dict[str, JsonValue]]:
    """Yield the dimensions of each partition that an output's subset facet names."""
    condition = output
    for name in ("outputFacets", "subset", "outputCondition"):
        condition = condition.get(name) if isinstance(condition, dict) else None
    partitions = condition.get("partitions") if isinstance(condition, dict) else None
    for partition in partitions if isinstance(partitions, list) else []:
        dimensions = partition.get("dimensions") if isinstance(partition, dict) else None
        if isinstance(dimensions, dict) and dimensions:
            yield dimensions
