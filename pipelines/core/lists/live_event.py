"""An event as the service takes it: a canonical one, and whether its item was known."""

from datetime import datetime
from typing import NamedTuple


class LiveEvent(NamedTuple):
    """Fields are those of the canonical event; ``ts`` is its timestamp, UTC."""

    event_id: str
    user_id: str
    item_id: str
    event_type: str
    ts: datetime
    session_id: str | None = None
    device: str | None = None
    quantity: int = 1
    price: float | None = None
    known_item: bool | None = None
    """Whether the model in use knew the item; None while no model was there."""


class Stored(NamedTuple):
    """A live event in Postgres, with its number."""

    seq: int
    event: LiveEvent
