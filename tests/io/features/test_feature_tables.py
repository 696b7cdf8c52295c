"""The feature tables follow the files: all of them, or none."""

import threading
from datetime import date
from typing import Any

import psycopg
import pytest

from pipelines.core.errors import InputError, ServiceError
from pipelines.io import postgres
from pipelines.io.features import feature_tables
from pipelines.io.features.feature_lake import FeatureLake
from pipelines.settings import Settings
from tests.published_lake import VIEW, Parts, Row, base, day, load, part, unpublished, user, write  # noqa: F401  fixtures

pytestmark = pytest.mark.services

FIRST = {part(1): [user("a", 1, 1), user("b", 1, 2)]}
SECOND = FIRST | {part(2): [user("a", 2, 5), user("c", 2, 7)]}


def select(settings: Settings, query: str) -> list[tuple[Any, ...]]:
    with psycopg.connect(settings.postgres_conninfo) as connection:
        return connection.execute(query).fetchall()


def rows(settings: Settings) -> list[tuple[Any, ...]]:
    return select(settings, f"SELECT user_id, event_timestamp, views_all FROM features.{VIEW} ORDER BY 1, 2, 3")


def tables(settings: Settings) -> dict[str, int]:
    """Table -> its identity, which a replaced one doesn't keep."""
    kept = "relkind = 'r' AND relnamespace = 'features'::regnamespace"
    return dict(select(settings, f"SELECT relname, oid::int FROM pg_class WHERE {kept}"))


def test_table_that_was_not_published_is_replaced(shop: Settings) -> None:
    load(shop, 1, FIRST)
    with psycopg.connect(shop.postgres_conninfo) as connection:  # as a version without books left it
        connection.execute("TRUNCATE features.publications, features.loads")
    load(shop, 1, FIRST)
    assert len(rows(shop)) == 2


def test_new_files_are_appended(shop: Settings) -> None:
    load(shop, 1, FIRST)
    before = tables(shop)
    load(shop, 2, SECOND)
    assert rows(shop) == [("a", day(1), 1), ("a", day(2), 5), ("b", day(1), 2), ("c", day(2), 7)]
    assert tables(shop) == before
    loads = select(
        shop, f"SELECT file, rows, oldest, newest, load FROM features.loads WHERE view = '{VIEW}' ORDER BY 1"
    )
    assert loads == [(part(1), 2, day(1), day(1), 1), (part(2), 2, day(2), day(2), 2)]


@pytest.mark.parametrize(
    "later", [{part(2): SECOND[part(2)]}, SECOND | {part(1): [user("a", 1, 9)]}], ids=["gone", "changed"]
)
def test_table_of_a_file_that_is_gone_or_changed_is_replaced(shop: Settings, later: Parts) -> None:
    load(shop, 2, SECOND)
    before = tables(shop)
    load(shop, 2, later)
    assert rows(shop) == sorted((r["user_id"], r["event_timestamp"], r["views_all"]) for p in later.values() for r in p)
    assert {name for name, oid in tables(shop).items() if before[name] != oid} == {VIEW}
    loads = select(shop, f"SELECT file FROM features.loads WHERE view = '{VIEW}' ORDER BY 1")
    assert loads == [(name,) for name in sorted(later)]


@pytest.mark.parametrize("change", ["DROP TABLE features.{}", "ALTER TABLE features.{} DROP COLUMN views_all"])
def test_table_that_isnt_as_declared_is_replaced(shop: Settings, change: str) -> None:
    load(shop, 1, FIRST)
    with psycopg.connect(shop.postgres_conninfo) as connection:
        connection.execute(change.format(VIEW))
    load(shop, 1, FIRST)
    assert rows(shop) == [("a", day(1), 1), ("b", day(1), 2)]


def test_view_without_rows_has_an_empty_table(shop: Settings) -> None:
    load(shop, 1, FIRST)
    assert select(shop, "SELECT count(*) FROM features.user_category_activity_v1") == [(0,)]


def test_arrays_and_texts_arrive_as_they_are(shop: Settings) -> None:
    lists = [["i1", 'a "b", {c}\\'], [], None, ["", "é\n", "NULL"]]
    found = [
        {"user_id": f"u{n}", "event_timestamp": day(1), "created_timestamp": day(1), "recent_items": items}
        for n, items in enumerate(lists)
    ]
    load(shop, 1, FIRST, user_recent_items_v1={part(1): found})
    query = "SELECT recent_items FROM features.user_recent_items_v1 ORDER BY user_id"
    assert [items for (items,) in select(shop, query)] == lists


