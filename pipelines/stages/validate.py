"""Good rows of the raw log to canonical Parquet; bad rows to quarantine with file, line and every reason.

A data set that fails as a whole (no good row, too large a share of bad ones, a missing column) ends the stage; what
was found stays in data/quarantine and data/reports.
"""

import logging
import time
from pathlib import Path
from typing import Any, Final

import pyarrow as pa
import yaml

from pipelines.context import Context
from pipelines.core.columns import CANCELLATION_SCHEMA, PRODUCT_SCHEMA, Col
from pipelines.core.errors import DataQualityError
from pipelines.core.lake import products as catalogue
from pipelines.core.lake.mapping import SourceMapping
from pipelines.io import duck, files, tables
from pipelines.io.intake import lake, product_snapshots
from pipelines.io.intake.product_snapshots import BAD_PRODUCTS
from pipelines.io.live import erasure
from pipelines.io.quality import expectations, quality_report
from pipelines.io.quality.assessor import LIST_PRICE, TITLE, Assessor
from pipelines.io.quality.sorting import DUPLICATES, Sorter

log = logging.getLogger(__name__)

EVENTS: Final = Path("data/validated/events")
CANCELLATIONS: Final = Path("data/validated/cancellations.parquet")
PRODUCTS: Final = Path("data/validated/products.parquet")
QUARANTINE: Final = Path("data/quarantine")
REPORT: Final = Path("data/reports/validation")
STAGED: Final = Path("data/cache/validate")


def run(context: Context) -> None:
    """Read ``data/raw``; write ``data/validated``, ``data/quarantine`` and what ``data/reports`` says of both.

    Raises:
        DataQualityError: the data set as a whole can't be used; the text names file, column or reason.
    """
    started = time.monotonic()
    root = context.root
    manifest = lake.Manifest.read(root / lake.CLICKSTREAM)
    if not manifest.active():
        raise DataQualityError("data/raw holds no log: run `python -m pipelines ingest`")
    mapping = SourceMapping.parse(yaml.safe_load((root / lake.MAPPING).read_text(encoding="utf-8")), str(lake.MAPPING))
    for folder in (EVENTS.parent, QUARANTINE, REPORT):
        lake.sweep(root / folder)
    known = _check_products(root, mapping)
    files.remove(root / STAGED)
    try:
        summary = sort_out(root, manifest, mapping, known)
    finally:
        files.remove(root / STAGED)
    _judge(root, mapping, summary)
    log.info(
        "%d rows: %d good, %d quarantined, %d duplicates; %d more of erased users left out, %.1f s",
        *(summary[name] for name in ("rows", "good", "quarantined", "duplicates")),
        summary["erased"]["rows"],
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


def sort_out(root: Path, manifest: lake.Manifest, mapping: SourceMapping, known: pa.Table | None) -> dict[str, Any]:
    """Assess every row and write each where it belongs; returns the counts.

    Raises:
        DataQualityError: a row is neither good, nor in quarantine, nor a duplicate.
    """
    entries = sorted(manifest.active(), key=lambda entry: str(entry["path"]))
    erasures = erasure.in_lake(root)
    assessor = Assessor(mapping, None if known is None else known.select([Col.ITEM_ID]), erasures.erased)
    sorter = Sorter(root / lake.CLICKSTREAM, entries, assessor, root / STAGED)
    sorter.read(mapping)
    with files.replacing(root / EVENTS) as temporary:
        temporary.mkdir()
        sorter.write_days(temporary)
    tables.write(root / CANCELLATIONS, sorter.cancellations(), CANCELLATION_SCHEMA)
    con = duck.connect(memory="1500MB")
    duplicates = tables.write(root / QUARANTINE / "duplicates.parquet", sorter.duplicates(con), DUPLICATES)
    schema, refused = sorter.quarantine()
    quarantined = tables.write(root / QUARANTINE / "events.parquet", refused, schema)
    if known is None:
        _derive_products(root, con, sorter)
    counts = sorter.counts
    good, total = counts.events + counts.cancellations, int(counts.rows.sum())
    if total != good + quarantined + duplicates:
        raise DataQualityError(f"{total} rows came in, but {good} + {quarantined} + {duplicates} came out")
    columns = zip(*(column.tolist() for column in (counts.rows, counts.quarantined, counts.duplicates)), strict=True)
    reasons = sorted(zip((-counts.reasons).tolist(), assessor.reasons, strict=True))
    return {
        "source": mapping.name,
        "rows": total,
        "good": good,
        "events": counts.events,
        "cancellations": counts.cancellations,
        "quarantined": quarantined,
        "repaired": counts.repaired,
        "duplicates": duplicates,
        "reasons": {reason: -rows for rows, reason in reasons if rows},
        "files": {
            entry["path"]: dict(zip(("rows", "quarantined", "duplicates"), row, strict=True))
            for entry, row in zip(entries, columns, strict=True)
        },
        "days": counts.days,
        "live_days": counts.live,
        "erased": {
            "until": erasures.until,
            "digest": erasures.erased.digest,
            "users": len(erasures.erased.found),
            "rows": counts.erased,
        },
        "newest_arrival": max(tables.utc(entry["ingested_at"]) for entry in entries).isoformat(),
    }


def _derive_products(root: Path, con: Any, sorter: Sorter) -> None:
    """Write the catalogue that the log itself shows."""
    found = sorted(str(path) for path in sorter.listed().iterdir())
    derived = found and tables.batches(catalogue.from_log(con.read_parquet(found), TITLE, LIST_PRICE), PRODUCT_SCHEMA)
    tables.write(root / PRODUCTS, derived or [], PRODUCT_SCHEMA)


def _judge(root: Path, mapping: SourceMapping, summary: dict[str, Any]) -> None:
    """Hold the data set to its expectations, tell those that only warn, and write the reports.

    Raises:
        DataQualityError: an expectation that must hold fails.
    """
    results = expectations.check(root, summary, mapping)
    broken = [result for result in results if not result["success"]]
    failed = [result for result in broken if result["severity"] == "stop"]
    summary["success"] = not failed
    files.write_json(root / REPORT / "summary.json", summary)
    files.write_json(root / REPORT / "expectations.json", results)
    quality_report.write(root, summary, results)
    for result in broken:
        if result["severity"] == "warn":
            log.warning("%s", _told(result))
    if failed:
        raise DataQualityError(_explain(summary, mapping, failed))


def _told(result: expectations.Result) -> str:
    """A failed result in words, with the value that was found where there is one."""
    found = result["result"].get("observed_value")
    value = f", but found {found:.4g}" if isinstance(found, float) else ""
    column = f" ({result['kwargs']['column']})" if "column" in result["kwargs"] else ""
    return f"{result['suite']}{column}: expected that {result['description']}{value}"


def _explain(summary: dict[str, Any], mapping: SourceMapping, failed: list[expectations.Result]) -> str:
    """What failed, with the file and the reasons behind it, readable on a terminal."""
    lines = [f"{summary['quarantined']} of {summary['rows']} rows are bad, {summary['good']} good"]
    lines += [f"  {_told(result)}" for result in failed]
    worst = sorted(summary["files"].items(), key=lambda pair: -pair[1]["quarantined"])[:3]
    lines += [f"  {file}: {counts['quarantined']} of {counts['rows']} rows bad" for file, counts in worst]
    lines += [f"  {reason}: {rows} rows" for reason, rows in list(summary["reasons"].items())[:5]]
    lines.append(f"  see {quality_report.HTML} and {QUARANTINE}/events.parquet")
    lines.append(f"  the mapping allows a bad share of {mapping.max_bad_share}")
    return "\n".join(lines)
