"""What must be written so that written rows say what is true."""

from datetime import UTC, datetime, timedelta

import pyarrow as pa

from pipelines.core.features.corrections import Latest, differing, gone, with_values
from pipelines.core.features.feature_views import VIEWS

START = datetime(2026, 1, 1, tzinfo=UTC)
VIEW = "user_activity_v1"
KEYS = ["user_id"]


def rows(day: int, **users: float | None) -> pa.Table:
    """A row a user with its mean price, and one view."""
    common = {"event_timestamp": START + timedelta(days=day), "views_all": 1, "last_event_epoch_s": 7}
    named = [common | {"user_id": user, "mean_price_all": price} for user, price in users.items()]
    return pa.Table.from_pylist(named, VIEWS[VIEW].schema)


def users(table: pa.Table) -> list[str]:
    return table["user_id"].to_pylist()


def test_differing_rows_are_new_or_have_another_value() -> None:
    old = rows(1, a=1.0, b=None, c=2.0, d=None, gone=1.0)
    new = rows(1, a=1.0, b=None, c=2.5, d=3.0, e=1.0)
    assert users(differing(new, old, KEYS)) == ["c", "d", "e"]
    assert users(gone(new, old, KEYS)) == ["gone"]


def test_differing_lists_are_compared_by_their_items() -> None:
    view = VIEWS["user_recent_items_v1"]

    def lists(**of: list[str]) -> pa.Table:
        return pa.Table.from_pylist(
            [{"user_id": user, "recent_items": items} for user, items in of.items()], view.schema
        )

    assert users(differing(lists(a=["x"], b=["x", "y"]), lists(a=["x"], b=["y", "x"]), KEYS)) == ["b"]


def test_rows_of_an_entity_that_is_gone_have_nothing() -> None:
    lost = rows(1, a=1.0)
    (row,) = with_values(VIEW, lost, lost.take(pa.array([None], pa.int64()))).to_pylist()
    assert (row["user_id"], row["views_all"], row["mean_price_all"], row["last_event_epoch_s"]) == ("a", 0, None, None)


def test_latest_remembers_the_newest_row_of_each_key() -> None:
    latest = Latest(VIEW)
    for day, table in enumerate([rows(1, a=1.0, b=1.0), rows(2, a=2.0), rows(3, c=3.0), rows(4, a=4.0)]):
        assert day + 1 == (table["event_timestamp"][0].as_py() - START).days
        latest.add(table)
    found = latest.instead_of(rows(9, c=0.0, a=0.0, b=0.0, d=0.0)).to_pylist()
    assert [(row["user_id"], row["mean_price_all"], row["views_all"]) for row in found] == [
        ("c", 3.0, 1), ("a", 4.0, 1), ("b", 1.0, 1), ("d", None, 0),
    ]  # fmt: skip
    assert {row["event_timestamp"] for row in found} == {START + timedelta(days=9)}