def test_recent_days_are_replaced_each_time(shop: Settings) -> None:
    def sums(item_id: str, on: date) -> Row:
        return {"user_id": "a", "item_id": item_id, "category": None, "day": on, "views": 3, "spend": 5}

    load(shop, 1, FIRST, (sums("i1", date(2024, 3, 1)), sums("i2", date(2024, 3, 1))))
    load(shop, 2, SECOND, (sums("i2", date(2024, 3, 2)),))
    found = select(shop, "SELECT user_id, item_id, category, day, views, spend FROM features.recent_days")
    assert found == [("a", "i2", None, date(2024, 3, 2), 3, 5)]


def test_table_of_a_retired_view_is_dropped_and_foreign_ones_stay(
    shop: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    load(shop, 1, FIRST)
    with psycopg.connect(shop.postgres_conninfo) as connection:
        connection.execute("CREATE TABLE features.somebodys (x int)")
    monkeypatch.setattr("tests.published_lake.VIEWS", {VIEW: feature_tables.VIEWS[VIEW]})
    load(shop, 1, FIRST)
    assert tables(shop).keys() == {VIEW, "recent_days", "somebodys", "loads", "publications"}
    assert select(shop, "SELECT DISTINCT view FROM features.loads ORDER BY 1") == [("recent_days",), (VIEW,)]


def test_index_finds_the_row_of_a_moment(shop: Settings) -> None:
    load(shop, 1, FIRST)
    found = select(
        shop, f"SELECT indexdef FROM pg_indexes WHERE tablename = '{VIEW}' AND indexdef LIKE 'CREATE UNIQUE%'"
    )
    assert found[0][0].endswith("(user_id, event_timestamp DESC, created_timestamp DESC)")


def test_same_row_twice_leaves_everything_as_it_was(shop: Settings) -> None:
    load(shop, 1, FIRST)
    twice = SECOND | {part(1, 1): [user("a", 1, 3, day(1))]}
    with pytest.raises(ServiceError, match="already exists"):
        load(shop, 2, twice)
    assert rows(shop) == [("a", day(1), 1), ("b", day(1), 2)]
    assert select(shop, "SELECT max(load) FROM features.loads") == [(1,)]


def test_file_that_isnt_the_manifests_is_named(shop: Settings) -> None:
    write(shop.root, 1, {VIEW: FIRST})
    path = shop.root / "data/features" / VIEW / part(1)
    path.write_bytes(path.read_bytes() + b"\n")
    with (
        postgres.connect(shop) as connection,
        pytest.raises(InputError, match=r"date=2024-03-02/part-0\.parquet .* features"),
    ):
        feature_tables.publish(connection, FeatureLake.read(shop.root))


def test_readers_see_all_of_a_publication_or_none(shop: Settings) -> None:
    def both(number: int) -> tuple[Parts, Parts]:
        users = {part(n): [user(f"u{k}", n, n) for k in range(300)] for n in range(1, number + 1)}
        stamps = {"event_timestamp": day(number), "created_timestamp": day(number)}
        items = {part(number): [stamps | {"item_id": f"i{k}"} for k in range(300)]}  # one file: replaced each time
        return users, items

    def publication(number: int) -> None:
        users, items = both(number)
        load(shop, number, users, item_activity_v1=items)

    publication(1)
    seen, ended = set(), threading.Event()

    def reader() -> None:
        query = (
            f"SELECT (SELECT count(*) FROM features.{VIEW}), "
            "(SELECT max(event_timestamp) FROM features.item_activity_v1), "
            "(SELECT as_of FROM features.publications ORDER BY load DESC LIMIT 1)"
        )
        with psycopg.connect(shop.postgres_conninfo, autocommit=True) as connection:
            while not ended.is_set():
                seen.update(connection.execute(query).fetchall())

    thread = threading.Thread(target=reader)
    thread.start()
    for number in (2, 3, 4):
        publication(number)
    ended.set()
    thread.join()
    assert seen <= {(300 * n, day(n), day(n)) for n in (1, 2, 3, 4)}
    assert len(seen) > 1
