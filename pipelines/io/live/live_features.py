"""What users did since the last batch, online at once: by the definitions and the kernel of the batch."""

import threading
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

import psycopg
import pyarrow as pa
import pyarrow.compute as pc
from feast import FeatureStore, FeatureView
from feast.errors import FeatureViewNotFoundException
from psycopg import Connection, IsolationLevel

from pipelines.core.columns import Col
from pipelines.core.errors import ServiceError
from pipelines.core.features import live
from pipelines.core.features.change_points import Timeline
from pipelines.core.features.coded_days import DAY_US
from pipelines.core.features.feature_views import VIEWS
from pipelines.io import postgres
from pipelines.io.features import feature_rows, publications
from pipelines.io.features.feast_store import answered
from pipelines.io.live import live_protos
from pipelines.io.preparation import live_events
from pipelines.params import Prepare
from pipelines.settings import Settings

FOREVER: Final = datetime(9999, 1, 1, tzinfo=UTC)


@dataclass(frozen=True)
class Pushed:
    """What a push changed: the batch that it goes on from, events counted, events before it, rows by view."""

    as_of: datetime
    events: int
    older: int
    """Events of days that the batch knows already: they are its matter."""
    rows: dict[str, pa.Table]


class LiveFeatures:
    """Pushes live events of users into the online store; for one thread at a time, others wait.

    A value that is pushed is what the nightly batch will write for the coming midnight if nothing more happens today,
    by the catalogue as of the last batch. The item views wait for the batch.
    """

    def __init__(self, store: FeatureStore, settings: Settings, params: Prepare) -> None:
        """Nothing is read yet; ``params`` say who is a bot and what was sent twice."""
        self._store, self._settings, self._params = store, settings, params
        self._connection: Connection | None = None
        self._views: dict[str, FeatureView] = {}
        self._lock = threading.Lock()

    def push(self, events: pa.Table) -> Pushed:
        """Make the online store hold the users' features with ``events``; doing it twice changes nothing.

        ``events``: canonical ones (session_id and device may lack), **all** of these users' since the last batch's
        ``as_of``, in any order. The caller keeps them until a batch has them.

        Raises:
            InputError: an event isn't canonical.
            ServiceError: nothing was published yet, or a server doesn't answer; pushing again is safe.
        """
        pushed = self.rows(events)
        with answered():
            views = [(self._view(view), rows) for view, rows in pushed.rows.items() if len(rows)]
            self._write(views)
        return pushed

    def rows(self, events: pa.Table) -> Pushed:
        """What ``push`` writes, with the columns that ``store.push`` takes."""
        events = live_events.canonical(events)
        with self._lock, answered():
            try:
                return self._rows(events)
            except psycopg.OperationalError:
                self.close()
                raise

    def close(self) -> None:
        """Let go of the connection; the next push opens another one."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def _write(self, views: Sequence[tuple[FeatureView, pa.Table]]) -> None:
        online, config = self._store._get_provider().online_store, self._store.config
        if sum(len(rows) for _, rows in views) > live_protos.FEW:
            online.write_views(config, views)
            return
        for view, rows in views:
            online.online_write_batch(config, view, list(live_protos.protos(view, rows)), None)

    def _rows(self, events: pa.Table) -> Pushed:
        connection = self._connected()
        with connection.transaction():  # one picture of all tables
            as_of = publications.as_of(connection)
            if as_of is None:
                raise ServiceError("nothing was published yet: run `make pipeline`")
            known, events = len(events), events.filter(pc.field(Col.TIMESTAMP) >= pa.scalar(as_of))
            if not len(events):
                return Pushed(as_of, 0, known, {})
            timeline, profiles = self._known(connection, as_of, events)
        prepared = live_events.prepared(events, profiles, self._params)
        return Pushed(as_of, len(prepared), known - len(events), live.rows(timeline, prepared))

    def _known(self, connection: Connection, as_of: datetime, events: pa.Table) -> tuple[Timeline, pa.Table]:
        """What is published of the events' users, and of their items."""
        users, items = (events[key].unique().to_pylist() for key in (Col.USER_ID, Col.ITEM_ID))
        asked = {
            view: feature_rows.of_entities(view, [(user,) for user in users], FOREVER)
            if VIEWS[view].keys == (Col.USER_ID,)
            else feature_rows.of_users(view, users)
            for view in live.LIVE
        }
        profiles = feature_rows.of_entities("item_profile_v1", [(item,) for item in items], FOREVER)
        questions = [*asked.values(), feature_rows.recent_days(users), profiles]
        *rows, days, of_items = feature_rows.answers(connection, questions)
        midnight = round(as_of.timestamp()) * 1_000_000 // DAY_US
        return Timeline.of_rows(dict(zip(asked, rows, strict=True)), days, midnight), of_items

    def _view(self, name: str) -> FeatureView:
        """The view as declared, read once: a published view never changes, and Feast takes long to read it."""
        if name not in self._views:
            try:
                self._views[name] = self._store.get_feature_view(name)
            except FeatureViewNotFoundException:
                raise ServiceError(f"the registry has no feature view {name}: run `make apply`") from None
        return self._views[name]

    def _connected(self) -> Connection:
        if self._connection is None or self._connection.closed:
            self._connection = psycopg.connect(
                self._settings.postgres_conninfo, connect_timeout=10, autocommit=True, **postgres.KEPT_ALIVE
            )
            self._connection.isolation_level = IsolationLevel.REPEATABLE_READ
            self._connection.read_only = True
        return self._connection
