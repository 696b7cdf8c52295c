from datetime import datetime
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from pipelines.core.columns import UTC_US
from pipelines.io.models import known_items
from tests.feature_data import day


def write(root: Path, name: str, *rows: tuple[str, str | None, datetime, datetime]) -> None:
    items, categories, stamps, created = (list(column) for column in zip(*rows, strict=True))
    table = {
        "item_id": items,
        "title": [item.upper() for item in items],
        "category": pa.array(categories, pa.string()),
        "price": pa.array([1.5] * len(rows), pa.float64()),
        "event_timestamp": pa.array(stamps, UTC_US),
        "created_timestamp": pa.array(created, UTC_US),
    }
    path = root / known_items.PROFILES / name
    path.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(pa.table(table), path)


def categories(root: Path, moment: datetime) -> dict[str, str | None]:
    found = known_items.known_at(root, moment)
    return dict(zip(found["item_id"].to_pylist(), found["category"].to_pylist(), strict=True))


def test_known_at_is_the_newest_state_up_to_then(tmp_path: Path) -> None:
    write(tmp_path, "date=2024-03-02/part-0.parquet", ("i", "old", day(1), day(1)), ("j", None, day(1), day(1)))
    write(tmp_path, "date=2024-03-06/part-0.parquet", ("i", "new", day(5), day(5)), ("k", "late", day(5), day(5)))
    assert categories(tmp_path, day(4)) == {"i": "old", "j": None}
    assert categories(tmp_path, day(5)) == {"i": "new", "j": None, "k": "late"}


def test_known_at_takes_a_correction(tmp_path: Path) -> None:
    write(tmp_path, "date=2024-03-02/part-1.parquet", ("i", "right", day(1), day(9)))
    write(tmp_path, "date=2024-03-02/part-0.parquet", ("i", "wrong", day(1), day(1)))
    assert categories(tmp_path, day(3)) == {"i": "right"}


def test_known_at_gives_title_and_price(tmp_path: Path) -> None:
    write(tmp_path, "date=2024-03-02/part-0.parquet", ("i", "c", day(1), day(1)))
    assert known_items.known_at(tmp_path, day(3)).to_pylist() == [
        {"item_id": "i", "title": "I", "category": "c", "price": 1.5}
    ]


def test_known_at_without_a_catalogue_is_nothing(tmp_path: Path) -> None:
    assert known_items.known_at(tmp_path, day(3)).num_rows == 0
