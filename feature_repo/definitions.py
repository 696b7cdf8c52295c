"""What the feature store holds: entities, sources, feature views and the services that models and cards read.

A published view never changes its meaning: a new meaning is a new view (``…_v2``) on a new table. Every view holds
change points: a row stamped t, a midnight UTC, holds the events of days strictly before t and is true until the next
row of its entity. There is no time to live: what was true last stays true.
"""

from datetime import timedelta

from feast import Entity, FeatureService, FeatureView, Field, PushSource, ValueType
from feast.infra.offline_stores.contrib.postgres_offline_store.postgres_source import PostgreSQLSource
from feast.types import Array, Bool, Float64, Int32, Int64, PrimitiveFeastType, String

FOREVER = timedelta(0)
ACTIVITY = {"owner": "recommendations", "max_age": "36h"}
CATALOGUE = {"owner": "catalogue", "max_age": "7d"}

EVENT_TYPES = {
    "views": "view",
    "clicks": "click",
    "carts": "add_to_cart",
    "removals": "remove_from_cart",
    "purchases": "purchase",
}


def counts(dtype: PrimitiveFeastType, prefixes: list[str], *windows: str) -> list[Field]:
    """A count of each event type for each window."""
    return [
        Field(name=f"{prefix}_{window}", dtype=dtype, description=f"{EVENT_TYPES[prefix]} events, {window}")
        for prefix in prefixes
        for window in windows
    ]


def gross(*windows: str) -> list[Field]:
    """The counts of the first versions: purchases as made, removals not counted."""
    return counts(Int64, ["views", "clicks", "carts", "purchases"], *windows)


def net() -> list[Field]:
    """The counts of the second versions: purchases that were wholly cancelled by then don't count."""
    return counts(Int32, list(EVENT_TYPES), "1d", "7d", "30d", "all")


def rates() -> list[Field]:
    """Ratios that a few events can't drive to their extremes."""
    return [
        Field(name="cart_rate_30d", dtype=Float64, description="(carts + 1) / (views + clicks + 20), 30d"),
        Field(name="conversion_30d", dtype=Float64, description="(purchases + 1) / (views + clicks + 20), 30d"),
        Field(
            name="trend_7d_30d",
            dtype=Float64,
            description="(n_7d / 7 + 0.1) / (n_30d / 30 + 0.1), n: views, clicks, carts and purchases",
        ),
    ]


def money(name: str, windows: tuple[str, ...], what: str) -> list[Field]:
    """Sums of money in minor units."""
    return [Field(name=f"{name}_{w}", dtype=Int64, description=f"{what}, {w}, minor units") for w in windows]


def last_event() -> Field:
    """A point in time and not an age: an age would change every day."""
    return Field(name="last_event_epoch_s", dtype=Int64, description="time of the last event, seconds since 1970")


def last_purchase() -> Field:
    """As made: a cancellation doesn't undo that somebody bought."""
    return Field(name="last_purchase_epoch_s", dtype=Int64, description="time of the last purchase, seconds since 1970")


def table_of(view: str) -> PostgreSQLSource:
    """The table of a view version, loaded by `python -m pipelines publish`. Source and table carry the version."""
    return PostgreSQLSource(
        name=f"{view}_source",
        table=f"features.{view}",
        timestamp_field="event_timestamp",
        created_timestamp_column="created_timestamp",
    )


def pushed(view: str) -> PushSource:
    """The table of a view version, and live rows pushed online between two nights."""
    return PushSource(name=f"{view}_push", batch_source=table_of(view))


# Entities

user = Entity(
    name="user", join_keys=["user_id"], value_type=ValueType.STRING, description="A visitor or customer of the shop"
)
item = Entity(name="item", join_keys=["item_id"], value_type=ValueType.STRING, description="A product of the shop")
category = Entity(
    name="category", join_keys=["category"], value_type=ValueType.STRING, description="A category of the catalogue"
)

# Sources: one table a view version; what is pushed live has a push source on top

user_activity_v1_source = table_of("user_activity_v1")
item_activity_v1_source = table_of("item_activity_v1")
user_item_activity_v1_source = table_of("user_item_activity_v1")
item_profile_v1_source = table_of("item_profile_v1")
item_activity_v2_source = table_of("item_activity_v2")
user_activity_v2_push = pushed("user_activity_v2")
user_item_activity_v2_push = pushed("user_item_activity_v2")
user_category_activity_v1_push = pushed("user_category_activity_v1")
user_recent_items_v1_push = pushed("user_recent_items_v1")

# Feature views

