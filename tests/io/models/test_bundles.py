from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from pipelines.core.errors import ModelError
from pipelines.core.models import ranking, scoring
from pipelines.core.models.bundle import Bundle
from pipelines.io.models import bundles
from tests.core.board import CUT, SIZE, USERS, bundle, proposed

OPTIONS = {"learning_rate": 0.3, "max_depth": 3, "min_child_weight": 0, "subsample": 1, "colsample": 1, "trees": 5}
NOTHING_KNOWN = dict.fromkeys(ranking.required("ranker_v1"), np.nan)


def trained() -> Bundle:
    model = bundle()
    found = proposed(model, USERS, SIZE)
    inputs = ranking.inputs(model.manifest["sources"], found, NOTHING_KNOWN, CUT.timestamp(), "ranker_v1")
    grades = (found.user_pos == found.item_idx).astype(np.float32)
    ranker = ranking.train(inputs, grades, found.user_pos, model.manifest["features"], OPTIONS, seed=7)
    return replace(model, ranker=ranker)


def test_bundle_scores_the_same_after_a_round_trip(tmp_path: Path) -> None:
    model = trained()
    bundles.save(model, tmp_path / "b")
    loaded = bundles.load(tmp_path / "b")
    one, other = (proposed(m, [-1, 3, 4], 6) for m in (model, loaded))
    np.testing.assert_array_equal(one.item_idx, other.item_idx)
    at = CUT.timestamp()
    np.testing.assert_array_equal(
        scoring.rank(model, one, NOTHING_KNOWN, at), scoring.rank(loaded, other, NOTHING_KNOWN, at)
    )
    assert loaded.user_idx("u03") == 3
    assert loaded.item_idx("nothing of the kind") == -1


def test_bundle_of_the_same_model_has_the_same_hash(tmp_path: Path) -> None:
    assert bundles.save(trained(), tmp_path / "one") == bundles.save(trained(), tmp_path / "other")


def test_bundle_arrays_are_mapped_and_read_only(tmp_path: Path) -> None:
    bundles.save(bundle(), tmp_path / "b")
    array = bundles.load(tmp_path / "b").sources["svd"]["item_factors"]
    assert isinstance(array.base, np.memmap)
    with pytest.raises(ValueError, match="read-only"):
        array[0] = 1


def test_bundle_holds_no_pickle(tmp_path: Path) -> None:
    bundles.save(trained(), tmp_path / "b")
    assert {file.suffix for file in (tmp_path / "b").iterdir()} == {".npy", ".json"}
    for file in (tmp_path / "b").glob("*.npy"):
        np.load(file, allow_pickle=False)


def test_damaged_bundle_names_the_file(tmp_path: Path) -> None:
    bundles.save(trained(), tmp_path / "b")
    file = tmp_path / "b/svd.item_factors.npy"
    file.write_bytes(file.read_bytes()[:-4] + b"\x00\x00\x00\x01")
    with pytest.raises(ModelError, match=r"svd\.item_factors\.npy is damaged"):
        bundles.load(tmp_path / "b")
    file.unlink()
    with pytest.raises(ModelError, match=r"svd\.item_factors\.npy is missing"):
        bundles.load(tmp_path / "b")


def test_bundle_of_another_format_says_to_train_again(tmp_path: Path) -> None:
    bundles.save(replace(bundle(), manifest={**bundle().manifest, "format": 99}), tmp_path / "b")
    with pytest.raises(ModelError, match="format 99"):
        bundles.load(tmp_path / "b")


def test_missing_bundle_says_what_to_run(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="python -m pipelines train"):
        bundles.load(tmp_path)
