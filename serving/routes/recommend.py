"""GET and POST /recommend.

An answer takes a few milliseconds and waits for Redis with a short deadline only, so it is worked out on the event
loop: a thread for each request would cost more. It is rendered as it is; its schema is tested, not checked each time.
"""

import math
import time
from typing import Annotated, Any, Final
from uuid import uuid4

import orjson
from fastapi import APIRouter, Query, Response

from serving import problems
from serving.explain import explanations
from serving.filters import Query as Asked
from serving.recommender import Recommendation
from serving.routes.quick import QuickRoute
from serving.schemas import K, RecommendIn, RecommendOut, UserId
from serving.services import Services, ServicesDep, TraceDep
from serving.snapshot import Snapshot
from serving.tracing import Trace

router = APIRouter(tags=["recommendations"], responses=problems.responses(422, 503), route_class=QuickRoute)

SEEDS: Final = 2**32
UNSTORED: Final = {"Cache-Control": "no-store"}


@router.get("/recommend", response_model=RecommendOut)
async def recommend(
    user_id: Annotated[UserId, Query()],
    services: ServicesDep,
    trace: TraceDep,
    k: Annotated[K, Query()] = 10,
) -> Response:
    """Recommend ``k`` items in stock that the user has not interacted with; popular ones to an unknown user."""
    return _answered(services, trace, Asked(user_id, k))


@router.post("/recommend", response_model=RecommendOut)
async def recommend_filtered(asked: RecommendIn, services: ServicesDep, trace: TraceDep) -> Response:
    """Recommend as GET does, among the items that the filters allow."""
    return _answered(services, trace, Asked(**dict(asked)))


def _answered(services: Services, trace: Trace, asked: Asked) -> Response:
    return Response(orjson.dumps(answer(services, trace, asked)), media_type="application/json", headers=UNSTORED)


def answer(services: Services, trace: Trace, asked: Asked) -> dict[str, Any]:
    """Decide, count, log; the answer, of the form of ``RecommendOut``.

    Raises:
        Unavailable: there is no model yet.
    """
    assigned, wanted = services.experiments.assign(asked.user_id), uuid4()
    snapshot = assigned.snapshot
    forgotten = asked.user_id is not None and services.erasures.forgets(asked.user_id, snapshot.cut_s)
    decided = services.recommender.recommend(snapshot, asked, trace, seed=wanted.int % SEEDS, forgotten=forgotten)
    out = _rendered(str(wanted), snapshot, asked, decided)
    trace.note(
        recommendation_id=out["recommendation_id"],
        strategy=decided.strategy,
        degraded=bool(decided.degraded),
        model_version=out["model_version"],
        items=len(decided.items),
        user_id=asked.user_id,
    )
    services.metrics.recommended(snapshot.version, snapshot.bundle, decided)
    services.replay.record(out["recommendation_id"], snapshot, asked, decided, assigned, time.time())
    return out


def _rendered(recommendation_id: str, snapshot: Snapshot, asked: Asked, decided: Recommendation) -> dict[str, Any]:
    return {
        "recommendation_id": recommendation_id,
        "user_id": asked.user_id,
        "model_version": str(snapshot.version),
        "feature_service": snapshot.feature_service,
        "strategy": decided.strategy,
        "degraded": bool(decided.degraded),
        **({"degraded_because": decided.degraded} if decided.degraded else {}),
        "items": _items(snapshot, asked, decided),
    }


def _items(snapshot: Snapshot, asked: Asked, decided: Recommendation) -> list[dict[str, Any]]:
    cards, places = snapshot.cards, [item.item_idx for item in decided.items]
    rows = zip(snapshot.bundle.item_ids[places].tolist(), cards.price[places].tolist(), decided.items, strict=True)
    items = [
        {
            "item_id": item_id,
            "score": item.score,
            "rank": rank,
            "source": item.source,
            "reason": item.reason,
            "title": cards.title[item.item_idx],
            "price": None if math.isnan(price) else price,
            "category": cards.category[item.item_idx],
        }
        for rank, (item_id, price, item) in enumerate(rows, 1)
    ]
    if asked.explain:
        evidence = decided.evidence
        boost = None if evidence.boost is None else evidence.boost[evidence.rows]
        told = explanations(snapshot.bundle, evidence.inputs[evidence.rows], boost)
        return [{**item, "explanation": explanation} for item, explanation in zip(items, told, strict=True)]
    return items
