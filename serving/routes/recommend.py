"""GET and POST /recommend."""

import math
from typing import Annotated
from uuid import uuid4

from fastapi import APIRouter, Query, Response

from serving import problems
from serving.filters import Query as Asked
from serving.recommender import Recommendation, Recommended
from serving.schemas import ItemOut, K, RecommendIn, RecommendOut, UserId
from serving.services import ServicesDep, SnapshotDep, TraceDep
from serving.snapshot import Snapshot
from serving.tracing import Trace

router = APIRouter(tags=["recommendations"], responses=problems.responses(422, 503))


@router.get("/recommend")
def recommend(
    user_id: Annotated[UserId, Query()],
    services: ServicesDep,
    snapshot: SnapshotDep,
    trace: TraceDep,
    response: Response,
    k: Annotated[K, Query()] = 10,
) -> RecommendOut:
    """Recommend ``k`` items in stock that the user has not interacted with; popular ones to an unknown user."""
    response.headers["Cache-Control"] = "no-store"
    return _answer(services, snapshot, trace, Asked(user_id, k))


@router.post("/recommend")
def recommend_filtered(
    asked: RecommendIn, services: ServicesDep, snapshot: SnapshotDep, trace: TraceDep
) -> RecommendOut:
    """Recommend as GET does, among the items that the filters allow."""
    return _answer(services, snapshot, trace, Asked(**dict(asked)))


def _answer(services: ServicesDep, snapshot: Snapshot, trace: Trace, asked: Asked) -> RecommendOut:
    decided = services.recommender.recommend(snapshot, asked, trace)
    out = RecommendOut(
        recommendation_id=str(uuid4()),
        user_id=asked.user_id,
        model_version=str(snapshot.version),
        feature_service=snapshot.feature_service,
        strategy=decided.strategy,
        degraded=decided.degraded,
        items=_items(snapshot, decided),
    )
    trace.note(
        recommendation_id=out.recommendation_id,
        strategy=out.strategy,
        degraded=out.degraded,
        model_version=out.model_version,
        items=len(out.items),
    )
    return out


def _items(snapshot: Snapshot, decided: Recommendation) -> list[ItemOut]:
    return [_item(snapshot, item, rank) for rank, item in enumerate(decided.items, 1)]


def _item(snapshot: Snapshot, item: Recommended, rank: int) -> ItemOut:
    cards, idx = snapshot.cards, item.item_idx
    price = float(cards.price[idx])
    return ItemOut(
        item_id=str(snapshot.bundle.item_ids[idx]),
        score=item.score,
        rank=rank,
        source=item.source,
        reason=item.reason,
        title=cards.title[idx],
        price=None if math.isnan(price) else price,
        category=cards.category[idx],
    )
