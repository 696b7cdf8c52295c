"""The category of items at a past moment, from the feature rows that are published."""

from datetime import datetime
from pathlib import Path
from typing import Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.dataset as ds

from pipelines.core.columns import UTC_US, Col
from pipelines.core.ranker_inputs import NO_CATEGORY

PROFILES: Final = Path("data/features/item_profile_v1")


def known_at(root: Path, item_ids: np.ndarray, moment: datetime) -> np.ndarray:
    """object [items]: the category that item_profile_v1 has for each item at ``moment``; "" where it has none."""
    columns = [Col.ITEM_ID, Col.CATEGORY, Col.EVENT_TIMESTAMP, Col.CREATED_TIMESTAMP]
    before = pc.field(Col.EVENT_TIMESTAMP) <= pa.scalar(moment, UTC_US)
    files = sorted(str(path) for path in (root / PROFILES).glob("date=*/*.parquet"))
    if not files:
        return np.full(len(item_ids), NO_CATEGORY, object)
    rows = ds.dataset(files).to_table(columns=columns, filter=before)
    rows = rows.sort_by([(Col.EVENT_TIMESTAMP, "ascending"), (Col.CREATED_TIMESTAMP, "ascending")])
    newest = dict(zip(rows[Col.ITEM_ID].to_pylist(), rows[Col.CATEGORY].to_pylist(), strict=True))
    return np.array([newest.get(item_id) or NO_CATEGORY for item_id in item_ids.tolist()], object)
