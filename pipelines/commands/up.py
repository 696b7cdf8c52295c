"""Start Postgres and Redis, or check the servers that the environment names."""

import os

from pipelines.context import Context
from pipelines.io import services


def run(context: Context) -> None:
    """Have both answer, with our database and its schemas."""
    services.up(context.root, os.environ)
