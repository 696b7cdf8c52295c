"""The application: ``uvicorn serving.app:create_app --factory``. Importing this module does nothing."""

import os
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Final

from fastapi import FastAPI
from fastapi.responses import RedirectResponse
from fastapi_offline import FastAPIOffline

from pipelines.settings import Settings
from serving import logs, problems
from serving.filters import Query
from serving.keeper import Keeper
from serving.metrics import Metrics
from serving.online import OnlineStore
from serving.ports import Backends
from serving.recommender import Recommender
from serving.routes import health, metrics, recommend, users
from serving.services import Services
from serving.snapshot import Snapshot
from serving.tracing import Trace, Tracing

VERSION: Final = "0.1.0"
REFRESH_SECONDS: Final = 30.0
"""Between looks at the champion and the item features."""


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
    app.add_middleware(Tracing, ended=services.metrics.answered)
    problems.install(app)
    for routes in (recommend, users, health, metrics):
        app.include_router(routes.router)
    app.add_api_route("/", _home, include_in_schema=False)
    return app


def _services(settings: Settings, backends: Callable[[Settings], Backends], refresh_seconds: float) -> Services:
    online = OnlineStore()
    recommender = Recommender(online)

    def warm_up(snapshot: Snapshot) -> None:
        recommender.recommend(snapshot, Query(str(snapshot.bundle.user_ids[0]), 10), Trace("warm-up"))

    keeper = Keeper(lambda: backends(settings), warm_up, refresh_seconds)
    metrics = Metrics(lambda: keeper.snapshot.views if keeper.snapshot else [])
    return Services(keeper, online, recommender, metrics)


def _mlflow_and_feast(settings: Settings) -> Backends:
    """Open the real backends. Importing Feast and MLflow takes seconds: only now, while the service listens already."""
    from serving.backends import MlflowAndFeast

    return MlflowAndFeast(settings)


@asynccontextmanager
async def _lifespan(app: FastAPI) -> AsyncIterator[None]:
    app.state.services.keeper.start()
    yield
    app.state.services.keeper.stop()


async def _home() -> RedirectResponse:
    return RedirectResponse("docs")
