"""What the routes get: the service's parts, injected.

What injects them is asynchronous though it waits for nothing: FastAPI would hand it to a thread otherwise, for each
request anew.
"""

from dataclasses import dataclass
from typing import Annotated

from fastapi import Depends, Request

from serving.events import EventLog
from serving.experiments import Experiments
from serving.keeper import Keeper
from serving.metrics import Metrics
from serving.online import OnlineStore
from serving.problems import Unavailable
from serving.recommender import Recommender
from serving.replay_log import ReplayLog
from serving.rules import RuleBook
from serving.security.erasures import Erasures
from serving.security.setup import Security
from serving.shadow import Shadow
from serving.similar import Similar
from serving.snapshot import Snapshot
from serving.tracing import Trace, trace_of


@dataclass(frozen=True)
class Services:
    """The parts of one application."""

    keeper: Keeper
    online: OnlineStore
    recommender: Recommender
    metrics: Metrics
    security: Security
    experiments: Experiments
    replay: ReplayLog
    shadow: Shadow
    events: EventLog
    rules: RuleBook
    similar: Similar

    @property
    def erasures(self) -> Erasures:
        """Whom to forget."""
        return self.security.erasures


async def _services(request: Request) -> Services:
    services = request.app.state.services
    assert isinstance(services, Services)
    return services


async def _snapshot(services: Annotated[Services, Depends(_services)]) -> Snapshot:
    snapshot = services.keeper.snapshot
    if snapshot is None:
        raise Unavailable(f"no model to answer with: {services.keeper.model_error}")
    return snapshot


async def _trace(request: Request) -> Trace:
    return trace_of(request)


ServicesDep = Annotated[Services, Depends(_services)]
SnapshotDep = Annotated[Snapshot, Depends(_snapshot)]
"""The snapshot that one request uses from beginning to end; answers 503 while there is none."""
TraceDep = Annotated[Trace, Depends(_trace)]
