"""The prepare stage on small validated logs written here."""

from argparse import Namespace
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pipelines.context import Context
from pipelines.core.columns import CANCELLATION_SCHEMA, EVENT_SCHEMA, PREPARED_SCHEMA, PRODUCT_SCHEMA, TAKEN_BACK_SCHEMA
from pipelines.core.errors import InputError
from pipelines.core.lake.encodings import Encodings
from pipelines.io import files, tables
from pipelines.io.preparation import exploring
from pipelines.stages import prepare

pytestmark = pytest.mark.slow  # a whole stage

START = datetime(2026, 1, 1, tzinfo=UTC)
Row = dict[str, Any]


def event(name: str, day: float, user: str = "u", item: str = "a", kind: str = "view", **fields: Any) -> Row:
    row: Row = {"event_id": name, "user_id": user, "item_id": item, "event_type": kind, "quantity": 1}
    return row | {"timestamp": START + timedelta(days=day)} | fields


def validated(root: Path, events: Iterable[Row], products: Iterable[Row] = (), back: Iterable[Row] = ()) -> None:
    """Write what ``validate`` leaves."""
    ordered = sorted(events, key=lambda row: (row["timestamp"], row["event_id"]))
    folder = root / "data/validated"
    files.remove(folder)
    for day in sorted({row["timestamp"].date() for row in ordered}):
        rows = pa.Table.from_pylist([row for row in ordered if row["timestamp"].date() == day], EVENT_SCHEMA)
        tables.write(folder / f"events/date={day}/part-0.parquet", [rows], EVENT_SCHEMA)
    listed = [{"title": "t", "in_stock": True, "valid_from": START, **product} for product in products]
    tables.write(folder / "products.parquet", [pa.Table.from_pylist(listed, PRODUCT_SCHEMA)], PRODUCT_SCHEMA)
    gone = pa.Table.from_pylist(sorted(back, key=lambda row: (row["timestamp"], row["event_id"])), CANCELLATION_SCHEMA)
    tables.write(folder / "cancellations.parquet", [gone], CANCELLATION_SCHEMA)
    arrival = {"newest_arrival": (START + timedelta(days=900)).isoformat()}
    files.write_json(root / "data/reports/validation/summary.json", arrival)


def outputs(root: Path) -> dict[str, str]:
    paths = [*(root / "data/processed").rglob("*"), root / "data/reports/preparation.json"]
    return {str(path.relative_to(root)): files.sha256(path) for path in paths if path.is_file()}


def prepared(root: Path) -> dict[str, Row]:
    """The rows by event id."""
    table = pq.read_table(root / "data/processed/prepared_interactions.parquet")
    assert table.schema.equals(PREPARED_SCHEMA)
    return {row["event_id"]: row for row in table.to_pylist()}


def random_shop(seed: int, n: int = 500) -> tuple[list[Row], list[Row], list[Row]]:
    """A log of 40 days with everything in it that crosses pieces."""
    rng = np.random.default_rng(seed)
    kinds = ["view", "click", "add_to_cart", "purchase"]
    events = []
    for number in range(n):
        user, item = f"u{rng.integers(12)}", f"i{rng.integers(9)}"
        session = None if rng.random() < 0.5 else f"s{rng.integers(300)}"
        price = None if rng.random() < 0.5 else float(rng.integers(1, 30))
        row = event(f"e{number:05}", round(float(rng.uniform(0, 40)), 3), user, item, str(rng.choice(kinds)))
        row |= {"session_id": session, "price": price, "quantity": int(rng.integers(1, 5))}
        row |= {"device": str(rng.choice(["phone", "desktop"])) if rng.random() < 0.9 else None}
        events += [row, row | {"event_id": f"f{number:05}"}] if rng.random() < 0.1 else [row]
    events += [event(f"b{n:04}", 20 + n / 1500, "robot") for n in range(1200)]
    products = [
        {
            "item_id": f"i{item}",
            "price": 5.0 + day,
            "category": f"c{day % 2}",
            "valid_from": START + timedelta(days=day),
        }
        for item in range(8)
        for day in range(0, 40, 7 + item * 9)
    ]
    bought = [row for row in events if row["event_type"] == "purchase"][::7]
    back = [row | {"event_id": f"c{row['event_id']}"} for row in bought]
    later = [row | {"timestamp": row["timestamp"] + timedelta(days=float(rng.uniform(0, 9)))} for row in back]
    return events, products, later


