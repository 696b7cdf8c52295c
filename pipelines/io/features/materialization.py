"""From Postgres to Redis: the newest row of each entity, only where something came, and on from where it was killed.

What was done for each view is in ``features.materializations``; the newest row is the one of the latest stamp, and of
equal stamps the one created last. What is pushed live is stamped later and stays until a later row is published.
"""

import json
import logging
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, replace
from datetime import UTC, datetime
from typing import Any, Final
from uuid import uuid4

import pyarrow as pa
from feast import FeatureStore, FeatureView
from psycopg import Connection

from pipelines.core.errors import ConfigError, ServiceError
from pipelines.core.features.online_plan import BEGINNING, Job, State, plan
from pipelines.io import postgres
from pipelines.io.features import newest_rows, publications
from pipelines.io.features.feast_store import answered
from pipelines.io.progress import counting
from pipelines.io.receipts import AS_OF, TOKENS

log = logging.getLogger(__name__)

LOCK: Final = "publishing or materialization"
BOOK: Final = """
CREATE TABLE IF NOT EXISTS features.materializations (
    view text PRIMARY KEY, token text NOT NULL, load bigint NOT NULL, watermark timestamptz, job jsonb,
    changed_at timestamptz NOT NULL DEFAULT now())
"""


@contextmanager
def alone(connection: Connection, *, wait: bool) -> Iterator[None]:
    """Be the only one who publishes or materializes in this database.

    Raises:
        ServiceError: another one does, and it isn't to be waited for.
    """
    with postgres.alone(connection, LOCK, wait=wait):
        yield


@answered()
def materialize(
    connection: Connection, store: FeatureStore, views: Sequence[str] = (), *, full: bool = False
) -> dict[str, int]:
    """Make the online store hold what is published of ``views`` (all where none is named); be ``alone`` in this.

    Writes entities with rows that were loaded since the view's last materialization, or stamped after its watermark.
    ``full``, and a store that was emptied, or is another database's: all of them, and entities that are gone go.
    Memory holds a page of rows, and in a full one the keys.

    Returns: view -> entities written.

    Raises:
        ServiceError: nothing was applied or published yet, or a server doesn't answer.
        ConfigError: a view isn't declared.
    """
    chosen = _chosen(store, views)
    published = publications.as_of(connection)
    if published is None:
        raise ServiceError("nothing was published yet: run `make pipeline`")
    connection.execute(BOOK)
    if not views:
        names = [view.name for view in chosen]
        connection.execute("DELETE FROM features.materializations WHERE view <> ALL(%s)", [names])
    connection.commit()
    written = {view.name: _View(connection, store, view).bring_up_to_date(full) for view in chosen}
    store._get_provider().online_store._get_client(store.config.online_store).set(AS_OF, published.isoformat())
    return written


def _chosen(store: FeatureStore, names: Sequence[str]) -> list[FeatureView]:
    views = {view.name: view for view in store.list_feature_views()}
    if not views:
        raise ServiceError("the registry holds no feature views: run `make pipeline`")
    if unknown := set(names) - views.keys():
        raise ConfigError(f"no feature view {', '.join(sorted(unknown))}: there are {', '.join(sorted(views))}")
    return [views[name] for name in names or sorted(views)]


class _View:
    """One view on its way."""

    def __init__(self, connection: Connection, store: FeatureStore, view: FeatureView) -> None:
        self._connection, self._store, self._view = connection, store, view
        provider = store._get_provider()
        self._online: Any = provider.online_store
        self._redis: Any = self._online._get_client(store.config.online_store)
        self._rows = newest_rows.NewestRows(connection, store, view)

    def bring_up_to_date(self, full: bool) -> int:
        """Run the jobs that there are; return the entities written."""
        written = 0
        while job := self._next(full):
            written += self._run(job)
            full = False
        self._tell_feast()
        return written

    def _next(self, full: bool) -> Job | None:
        state = self._state()
        offline = publications.offline(self._connection, self._view.name, state.load if state else 0)
        self._connection.commit()
        job = plan(state, offline, self._token(), datetime.now(UTC), full)
        if job is None or (state and state.job == job):
            return job
        kept = state if state and state.token == self._token() else State(uuid4().hex)
        self._save(replace(kept, job=job))
        return job

    def _run(self, job: Job) -> int:
        started = time.monotonic()
        state = self._state()
        assert state is not None
        if job.last is None:
            self._begin(job, state)
        else:
            log.info("%s: going on after %s", self._view.name, ", ".join(job.last))
        written = 0
        with counting(self._view.name, None) as count:
            for page in self._rows.pages(job):
                self._online.write_arrow(self._store.config, self._view, page)
                state = replace(state, job=replace(job, last=self._rows.last_key(page)))
                self._save(state)
                written += page.num_rows
                count(page.num_rows)
        gone = self._retain(self._rows.keys(job), job.end) if job.full else 0
        self._save(State(state.token, job.load, job.end))
        how = "all" if job.full else "changed"
        spent = time.monotonic() - started
        log.info("%s: %d entities (%s), %d gone, %.1f s", self._view.name, written, how, gone, spent)
        return written

    def _begin(self, job: Job, state: State) -> None:
        if job.forget is not None:
            self._retain(self._rows.no_keys(), job.forget)
        if job.full:
            self._redis.hset(TOKENS, self._view.name, state.token)

    def _retain(self, entities: pa.Table, until: datetime) -> int:
        return int(self._online.retain(self._store.config, self._view, entities, until))

    def _token(self) -> str | None:
        token = self._redis.hget(TOKENS, self._view.name)
        return token.decode() if isinstance(token, bytes) else token

    def _state(self) -> State | None:
        row = self._connection.execute(
            "SELECT token, load, watermark, job FROM features.materializations WHERE view = %s", [self._view.name]
        ).fetchone()
        return State(row[0], row[1], row[2], row[3] and _job(row[3])) if row else None

    def _save(self, state: State) -> None:
        job = json.dumps(asdict(state.job), default=datetime.isoformat) if state.job else None
        self._connection.execute(
            "INSERT INTO features.materializations VALUES (%s, %s, %s, %s, %s) ON CONFLICT (view) DO UPDATE SET "
            "token = EXCLUDED.token, load = EXCLUDED.load, watermark = EXCLUDED.watermark, job = EXCLUDED.job, "
            "changed_at = now()",
            [self._view.name, state.token, state.load, state.watermark, job],
        )
        self._connection.commit()

    def _tell_feast(self) -> None:
        """Let Feast's own incremental materialization go on from here, also where it was told a later end."""
        state, view = self._state(), self._view
        self._connection.commit()
        assert state is not None
        assert state.watermark is not None
        if view.materialization_intervals != (intervals := [(BEGINNING, state.watermark)]):
            view.materialization_intervals = intervals
            self._store.registry.apply_feature_view(view, self._store.project)


def _job(stored: dict[str, Any]) -> Job:
    times = {n: datetime.fromisoformat(stored[n]) for n in ("end", "forget", "stamped", "created") if stored[n]}
    return Job(**stored | times | {"last": stored["last"] and tuple(stored["last"])})
