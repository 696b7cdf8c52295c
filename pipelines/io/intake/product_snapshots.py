"""The catalogue's snapshots of the raw lake, read one at a time."""

import json
import re
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Any, Final

import pyarrow as pa

from pipelines.core.columns import Col
from pipelines.core.errors import InputError
from pipelines.core.lake.product_history import history
from pipelines.core.lake.products import Product, check_product
from pipelines.io import tables
from pipelines.io.intake import lake

BAD_PRODUCTS: Final = pa.schema(
    [("file", pa.string()), ("position", pa.int64()), ("reasons", pa.list_(pa.string())), ("product", pa.string())]
)

_LIST: Final = re.compile(r"\s*\[\s*(\])?")
_NEXT: Final = re.compile(r"\s*(?:,\s*|(\]))")


def read_history(manifest: lake.Manifest) -> tuple[pa.Table, pa.Table]:
    """(every state of every good product, the bad entries with all their reasons) of all snapshots.

    One snapshot's text at a time is in memory, besides the states themselves.

    Raises:
        InputError: a snapshot is damaged.
    """
    bad: list[dict[str, Any]] = []
    known = history(_snapshots(manifest, bad))
    return known, pa.Table.from_pylist(bad, BAD_PRODUCTS)


def _snapshots(manifest: lake.Manifest, bad: list[dict[str, Any]]) -> Iterator[tuple[datetime, Iterator[Product]]]:
    for entry in sorted(manifest.active(), key=lambda entry: str(entry["ingested_at"])):
        yield tables.utc(entry["ingested_at"]), _good(manifest, entry["path"], bad)


def _good(manifest: lake.Manifest, path: str, bad: list[dict[str, Any]]) -> Iterator[Product]:
    """The good products of a snapshot; the others are added to ``bad``."""
    seen: set[str] = set()
    for position, given in enumerate(_entries(manifest.path.parent / path)):
        product, reasons = check_product(given)
        reasons += ["id is listed twice"] if product[Col.ITEM_ID] in seen else []
        if reasons:
            text = json.dumps(given, ensure_ascii=False, sort_keys=True)
            bad.append({"file": path, "position": position, "reasons": reasons, "product": text})
        else:
            seen.add(product[Col.ITEM_ID])
            yield product


def _entries(path: Path) -> Iterator[Any]:
    """The entries of a JSON list in a file, one after another: as text they take much less room than as objects.

    Raises:
        InputError: the file holds something else.
    """
    text, decode = path.read_text(encoding="utf-8"), json.JSONDecoder().raw_decode
    between, at = _LIST.match(text, 0), 0
    try:
        while between is not None and between[1] != "]":
            entry, at = decode(text, between.end())
            yield entry
            between = _NEXT.match(text, at)
    except ValueError as error:
        raise InputError(f"{path} is damaged: {error}") from None
    if between is None:
        raise InputError(f"{path} is damaged: no JSON list goes on at character {at}")
