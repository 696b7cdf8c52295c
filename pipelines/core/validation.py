"""From rows of text to canonical events, with every reason why a row can't be one, as Ibis expressions."""

from typing import Any, Final

import ibis
from ibis import _
from ibis.expr import datatypes as dt
from ibis.expr.types import BooleanValue, FloatingValue, StringValue, Table, TimestampValue, Value

from pipelines.core.columns import EVENT_SCHEMA, Col
from pipelines.core.mapping import Filter, SourceMapping, Timestamp

RAW: Final = "raw:"
"""Before the names of the log's own columns."""
BROKEN: Final = "wrong number of fields"
LARGEST_QUANTITY: Final = 1_000_000
LARGEST_PRICE: Final = 1e9
EARLIEST: Final = "1990-01-01 00:00:00"
CLOCK_SKEW_S: Final = 3600
"""How far after its file's arrival an event may claim to be."""
_YEAR_9999_MS: Final = 253_370_764_800_000
_ZONED: Final = r"[0-9](Z|z|\s?[+-][0-9]{2}(:?[0-9]{2})?)$"


@ibis.udf.scalar.builtin(name="try_strptime")
def _try_strptime(text: str, pattern: str) -> dt.Timestamp(scale=6):  # type: ignore[valid-type]
    """The time that ``text`` shows by ``pattern``, or null."""


@ibis.udf.scalar.builtin(name="timezone")
def _in_zone(zone: str, naive: dt.Timestamp(scale=6)) -> dt.Timestamp("UTC", scale=6):  # type: ignore[valid-type]
    """The moment at which clocks in ``zone`` show ``naive``."""


def assess(rows: Table, mapping: SourceMapping, known_items: Table | None) -> Table:
    """Canonical columns beside each row, and ``reasons``: an array of everything that is wrong, empty for a good row.

    Args:
        rows: ``file``, ``line``, ``text`` (null unless the line has the wrong number of fields), ``arrived`` (UTC) and
            the log's columns, prefixed, as text.
        mapping: what the columns mean.
        known_items: ``item_id`` of the shop's catalogue; None where the log itself is the catalogue.
    """
    text = {name: _field(rows, mapping, name) for name in ("user_id", "item_id", "session_id", "device")}
    quantity, price = _field(rows, mapping, "quantity"), _field(rows, mapping, "price")
    when = clean(rows[RAW + mapping.timestamp.column])
    canonical = rows.mutate(
        **text,
        event_id=ibis.coalesce(_field(rows, mapping, "event_id"), content_id(rows)),
        event_type=_event_type(rows, mapping),
        timestamp=parse_time(when, mapping.timestamp),
        quantity=ibis.ifelse(quantity.isnull(), 1.0, number(quantity)),
        price=number(price),
        given_time=when,
        given_price=price,
    )
    checks = [(row_filter.reason, _fails(canonical, row_filter)) for row_filter in mapping.filters]
    checks += _checks(canonical, known_items)
    wrong = ibis.array([ibis.ifelse(test.fill_null(False), reason, ibis.null(str)) for reason, test in checks])
    broken = ibis.ifelse(canonical.text.notnull(), ibis.array([BROKEN]), wrong.filter(lambda reason: reason.notnull()))
    return canonical.mutate(
        reasons=broken,
        quantity=ibis.coalesce(canonical.quantity, 1).try_cast("int64"),
    ).drop("given_time", "given_price")


def _checks(rows: Table, known_items: Table | None) -> list[tuple[str, BooleanValue]]:
    """Reason and test of everything that a canonical event must not be."""
    arrived = rows.arrived + ibis.interval(seconds=CLOCK_SKEW_S)
    quantity, price = rows.quantity, rows.price
    checks = [
        ("missing user_id", rows.user_id.isnull()),
        ("missing item_id", rows.item_id.isnull()),
        ("unknown event_type", rows.event_type.isnull()),
        ("missing timestamp", rows.given_time.isnull()),
        ("unparsable timestamp", rows.given_time.notnull() & rows.timestamp.isnull()),
        ("timestamp in the future", rows.timestamp > arrived),
        ("timestamp before 1990", rows.timestamp < ibis.timestamp(EARLIEST, timezone="UTC")),
        ("quantity is not a whole number", quantity.isnull() | (quantity != quantity.floor())),
        ("quantity below 1", quantity < 1),
        (f"quantity above {LARGEST_QUANTITY}", quantity > LARGEST_QUANTITY),
        ("price is not a number", rows.given_price.notnull() & price.isnull()),
        ("negative price", price < 0),
        ("price out of range", price > LARGEST_PRICE),
        ("undecodable bytes", rows.user_id.contains("\ufffd") | rows.item_id.contains("\ufffd")),
    ]
    if known_items is not None:
        unknown = rows.item_id.notnull() & rows.item_id.notin(known_items.item_id)
        checks.insert(2, ("item_id is not in the catalogue", unknown))
    return checks


def clean(column: Value) -> StringValue:
    """Text without space around it; null where nothing is left."""
    return column.strip().nullif("")


