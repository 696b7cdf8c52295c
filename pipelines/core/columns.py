"""Column names, event types and the canonical schemas: their one home.

External ids (``*_id``) are strings; positions in a bundle's arrays are ``*_idx`` (int32).
Every timestamp is UTC with microseconds.
"""

from typing import Final

import pyarrow as pa


class Col:
    """Names of the canonical columns."""

    EVENT_ID: Final = "event_id"
    USER_ID: Final = "user_id"
    ITEM_ID: Final = "item_id"
    EVENT_TYPE: Final = "event_type"
    TIMESTAMP: Final = "timestamp"
    SESSION_ID: Final = "session_id"
    DEVICE: Final = "device"
    QUANTITY: Final = "quantity"
    PRICE: Final = "price"
    TITLE: Final = "title"
    CATEGORY: Final = "category"
    IS_BOT: Final = "is_bot"
    IS_OUTLIER: Final = "is_outlier"
    NET_QUANTITY: Final = "net_quantity"
    CANCELLED_AT: Final = "cancelled_at"
    WHOLE: Final = "whole"
    # Feast's two time columns
    EVENT_TIMESTAMP: Final = "event_timestamp"
    CREATED_TIMESTAMP: Final = "created_timestamp"


EVENT_TYPES: Final = ("view", "click", "add_to_cart", "remove_from_cart", "purchase")

BROWSING: Final = ("view", "click")
"""What a person does by looking around, and a program by crawling: it moves neither goods nor money."""

UTC_US: Final = pa.timestamp("us", tz="UTC")

EVENT_SCHEMA: Final = pa.schema(
    [
        pa.field(Col.EVENT_ID, pa.string(), nullable=False),
        pa.field(Col.USER_ID, pa.string(), nullable=False),
        pa.field(Col.ITEM_ID, pa.string(), nullable=False),
        pa.field(Col.EVENT_TYPE, pa.string(), nullable=False),
        pa.field(Col.TIMESTAMP, UTC_US, nullable=False),
        pa.field(Col.SESSION_ID, pa.string()),
        pa.field(Col.DEVICE, pa.string()),
        pa.field(Col.QUANTITY, pa.int64(), nullable=False),
        pa.field(Col.PRICE, pa.float64()),
    ]
)
"""The canonical event. ``quantity`` is at least 1; ``price`` is the unit price in the shop's currency."""

PRODUCT_SCHEMA: Final = pa.schema(
    [
        pa.field(Col.ITEM_ID, pa.string(), nullable=False),
        pa.field(Col.TITLE, pa.string(), nullable=False),
        pa.field(Col.CATEGORY, pa.string()),
        pa.field(Col.PRICE, pa.float64()),
        pa.field("description", pa.string()),
        pa.field("image", pa.string()),
        pa.field("rating_rate", pa.float64()),
        pa.field("rating_count", pa.int64()),
        pa.field("in_stock", pa.bool_(), nullable=False),
        pa.field("valid_from", UTC_US, nullable=False),
    ]
)
"""A catalogue entry as it was known from ``valid_from`` on; several rows of an item are its history."""

CANCELLATION_SCHEMA: Final = EVENT_SCHEMA.remove(EVENT_SCHEMA.get_field_index(Col.EVENT_TYPE))
"""A purchase taken back, wholly or in part: ``quantity`` is how many pieces came back (at least 1)."""

PREPARED_SCHEMA: Final = pa.schema(
    [
        *(field.with_nullable(field.nullable and field.name != Col.SESSION_ID) for field in EVENT_SCHEMA),
        pa.field(Col.CATEGORY, pa.string()),
        pa.field(Col.IS_BOT, pa.bool_(), nullable=False),
        pa.field(Col.IS_OUTLIER, pa.bool_(), nullable=False),
        pa.field(Col.NET_QUANTITY, pa.int64(), nullable=False),
        pa.field(Col.CANCELLED_AT, UTC_US),
        pa.field("event_type_code", pa.int32(), nullable=False),
        pa.field("device_code", pa.int32(), nullable=False),
        pa.field("category_code", pa.int32(), nullable=False),
        pa.field("price_scaled", pa.float64()),
        pa.field("quantity_scaled", pa.float64(), nullable=False),
    ]
)
"""A prepared interaction. ``net_quantity`` is what was not taken back in the end; ``cancelled_at`` when it became 0."""

TAKEN_BACK_SCHEMA: Final = pa.schema(
    [
        pa.field(Col.EVENT_ID, pa.string(), nullable=False),
        pa.field(Col.USER_ID, pa.string(), nullable=False),
        pa.field(Col.ITEM_ID, pa.string(), nullable=False),
        pa.field(Col.CATEGORY, pa.string()),
        pa.field(Col.IS_BOT, pa.bool_(), nullable=False),
        pa.field(Col.PRICE, pa.float64()),
        pa.field(Col.TIMESTAMP, UTC_US, nullable=False),
        pa.field(Col.QUANTITY, pa.int64(), nullable=False),
        pa.field(Col.CANCELLED_AT, UTC_US, nullable=False),
        pa.field(Col.WHOLE, pa.bool_(), nullable=False),
    ]
)
"""Pieces of a purchase that one cancellation took back: ``quantity`` of them at ``cancelled_at``; the rest is the
purchase's. ``whole``: nothing of it is left from then on."""
