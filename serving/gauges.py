"""What is measured at the moment of the scrape: ages, versions, coverage, queues, drift."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.registry import Collector

from pipelines.core.features.freshness import Freshness
from serving.coverage import Coverage
from serving.snapshot import Snapshot, cut


@dataclass(frozen=True)
class Queue:
    """A queue of the process: how many wait, how many were dropped since it began, and how many lost a part."""

    depth: Callable[[], int]
    dropped: Callable[[], int]
    thinned: Callable[[], int] | None
    """None where all or nothing of one is kept."""


@dataclass(frozen=True)
class DriftReport:
    """The last report of ``python -m pipelines drift``: input of the ranker → population stability index."""

    at: datetime
    psi: Mapping[str, float]


class Gauges(Collector):
    """Asks for the champion's snapshot and the drift report when somebody scrapes."""

    def __init__(
        self,
        snapshot: Callable[[], Snapshot | None],
        drift: Callable[[], DriftReport | None],
        coverage: Coverage,
    ) -> None:
        self._snapshot, self._drift, self._coverage = snapshot, drift, coverage
        self.queues: dict[str, Queue] = {}

    def collect(self) -> Iterator[GaugeMetricFamily | CounterMetricFamily]:
        """All families."""
        now, snapshot = datetime.now(UTC), self._snapshot()
        yield from self._of_views(now, snapshot.views if snapshot else ())
        yield from self._of_model(now, snapshot)
        yield from self._of_queues()
        yield from self._of_drift(now)

    def _of_views(self, now: datetime, views: Sequence[Freshness]) -> Iterator[GaugeMetricFamily]:
        ages = GaugeMetricFamily(
            "recomart_feature_view_age_seconds", "Since what the view knows of online ends", labels=["view"]
        )
        limits = GaugeMetricFamily(
            "recomart_feature_view_max_age_seconds", "The age that the view declares as its maximum", labels=["view"]
        )
        for view in views:
            limits.add_metric([view.view], view.max_age.total_seconds())
            if (age := view.age(now)) is not None:
                ages.add_metric([view.view], age.total_seconds())
        yield from (ages, limits)

    def _of_model(self, now: datetime, snapshot: Snapshot | None) -> Iterator[GaugeMetricFamily]:
        info = GaugeMetricFamily(
            "recomart_model_info", "1 for the champion that answers", labels=["model_version", "feature_service"]
        )
        age = GaugeMetricFamily("recomart_model_age_seconds", "Since what the champion learned from ends")
        items = GaugeMetricFamily("recomart_model_items", "Items that the champion can recommend")
        if snapshot is not None:
            info.add_metric([str(snapshot.version), snapshot.feature_service], 1)
            age.add_metric([], (now - cut(snapshot.bundle)).total_seconds())
            items.add_metric([], len(snapshot.bundle.item_ids))
        coverage = GaugeMetricFamily(
            "recomart_catalogue_coverage_ratio",
            "Share of the model's items that were recommended within the last hour",
            labels=["model_version"],
        )
        for version, ratio in self._coverage.ratios():
            coverage.add_metric([str(version)], ratio)
        yield from (info, age, items, coverage)

    def _of_queues(self) -> Iterator[GaugeMetricFamily | CounterMetricFamily]:
        depth = GaugeMetricFamily("recomart_queue_depth", "Waiting in a queue of the process", labels=["queue"])
        dropped = CounterMetricFamily("recomart_queue_dropped", "Dropped by a queue that was full", labels=["queue"])
        thinned = CounterMetricFamily(
            "recomart_queue_thinned", "Kept by a queue without what it could be computed again from", labels=["queue"]
        )
        for name, queue in self.queues.items():
            depth.add_metric([name], queue.depth())
            dropped.add_metric([name], queue.dropped())
            if queue.thinned:
                thinned.add_metric([name], queue.thinned())
        yield from (depth, dropped, thinned)

    def _of_drift(self, now: datetime) -> Iterator[GaugeMetricFamily]:
        psi = GaugeMetricFamily(
            "recomart_feature_drift_psi", "Population stability index against training, last report", labels=["input"]
        )
        age = GaugeMetricFamily("recomart_drift_report_age_seconds", "Since the last drift report")
        if (report := self._drift()) is not None:
            age.add_metric([], (now - report.at).total_seconds())
            for name, value in report.psi.items():
                psi.add_metric([name], value)
        yield from (psi, age)
