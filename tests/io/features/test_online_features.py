"""What the service reads: the newest features, in one round trip."""

import math
from datetime import UTC, datetime
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from pipelines.core.errors import ServiceError
from pipelines.io.features import feast_store, online_features
from pipelines.io.features.online_features import OnlineFeatures
from pipelines.settings import Settings
from tests.feature_data import day, expected, expected_net
from tests.io.conftest import EVENTS
from tests.published_lake import empty_lake

pytestmark = pytest.mark.services


def test_online_request_reads_user_items_and_categories_in_one_round_trip(
    store: feast_store.FeatureStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    kind = type(store._get_provider().online_store)
    whole, calls = kind.read_columns, []

    def counted(*arguments: Any) -> Any:
        calls.append(arguments)
        return whole(*arguments)

    monkeypatch.setattr(kind, "read_columns", counted)
    items = ["i3", "nothing", "i0"]
    found = OnlineFeatures(store, "ranker_v2").request("u2", items, ["", "c"])
    assert len(calls) == 1
    _is_net(found.user, "user_activity_v2", {"user_id": "u2"})
    for place, item_id in enumerate(items):
        of_item = {name: values[place] for name, values in found.items.items()}
        _is_net(of_item, "user_item_activity_v2", {"user_id": "u2", "item_id": item_id})
    of_c = {name: values[1] for name, values in found.categories.items()}
    _is_net(of_c, "user_category_activity_v1", {"user_id": "u2", "category": "c"})
    assert all(math.isnan(values[0]) for values in found.categories.values())


def _is_net(got: Any, view: str, keys: dict[str, str]) -> None:
    """Whether values are those of ``view``, counted event by event; an entity without events has none."""
    want = expected_net(EVENTS, [], keys, day(50))
    assert got
    for name, value in got.items():
        wanted = want.get(name.removeprefix(f"{view}__")) if want else None
        np.testing.assert_allclose(value, math.nan if wanted is None else wanted, rtol=1e-12, err_msg=name)


def test_online_request_says_how_old_each_row_is(store: feast_store.FeatureStore) -> None:
    found = OnlineFeatures(store, "ranker_v2").request("u2", ["i3", "nothing"], [])
    last = max(e["timestamp"] for e in EVENTS if e["user_id"] == "u2")
    midnight = last.replace(hour=0, minute=0, second=0, microsecond=0)
    newest = found.newest["user_activity_v2"]
    assert midnight < newest <= day(50)
    assert found.stamps["user_activity_v2"].tolist() == [newest.replace(tzinfo=None)]
    assert np.isnat(found.stamps["user_item_activity_v2"]).tolist() == [False, True]
    assert found.newest.keys() == {"user_activity_v2", "user_item_activity_v2"}


def test_online_request_of_a_service_without_categories_has_none(store: feast_store.FeatureStore) -> None:
    online = OnlineFeatures(store, "ranker_v1")
    found = online.request("u2", ["i0"], ["c"])
    assert found.categories == {}
    np.testing.assert_equal(dict(found.user), online.user("u2"))


def test_online_users_come_in_the_order_asked(store: feast_store.FeatureStore) -> None:
    found = OnlineFeatures(store, "ranker_v1").users(["u2", "nobody", "u1"])["user_activity_v1__views_all"]
    want = [expected(EVENTS, {"user_id": user}, day(50), (7, 30))["views_all"] for user in ("u2", "u1")]
    assert found[[0, 2]].tolist() == want
    assert math.isnan(found[1])


def test_online_reads_numbers_only(store: feast_store.FeatureStore) -> None:
    assert OnlineFeatures(store, "user_history_v1").user("u2") == {}


def test_online_as_of_isnt_moved_by_materializing_up_to_now(store: feast_store.FeatureStore) -> None:
    online = OnlineFeatures(store, "ranker_v1")
    assert online.as_of == day(50)
    store.materialize_incremental(datetime.now(UTC), ["user_activity_v1"])
    store.refresh_registry()
    assert online.as_of == day(50)
    assert {view.view: view.online for view in online.freshness()}["user_activity_v1"] == day(50)


def test_online_pairs_and_items_come_in_the_order_asked(store: feast_store.FeatureStore) -> None:
    online = OnlineFeatures(store, "ranker_v1")
    items = ["i3", "nothing", "i0"]
    pairs, alone = online.request("u2", items, []).items, online.items(items)
    for place, item_id in enumerate(items):
        want = expected(EVENTS, {"user_id": "u2", "item_id": item_id}, day(50), (7, 30))
        got = pairs["user_item_activity_v1__views_all"][place]
        assert got == want["views_all"] if want else math.isnan(got)
    assert np.isnan(alone["item_activity_v1__views_all"]).tolist() == [False, True, False]
    assert alone["item_profile_v1__price"][[0, 2]].tolist() == [10.0, 10.0]
    assert {values.dtype for values in {**pairs, **alone}.values()} == {np.dtype("float64")}
    assert {len(values) for values in {**pairs, **alone}.values()} == {3}


def test_online_reads_more_items_than_a_chunk(store: feast_store.FeatureStore, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(online_features, "CHUNK", 2)
    items = ["i0", "i1", "i2", "i3", "i0"]
    whole = OnlineFeatures(store, "ranker_v1").items(items)["item_activity_v1__views_all"]
    want = [expected(EVENTS, {"item_id": i}, day(50), (7,))["views_all"] for i in items]
    assert whole.tolist() == want


def test_online_reads_no_items(store: feast_store.FeatureStore) -> None:
    assert all(len(values) == 0 for values in OnlineFeatures(store, "ranker_v1").items([]).values())


def test_online_names_are_those_of_the_past(store: feast_store.FeatureStore) -> None:
    online = OnlineFeatures(store, "ranker_v1")
    stamps = pa.array([day(50)], pa.timestamp("us", tz="UTC"))
    pairs = pa.table({"user_id": ["u0"], "item_id": ["i0"], "event_timestamp": stamps})
    past = feast_store.historical(store, "ranker_v1", pairs).drop_columns(pairs.column_names).to_pylist()[0]
    found = online.request("u0", ["i0"], [])
    now = {**found.user, **{k: v[0] for k, v in {**found.items, **online.items(["i0"])}.items()}}
    assert now.keys() == past.keys()
    np.testing.assert_equal(now, {k: math.nan if v is None else v for k, v in past.items()})


def test_online_user_who_is_unknown_has_no_values(store: feast_store.FeatureStore) -> None:
    assert all(math.isnan(v) for v in OnlineFeatures(store, "ranker_v1").user("nobody").values())


def test_online_cards_show_what_the_catalogue_says(store: feast_store.FeatureStore) -> None:
    cards = OnlineFeatures(store, "ranker_v1").cards(["i1", "nothing", "i0"])
    assert cards["title"].tolist() == ["Title of i1", None, "Title of i0"]
    assert cards["category"].tolist() == [None, None, "c"]
    assert cards["in_stock"].tolist() == [True, False, True]
    assert np.isnan(cards["price"]).tolist() == [False, True, False]


def test_online_service_that_is_unknown_says_what_to_run(store: feast_store.FeatureStore) -> None:
    with pytest.raises(ServiceError, match="make apply"):
        OnlineFeatures(store, "ranker_v9")


def test_online_before_any_materialization_says_what_to_run(settings: Settings) -> None:
    empty_lake(settings)
    with pytest.raises(ServiceError, match="make pipeline"):
        _ = OnlineFeatures(feast_store.open_store(settings), "ranker_v1").as_of


def test_online_without_redis_is_a_service_error(store: feast_store.FeatureStore) -> None:
    online = OnlineFeatures(store, "ranker_v1")
    store.config.online_store.connection_string = "127.0.0.1:1,retry=null"
    store._get_provider().online_store._client = None
    with pytest.raises(ServiceError, match="Redis"):
        online.user("u0")


def test_pairs_are_the_request_without_the_user_alone(store: feast_store.FeatureStore) -> None:
    online, items = OnlineFeatures(store, "ranker_v2"), [f"i{n}" for n in range(4)]
    whole, pairs = online.request("u2", items, ["", "c"]), online.pairs("u2", items, ["", "c"])
    assert whole.user and not pairs.user
    np.testing.assert_equal((pairs.items, pairs.categories), (whole.items, whole.categories))
