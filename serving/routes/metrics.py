"""GET /metrics."""

from fastapi import APIRouter, Response
from prometheus_client import CONTENT_TYPE_LATEST

from serving import problems
from serving.services import ServicesDep

router = APIRouter(tags=["state"], responses=problems.responses())


@router.get("/metrics", response_class=Response, responses={200: {"content": {"text/plain": {}}}})
def metrics(services: ServicesDep) -> Response:
    """Latency, degraded answers and the age of each feature view, for Prometheus."""
    return Response(services.metrics.text(), media_type=CONTENT_TYPE_LATEST, headers={"Cache-Control": "no-store"})
