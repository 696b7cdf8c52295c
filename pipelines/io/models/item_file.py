"""What a file tells of the items of a log: Parquet or CSV with item_id[, title, description, category, price]."""

from pathlib import Path
from typing import Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from pipelines.core.columns import Col
from pipelines.core.errors import InputError
from pipelines.core.models.interactions import positions
from pipelines.core.models.past import Catalogue
from pipelines.io.intake.column_files import ColumnFile
from pipelines.io.models.interaction_log import coded_ids, numbers

TEXT: Final = (Col.TITLE, "description")


def read(path: Path, item_ids: np.ndarray) -> Catalogue:
    """The file's word on ``item_ids`` (str [items], sorted); of several rows of an item the last one counts.

    Raises:
        InputError: the file can't be read, has no item_id or null ones, or a column is of an unusable type.
    """
    file = ColumnFile(path, (Col.ITEM_ID, Col.CATEGORY, *TEXT), (Col.PRICE,))
    file.require(Col.ITEM_ID)
    ids = coded_ids(file, Col.ITEM_ID)
    at = positions(item_ids, ids.names)[ids.idx]
    row_of = np.full(len(item_ids), -1)
    row_of[at[at >= 0]] = np.flatnonzero(at >= 0)  # of several rows the last one stays
    return Catalogue(
        text=_text(file, row_of),
        category=_words(file, Col.CATEGORY, row_of),
        price=_price(file, row_of),
    )


def _text(file: ColumnFile, row_of: np.ndarray) -> np.ndarray:
    """Title and description in one, None where there is neither."""
    parts = [_words(file, name, row_of) for name in TEXT]
    joined = [" ".join(part for part in both if part) or None for both in zip(*parts, strict=True)]
    return np.array([*joined, None], object)[:-1]


def _words(file: ColumnFile, name: str, row_of: np.ndarray) -> np.ndarray:
    """object [items]: a column's texts, None where unknown."""
    if name not in file.names:
        return np.full(len(row_of), None)
    column = file.column(name)
    if pa.types.is_dictionary(column.type):
        column = column.cast(column.type.value_type)
    rows = pa.array(row_of, mask=row_of < 0)
    try:
        return pc.take(column, rows).cast(pa.string()).to_numpy()
    except pa.ArrowException:
        raise InputError(f"{file.path}: {name} is of type {column.type}, not text") from None


def _price(file: ColumnFile, row_of: np.ndarray) -> np.ndarray:
    if Col.PRICE not in file.names:
        return np.full(len(row_of), np.nan)
    return np.where(row_of >= 0, numbers(file, Col.PRICE)[row_of], np.nan)
