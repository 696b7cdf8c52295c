"""The validated log as an audit reads it: a sample of its entities, and what the views promise for them.

Which events are bots', or were sent twice, is taken from the prepared interactions by event id; all else is counted
again from the validated events, cancellations and products.
"""

import contextlib
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import groupby
from pathlib import Path
from typing import Any, Final

import duckdb
import pyarrow as pa

from pipelines.core.columns import Col
from pipelines.core.errors import InputError
from pipelines.core.features.audit import Pair
from pipelines.core.features.brute_force import (
    Happened,
    State,
    Values,
    activity,
    cents,
    midnight,
    profile,
    state_at,
    take_back,
    unlisted,
)
from pipelines.core.features.feature_views import VIEWS
from pipelines.io import duck

VALIDATED: Final = Path("data/validated")
PREPARED: Final = Path("data/processed/prepared_interactions.parquet")
MEMORY: Final = "1GB"
PROFILE: Final = "item_profile_v1"
_BATCH: Final = 1 << 14
_ROWS: Final = """
SELECT e.{key} AS entity, e.event_id, e.user_id, e.item_id, e.event_type, epoch_us(e.timestamp), e.quantity, e.price,
       coalesce(NOT p.is_bot, e.event_type NOT IN ('view', 'click')) AS counts
FROM events AS e LEFT JOIN prepared AS p USING (event_id) WHERE e.{key} IN (SELECT entity FROM asked)
UNION ALL
SELECT c.{key}, c.event_id, c.user_id, c.item_id, NULL, epoch_us(c.timestamp), c.quantity, NULL, false
FROM cancellations AS c WHERE c.{key} IN (SELECT entity FROM asked)
ORDER BY entity
"""
"""An entity's events and cancellations, those of an entity together. Of events that prepare left out, only views and
clicks can have been sent twice."""


