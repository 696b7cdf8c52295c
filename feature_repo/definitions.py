"""What the feature store holds: entities, sources, feature views and the services that models and cards read.

A published view never changes its meaning: a new meaning is a new view (``…_v2``) on a new table. Every view holds
change points: a row stamped t, a midnight UTC, holds the events of days strictly before t and is true until the next
row of its entity. There is no time to live: what was true last stays true.
"""

from datetime import timedelta

from feast import Entity, FeatureService, FeatureView, Field, ValueType
from feast.infra.offline_stores.contrib.postgres_offline_store.postgres_source import PostgreSQLSource
from feast.types import Bool, Float64, Int64, String

FOREVER = timedelta(0)


def windowed_counts(*windows: str) -> list[Field]:
    """A count of each event type for each window."""
    of = {"views": "view", "clicks": "click", "carts": "add_to_cart", "purchases": "purchase"}
    return [
        Field(name=f"{prefix}_{window}", dtype=Int64, description=f"{event_type} events, {window}")
        for prefix, event_type in of.items()
        for window in windows
    ]


def table_of(view: str) -> PostgreSQLSource:
    """The table of a view version, loaded by `python -m pipelines publish`. Source and table carry the version."""
    return PostgreSQLSource(
        name=f"{view}_source",
        table=f"features.{view}",
        timestamp_field="event_timestamp",
        created_timestamp_column="created_timestamp",
    )


# Entities

user = Entity(
    name="user", join_keys=["user_id"], value_type=ValueType.STRING, description="A visitor or customer of the shop"
)
item = Entity(name="item", join_keys=["item_id"], value_type=ValueType.STRING, description="A product of the shop")

# Sources: one table a view version

user_activity_v1_source = table_of("user_activity_v1")
item_activity_v1_source = table_of("item_activity_v1")
user_item_activity_v1_source = table_of("user_item_activity_v1")
item_profile_v1_source = table_of("item_profile_v1")

# Feature views

user_activity_v1 = FeatureView(
    name="user_activity_v1",
    description="What a user did, over 1, 7, 30 days and all time",
    entities=[user],
    ttl=FOREVER,
    source=user_activity_v1_source,
    schema=[
        Field(name="user_id", dtype=String),
        *windowed_counts("1d", "7d", "30d", "all"),
        Field(name="spend_30d", dtype=Int64, description="price times quantity of purchases in 30 days, minor units"),
        Field(name="spend_all", dtype=Int64, description="price times quantity of all purchases, minor units"),
        Field(name="mean_price_all", dtype=Float64, description="mean unit price over all priced events, minor units"),
        Field(name="last_event_epoch_s", dtype=Int64, description="time of the last event, seconds since 1970"),
    ],
    tags={"owner": "recommendations", "max_age": "1d"},
)
item_activity_v1 = FeatureView(
    name="item_activity_v1",
    description="What happened to an item, over 1, 7, 30 days and all time",
    entities=[item],
    ttl=FOREVER,
    source=item_activity_v1_source,
    schema=[
        Field(name="item_id", dtype=String),
        *windowed_counts("1d", "7d", "30d", "all"),
        Field(name="revenue_30d", dtype=Int64, description="price times quantity of purchases in 30 days, minor units"),
        Field(name="revenue_all", dtype=Int64, description="price times quantity of all purchases, minor units"),
        Field(name="last_event_epoch_s", dtype=Int64, description="time of the last event, seconds since 1970"),
    ],
    tags={"owner": "recommendations", "max_age": "1d"},
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
        *windowed_counts("7d", "30d", "all"),
        Field(name="last_event_epoch_s", dtype=Int64, description="time of the last event, seconds since 1970"),
    ],
    tags={"owner": "recommendations", "max_age": "1d"},
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
    tags={"owner": "catalogue", "max_age": "7d"},
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
item_card_v1 = FeatureService(
    name="item_card_v1",
    description="What an item's card shows",
    features=[item_profile_v1[["title", "category", "price", "in_stock"]]],
    tags={"owner": "catalogue"},
)
