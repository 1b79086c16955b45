"""The verb that says in words why something has not run."""

import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Annotated, Any

import typer

from sensorflow.cli import output
from sensorflow.cli.client import Client, RefusedError, path
from sensorflow.cli.common import CliError, Common, ExitCode
from sensorflow.cli.completing import PipelineName

#: Of so many runs it speaks where no partition is named.
_NEWEST = 5
#: So many partitions of one dataset are told together.
_ALIKE = 3
#: So many ranges of partitions, and states of them, are named; of more the rest is counted.
_RANGES = 4

#: How the keys of a grain are spelled, what one is called, and how long it is where that can be counted.
_SPELLINGS: tuple[tuple[re.Pattern[str], str, str, int | None], ...] = (
    (re.compile(r"\d{4}-\d\d-\d\dT\d\dZ"), "hourly", "hours", 3600),
    (re.compile(r"\d{4}-\d\d-\d\d"), "daily", "days", 86_400),
    (re.compile(r"\d{4}-W\d\d"), "weekly", "weeks", None),
    (re.compile(r"\d{4}-\d\d"), "monthly", "months", None),
)
#: When a partition was expected, in the words of a wait.
_EXPECTED = re.compile(r", expected by \S+?(?:, [^,;]+? late)?(?= \(| or |$)")
#: What ends a run that has not run.
_ENDINGS = {"cancel": "cancelled", "expire": "expired"}


def why(
    common: Common,
    pipeline: PipelineName,
    partition: Annotated[str | None, typer.Argument(help="Default: the newest that are not done.")] = None,
    task: Annotated[str | None, typer.Argument(help="Only this task.")] = None,
) -> None:
    """Say in words why something has not run."""
    client = Client.of(common)
    definition = client.get(path("pipelines", pipeline))
    names = [found["name"] for found in definition["tasks"]]
    if task is not None and task not in names:
        known = ", ".join(names)
        raise CliError(ExitCode.NOT_FOUND, f'there is no task "{task}" in {pipeline}; there are: {known}')
    asked_for_one = bool(partition) or definition["grain"] == "none"
    if asked_for_one:
        query = {"partition": partition or None, "task": task}
        answers = [client.get(path("pipelines", pipeline, "why"), query)]
    else:
        answers = [client.get(path("runs", run, "why")) for run in _not_done(client, pipeline)]
        answers += _late_without_run(client, definition)
    if common.json:
        output.document(answers[0] if asked_for_one else {"items": answers})
        return
    for answer in answers:
        run = client.get(path("runs", answer["run"])) if answer["run"] else None
        _tell(answer, run, _read_whole(definition), verbose=common.verbose)
    if not answers:
        last = definition["last_run"]
        newest = f"; the newest, {last.get('partition', last['id'])}, is {last['state']}" if last else ""
        text = f"no run of {pipeline} waits, goes or has failed{newest}; name a partition to ask for that one"
        output.say(common, text)


def _not_done(client: Client, pipeline: str) -> list[str]:
    """Return the newest runs that wait, go or have failed."""
    found = [
        run
        for state in ("waiting", "running", "failed")
        for run in client.get(path("runs"), {"pipeline": pipeline, "state": state, "limit": _NEWEST})["items"]
    ]
    newest = sorted(found, key=lambda run: (run["created_at"], run["id"]), reverse=True)[:_NEWEST]
    return [run["id"] for run in newest]


def _late_without_run(client: Client, definition: Mapping[str, Any]) -> list[Any]:
    """Return the partitions that should have a run by now: an input is late, and nothing else came either."""
    read = {dataset for task in definition["tasks"] for dataset in task["reads"]}
    late = [alert for alert in client.pages(path("alerts")) if alert["kind"] == "late"]
    keys = [key for alert in late if alert["dataset"] in read for key in alert["partitions"]]
    answers: dict[str, Any] = {}
    for key in reversed(keys[-_NEWEST * 24 :]):
        try:
            answer = client.get(path("pipelines", definition["name"], "why"), {"partition": key})
        except RefusedError as error:
            if error.code is ExitCode.USAGE:
                continue  # A partition of the dataset that means none of the pipeline's.
            raise
        if answer["run"] is None:
            answers.setdefault(answer.get("partition", ""), answer)
        if len(answers) == _NEWEST:
            break
    return list(answers.values())


def _tell(
    answer: Mapping[str, Any], run: Mapping[str, Any] | None, read_whole: frozenset[str], *, verbose: bool
) -> None:
    named = f"run {answer['run']}" if run else "no run yet"
    output.line(
        " ".join(word for word in (answer["pipeline"], answer.get("partition"), f"({named})") if word)
    )
    if "cancelled" in answer:
        output.line(f"  {_ending(answer['cancelled'])}")
    width = max((len(task["name"]) for task in answer["tasks"]), default=0)
    for task in answer["tasks"]:
        waits = task["waiting_for"]
        texts = [wait["text"] for wait in waits] if verbose else [*folded(waits, run, read_whole)]
        texts += collected(task)
        output.line(f"  {task['name'].ljust(width)}  {task['state']:<9}  {(texts or [''])[0]}".rstrip())
        for text in texts[1:]:
            output.line(f"  {' ' * width}  {' ' * 9}  {text}")


def collected(task: Mapping[str, Any]) -> Iterator[str]:
    """Yield what a task's next start takes as one, of what came since its last one."""
    counts = task.get("collected", {})
    if not counts:
        return
    arrivals = [f"{count} arrival{'s' * (count > 1)} of {name}" for name, count in counts.items()]
    taker = "it" if task["state"] in ("waiting", "queued", "retrying") else "the next run"
    yield f"{taker} takes, as one: {', '.join(arrivals)}"


