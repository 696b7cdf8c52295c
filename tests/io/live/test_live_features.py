"""Live features: online at once, and exactly what the batch that includes the day writes."""

from collections.abc import Iterable, Iterator
from datetime import timedelta
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
import redis
from feast.data_source import PushMode

from pipelines.context import Context
from pipelines.core.columns import EVENT_SCHEMA, Col
from pipelines.core.errors import InputError, ServiceError
from pipelines.core.features import live
from pipelines.core.features.feature_views import VIEWS
from pipelines.io.features import audit_stores, feast_store
from pipelines.io.live import live_protos
from pipelines.io.live.live_features import LiveFeatures
from pipelines.settings import Settings
from tests.conftest import MODULES, own_databases
from tests.feature_data import Event, day, event, product, random_events
from tests.lake_data import built

pytestmark = [pytest.mark.slow, pytest.mark.services]

AS_OF, END = 45, 48
ITEMS = [product(f"i{n}", 0.5, price=5.0 + n, category=[None, "c0", "c1"][n % 3]) for n in range(8)]
PUSHED = ("user_activity_v2", "user_item_activity_v2", "user_category_activity_v1", "user_recent_items_v1")
"""The views that declare a push source."""
Online = dict[tuple[str, ...], Any]
"""(view, keys …, feature) -> value."""


def log() -> tuple[list[Event], list[Event]]:
    """Events with ids and cancellations, these before AS_OF; users and items that nobody knew before it."""
    events = random_events(31, 500, days=END, users=6, items=8)
    events += [event("quiet", "i1", "view", AS_OF - age - 0.5) for age in (0, 1, 3, 7, 14, 29)]
    events += [event("quiet", "i2", "purchase", AS_OF + 2.75, price=None, quantity=2)]
    events += [event("twice", "i2", "view", AS_OF + 0.2501) for _ in range(2)]
    for place, one in enumerate(events):
        one["event_id"] = f"e{place:04}"
        one["session_id"] = None
        if one["timestamp"] >= day(AS_OF) and place % 4 == 0:
            one |= {"user_id": "new", "item_id": "unlisted" if place % 8 else "i4", "price": None}
    rng = np.random.default_rng(32)
    bought = [e for e in events if e["event_type"] == "purchase" and e["timestamp"] < day(AS_OF - 5)]
    back = [e | {"timestamp": e["timestamp"] + timedelta(days=int(rng.integers(1, 5)))} for e in bought]
    return events, [b | {"event_id": f"c{n:03}"} for n, b in enumerate(back) if rng.random() < 0.6]


def table(events: Iterable[Event]) -> pa.Table:
    return pa.Table.from_pylist(list(events), EVENT_SCHEMA)


def since(events: Iterable[Event], users: set[str], until: float) -> list[Event]:
    """All that these users did since AS_OF, before ``until``."""
    return [e for e in events if e["user_id"] in users and day(AS_OF) <= e["timestamp"] < day(until)]


def opened(context: Context) -> LiveFeatures:
    return LiveFeatures(feast_store.open_store(context.settings), context.settings, context.params.prepare)


def online(context: Context, users: Iterable[str]) -> Online:
    """Everything that the live views say of these users, with items and categories of the log."""
    store = feast_store.open_store(context.settings)
    found: Online = {}
    others = {Col.ITEM_ID: [*(item["item_id"] for item in ITEMS), "unlisted"], Col.CATEGORY: ["c0", "c1"]}
    for view in live.LIVE:
        second = [others[key] for key in VIEWS[view].keys[1:]] or [[None]]
        keys = [tuple(k for k in (user, other) if k) for user in users for other in second[0]]
        for entity, row in audit_stores.online(store, view, keys):
            found |= {(view, *entity, name): row and row[name] for name in (*VIEWS[view].features, "event_timestamp")}
    return found


def values(found: Online) -> Online:
    return {place: value for place, value in found.items() if place[-1] != "event_timestamp"}


@pytest.fixture(scope="module")
def shop(servers: Settings, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Context]:
    """A shop published up to AS_OF, for all tests of this module; each pushes users of its own."""
    events, back = log()
    with own_databases(servers, tmp_path_factory.mktemp("live"), MODULES) as settings:
        yield built(settings, [e for e in events if e["timestamp"] < day(AS_OF)], back, ITEMS)


@pytest.fixture
def features(shop: Context) -> Iterator[LiveFeatures]:
    found = opened(shop)
    yield found
    found.close()


def test_push_writes_only_the_live_views_of_the_users(shop: Context, features: LiveFeatures) -> None:
    pushed = features.push(table([event("p1", "i1", "view", AS_OF + 0.5) | {"event_id": "p1"}]))
    assert {view: len(rows) for view, rows in pushed.rows.items()} == dict.fromkeys(live.LIVE, 1)
    found = online(shop, ["p1"])
    assert found["user_activity_v2", "p1", "views_1d"] == 1
    assert found["user_item_activity_v2", "p1", "i1", "views_all"] == 1
    assert found["user_category_activity_v1", "p1", "c0", "views_7d"] == 1
    assert found["user_recent_items_v1", "p1", "recent_items"] == ["i1"]
    assert found["user_activity_v2", "p1", "event_timestamp"] == int(day(AS_OF + 0.5).timestamp()) * 1_000_000


