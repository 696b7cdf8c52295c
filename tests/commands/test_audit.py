"""The audit finds what is wrong in either store, and says so by its exit."""

import argparse
from collections.abc import Iterator
from typing import Any

import numpy as np
import psycopg
import pytest
import redis
from mlflow import MlflowClient

from pipelines.commands import audit
from pipelines.context import Context
from pipelines.core.errors import DataQualityError, InputError
from pipelines.io.features import audit_report
from pipelines.io.files import read_json
from pipelines.settings import Settings
from tests.conftest import MODULES, own_databases
from tests.feature_data import Event, day, event, product, random_events
from tests.lake_data import built, validated

pytestmark = [pytest.mark.slow, pytest.mark.services]

ITEMS = [
    *(product(f"i{n}", 0.5, price=5.0 + n, category=f"c{n % 2}" if n else None) for n in range(4)),
    product("i1", 20.25, price=3.0, category="c0"),
    product("i2", 30.5, category="c1", in_stock=False, rating_rate=4.5, rating_count=7),
    product("never", 60.5),
]


def log() -> tuple[list[Event], list[Event]]:
    """Events of people and of a bot, some twice, one of an item that the catalogue lacks; and cancellations."""
    events = random_events(seed=21, n=250, users=4)
    events += [event("bot", "i1", "view", 10.5 + n / 10**6, price=None) for n in range(70)]
    events += [event("twice", "i2", "view", 11.25) for _ in range(2)] + [event("u0", "unlisted", "click", 33.5)]
    rng = np.random.default_rng(22)
    bought = [e for e in events if e["event_type"] == "purchase"]
    back = [
        event(e["user_id"], e["item_id"], "", (e["timestamp"] - day(0)).total_seconds() / 86_400 + 2, None, 2)
        for e in bought
        if rng.random() < 0.5
    ]
    return events, [c for c in back if c["timestamp"] < day(50)]


@pytest.fixture(scope="module")
def shop(servers: Settings, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Context]:
    """One published shop for all tests of this module; each undoes what it plants."""
    with own_databases(servers, tmp_path_factory.mktemp("shop"), MODULES) as settings:
        yield built(settings, *log(), ITEMS)


def run(shop: Context, pairs: int = 1800, most: float = 0.0) -> dict[str, Any]:
    """The audit's JSON."""
    args = argparse.Namespace(pairs=pairs, seed=3, max_mismatch=most)
    audit.run(Context(args, shop.settings))
    found: dict[str, Any] = read_json(shop.root / audit_report.JSON)
    return found


def planted(shop: Context, statement: str) -> None:
    with psycopg.connect(shop.settings.postgres_conninfo) as connection:
        assert connection.execute(statement).rowcount


def failed(shop: Context, pairs: int = 1800) -> tuple[str, dict[str, Any]]:
    """What the audit says when it fails, and its JSON."""
    with pytest.raises(DataQualityError) as error:
        run(shop, pairs)
    return str(error.value), read_json(shop.root / audit_report.JSON)


def test_audit_of_what_was_published_finds_nothing(shop: Context) -> None:
    found = run(shop)
    assert found["mismatch_rate"] == {"offline": 0, "online": 0}
    assert sum(view["rows"] for view in found["views"]["offline"].values()) == 1800
    assert all(view["rows"] for store in found["views"].values() for view in store.values())
    assert found["mismatches"] == []


def test_audit_finds_a_wrong_value_offline(shop: Context) -> None:
    where = "features.item_activity_v2 SET revenue_all = revenue_all {} 1 WHERE item_id = 'i1'"
    planted(shop, f"UPDATE {where.format('+')}")
    text, found = failed(shop)
    planted(shop, f"UPDATE {where.format('-')}")
    assert "of the rows of the offline store have a wrong value, more than 0.0000%" in text
    views = found["views"]["offline"]
    assert {name for name, view in views.items() if view["wrong"]} == {"item_activity_v2"}
    rates = views["item_activity_v2"]["features"]
    assert {name for name, rate in rates.items() if rate} == {"revenue_all"}
    first = next(line for line in found["mismatches"] if line["store"] == "offline")
    assert (first["keys"], first["feature"]) == ({"item_id": "i1"}, "revenue_all")
    assert first["found"] == first["expected"] + 1
    assert "`revenue_all` should be" in (shop.root / audit_report.REPORT).read_text()


