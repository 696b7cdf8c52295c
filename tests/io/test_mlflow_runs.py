from pathlib import Path

import pytest

from pipelines.io import mlflow_runs


def test_flat_metrics_are_numbers_under_their_path_in_plain_characters() -> None:
    nested = {
        "recomart": {"ndcg@10": 0.5, "cold users (≤ 5)": {"users": 4}, "meaning": "words"},
        "users": 9,
        "ok": True,
    }
    assert mlflow_runs.flat_metrics(nested) == {
        "recomart/ndcg_at_10": 0.5,
        "recomart/cold users _ 5_/users": 4.0,
        "users": 9.0,
    }


def test_flat_metrics_leave_out_what_is_no_number() -> None:
    assert mlflow_runs.flat_metrics({"a": float("nan"), "b": None, "c": [1]}) == {}


def test_flat_params_are_texts_under_their_path() -> None:
    assert mlflow_runs.flat_params({"svd": {"factors": 80}, "k": (5, 10)}) == {"svd.factors": "80", "k": "(5, 10)"}


@pytest.mark.slow
def test_log_values_takes_more_than_mlflow_does_at_once(tmp_path: Path) -> None:
    uri = f"sqlite:///{tmp_path}/mlflow.db"
    metrics, params = {f"m{n}": float(n) for n in range(1001)}, {f"p{n}": str(n) for n in range(101)}
    with mlflow_runs.client_of(uri) as client, mlflow_runs.logged(client, uri, "many", metrics, params) as run_id:
        pass
    run = client.get_run(run_id)
    assert (run.data.metrics, run.data.params) == (metrics, params)
    assert run.info.status == "FINISHED"
