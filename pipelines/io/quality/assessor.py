"""Assess blocks of records where they are: in memory, in columns, on every processor at once."""

import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

import duckdb
import ibis
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from pipelines.core.columns import EVENT_SCHEMA, Col
from pipelines.core.lake import validation
from pipelines.core.lake.duplicates import KEY
from pipelines.core.lake.erasure import Erased
from pipelines.core.lake.mapping import SourceMapping
from pipelines.io.intake.record_tables import TEXT

IS_CANCELLATION: Final = "is_cancellation"
PLACE: Final = "place"
TITLE: Final = "title"
LIST_PRICE: Final = "list_price"

LINES: Final = 1 << 40
"""More lines than a file has: file number times this plus line is a row's place among all rows."""

GOOD: Final = pa.schema(
    [
        *(pa.field(column.name, column.type) for column in EVENT_SCHEMA),
        pa.field(IS_CANCELLATION, pa.bool_()),
        pa.field(PLACE, pa.int64()),
    ]
)
SHOWN: Final = (pa.field(TITLE, pa.string()), pa.field(LIST_PRICE, pa.string()))
"""What the catalogue takes from the log."""
BAD: Final = pa.schema([("line", pa.int64()), ("reasons", pa.list_(pa.string())), ("text", pa.string())])
"""Before a refused row's own columns."""


@dataclass(frozen=True)
class Assessed:
    """What became of a block's rows; ``reasons`` counts how many each reason keeps out, in the assessor's order.

    Rows of ``erased`` users are none of the ``rows``: they are left out as if they had never come.
    """

    rows: int
    erased: int
    good: pa.Table
    bad: pa.Table
    keys: NDArray[np.void]
    reasons: NDArray[np.int64]
    repairs: list[tuple[str, int, int, bool]]
    """Of the rows of a repairs file: the file and line that each stands for, its own line, and whether it is good."""


