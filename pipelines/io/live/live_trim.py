"""Old live events go from Postgres once nobody needs them there.

Such an event is in the raw lake, by its manifest and its file; it was received and happened before a given time, which
is longer ago than sessions last; and what is published knows of its time, so that live features don't go on from it.
"""

import logging
from collections import defaultdict
from datetime import datetime
from typing import Any, Final

from psycopg import Connection

from pipelines.io import postgres
from pipelines.io.features import publications
from pipelines.io.intake import lake
from pipelines.io.live import live_log, live_spans
from pipelines.settings import Settings

AT_ONCE: Final = 20_000
"""Events that go in one transaction."""
_DELETE: Final = """
DELETE FROM live.events WHERE seq IN (
    SELECT seq FROM live.events
    WHERE seq BETWEEN %s AND %s AND received_at < %s AND ts < %s ORDER BY seq LIMIT %s)
"""

log = logging.getLogger(__name__)


def trim(settings: Settings, manifest: lake.Manifest, before: datetime) -> int:
    """Delete the events from before ``before`` (UTC) that ``manifest``, as it is on the disk, has; returns how many.

    Before anything is published nothing goes. The caller holds ``lake.alone``.

    Raises:
        ServiceError: Postgres doesn't answer; what is gone by then is gone, and in the lake.
    """
    if settings.postgres_host is None:
        return 0
    held = _held(manifest)
    with postgres.connect(settings) as connection:
        if not held or not live_log.exists(connection):
            return 0
        as_of = publications.as_of(connection)
        connection.commit()
        if as_of is None:
            return 0
        here = live_spans.ids(connection)
        spans = [numbers for span, numbers in held.items() if span in here]
        return sum(_delete(connection, *numbers, before, min(before, as_of)) for numbers in spans)


def _held(manifest: lake.Manifest) -> dict[str, tuple[int, int]]:
    """Span → the first and the last number that the lake has of it; all between them that ever were are in it."""
    entries = [entry for entry in manifest.files if lake.LIVE in entry]
    if lost := [str(entry["path"]) for entry in entries if not _is_there(manifest, entry)]:
        log.warning("old live events stay in Postgres: the lake lacks %s", ", ".join(lost))
        return {}
    numbers: dict[str, list[int]] = defaultdict(list)
    for mark in (entry[lake.LIVE] for entry in entries):
        numbers[mark["span"]] += mark["first"], mark["last"]
    return {span: (min(of_span), max(of_span)) for span, of_span in numbers.items()}


def _is_there(manifest: lake.Manifest, entry: dict[str, Any]) -> bool:
    path = manifest.path.parent / entry["path"]
    return path.exists() and path.stat().st_size == entry["bytes"]


def _delete(connection: Connection, first: int, last: int, received: datetime, happened: datetime) -> int:
    """Delete the events of these numbers from before both times, some at a time."""
    deleted, gone = 0, AT_ONCE
    while gone == AT_ONCE:
        gone = connection.execute(_DELETE.encode(), [first, last, received, happened, AT_ONCE]).rowcount
        connection.commit()
        deleted += gone
    return deleted
