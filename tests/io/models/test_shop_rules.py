from dataclasses import replace

import numpy as np
import pytest

from pipelines.io.models.rule_file import Rules
from pipelines.io.models.shop_rules import FIRST_SEEN, in_force
from serving.snapshot import Snapshot
from tests.serving.shop import SIZE, Shelf, bundle

DAY = 86_400.0


@pytest.fixture
def snapshot() -> Snapshot:
    """P0 is seen first on the day of the features, P9 nine days before; P3 costs 40."""
    found = Snapshot.read(1, bundle(), Shelf())
    return replace(found, items={**found.items, FIRST_SEEN: found.now - DAY * np.arange(SIZE)})


def _boost(snapshot: Snapshot, *rules: dict) -> list[float]:
    active = in_force(Rules.model_validate({"boost": rules}), snapshot, now=0.0)
    found = active.boost(snapshot, np.arange(SIZE))
    assert found is not None
    return found.tolist()


@pytest.mark.parametrize(
    ("rule", "boosted"),
    [
        ({"items": ["P1", "P8", "nothing"]}, {1, 8}),
        ({"categories": ["odd"]}, {1, 3, 5, 7, 9}),
        ({"min_price": 40, "max_price": 60}, {3, 4, 5}),
        ({"new_days": 2}, {0, 1, 2}),
        ({"new_days": 4, "categories": ["odd"], "max_price": 30}, {1}),
    ],
)
def test_boost_means_the_items_of_which_all_holds(snapshot: Snapshot, rule: dict, boosted: set[int]) -> None:
    assert _boost(snapshot, {**rule, "add": 0.5}) == [0.5 if n in boosted else 0.0 for n in range(SIZE)]


def test_boosts_add_up_and_factors_are_logarithms(snapshot: Snapshot) -> None:
    found = _boost(snapshot, {"items": ["P1", "P2"], "factor": 2}, {"items": ["P2"], "add": -1})
    assert found[:3] == pytest.approx([0.0, 0.6931472, -0.3068528])


def test_boost_is_nothing_without_a_rule_in_force(snapshot: Snapshot) -> None:
    rules = Rules.model_validate({"boost": [{"items": ["P1"], "add": 1, "from": "2026-01-01"}]})
    assert in_force(rules, snapshot, now=0.0).boost(snapshot, np.arange(3)) is None


def test_hidden_items_are_hidden_while_the_rule_is_in_force(snapshot: Snapshot) -> None:
    rules = Rules.model_validate({"hide": [{"categories": ["odd"], "until": "1970-01-02"}, {"items": ["P2"]}]})
    for now, hidden in ((DAY - 1, {1, 2, 3, 5, 7, 9}), (DAY, {2})):
        visible = in_force(rules, snapshot, now).visible
        assert visible is not None
        assert set(np.flatnonzero(~visible[0]).tolist()) == hidden


def test_pin_stands_on_its_lists_only(snapshot: Snapshot) -> None:
    pins = [
        {"item": "P4", "position": 2},
        {"item": "P6", "position": 1, "categories": ["even", "odd"]},
        {"item": "not an item", "position": 1},
    ]
    active = in_force(Rules.model_validate({"pin": pins}), snapshot, now=0.0)
    assert active.pins() == ((1, 4),)
    assert active.pins(["even"]) == ((1, 4), (0, 6))
    assert active.pins(["even", "other"]) == ((1, 4),)
