"""Bring what is published in Postgres online, into Redis: only what changed since the last time.

Written are the entities with rows loaded since the view's last materialization, or stamped after its watermark; a run
that was killed goes on where it was. `--full`, and a Redis that was emptied: every entity, and what is gone goes. The
watermark is the end of what was published, never later than now. Only one publishes or materializes at a time: the
second one stops with exit code 75.
"""

import argparse
import logging
import time

from pipelines.context import Context
from pipelines.io import postgres, receipts
from pipelines.io.features import feast_store, materialization
from pipelines.io.live import user_data

log = logging.getLogger(__name__)


def configure(parser: argparse.ArgumentParser) -> None:
    """Take the views and how much of them."""
    parser.add_argument("views", nargs="*", metavar="VIEW", help="feature views; all where none is named")
    parser.add_argument("--full", action="store_true", help="write every entity, and remove those that are gone")


def run(context: Context) -> None:
    """Make Redis hold each entity's newest published row.

    Raises:
        ServiceError: nothing was published yet, another one publishes or materializes, or a server doesn't answer.
        ConfigError: a view isn't declared.
    """
    started = time.monotonic()
    with postgres.connect(context.settings) as connection, materialization.alone(connection, wait=False):
        store = feast_store.open_store(context.settings)
        written = materialization.materialize(connection, store, context.args.views, full=context.args.full)
        user_data.remove_pending(connection, store)
    if not context.args.views:
        receipts.mark_online(context.settings)
    log.info("%d entities written, %.1f s", sum(written.values()), time.monotonic() - started)
