"""Arrow tables to and from Postgres by COPY, without a Python object for each value."""

from typing import Final

import pyarrow as pa
import pyarrow.csv as pa_csv
from feast.type_map import arrow_to_pg_type, pg_type_code_to_arrow
from psycopg import Connection, sql

UTC_US: Final = pa.timestamp("us", tz="UTC")

FROM_TEXT: Final = {
    16: pa.bool_(),
    20: pa.int64(),
    21: pa.int32(),
    23: pa.int32(),
    25: pa.string(),
    700: pa.float32(),
    701: pa.float64(),
    1042: pa.string(),
    1043: pa.string(),
    1082: pa.date32(),
    1114: pa.timestamp("us"),
    1184: UTC_US,
    1700: pa.float64(),
}
"""Postgres type -> the Arrow type that its text is read as. The same types as Feast's, but times keep their zone."""


def upload(connection: Connection, name: str, table: pa.Table) -> None:
    """Create the temporary table ``name`` with the columns and rows of ``table``, dropped at the transaction's end."""
    columns = sql.SQL(", ").join(
        sql.SQL("{} {}").format(sql.Identifier(field.name), sql.SQL(arrow_to_pg_type(str(field.type))))
        for field in table.schema
    )
    named = sql.Identifier(name)
    connection.execute(sql.SQL("CREATE TEMP TABLE {} ({}) ON COMMIT DROP").format(named, columns))
    with connection.cursor().copy(sql.SQL("COPY {} FROM STDIN (FORMAT csv)").format(named)) as copy:
        for batch in table.to_batches(max_chunksize=65_536):
            sink = pa.BufferOutputStream()
            pa_csv.write_csv(batch, sink, pa_csv.WriteOptions(include_header=False))
            copy.write(sink.getvalue())


def download(connection: Connection, query: str) -> pa.Table:
    """The rows of ``query`` as Arrow, in the query's order. The session's time zone must be UTC."""
    cursor = connection.execute(f"SELECT * FROM ({query}) AS described LIMIT 0")
    columns = {c.name: c.type_code for c in cursor.description or ()}
    if set(columns.values()) - FROM_TEXT.keys():
        return _fetch(connection, query)
    schema = pa.schema([(name, FROM_TEXT[code]) for name, code in columns.items()])
    sink = pa.BufferOutputStream()
    with connection.cursor().copy(f"COPY ({query}) TO STDOUT (FORMAT csv)") as copy:
        for data in copy:
            sink.write(data)
    text = sink.getvalue()
    return _parse(text, schema) if text.size else schema.empty_table()


def plain(column: pa.ChunkedArray) -> pa.ChunkedArray:
    """``column`` without the encodings that Feast has no Postgres type for."""
    if pa.types.is_dictionary(column.type):
        column = column.cast(column.type.value_type)
    textual = pa.types.is_large_string(column.type) or pa.types.is_null(column.type)
    return column.cast(pa.string()) if textual else column


def _parse(text: pa.Buffer, schema: pa.Schema) -> pa.Table:
    return pa_csv.read_csv(
        pa.BufferReader(text),
        pa_csv.ReadOptions(column_names=schema.names),
        pa_csv.ParseOptions(newlines_in_values=pa.string() in schema.types, ignore_empty_lines=False),
        pa_csv.ConvertOptions(
            column_types=schema,
            null_values=[""],
            strings_can_be_null=True,
            quoted_strings_can_be_null=False,  # an empty text is "", a missing one is nothing
            true_values=["t"],
            false_values=["f"],
        ),
    )


def _fetch(connection: Connection, query: str) -> pa.Table:
    """Row by row, for types whose text Arrow can't read (arrays, bytes)."""
    cursor = connection.execute(query)
    described = cursor.description or ()
    columns = zip(*cursor.fetchall(), strict=True) if cursor.rowcount else ([] for _ in described)
    types = [FROM_TEXT.get(c.type_code) or pg_type_code_to_arrow(c.type_code) for c in described]
    arrays = [pa.array(list(values), type=type_) for values, type_ in zip(columns, types, strict=True)]
    return pa.table(arrays, names=[c.name for c in described])