@pytest.mark.parametrize("piece", [70, 400])
def test_outputs_do_not_depend_on_the_size_of_pieces(
    context: Context, monkeypatch: pytest.MonkeyPatch, piece: int
) -> None:
    validated(context.root, *random_shop(1))
    prepare.run(context)
    once = outputs(context.root)
    assert files.read_json(context.root / "data/reports/preparation.json")["repeats"] > 20
    monkeypatch.setattr(prepare, "PIECE", piece)
    prepare.run(context)
    assert outputs(context.root) == once


def test_double_fire_goes_and_the_first_stays(context: Context) -> None:
    shop = [event("b", 0.50002), event("a", 0.50002), event("c", 0.50002, kind="purchase")]
    shop += [event("d", 0.50002, kind="purchase")]
    validated(context.root, shop)
    prepare.run(context)
    assert list(prepared(context.root)) == ["a", "c", "d"]
    assert files.read_json(context.root / "data/reports/preparation.json")["repeats"] == 1


def test_double_fire_stays_where_the_parameter_says_so(context: Context) -> None:
    path = context.root / "params.yaml"
    path.write_text(path.read_text().replace("repeat_seconds: 1", "repeat_seconds: 0"))
    validated(context.root, [event("b", 0.50002), event("a", 0.50002)])
    prepare.run(context)
    assert list(prepared(context.root)) == ["a", "b"]


def test_bot_is_marked_on_its_day_only(context: Context) -> None:
    robot = [event(f"{n:04}", 5 + n / 1500, "robot") for n in range(1001)]
    validated(context.root, [*robot, event("next", 6.5, "robot"), event("other", 5.5, "u")])
    prepare.run(context)
    rows = prepared(context.root)
    assert [rows[name]["is_bot"] for name in ("0000", "1000", "next", "other")] == [True, True, False, False]


def test_session_numbers_go_on_over_days(context: Context) -> None:
    shop = [event("a", 0.999), event("b", 1.001), event("c", 3), event("d", 3, session_id="given")]
    validated(context.root, shop)
    prepare.run(context)
    assert [row["session_id"] for row in prepared(context.root).values()] == ["u-1", "u-1", "u-2", "given"]


def test_unlisted_item_is_prepared_and_gets_an_entry(context: Context) -> None:
    validated(context.root, [event("a", 1.5, item="x", price=3.0), event("b", 1.6)], [{"item_id": "a", "price": 7.0}])
    prepare.run(context)
    rows = prepared(context.root)
    assert [(row["price"], row["category"]) for row in rows.values()] == [(3.0, None), (7.0, None)]
    products = pq.read_table(context.root / "data/processed/products.parquet").to_pylist()
    assert [(p["item_id"], p["valid_from"]) for p in products] == [("a", START), ("x", START + timedelta(days=1))]


def test_cancelled_purchase_says_what_is_left_and_since_when(context: Context) -> None:
    shop = [event("a", 1, kind="purchase", quantity=3), event("b", 2, kind="purchase", quantity=2), event("c", 9)]
    validated(context.root, shop, back=[event("x", 5, quantity=4)])
    prepare.run(context)
    found = [(row["quantity"], row["net_quantity"], row["cancelled_at"]) for row in prepared(context.root).values()]
    assert found == [(3, 1, None), (2, 0, START + timedelta(days=5)), (1, 1, None)]


