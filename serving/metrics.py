"""What Prometheus scrapes: how the service answers, what the model works with, how old it is.

Each process counts for itself. Where several share an address, set ``PROMETHEUS_MULTIPROC_DIR`` to an empty folder
before they start: counters and histograms then add up over all of them, and what is read at the moment of the scrape
(ages, coverage, queues) is that of the process which answers.
"""

from collections.abc import Callable
from functools import lru_cache
from typing import TYPE_CHECKING, Final

import numpy as np
from prometheus_client import CollectorRegistry, Counter, Histogram, Summary, generate_latest, values
from prometheus_client.multiprocess import MultiProcessCollector

from pipelines.core.models.bundle import Bundle
from serving.coverage import Coverage
from serving.gauges import DriftReport, Gauges, Queue
from serving.snapshot import Snapshot
from serving.tracing import Trace

if TYPE_CHECKING:
    from serving.recommender import Recommendation

RECOMMEND: Final = "/recommend"
BUCKETS: Final = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5)
"""Seconds."""
STAGE_BUCKETS: Final = (0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.5)
CHILDREN: Final = 1_024
"""Labels of one metric whose child is at hand."""
SAMPLED: Final = 16
"""Of so many answers one has its candidates and nulls counted."""


class Metrics:
    """The measurements of one application; what it is given tells of the present when somebody scrapes."""

    def __init__(
        self, snapshot: Callable[[], Snapshot | None], drift: Callable[[], DriftReport | None] = lambda: None
    ) -> None:
        self._registry = registry = CollectorRegistry()
        self._requests = Counter("recomart_http_requests", "Requests", ["method", "route", "status"], registry=registry)
        self._rejected = Counter(
            "recomart_rejected_requests",
            "Requests turned away: no key, too many, too large",
            ["status"],
            registry=registry,
        )
        self._seconds = Histogram(
            "recomart_recommend_seconds", "Time to answer /recommend", buckets=BUCKETS, registry=registry
        )
        self._stages = Histogram(
            "recomart_stage_seconds",
            "Time in a stage of a request",
            ["stage"],
            buckets=STAGE_BUCKETS,
            registry=registry,
        )
        self._degraded = Counter(
            "recomart_degraded_answers", "Answers of /recommend without fresh features", registry=registry
        )
        self._answers = Counter(
            "recomart_recommendations", "Recommendations", ["strategy", "degraded", "model_version"], registry=registry
        )
        self._candidates = Summary(
            "recomart_candidates",
            f"Candidates of a source in an answer; 1 answer in {SAMPLED}",
            ["source"],
            registry=registry,
        )
        self._inputs = Counter(
            "recomart_ranker_rows", f"Candidates whose inputs were looked at; 1 answer in {SAMPLED}", registry=registry
        )
        self._nulls = Counter(
            "recomart_ranker_nulls", "Candidates, of those, without a value of an input", ["input"], registry=registry
        )
        self._events = Counter("recomart_events", "Events of POST /events", ["outcome"], registry=registry)
        self._erased = Counter("recomart_erasures", "Users erased", registry=registry)
        # of each request: finding a child by its labels takes the library longer than counting
        self._of_requests = lru_cache(CHILDREN)(self._requests.labels)
        self._of_stages = lru_cache(CHILDREN)(self._stages.labels)
        self._of_answers = lru_cache(CHILDREN)(self._answers.labels)
        self._coverage = Coverage()
        self._gauges = Gauges(snapshot, drift, self._coverage)
        self._turn = 0

    def answered(self, trace: Trace) -> None:
        """Count a request that has ended."""
        self._of_requests(trace.method, trace.route, str(trace.status)).inc()
        for stage, ms in trace.stages.items():
            self._of_stages(stage).observe(ms / 1000)
        if trace.route == RECOMMEND:
            self._seconds.observe(trace.total_ms / 1000)
            if trace.notes.get("degraded"):
                self._degraded.inc()

    def recommended(self, version: int, bundle: Bundle, decided: "Recommendation") -> None:
        """Count a recommendation of the model ``version``; of some, look at what the ranker read."""
        self._of_answers(decided.strategy, "true" if decided.degraded else "false", str(version)).inc()
        self._coverage.shown(version, len(bundle.item_ids), [item.item_idx for item in decided.items])
        self._turn += 1
        if self._turn % SAMPLED:
            return
        names, evidence = bundle.manifest["sources"], decided.evidence
        for name, count in zip(names, np.bincount(evidence.candidates.source, minlength=len(names)), strict=True):
            self._candidates.labels(name).observe(int(count))
        missing = np.isnan(evidence.inputs).sum(axis=0)
        self._inputs.inc(len(evidence.inputs))
        for place in np.flatnonzero(missing):
            self._nulls.labels(bundle.manifest["features"][place]).inc(int(missing[place]))

    def rejected(self, status: int) -> None:
        """Count a request that was turned away before anything read it."""
        self._rejected.labels(str(status)).inc()

    def events(self, accepted: int, duplicates: int, unknown_items: int) -> None:
        """Count what became of the events of a request."""
        for outcome, count in (("accepted", accepted), ("duplicate", duplicates), ("unknown_item", unknown_items)):
            self._events.labels(outcome).inc(count)

    def erased(self) -> None:
        """Count a user whose data went."""
        self._erased.inc()

    def watch_queue(
        self,
        name: str,
        depth: Callable[[], int],
        dropped: Callable[[], int],
        thinned: Callable[[], int] | None = None,
    ) -> None:
        """Show how many wait in a queue, and how many it had to drop, or to keep in part, since the process began."""
        self._gauges.queues[name] = Queue(depth, dropped, thinned)

    def text(self) -> bytes:
        """All of it in Prometheus' text format."""
        now = CollectorRegistry()
        now.register(self._gauges)
        counted = self._registry
        if values.ValueClass is not values.MutexValue:  # the variable itself Feast sets, whenever it is imported
            counted = CollectorRegistry()
            MultiProcessCollector(counted)
        return bytes(generate_latest(counted) + generate_latest(now))
