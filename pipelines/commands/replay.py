"""Enter repaired rows of the quarantine into the raw lake, from an edited export."""

import argparse
import logging
from datetime import UTC, datetime
from pathlib import Path

from pipelines import flow
from pipelines.context import Context
from pipelines.io.intake import lake
from pipelines.io.quality import repairs

log = logging.getLogger(__name__)


def configure(parser: argparse.ArgumentParser) -> None:
    """Declare the edited file."""
    parser.add_argument("file", type=Path, metavar="FILE.csv", help="what `quarantine --export` wrote, edited")


def run(context: Context) -> None:
    """Enter the rows that were changed, once no other run works on the lake.

    Raises:
        InputError: the file or rows of it can't be used; nothing is entered then.
    """
    with flow.alone(context.root), lake.alone(context.root):
        done = repairs.replay(context.root, context.args.file, datetime.now(UTC))
    log.info(
        "%d repairs entered%s; %d rows are unchanged, %d repairs in the lake already",
        done.entered,
        f" as {done.path}" if done.path else "",
        done.unchanged,
        done.known,
    )
    if done.path:
        log.info("`make pipeline` comes next")