def test_few_rows_are_written_as_many_are(
    shop: Context, features: LiveFeatures, monkeypatch: pytest.MonkeyPatch
) -> None:
    events = [event("q1", "i1", "view", AS_OF + 0.5), event("q1", "i2", "purchase", AS_OF + 1.5, price=None)]
    rows = features.rows(table(one | {"event_id": f"q{n}"} for n, one in enumerate(events))).rows
    user, recent = rows["user_activity_v2"], rows["user_recent_items_v1"]
    nan, empty = pa.array([float("nan")]), pa.array([[]], recent.schema.field("recent_items").type)
    rows["user_activity_v2"] = user.set_column(user.schema.get_field_index("mean_price_all"), "mean_price_all", nan)
    rows["user_recent_items_v1"] = recent.set_column(
        recent.schema.get_field_index("recent_items"), "recent_items", empty
    )
    written = []
    with redis.Redis.from_url(shop.settings.redis) as client:
        for few in (0, 1_000):
            monkeypatch.setattr(live_protos, "FEW", few)
            features._write([(features._view(view), of_view) for view, of_view in rows.items()])
            found = sorted(client.scan_iter(b"*\x02\x00\x00\x00q1*"))
            written.append([(key, client.hgetall(key)) for key in found])
            client.delete(*found)
    assert len(written[0]) == 5  # the user, with each item and with each category
    assert written[0] == written[1]


def test_push_twice_changes_nothing(shop: Context, features: LiveFeatures) -> None:
    events = table([event("p2", "i1", "view", AS_OF + 0.5001) | {"event_id": name} for name in ("p2", "p3")])
    features.push(events)
    first = online(shop, ["p2"])
    features.push(pa.concat_tables([events, events]))
    assert online(shop, ["p2"]) == first
    assert first["user_activity_v2", "p2", "views_1d"] == 1  # the same look, sent twice


def test_push_that_arrives_late_leaves_the_newer_one(shop: Context, features: LiveFeatures) -> None:
    events = [event("p4", f"i{n}", "view", AS_OF + n / 10) | {"event_id": f"p4{n}"} for n in range(3)]
    features.push(table(events))
    newest = online(shop, ["p4"])
    features.push(table(events[:2]))
    assert online(shop, ["p4"]) == newest
    assert newest["user_recent_items_v1", "p4", "recent_items"] == ["i2", "i1", "i0"]


def test_push_leaves_events_that_the_batch_knows_to_it(shop: Context, features: LiveFeatures) -> None:
    pushed = features.push(table([event("p5", "i1", "view", AS_OF - 0.5) | {"event_id": "p5"}]))
    assert (pushed.events, pushed.older, pushed.rows) == (0, 1, {})
    assert set(online(shop, ["p5"]).values()) == {None}


def test_push_leaves_out_who_browses_like_a_program(shop: Context, features: LiveFeatures) -> None:
    events = [event("p6", "i1", "view", AS_OF + 0.5 + n / 10**6) | {"event_id": f"p6{n}"} for n in range(70)]
    assert all(not len(rows) for rows in features.push(table(events)).rows.values())


def test_feasts_own_push_writes_the_same(shop: Context, features: LiveFeatures) -> None:
    events = [event(user, "i1", "purchase", AS_OF + 0.5) | {"event_id": user} for user in ("p7", "p8")]
    features.push(table(events[:1]))
    store = feast_store.open_store(shop.settings)
    for view, rows in features.rows(table(events[1:])).rows.items():
        if view in PUSHED:
            store.push(f"{view}_push", rows.to_pandas(), to=PushMode.ONLINE)
    ours, feasts = ([v for p, v in online(shop, [u]).items() if p[0] in PUSHED] for u in ("p7", "p8"))
    assert ours == feasts
    assert 1 in feasts


def test_push_of_what_is_not_canonical_names_the_column(features: LiveFeatures) -> None:
    with pytest.raises(InputError, match="no column quantity"):
        features.push(table([]).drop_columns([Col.QUANTITY]))
    with pytest.raises(InputError, match="not canonical"):
        features.push(pa.table({name: ["x"] for name in EVENT_SCHEMA.names}))


def test_push_before_anything_is_published_says_what_to_run(settings: Settings, shop: Context) -> None:
    empty = LiveFeatures(feast_store.open_store(shop.settings), settings, shop.params.prepare)
    with pytest.raises(ServiceError, match="nothing was published yet"):
        empty.push(table([event("u", "i", "view", AS_OF) | {"event_id": "e"}]))


def test_pushed_values_are_those_that_the_batch_of_the_day_writes(shop: Context, features: LiveFeatures) -> None:
    events, back = log()
    users = sorted({e["user_id"] for e in events if e["timestamp"] >= day(AS_OF)})
    for until in np.arange(AS_OF + 0.2, END + 0.2, 0.2):
        for some in (users[::2], users[1::2]):
            features.push(table(since(events, set(some), until)))
    features.push(table(since(events, set(users), END)))
    live_now = online(shop, users)
    built(shop.settings, events, back, ITEMS)
    nightly = online(shop, users)
    assert values(live_now) == values(nightly)
    assert live_now != nightly  # the stamps: the batch did write
    stamps = [(live_now[place], at) for place, at in nightly.items() if place[-1] == "event_timestamp" and at]
    assert all(pushed <= at for pushed, at in stamps)
