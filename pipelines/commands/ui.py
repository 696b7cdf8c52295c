"""Start the web pages of MLflow, Feast and Prefect; they run until `down`."""

import logging

from pipelines.commands import programs
from pipelines.context import Context

log = logging.getLogger(__name__)


def run(context: Context) -> None:
    """Start them, or leave them if they run already."""
    for name, address in programs.serve_pages(context.settings).items():
        log.info("%s: %s", name, address)
