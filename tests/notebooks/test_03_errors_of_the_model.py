"""The notebook runs on a small trained shop, says what the evaluation says, and is stored without output."""

from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient

from pipelines.io.files import read_json
from pipelines.settings import Settings
from pipelines.stages import assemble, evaluate, train
from tests import tastes
from tests.feature_data import CHECKOUT, event, product, published

NOTEBOOK = CHECKOUT / "notebooks/03_errors_of_the_model.ipynb"
NEW = [event(f"u{n:02}", "fresh", "view", tastes.CUT + 5) for n in range(7)]
ITEMS = [product(f"i{n:02}", 0, category=["even", "odd"][n % 2]) for n in range(40)]


def outputs(folder: Path) -> list[dict[str, str]]:
    """What the notebook shows when it runs in ``folder``: kind -> content."""
    notebook = nbformat.read(NOTEBOOK, as_version=4)
    NotebookClient(notebook, timeout=300, resources={"metadata": {"path": str(folder)}}).execute()
    return [output.get("data", {}) for cell in notebook.cells for output in cell.get("outputs", [])]


@pytest.mark.slow
@pytest.mark.services
def test_notebook_says_what_the_evaluation_says(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MPLBACKEND", "module://matplotlib_inline.backend_inline")  # as where a notebook is read
    published(settings, [*tastes.shop(), *NEW], ITEMS)
    here = tastes.context(settings)
    for stage in (assemble, train, evaluate):
        stage.run(here)
    (settings.root / "notebooks").mkdir()
    shown = outputs(settings.root / "notebooks")
    words = "\n".join(one["text/markdown"] for one in shown if "text/markdown" in one)
    tables = [one["text/plain"] for one in shown if "text/plain" in one]
    measured = read_json(settings.root / "data/reports/metrics.json")
    assert f"**NDCG@10 {measured['recomart']['ndcg@10']:.4f}**" in words
    assert f"popularity {measured['popularity']['ndcg@10']:.4f}" in words
    slices = read_json(settings.root / "data/reports/evaluation/slices.json")["recomart"]
    worst = min(("head items", "torso items", "tail items"), key=lambda name: slices[name]["ndcg@10"])
    assert f"least for {worst} (NDCG@10 {slices[worst]['ndcg@10']:.3f})" in words
    assert len([one for one in shown if "image/png" in one]) == 3 + 3  # slices, fates, shelves; three users
    fates = next(table for table in tables if table.startswith("fate"))
    assert "nobody 7 0 0 0" in " ".join(fates.split())  # nobody had met it, so all seven are lost as new
    assert all(f"**{which}** (u" in words for which in ("best", "worst", "typical"))


def test_notebook_is_stored_without_output() -> None:
    cells = nbformat.read(NOTEBOOK, as_version=4).cells
    assert not [cell for cell in cells if cell.get("outputs") or cell.get("execution_count")]
