"""The pictures of the prepared interactions: ask the engine for small tables, draw them."""

from pathlib import Path
from typing import Final

import pandas as pd
from ibis.expr.types import Table
from matplotlib.figure import Figure

from pipelines.core import exploration as explore
from pipelines.core.columns import PREPARED_SCHEMA, PRODUCT_SCHEMA
from pipelines.io import behaviour_plots, eda_plots, files, plots
from pipelines.io.duck import Engine, table

SAMPLE: Final = 2_000_000
"""Rows above which the plots of users look at a share of all users, always the same ones."""
WEEKS: Final = 20
"""A log of more weeks shows its cohorts by month."""
BINS: Final = 60
TOP: Final = 20

PREPARED: Final = table("prepared", PREPARED_SCHEMA)
SAMPLED: Final = table("sampled", PREPARED_SCHEMA)
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
        if rows:
            for name, figure in _figures(_Tables(engine, rows)).items():
                plots.save(figure, temporary / f"{name}.png")


class _Tables:
    """The aggregates; those that several plots need are kept by the engine."""

    def __init__(self, engine: Engine, rows: int) -> None:
        self._engine = engine
        one_in = -(-rows // SAMPLE)
        self.sample = "" if one_in == 1 else f" of one user in {one_in}"
        self.hourly = self.frame(explore.hourly(PREPARED))
        span = int(self.hourly["hour"].max() - self.hourly["hour"].min()) // 24
        self.unit: explore.Unit = "week" if span <= WEEKS * 7 else "month"
        columns = ["user_id", "item_id", "session_id", "event_type", "timestamp"]
        engine.keep("sampled", explore.of_one_in(PREPARED.select(columns), one_in))
        engine.keep("items_of", explore.items(PREPARED))
        engine.keep("user_periods", explore.user_periods(SAMPLED, self.unit))
        engine.keep("users_of", explore.users(PERIODS))
        engine.keep("sessions_of", explore.sessions(SAMPLED))
        engine.keep("pairs_of", explore.pairs(SAMPLED))

    def frame(self, expression: Table) -> pd.DataFrame:
        """The rows of a small aggregate."""
        return self._engine.run(expression).to_pandas()


def _figures(tables: _Tables) -> dict[str, Figure]:
    frame, sample = tables.frame, tables.sample
    types = tables.hourly.groupby("event_type")["events"].sum()
    items = frame(explore.activity(ITEMS))
    sessions = frame(explore.funnel(SESSIONS)).iloc[0]
    steps = sum(sessions[f"any_{name}"] > 0 for name in explore.STEPS)
    pairs = frame(PAIRS.aggregate(pairs=PAIRS.count(), users=PAIRS.user_id.nunique())).iloc[0]
    return {
        "interaction_distribution": eda_plots.interaction_distribution(
            types, frame(explore.activity(USERS)), items, sample
        ),
        "top_products": eda_plots.top_products(frame(explore.top(ITEMS, CATALOGUE, TOP))),
        "activity_over_time": eda_plots.activity_over_time(tables.hourly),
        "hour_by_weekday": eda_plots.hour_by_weekday(tables.hourly),
        "long_tail": eda_plots.long_tail(items),
        "funnel": behaviour_plots.funnel(sessions, frame(explore.funnel(USERS)).iloc[0], sample)
        if steps > 1
        else behaviour_plots.repeat_purchases(frame(explore.orders(SESSIONS)), frame(explore.gaps(SESSIONS)), sample),
        "session_length": behaviour_plots.session_length(
            frame(explore.activity(SESSIONS)), frame(explore.lengths(SESSIONS)), sample
        ),
        "cohort_retention": behaviour_plots.cohort_retention(
            frame(explore.retention(PERIODS, USERS)), tables.unit, sample
        ),
        "sparsity": behaviour_plots.sparsity(
            frame(explore.occupancy(PAIRS, ITEMS, BINS)),
            int(pairs["users"]),
            int(items["n"].sum()),
            int(pairs["pairs"]),
            sample,
        ),
    }
