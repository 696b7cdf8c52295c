"""GET /users/{user_id}/features and DELETE /users/{user_id}."""

import math
from typing import Annotated

from fastapi import APIRouter, HTTPException, Path

from pipelines.core.errors import ServiceError
from serving import problems
from serving.problems import Unavailable
from serving.schemas import ErasedOut, RemovedOut, UserFeaturesOut, UserId
from serving.services import ServicesDep, SnapshotDep, TraceDep

router = APIRouter(tags=["features"], responses=problems.responses(404, 422, 503))


@router.get("/users/{user_id}/features")
def user_features(
    user_id: Annotated[UserId, Path()], services: ServicesDep, snapshot: SnapshotDep, trace: TraceDep
) -> UserFeaturesOut:
    """A user's features in the online store now."""
    trace.note(user_id=user_id)
    features = snapshot.features
    found = services.online.read(lambda: (features.as_of, features.user(user_id))) if features else None
    if found is None:
        raise Unavailable("the online features can't be read now")
    as_of, values = found
    shown = {name: None if math.isnan(value) else float(value) for name, value in sorted(values.items())}
    if all(value is None for value in shown.values()):
        raise HTTPException(404, f"no features are known for user {user_id}")
    return UserFeaturesOut(user_id=user_id, feature_service=snapshot.feature_service, as_of=as_of, features=shown)


@router.delete("/users/{user_id:path}")
def erase_user(user_id: Annotated[UserId, Path()], services: ServicesDep, trace: TraceDep) -> ErasedOut:
    """Erase a user: events, recommendations, features and what is online go now, the lake's rows with the next run.

    Whatever the user did up to now counts for nothing; what comes later is a new user's. Calling it again is safe.
    """
    trace.note(user_id=user_id)
    services.replay.forget(user_id)
    try:
        erased = services.security.eraser.erase(user_id)
    except ServiceError as error:
        raise Unavailable(f"nothing is erased for certain, ask again: {error}") from error
    services.online.forget(user_id)
    services.metrics.erased()
    removed = RemovedOut(
        events=erased.events,
        recommendations=erased.recommendations,
        features=erased.features,
        online=erased.online,
    )
    return ErasedOut(user_id=user_id, erased_at=erased.at, removed=removed)
