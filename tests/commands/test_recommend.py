import argparse
from collections.abc import Iterator
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from pipelines.commands import recommend
from pipelines.context import Context
from pipelines.core.errors import ConfigError, InputError, ModelError
from pipelines.io.models import bundles, registry
from pipelines.io.models.user_lists import SCHEMA
from pipelines.settings import Settings
from tests.conftest import MODULES, own_databases
from tests.feature_data import product, published
from tests.serving import shop


def _run(settings: Settings, out: Path, **given) -> list[dict]:
    arguments = {"out": out, "k": 2, "users": None, "version": None} | given
    recommend.run(Context(argparse.Namespace(**arguments), settings))
    table = pq.read_table(out)
    assert table.schema.equals(SCHEMA)
    return table.to_pylist()


@pytest.fixture(scope="module")
def checkerboard(servers: Settings, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Settings]:
    """The shop published and materialized; P7 is sold out; version 2 is the champion."""
    root = tmp_path_factory.mktemp("recommend")
    with own_databases(servers, root, MODULES) as settings:
        catalogue = [product(f"P{i}", -100, 9.5, category=f"c{i % 2}", in_stock=i != 7) for i in range(shop.SIZE)]
        columns = {"device": None, "price": None, "category": None}
        published(settings, [columns | row for row in shop.events().to_pylist()], catalogue)
        for note in ("old", "new"):
            made = shop.bundle()
            bundles.save(type(made)(**(vars(made) | {"manifest": made.manifest | {"note": note}})), root / note)
            registry.register(settings.mlflow_tracking_uri, root / note, description="", metrics={}, params={}, tags={})
        registry.name_alias(settings.mlflow_tracking_uri, 2, registry.CHAMPION)
        yield settings


@pytest.mark.slow
@pytest.mark.services
def test_recommend_writes_the_lists_of_all_users(checkerboard: Settings, tmp_path: Path) -> None:
    rows = _run(checkerboard, tmp_path / "lists.parquet")
    best = {row["user_id"]: row["item_id"] for row in rows if row["rank"] == 1}
    assert best.pop("U7") != "P7"
    assert best == {f"U{u}": f"P{u}" for u in range(shop.SIZE) if u != 7}
    assert [row["rank"] for row in rows] == [1, 2] * shop.SIZE


@pytest.mark.slow
@pytest.mark.services
def test_recommend_to_some_users_by_a_version(checkerboard: Settings, tmp_path: Path) -> None:
    (tmp_path / "users.txt").write_text("U3\n\nnobody\nU1\n", encoding="utf-8")
    rows = _run(checkerboard, tmp_path / "lists.parquet", users=tmp_path / "users.txt", version=1, k=1)
    assert [(row["user_id"], row["source"] == "popularity") for row in rows] == [
        ("U3", False),
        ("nobody", True),
        ("U1", False),
    ]


@pytest.mark.slow
@pytest.mark.services
def test_recommend_keeps_to_the_rules(checkerboard: Settings, tmp_path: Path) -> None:
    (tmp_path / "rules.yaml").write_text("hide: [{items: [P4]}]", encoding="utf-8")
    settings = checkerboard.model_copy(update={"rules": tmp_path / "rules.yaml"})
    assert "P4" not in {row["item_id"] for row in _run(settings, tmp_path / "lists.parquet", k=10)}


@pytest.mark.parametrize(
    ("given", "error", "said"),
    [
        ({"out": Path("lists.csv")}, ConfigError, "must end in .parquet"),
        ({"k": 0}, ConfigError, "--k 0"),
        ({"users": Path("nothing.txt")}, InputError, "nothing.txt can't be read"),
        ({}, ModelError, "no champion yet"),
    ],
)
def test_recommend_says_what_is_wrong(tmp_path: Path, given: dict, error: type[Exception], said: str) -> None:
    with pytest.raises(error, match=said):
        _run(Settings.load(tmp_path, {}), **{"out": tmp_path / "lists.parquet"} | given)
