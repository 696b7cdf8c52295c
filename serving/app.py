"""The application: ``uvicorn serving.app:create_app --factory``. Importing this module does nothing."""

import asyncio
import os
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Final

from fastapi import FastAPI
from fastapi.responses import RedirectResponse
from fastapi_offline import FastAPIOffline

from pipelines.io.live.experiment_plan import PlanFile
from pipelines.settings import Settings
from serving import late, logs, problems, spans
from serving.events import EventLog
from serving.experiments import Experiments
from serving.filters import Query
from serving.keeper import Keeper
from serving.metrics import Metrics
from serving.online import OnlineStore
from serving.ports import Backends
from serving.recommender import Recommender
from serving.replay_log import ReplayLog
from serving.routes import batch, events, health, items, metrics, recommend, recommendations, users
from serving.rules import RuleBook
from serving.security.setup import Security
from serving.services import Services
from serving.shadow import Shadow
from serving.similar import Similar
from serving.snapshot import Snapshot
from serving.tracing import Trace

VERSION: Final = "0.1.0"
REFRESH_SECONDS: Final = 10.0
"""Between looks at the registry's aliases and at what was materialized."""
PATIENCE_SECONDS: Final = 30.0
"""So long one of several workers waits for its model before it takes requests: others may have theirs already."""


def create_app(
    settings: Settings | None = None,
    *,
    backends: Callable[[Settings], Backends] | None = None,
    refresh_seconds: float = REFRESH_SECONDS,
) -> FastAPI:
    """Build the application; it loads its model and features in the background once it runs.

    ``settings``: from the environment and the current folder where None. ``backends`` opens MLflow and Feast where
    None; it is called in the background, and again until it succeeds.

    Raises:
        ConfigError: an environment variable has the wrong form.
    """
    settings = settings or Settings.load(Path.cwd(), os.environ)
    logs.to_stderr(settings.log_level)
    services = _services(settings, backends or _mlflow_and_feast, refresh_seconds)
    app = FastAPIOffline(
        title="RecoMart",
        version=VERSION,
        description="Recommendations from a model in MLflow and features in Feast. Errors are RFC 9457 problems.",
        redoc_url=None,
        lifespan=_lifespan,
    )
    app.state.services = services
    app.state.patience = PATIENCE_SECONDS if settings.workers > 1 else 0.0
    problems.install(app)
    for routes in (recommend, batch, items, events, recommendations, users, health, metrics):
        app.include_router(routes.router)
    app.add_api_route("/", _home, include_in_schema=False)
    services.security.install(app, services.metrics, spans.opened(os.environ))
    return app


def _services(settings: Settings, backends: Callable[[Settings], Backends], refresh_seconds: float) -> Services:
    online = OnlineStore()
    rules = RuleBook(settings.root / settings.rules if settings.rules else None)
    recommender = Recommender(online, rules, settings.explore)

    def warm_up(snapshot: Snapshot) -> None:
        recommender.recommend(snapshot, Query(str(snapshot.bundle.user_ids[0]), 10), Trace("warm-up"))

    plan = PlanFile(settings.root / settings.experiments if settings.experiments else None)
    keeper = Keeper(lambda: backends(settings), warm_up, refresh_seconds, plan.models)
    experiments, replay = Experiments(plan, keeper), ReplayLog(settings)
    security = Security(settings)
    shadow = Shadow(recommender, experiments, replay, security.erasures.forgets)
    replay.watchers.append(shadow.consider)
    metrics = Metrics(lambda: keeper.snapshot, lambda: security.watch.drift)
    metrics.watch_queue("recommendation_log", lambda: replay.waiting, lambda: replay.dropped, lambda: replay.thinned)
    metrics.watch_queue("shadow", lambda: shadow.waiting, lambda: shadow.dropped)
    event_log = EventLog(settings)
    metrics.watch_queue("events", lambda: event_log.waiting, lambda: event_log.turned_away)
    similar = Similar(online)
    return Services(
        keeper, online, recommender, metrics, security, experiments, replay, shadow, event_log, rules, similar
    )


def _mlflow_and_feast(settings: Settings) -> Backends:
    """Open the real backends. Importing Feast and MLflow takes seconds: only now, while the service listens already."""
    with late.feast():
        from serving.backends import MlflowAndFeast

    return MlflowAndFeast(settings)


@asynccontextmanager
async def _lifespan(app: FastAPI) -> AsyncIterator[None]:
    app.state.services.security.start()
    app.state.services.keeper.start()
    app.state.services.events.start()
    app.state.services.replay.start()
    app.state.services.shadow.start()
    await _model(app.state.services.keeper, app.state.patience)
    yield
    app.state.services.events.stop()
    app.state.services.keeper.stop()
    app.state.services.shadow.stop()
    app.state.services.replay.stop()
    app.state.services.security.stop()


async def _model(keeper: Keeper, seconds: float) -> None:
    """Wait until there is a model, but no longer than some seconds."""
    deadline = time.monotonic() + seconds
    while keeper.snapshot is None and time.monotonic() < deadline:
        await asyncio.sleep(0.05)


async def _home() -> RedirectResponse:
    return RedirectResponse("docs")
