"""The simulated shop repeats by its seed, has the structure it promises, and counts its dirt."""

import csv
import io
from collections import Counter
from datetime import UTC, date, datetime

import numpy as np
import pytest

from pipelines.core.simulation.items import CATEGORIES
from pipelines.core.simulation.log import HEADER, KINDS, Shop
from pipelines.core.simulation.words import DEPARTMENTS

END = date(2026, 3, 31)


def small(seed: int = 3, users: int = 300, items: int = 240, days: int = 20) -> Shop:
    return Shop(users, items, days, seed, END)


@pytest.fixture(scope="module")
def log() -> tuple[Shop, list[list[str]]]:
    shop = small()
    return shop, [row for _, content in shop.files() for row in csv.reader(io.StringIO(content.decode()))]


def good_rows(rows: list[list[str]]) -> list[dict[str, str]]:
    """Rows that are neither a header nor made dirty: the simulator numbers made-up rows D…"""
    named = [dict(zip(HEADER, row, strict=True)) for row in rows if len(row) == len(HEADER) and row[0] != "user_id"]
    return list({row["event_id"]: row for row in named if row["event_id"].startswith("E")}.values())


def test_shop_repeats_by_its_seed() -> None:
    first, again, other = small(), small(), small(seed=4)
    assert list(first.files()) == list(again.files()) != list(other.files())
    assert first.products == again.products != other.products


def test_shop_writes_one_file_a_day_up_to_the_end() -> None:
    days = [day for day, _ in small().files()]
    assert (days[0], days[-1], len(set(days))) == (date(2026, 3, 12), END, 20)


def test_shop_counts_every_row_and_every_kind_of_dirt(log: tuple[Shop, list[list[str]]]) -> None:
    shop, rows = log
    assert len(rows) - 20 == shop.counts["rows"]  # one header a day
    assert shop.counts["rows"] == shop.counts["events"] + sum(shop.counts["dirty"].values())
    assert set(shop.counts["dirty"]) == set(KINDS)
    assert shop.counts["dirty"]["garbage_line"] == sum(len(row) != len(HEADER) for row in rows)
    assert shop.counts["dirty"]["missing_user"] == sum(row[0] == "" for row in rows)
    repeated = Counter(row[-1] for row in rows if len(row) == len(HEADER) and row[0] != "user_id")
    copies = shop.counts["dirty"]["duplicate_row"] + shop.counts["dirty"]["repeated_event_id"]
    assert sum(count - 1 for count in repeated.values()) == copies
    assert 0.005 < sum(shop.counts["dirty"].values()) / shop.counts["events"] < 0.02


def test_good_rows_are_as_many_as_counted(log: tuple[Shop, list[list[str]]]) -> None:
    shop, rows = log
    assert len(good_rows(rows)) == shop.counts["events"]


def test_products_have_unique_titles_that_fit_their_category() -> None:
    products = Shop(10, 3000, 5, 1, END).products
    assert len({product["title"] for product in products}) == 3000
    assert {product["category"] for product in products} == set(CATEGORIES)
    for product in products:
        nouns = DEPARTMENTS[product["category"]].nouns
        assert any(product["title"].partition(" No. ")[0].endswith(noun) for noun in nouns)
        assert 1 < product["price"] < 2000


def test_items_out_of_stock_are_not_bought(log: tuple[Shop, list[list[str]]]) -> None:
    shop, rows = log
    position = {item_id: i for i, item_id in enumerate(shop.items.ids)}
    first = datetime(2026, 3, 12, tzinfo=UTC)
    carted = [row for row in good_rows(rows) if row["event_type"] in ("add_to_cart", "purchase")]
    assert carted
    for row in carted:
        day = (datetime.fromisoformat(row["timestamp"]) - first).days
        assert shop.items.in_stock(day)[position[row["product_id"]]]
    assert 0 < sum(not product["in_stock"] for product in shop.products) < len(shop.products) / 5


def test_purchases_follow_a_cart_and_views_of_their_session(log: tuple[Shop, list[list[str]]]) -> None:
    seen: set[tuple[str, ...]] = set()
    before = {"click": "view", "add_to_cart": "click", "remove_from_cart": "add_to_cart", "purchase": "add_to_cart"}
    for row in sorted(good_rows(log[1]), key=lambda row: row["timestamp"]):
        if not row["session_id"]:
            continue
        key = (row["session_id"], row["product_id"])
        if row["event_type"] in before:
            assert (*key, before[row["event_type"]]) in seen
        seen.add((*key, row["event_type"]))


def test_users_stay_with_their_tastes(log: tuple[Shop, list[list[str]]]) -> None:
    category = {product["id"]: product["category"] for product in log[0].products}
    by_user: dict[str, Counter[str]] = {}
    for row in good_rows(log[1]):
        by_user.setdefault(row["user_id"], Counter())[category[row["product_id"]]] += 1
    active = [counts for counts in by_user.values() if counts.total() >= 30]
    favourite = np.mean([counts.most_common(1)[0][1] / counts.total() for counts in active])
    everyone = sum(by_user.values(), Counter())
    assert favourite > 2 * everyone.most_common(1)[0][1] / everyone.total()


def test_new_items_and_users_arrive_over_time(log: tuple[Shop, list[list[str]]]) -> None:
    rows = sorted(good_rows(log[1]), key=lambda row: row["timestamp"])
    half = len(rows) // 2
    for column in ("user_id", "product_id"):
        assert {row[column] for row in rows[half:]} - {row[column] for row in rows[:half]}
