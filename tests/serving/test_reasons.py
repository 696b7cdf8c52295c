from dataclasses import replace

import numpy as np
import pytest

from pipelines.core.models.bundle import Bundle
from serving.reasons import reasons
from serving.snapshot import Snapshot
from tests.serving.shop import SIZE, Shelf


def told(model: Bundle, user: int, items: list[int], names: list[str], trend: float = 1.0) -> list[str]:
    snapshot = Snapshot.read(1, model, Shelf())
    history = model.histories.take(np.array([user]))
    return reasons(snapshot, history, np.array(items), names, np.full(len(items), trend, np.float32))


def test_reasons_follow_the_source(model: Bundle) -> None:
    assert told(model, 4, [4, 4, 4], ["svd", "pinned", "of tomorrow"]) == [
        "liked by people with similar taste", "selected by the shop", "recommended for you",
    ]  # fmt: skip


def test_reasons_of_covisitation_name_an_item_that_the_user_viewed(model: Bundle) -> None:
    for user in range(SIZE):
        (reason,) = told(model, user, [user], ["covisitation"])
        led = int(reason.removeprefix("because you viewed “Product P").removesuffix("”"))
        assert led != user, "the item on the diagonal was never viewed"
        assert led % 2 == user % 2, "users view items of their own parity only"


def test_reasons_of_covisitation_stay_general_where_no_viewed_item_leads_there(model: Bundle) -> None:
    assert told(model, 4, [5], ["covisitation"]) == ["often viewed after items you viewed"]


@pytest.mark.parametrize(("trend", "reason"), [(1.49, "popular in even"), (1.5, "trending in even")])
def test_reasons_of_what_is_popular_say_whether_it_is_trending(model: Bundle, trend: float, reason: str) -> None:
    assert told(model, 4, [2, 2], ["popularity", "category_popularity"], trend) == [reason, reason]


@pytest.mark.parametrize(
    ("weight", "reason"), [(8.0, "often bought with “Product P6”"), (7.0, "goes with “Product P6”")]
)
def test_reasons_of_items_alike_say_what_was_bought(model: Bundle, weight: float, reason: str) -> None:
    """The sixth item leads to the second, and the user had as much to do with it as with something bought."""
    leads = {
        "indptr": np.array([0] * 7 + [1] * 4, np.int32),
        "indices": np.array([2], np.int32),
        "data": np.array([1.0], np.float32),
    }
    params = {**model.manifest["params"], "event_weights": {"purchase": 8.0}}
    known = replace(model, sources={**model.sources, "item_item": leads}, manifest={**model.manifest, "params": params})
    history = model.histories.take(np.array([4]))
    weights = np.where(history.item_idx == 6, weight, 1.0).astype(np.float32)
    snapshot = Snapshot.read(1, known, Shelf())
    trend = np.ones(1, np.float32)
    assert reasons(snapshot, replace(history, weight=weights), np.array([2]), ["item_item"], trend) == [reason]
