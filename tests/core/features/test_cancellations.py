from datetime import UTC, datetime, timedelta
from typing import Any

import pyarrow as pa

from pipelines.core.columns import CANCELLATION_SCHEMA, EVENT_SCHEMA, TAKEN_BACK_SCHEMA
from pipelines.core.features import cancellations

START = datetime(2026, 1, 1, tzinfo=UTC)
Row = tuple[str, int, int]  # event id, day, quantity


def day(number: int) -> datetime:
    return START + timedelta(days=number)


def table(*rows: Row, user: str = "u", item: str = "a") -> pa.Table:
    names = [{"event_id": name, "timestamp": day(at), "quantity": quantity} for name, at, quantity in rows]
    return pa.Table.from_pylist([{"user_id": user, "item_id": item, **row} for row in names], CANCELLATION_SCHEMA)


def net(bought: pa.Table, back: pa.Table) -> dict[str, tuple[int, Any]]:
    found = cancellations.net(bought, back).purchases.to_pylist()
    return {row["event_id"]: (row["net_quantity"], row["cancelled_at"]) for row in found}


def test_newest_purchase_gives_first() -> None:
    bought = table(("1", 1, 5), ("2", 2, 3))
    assert net(bought, table(("c", 9, 4))) == {"1": (4, None), "2": (0, day(9))}


def test_later_purchase_gives_nothing() -> None:
    assert net(table(("1", 1, 2), ("2", 5, 2)), table(("c", 3, 1))) == {"1": (1, None)}


def test_purchase_of_the_same_moment_was_earlier() -> None:
    assert net(table(("1", 3, 1)), table(("c", 3, 1))) == {"1": (0, day(3))}


def test_what_was_taken_back_is_gone() -> None:
    bought = table(("1", 1, 2), ("2", 2, 2))
    assert net(bought, table(("c", 3, 3), ("d", 4, 1))) == {"1": (0, day(4)), "2": (0, day(3))}


def test_purchase_after_a_cancellation_is_whole() -> None:
    bought = table(("1", 1, 1), ("2", 5, 1))
    assert net(bought, table(("c", 3, 1), ("d", 6, 1))) == {"1": (0, day(3)), "2": (0, day(6))}


def test_users_and_items_are_told_apart() -> None:
    assert net(table(("1", 1, 1)), table(("c", 2, 1), user="v")) == {}
    assert net(table(("1", 1, 1)), table(("c", 2, 1), item="b")) == {}


def test_counts_say_what_found_no_purchase() -> None:
    back = table(("c", 2, 1), ("d", 3, 5), ("e", 4, 2))
    assert cancellations.net(table(("1", 1, 3)), back).counts == {
        "rows": 3,
        "matched": 1,
        "partly_matched": 1,
        "unmatched": 1,
        "pieces": 3,
        "unmatched_pieces": 5,
        "purchases_reduced": 1,
        "purchases_cancelled": 1,
    }


def test_apply_leaves_everything_else_as_it_was() -> None:
    kinds = {"1": "purchase", "2": "purchase", "3": "view", "4": "purchase"}
    rows = [
        {"event_id": n, "user_id": "u", "item_id": "a", "event_type": kind, "timestamp": day(1), "quantity": int(n)}
        for n, kind in kinds.items()
    ]
    netted = cancellations.net(table(("4", 1, 4), ("2", 2, 2)), table(("c", 3, 3))).purchases
    events = pa.Table.from_pylist(rows, EVENT_SCHEMA)
    net_quantity, cancelled_at = cancellations.apply(events, pa.array([True, True, False, True]), netted)
    assert net_quantity.to_pylist() == [1, 0, 3, 3]
    assert cancelled_at.to_pylist() == [None, day(3), None, None]


def test_pieces_say_what_each_cancellation_took() -> None:
    bought = table(("1", 1, 5), ("2", 2, 3))
    found = cancellations.net(bought, table(("c", 3, 2), ("d", 9, 2))).pieces.to_pylist()
    assert [tuple(piece.values()) for piece in found] == [
        ("2", 2, day(3), False), ("2", 1, day(9), True), ("1", 1, day(9), False),
    ]  # fmt: skip


def test_pieces_are_described_by_their_purchases() -> None:
    pieces = cancellations.net(table(("1", 1, 5), ("2", 2, 3)), table(("c", 3, 4))).pieces
    common = {"user_id": "u", "item_id": "a", "is_bot": False, "quantity": 99, "timestamp": day(1)}
    rows = [common | {"event_id": "1", "price": 2.5}, common | {"event_id": "2", "category": "c", "is_bot": True}]
    purchases = pa.Table.from_pylist(rows, TAKEN_BACK_SCHEMA)
    found = cancellations.described(pieces, purchases)
    assert found.schema == TAKEN_BACK_SCHEMA
    chosen = found.select(["event_id", "quantity", "whole", "cancelled_at", "price", "category", "is_bot"])
    assert [tuple(row.values()) for row in chosen.to_pylist()] == [
        ("2", 3, True, day(3), None, "c", True),
        ("1", 1, False, day(3), 2.5, None, False),
    ]