class Log:
    """The files of a lake; one entity's events are in memory at a time, and the catalogue's history."""

    def __init__(self, root: Path) -> None:
        """Open what `validate` and `prepare` left.

        Raises:
            InputError: a file is missing.
        """
        self._con = duckdb.connect(config=duck.options(MEMORY))
        self._con.execute("SET timezone = 'UTC'")
        with contextlib.suppress(duckdb.InvalidInputException):  # in a notebook it is off and can't be set
            self._con.execute("SET enable_progress_bar = false")
        files = {
            "events": sorted((root / VALIDATED / "events").glob("date=*/*.parquet")),
            "cancellations": [root / VALIDATED / "cancellations.parquet"],
            "products": [root / VALIDATED / "products.parquet"],
            "prepared": [root / PREPARED],
        }
        for name, paths in files.items():
            if not paths or not paths[0].exists():
                raise InputError(f"{root / VALIDATED} or {root / PREPARED} is incomplete: run `make pipeline`")
            listed = ", ".join("'" + str(path).replace("'", "''") + "'" for path in paths)
            self._con.execute(f"CREATE VIEW {name} AS FROM read_parquet([{listed}], hive_partitioning = false)")
        self._con.execute("CREATE TABLE drawn AS SELECT user_id, item_id, timestamp, event_id FROM events")
        self._states = self._catalogue()

    def first(self) -> int:
        """The time of the first event, microseconds since 1970."""
        return int(self._con.execute("SELECT epoch_us(min(timestamp)) FROM drawn").fetchall()[0][0])

    def entities(self, view: str, n: int, seed: int) -> list[tuple[tuple[str, ...], int]]:
        """About ``n`` entities of ``view``, each with the time of one of its events; always the same for a seed.

        One half is drawn from the events, so by activity, the other from the entities, each as likely as another.
        """
        keys = VIEWS[view].keys
        drawn = keys if Col.CATEGORY not in keys else (Col.USER_ID, Col.ITEM_ID)
        known = "FROM drawn"
        if view == PROFILE:
            known += " UNION ALL SELECT NULL, item_id, valid_from, item_id FROM products"
        chance = f"md5_number_lower(concat({{}}, '{view}', {seed}))"
        by_event, by_key = chance.format("event_id"), chance.format(", chr(31), ".join(drawn))
        listed = ", ".join(drawn)
        halves = [
            f"SELECT {listed}, epoch_us(timestamp) FROM drawn ORDER BY {by_event} LIMIT {n - n // 2}",
            f"SELECT {listed}, epoch_us(arg_min(timestamp, {by_event})) FROM ({known}) GROUP BY {listed} "
            f"ORDER BY {by_key} LIMIT {n // 2}",
        ]
        rows = [row for half in halves for row in self._con.execute(half).fetchall()]
        found = [(row[:-1], row[-1]) for row in rows]
        return found if drawn == keys else self._in_categories(found)

    def expected(self, pairs: Iterable[Pair], until: int) -> Iterator[tuple[Pair, Values | None]]:
        """What the views promise for each pair, in any order; ``until`` is the last midnight that features know."""
        asked: dict[str, dict[str, list[Pair]]] = {Col.USER_ID: defaultdict(list), Col.ITEM_ID: defaultdict(list)}
        for pair in pairs:
            asked[VIEWS[pair.view].keys[0]][pair.keys[0]].append(pair)
        for key, by_entity in asked.items():
            waiting = set(by_entity)
            for entity, events in self._histories(key, list(by_entity)):
                waiting.remove(entity)
                yield from self._promised(by_entity[entity], events, until)
            for entity in sorted(waiting):  # nothing ever happened to it
                yield from self._promised(by_entity[entity], [], until)

    def _promised(
        self, pairs: Sequence[Pair], events: Sequence[tuple[Happened, bool]], until: int
    ) -> Iterator[tuple[Pair, Values | None]]:
        counted = [event for event, counts in events if counts]
        for pair in pairs:
            if pair.view == PROFILE:
                item = pair.keys[0]
                first = min((event.at for event in counted), default=None)
                states = self._states.get(item) or [unlisted(item, e.at) for e in _earliest(events)]
                yield pair, profile(states, first, until, pair.at)
                continue
            own = counted
            for key, value in zip(VIEWS[pair.view].keys[1:], pair.keys[1:], strict=True):
                own = [event for event in own if getattr(event, key) == value]
            yield pair, activity(pair.view, own, min(midnight(pair.at), until))

    def _histories(self, key: str, entities: Sequence[str]) -> Iterator[tuple[str, list[tuple[Happened, bool]]]]:
        """Each entity's events with whether they count, and what was taken back of them."""
        self._con.register("asked", pa.table({"entity": pa.array(entities, pa.string())}))
        reader = self._con.sql(_ROWS.format(key=key)).to_arrow_reader(_BATCH)
        rows = (row for batch in reader for row in zip(*(c.to_pylist() for c in batch.columns), strict=True))
        for entity, group in groupby(rows, key=lambda row: row[0]):
            events, cancellations = [], []
            for _, event_id, user, item, kind, at, quantity, price, counts in group:
                if kind is None:
                    cancellations.append(Happened(event_id, user, item, "cancellation", at, quantity))
                    continue
                state = state_at(self._states.get(item, []), at)
                known: Mapping[str, Any] = state.values if state else {}
                price = known.get(Col.PRICE) if price is None else price
                event = Happened(event_id, user, item, kind, at, quantity, known.get(Col.CATEGORY), cents(price))
                events.append((event, counts))
            take_back((event for event, _ in events if event.kind == "purchase"), cancellations)
            yield entity, events

    def _catalogue(self) -> dict[str, list[State]]:
        """Each item's states in the order of time."""
        names = [Col.ITEM_ID, *(name for name in VIEWS[PROFILE].features if name != "first_seen_epoch_s")]
        rows = self._con.execute(
            f"SELECT epoch_us(valid_from), {', '.join(names)} FROM products ORDER BY item_id, valid_from"
        ).fetchall()
        states: dict[str, list[State]] = defaultdict(list)
        for valid_from, item, *values in rows:
            states[item].append(State(valid_from, dict(zip(names[1:], values, strict=True))))
        return dict(states)

    def _in_categories(self, found: Sequence[tuple[tuple[str, ...], int]]) -> list[tuple[tuple[str, ...], int]]:
        """The user and the category of each event of a user and an item, where it has one."""
        states = ((user, state_at(self._states.get(item, []), at), at) for (user, item), at in found)
        return [((user, s.values[Col.CATEGORY]), at) for user, s, at in states if s and s.values[Col.CATEGORY]]


def _earliest(events: Sequence[tuple[Happened, bool]]) -> list[Happened]:
    """The first event, if there is one."""
    return [min((event for event, _ in events), key=lambda event: event.at)] if events else []
