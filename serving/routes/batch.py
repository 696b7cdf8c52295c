"""POST /recommend/batch."""

import asyncio
from typing import Any

import orjson
from fastapi import APIRouter, Response

from serving import problems
from serving.filters import Query as Asked
from serving.routes.recommend import UNSTORED, answer
from serving.schemas import BatchIn, BatchOut
from serving.services import ServicesDep, TraceDep

router = APIRouter(tags=["recommendations"], responses=problems.responses(422, 503))


@router.post("/recommend/batch", response_model=BatchOut)
async def recommend_batch(asked: BatchIn, services: ServicesDep, trace: TraceDep) -> Response:
    """Answer up to 100 queries, each as POST /recommend does, in their order."""
    answers: list[dict[str, Any]] = []
    for query in asked.queries:
        answers.append(answer(services, trace, Asked(**dict(query))))
        await asyncio.sleep(0)  # others don't wait for all of it
    trace.note(queries=len(answers))
    body = orjson.dumps({"recommendations": answers})
    return Response(body, media_type="application/json", headers=UNSTORED)