def number(text: StringValue) -> FloatingValue:
    """The number that ``text`` shows; null where it shows none, NaN included."""
    value = text.try_cast("float64")
    return ibis.ifelse(value.isnan(), ibis.null("float64"), value)


def _field(rows: Table, mapping: SourceMapping, field: str) -> StringValue:
    """The text of a canonical field; null where the log has no such column."""
    column = mapping.column(field)
    if column is None or RAW + column.column not in rows.columns:
        return ibis.null(str)
    text = clean(rows[RAW + column.column])
    if suffix := column.strip_suffix:
        text = ibis.ifelse(text.endswith(suffix), text.left(text.length() - len(suffix)), text)
    return text


def content_id(rows: Table) -> StringValue:
    """An event id from the row's own columns alone: the same row has it in every file and every run.

    80 bits of MD5: the chance that any two of 10^9 different rows meet is 10^-6.
    """
    columns = sorted(name for name in rows.columns if name.startswith(RAW))
    return ibis.literal("\x1f").join([rows[name].fill_null("") for name in columns]).hexdigest("md5").left(20)


def _event_type(rows: Table, mapping: SourceMapping) -> StringValue:
    if mapping.event_type.constant is not None:
        return ibis.literal(mapping.event_type.constant)
    given = clean(rows[f"{RAW}{mapping.event_type.column}"]).lower()
    return given.cases(*mapping.event_type.translation.items(), else_=ibis.null(str))


def parse_time(text: StringValue, rule: Timestamp) -> TimestampValue:
    """The moment in UTC, null where ``text`` shows none.

    A local time that the end of summer time repeats is taken in standard time.
    """
    if rule.format == "iso":
        naive = _in_zone(rule.timezone, text.try_cast(dt.Timestamp(scale=6)))
        zoned = text.try_cast(dt.Timestamp("UTC", scale=6))
        return ibis.ifelse(text.re_search(_ZONED), zoned, naive)
    if isinstance(rule.format, str):
        millis = number(text) * {"epoch_s": 1000, "epoch_ms": 1}[rule.format]
        possible = ibis.ifelse(millis.abs() < _YEAR_9999_MS, millis, ibis.null("float64"))
        return possible.round().cast("int64").as_timestamp("ms").cast(dt.Timestamp("UTC", scale=6))
    return _in_zone(rule.timezone, ibis.coalesce(*(_try_strptime(text, pattern) for pattern in rule.format)))


def _fails(rows: Table, row_filter: Filter) -> BooleanValue:
    """Whether a filter's test holds for a row."""
    column = clean(rows[RAW + row_filter.column])
    ((test, operand),) = row_filter.test.items()
    tests: dict[str, Any] = {
        "is_in": lambda: column.isin(operand),
        "starts_with": lambda: column.startswith(operand),
        "matches": lambda: column.re_search(operand),
        "not_matches": lambda: ~column.re_search(operand),
        "empty": lambda: column.isnull() == operand,
        "below": lambda: number(column) < operand,
        "above": lambda: number(column) > operand,
    }
    return tests[test]()


def duplicates(assessed: Table) -> Table:
    """Where each good row stands that repeats the event id of an earlier one, by file and line."""
    good = assessed.filter(_.reasons.length() == 0).select("file", "line", Col.EVENT_ID)
    copy = ibis.row_number().over(group_by=Col.EVENT_ID, order_by=["file", "line"])
    return good.mutate(copy=copy).filter(_.copy > 0).drop("copy").order_by("file", "line")


def unique(assessed: Table, repeated: Table) -> Table:
    """The good rows without those ``repeated``."""
    return assessed.filter(_.reasons.length() == 0).anti_join(repeated, ["file", "line"])


def events(good: Table) -> Table:
    """Canonical events of good rows, by time and id."""
    return good.select(*EVENT_SCHEMA.names).order_by(Col.TIMESTAMP, Col.EVENT_ID)


def quarantine(assessed: Table) -> Table:
    """The bad rows: ``file``, ``line``, ``reasons``, ``text`` of a line without the right fields, the log's columns."""
    own = [name for name in assessed.columns if name.startswith(RAW)]
    taken = {"file", "line", "reasons", "text"}
    names = {(n if (n := name.removeprefix(RAW)).lower() not in taken else f"{n}_"): assessed[name] for name in own}
    bad = assessed.filter(_.reasons.length() > 0)
    return bad.select("file", "line", "reasons", "text", **names).order_by("file", "line")


def by_file(assessed: Table, repeated: Table) -> Table:
    """Rows, bad rows and duplicates of each file."""
    total = assessed.group_by("file").agg(rows=_.count(), quarantined=(_.reasons.length() > 0).sum())
    again = repeated.group_by("file").agg(duplicates=_.count())
    joined = total.left_join(again, "file").select("file", "rows", "quarantined", "duplicates")
    return joined.mutate(duplicates=_.duplicates.fill_null(0)).order_by("file")


def by_reason(assessed: Table) -> Table:
    """How many rows each reason keeps out; a row with two counts twice."""
    reasons = assessed.select(reason=assessed.reasons.unnest())
    return reasons.group_by("reason").agg(rows=_.count()).order_by(ibis.desc("rows"), "reason")
