"""How a shop's log maps to canonical events: the typed form of ``pipelines/sources/*.yaml``."""

import codecs
import re
from typing import Annotated, Any, Final, Literal, Self
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, model_validator

from pipelines.core.columns import EVENT_TYPES
from pipelines.core.errors import ConfigError

LIVE_COLUMNS: Final = {
    "event_id": "event_id",
    "user_id": "user_id",
    "item_id": "product_id",
    "event_type": "event_type",
    "timestamp": "timestamp",
    "session_id": "session_id",
    "device": "device",
    "quantity": "quantity",
    "price": "price",
}
"""Canonical field → column of files of live events, in RecoMart's own layout."""


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", populate_by_name=True)


def _codec(name: str) -> str:
    try:
        codecs.lookup(name)
    except LookupError:
        raise ValueError(f"Python knows no encoding {name!r}") from None
    return name


class Format(_Frozen):
    """The form of CSV files; Parquet needs none. ``encoding`` is a Python codec.

    With a decimal comma, points group digits: ``1.234,50``.
    """

    delimiter: Annotated[str, Field(min_length=1, max_length=1)] = ","
    encoding: Annotated[str, AfterValidator(_codec)] = "utf-8"
    decimal: Literal[".", ","] = "."


class Column(_Frozen):
    """A column of the log; ``strip_suffix`` goes from the end of its values (``"17850.0"`` → ``"17850"``)."""

    column: str = Field(min_length=1)
    strip_suffix: str = ""


def _named(value: Any) -> Any:
    return {"column": value} if isinstance(value, str) else value


OneColumn = Annotated[Column, BeforeValidator(_named)]


class Columns(_Frozen):
    """Which column of the log holds which canonical field, beside event type and timestamp."""

    user_id: OneColumn
    item_id: OneColumn
    event_id: OneColumn | None = None
    session_id: OneColumn | None = None
    device: OneColumn | None = None
    quantity: OneColumn | None = None
    price: OneColumn | None = None


class EventType(_Frozen):
    """Every row's event type: ``constant``, or a column whose values may be translated (case doesn't matter)."""

    constant: Literal["view", "click", "add_to_cart", "remove_from_cart", "purchase"] | None = None
    column: str | None = None
    values: dict[str, Literal["view", "click", "add_to_cart", "remove_from_cart", "purchase"]] = {}

    @model_validator(mode="after")
    def _one_way(self) -> Self:
        if (self.constant is None) == (self.column is None):
            raise ValueError("give either constant or column")
        return self

    @property
    def translation(self) -> dict[str, str]:
        """Lower-case value of the log → canonical event type."""
        given: dict[str, str] = {key.lower(): value for key, value in self.values.items()}
        return given or {name: name for name in EVENT_TYPES}


def _zone(name: str) -> str:
    try:
        ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError):
        raise ValueError(f"no such time zone: {name}") from None
    return name


class Timestamp(_Frozen):
    """The time column. ``format``: iso, epoch_s, epoch_ms, or strptime patterns tried in order.

    ``timezone`` is that of values that don't name an offset themselves.
    """

    column: str
    format: Literal["iso", "epoch_s", "epoch_ms"] | list[str] = "iso"
    timezone: Annotated[str, AfterValidator(_zone)] = "UTC"


def _regex(pattern: str) -> str:
    try:
        re.compile(pattern)
    except re.error as error:
        raise ValueError(f"not a regular expression: {error}") from None
    return pattern


Regex = Annotated[str, AfterValidator(_regex)]


class Test(_Frozen):
    """Exactly one test on one column of the log."""

    column: str
    is_in: list[str] | None = None
    starts_with: str | None = None
    matches: Regex | None = None
    not_matches: Regex | None = None
    empty: bool | None = None
    below: float | None = None
    above: float | None = None

    @model_validator(mode="after")
    def _one_test(self) -> Self:
        if len(self.test) != 1:
            raise ValueError("give exactly one of is_in, starts_with, matches, not_matches, empty, below, above")
        return self

    @property
    def test(self) -> dict[str, Any]:
        """The one test: its name and operand."""
        return self.model_dump(include=set(Test.model_fields) - {"column"}, exclude_none=True)


