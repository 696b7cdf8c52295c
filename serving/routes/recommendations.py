"""GET /recommendations/{recommendation_id}: what was recommended, by what, and the same again."""

import math
from typing import Annotated, Any
from uuid import UUID

import numpy as np
from fastapi import APIRouter, HTTPException, Query, Response

from pipelines.core.errors import RecoMartError
from pipelines.core.lists import packing, replay
from pipelines.core.lists.arrangement import Arrangement
from pipelines.core.lists.logged import Logged
from serving import problems
from serving.problems import Unavailable
from serving.replay_schemas import CandidateOut, LoggedItemOut, LoggedOut, RecomputedItemOut, RecomputedOut
from serving.services import Services, ServicesDep

router = APIRouter(tags=["recommendations"], responses=problems.responses(404, 422, 503))


@router.get("/recommendations/{recommendation_id}")
def logged_recommendation(
    recommendation_id: UUID,
    services: ServicesDep,
    response: Response,
    candidates: Annotated[
        bool, Query(description="true: also all candidates with what the ranker read of them")
    ] = False,
) -> LoggedOut:
    """An answer as it was given, and its list computed again from the logged inputs while its model can be loaded."""
    response.headers["Cache-Control"] = "no-store"
    try:
        found = services.replay.find(recommendation_id)
    except RecoMartError:
        raise Unavailable("the log of recommendations can't be read now") from None
    if found is None:
        raise HTTPException(404, f"no recommendation {recommendation_id} is kept")
    arrays, more = packing.unpack(found.payload) if found.payload else ({}, {})
    of = _candidates(arrays, more)
    recomputed, reason = _recomputed(services, found, arrays, more)
    return LoggedOut(
        recommendation_id=str(found.id),
        at=found.at,
        user_id=found.user_id,
        model_version=str(found.model_version),
        feature_service=found.feature_service,
        experiment=found.experiment,
        arm=found.arm,
        propensity=found.propensity,
        shadow_of=str(found.shadow_of) if found.shadow_of else None,
        strategy=found.strategy,
        degraded=bool(found.degraded),
        degraded_because=list(found.degraded),
        query=dict(found.query),
        feature_as_of=found.feature_as_of,
        feature_ages=dict(found.feature_ages),
        items=[_item(item, rank, of) for rank, item in enumerate(found.items, 1)],
        candidate_count=len(of) if arrays else None,
        candidates=list(of.values()) if candidates and arrays else None,
        recomputed=recomputed,
        not_recomputed_because=reason,
    )


def _item(item: Any, rank: int, of: dict[str, CandidateOut]) -> LoggedItemOut:
    known = of.get(item["item_id"])
    return LoggedItemOut(**item, rank=rank, features=known.features if known else None)


def _candidates(arrays: dict[str, np.ndarray], more: dict[str, Any]) -> dict[str, CandidateOut]:
    """Item → the candidate; in the order of the items of the model."""
    if not arrays:
        return {}
    rows = zip(
        arrays["item_id"].tolist(),
        arrays["source"].tolist(),
        arrays["scores"].tolist(),
        arrays["keep"].tolist(),
        arrays["inputs"].tolist(),
        strict=True,
    )
    return {
        item_id: CandidateOut(
            item_id=item_id,
            source=more["sources"][source],
            score=_number(score),
            kept=kept,
            features={name: _number(value) for name, value in zip(more["features"], inputs, strict=True)},
        )
        for item_id, source, score, kept, inputs in rows
    }


def _recomputed(
    services: Services, found: Logged, arrays: dict[str, np.ndarray], more: dict[str, Any]
) -> tuple[RecomputedOut | None, str | None]:
    """(the list again, None), or (None, why it can't be computed)."""
    if not arrays:
        return None, "what it was decided by is no longer kept, or never was"
    try:
        bundle = services.keeper.bundle_of(found.model_version)
        item_idx, scores = replay.again(bundle, arrays, Arrangement(**more["how"]))
    except RecoMartError as error:
        return None, f"model version {found.model_version} can't be loaded: {type(error).__name__}"
    rows = zip(bundle.item_ids[item_idx].tolist(), scores.tolist(), strict=True)
    items = [
        RecomputedItemOut(item_id=item_id, rank=rank, score=score) for rank, (item_id, score) in enumerate(rows, 1)
    ]
    was = [(item["item_id"], item["score"]) for item in found.items]
    return RecomputedOut(identical=was == [(item.item_id, item.score) for item in items], items=items), None


def _number(value: float) -> float | None:
    return value if math.isfinite(value) else None
