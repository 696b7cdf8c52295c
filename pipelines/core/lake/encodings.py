"""Codes for words and scales for numbers, fitted once and the same wherever they are applied."""

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

import pyarrow as pa
import pyarrow.compute as pc

from pipelines.core.columns import Col

CODED: Final = (Col.EVENT_TYPE, Col.DEVICE, Col.CATEGORY)
SCALED: Final = (Col.PRICE, Col.QUANTITY)
UNIT: Final = 10_000
"""Logarithms are summed as whole ten-thousandths: the same sum in whatever order the rows come."""


@dataclass(frozen=True)
class Sums:
    """``n`` logarithms, log(1 + x), in units of 1 / UNIT: their sum and the sum of their squares."""

    n: int = 0
    total: int = 0
    squares: int = 0

    @classmethod
    def of(cls, numbers: pa.ChunkedArray) -> "Sums":
        """The sums of numbers (0 or more; nulls don't count)."""
        logs = pc.round(pc.multiply(pc.log1p(numbers.cast(pa.float64())), float(UNIT))).cast(pa.int64())
        total, squares = pc.sum(logs).as_py(), pc.sum(pc.multiply(logs, logs)).as_py()
        return cls(len(logs) - logs.null_count, total or 0, squares or 0)

    def __add__(self, other: "Sums") -> "Sums":
        return Sums(self.n + other.n, self.total + other.total, self.squares + other.squares)


@dataclass(frozen=True)
class Encodings:
    """What turns words into codes and numbers into standard scores, and the time that all it knows is from."""

    fitted_before: datetime
    codes: Mapping[str, tuple[str, ...]]
    """Column -> its values in order; the first has code 1. Code 0 is a missing value or one that came later."""
    scales: Mapping[str, tuple[float, float]]
    """Column -> mean and standard deviation of log(1 + x)."""

    def apply(self, table: pa.Table) -> pa.Table:
        """Add ``<column>_code`` (int32) and ``<column>_scaled`` (float64; null where the number is) to ``table``."""
        for name, values in self.codes.items():
            table = table.append_column(f"{name}_code", _codes(table[name], pa.array(values, pa.string())))
        for name, (mean, deviation) in self.scales.items():
            log = pc.log1p(table[name].cast(pa.float64()))
            table = table.append_column(f"{name}_scaled", pc.divide(pc.subtract(log, mean), deviation))
        return table

    def to_json(self) -> dict[str, Any]:
        """A form that JSON can hold."""
        return {
            "fitted_before": self.fitted_before.isoformat(),
            "codes": {name: {value: n for n, value in enumerate(values, 1)} for name, values in self.codes.items()},
            "scales": {
                name: {"of": "log(1 + x)", "mean": mean, "standard_deviation": deviation}
                for name, (mean, deviation) in self.scales.items()
            },
        }

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> "Encodings":
        """What ``to_json`` gave."""
        codes = {name: tuple(sorted(table, key=table.__getitem__)) for name, table in value["codes"].items()}
        scales = {name: (s["mean"], s["standard_deviation"]) for name, s in value["scales"].items()}
        return cls(
            datetime.fromisoformat(value["fitted_before"]),
            {name: codes[name] for name in CODED},
            {name: scales[name] for name in SCALED},
        )


def fit(fitted_before: datetime, values: Mapping[str, Iterable[str | None]], sums: Mapping[str, Sums]) -> Encodings:
    """Encodings from what was seen before ``fitted_before``: the values of each CODED and the sums of each SCALED."""
    codes = {name: tuple(sorted({value for value in values[name] if value is not None})) for name in CODED}
    return Encodings(fitted_before, codes, {name: _scale(sums[name]) for name in SCALED})


def _codes(column: pa.ChunkedArray, values: pa.Array) -> pa.ChunkedArray:
    """int32: each word's place in ``values``, from 1; 0 for others. A dictionary is looked up once for all its rows."""
    if pa.types.is_dictionary(column.type):
        chunks = [_places(chunk.dictionary, values).take(chunk.indices) for chunk in column.chunks]
        return pc.fill_null(pa.chunked_array(chunks, pa.int32()), 0)
    return _places(column, values)


def _places(words: Any, values: pa.Array) -> Any:
    return pc.fill_null(pc.add(pc.index_in(words, values), pa.scalar(1, pa.int32())), 0)


def _scale(sums: Sums) -> tuple[float, float]:
    """Mean and standard deviation; (0, 1) of nothing, and a deviation of 1 where all values are equal."""
    if not sums.n:
        return 0.0, 1.0
    variance = sums.n * sums.squares - sums.total**2
    return sums.total / sums.n / UNIT, math.sqrt(variance) / sums.n / UNIT if variance > 0 else 1.0
