from datetime import datetime
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from pipelines.core.columns import UTC_US
from pipelines.io import item_categories
from tests.feature_data import day


def write(root: Path, name: str, *rows: tuple[str, str | None, datetime, datetime]) -> None:
    columns = zip(*rows, strict=True)
    names = ["item_id", "category", "event_timestamp", "created_timestamp"]
    types = [pa.string(), pa.string(), UTC_US, UTC_US]
    arrays = [pa.array(values, kind) for values, kind in zip(columns, types, strict=True)]
    path = root / item_categories.PROFILES / name
    path.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(pa.table(arrays, names=names), path)


def test_known_at_is_the_newest_category_up_to_then(tmp_path: Path) -> None:
    write(tmp_path, "date=2024-03-02/part-0.parquet", ("i", "old", day(1), day(1)), ("j", None, day(1), day(1)))
    write(tmp_path, "date=2024-03-06/part-0.parquet", ("i", "new", day(5), day(5)))
    items = np.array(["i", "j", "k"])
    assert item_categories.known_at(tmp_path, items, day(4)).tolist() == ["old", "", ""]
    assert item_categories.known_at(tmp_path, items, day(5)).tolist() == ["new", "", ""]


def test_known_at_takes_a_correction(tmp_path: Path) -> None:
    write(tmp_path, "date=2024-03-02/part-1.parquet", ("i", "right", day(1), day(9)))
    write(tmp_path, "date=2024-03-02/part-0.parquet", ("i", "wrong", day(1), day(1)))
    assert item_categories.known_at(tmp_path, np.array(["i"]), day(3)).tolist() == ["right"]


def test_known_at_without_a_catalogue_is_nothing(tmp_path: Path) -> None:
    assert item_categories.known_at(tmp_path, np.array(["i"]), day(3)).tolist() == [""]
