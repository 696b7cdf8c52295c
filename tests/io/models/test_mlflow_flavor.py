"""The registered bundle through MLflow's own front door, as in a notebook."""

import warnings
from collections.abc import Iterator

import mlflow
import numpy as np
import pandas as pd
import pytest

from pipelines.context import Context
from pipelines.core.models import ranker_inputs, scoring
from pipelines.io.models import bundles
from pipelines.io.models.mlflow_recommender import Recommender
from pipelines.settings import VARIABLES, Settings
from pipelines.stages import register
from tests.evaluated import checkout, evaluated
from tests.feature_data import product, published
from tests.serving import shop

pytestmark = pytest.mark.slow

FIELDS = ["user_id", "item_id", "rank", "score"]


@pytest.fixture(scope="module")
def here(tmp_path_factory: pytest.TempPathFactory) -> Context:
    context = checkout(tmp_path_factory.mktemp("flavor"))
    evaluated(context.root)
    register.run(context)
    return context


@pytest.fixture
def model(here: Context, monkeypatch: pytest.MonkeyPatch) -> Iterator[mlflow.pyfunc.PyFuncModel]:
    """The champion, where no store is named."""
    for name in VARIABLES.values():
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr("pipelines.io.models.mlflow_recommender.Settings.load", lambda *_: here.settings)
    mlflow.set_tracking_uri(here.settings.mlflow_tracking_uri)
    yield mlflow.pyfunc.load_model("models:/recomart@champion")
    mlflow.set_tracking_uri(None)


def test_model_has_a_signature(model: mlflow.pyfunc.PyFuncModel) -> None:
    signature = model.metadata.signature
    assert [(c.name, c.type.name, c.required) for c in signature.inputs] == [
        ("user_id", "string", True),
        ("k", "long", False),
    ]
    assert signature.outputs.input_names() == FIELDS


def test_model_answers_by_the_one_scoring_path(model: mlflow.pyfunc.PyFuncModel, here: Context) -> None:
    with pytest.warns(UserWarning, match="no features"):
        answer = model.predict(pd.DataFrame({"user_id": ["u03", "u04"], "k": [2, 1]}))
    assert list(answer.columns) == FIELDS
    assert answer[["user_id", "rank"]].to_numpy().tolist() == [["u03", 1], ["u03", 2], ["u04", 1]]

    bundle = bundles.load(here.root / "data/models/final")
    found = scoring.candidates(bundle, bundle.histories.take(np.array([3])), 5)
    nothing = dict.fromkeys(ranker_inputs.reads("ranker_v1").required, np.nan)
    best = scoring.top_k(found, scoring.rank(bundle, found, nothing, 0.0), 2)
    assert answer["item_id"].tolist()[:2] == bundle.item_ids[best.item_idx].tolist()
    assert answer["score"].tolist()[:2] == pytest.approx(best.scores.tolist())


def test_model_gives_ten_where_no_k_is_asked_and_unknown_users_the_popular(model: mlflow.pyfunc.PyFuncModel) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        answer = model.predict(pd.DataFrame({"user_id": ["nobody"]}))
        assert model.predict(pd.DataFrame({"user_id": ["nobody"], "k": [50]})).equals(answer)  # it proposes five
    assert len(answer) == 5


@pytest.mark.services
def test_model_reads_the_online_features_that_the_service_reads(settings: Settings) -> None:
    catalogue = [product(f"P{i}", -100, 9.5, category=f"c{i % 2}") for i in range(shop.SIZE)]
    columns = {"device": None, "price": None, "category": None}
    published(settings, [columns | row for row in shop.events().to_pylist()], catalogue)
    bundle = shop.bundle()
    with warnings.catch_warnings():
        warnings.simplefilter("error", UserWarning)
        recommender = Recommender(bundle, settings)
        answer = recommender.predict(pd.DataFrame({"user_id": ["U5", "U4"], "k": [1, 1]}))
    assert answer["item_id"].tolist() == ["P5", "P4"]
    found = scoring.candidates(bundle, bundle.histories.take(np.array([bundle.user_idx("U5")])), 5)
    read = recommender.known.features(["U5"], found)
    assert set(ranker_inputs.reads("ranker_v1").required) == set(read)
    assert set(np.broadcast_to(read["user_activity_v1__views_all"], len(found.item_idx))) == {4.0}
    assert read["item_profile_v1__price"].tolist() == [9.5] * len(found.item_idx)
