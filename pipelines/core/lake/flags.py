"""Rows that stay but are marked: users who act like programs, quantities and prices far off."""

import math
from collections.abc import Mapping

import ibis
import numpy as np
from ibis import _
from ibis.expr.types import Table

from pipelines.core.columns import BROWSING, Col
from pipelines.core.lake.repeats import DAY, MINUTE


def bots(rows: Table, a_day: int, a_minute: int, hours: int) -> Table:
    """(user_id, day) of users who browse like programs on that day (UTC).

    More than ``a_day`` browsing events, more than ``a_minute`` within one minute of the clock, or some in at least
    ``hours`` of its 24 hours. The flag of a day reads that day alone, so it is known when the day is over.
    ``rows`` have ``second``, whole seconds since 1970; ``day`` is the number of days since.
    """
    looks = rows.filter(rows[Col.EVENT_TYPE].isin(BROWSING))
    minutes = looks.group_by(Col.USER_ID, day=looks.second // DAY, minute=looks.second // MINUTE).agg(looks=_.count())
    days = minutes.group_by(Col.USER_ID, "day").agg(
        looks=_.looks.sum(), busiest=_.looks.max(), hours=(_.minute // 60).nunique()
    )
    return days.filter((_.looks > a_day) | (_.busiest > a_minute) | (_.hours >= hours)).select(Col.USER_ID, "day")


def of_bots(rows: Table, bots: Table) -> Table:
    """``n`` of each event, of any type, of a user on a day that is among ``bots``."""
    return rows.mutate(day=rows.second // DAY).semi_join(bots, [Col.USER_ID, "day"]).select("n")


def prices(rows: Table) -> Table:
    """(item_id, price, count) of the prices that the log itself gives."""
    return rows.filter(rows[Col.PRICE].notnull()).group_by(Col.ITEM_ID, Col.PRICE).agg(count=_.count())


def medians(prices: Table) -> Table:
    """(item_id, median): the lower median of an item's ``prices`` (a price may come in several rows); none of 0."""
    counts = prices.group_by(Col.ITEM_ID, Col.PRICE).agg(count=_["count"].sum())
    so_far = ibis.cumulative_window(group_by=Col.ITEM_ID, order_by=Col.PRICE)
    ranked = counts.mutate(
        below=counts["count"].sum().over(so_far), all=counts["count"].sum().over(ibis.window(group_by=Col.ITEM_ID))
    )
    upper = ranked.filter(2 * ranked.below >= ranked["all"])
    return upper.group_by(Col.ITEM_ID).agg(median=upper[Col.PRICE].min()).filter(_.median > 0)


def fence(quantities: Mapping[int, int], iqr: float) -> float:
    """The largest quantity that is not an outlier: Tukey's fence ``iqr`` interquartile ranges above, in logarithms.

    ``quantities``: quantity -> how many purchases had it; of none there is no fence. The range counts as at least a
    factor of two: where nearly everybody buys one piece, two pieces are no outlier.
    """
    if not quantities:
        return math.inf
    low, high = (_quantile(quantities, share) for share in (0.25, 0.75))
    return high * max(high / low, 2.0) ** iqr


def outliers(
    quantity: np.ndarray, price: np.ndarray, median: np.ndarray, highest: float, price_factor: float
) -> np.ndarray:
    """bool [rows]: events of more than ``highest`` pieces, or whose own price is off their item's median.

    Off is by more than a factor of ``price_factor``, up or down. NaN is no price, or no median: nothing to be off.
    """
    off = (price > median * price_factor) | (price * price_factor < median)
    return np.asarray(off | (quantity > highest))


def _quantile(counts: Mapping[int, int], share: float) -> int:
    """The smallest value that at least ``share`` of all don't exceed."""
    wanted, below = share * sum(counts.values()), 0
    for value in sorted(counts):
        below += counts[value]
        if below >= wanted:
            return value
    raise ValueError("no values")
