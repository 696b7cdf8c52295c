"""The expectation suites, as code: what a table must be like, and what a failure does.

A critical expectation stops the run when it fails, one of severity warning is only told.
"""

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from pipelines.core.columns import CANCELLATION_SCHEMA, EVENT_SCHEMA, EVENT_TYPES, PRODUCT_SCHEMA, Col
from pipelines.core.lake.mapping import SourceMapping
from pipelines.core.lake.validation import CLOCK_SKEW_S, LARGEST_PRICE, LARGEST_QUANTITY
from pipelines.io.quality.judged import DRIFTING, Judged

STOP: Final = "critical"
WARN: Final = "warning"
LONGEST_TEXT: Final = 256
"""Characters of a session id or of a device's name."""

TABLES: Final = {
    "data set": "data_set",
    "files": "files",
    "events": "events",
    "cancellations": "cancellations",
    "products": "products",
    "newest day": "newest_day",
}
"""Suite → the table that it judges."""

_TYPES: Final = {"string": "VARCHAR", "int64": "BIGINT", "double": "DOUBLE", "bool": "BOOLEAN"}


def declare(gxe: Any, judged: Judged, summary: Mapping[str, Any], mapping: SourceMapping) -> dict[str, list[Any]]:
    """Suite → its expectations, of Great Expectations' module ``gxe``."""
    latest = judged.arrival + timedelta(seconds=CLOCK_SKEW_S)
    return {
        "data set": _data_set(gxe, mapping.max_bad_share),
        "files": [
            gxe.ExpectColumnValuesToBeBetween(
                column="bad_share",
                max_value=mapping.max_bad_share,
                severity=WARN,
                description=f"no file has more than {100 * mapping.max_bad_share:g} % bad rows",
            )
        ],
        "events": [
            *_common(gxe, EVENT_SCHEMA, latest, summary["events"], "events"),
            gxe.ExpectColumnValuesToBeInSet(
                column=Col.EVENT_TYPE,
                value_set=list(EVENT_TYPES),
                description=f"event_type is one of {', '.join(EVENT_TYPES)}",
            ),
            gxe.UnexpectedRowsExpectation(
                unexpected_rows_query=(
                    "SELECT event_id FROM {batch} WHERE hash(event_id) IN (SELECT hash FROM repeated) "
                    "GROUP BY event_id HAVING count(*) > 1"
                ),
                description="event_id is unique",
            ),
            gxe.UnexpectedRowsExpectation(
                unexpected_rows_query="SELECT item_id FROM {batch} WHERE item_id IN (SELECT item_id FROM unlisted)",
                description="every item_id of an event is a product's",
            ),
        ],
        "cancellations": _common(gxe, CANCELLATION_SCHEMA, latest, summary["cancellations"], "cancellations"),
        "products": _products(gxe),
        "newest day": _newest_day(gxe, judged, mapping),
    }


def not_judged(judged: Judged, mapping: SourceMapping) -> dict[str, str]:
    """Measure of the newest day → why it isn't judged, in words; without those that are."""
    reasons = {} if mapping.checks.max_age_days else {"age_days": "the mapping sets no max_age_days"}
    if judged.newest_event is None:
        reasons["age_days"] = "there is no event"
    compared = ["volume", *(f"drift_{name}" for name in DRIFTING)]
    if judged.day is None:
        return reasons | dict.fromkeys(compared, "no day with events was over when the newest file arrived")
    if not judged.day.comparable:
        few = f"only {len(judged.day.before)} of the 7 days before {judged.day.day} have events, 3 are needed"
        return reasons | dict.fromkeys(compared, few)
    for name in DRIFTING:
        if name not in judged.drifts:
            reasons[f"drift_{name}"] = "it has no two different values"
        elif judged.drifts[name].chance > mapping.checks.max_drift:
            reasons[f"drift_{name}"] = "too few users to tell drift from chance"
    return reasons


def details(judged: Judged) -> dict[str, dict[str, Any]]:
    """Measure of the newest day → what is behind its value."""
    day = judged.day
    if day is None or not day.comparable:
        return {}
    compared = {"day": day.day.isoformat(), "days_before": len(day.before)}
    drifts = {
        f"drift_{name}": compared | {"bins": found.bins, "moved": list(found.moved)}
        for name, found in judged.drifts.items()
    }
    waiting = {later.isoformat(): events for later, events in day.waiting.items()}
    return drifts | {"volume": compared | {"events": day.events, "mean_before": day.mean, "waiting": waiting}}


