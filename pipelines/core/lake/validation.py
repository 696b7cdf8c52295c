"""From rows of text to canonical events, with every reason why a row can't be one, as Ibis expressions."""

from typing import Any, Final

import ibis
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from ibis.expr import datatypes as dt
from ibis.expr.types import BooleanValue, FloatingValue, StringValue, Table, TimestampValue, Value
from numpy.typing import NDArray

from pipelines.core.columns import EVENT_SCHEMA, Col
from pipelines.core.lake.mapping import SourceMapping, Test, Timestamp

RAW: Final = "raw:"
"""Before the names of the log's own columns."""
BROKEN: Final = "wrong number of fields"
LARGEST_QUANTITY: Final = 1_000_000
LARGEST_PRICE: Final = 1e9
EARLIEST: Final = "1990-01-01 00:00:00"
CLOCK_SKEW_S: Final = 3600
"""How far after its file's arrival an event may claim to be."""
REPAIR_COLUMNS: Final = (f"{RAW}_file", f"{RAW}_line")
"""Which quarantined row a row of a repairs file stands for; no part of the row itself."""
NOT_LISTED: Final = "item_id is not in the catalogue"
OWN_REASONS: Final = (
    "missing user_id",
    "missing item_id",
    NOT_LISTED,
    "unknown event_type",
    "missing timestamp",
    "unparsable timestamp",
    "timestamp in the future",
    "timestamp before 1990",
    "quantity is not a whole number",
    "quantity below 1",
    f"quantity above {LARGEST_QUANTITY}",
    "price is not a number",
    "negative price",
    "price out of range",
    "undecodable bytes",
)
_YEAR_9999_MS: Final = 253_370_764_800_000
_ZONED: Final = r"[0-9](Z|z|\s?[+-][0-9]{2}(:?[0-9]{2})?)$"


@ibis.udf.scalar.builtin(name="try_strptime")
def _try_strptime(text: str, pattern: str) -> dt.Timestamp(scale=6):  # type: ignore[valid-type]
    """The time that ``text`` shows by ``pattern``, or null."""


@ibis.udf.scalar.builtin(name="timezone")
def _in_zone(zone: str, naive: dt.Timestamp(scale=6)) -> dt.Timestamp("UTC", scale=6):  # type: ignore[valid-type]
    """The moment at which clocks in ``zone`` show ``naive``."""


def reasons(mapping: SourceMapping) -> list[str]:
    """Every reason why a row may be refused; its place is its bit in ``wrong``."""
    return [
        BROKEN,
        *(row_filter.reason for row_filter in mapping.filters),
        *(reason for reason in OWN_REASONS if reason != NOT_LISTED or mapping.catalogue.origin == "api"),
    ]


def explain(wrong: NDArray[np.int64], names: list[str]) -> pa.ListArray:
    """The reasons behind each bit set in ``wrong``, in the order of ``names``."""
    rows, bits = np.nonzero(wrong[:, None] >> np.arange(len(names)) & 1)
    ends = np.searchsorted(rows, np.arange(len(wrong) + 1)).astype(np.int32)
    return pa.ListArray.from_arrays(ends, pa.array(names, pa.string()).take(pa.array(bits)))


def trimmed(rows: pa.Table) -> pa.Table:
    """The log's columns without space around their values; null where nothing is left."""
    for place, name in enumerate(rows.column_names):
        if name.startswith(RAW):
            text = pc.ascii_trim_whitespace(rows[name])
            rows = rows.set_column(place, name, pc.if_else(pc.equal(text, ""), None, text))
    return rows


def assess(rows: Table, mapping: SourceMapping, known_items: Table | None) -> Table:
    """Canonical columns of each row, and ``wrong``: an int64 with a bit for everything that is wrong; 0 is a good row.

    ``is_cancellation`` tells the rows that take a purchase back; their quantity is the pieces that came back.

    Args:
        rows: ``line``, ``text`` (null unless the line has the wrong number of fields), ``arrived`` (UTC) and the log's
            columns, prefixed, as ``trimmed`` leaves them.
        mapping: what the columns mean.
        known_items: ``item_id`` of the shop's catalogue; None where the log itself is the catalogue.
    """
    ids = {name: _field(rows, mapping, name) for name in ("user_id", "item_id", "session_id", "device")}
    quantity, price = _field(rows, mapping, "quantity"), _field(rows, mapping, "price")
    cancels = ibis.literal(False)
    if mapping.cancellations:
        cancels = _test(rows, mapping.cancellations, mapping).fill_null(False)
    pieces = ibis.ifelse(quantity.isnull(), 1.0, number(quantity, mapping))
    when = rows[RAW + mapping.timestamp.column]
    canonical = rows.mutate(
        **ids,
        event_id=ibis.coalesce(_field(rows, mapping, "event_id"), content_id(rows)),
        event_type=_event_type(rows, mapping),
        timestamp=parse_time(when, mapping.timestamp),
        is_cancellation=cancels,
        quantity=ibis.ifelse(cancels & (pieces < 0), -pieces, pieces),
        price=number(price, mapping),
        given_time=when,
        given_price=price,
    )
    tests = {f.reason: _test(canonical, f, mapping) for f in mapping.filters} | _tests(canonical, known_items)
    # a line without the right fields is only that; nothing else can be said of it
    bits = [
        ibis.ifelse(tests[name], ibis.literal(1 << bit, "int64"), 0)
        for bit, name in enumerate(reasons(mapping))
        if name != BROKEN
    ]
    wrong = ibis.ifelse(canonical.text.notnull(), 1, sum(bits[1:], bits[0]))
    return canonical.select(
        "line",
        *EVENT_SCHEMA.names[: EVENT_SCHEMA.get_field_index(Col.QUANTITY)],
        quantity=ibis.coalesce(canonical.quantity, 1).try_cast("int64"),
        price=canonical.price,
        is_cancellation=canonical.is_cancellation,
        wrong=wrong.cast("!int64"),
    )


