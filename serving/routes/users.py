"""GET /users/{user_id}/features."""

import math
from typing import Annotated

from fastapi import APIRouter, HTTPException, Path

from serving import problems
from serving.problems import Unavailable
from serving.schemas import UserFeaturesOut, UserId
from serving.services import ServicesDep, SnapshotDep

router = APIRouter(tags=["features"], responses=problems.responses(404, 422, 503))


@router.get("/users/{user_id}/features")
def user_features(user_id: Annotated[UserId, Path()], services: ServicesDep, snapshot: SnapshotDep) -> UserFeaturesOut:
    """A user's features in the online store now."""
    features = snapshot.features
    found = services.online.read(lambda: (features.as_of, features.user(user_id))) if features else None
    if found is None:
        raise Unavailable("the online features can't be read now")
    as_of, values = found
    shown = {name: None if math.isnan(value) else float(value) for name, value in sorted(values.items())}
    if all(value is None for value in shown.values()):
        raise HTTPException(404, f"no features are known for user {user_id}")
    return UserFeaturesOut(user_id=user_id, feature_service=snapshot.feature_service, as_of=as_of, features=shown)
