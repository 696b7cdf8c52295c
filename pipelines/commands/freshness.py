"""Show how old what each feature view knows is, and how old it may be; exit code 1 where one is stale.

A view knows of the time up to its watermark: the end of its last materialization, never later than what was published.
Its age is the time since then; the maximum is its tag `max_age` in feature_repo/definitions.py. NEWEST is the stamp of
the newest row in Postgres, which may be long ago where nothing changes.
"""

import argparse
import json
import sys
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

from pipelines.context import Context
from pipelines.core.errors import InputError
from pipelines.core.features.freshness import Freshness
from pipelines.io.features import feast_store, view_freshness

HEADER = ("VIEW", "NEWEST", "ONLINE", "AGE", "MAXIMUM", "STATE")


def configure(parser: argparse.ArgumentParser) -> None:
    """Take the form of the output."""
    parser.add_argument("--json", action="store_true", help="a JSON object a line, ages in seconds")


def run(context: Context) -> None:
    """Print a line a view.

    Raises:
        InputError: one is stale; the text says what to do.
        ServiceError: a server doesn't answer, or nothing was published yet.
        ConfigError: a view doesn't declare its maximum age.
    """
    store, now = feast_store.open_store(context.settings), datetime.now(UTC)
    views = view_freshness.of_all(context.settings, store)
    lines = [json.dumps(_object(view, now)) for view in views] if context.args.json else _table(views, now)
    sys.stdout.write("".join(f"{line}\n" for line in lines))
    if stale := [view for view in views if not view.is_fresh(now)]:
        raise InputError(_advice(stale))


def _object(view: Freshness, now: datetime) -> dict[str, object]:
    age = view.age(now)
    return {
        "view": view.view,
        "newest": view.newest and view.newest.isoformat(),
        "online": view.online and view.online.isoformat(),
        "age_seconds": None if age is None else round(age.total_seconds()),
        "max_age_seconds": round(view.max_age.total_seconds()),
        "fresh": view.is_fresh(now),
    }


def _table(views: Sequence[Freshness], now: datetime) -> list[str]:
    rows = [HEADER, *(_row(view, now) for view in views)]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]


def _row(view: Freshness, now: datetime) -> tuple[str, ...]:
    age = view.age(now)
    state = "fresh" if view.is_fresh(now) else "stale"
    return view.view, _time(view.newest), _time(view.online), _length(age), _length(view.max_age), state


def _time(at: datetime | None) -> str:
    return f"{at:%Y-%m-%d %H:%M}" if at else "-"


def _length(age: timedelta | None) -> str:
    """Hours up to two days, then days."""
    if age is None:
        return "-"
    hours = age.total_seconds() / 3600
    return f"{hours:.0f} h" if hours < 48 else f"{hours / 24:.0f} d"


def _advice(stale: Sequence[Freshness]) -> str:
    names = ", ".join(view.view for view in stale)
    if any(view.online is None for view in stale):
        return f"stale: {names}: not all of them are online: run `make materialize`"
    return (
        f"stale: {names}: run `make pipeline` on the newest log and catalogue; if they end long ago, connect newer ones"
    )
