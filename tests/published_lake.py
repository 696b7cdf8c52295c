"""Feature files written by hand: what `features` leaves, row by row as a test wants it."""

import argparse
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from pipelines.context import Context
from pipelines.core.features.feature_views import RECENT_DAYS, VIEWS
from pipelines.io import files, postgres
from pipelines.io.features import feast_store, feature_files, feature_tables
from pipelines.io.features.feature_lake import FeatureLake
from pipelines.settings import Settings
from pipelines.stages import publish
from tests.conftest import MODULES, emptied_redis, own_databases

CHECKOUT = Path(__file__).resolve().parents[1]
START = datetime(2024, 3, 1, tzinfo=UTC)
VIEW = "user_activity_v1"

Row = dict[str, Any]
Parts = Mapping[str, Sequence[Row]]
"""Path within the view -> rows."""


def day(number: float) -> datetime:
    """The moment ``number`` days after the start."""
    return START + timedelta(days=number)


def part(number: int, n: int = 0) -> str:
    """The path of part ``n`` of the rows stamped on day ``number``."""
    return f"date={day(number):%Y-%m-%d}/part-{n}.parquet"


def user(user_id: str, at: float, views: int, created: datetime | None = None) -> Row:
    """A row of ``VIEW``."""
    return {"user_id": user_id, "event_timestamp": day(at), "created_timestamp": created or day(at), "views_all": views}


def write(root: Path, until: float, views: Mapping[str, Parts], recent: Sequence[Row] = ()) -> None:
    """Write the files of ``views`` (the others are empty) and the manifest, which says that all is known to ``until``.

    A part other than the first is a correction; it was created when its first row was.
    """
    folder = root / feature_files.FEATURES
    listed = {view: {p: _write(folder, view, p, rows) for p, rows in views.get(view, {}).items()} for view in VIEWS}
    feature_files.write_recent_days(folder, pa.Table.from_pylist(list(recent), RECENT_DAYS))
    manifest = {"format": feature_files.FORMAT, "until": day(until).isoformat(), "build": "b", "days": {}}
    files.write_json(folder / feature_files.MANIFEST, manifest | {"files": listed})


def _write(folder: Path, view: str, path: str, rows: Sequence[Row]) -> feature_files.Entry:
    table = pa.Table.from_pylist(list(rows), VIEWS[view].schema)
    created = rows[0]["created_timestamp"] if not path.endswith("part-0.parquet") else None
    return feature_files.write(folder, view, path, table, created)


def published(settings: Settings, until: float, parts: Parts, **views: Parts) -> Context:
    """Run `publish` on a lake of ``parts`` of ``VIEW``, and of other views."""
    write(settings.root, until, {VIEW: parts, **views})
    context = shop(settings)
    publish.run(context)
    return context


def shop(settings: Settings, **arguments: Any) -> Context:
    """A context with arguments of a command, on a root with the feature repository."""
    if not (settings.root / "feature_repo").exists():
        (settings.root / "feature_repo").symlink_to(CHECKOUT / "feature_repo")
    return Context(argparse.Namespace(**{"views": [], "full": False, **arguments}), settings)


@pytest.fixture(scope="module")
def base(servers: Settings, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Settings]:
    """Settings of a module's own databases, with Feast's declarations."""
    with own_databases(servers, tmp_path_factory.mktemp("shop"), MODULES) as settings:
        empty_lake(settings)
        yield settings


@pytest.fixture(name="shop")
def unpublished(base: Settings) -> Settings:
    """Nothing is published yet."""
    forgotten(base)
    return base


def load(settings: Settings, until: float, parts: Parts, recent: Sequence[Row] = (), **views: Parts) -> None:
    """What `publish` does to Postgres, with a lake of ``parts`` of ``VIEW``, and of other views."""
    write(settings.root, until, {VIEW: parts, **views}, recent)
    with postgres.connect(settings) as connection:
        feature_tables.publish(connection, FeatureLake.read(settings.root))


def empty_lake(settings: Settings) -> None:
    """Publish tables without rows, as Feast wants to see the tables that are declared, and let them be forgotten."""
    shop(settings)
    load(settings, 0, {})
    feast_store.apply(feast_store.open_store(settings))
    forgotten(settings)


def forgotten(settings: Settings) -> None:
    """Let both servers forget what was published; Feast's registry stays."""
    with postgres.connect(settings) as connection:
        connection.execute("DROP SCHEMA IF EXISTS features CASCADE")
    emptied_redis(settings)
