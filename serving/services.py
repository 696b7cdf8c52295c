"""What the routes get: the service's parts, injected."""

from dataclasses import dataclass
from typing import Annotated

from fastapi import Depends, Request

from serving.keeper import Keeper
from serving.metrics import Metrics
from serving.online import OnlineStore
from serving.problems import Unavailable
from serving.recommender import Recommender
from serving.snapshot import Snapshot
from serving.tracing import Trace, trace_of


@dataclass(frozen=True)
class Services:
    """The parts of one application."""

    keeper: Keeper
    online: OnlineStore
    recommender: Recommender
    metrics: Metrics


def _services(request: Request) -> Services:
    services = request.app.state.services
    assert isinstance(services, Services)
    return services


def _snapshot(services: Annotated[Services, Depends(_services)]) -> Snapshot:
    snapshot = services.keeper.snapshot
    if snapshot is None:
        raise Unavailable(f"no model to answer with: {services.keeper.model_error}")
    return snapshot


ServicesDep = Annotated[Services, Depends(_services)]
SnapshotDep = Annotated[Snapshot, Depends(_snapshot)]
"""The snapshot that one request uses from beginning to end; answers 503 while there is none."""
TraceDep = Annotated[Trace, Depends(trace_of)]