class Filter(Test):
    """Rows of the log that are no events of a recommender, and the reason to record."""

    reason: str = Field(min_length=1)


class Catalogue(_Frozen):
    """Where titles and prices come from: the shop's API, or columns of the log itself."""

    origin: Literal["api", "log"] = Field(alias="from")
    title: str | None = None
    price: str | None = None

    @model_validator(mode="after")
    def _columns(self) -> Self:
        if self.origin == "log" and self.title is None:
            raise ValueError("from: log needs title, the column of the log that names the item")
        if self.origin == "api" and (self.title or self.price):
            raise ValueError("from: api takes neither title nor price")
        return self


class Checks(_Frozen):
    """What the newest complete day must be like; ``stop_on`` names those whose failure ends the run, others warn.

    ``max_age_days``: how old the newest event may be when the newest file arrives (None: not checked).
    ``volume``: least and most events of the day as multiples of the mean of the seven days before.
    ``max_drift``: the largest population stability index of a column's distribution against those seven days.
    """

    max_age_days: Annotated[float | None, Field(gt=0)] = None
    volume: tuple[Annotated[float, Field(ge=0)], Annotated[float, Field(gt=0)]] = (0.1, 10.0)
    max_drift: Annotated[float, Field(gt=0)] = 0.25
    stop_on: list[Literal["freshness", "volume", "drift"]] = ["volume"]


class SourceMapping(_Frozen):
    """How one shop's log maps to canonical events. See ``data/README.md`` for each field."""

    name: str = Field(pattern=r"^[a-z0-9][a-z0-9-]*$")
    format: Format = Format()
    columns: Columns
    optional: list[Literal["event_id", "session_id", "device", "quantity", "price"]] = []
    event_type: EventType
    timestamp: Timestamp
    filters: list[Filter] = []
    cancellations: Test | None = None
    currency: str = Field("EUR", pattern=r"^[A-Z]{3}$")
    catalogue: Catalogue
    max_bad_share: float = Field(0.1, ge=0, le=1)
    checks: Checks = Checks()

    @classmethod
    def parse(cls, value: Any, origin: str) -> "SourceMapping":
        """Check a mapping read from ``origin``.

        Raises:
            ConfigError: a field is missing, unknown or wrong; the text names file and field.
        """
        try:
            return cls.model_validate(value)
        except ValidationError as error:
            first = error.errors()[0]
            field = ".".join(str(part) for part in first["loc"]) or "the mapping"
            raise ConfigError(f"{origin}: {field}: {first['msg']}") from None

    def live(self) -> "SourceMapping":
        """How the same shop's live events are read: RecoMart's own layout, whatever that of its log."""
        columns = {name: column for name, column in LIVE_COLUMNS.items() if name in Columns.model_fields}
        return SourceMapping(
            name=self.name,
            columns=Columns.model_validate(columns),
            optional=["session_id", "device", "quantity", "price"],
            event_type=EventType(column=LIVE_COLUMNS["event_type"]),
            timestamp=Timestamp(column=LIVE_COLUMNS["timestamp"]),
            currency=self.currency,
            catalogue=Catalogue.model_validate({"from": "api"}),  # such a file has no titles
            max_bad_share=self.max_bad_share,
            checks=self.checks,
        )

    def column(self, field: str) -> Column | None:
        """The column of the log behind a canonical field of ``columns``."""
        found: Column | None = getattr(self.columns, field)
        return found

    @property
    def required(self) -> list[str]:
        """Columns that every file of the log must have."""
        fields = [name for name in Columns.model_fields if name not in self.optional]
        names = [column.column for name in fields if (column := self.column(name))]
        names += [self.timestamp.column, *(f.column for f in self.filters)]
        names += [self.cancellations.column] if self.cancellations else []
        names += [name for name in (self.event_type.column, self.catalogue.title, self.catalogue.price) if name]
        return list(dict.fromkeys(names))
