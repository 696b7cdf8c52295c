"""Any log of interactions as arrays: Parquet or CSV with user_id, item_id and timestamp.

Its ids may be numbers or text and come back as they are; ``event_type`` and ``price`` are read where they are there.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from pipelines.core.columns import Col
from pipelines.core.errors import InputError
from pipelines.core.models.interactions import Interactions
from pipelines.io.intake.column_files import ColumnFile
from pipelines.io.intake.moments import moments, seconds

TEXT: Final = (Col.USER_ID, Col.ITEM_ID, Col.EVENT_TYPE)
UNKNOWN_TYPE: Final = 1.0
"""Weight of an event whose type isn't among ours, and of all where the log has no types."""


@dataclass(frozen=True)
class InteractionLog:
    """The interactions, and what arrays of strings and numbers don't tell of them."""

    interactions: Interactions
    user_ids: pa.Array
    """As they came, in the order of ``interactions.user_ids``."""
    item_ids: pa.Array
    """As they came, in the order of ``interactions.item_ids``."""
    price: np.ndarray
    """float64 [n], NaN where unknown."""


def read(path: Path, event_weights: Mapping[str, float]) -> InteractionLog:
    """Read a log whose rows may be in any order; rows of the same moment stay in that of the file.

    ``event_weights``: event type -> its weight; events of weight 0 are left out.

    Raises:
        InputError: the file can't be read, lacks a column, or a column is null somewhere or can't be understood.
    """
    file = ColumnFile(path, TEXT, (Col.TIMESTAMP, Col.PRICE))
    file.require(Col.USER_ID, Col.ITEM_ID, Col.TIMESTAMP)
    users, items = coded_ids(file, Col.USER_ID), coded_ids(file, Col.ITEM_ID)
    try:
        values, a_second = moments(file.whole(Col.TIMESTAMP))
    except (ValueError, pa.ArrowException) as error:
        raise InputError(f"{path}: {Col.TIMESTAMP} is {error}") from None
    weight, price = _weights(file, event_weights), _prices(file)
    kept = np.flatnonzero(weight > 0)
    order = kept[np.argsort(values[kept], kind="stable")]
    return InteractionLog(
        Interactions(
            users.names,
            items.names,
            users.idx[order],
            items.idx[order],
            weight[order],
            seconds(values[order], a_second),
        ),
        users.ids,
        items.ids,
        price[order],
    )


@dataclass(frozen=True)
class CodedIds:
    """A column of ids: each one once, and which of them stands in each row."""

    names: np.ndarray
    """str [ids], sorted."""
    ids: pa.Array
    """The same as they came."""
    idx: np.ndarray
    """int32 [n]."""


def coded_ids(file: ColumnFile, name: str) -> CodedIds:
    """Each id of a column once.

    Raises:
        InputError: the column has nulls or isn't one of ids.
    """
    column = file.whole(name)
    if pa.types.is_dictionary(column.type) and column.type.index_type != pa.int32():
        column = column.cast(column.type.value_type)  # the dictionary of all chunks may be too long for narrow indices
    try:
        coded = column.dictionary_encode().unify_dictionaries().combine_chunks()
        text = coded.dictionary.cast(pa.string())
    except pa.ArrowException:
        raise InputError(f"{file.path}: {name} is of type {column.type}, ids are numbers or text") from None
    names = np.asarray(text.to_numpy(zero_copy_only=False), dtype=str)
    order = np.argsort(names, kind="stable")
    place = np.empty(len(order), np.int32)
    place[order] = np.arange(len(order), dtype=np.int32)
    return CodedIds(names[order], coded.dictionary.take(pa.array(order)), place[coded.indices.to_numpy()])


def _weights(file: ColumnFile, event_weights: Mapping[str, float]) -> np.ndarray:
    """float32 [n]."""
    if Col.EVENT_TYPE not in file.names:
        return np.full(file.rows, UNKNOWN_TYPE, np.float32)
    types = coded_ids(file, Col.EVENT_TYPE)
    return np.array([event_weights.get(str(name), UNKNOWN_TYPE) for name in types.names], np.float32)[types.idx]


def _prices(file: ColumnFile) -> np.ndarray:
    """float64 [n], NaN where unknown."""
    if Col.PRICE not in file.names:
        return np.full(file.rows, np.nan)
    return numbers(file, Col.PRICE)


def numbers(file: ColumnFile, name: str) -> np.ndarray:
    """A column as float64 [n], NaN where it is null.

    Raises:
        InputError: it isn't one of numbers.
    """
    column = file.column(name)
    try:
        return pc.fill_null(column.cast(pa.float64()), np.nan).to_numpy()
    except pa.ArrowException as error:
        raise InputError(f"{file.path}: {name} is of type {column.type}, not numbers: {error}") from None
