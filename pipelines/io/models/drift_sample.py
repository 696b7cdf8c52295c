"""What the ranker reads of active users, at a moment of the past by the offline store and now by the online one.

Both moments are looked at in the same way, so that a difference is one of the data: users drawn from those with an
event within the days before, each with the item of its last event. Where the moments are the same, so are the samples.
"""

from collections.abc import Mapping
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from feast import FeatureStore

from pipelines.core.columns import UTC_US, Col
from pipelines.core.errors import InputError
from pipelines.core.models.ranker_inputs import NO_CATEGORY, reads
from pipelines.io.features import feast_store
from pipelines.io.features.online_features import OnlineFeatures
from pipelines.io.preparation.events import INTERACTIONS

COLUMNS: Final = [Col.USER_ID, Col.ITEM_ID, Col.CATEGORY, Col.TIMESTAMP, Col.IS_BOT]

Inputs = Mapping[str, np.ndarray]
"""Input of the ranker → float64 [n], NaN where missing."""


def drawn(root: Path, at: datetime, days: int, users: int, seed: int) -> pa.Table:
    """user_id, item_id, category, event_timestamp (``at``) of at most ``users`` users, by user.

    Raises:
        InputError: nothing is prepared, or nobody was active in the days before.
    """
    path = root / INTERACTIONS
    if not path.exists():
        raise InputError(f"{path} is missing: run `make pipeline`")
    span = [(Col.TIMESTAMP, ">=", at - timedelta(days=days)), (Col.TIMESTAMP, "<", at), (Col.IS_BOT, "==", False)]
    rows = pq.read_table(path, columns=COLUMNS, filters=span)  # by time
    if not len(rows):
        raise InputError(f"{path} has no events in the {days} days before {at}")
    last = rows.append_column("row", pa.array(np.arange(len(rows)))).group_by(Col.USER_ID).aggregate([("row", "max")])
    last = last.sort_by(Col.USER_ID)["row_max"].to_numpy()
    rng = np.random.default_rng([seed, int(at.timestamp())])
    chosen = rows.take(pa.array(last[np.sort(rng.permutation(len(last))[:users])]))
    categories = chosen[Col.CATEGORY].fill_null(NO_CATEGORY)
    stamps = pa.repeat(pa.scalar(at, UTC_US), len(chosen))
    names = [Col.USER_ID, Col.ITEM_ID, Col.CATEGORY, Col.EVENT_TIMESTAMP]
    return pa.table([chosen[Col.USER_ID], chosen[Col.ITEM_ID], categories, stamps], names)


def offline(store: FeatureStore, service: str, sample: pa.Table) -> Inputs:
    """The inputs as they were at the sample's moment.

    Raises:
        ServiceError: Postgres doesn't answer.
    """
    keys = sample.select([*reads(service).keys, Col.EVENT_TIMESTAMP])
    found = feast_store.historical(store, service, keys)
    features = {name: found[name].to_numpy(zero_copy_only=False).astype(float) for name in reads(service).required}
    return _inputs(service, features, sample[Col.EVENT_TIMESTAMP][0].as_py())


def online(reader: OnlineFeatures, service: str, sample: pa.Table) -> Inputs:
    """The inputs that the service reads of the sample now, from Redis.

    Raises:
        ServiceError: Redis doesn't answer.
    """
    columns = [sample[name].to_pylist() for name in (Col.USER_ID, Col.ITEM_ID, Col.CATEGORY)]
    answers = [reader.request(user, [item], [category]) for user, item, category in zip(*columns, strict=True)]
    rows = [{**a.user, **{n: v[0] for n, v in {**a.items, **a.categories}.items()}} for a in answers]
    of_items = reader.items(columns[1])
    features = {
        name: of_items[name] if name in of_items else np.array([row[name] for row in rows], float)
        for name in reads(service).required
    }
    return _inputs(service, features, sample[Col.EVENT_TIMESTAMP][0].as_py())


def _inputs(service: str, features: Mapping[str, Any], at: datetime) -> Inputs:
    """As the ranker gets them: points in time as ages at ``at``, and what is derived."""
    read = reads(service)
    return {name: np.asarray(read.value(name, features, at.timestamp()), float) for name in read.inputs}