def _tests(rows: Table, known_items: Table | None) -> dict[str, BooleanValue]:
    """Reason -> test of everything that a canonical event must not be."""
    arrived = rows.arrived + ibis.interval(seconds=CLOCK_SKEW_S)
    quantity, price = rows.quantity, rows.price
    tests = [
        rows.user_id.isnull(),
        rows.item_id.isnull(),
        ibis.literal(False) if known_items is None else rows.item_id.notin(known_items.item_id),
        rows.event_type.isnull() & ~rows.is_cancellation,
        rows.given_time.isnull(),
        rows.given_time.notnull() & rows.timestamp.isnull(),
        rows.timestamp > arrived,
        rows.timestamp < ibis.timestamp(EARLIEST, timezone="UTC"),
        quantity.isnull() | (quantity != quantity.floor()),
        quantity < 1,
        quantity > LARGEST_QUANTITY,
        rows.given_price.notnull() & price.isnull(),
        price < 0,
        price > LARGEST_PRICE,
        rows.user_id.contains("\ufffd") | rows.item_id.contains("\ufffd"),
    ]
    return dict(zip(OWN_REASONS, tests, strict=True))


def clean(column: Value) -> StringValue:
    """Text without space around it; null where nothing is left."""
    return column.strip().nullif("")


def number(text: StringValue, mapping: SourceMapping | None = None) -> FloatingValue:
    """The number that ``text`` shows, by the mapping's decimal sign; null where it shows none, NaN included."""
    if mapping is not None and mapping.format.decimal == ",":
        text = text.replace(".", "").replace(",", ".")
    value = text.try_cast("float64")
    return ibis.ifelse(value.isnan(), ibis.null("float64"), value)


def _field(rows: Table, mapping: SourceMapping, field: str) -> StringValue:
    """The text of a canonical field; null where the log has no such column."""
    column = mapping.column(field)
    if column is None or RAW + column.column not in rows.columns:
        return ibis.null(str)
    text = rows[RAW + column.column]
    if suffix := column.strip_suffix:
        text = ibis.ifelse(text.endswith(suffix), text.left(text.length() - len(suffix)), text)
    return text


def content_id(rows: Table) -> StringValue:
    """An event id from the row's own columns alone: the same row has it in every file and every run.

    80 bits of MD5: the chance that any two of 10^9 different rows meet is 10^-6.
    """
    columns = sorted(name for name in rows.columns if name.startswith(RAW) and name not in REPAIR_COLUMNS)
    return ibis.literal("\x1f").join([rows[name].fill_null("") for name in columns]).hexdigest("md5").left(20)


def _event_type(rows: Table, mapping: SourceMapping) -> StringValue:
    if mapping.event_type.constant is not None:
        return ibis.literal(mapping.event_type.constant)
    given = rows[f"{RAW}{mapping.event_type.column}"].lower()
    return given.cases(*mapping.event_type.translation.items(), else_=ibis.null(str))


def parse_time(text: StringValue, rule: Timestamp) -> TimestampValue:
    """The moment in UTC, null where ``text`` shows none.

    A local time that the end of summer time repeats is taken in standard time.
    """
    if rule.format == "iso" and rule.timezone == "UTC":  # the engine's own zone: no need to tell the two apart
        return text.try_cast(dt.Timestamp("UTC", scale=6))
    if rule.format == "iso":
        naive = _in_zone(rule.timezone, text.try_cast(dt.Timestamp(scale=6)))
        zoned = text.try_cast(dt.Timestamp("UTC", scale=6))
        return ibis.ifelse(text.re_search(_ZONED), zoned, naive)
    if isinstance(rule.format, str):
        millis = number(text) * {"epoch_s": 1000, "epoch_ms": 1}[rule.format]
        possible = ibis.ifelse(millis.abs() < _YEAR_9999_MS, millis, ibis.null("float64"))
        return possible.round().cast("int64").as_timestamp("ms").cast(dt.Timestamp("UTC", scale=6))
    return _in_zone(rule.timezone, ibis.coalesce(*(_try_strptime(text, pattern) for pattern in rule.format)))


def _test(rows: Table, rule: Test, mapping: SourceMapping) -> BooleanValue:
    """Whether a mapping's test holds for a row."""
    column = rows[RAW + rule.column]
    ((test, operand),) = rule.test.items()
    tests: dict[str, Any] = {
        "is_in": lambda: column.isin(operand),
        "starts_with": lambda: column.startswith(operand),
        "matches": lambda: column.re_search(operand),
        "not_matches": lambda: ~column.re_search(operand),
        "empty": lambda: column.isnull() == operand,
        "below": lambda: number(column, mapping) < operand,
        "above": lambda: number(column, mapping) > operand,
    }
    return tests[test]()
