"""The notebook runs from top to bottom on a small shop, and is stored without output."""

from argparse import Namespace
from datetime import date
from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient

from pipelines.context import Context
from pipelines.core.simulation.log import Shop
from pipelines.settings import Settings
from pipelines.stages import prepare, validate
from tests.stages.shop import CHECKOUT, fill_lake

NOTEBOOK = CHECKOUT / "notebooks/01_explore.ipynb"


@pytest.mark.slow
def test_notebook_runs_on_a_small_shop(tmp_path: Path) -> None:
    (tmp_path / "params.yaml").write_text((CHECKOUT / "params.yaml").read_text())
    context = Context(Namespace(), Settings.load(tmp_path, {}))
    shop = Shop(80, 60, 15, 5, date(2026, 2, 4))
    fill_lake(tmp_path, {f"clickstream-{day}.csv": content for day, content in shop.files()}, shop.products)
    validate.run(context)
    prepare.run(context)
    notebook = nbformat.read(NOTEBOOK, as_version=4)
    NotebookClient(notebook, timeout=120, resources={"metadata": {"path": str(tmp_path)}}).execute()
    counted = next(cell for cell in notebook.cells if "count(distinct user_id) as users" in cell.source)
    assert str(shop.counts["events"]) in counted.outputs[0]["data"]["text/plain"]


def test_notebook_is_stored_without_output() -> None:
    cells = nbformat.read(NOTEBOOK, as_version=4).cells
    assert not [cell for cell in cells if cell.get("outputs") or cell.get("execution_count")]
