"""Good rows of the raw log to canonical Parquet; bad rows to quarantine with file, line and every reason.

A data set that fails as a whole (no good row, too large a share of bad ones, a missing column) ends the stage; what
was found stays in data/quarantine and data/reports/validation.
"""

import logging
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import pyarrow as pa
import pyarrow.dataset as ds
import yaml

from pipelines.context import Context
from pipelines.core import products as catalogue
from pipelines.core import validation
from pipelines.core.columns import EVENT_SCHEMA, PRODUCT_SCHEMA, UTC_US, Col
from pipelines.core.errors import DataQualityError
from pipelines.core.mapping import SourceMapping
from pipelines.io import duck, expectations, files, lake, product_snapshots, records, tables
from pipelines.io.product_snapshots import BAD_PRODUCTS
from pipelines.io.progress import progress

log = logging.getLogger(__name__)

EVENTS: Final = Path("data/validated/events")
PRODUCTS: Final = Path("data/validated/products.parquet")
QUARANTINE: Final = Path("data/quarantine")
REPORT: Final = Path("data/reports/validation")
STAGED: Final = Path("data/cache/validate")

DUPLICATES: Final = pa.schema([("file", pa.string()), ("line", pa.int64()), (Col.EVENT_ID, pa.string())])


def run(context: Context) -> None:
    """Read ``data/raw``; write ``data/validated``, ``data/quarantine`` and ``data/reports/validation``.

    Raises:
        DataQualityError: the data set as a whole can't be used; the text names file, column or reason.
    """
    started = time.monotonic()
    root = context.root
    manifest = lake.Manifest.read(root / lake.CLICKSTREAM)
    if not manifest.files:
        raise DataQualityError("data/raw holds no log: run `python -m pipelines ingest`")
    mapping = SourceMapping.parse(yaml.safe_load((root / lake.MAPPING).read_text(encoding="utf-8")), str(lake.MAPPING))
    for folder in (EVENTS.parent, QUARANTINE, REPORT):
        lake.sweep(root / folder)
    known = _check_products(root, mapping)
    try:
        _stage(root, manifest, mapping)
        summary = _validate(root, mapping, known)
    finally:
        files.remove(root / STAGED)
    _judge(root, mapping, summary)
    log.info(
        "%d rows: %d good, %d quarantined, %d duplicates, %.1f s",
        *(summary[name] for name in ("rows", "good", "quarantined", "duplicates")),
        time.monotonic() - started,
    )


def _check_products(root: Path, mapping: SourceMapping) -> pa.Table | None:
    """The catalogue's history, its bad entries put into quarantine; None where it comes from the log.

    Raises:
        DataQualityError: no product is good.
    """
    if mapping.catalogue.origin == "log":
        tables.write(root / QUARANTINE / "products.parquet", [], BAD_PRODUCTS)
        return None
    known, bad = product_snapshots.read_history(lake.Manifest.read(root / lake.PRODUCTS))
    tables.write(root / QUARANTINE / "products.parquet", [bad], BAD_PRODUCTS)
    if not len(known):
        raise DataQualityError(f"{lake.PRODUCTS} holds no usable product: see {QUARANTINE}/products.parquet")
    tables.write(root / PRODUCTS, [known], PRODUCT_SCHEMA)
    return known


def _stage(root: Path, manifest: lake.Manifest, mapping: SourceMapping) -> None:
    """Write every file's records as text Parquet with file, line and the file's arrival."""
    files.remove(root / STAGED)
    entries = sorted(manifest.files, key=lambda entry: str(entry["path"]))
    for number, entry in enumerate(progress(entries, "files read", len(entries))):
        parts = _labelled(root, entry, mapping)
        first = next(parts)
        tables.write(root / STAGED / f"{number:06d}.parquet", _chain(first, parts), first.schema)


def _labelled(root: Path, entry: dict[str, Any], mapping: SourceMapping) -> Iterator[pa.Table]:
    arrived = pa.scalar(tables.utc(entry["ingested_at"]), UTC_US)
    for part in records.read(root / lake.CLICKSTREAM / entry["path"], mapping):
        file = pa.repeat(pa.scalar(entry["path"]), len(part))
        yield part.append_column("file", file).append_column("arrived", pa.repeat(arrived, len(part)))


