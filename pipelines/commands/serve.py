"""Start the HTTP service and wait until it is ready; it runs until `down`."""

import logging
import os

from pipelines.commands import programs
from pipelines.context import Context
from pipelines.settings import VARIABLES

log = logging.getLogger(__name__)


def run(context: Context) -> None:
    """Start it, or leave it if it runs already."""
    address = programs.serve(context.settings, bool(os.environ.get(VARIABLES["api_port"])))
    log.info("%s (/docs has the API); stop it with `make down`", address)
