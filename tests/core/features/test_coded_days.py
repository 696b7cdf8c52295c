"""Events as codes, and which pairs differ."""

from typing import Any

import numpy as np
import pytest

from pipelines.core.features.coded_days import DAY_US, CodedRows, Ids, taken_back
from pipelines.core.features.day_events import TakenBack
from pipelines.core.features.fingerprints import changed, fingerprint, items_of, users_of
from tests.feature_data import START, Event, event, event_table, taken_back_table
from tests.feature_data import taken_back as back

DAY = int(START.timestamp()) * 1_000_000 // DAY_US


def mark(events: list[Event], ids: Ids, gone: TakenBack | None = None) -> Any:
    return fingerprint(CodedRows.of(event_table(events), ids), gone or TakenBack.empty(DAY))


def test_events_become_codes_without_those_of_bots() -> None:
    ids = Ids()
    log = [event("u", "a", "view", 0.1, 0.29, category="c"), event("v", "b", "purchase", 0.2, None, 3)]
    log.append(event("robot", "a", "view", 0.3) | {"is_bot": True})
    rows = CodedRows.of(event_table(log), ids).events(DAY)
    assert ids.users.ids.to_pylist() == ["u", "v"]
    assert (rows.user.tolist(), rows.item.tolist(), rows.category.tolist()) == ([0, 1], [0, 1], [0, -1])
    assert (rows.kind.tolist(), rows.cents.tolist(), rows.priced.tolist()) == ([0, 4], [29, 0], [True, False])
    assert (rows.quantity.tolist(), (rows.epoch_s - DAY * 86_400).tolist()) == ([1, 3], [8640, 17280])


def test_half_a_cent_is_rounded_up() -> None:
    prices = [0.125, 0.375, 1.005, 0.004]  # 12.5, 37.5, 100.49999999999999, 0.4
    log = [event("u", "a", "view", n / 10, price) for n, price in enumerate(prices)]
    assert CodedRows.of(event_table(log), Ids()).cents.tolist() == [13, 38, 100, 0]


def test_what_was_taken_back_comes_by_its_day() -> None:
    ids = Ids()
    bought = event("u", "a", "purchase", 0.5, 2.0, 3, category="c")
    taken = [back(bought, 1.2, 1, False), back(bought, 4.5, 2, True), back(bought | {"is_bot": True}, 4.6, 1, True)]
    first, second = taken_back(taken_back_table(taken), ids)
    assert (first.day, first.quantity.tolist(), first.whole.tolist()) == (DAY + 1, [1], [False])
    assert (second.day, second.quantity.tolist(), second.whole.tolist()) == (DAY + 4, [2], [True])
    assert (second.purchase_day.tolist(), second.cents.tolist(), second.category.tolist()) == ([DAY], [200], [0])


LOG = [event("u", "a", "view", 0.1), event("u", "b", "view", 0.1), event("v", "a", "view", 0.3)]


def test_fingerprint_is_the_same_whatever_else_happened() -> None:
    ids = Ids()
    before = mark(LOG, ids)
    after = mark([event("w", "c", "click", 0.05), *LOG], ids)
    assert before[0].tolist() == [0, 1, 1 << 32]
    pairs = changed(before, after)
    assert (users_of(pairs).tolist(), items_of(pairs).tolist()) == ([2], [2])
    assert not len(changed(before, mark(LOG, ids)))


@pytest.mark.parametrize(
    "change",
    [
        {"event_type": "click"}, {"price": 3.0}, {"price": None}, {"quantity": 2}, {"category": "c"},
        {"timestamp": START}, {"is_bot": True},
    ],
)  # fmt: skip
def test_fingerprint_differs_for_the_pair_whose_event_changed(change: dict[str, Any]) -> None:
    ids = Ids()
    before = mark(LOG, ids)
    after = mark([*LOG[:2], LOG[2] | change], ids)
    assert changed(before, after).tolist() == [1 << 32]


def test_fingerprint_knows_the_order_within_a_moment() -> None:
    ids = Ids()
    pairs = changed(mark(LOG, ids), mark([LOG[1], LOG[0], LOG[2]], ids))
    assert pairs.tolist() == [0, 1]


def test_fingerprint_knows_what_was_taken_back() -> None:
    ids = Ids()
    before = mark(LOG, ids)
    (gone,) = taken_back(taken_back_table([back(event("v", "b", "purchase", 0.2), 0.5, 1, True)]), ids)
    assert changed(before, mark(LOG, ids, gone)).tolist() == [(1 << 32) + 1]


def test_changed_pairs_of_days_without_events() -> None:
    none = np.empty((2, 0), np.uint64)
    ids = Ids()
    assert changed(none, none).tolist() == []
    assert changed(mark(LOG, ids), none).tolist() == changed(none, mark(LOG, ids)).tolist() == [0, 1, 1 << 32]
