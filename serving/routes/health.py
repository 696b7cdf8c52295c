"""GET /health and /ready."""

from datetime import UTC, datetime
from typing import Literal

from fastapi import APIRouter, Request, Response

from serving import problems
from serving.schemas import FeaturesOut, HealthOut, ModelOut, PartOut, PartsOut, ReadyOut
from serving.services import Services, ServicesDep
from serving.snapshot import Snapshot, cut

router = APIRouter(tags=["state"], responses=problems.responses())


@router.get("/health")
async def health(request: Request) -> HealthOut:
    """The process is alive. It answers from its first moment, also while it can't recommend yet."""
    return HealthOut(version=request.app.version)


@router.get("/ready", responses={503: {"model": ReadyOut, "description": "Starting: a part is missing"}})
def ready(services: ServicesDep, response: Response) -> ReadyOut:
    """Whether to send requests here: 200 once model and features have been loaded, also while it is degraded later.

    An instance that lost its online store still answers, so taking it out of service would only make things worse.
    """
    response.headers["Cache-Control"] = "no-store"
    snapshot = services.keeper.snapshot
    parts = PartsOut(
        model=_model(services, snapshot),
        features=_features(services, snapshot),
        redis=_redis(services, snapshot),
        keys=_keys(services),
        rules=PartOut(ok=services.rules.error is None, detail=services.rules.error),
        experiments=_experiments(services),
        log=PartOut(ok=services.replay.error is None, detail=services.replay.error),
        events=_events(services),
    )
    status = _status(snapshot, parts)
    response.status_code = 503 if status == "starting" else 200
    return ReadyOut(status=status, parts=parts)


def _status(snapshot: Snapshot | None, parts: PartsOut) -> Literal["ready", "degraded", "starting"]:
    if snapshot is None or snapshot.features is None or not parts.keys.ok:
        return "starting"
    all_ok = parts.model.ok and parts.features.ok and parts.redis.ok and parts.rules.ok
    return "ready" if all_ok else "degraded"


def _events(services: Services) -> PartOut:
    """As of the last attempt; the next one begins with this question."""
    error = services.events.error
    services.events.probe()
    return PartOut(ok=error is None, detail=error)


def _model(services: Services, snapshot: Snapshot | None) -> ModelOut:
    error = services.keeper.model_error
    if snapshot is None:
        return ModelOut(ok=False, detail=error)
    return ModelOut(ok=error is None, detail=error, version=str(snapshot.version), cut=cut(snapshot.bundle).isoformat())


def _features(services: Services, snapshot: Snapshot | None) -> FeaturesOut:
    error = services.keeper.features_error
    if snapshot is None or snapshot.as_of is None:
        return FeaturesOut(ok=False, detail=error)
    return FeaturesOut(
        ok=error is None,
        detail=error,
        feature_service=snapshot.feature_service,
        as_of=snapshot.as_of,
        age_seconds=round((datetime.now(UTC) - snapshot.as_of).total_seconds(), 1),
    )


def _redis(services: Services, snapshot: Snapshot | None) -> PartOut:
    """Ask the online store for somebody, as a request would."""
    features = snapshot.features if snapshot else None
    if snapshot is None or features is None:
        return PartOut(ok=False, detail="not asked yet")
    answered = services.online.read(lambda: features.user(str(snapshot.bundle.user_ids[0])))
    return PartOut(ok=answered is not None, detail=services.online.error)


def _experiments(services: Services) -> PartOut:
    """Whether everything that is tried out can be; nobody's answer is worse for it where not."""
    errors = [f"{name}: {error}" for name, error in services.experiments.errors.items()]
    errors += [services.shadow.error] if services.shadow.error else []
    return PartOut(ok=not errors, detail="; ".join(errors) or None)


def _keys(services: Services) -> PartOut:
    """Whether a key can be checked at all; that those known grow old while Postgres is down is no reason to stop."""
    ok = services.security.keyring.is_read
    return PartOut(ok=ok, detail=None if ok else "the API keys haven't been read yet")
