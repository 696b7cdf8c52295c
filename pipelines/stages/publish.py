"""Load new feature files into Postgres, apply the feature repository, materialize to Redis; leaves a receipt.

Costs what is new: files that are in stay in, and only entities with new rows are written to Redis.
"""

import hashlib
import logging
import time
from collections.abc import Mapping
from typing import Any

from feast import FeatureStore

from pipelines.context import Context
from pipelines.io import postgres, receipts
from pipelines.io.features import feast_store, feature_tables, materialization
from pipelines.io.features.feature_lake import FeatureFile, FeatureLake
from pipelines.io.features.feature_tables import Published
from pipelines.io.live import erasure, user_data

log = logging.getLogger(__name__)


def run(context: Context) -> None:
    """Make Postgres and Redis hold exactly what ``data/features`` holds, and write ``data/published/receipt.json``.

    Waits for another one that publishes or materializes.

    Raises:
        InputError: there are no features, or not those of their manifest.
        ServiceError: a server doesn't answer as it must.
    """
    started = time.monotonic()
    (context.root / receipts.PUBLISHED).unlink(missing_ok=True)  # from here on until the end it wouldn't be true
    lake = FeatureLake.read(context.root)
    with postgres.connect(context.settings) as connection, materialization.alone(connection, wait=True):
        published = feature_tables.publish(connection, lake)
        connection.commit()
        log.info("Postgres: %d rows added, %.1f s", published.added, time.monotonic() - started)
        store = feast_store.open_store(context.settings)
        feast_store.apply(store)
        written = materialization.materialize(connection, store)
        erasure.applied(connection, lake.erased_until)
        connection.commit()
        user_data.remove_pending(connection, store)
    receipts.write_published(context.settings, _receipt(lake, published, store))
    log.info(
        "online up to %s: %d entities written, %.1f s in all",
        *(lake.until.date(), sum(written.values()), time.monotonic() - started),
    )


def _receipt(lake: FeatureLake, published: Published, store: FeatureStore) -> dict[str, Any]:
    """What is in the servers; depends on the features and the declarations only."""
    tables = {
        view: {
            "rows": published.rows.get(view, 0),
            "max_event_timestamp": stamp.isoformat() if (stamp := published.newest.get(view)) else None,
            "sha256": _hash(listed),
        }
        for view, listed in lake.views.items()
    }
    services = sorted(service.name for service in store.list_feature_services())
    return {"as_of": lake.until.isoformat(), "feature_services": services, "tables": tables}


def _hash(listed: Mapping[str, FeatureFile]) -> str:
    """One SHA-256 of a view's files: their places and bytes."""
    lines = "".join(f"{name} {file.sha256}\n" for name, file in sorted(listed.items()))
    return hashlib.sha256(lines.encode()).hexdigest()
