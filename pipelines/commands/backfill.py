"""Bring in the log's files that are dated within a range, day by day, then run the pipeline once."""

import argparse
import logging
from collections.abc import Iterator
from datetime import date, timedelta
from typing import Final

from pipelines import flow
from pipelines.context import Context
from pipelines.core.errors import ConfigError, InputError
from pipelines.io import dvc_repo, notices
from pipelines.io.intake import lake, sources
from pipelines.io.progress import progress
from pipelines.stages import ingest

log = logging.getLogger(__name__)

INGEST: Final = "ingest"


def configure(parser: argparse.ArgumentParser) -> None:
    """Declare the range."""
    parser.add_argument("start", type=date.fromisoformat, metavar="START", help="first day, YYYY-MM-DD")
    parser.add_argument("end", type=date.fromisoformat, metavar="END", help="last day, included")


def run(context: Context) -> None:
    """Backfill the range that the arguments name."""
    start, end = context.args.start, context.args.end
    with notices.told(context.settings, f"backfill {start} to {end}"), flow.alone(context.root):
        backfill(context, start, end)


def backfill(context: Context, start: date, end: date, execute: flow.Execute | None = None) -> None:
    """Bring in every day of the range that can be used, and run what changes by it. The caller holds ``flow.alone``.

    Files of other days stay out, so the stage `ingest` is left alone; only where no catalogue was ever fetched, it
    runs, because the other stages need one.

    Raises:
        ConfigError: the range ends before it begins, or no shop is connected.
        InputError: days failed; the text names each. The others came in, and the pipeline ran.
        StageError: a stage failed.
    """
    if end < start:
        raise ConfigError(f"{start} to {end}: the range ends before it begins")
    failed = {}
    days = (end - start).days + 1
    for day in progress(_days(start, end), "days", days):
        try:
            ingest.ingest_days(context, day, day)
        except InputError as error:
            failed[day] = error
            log.warning("%s: %s", day, str(error).partition("\n")[0])
    if sources.read_connection(context.root).catalogue_url and not (context.root / lake.PRODUCTS).exists():
        flow.run(context.settings, execute=execute)
    else:
        dvc_repo.commit(context.root, INGEST)
        flow.run(context.settings, leave_out=(INGEST,), execute=execute)
    if failed:
        lines = [f"{len(failed)} of {days} days have files that can't be used; the pipeline ran with the others:"]
        raise InputError("\n".join([*lines, *(f"  {day}: {error}" for day, error in failed.items())]))


def _days(start: date, end: date) -> Iterator[date]:
    while start <= end:
        yield start
        start += timedelta(days=1)