def test_audit_finds_a_missing_row(shop: Context) -> None:
    moved = "event_timestamp = event_timestamp {} interval '1000 days'"
    newest = "(SELECT max(event_timestamp) FROM features.user_activity_v1 WHERE user_id = 'u2')"
    planted(shop, f"UPDATE features.user_activity_v1 SET {moved.format('+')} WHERE user_id = 'u2'")
    _, found = failed(shop)
    planted(shop, f"UPDATE features.user_activity_v1 SET {moved.format('-')} WHERE user_id = 'u2' AND {newest} > now()")
    lines = [line for line in found["mismatches"] if line["store"] == "offline"]
    assert {line["keys"]["user_id"] for line in lines} == {"u2"}
    assert {line["found"] for line in lines} == {None}


def test_audit_finds_a_wrong_value_and_a_missing_row_online(shop: Context) -> None:
    with redis.Redis.from_url(shop.settings.redis) as client:
        keys = [key for key in client.scan_iter(b"*u1*") if b"item" not in key and b"category" not in key]
        fields = {key: client.hgetall(key) for key in keys}
        for key in keys:
            client.delete(key)
        _, missing = failed(shop)
        other = {key: dict.fromkeys(f, b"\x20\x63") for key, f in fields.items()}  # the int64 99 in all of them
        for key, values in fields.items():
            stamps = {name: value for name, value in values.items() if name.startswith(b"_ts")}
            client.hset(key, mapping=other[key] | stamps)
        _, wrong = failed(shop)
        for key, values in fields.items():
            client.hset(key, mapping=values)
    for found in (missing, wrong):
        assert found["mismatch_rate"]["offline"] == 0
        assert {line["keys"]["user_id"] for line in found["mismatches"]} == {"u1"}
    assert {line["found"] for line in missing["mismatches"]} == {None}
    assert 99 in {line["found"] for line in wrong["mismatches"] if line["feature"] == "views_all"}


def test_audit_passes_up_to_the_share_that_is_allowed(shop: Context) -> None:
    planted(shop, "UPDATE features.item_profile_v1 SET title = title || '!' WHERE item_id = 'i3'")
    found = run(shop, most=0.5)
    planted(shop, "UPDATE features.item_profile_v1 SET title = replace(title, '!', '') WHERE item_id = 'i3'")
    assert 0 < found["mismatch_rate"]["offline"] < 0.5


def test_audit_knows_the_newest_created_of_equally_stamped_rows(shop: Context) -> None:
    columns = "user_id, event_timestamp, now(), recent_items || 'wrong'::text"
    planted(shop, f"INSERT INTO features.user_recent_items_v1 SELECT {columns} FROM features.user_recent_items_v1")
    _, found = failed(shop, 900)
    planted(shop, "DELETE FROM features.user_recent_items_v1 WHERE created_timestamp > event_timestamp")
    views = found["views"]["offline"]
    assert {name for name, view in views.items() if view["wrong"]} == {"user_recent_items_v1"}


def test_audit_records_rates_and_the_report_in_mlflow(shop: Context) -> None:
    run(shop, 90)
    client = MlflowClient(tracking_uri=shop.settings.mlflow_tracking_uri)
    experiment = client.get_experiment_by_name("audit")
    (newest,) = client.search_runs([experiment.experiment_id], max_results=1)
    assert newest.data.metrics["offline.mismatch_rate"] == 0
    assert newest.data.metrics["online.user_activity_v2.trend_7d_30d.mismatch_rate"] == 0
    assert newest.data.params["pairs"] == "90"
    assert {file.path for file in client.list_artifacts(newest.info.run_id)} == {"audit.json", "audit.md"}


def test_audit_before_anything_is_published_says_what_to_run(settings: Settings) -> None:
    validated(settings.root, [event("u", "i", "view", 1.5)], [], [])
    with pytest.raises(InputError, match="nothing was published yet"):
        audit.run(Context(argparse.Namespace(pairs=9, seed=1, max_mismatch=0.0), settings))


@pytest.mark.parametrize("pairs", ["0", "-1", "many"])
def test_audit_of_no_number_of_pairs_is_wrong_usage(pairs: str) -> None:
    parser = argparse.ArgumentParser()
    audit.configure(parser)
    with pytest.raises(SystemExit):
        parser.parse_args(["--pairs", pairs])
