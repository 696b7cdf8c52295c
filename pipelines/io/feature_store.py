"""The feature store: Feast on Postgres (history, registry) and Redis (newest values)."""

import contextlib
import io
import logging
import os
import sys
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from typing import Any, Final

import numpy as np
import psycopg
import pyarrow as pa
from feast import FeatureStore
from feast.errors import FeatureServiceNotFoundException
from feast.repo_operations import apply_total, cli_check_repo
from redis.exceptions import RedisError
from sqlalchemy.exc import OperationalError

from pipelines.core.columns import Col
from pipelines.core.errors import ServiceError
from pipelines.settings import Settings

log = logging.getLogger(__name__)

BEGINNING: Final = datetime(1970, 1, 1, tzinfo=UTC)
CARDS: Final = "item_card_v1"
CHUNK: Final = 500  # entities in one read: Redis answers others in between

Column = np.ndarray[Any, Any]


@contextlib.contextmanager
def _answered() -> Iterator[None]:
    """Turn a server's silence into a ServiceError."""
    try:
        yield
    except RedisError as error:
        raise ServiceError(f"Redis: {error}") from error
    except (psycopg.OperationalError, OperationalError) as error:
        raise ServiceError(f"Postgres: {str(error).splitlines()[0]}") from error


@_answered()
def open_store(settings: Settings) -> FeatureStore:
    """The Feast store of ``feature_repo/`` on the servers that ``settings`` name.

    Feast takes them from the environment, so this sets it.

    Raises:
        ServiceError: Postgres doesn't answer; so do the functions below where a server doesn't.
    """
    os.environ.update(settings.exported())
    return FeatureStore(repo_path=str(settings.root / "feature_repo"))


@_answered()
def apply(store: FeatureStore) -> None:
    """Register what ``feature_repo/definitions.py`` declares, as ``feast apply`` does."""
    repo = store.repo_path
    with contextlib.chdir(repo), _logged():  # Feast finds modules by their path from the working directory
        cli_check_repo(repo, repo / "feature_store.yaml")
        sys.modules.pop("definitions", None)  # Feast leaves an earlier registry's state in the module's objects
        apply_total(store.config, repo, skip_source_validation=False)
    store.refresh_registry()


@_answered()
def materialize(store: FeatureStore, end: datetime) -> None:
    """Make the online store hold each entity's newest row up to ``end``, and nothing else of this project's views.

    Writes all of them: a corrected row may be older than the last materialization. ``end`` becomes the watermark, also
    where it was later before (another shop's data).

    Raises:
        ServiceError: nothing was applied or published yet.
    """
    if not store.list_feature_views():
        raise ServiceError("the registry holds no feature views: run `make pipeline`")
    with _logged():
        try:
            store.materialize(BEGINNING, end)
        except psycopg.errors.UndefinedTable as error:
            raise ServiceError(f"{str(error).splitlines()[0]}: run `make pipeline`") from None
    provider = store._get_provider()
    for view in store.list_feature_views():
        source = view.batch_source
        entities = provider.offline_store.pull_latest_from_table_or_query(
            store.config, source, view.join_keys, [view.features[0].name], source.timestamp_field,
            source.created_timestamp_column, BEGINNING, end,
        ).to_arrow()  # fmt: skip
        gone = provider.online_store.retain(store.config, view, entities)
        log.debug("%s: %d entities, %d gone", view.name, entities.num_rows, gone)
        view.materialization_intervals = [(BEGINNING, end)]
        store.registry.apply_feature_view(view, store.project)


@_answered()
def historical(store: FeatureStore, service: str, pairs: pa.Table) -> pa.Table:
    """Point-in-time features of ``service`` for ``pairs``, in their order.

    Args:
        pairs: user_id, item_id, event_timestamp (UTC).

    Returns: one row for each pair; the pairs' columns, then every numeric feature under its full name as float64, null
    where the entity had no row yet.
    """
    job = store.get_historical_features(pairs.to_pandas(), store.get_feature_service(service), full_feature_names=True)
    table = job.to_arrow()
    features = {
        name: table[name].cast(pa.float64())
        for name in table.column_names
        if name not in pairs.column_names and not pa.types.is_string(table.schema.field(name).type)
    }
    return pa.table({name: pairs[name] for name in pairs.column_names} | features)


