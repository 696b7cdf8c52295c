"""Prepare validated events piece by piece: in the order of time, in bounded memory, on all processors."""

from collections import Counter
from collections.abc import Iterator, Sequence
from datetime import datetime
from pathlib import Path
from typing import Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from ibis.expr.types import Table
from numpy.typing import NDArray

from pipelines.core.columns import (
    BROWSING,
    CANCELLATION_SCHEMA,
    EVENT_SCHEMA,
    PREPARED_SCHEMA,
    PRODUCT_SCHEMA,
    UTC_US,
    Col,
)
from pipelines.core.features import cancellations
from pipelines.core.lake import encodings, flags, preparation, repeats
from pipelines.core.lake.encodings import Encodings, Sums
from pipelines.io.duck import Engine, table
from pipelines.io.parallel import ahead
from pipelines.io.preparation import preparer_tables as t
from pipelines.io.quality import pieces
from pipelines.io.quality.pieces import Day, Piece
from pipelines.params import Prepare

FITTED: Final = [Col.ITEM_ID, Col.EVENT_TYPE, Col.TIMESTAMP, Col.DEVICE, Col.QUANTITY, Col.PRICE]
"""What the fit reads."""
LOOKS: Final = [Col.USER_ID, Col.EVENT_TYPE, Col.TIMESTAMP]
"""What the flags of a whole day read."""
NOWHERE: Final = -1
"""In place of a state's: the catalogue has none of the item."""
CHANGES: Final = -2
"""The item has several in the piece: the time of the event decides."""

IN_FORCE: Final = (
    preparation.in_force(t.STATES, t.SPAN)
    .inner_join(t.ITEMS, Col.ITEM_ID)
    .select("place", "since", "alone", item_id=t.ITEMS.code)
)


