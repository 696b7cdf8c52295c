"""Compute the change points of all feature views, as Parquet by date: only what is new or has changed."""

import logging
import time
from datetime import UTC, datetime

from pipelines.context import Context
from pipelines.io.features import feature_build

log = logging.getLogger(__name__)


def run(context: Context) -> None:
    """Write ``data/features/<view>/date=…/part-<n>.parquet``, its manifest and ``recent_days.parquet``.

    Raises:
        InputError: nothing has been prepared, or no day of it is complete.
    """
    started = time.monotonic()
    built = feature_build.build(context.root, datetime.now(UTC))
    if not built.rows and not built.new and not built.changed and not built.whole:
        log.info("nothing changed: features up to %s stay as they are", built.until.date())
        return
    seconds = time.monotonic() - started
    text = "%d rows up to %s: %d new days, %d changed ones, %.1f s"
    log.info(text, built.rows, built.until.date(), built.new, built.changed, seconds)
