from pathlib import Path

import pytest
from pydantic import ValidationError

from pipelines.core.errors import ConfigError
from pipelines.io import params_file
from pipelines.params import Params

CHECKOUT = Path(__file__).resolve().parents[2]
TEXT = """\
# first
seed: 7

candidates:   # sources
  svd: {factors: 80, ridge: 0.1}     # 80: by hand
  popularity: {half_life_days: 7}
ranker:
  trees: 150      # many
"""


def test_replaced_keeps_comments_and_layout() -> None:
    changes = {("candidates", "svd", "factors"): 128, ("ranker", "trees"): 20, ("candidates", "svd", "ridge"): 0.05}
    expected = TEXT.replace("factors: 80", "factors: 128").replace("ridge: 0.1", "ridge: 0.05")
    assert params_file.replaced(TEXT, changes) == expected.replace("trees: 150", "trees: 20")


def test_replaced_of_what_is_not_there_names_it() -> None:
    with pytest.raises(KeyError, match=r"candidates\.als\.factors"):
        params_file.replaced(TEXT, {("candidates", "als", "factors"): 1})


@pytest.fixture
def path(tmp_path: Path) -> Path:
    file = tmp_path / "params.yaml"
    file.write_text((CHECKOUT / "params.yaml").read_text())
    return file


def test_change_of_the_checkouts_file_changes_one_line(path: Path) -> None:
    before = path.read_text().splitlines()
    params_file.change(path, {("ranker", "learning_rate"): 0.0123})
    after = path.read_text().splitlines()
    assert [new for old, new in zip(before, after, strict=True) if old != new] == ["  learning_rate: 0.0123"]
    assert Params.load(path).ranker.learning_rate == 0.0123


@pytest.mark.parametrize(
    ("changes", "error"),
    [({("ranker", "max_depth"): 0}, ValidationError), ({("ranker", "leaves"): 5}, ConfigError)],
)
def test_change_to_what_is_wrong_leaves_the_file(path: Path, changes, error) -> None:
    before = path.read_text()
    with pytest.raises(error):
        params_file.change(path, changes)
    assert path.read_text() == before
