from datetime import UTC, datetime, timedelta
from pathlib import Path

import pyarrow as pa
import pytest

from pipelines.core.columns import EVENT_SCHEMA
from pipelines.io import tables
from pipelines.io.quality import pieces

START = datetime(2026, 1, 1, tzinfo=UTC)
COLUMNS = EVENT_SCHEMA.names


@pytest.fixture
def days(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[pieces.Day]:
    """Three days of 2, 9 and 3 events; those of a day are 20 seconds apart, three a minute, in row groups of four."""
    monkeypatch.setattr(tables, "ROW_GROUP", 4)
    for day, count in enumerate((2, 9, 3)):
        at = START + timedelta(days=day)
        rows = [
            {"event_id": f"{day}-{n}", "user_id": f"u{n % 3}", "item_id": f"i{n}", "event_type": "view", "quantity": 1}
            | {"timestamp": at + timedelta(seconds=20 * n)}
            for n in range(count)
        ]
        path = tmp_path / f"date={at:%Y-%m-%d}/part-0.parquet"
        tables.write(path, [pa.Table.from_pylist(rows, EVENT_SCHEMA)], EVENT_SCHEMA)
    return pieces.days(tmp_path)


@pytest.mark.parametrize(("most", "sizes"), [(100, [14]), (11, [11, 3]), (9, [2, 9, 3]), (1, [2, 9, 3])])
def test_groups_are_whole_days(days: list[pieces.Day], most: int, sizes: list[int]) -> None:
    assert [sum(day.rows for day in group) for group in pieces.groups(days, most)] == sizes


@pytest.mark.parametrize(
    ("most", "sizes"), [(9, [9]), (8, [6, 3]), (6, [6, 3]), (5, [3, 3, 3]), (3, [3, 3, 3]), (1, [3, 3, 3])]
)
def test_large_day_is_cut_between_minutes(days: list[pieces.Day], most: int, sizes: list[int]) -> None:
    found = list(pieces.pieces(days[1:2], most, COLUMNS))
    assert [len(piece.rows) for piece in found] == sizes
    names = [name for piece in found for name in piece.rows["event_id"].to_pylist()]
    assert names == [f"1-{n}" for n in range(9)]
    for piece in found:
        assert all(piece.start <= at < piece.end for at in piece.rows["timestamp"].to_pylist())
    assert [piece.end for piece in found[:-1]] == [piece.start for piece in found[1:]]


def test_piece_has_one_dictionary_over_its_days(days: list[pieces.Day]) -> None:
    (piece,) = pieces.pieces(days, 100, COLUMNS)
    codes, names = piece.codes("user_id").to_pylist(), piece.names("user_id").to_pylist()
    assert [names[code] for code in codes] == piece.text("user_id").to_pylist()
    assert sorted(names) == ["u0", "u1", "u2"]


def test_rows_of_some_values(days: list[pieces.Day]) -> None:
    piece = pieces.whole(days, ["user_id", "timestamp"])
    assert piece.are("user_id", ["u2", "nobody"]).to_pylist() == [
        user == "u2" for user in piece.text("user_id").to_pylist()
    ]
    assert piece.seconds().to_pylist()[:2] == [int(START.timestamp()), int(START.timestamp()) + 20]
