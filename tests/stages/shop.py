"""A shop's log and catalogue in the raw lake."""

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from pipelines.io import files, lake

CHECKOUT = Path(__file__).resolve().parents[2]
ARRIVED = datetime(2026, 2, 5, tzinfo=UTC)


def fill_lake(root: Path, logs: dict[str, bytes], products: list[dict[str, Any]]) -> None:
    """Put a log into ``data/raw`` as ingest does."""
    manifest = lake.Manifest.read(root / lake.CLICKSTREAM, "clickstream")
    for name, content in logs.items():
        (root / name).write_bytes(content)
        lake.add_file(manifest, root / name, files.sha256(root / name), ARRIVED)
    manifest.write()
    catalogue = lake.Manifest.read(root / lake.PRODUCTS, "http://shop")
    lake.add_products(catalogue, products, "http://shop", ARRIVED)
    catalogue.write()
    files.write_text(root / lake.MAPPING, (CHECKOUT / "pipelines/sources/clickstream.yaml").read_text())
