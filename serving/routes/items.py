"""GET /items/{item_id}/similar."""

import math
import time
from typing import Annotated

from fastapi import APIRouter, HTTPException, Path, Query

from serving import problems
from serving.filters import Query as Asked
from serving.schemas import ItemId, SimilarIn, SimilarItemOut, SimilarOut
from serving.services import ServicesDep, SnapshotDep
from serving.similar import Alike
from serving.snapshot import Snapshot

router = APIRouter(tags=["recommendations"], responses=problems.responses(404, 422, 503))


@router.get("/items/{item_id:path}/similar")
def similar_items(
    item_id: Annotated[ItemId, Path(description="The shop's id of the item", examples=["P1"])],
    asked: Annotated[SimilarIn, Query()],
    services: ServicesDep,
    snapshot: SnapshotDep,
) -> SimilarOut:
    """Items that go with an item, for its page: of the model's neighbours, else by title, else of its category."""
    active = services.rules.at(snapshot, time.time())
    found = services.similar.find(snapshot, item_id, Asked(None, **dict(asked)), active)
    if found is None:
        raise HTTPException(404, f"there is no item {item_id}")
    items = [_item(snapshot, one, rank) for rank, one in enumerate(found, 1)]
    return SimilarOut(item_id=item_id, model_version=str(snapshot.version), items=items)


def _item(snapshot: Snapshot, one: Alike, rank: int) -> SimilarItemOut:
    cards, idx = snapshot.cards, one.item_idx
    price = float(cards.price[idx])
    return SimilarItemOut(
        item_id=str(snapshot.bundle.item_ids[idx]),
        score=one.score,
        rank=rank,
        source=one.source,
        reason=one.reason,
        title=cards.title[idx],
        price=None if math.isnan(price) else price,
        category=cards.category[idx],
    )
