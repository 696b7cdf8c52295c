"""The change points of items' profiles, from the catalogue: an Ibis expression that runs on DuckDB and Spark alike."""

from datetime import datetime
from typing import Any, Final

import ibis

from pipelines.core.columns import Col

PROFILE: Final = (Col.TITLE, Col.CATEGORY, Col.PRICE, "rating_rate", "rating_count", "in_stock")
"""What item_profile_v1 takes from the catalogue."""


def item_profile(products: Any, events: Any, until: datetime) -> Any:
    """What the catalogue said of an item, a row for each version that changes something.

    The first known version counts from the midnight before the item's first event (there is no older truth), or from
    its own day if that is earlier; an item without events counts from its day, at the latest from ``until``. Later
    versions count from ``valid_from``. ``first_seen_epoch_s`` is the stamp of the first row.
    """
    first = events.group_by(Col.ITEM_ID).aggregate(first_day=events[Col.TIMESTAMP].min().date())
    versions = products.left_join(first, Col.ITEM_ID).select(products, first.first_day)
    # of versions of one moment the last in the order of their values counts: any rule, but always the same
    moments = ibis.window(group_by=[Col.ITEM_ID, "valid_from"], order_by=[ibis.desc(c) for c in PROFILE])
    versions = versions.mutate(place=ibis.row_number().over(moments)).filter(ibis._.place == 0)
    ordered = ibis.window(group_by=Col.ITEM_ID, order_by="valid_from")
    same = [versions[c].identical_to(versions[c].lag().over(ordered)) for c in PROFILE]
    versions = versions.mutate(version=ibis.row_number().over(ordered), unchanged=ibis.and_(*same))
    versions = versions.filter((versions.version == 0) | ~versions.unchanged)
    end = ibis.literal(until.date())
    start = ibis.least(versions.valid_from.date(), versions.first_day.fill_null(end), end)
    t = ibis.ifelse(versions.version == 0, _at_midnight(start), versions.valid_from)
    stamped = versions.mutate(t=t).filter(t <= ibis.literal(until, type="timestamp('UTC', 6)"))
    first_seen = stamped.t.min().over(ibis.window(group_by=Col.ITEM_ID))
    # in a full build a row is created the moment it is about
    return stamped.select(
        Col.ITEM_ID,
        **{Col.EVENT_TIMESTAMP: stamped.t, Col.CREATED_TIMESTAMP: stamped.t},
        **{name: stamped[name] for name in PROFILE},
        first_seen_epoch_s=first_seen.truncate("s").epoch_seconds().cast("int64"),
    )


def _at_midnight(day: Any) -> Any:
    return day.cast("timestamp('UTC', 6)")