user_activity_v1 = FeatureView(
    name="user_activity_v1",
    description="What a user did, over 1, 7, 30 days and all time",
    entities=[user],
    ttl=FOREVER,
    source=user_activity_v1_source,
    schema=[
        Field(name="user_id", dtype=String),
        *gross("1d", "7d", "30d", "all"),
        *money("spend", ("30d", "all"), "price times quantity of purchases"),
        Field(name="mean_price_all", dtype=Float64, description="mean unit price over all priced events, minor units"),
        last_event(),
    ],
    tags=ACTIVITY,
)
item_activity_v1 = FeatureView(
    name="item_activity_v1",
    description="What happened to an item, over 1, 7, 30 days and all time",
    entities=[item],
    ttl=FOREVER,
    source=item_activity_v1_source,
    schema=[
        Field(name="item_id", dtype=String),
        *gross("1d", "7d", "30d", "all"),
        *money("revenue", ("30d", "all"), "price times quantity of purchases"),
        last_event(),
    ],
    tags=ACTIVITY,
)
user_item_activity_v1 = FeatureView(
    name="user_item_activity_v1",
    description="What a user did with one item, over 7, 30 days and all time",
    entities=[user, item],
    ttl=FOREVER,
    source=user_item_activity_v1_source,
    schema=[
        Field(name="user_id", dtype=String),
        Field(name="item_id", dtype=String),
        *gross("7d", "30d", "all"),
        last_event(),
    ],
    tags=ACTIVITY,
)
item_profile_v1 = FeatureView(
    name="item_profile_v1",
    description="What the catalogue says of an item",
    entities=[item],
    ttl=FOREVER,
    source=item_profile_v1_source,
    schema=[
        Field(name="item_id", dtype=String),
        Field(name="title", dtype=String, description="name for people"),
        Field(name="category", dtype=String, description="category, where the catalogue has one"),
        Field(name="price", dtype=Float64, description="unit price in the shop's currency"),
        Field(name="rating_rate", dtype=Float64, description="mean rating"),
        Field(name="rating_count", dtype=Int64, description="number of ratings"),
        Field(name="in_stock", dtype=Bool, description="whether it can be bought now"),
        Field(name="first_seen_epoch_s", dtype=Int64, description="stamp of the item's first row, seconds since 1970"),
    ],
    tags=CATALOGUE,
)
user_activity_v2 = FeatureView(
    name="user_activity_v2",
    description="What a user did, net of cancellations known by then, over 1, 7, 30 days and all time",
    entities=[user],
    ttl=FOREVER,
    source=user_activity_v2_push,
    schema=[
        Field(name="user_id", dtype=String),
        *net(),
        *money("spend", ("7d", "30d", "all"), "price times quantity of purchases less what was taken back"),
        Field(name="mean_price_30d", dtype=Float64, description="mean unit price of priced events, 30d, minor units"),
        Field(name="mean_price_all", dtype=Float64, description="mean unit price of priced events, all, minor units"),
        Field(name="priced_all", dtype=Int32, description="events with a price, all"),
        Field(name="distinct_items_7d", dtype=Int32, description="items with an event of the user, 7d"),
        Field(name="distinct_items_30d", dtype=Int32, description="items with an event of the user, 30d"),
        Field(name="distinct_items_all", dtype=Int32, description="items with an event of the user, all"),
        *rates(),
        last_event(),
        last_purchase(),
    ],
    tags=ACTIVITY,
)
item_activity_v2 = FeatureView(
    name="item_activity_v2",
    description="What happened to an item, net of cancellations known by then, over 1, 7, 30 days and all time",
    entities=[item],
    ttl=FOREVER,
    source=item_activity_v2_source,
    schema=[
        Field(name="item_id", dtype=String),
        *net(),
        *money("revenue", ("7d", "30d", "all"), "price times quantity of purchases less what was taken back"),
        Field(name="distinct_users_7d", dtype=Int32, description="users with an event on the item, 7d"),
        Field(name="distinct_users_30d", dtype=Int32, description="users with an event on the item, 30d"),
        Field(name="distinct_users_all", dtype=Int32, description="users with an event on the item, all"),
        *rates(),
        last_event(),
        last_purchase(),
    ],
    tags=ACTIVITY,
)
user_item_activity_v2 = FeatureView(
    name="user_item_activity_v2",
    description="What a user did with one item, net of cancellations known by then, over 1, 7, 30 days and all time",
    entities=[user, item],
    ttl=FOREVER,
    source=user_item_activity_v2_push,
    schema=[Field(name="user_id", dtype=String), Field(name="item_id", dtype=String), *net(), last_event()],
    tags=ACTIVITY,
)
user_category_activity_v1 = FeatureView(
    name="user_category_activity_v1",
    description="What a user did in one category, net of cancellations known by then: the user's affinity to it",
    entities=[user, category],
    ttl=FOREVER,
    source=user_category_activity_v1_push,
    schema=[
        Field(name="user_id", dtype=String),
        Field(name="category", dtype=String),
        *net(),
        *money("spend", ("30d", "all"), "price times quantity of purchases less what was taken back"),
        last_event(),
    ],
    tags=ACTIVITY,
)
user_recent_items_v1 = FeatureView(
    name="user_recent_items_v1",
    description="The last items that a user did something with",
    entities=[user],
    ttl=FOREVER,
    source=user_recent_items_v1_push,
    schema=[
        Field(name="user_id", dtype=String),
        Field(name="recent_items", dtype=Array(String), description="at most 20 different items, the latest first"),
    ],
    tags=ACTIVITY,
)

# Services: what one model version reads, and what a page shows

ranker_v1 = FeatureService(
    name="ranker_v1",
    description="What the ranker of version 1 learns from and is served with",
    features=[
        user_activity_v1,
        item_activity_v1,
        user_item_activity_v1,
        item_profile_v1[["price", "first_seen_epoch_s"]],
    ],
    tags={"owner": "recommendations"},
)
ranker_v2 = FeatureService(
    name="ranker_v2",
    description="What the ranker of version 2 learns from and is served with: net of cancellations, with categories",
    features=[
        user_activity_v2,
        item_activity_v2,
        user_item_activity_v2,
        user_category_activity_v1,
        item_profile_v1[["price", "rating_rate", "rating_count", "first_seen_epoch_s"]],
    ],
    tags={"owner": "recommendations"},
)
user_history_v1 = FeatureService(
    name="user_history_v1",
    description="What a user looked at last",
    features=[user_recent_items_v1],
    tags={"owner": "recommendations"},
)
item_card_v1 = FeatureService(
    name="item_card_v1",
    description="What an item's card shows",
    features=[item_profile_v1[["title", "category", "price", "in_stock"]]],
    tags={"owner": "catalogue"},
)
