"""The form of records: a table with each record's line, its text where it can't be split, and its fields as text."""

import csv
from collections.abc import Callable
from typing import Any, Final

import pyarrow as pa
from isal.igzip_lib import IsalError

LINE: Final = "line"
TEXT: Final = "text"
"""The text of a line without the header's number of fields; null where it has them."""
PREFIX: Final = "raw:"
"""Before the names of the file's own columns."""

UNREADABLE: Final[tuple[type[Exception], ...]] = (
    OSError,
    EOFError,
    IsalError,  # type: ignore[assignment]  # its stub takes the class for an error
    UnicodeError,
    csv.Error,
    pa.ArrowException,
)
"""What reading a damaged file raises."""

Block = Callable[[], pa.Table]
"""The records of a block of a file, once it is called; any thread may."""


def record_table(numbers: Any, texts: Any, columns: dict[str, Any], absent: list[str] | None = None) -> pa.Table:
    """Assemble records; columns that are ``absent`` are null."""
    lines = pa.array(numbers, pa.int64())
    nothing = pa.nulls(len(lines), pa.string())
    text = nothing if texts is None else pa.array(texts, pa.string())
    fields = columns | dict.fromkeys(absent or [], nothing)
    arrays = [a if isinstance(a, pa.ChunkedArray) else pa.array(a, pa.string()) for a in fields.values()]
    return pa.table([lines, text, *arrays], names=[LINE, TEXT, *(PREFIX + name for name in fields)])
