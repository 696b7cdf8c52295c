from datetime import datetime, timedelta
from itertools import pairwise

import pyarrow as pa

from pipelines.core.columns import EVENT_TYPES
from pipelines.core.features import reference_log
from pipelines.core.features.feature_views import VIEWS
from pipelines.core.features.meanings import changed, meaning

VIEW = "user_item_activity_v1"


def rows(n: int = 6, **changes: object) -> pa.Table:
    """Change points of three users; ``changes``: feature -> value of the last row."""
    schema = VIEWS[VIEW].schema
    plain = [
        dict.fromkeys(VIEWS[VIEW].features, i)
        | {"user_id": f"u{i % 3}", "item_id": "i"}
        | dict.fromkeys(("event_timestamp", "created_timestamp"), datetime(2024, 2, 1 + i))
        for i in range(n)
    ]
    return pa.Table.from_pylist([*plain[:-1], plain[-1] | changes], schema)


def test_meaning_is_of_the_rows_and_not_of_their_order_or_division() -> None:
    whole = rows()
    parts = pa.concat_tables([whole.slice(4, 2), whole.slice(0, 1), whole.slice(1, 3)])
    keys = [whole.schema.names.index(key) for key in ("user_id", "item_id")]
    for key in keys:
        name = whole.schema.names[key]
        parts = parts.set_column(key, name, parts[name].dictionary_encode())
    assert meaning(VIEW, parts) == meaning(VIEW, whole)


def test_meaning_does_not_know_when_rows_were_written() -> None:
    later = pa.array([datetime(2025, 1, 1)] * 6, pa.timestamp("us", tz="UTC"))
    assert meaning(VIEW, rows().set_column(3, "created_timestamp", later)) == meaning(VIEW, rows())


def test_changed_names_the_features_whose_values_changed() -> None:
    assert changed(meaning(VIEW, rows()), meaning(VIEW, rows(views_7d=9, carts_30d=9))) == ["views_7d", "carts_30d"]


def test_changed_values_of_a_float_are_told_to_the_last_bit() -> None:
    view = "item_profile_v1"

    def priced(price: float) -> pa.Table:
        row = {"item_id": "i", "price": price, "event_timestamp": datetime(2024, 2, 1)}
        return pa.Table.from_pylist([row], VIEWS[view].schema)

    assert changed(meaning(view, priced(0.3)), meaning(view, priced(0.1 + 0.2))) == ["price"]
    assert changed(meaning(view, priced(0.3)), meaning(view, priced(3 / 10))) == []


def test_changed_rows_are_told_as_rows() -> None:
    assert changed(meaning(VIEW, rows()), meaning(VIEW, rows(n=5))) == ["rows"]


def test_reference_log_holds_every_case() -> None:
    events = reference_log.events().to_pylist()
    assert {e["event_type"] for e in events if not e["is_bot"]} == set(EVENT_TYPES)
    assert any(e["is_bot"] for e in events)
    assert {e["price"] is None for e in events} == {e["category"] is None for e in events} == {True, False}
    times = [e["timestamp"] for e in events]
    assert max(b - a for a, b in pairwise(times)) > timedelta(days=31)
    assert len({e["item_id"] for e in events if e["user_id"] == "u9"}) > 20
    back = reference_log.taken_back().to_pylist()
    days = [r["cancelled_at"].date() - r["timestamp"].date() for r in back]
    assert {timedelta(0), timedelta(days=2), timedelta(days=33)} <= set(days)
    assert {r["whole"] for r in back} == {True, False}
    states = [p["item_id"] for p in reference_log.products().to_pylist()]
    assert len(states) > len(set(states))
