"""What Prometheus scrapes: how long recommending takes, how often it is degraded, how old the features are."""

from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime
from typing import Final

from prometheus_client import CollectorRegistry, Counter, Histogram, generate_latest
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector

from pipelines.core.freshness import Freshness
from serving.tracing import Trace

RECOMMEND: Final = "/recommend"
BUCKETS: Final = (0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5)
"""Seconds."""


class Metrics:
    """The measurements of one application; ``views`` tells of the feature views when somebody asks."""

    def __init__(self, views: Callable[[], Sequence[Freshness]]) -> None:
        self._registry = CollectorRegistry()
        self._seconds = Histogram(
            "recomart_recommend_seconds", "Time to answer /recommend", buckets=BUCKETS, registry=self._registry
        )
        self._degraded = Counter(
            "recomart_degraded_answers", "Answers of /recommend without fresh features", registry=self._registry
        )
        self._registry.register(_Views(views))

    def answered(self, path: str, trace: Trace) -> None:
        """Count a request that has ended."""
        if path == RECOMMEND:
            self._seconds.observe(trace.total_ms / 1000)
            self._degraded.inc(bool(trace.notes.get("degraded")))

    def text(self) -> bytes:
        """All of it in Prometheus' text format."""
        return generate_latest(self._registry)


class _Views(Collector):
    """Ages at the moment of the scrape."""

    def __init__(self, views: Callable[[], Sequence[Freshness]]) -> None:
        self._views = views

    def collect(self) -> Iterator[GaugeMetricFamily]:
        now = datetime.now(UTC)
        ages = GaugeMetricFamily(
            "recomart_feature_view_age_seconds", "Since what the view knows of online ends", labels=["view"]
        )
        limits = GaugeMetricFamily(
            "recomart_feature_view_max_age_seconds", "The age that the view declares as its maximum", labels=["view"]
        )
        for view in self._views():
            limits.add_metric([view.view], view.max_age.total_seconds())
            if (age := view.age(now)) is not None:
                ages.add_metric([view.view], age.total_seconds())
        yield from (ages, limits)
