"""Stop everything that was started for this checkout. Servers that the environment names are left alone."""

import argparse
import logging

from pipelines.context import Context
from pipelines.io import services

log = logging.getLogger(__name__)


def configure(parser: argparse.ArgumentParser) -> None:
    """Arguments."""
    parser.add_argument(
        "--purge", action="store_true", help="also remove the data of Postgres, Redis, MLflow and Prefect"
    )


def run(context: Context) -> None:
    """Stop it all, the newest first, also after a crash."""
    stopped = services.stop_all(context.root)
    log.info("stopped %s", ", ".join(stopped)) if stopped else log.info("nothing runs")
    if context.args.purge:
        services.purge(context.root)
        log.info("removed the data of Postgres, Redis, MLflow and Prefect")
