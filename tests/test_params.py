from pathlib import Path

import pytest
import yaml

from pipelines.core.errors import ConfigError
from pipelines.params import Params

CHECKOUT = Path(__file__).resolve().parents[1]


def test_params_of_the_project_are_valid() -> None:
    assert Params.load(CHECKOUT / "params.yaml").seed == 7


def test_params_wrong_value_names_file_and_key(tmp_path: Path) -> None:
    values = yaml.safe_load((CHECKOUT / "params.yaml").read_text(encoding="utf-8"))
    values["split"]["window_days"] = 0
    path = tmp_path / "params.yaml"
    path.write_text(yaml.safe_dump(values), encoding="utf-8")
    with pytest.raises(ConfigError, match=r"params.yaml: split.window_days: .*greater than 0"):
        Params.load(path)


def test_params_dvc_watches_every_section() -> None:
    stages = yaml.safe_load((CHECKOUT / "dvc.yaml").read_text(encoding="utf-8"))["stages"]
    watched = {param.split(".")[0] for stage in stages.values() for param in stage.get("params", [])}
    assert watched == set(Params.model_fields)
