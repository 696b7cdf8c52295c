"""The meaning of a feature view, as digests of what it says about the reference log: one of its rows, one a feature.

A changed meaning shows by its effect, whichever line of code has changed, and names the features that it is in.
"""

import hashlib
import json
from collections.abc import Mapping
from typing import Final

import pyarrow as pa

from pipelines.core.columns import Col
from pipelines.core.features.feature_views import VIEWS

ROWS: Final = "rows"
"""Which entities have a row at which moments."""


def meaning(view: str, rows: pa.Table) -> dict[str, str]:
    """``rows`` and each feature of ``view`` -> a digest, of ``rows`` in any order and division.

    Values count, not their bytes: a float by the shortest text that gives it back, a wider integer as a narrower one.
    """
    keys = list(VIEWS[view].keys)
    plain = rows.cast(VIEWS[view].schema)
    plain = plain.sort_by([(name, "ascending") for name in (*keys, Col.EVENT_TIMESTAMP)])
    stamps = plain[Col.EVENT_TIMESTAMP].cast(pa.int64()).to_pylist()
    found = {ROWS: _digest([*(plain[key].to_pylist() for key in keys), stamps])}
    return found | {name: _digest(plain[name].to_pylist()) for name in VIEWS[view].features}


def changed(recorded: Mapping[str, str], now: Mapping[str, str]) -> list[str]:
    """The features (or ``rows``) of ``recorded`` that don't mean the same now. Where rows differ, only they count."""
    if recorded[ROWS] != now.get(ROWS):
        return [ROWS]
    return [name for name, digest in recorded.items() if now.get(name) != digest]


def _digest(values: list[object]) -> str:
    text = json.dumps(values, ensure_ascii=False, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()[:16]