def _ending(cancelled: Mapping[str, Any]) -> str:
    """Return who ended a run that was cancelled, and why."""
    reason = (cancelled["reason"] or "no reason was given").removeprefix("expired: ")
    return f"it was {_ENDINGS[cancelled['kind']]} at {cancelled['at']}: {reason}"


def _read_whole(definition: Mapping[str, Any]) -> frozenset[str]:
    """Return the datasets of which the pipeline reads all partitions inside its own."""

    def found(item: Mapping[str, Any]) -> Iterator[str]:
        if "of" in item:
            for member in item["of"]:
                yield from found(member)
        elif item["partitions"] == "all":
            yield item["dataset"]

    items = (item for task in definition["tasks"] for item in task["inputs"])
    return frozenset(dataset for item in items for dataset in found(item))


def folded(
    waits: Sequence[Mapping[str, Any]], run: Mapping[str, Any] | None, read_whole: frozenset[str]
) -> Iterator[str]:
    """Yield what is waited for in words, many partitions of one dataset together.

    Args:
        read_whole: Datasets of which every partition inside the run's own is read.
    """
    apart = [_Missing.of(wait) for wait in waits]
    of_dataset: dict[str, list[_Missing]] = {}
    for found in filter(None, apart):
        of_dataset.setdefault(found.dataset, []).append(found)
    for wait, missing in zip(waits, apart, strict=True):
        alike = of_dataset.get(missing.dataset, []) if missing else []
        if missing is None or len(alike) < _ALIKE:
            yield wait["text"]
        elif missing is alike[0]:
            yield from _told_together(alike, run if missing.dataset in read_whole else None)


@dataclass(frozen=True, slots=True)
class _Missing:
    """A wait for a partition, taken apart: `waiting for {dataset} {key}{state}{expected}{rest}`."""

    dataset: str
    key: str
    #: What of it is there, as `: part LGA is missing`; empty where nothing is.
    state: str
    expected: str
    rest: str

    @classmethod
    def of(cls, wait: Mapping[str, Any]) -> "_Missing | None":
        """Return a wait taken apart, None where it is for something else."""
        dataset, key = wait.get("dataset"), wait.get("partition")
        lead = f"waiting for {dataset} {key}"
        if not dataset or not key or not wait["text"].startswith(lead):
            return None
        text, separator, rest = wait["text"].removeprefix(lead).partition(";")
        expected = _EXPECTED.search(text)
        if expected is None:
            return cls(dataset, key, text, "", separator + rest)
        state = text[: expected.start()] + text[expected.end() :]
        return cls(dataset, key, state, expected[0], separator + rest)


def _told_together(alike: Sequence[_Missing], run: Mapping[str, Any] | None) -> Iterator[str]:
    """Yield what many partitions of a dataset lack, in a line, and what is there of them below it."""
    first, last = alike[0].expected, alike[-1].expected
    then = first if first == last else first.replace("expected", "the first expected", 1)
    rest = Counter(each.rest for each in alike).most_common(1)[0][0]
    count = _counted([each.key for each in alike], run)
    keys_in_state: dict[str, list[str]] = {}
    for each in alike:
        keys_in_state.setdefault(each.state, []).append(each.key)
    dataset = alike[0].dataset
    if len(keys_in_state) == 1:
        yield f"waiting for {dataset} {_ranges([e.key for e in alike])} ({count}){alike[0].state}{then}{rest}"
        return
    yield f"waiting for {dataset}: {count} are missing{then}{rest}"
    most_first = sorted(keys_in_state.items(), key=lambda found: -len(found[1]))
    for state, keys in most_first[:_RANGES]:
        yield f"  {_ranges(keys)}{state or ': nothing of it has come'}"
    if left := sum(len(keys) for _, keys in most_first[_RANGES:]):
        yield f"  and {left} more, of which other parts are missing; -v tells each"


def _counted(keys: Sequence[str], run: Mapping[str, Any] | None) -> str:
    """Return how many there are, and of how many where those inside the run can be counted."""
    _, _, unit, length_s = _spelling(keys[0]) or (None, "", "partitions", None)
    if run is None or length_s is None or not run.get("partition_start") or not run.get("partition_end"):
        return f"{len(keys)} {unit}"
    start, end = (datetime.fromisoformat(run[name]) for name in ("partition_start", "partition_end"))
    # Days of 23 and 25 hours are days all the same.
    return f"{len(keys)} of {round((end - start).total_seconds() / length_s)} {unit}"


def _ranges(keys: Sequence[str]) -> str:
    """Return keys as `A to B, C`, those of a calendar that follow each other as one range."""
    from sensorflow.core.errors import PartitionError
    from sensorflow.core.partitions import shifted
    from sensorflow.core.vocabulary import Grain, Partitioning

    spelling = _spelling(keys[0])
    partitioning = Partitioning(grain=Grain(spelling[1])) if spelling else None
    ranges: list[list[str]] = []
    for key in keys:
        try:
            follows = bool(ranges and partitioning and shifted(partitioning, ranges[-1][-1], 1) == key)
        except PartitionError:
            follows = False
        if follows:
            ranges[-1][1:] = [key]
        else:
            ranges.append([key])
    named = [" to ".join(found) for found in ranges[:_RANGES]]
    left = len(ranges) - len(named)
    return ", ".join(named) + (f" and {left} more" if left else "")


def _spelling(key: str) -> tuple[re.Pattern[str], str, str, int | None] | None:
    return next((found for found in _SPELLINGS if found[0].fullmatch(key)), None)
