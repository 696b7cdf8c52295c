"""Records of CSV files as text, each with its line; see ``records``."""

import codecs
import csv
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.csv as pc_csv
from isal import igzip
from numpy.typing import NDArray

from pipelines.core.lake.mapping import SourceMapping
from pipelines.io.intake.record_tables import Block, record_table

_BLOCK: Final = 16 << 20
_MOST_LINES: Final = 50
"""Lines that one record with line breaks in a quoted field may take."""


def header(path: Path, mapping: SourceMapping) -> list[str]:
    """The names in the first line."""
    text = b""
    for piece in _bytes(path, mapping, size=1 << 16):
        text += piece
        if b"\n" in piece:
            break
    line = text.partition(b"\n")[0].decode().removesuffix("\r")
    return [name.strip() for name in next(csv.reader([line], delimiter=mapping.format.delimiter), [])]


def _bytes(path: Path, mapping: SourceMapping, size: int) -> Iterator[bytes]:
    """The file's bytes, in UTF-8 without byte-order mark; UTF-8 itself is checked when it is parsed."""
    utf8 = codecs.lookup(mapping.format.encoding).name in ("utf-8", "utf-8-sig")
    decoder = codecs.getincrementaldecoder(mapping.format.encoding)(errors="replace")
    with igzip.open(path) if path.suffix == ".gz" else path.open("rb") as file:
        first = True
        while chunk := file.read(size):
            data = chunk if utf8 else decoder.decode(chunk).encode()
            yield data.removeprefix(codecs.BOM_UTF8) if first else data
            first = False
        if rest := b"" if utf8 else decoder.decode(b"", final=True).encode():
            yield rest


def read(path: Path, names: list[str], mapping: SourceMapping) -> Iterator[Block]:
    """Cut the file into blocks of whole lines; what a block leaves unfinished goes before the next.

    Without a quote in it a block is parsed by whoever calls it. A quote may open a field that goes on in the next
    block: such a block is parsed here.
    """
    delimiter = mapping.format.delimiter
    rest, line = b"", 1
    pieces = _bytes(path, mapping, _BLOCK)
    piece: bytes | None = next(pieces, None)
    while piece is not None:
        following = next(pieces, None)
        data = rest + piece
        end = len(data) if following is None else data.rfind(b"\n") + 1
        if line == 1 and end:  # the header
            start = data.find(b"\n", 0, end) + 1 or end
            data, end, line = data[start:], end - start, 2
        block, rest, piece = data[:end], data[end:], following
        if b'"' not in block:
            yield partial(_parse_plain, block, line, names, delimiter)
            line += block.count(b"\n")
        else:
            block = _decodable(block)
            table, used, lines = _parse(block, line, names, delimiter, last=following is None)
            yield partial(_same, table)
            rest, line = block[used:] + rest, line + lines


def _same(table: pa.Table) -> pa.Table:
    return table


def _parse_plain(data: bytes, line: int, names: list[str], delimiter: str) -> pa.Table:
    """Parse whole lines without quotes, the first of which is number ``line``."""
    return _parse(_decodable(data), line, names, delimiter, last=True)[0]


def _decodable(data: bytes) -> bytes:
    """``data`` in UTF-8; what is none becomes U+FFFD."""
    try:
        data.decode()
    except UnicodeDecodeError:
        return data.decode(errors="replace").encode()
    return data


def _parse(data: bytes, line: int, names: list[str], delimiter: str, last: bool) -> tuple[pa.Table, int, int]:
    """Parse whole lines, the first of which is number ``line``; returns records, bytes used and lines used."""
    lines = data.count(b"\n") + (not data.endswith(b"\n") and data != b"")
    if not lines:
        return record_table([], [], {name: [] for name in names}), len(data), 0
    full = np.arange(line, line + lines)
    empty = _empty_lines(data)
    broken: list[tuple[int, str]] = [(line + int(at), "") for at in empty]
    full = np.delete(full, empty)

    def put_aside(row: Any) -> str:  # the parser's own numbers leave the empty lines out
        broken.append((int(full[row.number - 1]), row.text))
        return "skip"

    quoted = b'"' in data
    try:
        fields = pc_csv.read_csv(
            pa.py_buffer(data),
            pc_csv.ReadOptions(use_threads=False, block_size=len(data) + 1, column_names=names),
            pc_csv.ParseOptions(
                delimiter=delimiter,
                quote_char='"' if quoted else False,
                newlines_in_values=quoted,
                ignore_empty_lines=True,
                invalid_row_handler=put_aside,
            ),
            pc_csv.ConvertOptions(
                column_types=dict.fromkeys(names, pa.string()), strings_can_be_null=False, check_utf8=False
            ),
        )
    except pa.ArrowInvalid:
        return _parse_by_hand(data, line, names, delimiter, last)
    if len(fields) + len(broken) != lines:
        return _parse_by_hand(data, line, names, delimiter, last)
    numbers = full[~np.isin(full, [at for at, _ in broken])] if broken else full
    table = record_table(numbers, None, dict(zip(names, fields.columns, strict=True)))
    if broken:
        texts = record_table([at for at, _ in broken], [text for _, text in broken], {}, names)
        table = pa.concat_tables([table, texts])
    return table, len(data), lines


def _empty_lines(data: bytes) -> NDArray[np.int64]:
    """The positions of empty lines, counted from 0."""
    crlf = b"\r" in data
    if not (data.startswith((b"\n", b"\r\n")) or b"\n\n" in data or (crlf and b"\n\r\n" in data)):
        return np.array([], np.int64)
    text = np.frombuffer(data, np.uint8)
    ends = np.flatnonzero(text == ord("\n"))
    length = np.diff(ends, prepend=-1) - 1
    return np.flatnonzero((length == 0) | ((length == 1) & (text[ends - 1] == ord("\r"))))


def _parse_by_hand(data: bytes, line: int, names: list[str], delimiter: str, last: bool) -> tuple[pa.Table, int, int]:
    """As ``_parse``, line by line: for blocks with line breaks in quoted fields or with stray quotes."""
    physical = [part + b"\n" for part in data.removesuffix(b"\n").split(b"\n")]
    decoded = [part.decode() for part in physical]
    numbers, texts, rows = [], [], []
    at = used = 0
    while at < len(physical):
        fields, taken = _record(decoded[at : at + _MOST_LINES], len(names), delimiter)
        if fields is None and not last and at + _MOST_LINES > len(physical):
            break  # it may go on in the next block
        fits = fields is not None and len(fields) == len(names)
        numbers.append(line + at)
        texts.append(None if fits else decoded[at].rstrip("\r\n"))
        rows.append(fields if fits else [None] * len(names))
        used += sum(map(len, physical[at : at + taken]))
        at += taken
    columns = zip(*rows, strict=True) if rows else [()] * len(names)
    return record_table(numbers, texts, dict(zip(names, map(list, columns), strict=True))), min(used, len(data)), at


def _record(physical: list[str], width: int, delimiter: str) -> tuple[list[str] | None, int]:
    """The fields of the record that begins on the first line, and the lines it takes; None where a quote never ends.

    Lines are only joined into a record of ``width`` fields: a stray quote doesn't swallow its neighbours.
    """
    text = ""
    for taken, part in enumerate(physical, 1):
        text += part
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
