"""Show what runs, and where."""

import sys
import time

from pipelines.context import Context
from pipelines.io import services
from pipelines.io.services import Status

HEADER = ("NAME", "STATE", "PID", "ADDRESS", "UPTIME")


def run(context: Context) -> None:
    """Print a table of the supervised programs."""
    rows = [_row(status, time.time()) for status in services.running(context.root)]
    if not rows:
        sys.stdout.write("nothing runs; `make up` starts Postgres and Redis\n")
        return
    widths = [max(map(len, column)) for column in zip(HEADER, *rows, strict=True)]
    for row in (HEADER, *rows):
        sys.stdout.write("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() + "\n")


def _row(status: Status, now: float) -> tuple[str, ...]:
    """One program's cells. One that ended shows how, and waits for its restart."""
    if status.pid is None:
        return status.name, f"restarting (ended with {status.exit})", "-", status.address, "-"
    state = "running" if status.restarts == 0 else f"running (restarted {status.restarts}x)"
    return status.name, state, str(status.pid), status.address, _duration(now - status.since)


def _duration(seconds: float) -> str:
    """A length of time in its two largest units."""
    minutes, s = divmod(int(seconds), 60)
    hours, m = divmod(minutes, 60)
    days, h = divmod(hours, 24)
    if days:
        return f"{days} d {h} h"
    return f"{h} h {m} min" if hours else f"{m} min {s} s" if minutes else f"{s} s"
