import numpy as np
import pytest

from feature_repo import definitions
from pipelines.core.errors import ModelError
from pipelines.core.models import ranking
from pipelines.core.models.ranker_inputs import SERVICES
from tests.core.board import CUT, USERS, bundle, proposed

SERVICE = "ranker_v1"
REQUIRED = ranking.required(SERVICE)
EPOCHS = [name for name in REQUIRED if name.endswith("_epoch_s")]
NAMES = ["svd", "covisitation", "popularity"]
INPUT = {name: j for j, name in enumerate(ranking.input_names(NAMES, SERVICE))}
OPTIONS = {"learning_rate": 0.3, "max_depth": 3, "min_child_weight": 0, "subsample": 0.8, "colsample": 0.8, "trees": 10}


def features(shift: float = 0.0) -> dict[str, float]:
    return dict.fromkeys(REQUIRED, 1.0) | dict.fromkeys(EPOCHS, CUT.timestamp() - 86_400 + shift)


def test_inputs_do_not_know_the_calendar() -> None:
    found = proposed(bundle(), USERS, 5)
    now = ranking.inputs(NAMES, found, features(), CUT.timestamp(), SERVICE)
    year_later = ranking.inputs(NAMES, found, features(31_536_000), CUT.timestamp() + 31_536_000, SERVICE)
    np.testing.assert_array_equal(now, year_later)
    assert not set(EPOCHS) & set(INPUT)


def test_inputs_are_ages_rates_and_trends() -> None:
    found = proposed(bundle(), USERS[:1], 5)
    values = features() | {
        "item_profile_v1__price": 20.0,
        "user_activity_v1__mean_price_all": 1000.0,  # minor units
        "item_activity_v1__views_7d": 7.0,
        "item_activity_v1__views_30d": 60.0,
        "item_activity_v1__clicks_30d": 20.0,
        "item_activity_v1__purchases_30d": 9.0,
    }
    row = ranking.inputs(NAMES, found, values, CUT.timestamp(), SERVICE)[0]
    assert row[INPUT["item_age_days"]] == 1.0
    assert row[INPUT["price_against_user"]] == np.float32(np.log(20.01 / 10.01))
    assert row[INPUT["item_trend_views"]] == np.float32(1.1 / 2.1)
    assert row[INPUT["item_purchase_rate"]] == np.float32(10 / 100)


def test_inputs_take_each_user_at_its_own_time() -> None:
    found = proposed(bundle(), USERS[:2], 5)
    at = np.array([CUT.timestamp(), CUT.timestamp() + 86_400])
    ages = ranking.inputs(NAMES, found, features(), at, SERVICE)[:, INPUT["user_recency_days"]]
    np.testing.assert_array_equal(ages, 1.0 + found.user_pos)


def test_inputs_of_the_second_service_know_the_category_and_what_was_taken_back() -> None:
    found = proposed(bundle(), USERS[:1], 5)
    required = ranking.required("ranker_v2")
    values = dict.fromkeys(required, 1.0) | {
        **{f"user_activity_v2__{kind}_30d": 10.0 for kind in ("views", "clicks", "carts", "purchases")},
        **{f"user_category_activity_v1__{kind}_30d": 1.0 for kind in ("views", "clicks", "carts", "purchases")},
        **{f"user_activity_v2__{kind}_all": 0.0 for kind in ("views", "clicks", "carts", "purchases")},
        "user_activity_v2__last_purchase_epoch_s": CUT.timestamp() - 2 * 86_400,
        "user_item_activity_v2__removals_7d": 3.0,
    }
    place = {name: j for j, name in enumerate(ranking.input_names(NAMES, "ranker_v2"))}
    row = ranking.inputs(NAMES, found, values, CUT.timestamp(), "ranker_v2")[0]
    assert row[place["category_share_30d"]] == np.float32(4 / 40)
    assert np.isnan(row[place["category_share_all"]])
    assert row[place["user_purchase_recency_days"]] == 2.0
    assert row[place["user_item_activity_v2__removals_7d"]] == 3.0
    assert not [name for name in place if name.endswith("_epoch_s")]


@pytest.mark.parametrize("service", SERVICES)
def test_required_features_are_offered_by_the_feature_service(service: str) -> None:
    projections = getattr(definitions, service).feature_view_projections
    offered = {f"{view.name}__{field.name}" for view in projections for field in view.features}
    assert set(ranking.required(service)) <= offered


def test_inputs_of_a_service_that_no_ranker_reads_are_refused() -> None:
    with pytest.raises(ModelError, match="ranker_v1 or ranker_v2, not ranker_v9"):
        ranking.required("ranker_v9")


def test_inputs_without_a_required_feature_name_it() -> None:
    found = proposed(bundle(), USERS[:1], 5)
    less = {name: value for name, value in features().items() if name != "item_profile_v1__price"}
    with pytest.raises(ModelError, match="item_profile_v1__price"):
        ranking.inputs(NAMES, found, less, CUT.timestamp(), SERVICE)


def test_train_repeats_with_the_same_seed() -> None:
    found = proposed(bundle(), USERS, 8)
    inputs = ranking.inputs(NAMES, found, features(), CUT.timestamp(), SERVICE)
    labels = (found.user_pos == found.item_idx).astype(np.float32)
    one, other, another = (
        ranking.train(inputs, labels, found.user_pos, list(INPUT), OPTIONS, seed).trees.model for seed in (1, 1, 2)
    )
    assert one == other
    assert one != another


def test_importance_sums_to_one() -> None:
    found = proposed(bundle(), USERS, 8)
    inputs = ranking.inputs(NAMES, found, features(), CUT.timestamp(), SERVICE)
    labels = (found.user_pos == found.item_idx).astype(np.float32)
    shares = ranking.importance(ranking.train(inputs, labels, found.user_pos, list(INPUT), OPTIONS, 1))
    assert abs(sum(share for _, share in shares) - 1.0) < 1e-6
    assert shares == sorted(shares, key=lambda pair: -pair[1])
