"""The notebook runs from its own folder on a published shop, and is stored without output."""

import nbformat
import pytest
from nbclient import NotebookClient

from pipelines.settings import Settings
from tests.feature_data import CHECKOUT, product, published, random_events

NOTEBOOK = CHECKOUT / "notebooks/02_historical_features.ipynb"


@pytest.mark.slow
@pytest.mark.services
@pytest.mark.parametrize("folder", [".", "notebooks"])
def test_notebook_runs_on_a_small_shop(folder: str, settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    published(settings, random_events(seed=12, n=150), [product(f"i{n}", 0) for n in range(4)])
    (settings.root / "notebooks").mkdir()
    for name, value in settings.exported().items():
        monkeypatch.setenv(name, value)
    notebook = nbformat.read(NOTEBOOK, as_version=4)
    NotebookClient(notebook, timeout=120, resources={"metadata": {"path": str(settings.root / folder)}}).execute()
    (compared,) = (cell for cell in notebook.cells if 'joined["counted"]' in cell.source)
    assert "counted" in compared.outputs[0]["data"]["text/plain"]


def test_notebook_is_stored_without_output() -> None:
    cells = nbformat.read(NOTEBOOK, as_version=4).cells
    assert not [cell for cell in cells if cell.get("outputs") or cell.get("execution_count")]
