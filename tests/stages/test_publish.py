"""The publish stage: both servers hold what the features hold, and what is new costs what is new."""

from typing import Any

import psycopg
import pytest

from pipelines.io.files import read_json
from pipelines.settings import Settings
from tests.published_lake import VIEW, day, part, published, user

pytestmark = pytest.mark.services


def receipt(settings: Settings) -> Any:
    return read_json(settings.root / "data/published/receipt.json")


def select(settings: Settings, query: str) -> list[tuple[Any, ...]]:
    with psycopg.connect(settings.postgres_conninfo) as connection:
        return connection.execute(query).fetchall()


def rows(settings: Settings, view: str = VIEW) -> list[tuple[Any, ...]]:
    return select(settings, f"SELECT user_id, event_timestamp, views_all FROM features.{view} ORDER BY 1, 2, 3")


def tables(settings: Settings) -> dict[str, int]:
    """Table -> its identity, which a replaced one doesn't keep."""
    return dict(
        select(settings, "SELECT relname, oid::int FROM pg_class WHERE relnamespace = 'features'::regnamespace")
    )


def test_publish_appends_new_files_to_the_tables(settings: Settings) -> None:
    first = {part(1): [user("a", 1, 1)]}
    published(settings, 1, first)
    before = tables(settings)
    published(settings, 2, first | {part(2): [user("a", 2, 5), user("b", 2, 7)]})
    assert rows(settings) == [("a", day(1), 1), ("a", day(2), 5), ("b", day(2), 7)]
    assert tables(settings) == before
    loads = select(settings, f"SELECT file, rows, load FROM features.loads WHERE view = '{VIEW}' ORDER BY file")
    assert loads == [(part(1), 1, 1), (part(2), 2, 2)]
