"""The pictures of the prepared interactions: ask the engine for small tables, draw them."""

from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Final

import pandas as pd
from ibis.expr.types import Table
from matplotlib.figure import Figure

from pipelines.core.columns import PREPARED_SCHEMA, PRODUCT_SCHEMA, Col
from pipelines.core.lake import exploration as explore
from pipelines.io import files, plots
from pipelines.io.duck import Engine, table
from pipelines.io.parallel import ahead
from pipelines.io.preparation import behaviour_plots, eda_plots

SAMPLE: Final = 1_000_000
"""Rows above which the plots of users look at a share of all users, always the same ones."""
WEEKS: Final = 20
"""A log of more weeks shows its cohorts by month."""
BINS: Final = 60
TOP: Final = 20

PREPARED: Final = table("prepared", PREPARED_SCHEMA)
SAMPLED: Final = table(
    "sampled",
    PREPARED.select(Col.USER_ID, Col.ITEM_ID, Col.SESSION_ID, Col.EVENT_TYPE, Col.TIMESTAMP).schema(),
)
CATALOGUE: Final = table("catalogue", PRODUCT_SCHEMA)
ITEMS: Final = table("items_of", explore.items(PREPARED).schema())
PERIODS: Final = table("user_periods", explore.user_periods(PREPARED, "week").schema())
USERS: Final = table("users_of", explore.users(PERIODS).schema())
SESSIONS: Final = table("sessions_of", explore.sessions(PREPARED).schema())
PAIRS: Final = table("pairs_of", explore.pairs(PREPARED).schema())


def draw(engine: Engine, prepared: Path, products: Path, rows: int, folder: Path) -> None:
    """Draw every plot of the file ``prepared`` with so many rows; the folder is replaced whole."""
    engine.read("prepared", prepared)
    engine.read("catalogue", products)
    with files.replacing(folder) as temporary:
        temporary.mkdir()
        for name, figure in ahead(_plots(engine, rows)) if rows else ():
            plots.save(figure(), temporary / f"{name}.png")


def _plots(engine: Engine, rows: int) -> Iterator[tuple[str, Callable[[], Figure]]]:
    """(name, what draws it) of each plot; the engine counts for the next one while one is drawn."""

    def frame(expression: Table) -> pd.DataFrame:
        return engine.run(expression).to_pandas()

    one_in = -(-rows // SAMPLE)
    sample = "" if one_in == 1 else f", one user in {one_in}"
    hourly = frame(explore.hourly(PREPARED))
    yield "activity_over_time", partial(eda_plots.activity_over_time, hourly)
    yield "hour_by_weekday", partial(eda_plots.hour_by_weekday, hourly)
    engine.keep("items_of", explore.items(PREPARED))
    items = frame(explore.activity(ITEMS))
    yield "long_tail", partial(eda_plots.long_tail, items)
    yield "top_products", partial(eda_plots.top_products, frame(explore.top(ITEMS, CATALOGUE, TOP)))

    engine.keep("sampled", explore.of_one_in(PREPARED.select(SAMPLED.columns), one_in))
    days = int(hourly["hour"].max() - hourly["hour"].min()) // 24
    unit: explore.Unit = "week" if days <= WEEKS * 7 else "month"
    engine.keep("user_periods", explore.user_periods(SAMPLED, unit))
    engine.keep("users_of", explore.users(PERIODS))
    types = hourly.groupby("event_type")["events"].sum()
    users = frame(explore.activity(USERS))
    yield "interaction_distribution", partial(eda_plots.interaction_distribution, types, users, items, sample)
    retention = frame(explore.retention(PERIODS, USERS))
    yield "cohort_retention", partial(behaviour_plots.cohort_retention, retention, unit, sample)

    engine.keep("sessions_of", explore.sessions(SAMPLED))
    lengths = frame(explore.activity(SESSIONS)), frame(explore.lengths(SESSIONS))
    yield "session_length", partial(behaviour_plots.session_length, *lengths, sample)
    steps = frame(explore.funnel(SESSIONS)).iloc[0], frame(explore.funnel(USERS)).iloc[0]
    if sum(steps[0][f"any_{name}"] > 0 for name in explore.STEPS) > 1:
        yield "funnel", partial(behaviour_plots.funnel, *steps, sample)
    else:
        orders = frame(explore.orders(SESSIONS)), frame(explore.gaps(SESSIONS))
        yield "funnel", partial(behaviour_plots.repeat_purchases, *orders, sample)

    engine.keep("pairs_of", explore.pairs(SAMPLED))
    filled = frame(explore.occupancy(PAIRS, ITEMS, BINS))
    yield "sparsity", partial(behaviour_plots.sparsity, filled, int(users["n"].sum()), int(items["n"].sum()), sample)
