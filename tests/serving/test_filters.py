import math
from dataclasses import replace

import numpy as np
import pytest

from pipelines.core.models.bundle import Bundle
from pipelines.io.models.rule_file import Rules
from pipelines.io.models.shop_rules import in_force
from serving.filters import Query, allowed
from serving.snapshot import Snapshot
from tests.serving.shop import SIZE, Shelf


@pytest.fixture
def snapshot(model: Bundle) -> Snapshot:
    """P0 to P9: even and odd ones, P3 costs 40; P8 is sold out, P9 has neither price nor category."""
    shelf = Shelf(sold_out={"P8"})
    shelf.prices["P9"] = math.nan
    found = Snapshot.read(1, model, shelf)
    codes = found.cards.codes.copy()
    codes[9] = -1
    return replace(found, cards=replace(found.cards, codes=codes))


def _items(keep: np.ndarray) -> set[int]:
    return set(np.flatnonzero(keep).tolist())


@pytest.mark.parametrize(
    ("asked", "expected"),
    [
        ({}, {0, 1, 2, 3, 4, 5, 6, 7, 9}),
        ({"in_stock": False}, set(range(SIZE))),
        ({"exclude": ["P0", "nothing"]}, {1, 2, 3, 4, 5, 6, 7, 9}),
        ({"shown": ["P1"], "exclude": ["P0"]}, {2, 3, 4, 5, 6, 7, 9}),
        ({"categories": ["odd"]}, {1, 3, 5, 7}),
        ({"categories": ["nothing"]}, set()),
        ({"exclude_categories": ["odd"]}, {0, 2, 4, 6, 9}),
        ({"exclude_categories": ["nothing"]}, {0, 1, 2, 3, 4, 5, 6, 7, 9}),
        ({"min_price": 40.0, "max_price": 60.0}, {3, 4, 5}),
        ({"min_price": 0.0}, {0, 1, 2, 3, 4, 5, 6, 7}),
        ({"max_price": 20.0, "in_stock": False}, {0, 1}),
    ],
)
def test_allowed_lets_through_exactly(snapshot: Snapshot, asked: dict, expected: set[int]) -> None:
    assert _items(allowed(snapshot, Query(None, 10, **asked))) == expected


@pytest.mark.parametrize("asked", [{}, {"exclude": ["P4"], "categories": ["even"], "max_price": 60.0}])
def test_allowed_among_some_items_is_their_part_of_all(snapshot: Snapshot, asked: dict) -> None:
    query, some = Query(None, 10, **asked), np.array([8, 2, 4, 9])
    assert allowed(snapshot, query, among=some).tolist() == allowed(snapshot, query)[some].tolist()


def test_allowed_copies_nothing_where_only_stock_is_asked(snapshot: Snapshot) -> None:
    keep = allowed(snapshot, Query("U1", 10))
    assert np.shares_memory(keep, snapshot.cards.in_stock)
    with pytest.raises(ValueError, match="read-only"):
        keep[0] = False


@pytest.mark.parametrize(("in_stock", "expected"), [(True, {2, 4, 6, 9}), (False, {2, 4, 6, 8, 9})])
def test_allowed_leaves_out_what_rules_hide(snapshot: Snapshot, in_stock: bool, expected: set[int]) -> None:
    rules = Rules.model_validate({"hide": [{"items": ["P0"]}, {"categories": ["odd"]}]})
    active = in_force(rules, snapshot, now=0.0)
    assert _items(allowed(snapshot, Query(None, 10, in_stock=in_stock), active)) == expected
    assert _items(allowed(snapshot, Query(None, 10, in_stock=in_stock, exclude=["P2"]), active)) == expected - {2}
