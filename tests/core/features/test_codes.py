"""Ids as codes."""

import pyarrow as pa

from pipelines.core.features.codes import Codes


def test_codes_follow_the_first_appearance_and_stay() -> None:
    codes = Codes()
    assert codes.encode(pa.array(["b", None, "a", "b"])).tolist() == [0, -1, 1, 0]
    assert codes.encode(pa.array(["c", "a"])).tolist() == [2, 1]
    assert codes.ids.to_pylist() == ["b", "a", "c"]


def test_codes_are_the_same_for_dictionaries_and_chunks() -> None:
    codes = Codes(pa.array(["x", "y"]))
    assert codes.encode(pa.chunked_array([["y"], ["z", "x"]])).tolist() == [1, 2, 0]
    assert codes.encode(pa.array(["z", None]).dictionary_encode()).tolist() == [2, -1]


def test_nothing_to_encode_adds_nothing() -> None:
    codes = Codes()
    assert codes.encode(pa.array([], pa.string())).tolist() == []
    assert codes.encode(pa.array([None], pa.string())).tolist() == [-1]
    assert len(codes) == 0


def test_ranks_are_in_the_order_of_utf8_bytes_whatever_comes_later() -> None:
    codes = Codes(pa.array(["b", "Z", "é"]))
    assert codes.rank().tolist() == [1, 0, 2]
    codes.encode(pa.array(["10", "9", "a", "\U0001f600", "\ufffd"]))
    ranked = sorted(codes.ids.to_pylist(), key=str.encode)
    assert [ranked[rank] for rank in codes.rank()] == codes.ids.to_pylist()
