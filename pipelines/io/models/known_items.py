"""The catalogue as it was known at a past moment, from the feature rows that are published."""

from datetime import datetime
from pathlib import Path
from typing import Final

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.dataset as ds

from pipelines.core.columns import UTC_US, Col

PROFILES: Final = Path("data/features/item_profile_v1")
SCHEMA: Final = pa.schema(
    [(Col.ITEM_ID, pa.string()), (Col.TITLE, pa.string()), (Col.CATEGORY, pa.string()), (Col.PRICE, pa.float64())]
)


def known_at(root: Path, moment: datetime) -> pa.Table:
    """``SCHEMA``: what item_profile_v1 says at ``moment`` of each item that was listed by then, in the order of ids."""
    stamps = [Col.EVENT_TIMESTAMP, Col.CREATED_TIMESTAMP]
    before = pc.field(Col.EVENT_TIMESTAMP) <= pa.scalar(moment, UTC_US)
    files = sorted(str(path) for path in (root / PROFILES).glob("date=*/*.parquet"))
    if not files:
        return SCHEMA.empty_table()
    rows = ds.dataset(files).to_table(columns=[*SCHEMA.names, *stamps], filter=before)
    rows = rows.sort_by([(name, "ascending") for name in (Col.ITEM_ID, *stamps)])
    ids = rows[Col.ITEM_ID].combine_chunks()
    last = pc.not_equal(ids[:-1], ids[1:]) if len(ids) else pa.array([], pa.bool_())
    newest = pa.concat_arrays([last, pa.array([True] * min(len(ids), 1))])
    return rows.filter(newest).select(SCHEMA.names).cast(SCHEMA)
