"""Feast on Postgres (history, registry) and Redis (newest values): open it, declare, read the past."""

import contextlib
import io
import logging
import os
import sys
from collections.abc import Iterator

import psycopg
import pyarrow as pa
from feast import FeatureStore
from feast.repo_operations import apply_total, cli_check_repo
from redis.exceptions import RedisError
from sqlalchemy.exc import OperationalError

from pipelines.core.errors import ServiceError
from pipelines.io.features import published_views
from pipelines.settings import Settings

log = logging.getLogger(__name__)


@contextlib.contextmanager
def answered() -> Iterator[None]:
    """Turn a server's silence into a ServiceError."""
    try:
        yield
    except RedisError as error:
        raise ServiceError(f"Redis: {error}") from error
    except (psycopg.OperationalError, OperationalError) as error:
        raise ServiceError(f"Postgres: {str(error).splitlines()[0]}") from error


@answered()
def open_store(settings: Settings) -> FeatureStore:
    """The Feast store of ``feature_repo/`` on the servers that ``settings`` name.

    Feast takes them from the environment, so this sets it.

    Raises:
        ServiceError: Postgres doesn't answer; so do the functions below where a server doesn't.
    """
    os.environ.update(settings.exported())
    return FeatureStore(repo_path=str(settings.root / "feature_repo"))


@answered()
def apply(store: FeatureStore) -> None:
    """Register what ``feature_repo/definitions.py`` declares, as ``feast apply`` does.

    Raises:
        InputError: a published view or service was changed.
    """
    repo = store.repo_path
    published_views.verify(repo)
    with contextlib.chdir(repo), logged():  # Feast finds modules by their path from the working directory
        cli_check_repo(repo, repo / "feature_store.yaml")
        sys.modules.pop("definitions", None)  # Feast leaves an earlier registry's state in the module's objects
        apply_total(store.config, repo, skip_source_validation=False)
    store.refresh_registry()


@answered()
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


@contextlib.contextmanager
def logged() -> Iterator[None]:
    """Send what Feast prints to the log."""
    printed = io.StringIO()
    try:
        with contextlib.redirect_stdout(printed), contextlib.redirect_stderr(printed):
            yield
    finally:
        for line in printed.getvalue().splitlines():
            log.debug("feast: %s", line)
