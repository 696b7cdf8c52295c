"""Trying live features out from a file."""

import argparse
from collections.abc import Iterator
from pathlib import Path

import pytest
import redis

from pipelines.commands import push
from pipelines.context import Context
from pipelines.core.errors import InputError
from pipelines.io.intake import lake, sources
from pipelines.settings import Settings
from tests.conftest import MODULES, own_databases
from tests.feature_data import event, product
from tests.lake_data import built

pytestmark = [pytest.mark.slow, pytest.mark.services]

HEADER = "event_id,user_id,product_id,event_type,timestamp,quantity,price"


@pytest.fixture(scope="module")
def shop(servers: Settings, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Context]:
    """A shop published up to 2024-03-03, its mapping beside its log."""
    root = tmp_path_factory.mktemp("push")
    with own_databases(servers, root, MODULES) as settings:
        context = built(settings, [event("u1", "i1", "view", 1.5)], products=[product("i1", 0)])
        (root / lake.MAPPING).parent.mkdir(parents=True)
        (root / lake.MAPPING).write_text(sources.mapping_path("clickstream", root).read_text())
        yield context


def pushed(shop: Context, folder: Path, *rows: str) -> None:
    """Run the command on a file of these rows."""
    file = folder / "events.csv"
    file.write_text("\n".join([HEADER, *rows, ""]))
    push.run(Context(argparse.Namespace(file=file), shop.settings))


def test_push_shows_what_changed_by_user(shop: Context, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rows = ("e1,u1,i1,purchase,2024-03-03T10:00:00Z,2,4.5", "e2,new,i1,view,2024-03-03T10:00:05Z,,")
    pushed(shop, tmp_path, *rows, "e3,u1,i1,view,2024-03-02T10:00:00Z,,")
    told = capsys.readouterr().out.splitlines()
    assert told[0] == "2 events since 2024-03-03 00:00 (UTC) counted, 1 older ones left to the batch"
    assert told[1].startswith("new: ")
    assert "views_1d nothing -> 1" in told[1]
    assert told[2].startswith("u1: ")
    assert "purchases_1d 0 -> 1" in told[2]


def test_push_of_the_same_file_again_changes_nothing(
    shop: Context, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for _ in range(2):
        pushed(shop, tmp_path, "e9,again,i1,view,2024-03-03T12:00:00Z,,")
    assert capsys.readouterr().out.splitlines()[-1] == "again: 0 values changed"


def test_push_names_bad_rows_and_pushes_nothing(shop: Context, tmp_path: Path) -> None:
    bad = ("e5,u2,i1,look,2024-03-03T10:00:00Z,,", "e6,u2,none,view,2024-03-03T10:00:00Z,,")
    with pytest.raises(
        InputError, match=r"2 rows are bad, nothing was pushed: line 3: unknown event_type; line 4: item"
    ):
        pushed(shop, tmp_path, "e4,u2,i1,view,2024-03-03T10:00:00Z,,", *bad)
    with redis.Redis.from_url(shop.settings.redis) as client:
        assert not list(client.scan_iter(b"*u2*"))


def test_push_of_no_file_says_so(shop: Context) -> None:
    with pytest.raises(InputError, match="is no file"):
        push.run(Context(argparse.Namespace(file=Path("nowhere.csv")), shop.settings))
