"""Records of CSV and Parquet files as text, each with its line, in bounded memory. No line is ever lost.

A line that can't be split into the header's fields comes out with its text instead of fields. The line of a record
whose quoted field holds line breaks is that of its first line; of a Parquet file, the row counts from 1.
"""

import codecs
import csv
import gzip
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as pc_csv
import pyarrow.parquet as pq

from pipelines.core.errors import DataQualityError, InputError
from pipelines.core.mapping import SourceMapping

LINE: Final = "line"
TEXT: Final = "text"
"""The text of a line without the header's number of fields; null where it has them."""
PREFIX: Final = "raw:"
"""Before the names of the file's own columns."""

_EMPTY_LINE: Final = re.compile(rb"(?:\A|\n)\r?\n")
_BLOCK: Final = 4 << 20
_MOST_LINES: Final = 50
"""Lines that one record with line breaks in a quoted field may take."""


def read(path: Path, mapping: SourceMapping) -> Iterator[pa.Table]:
    """Read a file's records in order: ``line``, ``text`` and the file's columns, prefixed, all as text.

    Raises:
        DataQualityError: the file has no header, names a column twice or lacks one that the mapping requires.
        InputError: the file is not what its name says.
    """
    names = check_header(path, mapping)
    try:
        if path.suffix == ".parquet":
            yield from _read_parquet(path)
        else:
            yield from _read_csv(path, names, mapping)
    except (OSError, EOFError, pa.ArrowInvalid) as error:
        raise InputError(f"{path}: {error}") from None


def check_header(path: Path, mapping: SourceMapping) -> list[str]:
    """The names of a file's columns.

    Raises:
        DataQualityError: there is no header, a column is named twice or one that the mapping requires is missing.
        InputError: the file is not what its name says.
    """
    try:
        names = pq.read_schema(path).names if path.suffix == ".parquet" else _header(path, mapping)
    except (OSError, EOFError, UnicodeError, pa.ArrowInvalid) as error:
        raise InputError(f"{path}: {error}") from None
    twice = {name for name in names if [n.lower() for n in names].count(name.lower()) > 1}
    if twice:
        raise DataQualityError(f"{path}: column {sorted(twice)[0]!r} is named twice (case doesn't count)")
    missing = [name for name in mapping.required if name not in names]
    if missing:
        raise DataQualityError(
            f"{path}: column {missing[0]!r} is missing; the header has {', '.join(names) or 'nothing'}. "
            f"Source mapping {mapping.name!r} says which columns it needs"
        )
    return names


def _header(path: Path, mapping: SourceMapping) -> list[str]:
    line = next(_lines(path, mapping), b"").decode().removesuffix("\n").removesuffix("\r")
    return [name.strip() for name in next(csv.reader([line], delimiter=mapping.format.delimiter), [])]


def _blocks(path: Path, mapping: SourceMapping) -> Iterator[bytes]:
    """The file's bytes in UTF-8 without byte-order mark; what can't be decoded is U+FFFD."""
    decoder = codecs.getincrementaldecoder(mapping.format.encoding)(errors="replace")
    with gzip.open(path) if path.suffix == ".gz" else path.open("rb") as file:
        first = True
        while chunk := file.read(_BLOCK):
            text = decoder.decode(chunk)
            yield (text.removeprefix("\ufeff") if first else text).encode()
            first = False
        if rest := decoder.decode(b"", final=True):
            yield rest.encode()


def _lines(path: Path, mapping: SourceMapping) -> Iterator[bytes]:
    for block in _blocks(path, mapping):
        yield from block.splitlines(keepends=True)


def _read_csv(path: Path, names: list[str], mapping: SourceMapping) -> Iterator[pa.Table]:
    """Read whole lines block by block; what a block leaves unfinished goes before the next."""
    rest, line = b"", 1
    blocks = _blocks(path, mapping)
    block: bytes | None = next(blocks, None)
    while block is not None:
        following = next(blocks, None)
        data = rest + block
        end = len(data) if following is None else data.rfind(b"\n") + 1
        if line == 1 and end:  # the header
            start = data.find(b"\n", 0, end) + 1 or end
            data, end, line = data[start:], end - start, 2
        table, used, lines = _parse(data[:end], line, names, mapping.format.delimiter, last=following is None)
        yield table
        rest, line, block = data[used:], line + lines, following