def _data_set(gxe: Any, max_bad_share: float) -> list[Any]:
    return [
        gxe.ExpectColumnValuesToBeBetween(column="good", min_value=1, description="at least one row is good"),
        gxe.ExpectColumnValuesToBeBetween(
            column="bad_share",
            max_value=max_bad_share,
            description=f"at most {100 * max_bad_share:g} % of the rows are bad",
        ),
        gxe.ExpectColumnPairValuesToBeEqual(
            column_A="rows", column_B="accounted_for", description="rows in = good + quarantined + duplicates"
        ),
    ]


def _common(gxe: Any, schema: Any, latest: datetime, rows: int, what: str) -> list[Any]:
    """What events and cancellations have in common. Timestamps are those of files that arrived before ``latest``."""
    return [
        *_form(gxe, schema),
        gxe.ExpectTableRowCountToEqual(value=rows, description=f"there are as many {what} as were counted: {rows:,}"),
        gxe.ExpectColumnValuesToBeBetween(
            column=Col.TIMESTAMP,
            min_value=datetime(1990, 1, 1, tzinfo=UTC),
            max_value=latest,
            description=f"timestamp is from 1990 on and not after {latest:%Y-%m-%d %H:%M} UTC, an hour after the "
            "newest file arrived",
        ),
        _between(gxe, Col.QUANTITY, 1, LARGEST_QUANTITY),
        _between(gxe, Col.PRICE, 0, LARGEST_PRICE),
        *(
            gxe.ExpectColumnValueLengthsToBeBetween(
                column=name,
                min_value=1,
                max_value=LONGEST_TEXT,
                severity=WARN,
                description=f"{name} has 1 to {LONGEST_TEXT} characters",
            )
            for name in (Col.SESSION_ID, Col.DEVICE)
        ),
    ]


def _products(gxe: Any) -> list[Any]:
    return [
        *_form(gxe, PRODUCT_SCHEMA),
        gxe.ExpectCompoundColumnsToBeUnique(
            column_list=[Col.ITEM_ID, "valid_from"], description="an item has one state at a time"
        ),
        _between(gxe, Col.PRICE, 0, LARGEST_PRICE),
        _between(gxe, "rating_rate", 0, 5),
        _between(gxe, "rating_count", 0, None),
    ]


def _form(gxe: Any, schema: Any) -> list[Any]:
    """The columns in order, their types, and values in those that need one."""
    return [
        gxe.ExpectTableColumnsToMatchOrderedList(
            column_list=schema.names, description="the columns are those of the data dictionary, in order"
        ),
        *(
            gxe.ExpectColumnValuesToBeOfType(
                column=field.name,
                type_=_TYPES.get(str(field.type), "TIMESTAMP"),
                description=f"{field.name} is of type {str(field.type).replace('[us, tz=UTC]', ' in UTC')}",
            )
            for field in schema
        ),
        *(
            gxe.ExpectColumnValuesToNotBeNull(column=field.name, description=f"{field.name} is never missing")
            for field in schema
            if not field.nullable
        ),
    ]


def _between(gxe: Any, column: str, low: float, high: float | None) -> Any:
    bounds = f"at least {low:g}" if high is None else f"between {low:g} and {high:,.0f}"
    return gxe.ExpectColumnValuesToBeBetween(
        column=column, min_value=low, max_value=high, description=f"{column} is {bounds}"
    )


def _newest_day(gxe: Any, judged: Judged, mapping: SourceMapping) -> list[Any]:
    """An expectation for each measure of the newest day that can be judged."""
    checks = mapping.checks
    least, most = checks.volume
    kinds = {"age_days": "freshness", "volume": "volume"} | {f"drift_{name}": "drift" for name in DRIFTING}
    limits = {"age_days": (None, checks.max_age_days), "volume": (least, most)}
    words = {
        "age_days": f"the newest event is at most {checks.max_age_days:g} days older than the newest file"
        if checks.max_age_days
        else "",
        "volume": f"the newest day has {least:g} to {most:g} times the events of a day of the week before",
    }
    skipped = not_judged(judged, mapping)
    return [
        gxe.ExpectColumnMaxToBeBetween(
            column=name,
            min_value=limits.get(name, (None, checks.max_drift))[0],
            max_value=limits.get(name, (None, checks.max_drift))[1],
            severity=STOP if kind in checks.stop_on else WARN,
            description=words.get(name, f"{name.removeprefix('drift_')} is spread as in the week before"),
        )
        for name, kind in kinds.items()
        if name not in skipped
    ]
