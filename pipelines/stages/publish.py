"""Load the feature tables into Postgres, apply the feature repository, materialize to Redis; leaves a receipt."""

import hashlib
import logging
import time
from datetime import UTC, datetime
from pathlib import Path

import pyarrow.parquet as pq

from pipelines.context import Context
from pipelines.core import features
from pipelines.core.columns import Col
from pipelines.core.errors import InputError
from pipelines.io import feast_store, materialization, postgres, receipts
from pipelines.io.files import sha256

log = logging.getLogger(__name__)


def run(context: Context) -> None:
    """Make Postgres and Redis hold exactly what ``data/features`` holds, and write ``data/published/receipt.json``."""
    started = time.monotonic()
    (context.root / receipts.PUBLISHED).unlink(missing_ok=True)  # from here on until the end it wouldn't be true
    files = {view: _files(context.root / "data/features" / view) for view in features.KEYS}
    newest = {view: _newest(paths[-1]) for view, paths in files.items()}
    as_of = max(newest.values())
    with postgres.connect(context.settings) as connection:
        loads = {view: postgres.Load(paths, _unique(view)) for view, paths in files.items()}
        rows = postgres.replace_tables(connection, "features", loads)
    log.info("Postgres: %d rows in %d tables, %.1f s", sum(rows.values()), len(rows), time.monotonic() - started)
    store = feast_store.open_store(context.settings)
    feast_store.apply(store)
    materialization.materialize(store, as_of)
    tables = {
        view: {"rows": rows[view], "max_event_timestamp": newest[view].isoformat(), "sha256": _hash(files[view])}
        for view in files
    }
    services = sorted(service.name for service in store.list_feature_services())
    receipt = {"as_of": as_of.isoformat(), "feature_services": services, "tables": tables}
    receipts.write_published(context.settings, receipt)
    log.info("online up to %s, %.1f s in all", as_of.date(), time.monotonic() - started)


def _files(folder: Path) -> list[Path]:
    """The files of a view by date.

    Raises:
        InputError: there are none.
    """
    files = sorted(folder.glob("date=*/*.parquet"))
    if not files:
        raise InputError(f"{folder} holds no features: run `python -m pipelines features`")
    return files


def _newest(path: Path) -> datetime:
    """The last stamp of a view's last file; rows are sorted by it."""
    stamps = pq.read_table(path, columns=[Col.EVENT_TIMESTAMP])[Col.EVENT_TIMESTAMP]
    newest: datetime = stamps[-1].as_py()
    return newest.astimezone(UTC)


def _unique(view: str) -> list[str]:
    """The order in which the point-in-time join looks a row up."""
    return [*features.KEYS[view], f"{Col.EVENT_TIMESTAMP} DESC", f"{Col.CREATED_TIMESTAMP} DESC"]


def _hash(files: list[Path]) -> str:
    """One SHA-256 of a view's files: their dates and bytes."""
    digest = hashlib.sha256()
    for path in files:
        digest.update(f"{path.parent.name}/{path.name} {sha256(path)}\n".encode())
    return digest.hexdigest()