def _parse(data: bytes, line: int, names: list[str], delimiter: str, last: bool) -> tuple[pa.Table, int, int]:
    """Parse whole lines, the first of which is number ``line``; returns records, bytes used and lines used."""
    lines = data.count(b"\n") + (not data.endswith(b"\n") and data != b"")
    if not lines:
        return _table([], [], {name: [] for name in names}), len(data), 0
    if _EMPTY_LINE.search(data):  # the fast parser would make it a record of empty fields
        return _parse_by_hand(data, line, names, delimiter, last)
    broken: list[Any] = []

    def put_aside(row: Any) -> str:
        broken.append(row)
        return "skip"

    try:
        fields = pc_csv.read_csv(
            pa.py_buffer(data),
            pc_csv.ReadOptions(use_threads=False, block_size=len(data) + 1, column_names=names),
            pc_csv.ParseOptions(
                delimiter=delimiter,
                quote_char='"' if b'"' in data else False,
                newlines_in_values=True,
                ignore_empty_lines=False,
                invalid_row_handler=put_aside,
            ),
            pc_csv.ConvertOptions(column_types=dict.fromkeys(names, pa.string()), strings_can_be_null=False),
        )
    except pa.ArrowInvalid:
        return _parse_by_hand(data, line, names, delimiter, last)
    if len(fields) + len(broken) != lines:
        return _parse_by_hand(data, line, names, delimiter, last)
    bad = {row.number - 1 for row in broken}
    good = pa.array([n not in bad for n in range(lines)]) if bad else None
    numbers = pa.array(range(line, line + lines))
    table = _table(numbers.filter(good) if good else numbers, None, dict(zip(names, fields.columns, strict=True)))
    if broken:
        texts = _table([line + row.number - 1 for row in broken], [row.text for row in broken], {}, names)
        table = pa.concat_tables([table, texts]).sort_by(LINE)
    return table, len(data), lines


def _parse_by_hand(data: bytes, line: int, names: list[str], delimiter: str, last: bool) -> tuple[pa.Table, int, int]:
    """As ``_parse``, line by line: for blocks with line breaks in quoted fields or with stray quotes."""
    physical = [part + b"\n" for part in data.removesuffix(b"\n").split(b"\n")]
    numbers, texts, rows = [], [], []
    at = used = 0
    while at < len(physical):
        fields, taken = _record(physical[at : at + _MOST_LINES], len(names), delimiter)
        if fields is None and not last and at + _MOST_LINES > len(physical):
            break  # it may go on in the next block
        fits = fields is not None and len(fields) == len(names)
        numbers.append(line + at)
        texts.append(None if fits else physical[at].decode().rstrip("\r\n"))
        rows.append(fields if fits else [None] * len(names))
        used += sum(map(len, physical[at : at + taken]))
        at += taken
    columns = zip(*rows, strict=True) if rows else [()] * len(names)
    return _table(numbers, texts, dict(zip(names, map(list, columns), strict=True))), min(used, len(data)), at


def _record(physical: list[bytes], width: int, delimiter: str) -> tuple[list[str] | None, int]:
    """The fields of the record that begins on the first line, and the lines it takes; None where a quote never ends.

    Lines are only joined into a record of ``width`` fields: a stray quote doesn't swallow its neighbours.
    """
    text = ""
    for taken, part in enumerate(physical, 1):
        text += part.decode()
        fields = _split(text.rstrip("\r\n"), delimiter)
        if fields is not None and (taken == 1 or len(fields) == width):
            return fields, taken
    return None, 1


def _split(text: str, delimiter: str) -> list[str] | None:
    """The fields of one record; None where a quote is still open, none where it can't be split."""
    try:
        return next(csv.reader([text], delimiter=delimiter, strict=True), []) or [""]
    except csv.Error as error:
        if "unexpected end" in str(error):
            return None
    try:
        return next(csv.reader([text], delimiter=delimiter))
    except csv.Error:
        return []


def _table(numbers: Any, texts: Any, columns: dict[str, Any], absent: list[str] | None = None) -> pa.Table:
    """Assemble records; columns that are ``absent`` are null."""
    lines = pa.array(numbers, pa.int64())
    nothing = pa.nulls(len(lines), pa.string())
    text = nothing if texts is None else pa.array(texts, pa.string())
    fields = columns | dict.fromkeys(absent or [], nothing)
    arrays = [a if isinstance(a, pa.ChunkedArray) else pa.array(a, pa.string()) for a in fields.values()]
    return pa.table([lines, text, *arrays], names=[LINE, TEXT, *(PREFIX + name for name in fields)])


def _read_parquet(path: Path) -> Iterator[pa.Table]:
    line = 1
    for batch in pq.ParquetFile(path).iter_batches(batch_size=1 << 17):
        columns = {name: _as_text(column) for name, column in zip(batch.schema.names, batch.columns, strict=True)}
        yield _table(range(line, line + len(batch)), None, columns)
        line += len(batch)


def _as_text(column: pa.Array) -> pa.Array:
    """A column as text; times as ISO 8601, with Z where they know their zone."""
    if pa.types.is_timestamp(column.type) and column.type.tz:
        naive = pc.local_timestamp(column.cast(pa.timestamp(column.type.unit, "UTC")))
        return pc.binary_join_element_wise(naive.cast(pa.string()), "Z", "")
    try:
        return column.cast(pa.string())
    except (pa.ArrowNotImplementedError, pa.ArrowInvalid):  # nested values, or bytes that are no text
        return pa.array([None if value is None else str(value) for value in column.to_pylist()], pa.string())
