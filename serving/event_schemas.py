"""What goes in and out of POST /events."""

import re
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any, Final, Literal

from pydantic import AfterValidator, AwareDatetime, BaseModel, BeforeValidator, ConfigDict, Field, StringConstraints

MOST: Final = 1000
"""Events in one request."""
AHEAD: Final = timedelta(minutes=5)
"""How far a sender's clock may be ahead of this one."""
EARLIEST: Final = datetime(1990, 1, 1, tzinfo=UTC)
_ISO: Final = re.compile(r"\d{4}-\d{2}-\d{2}[Tt ]\d{2}:\d{2}")
_PRINTABLE: Final = r"^[^\x00-\x1f\x7f\uFFFD]*$"

Id = Annotated[
    str, StringConstraints(strip_whitespace=True, min_length=1, max_length=256, pattern=_PRINTABLE)
]  # space around a value goes, as in a file of the log


def _text(value: Any) -> Any:
    if not isinstance(value, str) or not _ISO.match(value):
        raise ValueError("give date and time as ISO 8601 with a time zone, such as 2026-11-28T10:15:00.25Z")
    return value


def _possible(value: datetime) -> datetime:
    if value > datetime.now(UTC) + AHEAD:
        raise ValueError("lies in the future")
    if value < EARLIEST:
        raise ValueError("lies before 1990")
    return value.astimezone(UTC)


Timestamp = Annotated[AwareDatetime, BeforeValidator(_text), AfterValidator(_possible)]


class EventIn(BaseModel):
    """Something that a user did with an item."""

    model_config = ConfigDict(extra="forbid")

    event_id: Id = Field(description="The sender's own; an event that comes again under its id changes nothing")
    user_id: Id = Field(examples=["U1"])
    item_id: Id = Field(examples=["P1"])
    event_type: Literal["view", "click", "add_to_cart", "remove_from_cart", "purchase"]
    timestamp: Timestamp | None = Field(default=None, description="When it happened; null: now")
    session_id: Id | None = None
    device: Id | None = None
    quantity: int = Field(default=1, ge=1, le=1_000_000)
    price: float | None = Field(
        default=None, ge=0, le=1e9, allow_inf_nan=False, description="Of one piece, in the shop's currency"
    )


Events = Annotated[list[EventIn], Field(min_length=1, max_length=MOST)]


def _several(value: Any) -> Any:
    return value if isinstance(value, list) else [value]


EventsIn = Annotated[Events, BeforeValidator(_several, json_schema_input_type=EventIn | Events)]
"""One event or a list of them."""


class EventsOut(BaseModel):
    """All events of the request are stored durably."""

    accepted: int = Field(description="Events that are new")
    duplicates: int = Field(description="Events whose event_id was known already; they changed nothing")
    unknown_items: list[str] = Field(
        description="Ids of items that the model in use doesn't know: their events count, once the catalogue has them"
    )
