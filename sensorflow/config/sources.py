"""Options of the sensors `http` and `schedule`: what is polled, and when time itself is the event."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Annotated, Self
from urllib.parse import quote
from zoneinfo import ZoneInfo

from pydantic import AfterValidator, Field, model_validator
from yarl import URL

from sensorflow.config.http import HeaderName, HeaderValue
from sensorflow.config.problems import Section, expected
from sensorflow.config.values import CatchupWord, Cron, Duration, EventPath, Timezone, WebUrl
from sensorflow.core.clocks import local
from sensorflow.core.partitions import bounds, calendar_of, dimension_keys
from sensorflow.core.vocabulary import Catchup, DatasetDefinition, Grain, Partitioning
from sensorflow.http_client import filled_url

#: Where an event that a sensor asked for, or made by the clock, names its partition.
PARTITION = "partition"
#: Conditions of a request are the sensor's own.
_OWN_HEADERS = frozenset({"if-none-match", "if-modified-since", "accept-encoding", "host"})

_PLACEHOLDER = re.compile(r"\{(partition(?:\.([A-Za-z0-9_]+))?)(?::([^{}]*))?\}")
_DIRECTIVE = re.compile("%(.?)")
_DIRECTIVES = "YymdbjGVuHMS"
_FORMAT_WORDS = "a format of " + " ".join(f"%{letter}" for letter in _DIRECTIVES)


@dataclass(frozen=True, slots=True)
class UrlTemplate:
    """A URL with `{partition}`, `{partition:%Y/%m/%d}` or `{partition.NAME}` behind its host."""

    text: str

    @property
    def has_partition(self) -> bool:
        """Tell whether there is one URL for each partition."""
        return _PLACEHOLDER.search(self.text) is not None

    def url(self, partitioning: Partitioning, key: str) -> URL:
        """Return the URL of a partition; values are percent-encoded."""

        def value(found: re.Match[str]) -> str:
            cut, part = _meant(partitioning, key, found[2])
            if not found[3]:
                return quote(part, safe="")
            limits = bounds(cut, part)
            assert limits is not None, "a format is for grains of the calendar"
            zone = "UTC" if cut.grain is Grain.HOURLY else cut.timezone  # Hours are UTC hours.
            start = local(limits.start, ZoneInfo(zone))
            return _DIRECTIVE.sub(lambda each: quote(start.strftime(each[0]), safe=""), found[3])

        return filled_url(self.text, _PLACEHOLDER, lambda text: _PLACEHOLDER.sub(value, text))

    def misfits(self, dataset: DatasetDefinition) -> Iterator[str]:
        """Yield what of the URL does not fit the dataset that it feeds, in words."""
        names = dict(dataset.partitioning.dimensions)
        for found in _PLACEHOLDER.finditer(self.text):
            if dataset.partitioning.grain is Grain.NONE:
                yield f'expected no placeholder, because {dataset.name} has no partitions, found "{found[0]}"'
            elif found[2] and found[2] not in names:
                known = ", ".join(names) or "none"
                yield f'expected a dimension of {dataset.name}, which has {known}, found "{found[0]}"'
            elif found[3] and not _is_of_calendar(names.get(found[2], dataset.partitioning)):
                yield f'expected no format for keys that are no dates, found "{found[0]}"'


def _meant(partitioning: Partitioning, key: str, dimension: str | None) -> tuple[Partitioning, str]:
    """Return what a placeholder stands for: the whole partition, or its key in one dimension."""
    if dimension is None:
        return partitioning, key
    return dict(partitioning.dimensions)[dimension], dimension_keys(partitioning, key)[dimension]


def _is_of_calendar(partitioning: Partitioning) -> bool:
    return calendar_of(partitioning) is partitioning


def _polled_url(text: str) -> str:
    rest = text
    for found in _PLACEHOLDER.finditer(text):
        rest = rest.replace(found[0], "", 1)
        if found[3] == "" or (found[3] and not _is_format(found[3])):
            raise expected(_FORMAT_WORDS, found=f'"{found[0]}"')
    if set(rest) & set("{}"):
        raise expected("no braces but those of {partition}, {partition:FORMAT} or {partition.NAME}")
    return text


def _is_format(text: str) -> bool:
    return "%" in text and all(letter and letter in _DIRECTIVES for letter in _DIRECTIVE.findall(text))


def _at_least(least_s: float, words: str) -> AfterValidator:
    def check(seconds: float) -> float:
        if seconds < least_s:
            raise expected(f"a duration of at least {words}")
        return seconds

    return AfterValidator(check)


def _not_own(name: str) -> str:
    if name.lower() in _OWN_HEADERS:
        raise expected(f"a header other than {', '.join(sorted(_OWN_HEADERS))}")
    return name


_Often = Annotated[Duration, _at_least(0.1, "100ms")]
#: The instants of a schedule are whole seconds.
_Seconds = Annotated[Duration, _at_least(1.0, "1s")]


class HttpOptions(Section):
    """A URL that is asked again and again; what is new there is an event."""

    url: Annotated[WebUrl, AfterValidator(_polled_url)] = Field(repr=False)
    every: _Often = 60.0
    #: A path into the JSON body; given, only another value there is something new.
    version: EventPath | None = None
    headers: dict[Annotated[HeaderName, AfterValidator(_not_own)], HeaderValue] = Field(
        default_factory=dict, repr=False
    )
    timeout: _Often = 30.0

    @property
    def template(self) -> UrlTemplate:
        """What `url` says."""
        return UrlTemplate(self.url)


class ScheduleOptions(Section):
    """Times of a cron, or an interval, that are events."""

    cron: Cron | None = None
    every: _Seconds | None = None
    #: None: that of the file's pipeline, else the dataset's.
    timezone: Timezone | None = None
    catchup: CatchupWord = Catchup.NONE

    @model_validator(mode="after")
    def _says_when(self) -> Self:
        if (self.cron is None) == (self.every is None):
            raise expected("one of cron and every", found="both" if self.cron else "none of them")
        of_cron = self.model_fields_set & {"timezone", "catchup"}
        if self.every is not None and of_cron:
            raise expected(f'"cron" beside "{min(of_cron)}"', found='"every"')
        return self
