"""From counts and sums to the columns of the views of activity."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final

import numpy as np
import pyarrow as pa

from pipelines.core.columns import UTC_US, Col
from pipelines.core.features.day_events import Int32, Int64
from pipelines.core.features.day_sums import CENTS, MADE, PRICED, PURCHASES, SPEND, SPEND_MADE
from pipelines.core.features.entities import ITEM, USER, USER_CATEGORY, USER_ITEM
from pipelines.core.features.feature_views import KINDS, VIEWS
from pipelines.core.features.running_sums import NEVER

MADE_VIEWS: Final = {USER: "user_activity_v1", ITEM: "item_activity_v1", USER_ITEM: "user_item_activity_v1"}
"""Kind of entity -> the view that counts purchases as made."""
NET_VIEWS: Final = {USER: "user_activity_v2", ITEM: "item_activity_v2", USER_ITEM: "user_item_activity_v2",
                    USER_CATEGORY: "user_category_activity_v1"}  # fmt: skip
"""Kind of entity -> the view that counts purchases net."""
RECENT_VIEW: Final = "user_recent_items_v1"

Columns = dict[str, np.ndarray | pa.Array]

LATER_VIEWS: Final[dict[str, dict[str, Callable[[Columns], Columns]]]] = {kind: {} for kind in NET_VIEWS}
"""Kind of entity -> view that came after its net view -> what it has that is new or means something else, made of the
columns of the net view. It has rows at the same moments."""

_SPANS: Final = ("1d", "7d", "30d", "all")
_REMOVALS: Final = list(KINDS).index("removals")
_DAY_US: Final = 86_400_000_000


@dataclass(frozen=True)
class Block:
    """What is known of some entities of one kind at one midnight."""

    kind: str
    counts: Int32
    """[1d, 7d, 30d, all; column of day_sums; entity]."""
    money: Int64
    """[1d, 7d, 30d, all; column of day_sums; entity]."""
    last: Int64
    """Epoch seconds of the last event: [entity]."""


def made(block: Block) -> Columns:
    """The columns of the first versions, and maybe more, by name."""
    return _sums(block, MADE, SPEND_MADE)


def net(block: Block) -> Columns:
    """The columns that are net of cancellations, by name; without those of ``of_whole``."""
    return _sums(block, PURCHASES, SPEND)


def of_whole(block: Block, distinct: Int32, last_purchase: Int64) -> Columns:
    """The columns of users and items that their pairs don't have.

    ``distinct``: items of each user or users of each item [7d, 30d, all; entity]; ``last_purchase``: epoch seconds.
    """
    other = "items" if block.kind == USER else "users"
    return {
        **{f"distinct_{other}_{span}": n.copy() for span, n in zip(_SPANS[1:], distinct, strict=True)},
        **_rates(block.counts),
        "last_purchase_epoch_s": pa.array(last_purchase, mask=last_purchase == NEVER),
    }


def table(
    view: str, keys: Mapping[str, pa.Array], midnight: int, columns: Columns, rows: Int64 | None = None
) -> pa.Table:
    """The rows of a view (some of those that there are columns for), stamped with a midnight (days since 1970)."""
    if rows is not None and len(rows) < len(next(iter(keys.values()))):
        taken = pa.array(rows)
        keys = {name: ids.take(taken) for name, ids in keys.items()}
        columns = {name: columns[name].take(taken if isinstance(columns[name], pa.Array) else rows)
                   for name in VIEWS[view].features}  # fmt: skip
    size = len(next(iter(keys.values())))
    stamp = pa.repeat(pa.scalar(midnight * _DAY_US, UTC_US), size)
    features = {name: _typed(columns[name], kind) for name, kind in VIEWS[view].features.items()}
    return pa.table({**keys, Col.EVENT_TIMESTAMP: stamp, Col.CREATED_TIMESTAMP: stamp, **features})


def _typed(values: np.ndarray | pa.Array, kind: pa.DataType) -> pa.Array:
    array = values if isinstance(values, pa.Array) else pa.array(values)
    return array if array.type == kind else array.cast(kind)


def _sums(block: Block, purchases: int, spend: int) -> Columns:
    columns: Columns = {"last_event_epoch_s": block.last}
    for place, kind in enumerate(KINDS):
        place = purchases if place == PURCHASES else place
        columns |= {f"{kind}_{span}": block.counts[s, place] for s, span in enumerate(_SPANS)}
    if block.kind != USER_ITEM:
        name = "revenue" if block.kind == ITEM else "spend"
        columns |= {f"{name}_{span}": block.money[s, spend] for s, span in enumerate(_SPANS)}
    if block.kind == USER:
        columns |= {f"mean_price_{span}": _mean_price(block, s) for s, span in ((2, "30d"), (3, "all"))}
        columns["priced_all"] = block.counts[3, PRICED]
    return columns


def _mean_price(block: Block, span: int) -> pa.Array:
    priced = block.counts[span, PRICED]
    return pa.array(block.money[span, CENTS] / np.maximum(priced, 1), mask=priced == 0)


def _rates(counts: Int32) -> Columns:
    """Shares of what was looked at, smoothed by 1 of 20; the last 7 days against the last 30, smoothed by 0.1 a day."""
    views, clicks, carts, _, purchases = counts[2, : len(KINDS)]
    week, month = (span[: len(KINDS)].sum(axis=0) - span[_REMOVALS] for span in (counts[1], counts[2]))
    looked = views + clicks + 20
    return {
        "cart_rate_30d": (carts + 1) / looked,
        "conversion_30d": (purchases + 1) / looked,
        "trend_7d_30d": (week / 7 + 0.1) / (month / 30 + 0.1),
    }