class OnlineFeatures:
    """The newest features of users and items, read from Redis through Feast at every call.

    Names are full ones (``user_activity_v1__views_7d``); a value that is missing is NaN.
    """

    def __init__(self, store: FeatureStore, service: str) -> None:
        """Read what ``service`` is made of; nothing of Redis yet.

        Raises:
            ServiceError: the registry doesn't know the service.
        """
        self._store = store
        self._views = {view.name: view for view in store.list_feature_views()}
        self._features = self._by_keys(service)
        self._cards = self._by_keys(CARDS)[(Col.ITEM_ID,)]

    @property
    def as_of(self) -> datetime:
        """The end of the last materialization (UTC): what the features know of. At most a minute old itself.

        Raises:
            ServiceError: a view was never materialized.
        """
        views = self._store.registry.list_feature_views(self._store.project, allow_cache=True)
        ends = [view.most_recent_end_time for view in views if view.name in self._views]
        if not ends or None in ends:
            raise ServiceError("the online store is empty: run `make pipeline`")
        return min(ends).astimezone(UTC)

    def user(self, user_id: str) -> dict[str, float]:
        """A user's features; all NaN for one who isn't known."""
        columns = self._numbers((Col.USER_ID,), {Col.USER_ID: [user_id]})
        return {name: float(values[0]) for name, values in columns.items()}

    def user_items(self, user_id: str, item_ids: Sequence[str]) -> dict[str, Column]:
        """Features of a user with each item, float64 of shape [len(item_ids)]."""
        keys = {Col.USER_ID: [user_id] * len(item_ids), Col.ITEM_ID: list(item_ids)}
        return self._numbers((Col.ITEM_ID, Col.USER_ID), keys)

    def items(self, item_ids: Sequence[str]) -> dict[str, Column]:
        """Features of each item, float64 of shape [len(item_ids)]."""
        return self._numbers((Col.ITEM_ID,), {Col.ITEM_ID: list(item_ids)})

    def cards(self, item_ids: Sequence[str]) -> dict[str, Column]:
        """What a page shows of each item: title, category (str or None), price (NaN where unknown), in_stock (bool)."""
        read = self._read(self._cards, {Col.ITEM_ID: list(item_ids)})
        columns = {name.partition("__")[2]: values for name, values in read.items()}
        return {
            "title": np.array(columns["title"], dtype=object),
            "category": np.array(columns["category"], dtype=object),
            "price": _floats(columns["price"]),
            "in_stock": np.array(columns["in_stock"], dtype=bool),  # an unknown item isn't
        }

    def _by_keys(self, service: str) -> dict[tuple[str, ...], list[str]]:
        """Join keys (sorted) -> feature references of ``service``."""
        try:
            projections = self._store.get_feature_service(service).feature_view_projections
        except FeatureServiceNotFoundException:
            raise ServiceError(f"the registry has no feature service {service}: run `make apply`") from None
        found: dict[tuple[str, ...], list[str]] = {}
        for projection in projections:
            keys = tuple(sorted(self._views[projection.name].join_keys))
            found.setdefault(keys, []).extend(f"{projection.name}:{field.name}" for field in projection.features)
        return found

    def _numbers(self, keys: tuple[str, ...], rows: dict[str, list[str]]) -> dict[str, Column]:
        return {name: _floats(values) for name, values in self._read(self._features[keys], rows).items()}

    def _read(self, features: list[str], rows: dict[str, list[str]]) -> dict[str, list[Any]]:
        """Full feature name -> a value for each row, None where it is missing."""
        names = [feature.replace(":", "__") for feature in features]
        read: dict[str, list[Any]] = {name: [] for name in names}
        length = len(next(iter(rows.values())))
        for start in range(0, length, CHUNK):
            chunk = {key: values[start : start + CHUNK] for key, values in rows.items()}
            with _answered():
                response = self._store.get_online_features(features, chunk, full_feature_names=True).to_dict()
            for name in names:  # by name: Feast's order of columns is arbitrary
                read[name] += response[name]
        return read


def _floats(values: list[Any]) -> Column:
    return np.array([np.nan if value is None else value for value in values], dtype=np.float64)


@contextlib.contextmanager
def _logged() -> Iterator[None]:
    """Send what Feast prints to the log."""
    printed = io.StringIO()
    try:
        with contextlib.redirect_stdout(printed), contextlib.redirect_stderr(printed):
            yield
    finally:
        for line in printed.getvalue().splitlines():
            log.debug("feast: %s", line)
