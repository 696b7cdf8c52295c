"""POST /events."""

from datetime import UTC, datetime, timedelta
from typing import Annotated

import numpy as np
from fastapi import APIRouter, Body

from pipelines.core.lists.live_event import LiveEvent
from pipelines.core.models.interactions import positions
from serving import problems
from serving.event_schemas import EventIn, EventsIn, EventsOut
from serving.services import ServicesDep, TraceDep
from serving.snapshot import Snapshot

router = APIRouter(tags=["events"], responses=problems.responses(422, 503))


@router.post("/events", status_code=202)
async def add_events(events: Annotated[EventsIn, Body()], services: ServicesDep, trace: TraceDep) -> EventsOut:
    """Take one event, or up to 1,000: all or none. 202 says that they are durable; sending them again is safe.

    The next recommendation of these users knows of them.
    """
    known = _known(services.keeper.snapshot, events)
    with trace.stage("store"):
        added = await services.events.add(_live(events, known))
    unknown = sorted({event.item_id for event, there in zip(events, known, strict=True) if there is False})
    services.metrics.events(added.accepted, added.duplicates, len(unknown))
    trace.note(events=len(events), duplicates=added.duplicates, unknown_items=len(unknown))
    return EventsOut(accepted=added.accepted, duplicates=added.duplicates, unknown_items=unknown)


def _known(snapshot: Snapshot | None, events: list[EventIn]) -> list[bool | None]:
    """Whether the champion knows each event's item; None while there is none."""
    if snapshot is None:
        return [None] * len(events)
    item_ids = np.array([event.item_id for event in events], str)
    known: list[bool | None] = (positions(snapshot.bundle.item_ids, item_ids) >= 0).tolist()
    return known


def _live(events: list[EventIn], known: list[bool | None]) -> list[LiveEvent]:
    """The events as they are stored; those without a time get the present one, each a microsecond later."""
    now = datetime.now(UTC)
    return [
        LiveEvent(
            event.event_id,
            event.user_id,
            event.item_id,
            event.event_type,
            event.timestamp or now + timedelta(microseconds=place),
            event.session_id,
            event.device,
            event.quantity,
            event.price,
            there,
        )
        for place, (event, there) in enumerate(zip(events, known, strict=True))
    ]
