from datetime import UTC, datetime, timedelta

import pytest

from pipelines.core.errors import InputError
from pipelines.core.models.interactions import encode
from pipelines.core.models.split import cuts, gains
from tests.core.board import CUT, PARAMS, bundle, events

END = datetime(2026, 3, 1, tzinfo=UTC)


def event(user: str, item: str, kind: str) -> dict[str, object]:
    return {
        "event_id": f"{user}{item}{kind}",
        "user_id": user,
        "item_id": item,
        "event_type": kind,
        "timestamp": CUT,
        "quantity": 1,
    }


def test_cuts_follow_each_other_without_a_gap() -> None:
    split = cuts(END - timedelta(days=100), END, 14, 2)
    assert split.evaluation == END - timedelta(days=14)
    assert split.training == (END - timedelta(days=28), END - timedelta(days=42))


def test_cuts_without_a_window_of_history_are_left_out() -> None:
    assert len(cuts(END - timedelta(days=42), END, 14, 3).training) == 1


def test_cuts_of_a_short_log_fail_and_say_what_to_change() -> None:
    with pytest.raises(InputError, match=r"spans 41\.0 days.*need 42.*split\.window_days"):
        cuts(END - timedelta(days=41), END, 14, 3)


def test_gains_are_new_items_with_their_strongest_event() -> None:
    model = bundle()
    rows = [event("u00", "i00", "view"), event("u00", "i00", "click"), event("u00", "i02", "purchase")]
    later = encode(events(*rows).slice(len(events())), PARAMS["event_weights"])
    found = gains(model, later, model.user_ids[:1])
    assert found.matrix.toarray()[0, :3].tolist() == [2.0, 0.0, 0.0]  # i02 had been seen


def test_gains_count_items_that_nobody_knew() -> None:
    model = bundle()
    later = encode(events(event("u00", "unheard", "view")).slice(len(events())), PARAMS["event_weights"])
    found = gains(model, later, model.user_ids[:1])
    assert found.item_ids[found.matrix.indices].tolist() == ["unheard"]
    assert found.matrix.shape[1] == len(model.item_ids) + 1


def test_gains_of_removals_are_none() -> None:
    model = bundle()
    later = encode(events(event("u00", "i00", "remove_from_cart")).slice(len(events())), PARAMS["event_weights"])
    assert gains(model, later, model.user_ids[:1]).matrix.nnz == 0
