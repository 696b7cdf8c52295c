"""Push the events of a file online as live features, and show what they changed: to try it out.

The file has the layout of the shop's own log and holds all events of its users since the last batch. Nothing of it
is kept: the nightly batch knows only what `ingest` brings in.
"""

import argparse
import sys
from collections import defaultdict
from pathlib import Path
from typing import Any, Final

from pipelines.context import Context
from pipelines.core.columns import Col
from pipelines.core.features.feature_views import VIEWS
from pipelines.io.features import audit_stores, feast_store
from pipelines.io.live.live_features import LiveFeatures, Pushed
from pipelines.io.preparation import live_events

SHOWN: Final = 6
"""Values shown of a user."""

Row = dict[tuple[str, ...], Any]
"""(view, keys …, feature) -> value."""


def configure(parser: argparse.ArgumentParser) -> None:
    """Declare the file."""
    parser.add_argument(
        "file", type=Path, metavar="EVENTS.csv", help="CSV, compressed CSV or Parquet, as the shop logs"
    )


def run(context: Context) -> None:
    """Push the file's events and print a line for each user.

    Raises:
        InputError: a row is bad, nothing is pushed then; or nothing was published yet.
        ServiceError: a server doesn't answer.
    """
    events, cancellations = live_events.read(context.root, context.args.file)
    store = feast_store.open_store(context.settings)
    live = LiveFeatures(store, context.settings, context.params.prepare)
    before = _online(store, live.rows(events))
    pushed = live.push(events)
    after = _online(store, pushed)
    live.close()
    sys.stdout.write(f"{pushed.events} events since {pushed.as_of:%Y-%m-%d %H:%M} (UTC) counted")
    sys.stdout.write(f", {pushed.older} older ones left to the batch" if pushed.older else "")
    sys.stdout.write(f", {cancellations} cancellations left to the batch" if cancellations else "")
    sys.stdout.write("\n")
    for line in _changes(before, after):
        sys.stdout.write(f"{line}\n")


def _online(store: Any, pushed: Pushed) -> Row:
    """The online values of the entities that ``pushed`` is about."""
    found: Row = {}
    for view, rows in pushed.rows.items():
        keys = list(zip(*(rows[key].to_pylist() for key in VIEWS[view].keys), strict=True))
        for entity, row in audit_stores.online(store, view, keys):
            for name in VIEWS[view].features:
                found[(view, *entity, name)] = row and row[name]
    return found


def _changes(before: Row, after: Row) -> list[str]:
    """A line for each user: how many values are others now, and some of the user's own."""
    changed: dict[str, list[tuple[str, ...]]] = defaultdict(list)
    for place, value in after.items():
        if value != before[place]:
            changed[place[1]].append(place)
    lines = []
    for user in sorted({place[1] for place in after}):
        own = [place for place in changed[user] if VIEWS[place[0]].keys == (Col.USER_ID,)]
        own.sort(key=lambda place: not after[place])  # zeros of somebody new say least
        told = "; ".join(f"{place[-1]} {_text(before[place])} -> {_text(after[place])}" for place in own[:SHOWN])
        more = f"; and {len(own) - SHOWN} more" if len(own) > SHOWN else ""
        lines.append(f"{user}: {len(changed[user])} values changed" + (f": {told}{more}" if told else ""))
    return lines


def _text(value: Any) -> str:
    if isinstance(value, list):
        return ",".join(value[:3]) + ("…" if len(value) > 3 else "")
    return "nothing" if value is None else f"{value:.6g}"
