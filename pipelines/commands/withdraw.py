"""Leave a bad file out of what the stages read; its bytes stay, and its content is not taken in again."""

import argparse
import logging
from datetime import UTC, datetime

from pipelines import flow
from pipelines.context import Context
from pipelines.io.intake import lake
from pipelines.io.quality import withdrawal

log = logging.getLogger(__name__)


def configure(parser: argparse.ArgumentParser) -> None:
    """Declare the files and the way back."""
    parser.add_argument(
        "files",
        nargs="+",
        metavar="PATH",
        help="a path of the manifest, a file below data/raw, or a file of the log that ingest refused",
    )
    parser.add_argument("--undo", action="store_true", help="let the stages read it again")


def run(context: Context) -> None:
    """Withdraw the files, or undo it, once no other run works on the lake.

    Raises:
        InputError: there is no such file; the ones before it are done.
    """
    with flow.alone(context.root), lake.alone(context.root):
        for path in context.args.files:
            if context.args.undo:
                done = withdrawal.restore(context.root, path)
            else:
                done = withdrawal.withdraw(context.root, path, datetime.now(UTC))
            log.info("%s", done)
    log.info("`make pipeline` comes next")
