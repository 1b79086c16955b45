"""What the service has counted, and how it stands, in Prometheus's text format."""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from itertools import accumulate

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4
from prometheus_client.metrics_core import Metric
from prometheus_client.process_collector import ProcessCollector
from prometheus_client.registry import Collector

from sensorflow import __version__
from sensorflow.core.measures import Histogram
from sensorflow.core.messages import EventState
from sensorflow.core.state import AlertRow
from sensorflow.core.states import AttemptState, RunState
from sensorflow.web.api import Api

CONTENT_TYPE = CONTENT_TYPE_PLAIN_0_0_4
#: Runs that have ended are history, and there may be very many.
_OPEN = (RunState.WAITING, RunState.RUNNING, RunState.FAILED)
_PAGE = 500


def exposed(api: Api) -> bytes:
    """Return all metrics as text."""
    registry = CollectorRegistry()
    registry.register(_Metrics(api))
    ProcessCollector(registry=registry)
    return generate_latest(registry)


class _Metrics(Collector):
    def __init__(self, api: Api) -> None:
        self._api = api

    def collect(self) -> Iterator[Metric]:
        yield from self._counted()
        yield from self._standing()
        yield from self._sensors()
        yield from self._runs()
        yield from self._alerts()

    def _counted(self) -> Iterator[Metric]:
        measures = self._api.measures
        yield _counters(
            "events", "Events that came, by what became of them.", "state", measures.events, EventState
        )
        yield _counters("arrivals", "Arrivals of datasets.", "dataset", measures.arrivals)
        ended = [state for state in AttemptState if state is not AttemptState.RUNNING]
        yield _counters("attempts", "Attempts that ended, by how.", "state", measures.attempts, ended)
        yield _histogram(
            "firing_seconds",
            "From the receipt of what fired a task to the start of its process.",
            measures.firing_s,
        )
        yield _histogram(
            "commit_seconds", "What the store took to keep a group of changes.", measures.commit_s
        )

    def _standing(self) -> Iterator[Metric]:
        api = self._api
        yield GaugeMetricFamily(
            "sensorflow_ready", "1 as long as events can be taken.", value=not api.not_ready()
        )
        yield _gauge("info", "Always 1; the version is its label.", ("version",), [((__version__,), 1)])
        yield GaugeMetricFamily(
            "sensorflow_inbox_messages", "Messages that wait to be decided.", value=api.inbox()
        )
        yield GaugeMetricFamily(
            "sensorflow_tasks_queued",
            "Tasks that could start but for a limit.",
            value=api.store.listing.queued_count(),
        )
        yield GaugeMetricFamily(
            "sensorflow_attempts_running", "Attempts that run now.", value=api.store.listing.running_count()
        )
        yield GaugeMetricFamily("sensorflow_workers", "Attempts that may run at once.", value=api.workers)

    def _sensors(self) -> Iterator[Metric]:
        api, now = self._api, self._api.clock.now()
        sensors = sorted(api.definitions().sensors)
        seen = {(row.pipeline, row.name): row.last_event_at for row in api.store.listing.sensors()}
        up = [(key, float(api.sensor_health(*key).state == "up")) for key in sensors]
        lags = [(key, max(0.0, now - at)) for key in sensors if (at := seen.get(key)) is not None]
        names = ("pipeline", "sensor")
        yield _gauge("sensor_up", "1 where the sensor is well.", names, up)
        yield _gauge(
            "sensor_lag_seconds", "Since the sensor's last event; absent before the first.", names, lags
        )

    def _runs(self) -> Iterator[Metric]:
        counts = {
            name: self._api.store.listing.run_counts(name)
            for name in sorted(self._api.definitions().pipelines)
        }
        found = [
            ((name, state.value), found.get(state, 0)) for name, found in counts.items() for state in _OPEN
        ]
        yield _gauge("runs", "Runs that have not ended well, by state.", ("pipeline", "state"), found)

    def _alerts(self) -> Iterator[Metric]:
        kinds: Counter[str] = Counter({"failed": 0, "late": 0, "sensor_down": 0})
        late: dict[tuple[str, ...], float] = {
            (name,): 0 for name, found in sorted(self._api.definitions().datasets.items()) if found.expect
        }
        for alert in _open_alerts(self._api):
            kinds[alert.kind] += 1
            if alert.kind == "late":
                late[alert.dataset,] = len(alert.partitions)
        yield _gauge("alerts_open", "Open alerts.", ("kind",), [((kind,), n) for kind, n in kinds.items()])
        yield _gauge(
            "late_partitions", "Partitions that should be there and are not.", ("dataset",), late.items()
        )


def _open_alerts(api: Api) -> Iterator[AlertRow]:
    before = None
    while page := api.store.listing.alerts(open_only=True, before=before, limit=_PAGE):
        yield from page
        before = page[-1].id


def _counters(
    name: str, words: str, label: str, counts: Mapping[str, int], known: Iterable[str] = ()
) -> CounterMetricFamily:
    """Return counters; those that are known by name are there from the start, at 0."""
    family = CounterMetricFamily(f"sensorflow_{name}", words, labels=(label,))
    for value in dict.fromkeys((*map(str, known), *sorted(counts))):
        family.add_metric((value,), counts.get(value, 0))
    return family


def _gauge(
    name: str, words: str, labels: tuple[str, ...], found: Iterable[tuple[tuple[str, ...], float]]
) -> GaugeMetricFamily:
    family = GaugeMetricFamily(f"sensorflow_{name}", words, labels=labels)
    for values, number in found:
        family.add_metric(values, number)
    return family


def _histogram(name: str, words: str, measured: Histogram) -> HistogramMetricFamily:
    bounds = (*map(str, measured.bounds), "+Inf")
    buckets = list(zip(bounds, accumulate(measured.counts), strict=True))
    return HistogramMetricFamily(f"sensorflow_{name}", words, buckets=buckets, sum_value=measured.total_s)
