"""Feature views on small tables of a real Postgres, for the tests of the offline store."""

from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import psycopg
import pytest
from feast import Entity, FeatureStore, FeatureView, Field, RepoConfig, ValueType
from feast.infra.offline_stores.contrib.postgres_offline_store.postgres_source import PostgreSQLSource
from feast.types import String

from pipelines.settings import Settings

T0 = datetime(2024, 1, 1, tzinfo=UTC)
TABLE = "CREATE TABLE {} (event_timestamp timestamptz, created_timestamp timestamptz, {})"
KEYS = ["user_id", "item_id", "shop_id"]

user = Entity(name="user", join_keys=["user_id"], value_type=ValueType.STRING)
item = Entity(name="item", join_keys=["item_id"], value_type=ValueType.STRING)
shop = Entity(name="shop", join_keys=["shop_id"], value_type=ValueType.STRING)
OURS = "feature_repo.stores.postgres_offline.LateralPostgreSQLOfflineStore"
RunSql = Callable[..., None]
Stores = Callable[..., FeatureStore]


@pytest.fixture
def run_sql(settings: Settings) -> Iterator[RunSql]:
    with psycopg.connect(settings.postgres_conninfo, autocommit=True) as connection:

        def run(statement: str, rows: list[tuple[Any, ...]] | None = None) -> None:
            if rows is None:
                connection.execute(statement)
            else:
                connection.cursor().executemany(statement, rows)

        yield run


@pytest.fixture
def store_with(settings: Settings) -> Stores:
    """A store with some views; ``kind="postgres"`` is Feast's own, other arguments are the offline store's settings."""

    def build(*objects: Any, kind: str = OURS, **offline: Any) -> FeatureStore:
        where = {
            "host": settings.postgres_host, "port": settings.postgres_port, "user": settings.postgres_user,
            "password": settings.postgres_password, "database": settings.postgres_db, "sslmode": "prefer",
        }  # fmt: skip
        config = RepoConfig(
            project="join", provider="local", registry=str(settings.root / f"{kind}.db"),
            offline_store={"type": kind, **where, **offline},
            online_store={"type": "sqlite", "path": str(settings.root / "o.db")},
            entity_key_serialization_version=3,
        )  # fmt: skip
        store = FeatureStore(config=config)
        store.apply([user, item, shop, *objects])
        return store

    return build


def hours(n: float) -> datetime:
    return T0 + timedelta(hours=n)


def view(name: str, entities: list[Entity], fields: dict[str, Any], **options: Any) -> FeatureView:
    source = PostgreSQLSource(
        name=f"{name}_source", table=options.pop("table", name), timestamp_field="event_timestamp",
        created_timestamp_column="created_timestamp", field_mapping=options.pop("field_mapping", None),
    )  # fmt: skip
    keys = [Field(name=e.join_key, dtype=String) for e in entities]
    schema = [*keys, *(Field(name=n, dtype=d) for n, d in fields.items())]
    return FeatureView(name=name, entities=entities, schema=schema, source=source, **options)


def key_history(run_sql: RunSql, keys: int, n: int = 400) -> pd.DataFrame:
    """A table ``hist`` of some of `KEYS`, whose ids run into each other, with ties and unknown creation times.

    Also returned, with ``created_timestamp`` NaT where it is unknown: at most once for each (keys, time).
    """
    rng = np.random.default_rng(keys)
    frame = pd.DataFrame({"event_timestamp": [hours(int(h)) for h in rng.integers(0, 40, n)]})
    frame["created_timestamp"] = pd.to_datetime([hours(c / 8) for c in rng.permutation(n)])
    for key in KEYS[:keys]:
        frame[key] = rng.integers(1, 14 if keys < 3 else 4, n).astype(str)
    first = ~frame.duplicated(["event_timestamp", *KEYS[:keys]])
    frame["created_timestamp"] = frame.created_timestamp.mask(first & (rng.random(n) < 0.3))
    frame["n"] = np.arange(n)
    run_sql(TABLE.format("hist", ", ".join([*(f"{key} text" for key in KEYS[:keys]), "n bigint"])))
    rows = frame.astype(object).where(frame.notna(), None).itertuples(index=False, name=None)
    run_sql(f"INSERT INTO hist VALUES ({', '.join(['%s'] * (keys + 3))})", list(rows))
    return frame


def asked(n: int = 300) -> pd.DataFrame:
    """Unsorted entity rows with duplicates and with entities that nobody knows."""
    rng = np.random.default_rng(6)
    frame = pd.DataFrame({
        "user_id": rng.integers(1, 16, n).astype(str), "item_id": rng.integers(1, 16, n).astype(str),
        "shop_id": rng.integers(1, 5, n).astype(str),
        "event_timestamp": [hours(float(h)) for h in rng.uniform(-2, 42, n)], "label": rng.integers(0, 2, n),
    })  # fmt: skip
    return pd.concat([frame, frame.head(20)], ignore_index=True)


def newest(
    history: pd.DataFrame, rows: pd.DataFrame, ttl_h: float | None = None, known_then: bool = False
) -> npt.NDArray[np.float64]:
    """By looking at every pair: for each of ``rows`` n of the newest row of its keys, NaN if there is none."""
    order = history.sort_values(["event_timestamp", "created_timestamp"], na_position="first")
    at, times = _naive(rows.event_timestamp)[:, None], _naive(order.event_timestamp)
    fits = times <= at
    for key in set(KEYS) & set(history.columns):
        fits &= order[key].to_numpy() == rows[key].to_numpy()[:, None]
    if ttl_h is not None:
        fits &= times >= at - np.timedelta64(int(ttl_h * 3600), "s")
    if known_then:
        fits &= order.created_timestamp.isna().to_numpy() | (_naive(order.created_timestamp) <= at)
    last = fits.shape[1] - 1 - fits[:, ::-1].argmax(axis=1)
    return np.where(fits.any(axis=1), order.n.to_numpy(dtype=float)[last], np.nan)


def _naive(times: pd.Series) -> npt.NDArray[np.datetime64]:
    return times.dt.tz_localize(None).to_numpy()
