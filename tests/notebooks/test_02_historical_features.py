"""The notebook runs from the checkout and from its own folder on a published shop, and is stored without output."""

from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient

from pipelines.settings import Settings
from tests.feature_data import CHECKOUT, event, product, random_events
from tests.lake_data import built

NOTEBOOK = CHECKOUT / "notebooks/02_historical_features.ipynb"

EVENTS = random_events(seed=12, n=150)
ITEMS = [product(f"i{n}", 0) for n in range(4)]
LARGE = event("u9", "i0", "purchase", 20.5, 50.0, 4)
BACK = event("u9", "i0", "", 25.5, None, 3)


def executed(folder: Path) -> str:
    """What the notebook prints when it runs in ``folder``."""
    notebook = nbformat.read(NOTEBOOK, as_version=4)
    NotebookClient(notebook, timeout=300, resources={"metadata": {"path": str(folder)}}).execute()
    outputs = [output for cell in notebook.cells for output in cell.get("outputs", [])]
    return "\n".join(output.get("text") or output.get("data", {}).get("text/plain", "") for output in outputs)


@pytest.mark.slow
@pytest.mark.services
def test_notebook_shows_versions_corrections_and_audit(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in settings.exported().items():
        monkeypatch.setenv(name, value)
    built(settings, EVENTS, [], ITEMS)
    told = executed(settings.root)
    assert "counted" in told
    assert "nothing was taken back later in this shop" in told
    assert "no row of this shop was ever corrected" in told

    late = event("u1", "i1", "purchase", 10.25, 7.0)
    built(settings, [*EVENTS, LARGE, late], [BACK], ITEMS)
    (settings.root / "notebooks").mkdir()
    told = executed(settings.root / "notebooks")
    assert "shown is user u9" in told
    assert "the versions differ on 25 of 31 midnights" in told  # from the 26th day until the purchase leaves
    assert "files with corrections; user_activity_v2" in told
    assert "stock differs" in told


def test_notebook_is_stored_without_output() -> None:
    cells = nbformat.read(NOTEBOOK, as_version=4).cells
    assert not [cell for cell in cells if cell.get("outputs") or cell.get("execution_count")]
