"""Messages from Arrow and back against protobuf itself, on numbers of every length."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import numpy as np
import pyarrow as pa
import pytest
from feast.protos.feast.types.Value_pb2 import Int64List, Null, StringList, Value
from feast.value_type import ValueType
from google.protobuf.timestamp_pb2 import Timestamp  # type: ignore[import-untyped]

from feature_repo.stores.redis_decode import numbers, objects, timestamps
from feature_repo.stores.redis_values import encode, encode_timestamps

BITS = [0, *(sign * (2**k + d) for k in range(63) for d in (-1, 0, 1) for sign in (1, -1))]


@pytest.mark.parametrize(
    ("kind", "message"),
    [
        (ValueType.INT64, lambda n: Value(int64_val=n)),
        (ValueType.UNIX_TIMESTAMP, lambda n: Value(unix_timestamp_val=n)),
        (ValueType.DOUBLE, lambda n: Value(double_val=n)),
        (ValueType.INT64_LIST, lambda n: Value(int64_list_val=Int64List(val=[n] * 3))),
        (ValueType.STRING_LIST, lambda n: Value(string_list_val=StringList(val=[str(n)] * 3))),
        (ValueType.STRING, lambda n: Value(string_val="x" * (abs(n) % 300))),
    ],
)
def test_encoded_values_are_the_messages_of_protobuf(kind: ValueType, message: Callable[[int], Value]) -> None:
    values = {
        ValueType.INT64_LIST: [[n] * 3 for n in BITS],
        ValueType.STRING_LIST: [[str(n)] * 3 for n in BITS],
        ValueType.STRING: ["x" * (abs(n) % 300) for n in BITS],
        ValueType.DOUBLE: [float(n) for n in BITS],
    }.get(kind, BITS)
    assert encode(kind, pa.array(values)).to_pylist() == [message(n).SerializeToString() for n in BITS]


def test_numbers_are_read_whatever_their_type_and_length() -> None:
    messages = [
        *(Value(int64_val=n) for n in BITS), *(Value(double_val=n / 3) for n in BITS),
        Value(int32_val=-7), Value(float_val=0.5), Value(bool_val=True), Value(bool_val=False),
        Value(unix_timestamp_val=9), Value(), Value(null_val=Null.NULL),
    ]  # fmt: skip
    want = [*BITS, *(n / 3 for n in BITS), -7, 0.5, 1, 0, 9, np.nan, np.nan, np.nan]
    got = numbers([*(message.SerializeToString() for message in messages), None])
    np.testing.assert_array_equal(got, np.array(want, dtype=np.float64))


def test_a_null_time_of_feast_is_missing() -> None:
    null = Value(unix_timestamp_val=-(2**63)).SerializeToString()  # how Feast writes NaT
    assert np.isnan(numbers([null])).all()


def test_texts_are_read_whatever_their_length() -> None:
    texts = ["x" * n for n in (0, 1, 126, 127, 128, 129, 130, 20_000)]
    got = objects([*(Value(string_val=text).SerializeToString() for text in texts), None, b""])
    assert got.tolist() == [*texts, None, None]


def test_timestamps_are_those_of_protobuf_both_ways_before_1970_too() -> None:
    epoch = datetime(1970, 1, 1, tzinfo=UTC)
    steps = (0, 1, 999_999, 10**6, 86_400 * 10**6, 1_700_000_000 * 10**6 + 5)
    times = [epoch + sign * timedelta(microseconds=step) for step in steps for sign in (1, -1)]
    messages = []
    for time in times:
        message = Timestamp()
        message.FromDatetime(time)
        messages.append(message.SerializeToString())
    assert encode_timestamps(pa.array(times, pa.timestamp("us", tz="UTC"))).to_pylist() == messages
    got = timestamps([*messages, None])
    assert got.tolist() == [*(time.replace(tzinfo=None) for time in times), None]
