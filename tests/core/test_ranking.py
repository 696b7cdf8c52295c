import numpy as np

from pipelines.core import ranking, scoring
from tests.core.board import CUT, USERS, bundle

EPOCHS = [name for name in ranking.REQUIRED if name.endswith("_epoch_s")]
NAMES = ["svd", "covisitation", "popularity"]
INPUT = {name: j for j, name in enumerate(ranking.input_names(NAMES))}
OPTIONS = {"learning_rate": 0.3, "max_depth": 3, "min_child_weight": 0, "subsample": 0.8, "colsample": 0.8, "trees": 10}


def features(shift: float = 0.0) -> dict[str, float]:
    return dict.fromkeys(ranking.REQUIRED, 1.0) | dict.fromkeys(EPOCHS, CUT.timestamp() - 86_400 + shift)


def test_inputs_do_not_know_the_calendar() -> None:
    found = scoring.candidates(bundle(), USERS, 5)
    now = ranking.inputs(NAMES, found, features(), CUT.timestamp())
    year_later = ranking.inputs(NAMES, found, features(31_536_000), CUT.timestamp() + 31_536_000)
    np.testing.assert_array_equal(now, year_later)
    assert not set(EPOCHS) & set(INPUT)


def test_inputs_are_ages_rates_and_trends() -> None:
    found = scoring.candidates(bundle(), USERS[:1], 5)
    values = features() | {
        "item_profile_v1__price": 20.0,
        "user_activity_v1__mean_price_all": 1000.0,  # minor units
        "item_activity_v1__views_7d": 7.0,
        "item_activity_v1__views_30d": 60.0,
        "item_activity_v1__clicks_30d": 20.0,
        "item_activity_v1__purchases_30d": 9.0,
    }
    row = ranking.inputs(NAMES, found, values, CUT.timestamp())[0]
    assert row[INPUT["item_age_days"]] == 1.0
    assert row[INPUT["price_against_user"]] == np.float32(np.log(20.01 / 10.01))
    assert row[INPUT["item_trend_views"]] == np.float32(1.1 / 2.1)
    assert row[INPUT["item_purchase_rate"]] == np.float32(10 / 100)


def test_inputs_take_each_user_at_its_own_time() -> None:
    found = scoring.candidates(bundle(), USERS[:2], 5)
    at = np.array([CUT.timestamp(), CUT.timestamp() + 86_400])
    ages = ranking.inputs(NAMES, found, features(), at)[:, INPUT["user_recency_days"]]
    np.testing.assert_array_equal(ages, 1.0 + found.user_pos)


def test_train_repeats_with_the_same_seed() -> None:
    found = scoring.candidates(bundle(), USERS, 8)
    inputs = ranking.inputs(NAMES, found, features(), CUT.timestamp())
    labels = (found.user_pos == found.item_idx).astype(np.float32)
    one, other, another = (
        ranking.train(inputs, labels, found.user_pos, list(INPUT), OPTIONS, seed).save_raw("json") for seed in (1, 1, 2)
    )
    assert one == other
    assert one != another


def test_importance_sums_to_one() -> None:
    found = scoring.candidates(bundle(), USERS, 8)
    inputs = ranking.inputs(NAMES, found, features(), CUT.timestamp())
    labels = (found.user_pos == found.item_idx).astype(np.float32)
    shares = ranking.importance(ranking.train(inputs, labels, found.user_pos, list(INPUT), OPTIONS, 1))
    assert abs(sum(share for _, share in shares) - 1.0) < 1e-6
    assert shares == sorted(shares, key=lambda pair: -pair[1])