def test_pieces_taken_back_are_told_with_their_purchases(context: Context) -> None:
    shop = [event("a", 1, kind="purchase", quantity=3, price=2.5), event("b", 2, kind="purchase", quantity=2)]
    back = [event("x", 5, quantity=1), event("y", 6, quantity=2)]
    validated(context.root, shop, [{"item_id": "a", "category": "c", "price": 4.0}], back)
    prepare.run(context)
    table = pq.read_table(context.root / "data/processed/taken_back.parquet")
    assert table.schema.equals(TAKEN_BACK_SCHEMA)
    common = {"user_id": "u", "item_id": "a", "category": "c", "is_bot": False, "quantity": 1}
    of_a = common | {"event_id": "a", "price": 2.5, "timestamp": START + timedelta(days=1)}
    of_b = common | {"event_id": "b", "price": 4.0, "timestamp": START + timedelta(days=2)}
    assert table.to_pylist() == [
        of_b | {"cancelled_at": START + timedelta(days=5), "whole": False},
        of_b | {"cancelled_at": START + timedelta(days=6), "whole": True},
        of_a | {"cancelled_at": START + timedelta(days=6), "whole": False},
    ]


def test_digests_change_on_the_day_that_changed_only(context: Context) -> None:
    shop = [event("a", 1, kind="purchase", quantity=3), event("b", 2), event("c", 3)]
    days = context.root / "data/processed/days.json"
    validated(context.root, shop)
    prepare.run(context)
    before = files.read_json(days)
    assert (list(before["interactions"]), before["taken_back"]) == (["2026-01-02", "2026-01-03", "2026-01-04"], {})
    validated(context.root, [*shop, event("d", 2.5)], back=[event("x", 3.5, quantity=1)])
    prepare.run(context)
    after = files.read_json(days)
    assert [day for day, digest in after["interactions"].items() if digest != before["interactions"][day]] == [
        "2026-01-03"
    ]
    assert list(after["taken_back"]) == ["2026-01-04"]


def test_encodings_know_nothing_of_the_newest_window(context: Context) -> None:
    events, products, _ = random_shop(2)
    changed = [
        row | {"price": 1e4, "quantity": 400, "device": "watch", "event_type": "click"}
        if row["timestamp"] >= START + timedelta(days=26)  # 40 days less a window of 14
        else row
        for row in events
    ]
    validated(context.root, events, products)
    prepare.run(context)
    encodings = context.root / "data/processed/encodings.json"
    before, rows = files.read_json(encodings), prepared(context.root)
    assert before["fitted_before"] == "2026-01-27T00:00:00+00:00"
    validated(context.root, changed, products)
    prepare.run(context)
    assert files.read_json(encodings) == before
    again = prepared(context.root)
    early = [name for name, row in rows.items() if row["timestamp"] < START + timedelta(days=26)]
    assert {name: rows[name] for name in early} == {name: again[name] for name in early}
    late = [row for name, row in again.items() if name not in early]
    assert {row["device_code"] for row in late} == {0}
    assert all(row["is_outlier"] for row in late)


def test_encodings_file_gives_the_columns_again(context: Context) -> None:
    validated(context.root, *random_shop(3))
    prepare.run(context)
    encodings = Encodings.from_json(files.read_json(context.root / "data/processed/encodings.json"))
    rows = pq.read_table(context.root / "data/processed/prepared_interactions.parquet")
    made = [name for name in rows.column_names if name.endswith(("_code", "_scaled"))]
    assert (
        encodings.apply(rows.drop_columns(made)).select(made).cast(rows.select(made).schema).equals(rows.select(made))
    )


def test_plots_of_a_sample_are_drawn(context: Context, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(exploring, "SAMPLE", 500)
    validated(context.root, *random_shop(4))
    prepare.run(context)
    assert len(list((context.root / "data/processed/eda").glob("*.png"))) == 9


@pytest.mark.parametrize("shop", [[event("a", 1)], [event("a", 1, kind="purchase"), event("b", 400, kind="purchase")]])
def test_plots_of_next_to_nothing_are_drawn(context: Context, shop: list[Row]) -> None:
    validated(context.root, shop)
    prepare.run(context)
    assert len(list((context.root / "data/processed/eda").glob("*.png"))) == 9


@pytest.mark.parametrize("name", ["cancellations.parquet", "products.parquet", "events"])
def test_missing_input_says_what_to_run(context: Context, name: str) -> None:
    validated(context.root, [event("a", 1)])
    files.remove(context.root / "data/validated" / name)
    with pytest.raises(InputError, match=rf"{name}.*run `python -m pipelines validate`"):
        prepare.run(Context(Namespace(), context.settings))
