import numpy as np

from pipelines.core.models.sources import svd
from tests.core.board import PARAMS, SIZE, past
from tests.core.models.sources.dense import dense

OPTIONS = PARAMS["candidates"]["svd"]


def test_svd_without_ridge_predicts_the_recent_past_from_the_factors() -> None:
    log = past()
    fitted = svd.fit(log, **OPTIONS | {"user_scale": 0.0, "item_scale": 0.0})
    rows = svd.weigh(log.histories, SIZE, 0.0).toarray()
    left = np.linalg.svd(rows)[0][:, :2]  # least squares on the factors is the projection on them
    recent = log.histories.matrix(log.histories.recency(60), SIZE).toarray()
    np.testing.assert_allclose(
        dense(svd.scorer(fitted, log.histories), log.histories, log.n_items),
        left @ left.T @ recent,
        rtol=1e-3,
        atol=1e-5,
    )


def test_svd_of_a_single_item_has_no_opinion() -> None:
    log = past(rows=slice(0, 1))
    assert dense(svd.scorer(svd.fit(log, **OPTIONS), log.histories), log.histories, log.n_items).tolist() == [[0.0]]
