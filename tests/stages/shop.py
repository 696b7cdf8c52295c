"""A shop's log and catalogue in the raw lake."""

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from pipelines.io import files
from pipelines.io.intake import lake
from pipelines.io.intake.copying import Copied

CHECKOUT = Path(__file__).resolve().parents[2]
ARRIVED = datetime(2026, 2, 5, tzinfo=UTC)


def fill_lake(root: Path, logs: dict[str, bytes], products: list[dict[str, Any]]) -> None:
    """Put a log into ``data/raw`` unchecked."""
    manifest = lake.Manifest.read(root / lake.CLICKSTREAM, "clickstream")
    for name, content in logs.items():
        copy = root / lake.CLICKSTREAM / f".{name}.tmp"
        copy.parent.mkdir(parents=True, exist_ok=True)
        copy.write_bytes(content)
        rows = max(0, content.count(b"\n") - 1)
        lake.add_file(manifest, Copied(root / name, copy, files.sha256(copy), len(content), rows, 0), ARRIVED)
    manifest.write()
    catalogue = lake.Manifest.read(root / lake.PRODUCTS, "http://shop")
    lake.add_products(catalogue, products, "http://shop", ARRIVED)
    catalogue.write()
    files.write_text(root / lake.MAPPING, (CHECKOUT / "pipelines/sources/clickstream.yaml").read_text())
