from datetime import UTC, datetime, timedelta

import numpy as np
import pyarrow as pa

from pipelines.core.columns import EVENT_SCHEMA
from pipelines.core.interactions import between, encode, positions

START = datetime(2026, 1, 1, tzinfo=UTC)
WEIGHTS = {"view": 1.0, "click": 2.0, "add_to_cart": 4.0, "remove_from_cart": 0.0, "purchase": 8.0}


def log(*rows: tuple[str, str, str, int]) -> pa.Table:
    """(user, item, type, day) each."""
    return pa.Table.from_pylist(
        [
            {
                "event_id": f"e{n}",
                "user_id": user,
                "item_id": item,
                "event_type": kind,
                "timestamp": START + timedelta(days=day),
                "quantity": 1,
            }
            for n, (user, item, kind, day) in enumerate(rows)
        ],
        EVENT_SCHEMA,
    )


def test_encode_sorts_ids_and_time() -> None:
    encoded = encode(log(("u2", "b", "view", 3), ("u1", "a", "purchase", 1)), WEIGHTS)
    assert encoded.user_ids.tolist() == ["u1", "u2"]
    assert encoded.item_idx.tolist() == [0, 1]
    assert encoded.weight.tolist() == [8.0, 1.0]


def test_encode_leaves_out_events_of_weight_zero() -> None:
    encoded = encode(log(("u", "a", "remove_from_cart", 0), ("u", "b", "view", 0)), WEIGHTS)
    assert encoded.item_ids.tolist() == ["b"]


def test_user_items_sums_halved_weights() -> None:
    encoded = encode(log(("u", "a", "click", 0), ("u", "a", "view", 10)), WEIGHTS)
    at = (START + timedelta(days=10)).timestamp()
    cell = encoded.user_items(encoded.decayed(at, half_life_days=5))[0, 0]
    assert cell == 2.0 / 4 + 1.0


def test_between_takes_the_start_and_not_the_end() -> None:
    events = log(("u", "a", "view", 0), ("u", "b", "view", 1), ("u", "c", "view", 2))
    inside = between(events, START + timedelta(days=1), START + timedelta(days=2))
    assert inside["item_id"].to_pylist() == ["b"]


def test_positions_of_unknown_and_longer_ids_are_minus_one() -> None:
    ids = np.array(["aa", "bb"])
    assert positions(ids, ["bb", "bbb", "a", "zz"]).tolist() == [1, -1, -1, -1]
    assert positions(np.array([], str), ["a"]).tolist() == [-1]