def _chain(first: pa.Table, rest: Iterator[pa.Table]) -> Iterator[pa.Table]:
    yield first
    yield from rest


def _validate(root: Path, mapping: SourceMapping, known: pa.Table | None) -> dict[str, Any]:
    """Assess every row and write each where it belongs; returns the counts.

    Raises:
        DataQualityError: a row is neither good, nor in quarantine, nor a duplicate.
    """
    con = duck.connect(memory="1500MB")
    rows = con.read_parquet(str(root / STAGED / "*.parquet"), union_by_name=True)
    items = None if known is None else con.read_parquet(str(root / PRODUCTS)).select(Col.ITEM_ID).distinct()
    con.to_parquet(validation.assess(rows, mapping, items), root / STAGED / "assessed", compression="zstd")
    assessed = con.read_parquet(str(root / STAGED / "assessed"))
    repeated = con.create_table("repeated", validation.duplicates(assessed), temp=True)
    first = validation.unique(assessed, repeated)
    good = tables.write_by_day(root / EVENTS, tables.batches(validation.events(first), EVENT_SCHEMA), EVENT_SCHEMA)
    again = tables.batches(repeated.order_by("file", "line"), DUPLICATES)
    duplicates = tables.write(root / QUARANTINE / "duplicates.parquet", again, DUPLICATES)
    bad = validation.quarantine(assessed)
    quarantined = tables.write(root / QUARANTINE / "events.parquet", tables.batches(bad), bad.schema().to_pyarrow())
    if known is None:
        title, price = (name and validation.RAW + name for name in (mapping.catalogue.title, mapping.catalogue.price))
        derived = catalogue.from_log(first, str(title), price)
        tables.write(root / PRODUCTS, tables.batches(derived, PRODUCT_SCHEMA), PRODUCT_SCHEMA)
    total = int(rows.count().execute())
    if total != good + quarantined + duplicates:
        raise DataQualityError(f"{total} rows came in, but {good} + {quarantined} + {duplicates} came out")
    per_file = validation.by_file(assessed, repeated).to_pyarrow().to_pylist()
    reasons = validation.by_reason(assessed).to_pyarrow().to_pylist()
    return {
        "source": mapping.name,
        "rows": total,
        "good": good,
        "quarantined": quarantined,
        "duplicates": duplicates,
        "reasons": {entry["reason"]: entry["rows"] for entry in reasons},
        "files": {entry.pop("file"): entry for entry in per_file},
    }


def _judge(root: Path, mapping: SourceMapping, summary: dict[str, Any]) -> None:
    """Hold the data set to its expectations and write the report.

    Raises:
        DataQualityError: an expectation fails.
    """
    events = ds.dataset(root / EVENTS, schema=EVENT_SCHEMA, format="parquet")
    products = ds.dataset(root / PRODUCTS, schema=PRODUCT_SCHEMA, format="parquet").to_table()
    results = expectations.check(summary, events, products, mapping.max_bad_share)
    failed = [result for result in results if not result["success"]]
    files.write_json(root / REPORT / "summary.json", summary | {"success": not failed})
    files.write_json(root / REPORT / "expectations.json", results)
    if failed:
        raise DataQualityError(_explain(summary, mapping, failed))


def _explain(summary: dict[str, Any], mapping: SourceMapping, failed: list[dict[str, Any]]) -> str:
    """What failed, with the file and the reasons behind it, readable on a terminal."""
    lines = [f"{summary['quarantined']} of {summary['rows']} rows are bad, {summary['good']} good"]
    for result in failed:
        limits = ", ".join(f"{name} {value}" for name, value in result["kwargs"].items())
        lines.append(f"  {result['suite']}: {result['expectation']} fails ({limits})")
    worst = sorted(summary["files"].items(), key=lambda pair: -pair[1]["quarantined"])[:3]
    lines += [f"  {file}: {counts['quarantined']} of {counts['rows']} rows bad" for file, counts in worst]
    lines += [f"  {reason}: {rows} rows" for reason, rows in list(summary["reasons"].items())[:5]]
    lines.append(f"  see {QUARANTINE}/events.parquet; the mapping allows a bad share of {mapping.max_bad_share}")
    return "\n".join(lines)
