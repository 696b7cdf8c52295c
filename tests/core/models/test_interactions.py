from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from types import MappingProxyType

import numpy as np
import pyarrow as pa
import pytest

from pipelines.core.columns import EVENT_SCHEMA, UTC_US
from pipelines.core.models import interactions
from pipelines.core.models.interactions import before, encode, known, lasting, position, positions

START = datetime(2026, 1, 1, tzinfo=UTC)
WEIGHTS = {"view": 1.0, "click": 2.0, "add_to_cart": 4.0, "remove_from_cart": 0.0, "purchase": 8.0}


def day(number: float) -> datetime:
    return START + timedelta(days=number)


def log(*rows: tuple[str, str, str, int], cancelled: Mapping[str, datetime] = MappingProxyType({})) -> pa.Table:
    """(user, item, type, day) each; ``cancelled``: item -> when."""
    return pa.Table.from_pylist(
        [
            {
                "event_id": f"e{n}",
                "user_id": user,
                "item_id": item,
                "event_type": kind,
                "timestamp": day(at),
                "quantity": 1,
                "cancelled_at": cancelled.get(item),
            }
            for n, (user, item, kind, at) in enumerate(rows)
        ],
        EVENT_SCHEMA.append(pa.field("cancelled_at", UTC_US)),
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


def test_lasting_takes_the_start_and_not_the_end() -> None:
    events = log(("u", "a", "view", 0), ("u", "b", "view", 1), ("u", "c", "view", 2))
    assert lasting(events, day(1), day(2))["item_id"].to_pylist() == ["b"]


def test_lasting_leaves_out_what_was_cancelled_whenever() -> None:
    bought = [("u", item, "purchase", 1) for item in "abc"]
    events = log(*bought, cancelled={"a": day(1.5), "b": day(30)})
    assert lasting(events, day(0), day(2))["item_id"].to_pylist() == ["c"]


def test_before_leaves_out_what_had_been_cancelled() -> None:
    bought = [("u", item, "purchase", 1) for item in "abc"]
    events = log(*bought, ("u", "d", "view", 10), cancelled={"a": day(5), "b": day(10)})
    assert before(events, day(10))["item_id"].to_pylist() == ["b", "c"]


def test_cancellation_after_the_cut_changes_nothing_before_it() -> None:
    bought = [("u", "a", "purchase", 1), ("u", "b", "view", 2)]
    later = log(*bought, cancelled={"a": day(20)})
    assert before(later, day(10)).equals(before(log(*bought), day(10)))
    assert known(later, day(10)).equals(known(log(*bought), day(10)))


def test_known_keeps_a_cancelled_purchase_for_earlier_cuts() -> None:
    events = known(log(("u", "a", "purchase", 1), cancelled={"a": day(20)}), day(30))
    assert before(events, day(10))["item_id"].to_pylist() == ["a"]
    assert before(events, day(30))["item_id"].to_pylist() == []


def test_positions_of_unknown_and_longer_ids_are_minus_one() -> None:
    ids = np.array(["aa", "bb"])
    assert positions(ids, ["bb", "bbb", "a", "zz"]).tolist() == [1, -1, -1, -1]
    assert positions(np.array([], str), ["a"]).tolist() == [-1]


def test_position_of_one_is_as_that_of_several() -> None:
    ids = np.array(["a", "bb", "c"])
    wanted = ["a", "bb", "c", "bbb", "b", "", "zz"]
    assert [position(ids, one) for one in wanted] == positions(ids, wanted).tolist() == [0, 1, 2, -1, -1, -1, -1]
    assert position(np.array([], str), "a") == -1


def test_encode_knows_the_devices_that_most_events_come_from(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(interactions, "MOST_DEVICES", 2)
    events = log(*(("u", "i", "view", n) for n in range(6)))
    devices = pa.array(["phone", "watch", None, "tablet", "phone", "tablet"])
    found = encode(events.set_column(events.schema.get_field_index("device"), "device", devices), WEIGHTS)
    assert found.devices == ("phone", "tablet")
    assert found.device is not None
    assert found.device.tolist() == [0, -1, -1, 1, 0, 1]
    assert found.between(day(3).timestamp(), day(9).timestamp()).device.tolist() == [1, 0, 1]


def test_encode_of_a_log_without_devices_knows_none() -> None:
    assert encode(log(("u", "i", "view", 0)), WEIGHTS).device is None
