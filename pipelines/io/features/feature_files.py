"""The files of the feature views, and the manifest that says which they are.

A file never changes. ``part-0`` of a date has the rows as they were first built; what a later build corrects, or knows
only then, is in ``part-1``, ``part-2`` …: of rows of the same keys and event_timestamp the last one counts.
"""

import hashlib
import os
import re
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from itertools import groupby
from pathlib import Path
from typing import Any, Final, cast

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from pipelines.core.columns import Col
from pipelines.core.errors import InputError
from pipelines.core.features.feature_views import RECENT_DAYS, VIEWS
from pipelines.io import files

FEATURES: Final = Path("data/features")
MANIFEST: Final = "manifest.json"
RECENT: Final = "recent_days.parquet"
FORMAT: Final = 1
"""Raise it when what is computed changes without a new version of a view: all files are built anew then."""
ROW_GROUP: Final = 1 << 17

Entry = dict[str, Any]
"""What the manifest says of a file: ``rows``, ``sha256``, and ``created`` (ISO 8601) of corrections, else null."""


def manifest(root: Path) -> dict[str, Any]:
    """``data/features/manifest.json``: format, until, build, days, and files (view -> path within the view -> Entry).

    Raises:
        InputError: there is none, or it can't be read.
    """
    path = root / FEATURES / MANIFEST
    try:
        found: dict[str, Any] = files.read_json(path)
    except (OSError, ValueError):
        raise InputError(f"{path} can't be read: run `python -m pipelines features`") from None
    if not isinstance(found, dict) or not {"format", "until", "build", "days", "files"} <= found.keys():
        raise InputError(f"{path} is no manifest: run `python -m pipelines features`")
    return found


def current(
    root: Path, view: str, columns: Sequence[str] | None = None, keys: Mapping[str, Sequence[str]] | None = None
) -> pa.Table:
    """What is true of ``view``: the newest row of each (keys, event_timestamp), by date and keys.

    Args:
        columns: features to read besides the keys and both time columns; all where it is None.
        keys: key column -> ids; only rows with such ids.

    Raises:
        InputError: nothing was built.
    """
    schema = VIEWS[view].schema
    names = schema.names if columns is None else [*schema.names[: len(VIEWS[view].keys) + 2], *columns]
    parts = sorted(manifest(root)["files"][view], key=place)
    dates = (read(root / FEATURES / view, view, of, names, keys) for _, of in groupby(parts, lambda p: place(p)[0]))
    return pa.concat_tables([pa.schema([schema.field(name) for name in names]).empty_table(), *dates])


def read(
    folder: Path,
    view: str,
    parts: Iterable[str],
    columns: Sequence[str] | None = None,
    keys: Mapping[str, Sequence[str]] | None = None,
) -> pa.Table:
    """What is true in ``parts``, the files of one date of a view's ``folder``; see ``current``."""
    ordered = sorted(parts, key=place)
    found = [_read(folder / part, columns or VIEWS[view].schema.names, keys) for part in ordered]
    rows = pa.concat_tables(found)
    return _newest(rows, [Col.EVENT_TIMESTAMP, *VIEWS[view].keys]) if len(found) > 1 else rows


def place(part: str) -> tuple[str, int]:
    """(date, number) of a file's path within its view."""
    found = re.fullmatch(r"date=([\d-]+)/part-(\d+)\.parquet", part)
    if found is None:
        raise InputError(f"{part} is no file of a feature view: run `python -m pipelines features`")
    return found[1], int(found[2])


def write(folder: Path, view: str, part: str, rows: pa.Table, created: datetime | None) -> Entry:
    """Write a file of a view in ``folder``; the same rows give the same bytes.

    ``rows``: the view's schema, keys plain or as dictionaries, in the order of the keys.
    """
    schema = VIEWS[view].schema
    content = _parquet(rows.select(schema.names), VIEWS[view].keys)
    entry = {"rows": len(rows), "sha256": hashlib.sha256(content).hexdigest()}
    _put(folder / view / part, content)
    return entry | {"created": created and created.isoformat()}


def write_recent_days(folder: Path, rows: pa.Table) -> Entry:
    """Write ``recent_days.parquet`` in ``folder``, in place of an older one."""
    content = _parquet(rows.select(RECENT_DAYS.names), [n for n in RECENT_DAYS.names if n.endswith("_id")])
    _put(folder / RECENT, content)
    return {"rows": len(rows), "sha256": hashlib.sha256(content).hexdigest()}


def remove_unknown(folder: Path, known: Mapping[str, Mapping[str, Entry]]) -> None:
    """Remove what a build that was killed left in ``folder``."""
    kept = {MANIFEST, RECENT} | {f"{view}/{part}" for view, parts in known.items() for part in parts}
    for name in _names(folder) - kept:
        (folder / name).unlink()


def missing(folder: Path, known: Mapping[str, Mapping[str, Entry]]) -> list[Path]:
    """The files of the manifest that aren't there."""
    there = _names(folder)
    return [folder / view / part for view, parts in known.items() for part in parts if f"{view}/{part}" not in there]


def _names(folder: Path) -> set[str]:
    """The paths of all files within a folder: thousands, which ``Path.rglob`` is slow for."""
    found = set()
    for path, _, names in os.walk(folder):
        within = os.path.relpath(path, folder)
        found |= {name if within == "." else f"{within}/{name}" for name in names}
    return found


def _put(path: Path, content: memoryview) -> None:
    """Write a file whole or not at all; what a killed process leaves has another name."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.tmp")
    temporary.write_bytes(content)
    temporary.replace(path)


def _parquet(rows: pa.Table, keys: Sequence[str]) -> memoryview:
    """As Parquet: dictionaries for what repeats, numbers split into bytes, which zstd then packs best and fastest."""
    few = [*keys, Col.EVENT_TIMESTAMP, Col.CREATED_TIMESTAMP]
    numbers = [f.name for f in rows.schema if f.name not in few and pa.types.is_primitive(f.type)]
    split = [name for name in numbers if rows.schema.field(name).type.bit_width >= 32]
    sink = pa.BufferOutputStream()
    with pq.ParquetWriter(
        sink,
        rows.schema,
        compression="zstd",
        compression_level=1,
        use_dictionary=[name for name in rows.column_names if name not in numbers],
        column_encoding=dict.fromkeys(split, "BYTE_STREAM_SPLIT"),
        write_statistics=[*keys, Col.EVENT_TIMESTAMP],
        store_schema=False,
    ) as writer:
        writer.write_table(rows.combine_chunks(), row_group_size=ROW_GROUP)
    return memoryview(sink.getvalue())


def _read(path: Path, columns: Sequence[str], keys: Mapping[str, Sequence[str]] | None) -> pa.Table:
    with pq.ParquetFile(path) as file:
        if keys is None:
            return file.read(columns)
        named = file.read(list(keys))
        chosen = [pc.is_in(named[name], pa.array(ids, pa.string())) for name, ids in keys.items()]
        mask = chosen[0] if len(chosen) == 1 else pc.and_(*chosen)
        if not pc.any(mask, min_count=0).as_py():
            return file.schema_arrow.empty_table().select(columns)
        return file.read(columns).filter(mask)


def _newest(rows: pa.Table, by: Sequence[str]) -> pa.Table:
    """The last of the rows that are equal in ``by``, in the order of ``by``."""
    numbered = rows.select(by).append_column("row", pa.array(range(len(rows)), pa.int64()))
    last = numbered.group_by(by).aggregate([("row", "max")]).sort_by([(name, "ascending") for name in by])
    return cast(pa.Table, rows.take(last["row_max"]))
