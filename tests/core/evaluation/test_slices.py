from dataclasses import replace

import numpy as np
import pytest

from pipelines.core.evaluation import comparison, slices
from pipelines.core.evaluation.comparison import Relevance
from pipelines.core.models import signals
from pipelines.core.models.bundle import Bundle
from pipelines.core.models.histories import Histories
from tests.core.board import bundle

USER_IDS = np.array(["u00", "u01", "u02"])


def model(items_of: list[int], age_days: float = 1.0) -> Bundle:
    """Users u00, u01, … with so many items each."""
    indptr = np.append(0, np.cumsum(items_of))
    item_idx = np.concatenate([np.arange(n) for n in items_of]).astype(np.int32)
    age = np.full(len(item_idx), age_days, np.float32)
    histories = Histories(indptr, item_idx, age, np.ones(len(item_idx), np.float32))
    user_ids = np.array([f"u{n:02}" for n in range(len(items_of))])
    return replace(bundle(), user_ids=user_ids, histories=histories)


def named(found: list[slices.Slice]) -> dict[str, slices.Slice]:
    return {one.name: one for one in found}


def test_users_are_cold_up_to_five_items() -> None:
    found = named(slices.of_users(model([5, 6, 20, 21]), np.array(["u00", "u01", "u02", "u03"]), 14))
    cold, some, many = (found[f"{name} users"].users for name in ("cold", "occasional", "frequent"))
    assert cold is not None and cold.tolist() == [True, False, False, False]
    assert some is not None and some.tolist() == [False, True, True, False]
    assert many is not None and many.tolist() == [False, False, False, True]
    assert found["occasional users"].meaning == "items in the history: 6 to 20"


def test_users_who_are_not_cold_are_parted_at_their_median_where_few_have_many_items() -> None:
    found = named(slices.of_users(model([2, 7, 8, 9, 10]), np.array([f"u{n:02}" for n in range(5)]), 14))
    assert found["cold users"].meaning == "items in the history: at most 5"
    assert found["occasional users"].meaning == "items in the history: 6 to 8"
    assert found["frequent users"].users.tolist() == [False, False, False, True, True]


def test_users_are_parted_by_the_newest_of_their_interactions() -> None:
    one = model([2, 1, 1])
    ages = np.array([40.0, 7.0, 7.5, 29.0], np.float32)
    found = named(slices.of_users(replace(one, histories=replace(one.histories, age_days=ages)), USER_IDS, 14))
    days = "days since the last interaction"
    assert [found[f"{name} users"].meaning for name in ("recent", "resting", "dormant")] == [
        f"{days}: at most 7", f"{days}: 8 to 28", f"{days}: more than 28",
    ]  # fmt: skip
    assert [found[f"{n} users"].users.tolist().index(True) for n in ("recent", "resting", "dormant")] == [0, 1, 2]


def test_every_user_is_in_one_slice_of_each_dimension() -> None:
    found = slices.of_users(model([1, 1, 1]), USER_IDS, 14)
    for dimension in {one.dimension for one in found}:
        members = [one.users for one in found if one.dimension == dimension]
        assert np.sum(members, axis=0).tolist() == [1, 1, 1]


def test_popularity_parts_go_by_the_share_of_pairs_before_an_item() -> None:
    users = np.array([1, 40, 15, 14, 20, 10])  # sorted 40, 20, 15, 14, 10, 1: before each 0, 40, 60, 75, 89, 99 of 100
    assert slices.popularity_parts(users).tolist() == [2, 0, 1, 1, 0, 2]
    assert slices.popularity_parts(np.array([50, 30, 20])).tolist() == [0, 1, 2]


def test_items_are_new_known_for_less_than_a_window_or_longer() -> None:
    one = bundle()
    items = one.signals["items"].copy()
    items[:4, signals.ITEM.index("item_known_days")] = [14.0, 13.9, 0.0, np.nan]
    one = replace(one, signals={**one.signals, "items": items})
    relevance = Relevance(np.array(["u00"]), np.array([0, 5]), np.array([0, 1, 2, 3, len(one.item_ids)]))
    found = named(slices.of_items(one, relevance, 14))
    wanted = {name: np.flatnonzero(part.items).tolist() for name, part in found.items()}
    assert wanted["established items"] == [0]
    assert wanted["cold items"] == [1, 2]
    assert wanted["unseen items"] == [3, 4]
    assert not any(4 in wanted[f"{part} items"] for part in ("head", "torso", "tail"))


def test_measure_of_a_slice_of_users_is_the_metric_of_these_users() -> None:
    relevance = Relevance(USER_IDS, np.array([0, 1, 2, 3]), np.array([1, 2, 3]))
    ranked = {"ours": np.array([[1, 0], [0, 2], [0, 9]])}
    part = slices.Slice("d", "n", "m", users=np.array([True, True, False]))
    measured = slices.measure(part, ranked, relevance, 2, np.random.default_rng(1))
    assert measured.users == 2
    assert measured.models["ours"]["recall"].mean == 1.0
    assert measured.models["ours"]["ndcg"].mean == pytest.approx((1 + 1 / np.log2(3)) / 2)


def test_measure_of_a_slice_of_items_wants_only_these() -> None:
    relevance = Relevance(USER_IDS, np.array([0, 2, 3, 4]), np.array([1, 2, 2, 1]))
    ranked = {"ours": np.array([[1, 9], [9, 8], [9, 8]])}
    part = slices.Slice("d", "n", "m", items=relevance.indices == 1)
    measured = slices.measure(part, ranked, relevance, 2, np.random.default_rng(1))
    assert measured.users == 2  # the first and the third
    assert measured.models["ours"]["recall"].mean == 1 / 2


def test_measure_of_a_slice_without_users_says_so() -> None:
    relevance = comparison.relevance(bundle(), np.array(["u00"]), np.array(["i02"]))
    part = slices.Slice("d", "n", "m", users=np.array([False]))
    measured = slices.measure(part, {"ours": np.array([[2]])}, relevance, 1, np.random.default_rng(1))
    assert (measured.users, measured.models) == (0, {})
