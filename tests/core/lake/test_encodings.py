import json
import math
from datetime import UTC, datetime

import pyarrow as pa
import pytest

from pipelines.core.lake import encodings
from pipelines.core.lake.encodings import Sums

BEFORE = datetime(2026, 1, 1, tzinfo=UTC)
VALUES = {"event_type": ["view", "click"], "device": [None, "tablet", "tablet"], "category": []}


def numbers(*values: float | None) -> pa.ChunkedArray:
    return pa.chunked_array([pa.array(values, pa.float64())])


def fitted() -> encodings.Encodings:
    sums = {"price": Sums.of(numbers(0, math.e**2 - 1, None)), "quantity": Sums.of(numbers(3, 3))}
    return encodings.fit(BEFORE, VALUES, sums)


def rows() -> pa.Table:
    return pa.table(
        {
            "event_type": ["click", "view", "purchase"],
            "device": ["tablet", None, "watch"],
            "category": ["new", None, "new"],
            "price": [0.0, math.e - 1, None],
            "quantity": pa.array([3, 1, 3], pa.int64()),
        }
    )


def test_codes_count_from_one_in_the_order_of_the_words() -> None:
    found = fitted().apply(rows())
    assert found["event_type_code"].to_pylist() == [1, 2, 0]  # a purchase was never seen
    assert found["device_code"].to_pylist() == [1, 0, 0]
    assert found["category_code"].to_pylist() == [0, 0, 0]
    assert found.schema.field("device_code").type == pa.int32()


def test_scale_is_the_standard_score_of_the_logarithm() -> None:
    found = fitted().apply(rows())
    assert found["price_scaled"].to_pylist() == [pytest.approx(-1), pytest.approx(0, abs=1e-12), None]


def test_numbers_that_never_varied_are_not_divided_by_zero() -> None:
    found = fitted().apply(rows())["quantity_scaled"].to_pylist()
    assert found[0] == pytest.approx(0, abs=1e-4)
    assert found[1] == pytest.approx(math.log(2) - math.log(4), abs=1e-4)


def test_sums_are_the_same_in_any_order_and_parts() -> None:
    values = [0.1, 123.456, 7.0, 1e6, 3.3]
    parts = Sums.of(numbers(*values[:2])) + Sums.of(numbers()) + Sums.of(numbers(*values[2:]))
    assert Sums.of(numbers(*reversed(values))) == parts


def test_json_gives_back_the_same_encoding() -> None:
    text = json.dumps(fitted().to_json(), sort_keys=True)
    assert encodings.Encodings.from_json(json.loads(text)) == fitted()
