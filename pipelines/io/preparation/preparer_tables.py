"""The tables that the preparation's expressions are written on; its engine knows them by these names.

Within a piece users and items are codes: places in the dictionaries of that piece.
"""

from typing import Final

from pipelines.core.columns import CANCELLATION_SCHEMA, EVENT_SCHEMA, PRODUCT_SCHEMA, Col
from pipelines.core.lake import preparation
from pipelines.io.duck import table

TIME: Final = "timestamp('UTC', 6)"
ROWS: Final = table(
    "piece",
    {
        **{Col.USER_ID: "int32", Col.ITEM_ID: "int32", Col.EVENT_TYPE: "string", Col.TIMESTAMP: TIME},
        **{Col.QUANTITY: "int64", Col.PRICE: "float64", "second": "int64", "n": "int64"},
    },
)
LIKELY: Final = table("likely", ROWS.schema())
WITHOUT: Final = table("without", {Col.USER_ID: "string", Col.TIMESTAMP: TIME, "n": "int64"})
CARRIED: Final = table("carried", preparation.CARRIED)
NUMBERED: Final = table("numbered", preparation.sessions(WITHOUT, CARRIED, 1).schema())
LOOKS: Final = table("looks", {Col.USER_ID: "int32", Col.EVENT_TYPE: "string", "second": "int64"})
BOTS: Final = table("bots", {Col.USER_ID: "int32", "day": "int64"})
FINE: Final = table("fine", {"day": "int64"})
PRODUCTS: Final = table("products", PRODUCT_SCHEMA)
UNLISTED: Final = table("unlisted", {Col.ITEM_ID: "string", "first": TIME})
STATES: Final = table("states", preparation.states(PRODUCTS).schema())
SPAN: Final = table("span", {"start": TIME, "end": TIME})
ITEMS: Final = table("items", {Col.ITEM_ID: "string", "code": "int32"})
CHANGING: Final = table("changing", {Col.ITEM_ID: "int32", Col.TIMESTAMP: TIME, "n": "int64"})
HERE: Final = table("here", {Col.ITEM_ID: "int32", "place": "int64", "since": TIME, "alone": "boolean"})
PRICES: Final = table("prices", {Col.ITEM_ID: "string", Col.PRICE: "float64", "count": "int64"})
EVENTS: Final = table("events", EVENT_SCHEMA)
CANCELLATIONS: Final = table("cancellations", CANCELLATION_SCHEMA)