class Preparer:
    """One preparation: ``fit``, then all ``interactions``, then ``taken_back``, ``catalogue`` and ``counts``.

    The engine holds what grows with users and items; of the events, a piece at a time is in memory.
    """

    def __init__(self, engine: Engine, validated: Path, days: Sequence[Day], params: Prepare, most: int) -> None:
        """Prepare the events of ``days`` in pieces of at most about ``most``; the rest is in ``validated``."""
        self._engine, self._days, self._params, self._most = engine, days, params, most
        engine.read("events", *(day.path for day in days))
        for name in ("products", "cancellations"):
            engine.read(name, validated / f"{name}.parquet")
        engine.keep("states", preparation.states(t.PRODUCTS))
        states = engine.run(t.STATES.order_by("place"))
        self._category = states[Col.CATEGORY].combine_chunks().dictionary_encode()
        self._list_price = states["list_price"].combine_chunks()
        self._listed = states[Col.ITEM_ID].combine_chunks().unique()
        self._unlisted: dict[str, datetime] = {}
        self._reduced: list[pa.Table] = []  # purchases of which pieces were taken back
        self.counts: Counter[str] = Counter()

    def fit(self, before: datetime) -> tuple[Encodings, float]:
        """(Encodings, the highest quantity that is no outlier), and medians of prices, from the days before."""
        engine = self._engine
        values: dict[str, set[str | None]] = {name: set() for name in encodings.CODED}
        sums = dict.fromkeys(encodings.SCALED, Sums())
        bought: Counter[int] = Counter()
        prices = [t.PRICES.schema().to_pyarrow().empty_table()]
        training = [day for day in self._days if day.start < before]
        for piece, _ in ahead(self._pieces(training, FITTED)):
            place, price = self._catalogued(piece, self._open(piece))
            prices.append(_named(engine.run(flags.prices(t.ROWS)), Col.ITEM_ID, piece))
            is_purchase = piece.are(Col.EVENT_TYPE, ["purchase"])
            for entry in piece.rows[Col.QUANTITY].filter(is_purchase).value_counts().to_pylist():
                bought[entry["values"]] += entry["counts"]
            sums[Col.PRICE] += Sums.of(price)
            sums[Col.QUANTITY] += Sums.of(piece.rows[Col.QUANTITY])
            values[Col.CATEGORY] |= _seen(self._category, place)
            for name in (Col.EVENT_TYPE, Col.DEVICE):
                values[name] |= _seen(piece.names(name), piece.codes(name))
        engine.know("prices", pa.concat_tables(prices))
        self._medians = engine.run(flags.medians(t.PRICES))
        return encodings.fit(before, values, sums), flags.fence(bought, self._params.outliers.quantity_iqr)

    def net(self) -> cancellations.Netting:
        """Net the cancellations against the purchases of the same users and items."""
        taken_back = self._engine.run(t.CANCELLATIONS)
        if not len(taken_back):
            return cancellations.net(taken_back, taken_back)
        pairs = t.CANCELLATIONS.select(Col.USER_ID, Col.ITEM_ID).distinct()
        bought = t.EVENTS.filter(t.EVENTS[Col.EVENT_TYPE] == "purchase").semi_join(pairs, [Col.USER_ID, Col.ITEM_ID])
        ordered = bought.select(CANCELLATION_SCHEMA.names).order_by(Col.TIMESTAMP, Col.EVENT_ID)
        return cancellations.net(self._engine.run(ordered), taken_back)

    def interactions(self, fitted: Encodings, highest: float, netted: pa.Table) -> Iterator[pa.Table]:
        """The prepared interactions by time and event id, piece by piece."""
        self._engine.know("nobody", preparation.CARRIED.to_pyarrow().empty_table())
        self._engine.keep("carried", table("nobody", preparation.CARRIED))
        for piece, days in ahead(self._pieces(self._days, EVENT_SCHEMA.names)):
            if days:
                whole = len(piece.rows) == sum(day.rows for day in days)
                bots, fine = self._days_of(piece if whole else pieces.whole(days, LOOKS))
            prepared = fitted.apply(self._prepared(piece, bots, fine, highest, netted)).cast(PREPARED_SCHEMA)
            self._reduced.append(prepared.filter(pc.not_equal(prepared[Col.QUANTITY], prepared[Col.NET_QUANTITY])))
            yield prepared

    def taken_back(self, pieces: pa.Table) -> pa.Table:
        """The ``pieces`` of the netting with what the ``interactions`` say of their purchases."""
        return cancellations.described(pieces, pa.concat_tables(self._reduced))

    def _pieces(self, days: Sequence[Day], columns: Sequence[str]) -> Iterator[tuple[Piece, list[Day]]]:
        """The pieces of ``days``; with the first one of some whole days, these days."""
        for group in pieces.groups(days, self._most):
            for number, piece in enumerate(pieces.pieces(group, self._most, columns)):
                yield piece, [] if number else group

    def _prepared(
        self, piece: Piece, bots: pa.Table, fine: NDArray[np.int64], highest: float, netted: pa.Table
    ) -> pa.Table:
        """The piece's interactions before they are encoded."""
        rows = self._open(piece)
        self._note_unlisted(piece)
        place, price = self._catalogued(piece, rows)
        net_quantity, cancelled_at = cancellations.apply(piece.rows, piece.are(Col.EVENT_TYPE, ["purchase"]), netted)
        columns = {name: piece.rows[name] for name in EVENT_SCHEMA.names}
        columns |= {
            Col.SESSION_ID: self._sessions(piece),
            Col.PRICE: price,
            Col.CATEGORY: self._category.take(place),
            Col.IS_BOT: self._are_bots(piece, bots),
            Col.IS_OUTLIER: self._are_outliers(piece, highest),
            Col.NET_QUANTITY: net_quantity,
            Col.CANCELLED_AT: cancelled_at,
        }
        prepared = pa.table(columns)
        repeated = self._are_repeats(piece, rows, fine)
        if repeated.any():
            prepared = prepared.filter(pa.array(~repeated))
        self._count(prepared, int(repeated.sum()))
        return prepared

    def _open(self, piece: Piece) -> pa.Table:
        """Let the expressions see ``piece``, and the states of the catalogue that are in force in it."""
        columns = {name: piece.rows[name] for name in t.ROWS.columns if name in piece.rows.column_names}
        columns |= {name: piece.codes(name) for name in (Col.USER_ID, Col.ITEM_ID) if name in columns}
        columns[Col.EVENT_TYPE] = piece.text(Col.EVENT_TYPE)
        columns |= {"second": piece.seconds(), "n": pa.array(np.arange(len(piece.rows)))}
        rows = pa.table({name: columns[name] for name in t.ROWS.columns if name in columns})
        self._engine.know("piece", rows)
        names = piece.names(Col.ITEM_ID)
        self._engine.know("items", pa.table({Col.ITEM_ID: names, "code": np.arange(len(names), dtype=np.int32)}))
        span = [pa.array([moment], UTC_US) for moment in (piece.start, piece.end)]
        self._engine.know("span", pa.table(span, t.SPAN.columns))
        self._engine.keep("here", IN_FORCE)
        return rows

    def _catalogued(self, piece: Piece, rows: pa.Table) -> tuple[pa.Array, pa.ChunkedArray]:
        """The place of each event's state of the catalogue, and its price as far as the log or that state know it."""
        here = self._engine.run(t.HERE.select(Col.ITEM_ID, "place", "alone"))
        code, place, alone = (column.to_numpy() for column in here.columns)
        of_item = np.full(len(piece.names(Col.ITEM_ID)), NOWHERE)
        of_item[code] = np.where(alone, place, CHANGES)
        places = of_item[rows[Col.ITEM_ID].to_numpy()]
        changing = places == CHANGES
        if changing.any():
            self._engine.know("changing", rows.select(t.CHANGING.columns).filter(pa.array(changing)))
            found = self._engine.run(preparation.states_at(t.CHANGING, t.HERE))
            places[found["n"].to_numpy()] = found["place"].to_numpy()
        known = pa.array(places, mask=places == NOWHERE)
        return known, pc.coalesce(piece.rows[Col.PRICE], self._list_price.take(known))

    def _sessions(self, piece: Piece) -> pa.Array:
        """The log's session ids, and ``<user>-<n>`` where it has none; tells the next piece where the count is."""
        given = piece.rows[Col.SESSION_ID].combine_chunks()
        if not given.null_count:
            return given
        missing = given.is_null()
        users = piece.names(Col.USER_ID).take(piece.codes(Col.USER_ID).filter(missing))
        places = pa.array(np.flatnonzero(missing))
        self._engine.know(
            "without", pa.table([users, piece.rows[Col.TIMESTAMP].filter(missing), places], t.WITHOUT.columns)
        )
        self._engine.keep("numbered", preparation.sessions(t.WITHOUT, t.CARRIED, self._params.session_gap_minutes))
        self._engine.keep("carried", preparation.carry(t.CARRIED, t.NUMBERED))
        numbers = self._engine.run(t.NUMBERED.order_by("n"))["number"].cast(pa.string())
        made = pc.binary_join_element_wise(users, numbers, "-").combine_chunks()
        return pc.replace_with_mask(given, missing, made)

    def _days_of(self, group: Piece) -> tuple[pa.Table, NDArray[np.int64]]:
        """The bots (user_id, day) of whole days, and those of these days that know seconds."""
        bots = self._params.bots
        days = pa.table([group.codes(Col.USER_ID), group.rows[Col.EVENT_TYPE], group.seconds()], t.LOOKS.columns)
        looks = days.filter(group.are(Col.EVENT_TYPE, BROWSING))
        least = min(bots.a_day + 1, bots.a_minute + 1, bots.hours)
        busy = repeats.shared(least, looks[Col.USER_ID].to_numpy(), looks["second"].to_numpy() // repeats.DAY)
        self._engine.know("looks", looks.filter(pa.array(busy)).cast(t.LOOKS.schema().to_pyarrow()))
        found = _named(self._engine.run(flags.bots(t.LOOKS, **bots.model_dump())), Col.USER_ID, group)
        self.counts["bot_user_days"] += len(found)
        return found, repeats.fine_days(days["second"].to_numpy())

    def _are_bots(self, piece: Piece, bots: pa.Table) -> NDArray[np.bool_]:
        """Which events are of a user's day as a bot."""
        codes = pc.index_in(bots[Col.USER_ID], piece.names(Col.USER_ID))
        self._engine.know("bots", pa.table([codes, bots["day"]], t.BOTS.columns))
        return self._marked(piece, flags.of_bots(t.ROWS, t.BOTS)) if len(bots) else _none(piece)

    def _are_outliers(self, piece: Piece, highest: float) -> NDArray[np.bool_]:
        """Which events have a quantity above ``highest``, or a price that is not the item's."""
        place = pc.index_in(piece.names(Col.ITEM_ID), self._medians[Col.ITEM_ID].combine_chunks())
        usual = self._medians["median"].combine_chunks().take(place).to_numpy(zero_copy_only=False)
        return flags.outliers(
            piece.rows[Col.QUANTITY].to_numpy(),
            piece.rows[Col.PRICE].to_numpy(),
            usual[piece.codes(Col.ITEM_ID).to_numpy()],
            highest,
            self._params.outliers.price_factor,
        )

    def _are_repeats(self, piece: Piece, rows: pa.Table, fine: NDArray[np.int64]) -> NDArray[np.bool_]:
        """Which events repeat an earlier one."""
        if not (seconds := self._params.repeat_seconds):
            return _none(piece)
        looks = rows.select([Col.USER_ID, Col.ITEM_ID, "second", "n"]).filter(piece.are(Col.EVENT_TYPE, BROWSING))
        user, item, second, place = (column.to_numpy() for column in looks.columns)
        twice = repeats.shared(2, user, item, second // seconds)
        self._engine.know("likely", rows.take(pa.array(place[twice])))
        self._engine.know("fine", pa.table([fine], t.FINE.columns))
        return self._marked(piece, repeats.repeats(t.LIKELY, t.FINE, seconds))

    def _marked(self, piece: Piece, places: Table) -> NDArray[np.bool_]:
        """bool [rows]: the events whose ``n`` is in ``places``."""
        mask = _none(piece)
        mask[self._engine.run(places)["n"].to_numpy()] = True
        return mask

    def catalogue(self) -> pa.Table:
        """The catalogue with an entry for every item of the interactions, by item and time."""
        items = sorted(self._unlisted)
        first = pa.array([self._unlisted[item] for item in items], UTC_US)
        self._engine.know("unlisted", pa.table([pa.array(items, pa.string()), first], t.UNLISTED.columns))
        return self._engine.run(preparation.covering(t.PRODUCTS, t.UNLISTED)).cast(PRODUCT_SCHEMA)

    def _note_unlisted(self, piece: Piece) -> None:
        """Remember the first event of each item that the catalogue doesn't have."""
        names = piece.names(Col.ITEM_ID)
        unknown = np.flatnonzero(pc.index_in(names, self._listed).is_null())
        if len(unknown):
            codes = piece.codes(Col.ITEM_ID).to_numpy()
            at = np.flatnonzero(np.isin(codes, unknown))
            found, first = np.unique(codes[at], return_index=True)
            for code, row in zip(found.tolist(), at[first].tolist(), strict=True):
                self._unlisted.setdefault(names[code].as_py(), piece.rows[Col.TIMESTAMP][row].as_py())

    def _count(self, prepared: pa.Table, repeated: int) -> None:
        self.counts["events"] += len(prepared) + repeated
        self.counts["repeats"] += repeated
        self.counts["interactions"] += len(prepared)
        for name in (Col.IS_BOT, Col.IS_OUTLIER):
            self.counts[name] += pc.sum(prepared[name]).as_py() or 0


def _seen(names: pa.Array, places: pa.Array | pa.ChunkedArray) -> set[str | None]:
    """The ``names`` at ``places``, each once."""
    found = np.flatnonzero(np.bincount(places.drop_null().to_numpy(), minlength=1))
    return set(names.take(pa.array(found)).to_pylist()) if len(names) else set()


def _none(piece: Piece) -> NDArray[np.bool_]:
    return np.zeros(len(piece.rows), np.bool_)


def _named(rows: pa.Table, column: str, piece: Piece) -> pa.Table:
    """``rows`` with the names in place of the codes of ``column``."""
    at = rows.column_names.index(column)
    return rows.set_column(at, column, piece.names(column).take(rows[column].combine_chunks()))
