"""The catalogue in canonical form: checked entries of an API's snapshots, or derived from the log."""

import math
from typing import Any

import ibis
from ibis import _
from ibis.expr.types import Table

from pipelines.core.columns import Col
from pipelines.core.lake.validation import clean, number

Product = dict[str, Any]


def check_product(given: Any) -> tuple[Product, list[str]]:
    """A canonical product (without ``valid_from``) from FakeStore's or DummyJSON's shape, and what is wrong with it."""
    entry: Product = given if isinstance(given, dict) else {}
    rating = entry.get("rating")
    rate, count = (rating.get("rate"), rating.get("count")) if isinstance(rating, dict) else (rating, None)
    product = {
        Col.ITEM_ID: _text(entry.get("id")),
        Col.TITLE: _text(entry.get("title")),
        Col.CATEGORY: _text(entry.get("category")),
        Col.PRICE: _number(entry.get("price")),
        "description": _text(entry.get("description")),
        "image": _text(entry.get("image") or entry.get("thumbnail")),
        "rating_rate": _number(rate),
        "rating_count": int(n) if (n := _number(count)) is not None else None,
        "in_stock": _in_stock(entry),
    }
    if not isinstance(given, dict):
        return product, ["not an object"]
    return product, [reason for reason, wrong in _wrong(entry, product, rate, count) if wrong]


def _wrong(given: Product, product: Product, rate: Any, count: Any) -> list[tuple[str, bool]]:
    price, stars = product[Col.PRICE], product["rating_rate"]
    stock, said = given.get("stock"), given.get("in_stock")
    odd_id, odd_title = _is_odd(given.get("id")), _is_odd(given.get("title"))
    return [
        ("id is neither text nor a number", odd_id),
        ("missing id", product[Col.ITEM_ID] is None and not odd_id),
        ("title is not text", odd_title),
        ("missing title", product[Col.TITLE] is None and not odd_title),
        ("category is not text", _is_odd(given.get("category"))),
        ("price is not a number", price is None and given.get("price") is not None),
        ("negative price", price is not None and price < 0),
        ("rating is not between 0 and 5", rate is not None and not (stars is not None and 0 <= stars <= 5)),
        ("rating count is not a number", count is not None and product["rating_count"] is None),
        ("stock is not a number", stock is not None and _number(stock) is None),
        ("in_stock is neither true nor false", said is not None and not isinstance(said, bool)),
    ]


def _is_odd(value: Any) -> bool:
    """Whether a value is there, but neither text nor a number that may stand for it."""
    if value is None or isinstance(value, str):
        return False
    return isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value)


def _text(value: Any) -> str | None:
    if isinstance(value, str):
        return value.strip() or None
    return str(value) if isinstance(value, int | float) and not isinstance(value, bool) else None


def _number(value: Any) -> float | None:
    if value is None or isinstance(value, bool):
        return None
    try:
        number = float(value)
    except (TypeError, ValueError, OverflowError):
        return None
    return number if abs(number) < 1e12 else None


def _in_stock(given: Product) -> bool:
    """FakeStore says nothing (on sale, then), DummyJSON a number, the simulated shop a yes or no."""
    if isinstance(said := given.get("in_stock"), bool):
        return said
    stock = _number(given.get("stock"))
    return stock is None or stock > 0


def from_log(good: Table, title: str, price: str | None) -> Table:
    """The catalogue that the log itself shows, as of the end of each day on which it changed.

    An item's title is the most frequent one so far (of equally frequent ones the first by alphabet; its id where it
    has none), its price the last positive one so far. ``valid_from`` is the midnight after the day: nothing of a day
    is known before it is over.

    Args:
        good: ``item_id``, ``timestamp``, ``file``, ``line`` and the text columns ``title`` and ``price``.
        title: the column that names the item.
        price: the column of the unit price, if there is one.
    """
    rows = good.select(
        Col.ITEM_ID,
        day=good.timestamp.truncate("D"),
        at=good.timestamp,
        order=ibis.struct({"file": good.file, "line": good.line}),
        given=clean(good[title]),
        paid=number(clean(good[price])) if price else ibis.null("float64"),
    )
    days = rows.select(Col.ITEM_ID, "day").distinct()
    state = days.left_join(_titles(rows, days), [Col.ITEM_ID, "day"]).select(days, "title")
    prices = _prices(rows)
    state = state.left_join(prices, [Col.ITEM_ID, "day"]).select(state, "paid")
    so_far = ibis.window(group_by=Col.ITEM_ID, order_by="day", preceding=None, following=0)
    state = state.mutate(title=ibis.coalesce(_.title, _[Col.ITEM_ID]), price=_.paid.last().over(so_far))
    by_item = ibis.window(group_by=Col.ITEM_ID, order_by="day")
    before = state.mutate(was_title=_.title.lag().over(by_item), was_price=_.price.lag().over(by_item))
    changed = before.filter(~_.title.identical_to(_.was_title) | ~_.price.identical_to(_.was_price))
    return changed.select(
        Col.ITEM_ID,
        Col.TITLE,
        category=ibis.null(str),
        price=_.price,
        description=ibis.null(str),
        image=ibis.null(str),
        rating_rate=ibis.null("float64"),
        rating_count=ibis.null("int64"),
        in_stock=ibis.literal(True),
        valid_from=_.day + ibis.interval(days=1),
    ).order_by(Col.ITEM_ID, "valid_from")


def _titles(rows: Table, days: Table) -> Table:
    """The most frequent title of each item up to the end of each of its days."""
    counted = rows.filter(_.given.notnull()).group_by(Col.ITEM_ID, "given", "day").agg(n=_.count())
    names = counted.select(Col.ITEM_ID, "given").distinct()
    grid = days.inner_join(names, Col.ITEM_ID).select(Col.ITEM_ID, "day", "given")
    daily = grid.left_join(counted, [Col.ITEM_ID, "given", "day"]).select(grid, "n")
    so_far = ibis.window(group_by=[Col.ITEM_ID, "given"], order_by="day", preceding=None, following=0)
    running = daily.mutate(seen=_.n.sum().over(so_far)).filter(_.seen > 0)
    best = ibis.row_number().over(group_by=[Col.ITEM_ID, "day"], order_by=[ibis.desc("seen"), "given"])
    return running.mutate(best=best).filter(_.best == 0).select(Col.ITEM_ID, "day", title=_.given)


def _prices(rows: Table) -> Table:
    """The last positive price of each item on each day that has one."""
    last = ibis.row_number().over(group_by=[Col.ITEM_ID, "day"], order_by=[ibis.desc("at"), ibis.desc("order")])
    return rows.filter(_.paid > 0).mutate(last=last).filter(_.last == 0).select(Col.ITEM_ID, "day", "paid")
