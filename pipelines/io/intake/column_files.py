"""Single columns of Parquet and CSV files that others made: only those that are asked for are read."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as pa_csv
import pyarrow.parquet as pq

from pipelines.core.errors import InputError

CODED: Final = pa.dictionary(pa.int32(), pa.string())
Read = Callable[[str], pa.ChunkedArray]


class ColumnFile:
    """A ``.parquet``, ``.csv`` or ``.csv.gz`` file (of Parquet a folder, too), or what is needed of it.

    Columns of text come as dictionaries, so a log of millions of rows holds each text once.
    """

    def __init__(self, path: Path, text: tuple[str, ...], others: tuple[str, ...]) -> None:
        """``text``: columns that are ids or words, also where CSV shows nothing but digits; ``others``: the rest.

        Raises:
            InputError: the file isn't there or can't be read, or it has no rows.
        """
        if not path.exists():
            raise InputError(f"{path} is missing")
        self.path = path
        with self._readable():
            of_csv = path.name.endswith((".csv", ".csv.gz"))
            self.names, self.rows, self._read = (_csv if of_csv else _parquet)(path, text, others)
        if not self.rows:
            raise InputError(f"{path} has no rows")

    def require(self, *names: str) -> None:
        """Have these columns.

        Raises:
            InputError: one is missing; the text says which there are.
        """
        if missing := [name for name in names if name not in self.names]:
            raise InputError(f"{self.path} has no column {', '.join(missing)}, only {', '.join(self.names)}")

    def whole(self, name: str) -> pa.ChunkedArray:
        """A column in which every row has a value.

        Raises:
            InputError: some rows have none.
        """
        column = self.column(name)
        nulls = column.null_count
        if pa.types.is_floating(column.type):
            nulls += pc.sum(pc.is_nan(column)).as_py() or 0
        if nulls:
            raise InputError(f"{self.path}: {name} is null in {nulls:,} of {self.rows:,} rows")
        return column

    def column(self, name: str) -> pa.ChunkedArray:
        """A column, some of whose rows may be null."""
        with self._readable():
            return self._read(name)

    @contextmanager
    def _readable(self) -> Iterator[None]:
        try:
            yield
        except (pa.ArrowException, OSError, UnicodeDecodeError) as error:
            raise InputError(f"{self.path} can't be read: {' '.join(str(error).split())}") from error


def _parquet(path: Path, text: tuple[str, ...], others: tuple[str, ...]) -> tuple[list[str], int, Read]:
    def read(name: str) -> pa.ChunkedArray:
        is_text = kinds[name] in (pa.string(), pa.large_string())
        dataset = pq.ParquetDataset(path, read_dictionary=[name] if is_text else None)
        return dataset.read(columns=[name])[name]

    whole = pq.ParquetDataset(path)
    kinds = {field.name: field.type for field in whole.schema}
    return list(kinds), sum(fragment.count_rows() for fragment in whole.fragments), read


def _csv(path: Path, text: tuple[str, ...], others: tuple[str, ...]) -> tuple[list[str], int, Read]:
    names = pa_csv.open_csv(path).schema.names
    options = pa_csv.ConvertOptions(
        include_columns=[name for name in names if name in {*text, *others}],
        column_types=dict.fromkeys(text, CODED),
        null_values=[""],
        strings_can_be_null=True,
    )
    table = pa_csv.read_csv(path, convert_options=options)
    return names, len(table), lambda name: _as_written(table[name])


def _as_written(column: pa.ChunkedArray) -> pa.ChunkedArray:
    """Text that is nothing but whole numbers as numbers, where they are written just so: 7, but neither 007 nor 7.0."""
    if column.type != CODED:
        return column
    coded = column.unify_dictionaries().combine_chunks()
    try:
        numbers = coded.dictionary.cast(pa.int64())
    except pa.ArrowInvalid:
        return column
    if not numbers.cast(pa.string()).equals(coded.dictionary):
        return column
    return pa.chunked_array([pa.DictionaryArray.from_arrays(coded.indices, numbers)])
