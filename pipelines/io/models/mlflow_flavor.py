"""The bundle as a model that everybody's MLflow can load: a signature, and code instead of a pickle.

    mlflow.pyfunc.load_model("models:/recomart@champion").predict(pd.DataFrame({"user_id": ["U00042"], "k": [5]}))

It runs where RecoMart is installed, since a module of it is what MLflow calls; the artifact holds arrays and text only.
"""

import sys
from importlib.metadata import version
from pathlib import Path
from typing import Any, Final

from pipelines.io.files import write_text

DATA: Final = "bundle"
"""Folder of the bundle within the model."""
LOADER: Final = "pipelines.io.models.mlflow_recommender"
"""The module that MLflow calls to load it."""
NEEDS: Final = ("feast", "mlflow", "numba", "numpy", "pandas", "pyarrow", "scipy", "xgboost-cpu")


def describe(folder: Path, run_id: str, artifact_path: str) -> dict[str, Any]:
    """Write what makes ``folder`` a model of MLflow, but for its ``bundle/``; returns what a run says of it."""
    from mlflow import pyfunc
    from mlflow.models import Model, ModelSignature
    from mlflow.types import ColSpec, DataType, Schema

    asked = Schema([ColSpec(DataType.string, "user_id"), ColSpec(DataType.long, "k", required=False)])
    given = Schema(
        [
            ColSpec(DataType.string, "user_id"),
            ColSpec(DataType.string, "item_id"),
            ColSpec(DataType.long, "rank"),
            ColSpec(DataType.double, "score"),
        ]
    )
    model = Model(artifact_path=artifact_path, run_id=run_id, signature=ModelSignature(asked, given))
    pyfunc.add_to_model(model, loader_module=LOADER, data=DATA, python_env="python_env.yaml")
    model.save(folder / "MLmodel")
    write_text(folder / "requirements.txt", "".join(f"{name}=={version(name)}\n" for name in NEEDS))
    python = ".".join(map(str, sys.version_info[:3]))
    write_text(folder / "python_env.yaml", f"python: {python}\ndependencies:\n- -r requirements.txt\n")
    said: dict[str, Any] = model.get_tags_dict()
    return said
