import numpy as np
import pytest

from pipelines.core.lists.packing import pack, unpack


def test_unpack_gives_back_what_was_packed_bit_for_bit() -> None:
    arrays = {
        "inputs": np.array([[1.5, np.nan, -0.0], [np.inf, 3e-39, 7.0]], np.float32),
        "keep": np.array([True, False]),
        "source": np.array([-1, 3], np.int8),
        "item_id": np.array(["P1", "é", ""]),
        "none": np.zeros((0, 4), np.float32),
    }
    found, more = unpack(pack(arrays, {"sources": ["svd", "é"], "now": 1.5}))
    assert more == {"sources": ["svd", "é"], "now": 1.5}
    assert list(found) == list(arrays)
    for name, array in arrays.items():
        assert (found[name].dtype, found[name].shape) == (array.dtype, array.shape)
        assert found[name].tobytes() == array.tobytes()


def test_pack_of_columns_that_are_the_same_for_all_rows_is_small() -> None:
    rows = np.tile(np.random.default_rng(7).normal(size=80).astype(np.float32), (300, 1))
    assert len(pack({"inputs": rows}, {})) < rows.nbytes / 50


def test_unpack_refuses_another_format() -> None:
    with pytest.raises(ValueError, match="format"):
        unpack(b"\x09" + pack({}, {})[1:])
