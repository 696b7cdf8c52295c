"""Load the newest feature values into Redis again, up to the moment of the last publish."""

import logging
import time
from datetime import datetime

from pipelines.context import Context
from pipelines.core.errors import InputError
from pipelines.io import feast_store, materialization, receipts
from pipelines.io.files import read_json

log = logging.getLogger(__name__)


def run(context: Context) -> None:
    """Make Redis hold what Postgres holds, up to the receipt's ``as_of``: after Redis lost its data, for example."""
    started = time.monotonic()
    receipt = context.root / receipts.PUBLISHED
    if not receipt.exists():
        raise InputError(f"{receipt} is missing: nothing was published yet, run `make pipeline`")
    as_of = datetime.fromisoformat(read_json(receipt)["as_of"])
    materialization.materialize(feast_store.open_store(context.settings), as_of)
    log.info("online up to %s in %.1f s", as_of.date(), time.monotonic() - started)