class Assessor:
    """Assess blocks by a mapping; each thread has an engine of its own."""

    def __init__(self, mapping: SourceMapping, known_items: pa.Table | None, erased: Erased | None = None) -> None:
        """Prepare for ``known_items``, the ``item_id`` of the catalogue; None where the log itself is the catalogue."""
        self._erased = erased or Erased({})
        self.reasons = validation.reasons(mapping)
        self.from_log = known_items is None
        self.schema = pa.schema([*GOOD, *SHOWN]) if self.from_log else GOOD
        self._mapping = mapping
        self._known = known_items
        self._engines = threading.local()

    def live(self) -> "Assessor":
        """The same for files of live events; no row of them is refused for a reason that this one doesn't know."""
        return Assessor(self._mapping.live(), self._known, self._erased)

    def __call__(self, block: Callable[[], pa.Table], file: int, arrived: pa.Scalar) -> Assessed:
        """Assess a block of the file with that number, which arrived then (UTC)."""
        raw = block()
        rows = validation.trimmed(raw).append_column("arrived", pa.repeat(arrived, len(raw))).combine_chunks()
        assessed = self._run(rows)
        gone = self._gone(raw, assessed)
        if gone.any():
            raw, rows, assessed = (table.filter(pa.array(~gone)) for table in (raw, rows, assessed))
        wrong = assessed["wrong"].to_numpy()
        refused = np.flatnonzero(wrong)
        refused = refused[np.argsort(rows["line"].to_numpy()[refused])]
        kept = pa.array(wrong == 0)
        good = assessed.filter(kept)
        return Assessed(
            rows=len(raw),
            erased=int(gone.sum()),
            good=self._good(good, rows, kept, file),
            bad=_bad(raw.take(refused), validation.explain(wrong[refused], self.reasons)),
            keys=_keys(good, file),
            reasons=(wrong[refused, None] >> np.arange(len(self.reasons)) & 1).sum(axis=0),
            repairs=_repairs(rows, wrong == 0),
        )

    def _gone(self, raw: pa.Table, assessed: pa.Table) -> NDArray[np.bool_]:
        """bool [rows]: those of erased users, also in lines that can't be split."""
        if not self._erased.at:
            return np.zeros(len(raw), bool)
        return self._erased.rows(assessed[Col.USER_ID], assessed[Col.TIMESTAMP]) | self._erased.lines(raw[TEXT])

    def _run(self, rows: pa.Table) -> pa.Table:
        """Assess on this thread's DuckDB, row by row of ``rows``; the statement depends on the file's columns only."""
        engine = self._engines
        if not hasattr(engine, "con"):
            engine.con, engine.statements = duckdb.connect(config={"threads": 1}), {}
            engine.con.execute("SET TimeZone = 'UTC'")
            if self._known is not None:
                engine.con.register("known_items", self._known)
        names = tuple(rows.column_names)
        if names not in engine.statements:
            engine.statements[names] = self._statement(rows.schema)
        engine.con.register("records", rows)
        assessed = engine.con.sql(engine.statements[names]).to_arrow_table()
        engine.con.unregister("records")
        if np.array_equal(assessed["line"].to_numpy(), rows["line"].to_numpy()):
            return assessed
        at = pc.index_in(rows["line"], assessed["line"])  # the engine promises no order
        return assessed.take(at)

    def _statement(self, schema: pa.Schema) -> str:
        records = ibis.table(ibis.Schema.from_pyarrow(schema), name="records")
        known = None if self._known is None else ibis.table({Col.ITEM_ID: "string"}, name="known_items")
        assessment = ibis.to_sql(validation.assess(records, self._mapping, known), dialect="duckdb")
        return f"SELECT *, md5_number({Col.EVENT_ID}) AS id_hash FROM ({assessment})"

    def _good(self, assessed: pa.Table, rows: pa.Table, kept: pa.BooleanArray, file: int) -> pa.Table:
        columns = {name: assessed[name] for name in (*EVENT_SCHEMA.names, IS_CANCELLATION)}
        columns[PLACE] = pc.add(assessed["line"], file * LINES)
        if self.from_log:
            shown = {TITLE: self._mapping.catalogue.title, LIST_PRICE: self._mapping.catalogue.price}
            for name, column in shown.items():
                nothing = pa.nulls(len(assessed), pa.string())
                columns[name] = rows[validation.RAW + column].filter(kept) if column else nothing
        return pa.table(columns).cast(self.schema)


def _bad(raw: pa.Table, reasons: pa.ListArray) -> pa.Table:
    """The refused rows as they came; own columns whose names are taken get an underscore."""
    columns = {"line": raw["line"], "reasons": reasons, "text": raw["text"]}
    taken = {"file", "repaired_in", *columns}
    for name in raw.column_names:
        if name.startswith(validation.RAW) and name not in validation.REPAIR_COLUMNS:
            own = name.removeprefix(validation.RAW)
            columns[own if own.lower() not in taken else f"{own}_"] = raw[name]
    return pa.table(columns)


def _keys(good: pa.Table, file: int) -> NDArray[np.void]:
    hashes = good["id_hash"].combine_chunks()
    halves = np.frombuffer(hashes.buffers()[1], "<u8", count=2 * len(hashes), offset=16 * hashes.offset)
    keys = np.empty(len(good), KEY)
    keys["low"], keys["high"] = halves[0::2], halves[1::2]
    keys["place"] = good["line"].to_numpy() + file * LINES
    return keys


def _repairs(rows: pa.Table, good: NDArray[np.bool_]) -> list[tuple[str, int, int, bool]]:
    if validation.REPAIR_COLUMNS[0] not in rows.column_names:
        return []
    columns = [rows[name].to_pylist() for name in (*validation.REPAIR_COLUMNS, "line")]
    named = zip(*columns, good.tolist(), strict=True)
    return [(file, int(line), own, fine) for file, line, own, fine in named if file and line and line.isdigit()]
