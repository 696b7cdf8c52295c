import numpy as np
import pytest
from scipy.sparse import csr_matrix

from pipelines.core.models import tuning
from pipelines.core.models.selection import Rows
from pipelines.core.models.tuning import Range
from tests.core.board import PARAMS, SIZE, past

NAMES = ["svd_score", "svd_rank"]
OPTIONS = {
    **{"trees": 5, "learning_rate": 0.3, "max_depth": 2, "min_child_weight": 0},
    **{"subsample": 1.0, "colsample": 1.0},
}


class Trial:
    """Suggests the upper end of every range."""

    def suggest_int(self, name: str, low: int, high: int, log: bool) -> int:
        return high

    def suggest_float(self, name: str, low: float, high: float, log: bool) -> float:
        return high


@pytest.mark.parametrize(
    ("value", "least", "most", "expected"),
    [
        (100, 1, None, Range(25, 400, whole=True, log=True)),
        (2, 1, None, Range(1, 8, whole=True, log=True)),
        (0.1, 0, None, Range(0.025, 0.4, whole=False, log=True)),
        (0.5, 0.4, None, Range(0.4, 2.0, whole=False, log=True)),
        (0.0, 0, 1, Range(0, 1, whole=False, log=False)),
        (0.0, 0, None, None),
        (True, None, None, None),
        ("yes", None, None, None),
    ],
)
def test_around_a_value_is_what_its_type_allows(value, least, most, expected) -> None:
    assert tuning.around(value, least, most) == expected


def test_suggest_writes_numbers_as_a_person_would() -> None:
    space = {"trees": Range(1, 300, whole=True, log=True), "rate": Range(0.1, 1 / 3, whole=False, log=True)}
    assert tuning.suggest(space, Trial()) == {"trees": 300, "rate": 0.333}


def rows(first: int, users: int, rng: np.random.Generator) -> Rows:
    """Five candidates a user; what is gained is the one that the source ranks last."""
    rank = np.tile(np.arange(5, dtype=np.float32), users)
    inputs = np.stack([rng.random(5 * users, np.float32), rank], axis=1)
    return Rows(inputs, (rank == 4).astype(np.float32), np.repeat(np.arange(first, first + users), 5))


def test_ranker_is_measured_on_the_newest_cut_after_learning_from_the_older() -> None:
    rng = np.random.default_rng(7)
    measured = tuning.of_ranker(rows(40, 60, rng), rows(0, 40, rng), NAMES, OPTIONS, seed=7)
    assert measured({"trees": 0}) == pytest.approx(1 / 3, abs=0.3)  # a blend can't prefer what is ranked last
    assert measured({"trees": 0}) == measured({"trees": 0})
    assert measured({"max_depth": 1}) == measured({"max_depth": 1})


def test_source_is_measured_alone_over_the_whole_catalogue() -> None:
    users = np.arange(SIZE)
    diagonal = csr_matrix((np.ones(SIZE), (users, users)), shape=(SIZE, SIZE))
    measured = tuning.of_source("svd", past(), users, diagonal, PARAMS["candidates"]["svd"])
    assert measured({}) == 1.0  # two factors hold the checkerboard: the diagonal comes first for everybody
    popular = tuning.of_source("popularity", past(), users, diagonal, PARAMS["candidates"]["popularity"])
    assert 0.0 < popular({}) < 1.0
    assert popular({"half_life_days": 0.1}) != popular({})


def test_source_counts_what_nobody_knew_as_missed() -> None:
    users = np.arange(SIZE)
    gains = csr_matrix((np.ones(SIZE), (users, np.full(SIZE, SIZE))), shape=(SIZE, SIZE + 1))
    assert tuning.of_source("svd", past(), users, gains, PARAMS["candidates"]["svd"])({}) == 0.0


def test_source_proposes_what_a_user_has_had_where_things_repeat() -> None:
    users = np.arange(SIZE)
    again = csr_matrix((np.ones(SIZE), (users, (users + 2) % SIZE)), shape=(SIZE, SIZE))  # seen by all of them
    options = PARAMS["candidates"]["svd"]
    assert tuning.of_source("svd", past(), users, again, options)({}) == 0.0
    assert tuning.of_source("svd", past(), users, again, options, repeat=True)({}) > 0.0
