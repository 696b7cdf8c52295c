import numpy as np
import pytest

from pipelines.core.evaluation import comparison, measurement
from pipelines.core.evaluation.comparison import Relevance
from pipelines.core.evaluation.measurement import Lists, Ranked, Results
from tests.core.board import SIZE, USERS, bundle

MODEL = bundle()
RELEVANT = comparison.relevance(MODEL, MODEL.user_ids, MODEL.item_ids)  # everybody wants the diagonal
OTHERS = np.stack([(USERS + 1) % SIZE, (USERS + 3) % SIZE], axis=1).astype(np.int32)
RIGHT = np.stack([USERS, (USERS + 1) % SIZE], axis=1).astype(np.int32)
SECOND = RIGHT[:, ::-1].copy()


def measured(steps: dict[str, np.ndarray]) -> Results:
    models = {"recomart": RIGHT, "svd": SECOND, "covisitation": OTHERS, "popularity": OTHERS}
    ranked = Ranked(models, steps, np.arange(20.0), np.arange(20) >= 18)
    return measurement.measure(MODEL, ranked, RELEVANT, {"step": 3}, [1, 2], 2, seed=7)


def test_lists_put_batches_in_the_rows_of_their_users() -> None:
    lists = Lists(Relevance(np.array(["a", "b", "c"]), np.arange(4), np.arange(3)), 2)
    lists.add("m", np.array(["c", "a"]), np.array([[1, 2], [3, 4]]))
    assert lists.tables["m"].tolist() == [[3, 4], [-1, -1], [1, 2]]


def test_measure_gives_every_model_every_metric_and_interval() -> None:
    found = measured({})
    assert found.models["recomart"][1]["ndcg"] == found.models["svd"][2]["recall"] == 1.0
    assert found.models["covisitation"][2]["ndcg"] == 0.0
    assert found.models["recomart"][2]["coverage"] == 1.0
    assert found.models["recomart"][2]["gini"] == 0.0
    assert found.curves["svd", "ndcg", 2].mean == pytest.approx(1 / np.log2(3))
    assert found.verdicts["svd"].difference == pytest.approx(1 - 1 / np.log2(3))
    assert found.steps == {}
    assert found.deciles.rate[-1] == 1.0


def test_measure_has_every_user_in_a_slice_of_each_kind() -> None:
    found = measured({})
    for dimension in ("items in the history", "days since the last interaction"):
        assert sum(one.users for one in found.slices if one.part.dimension == dimension) == SIZE


def test_steps_go_from_the_best_source_to_the_model() -> None:
    found = measured({"sources merged": OTHERS, "step": SECOND})
    assert list(found.steps) == ["best source: svd", "sources merged", "step", "recomart"]
    value = 1 / np.log2(3)
    assert [round(row["gain"], 5) for row in list(found.steps.values())[1:]] == [
        round(-value, 5), round(value, 5), round(1 - value, 5),
    ]  # fmt: skip
    assert found.steps["step"]["inputs"] == 3
    assert "inputs" not in found.steps["sources merged"]


def test_model_has_the_same_interval_in_all_tables() -> None:
    found = measured({"step": OTHERS})
    curve = found.curves["svd", "ndcg", 2]
    assert found.steps["best source: svd"]["low"] == round(curve.low, 6)
