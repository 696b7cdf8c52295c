"""Events with sessions, and prices and categories as of their time; the full catalogue; plots of both."""

import logging
import time
from pathlib import Path
from typing import Any, Final

import pyarrow as pa

from pipelines.context import Context
from pipelines.core import preparation
from pipelines.core.columns import EVENT_SCHEMA, PRODUCT_SCHEMA, Col
from pipelines.core.errors import InputError
from pipelines.io import duck, files, lake, plots, tables

log = logging.getLogger(__name__)

VALIDATED: Final = Path("data/validated")
INTERACTIONS: Final = Path("data/processed/prepared_interactions.parquet")
PRODUCTS: Final = Path("data/processed/products.parquet")
PLOTS: Final = Path("data/processed/eda")

PREPARED_SCHEMA: Final = EVENT_SCHEMA.set(
    EVENT_SCHEMA.get_field_index(Col.SESSION_ID), pa.field(Col.SESSION_ID, pa.string(), nullable=False)
).append(pa.field(Col.CATEGORY, pa.string()))


def run(context: Context) -> None:
    """Read ``data/validated``; write ``data/processed``.

    Raises:
        InputError: nothing has been validated.
    """
    started = time.monotonic()
    root = context.root
    if not (root / VALIDATED / "products.parquet").exists():
        raise InputError(f"{VALIDATED} is missing: run `python -m pipelines validate`")
    lake.sweep(root / INTERACTIONS.parent)
    con = duck.connect(memory="1500MB")
    events = con.read_parquet(str(root / VALIDATED / "events/*/*.parquet"), hive_partitioning=False)
    products = con.read_parquet(str(root / VALIDATED / "products.parquet"))
    prepared = preparation.prepare(events, products, context.params.prepare.session_gap_minutes)
    rows = tables.write(root / INTERACTIONS, tables.batches(prepared, PREPARED_SCHEMA), PREPARED_SCHEMA)
    catalogue = preparation.covering(products, events)
    states = tables.write(root / PRODUCTS, tables.batches(catalogue, PRODUCT_SCHEMA), PRODUCT_SCHEMA)
    _plot(root / PLOTS, con.read_parquet(str(root / INTERACTIONS)), con.read_parquet(str(root / PRODUCTS)))
    log.info("%d interactions, %d states of products, %.1f s", rows, states, time.monotonic() - started)


def _plot(folder: Path, prepared: Any, products: Any) -> None:
    """Draw the four plots; the folder is replaced whole."""
    daily = preparation.daily(prepared).to_pandas()
    items = preparation.by_item(prepared, products).to_pandas()
    users = preparation.activity(prepared, Col.USER_ID).to_pandas()
    per_item = preparation.activity(prepared, Col.ITEM_ID).to_pandas()
    types = daily.groupby("event_type")["events"].sum()
    figures = {
        "interaction_distribution": plots.interaction_distribution(types, users, per_item),
        "top_products": plots.top_products(items),
        "activity_over_time": plots.activity_over_time(daily),
        "long_tail": plots.long_tail(items),
    }
    with files.replacing(folder) as temporary:
        for name, figure in figures.items():
            plots.save(figure, temporary / f"{name}.png")
