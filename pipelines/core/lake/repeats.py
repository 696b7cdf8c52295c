"""Double fires: the same browsing event of a user, sent twice.

Rows have ``second``, the whole seconds since 1970 (UTC), and ``n``, their place in the order of time and event id.
"""

from typing import Final

import ibis
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from ibis import _
from ibis.expr.types import Table, Value

from pipelines.core.columns import BROWSING, Col

MINUTE: Final = 60
DAY: Final = 86_400
_ODD: Final = np.uint64(0x9E3779B97F4A7C15)


def fine_days(second: np.ndarray) -> np.ndarray:
    """The days since 1970 whose times know seconds: not all of their events are on whole minutes.

    In a log by the minute, equal rows are as likely two looks as one look sent twice, so nothing there is a repeat.
    """
    return np.unique(second[second % MINUTE != 0] // DAY)


def repeats(rows: Table, days: Table, seconds: int) -> Table:
    """``n`` of each browsing event that repeats an earlier one.

    Equal are user, item, type, quantity, price and the stretch of ``seconds`` (a divisor of 60), on one of ``days``.
    Carts and purchases never repeat: two equal lines of an invoice are two lines.
    """
    looks = rows.filter(rows[Col.EVENT_TYPE].isin(BROWSING))
    looks = looks.mutate(day=looks.second // DAY).semi_join(days, "day")
    place = ibis.row_number().over(ibis.window(group_by=list(_same(looks, seconds).values()), order_by="n"))
    return looks.mutate(place=place).filter(_.place > 0).select("n")


def shared(least: int, *columns: np.ndarray) -> np.ndarray:
    """bool [rows]: who is worth a closer look, rows whose whole numbers in ``columns`` are those of ``least`` rows.

    They go by a hash: no such row is missed, and few others are taken.
    """
    mixed = np.zeros(len(columns[0]), np.uint64)
    for column in columns:
        mixed = (mixed ^ column.astype(np.uint64)) * _ODD
    ordered = np.sort(mixed)
    last = ordered[least - 1 :]
    found = np.unique(last[ordered[: len(last)] == last])
    return np.asarray(pc.is_in(pa.array(mixed), pa.array(found)))


def _same(rows: Table, seconds: int) -> dict[str, Value]:
    fields = (Col.USER_ID, Col.ITEM_ID, Col.EVENT_TYPE, Col.QUANTITY, Col.PRICE)
    return {name: rows[name] for name in fields} | {"stretch": rows.second // seconds}
