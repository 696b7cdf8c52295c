"""``products`` shows what was known, and when."""

import csv
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from pipelines.__main__ import main
from pipelines.commands.products import LINES, PRODUCTS
from pipelines.core.columns import PRODUCT_SCHEMA
from pipelines.io import tables


def state(item_id: str, day: int, price: float | None, **fields: Any) -> dict[str, Any]:
    given: dict[str, Any] = dict.fromkeys(PRODUCT_SCHEMA.names) | {"item_id": item_id, "title": f"Thing {item_id}"}
    return given | {"price": price, "in_stock": True, "valid_from": datetime(2026, 2, day, 12, tzinfo=UTC)} | fields


def write(root: Path, *states: dict[str, Any]) -> None:
    tables.write(root / PRODUCTS, [pa.Table.from_pylist(list(states), PRODUCT_SCHEMA)], PRODUCT_SCHEMA)


@pytest.fixture(autouse=True)
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    write(
        tmp_path,
        state("a", 1, 2.5, category="lamps"),
        state("a", 3, 2.0, category="lamps", in_stock=False),
        state("b", 2, None),
    )
    return tmp_path


def lines(capsys: pytest.CaptureFixture[str]) -> list[list[str]]:
    return [[cell for cell in line.split("  ") if cell] for line in capsys.readouterr().out.splitlines()]


def test_products_shows_what_was_known_at_a_time(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["products", "--at", "2026-02-03T12:59:59+01:00"]) == 0
    assert [[cell.strip() for cell in line] for line in lines(capsys)] == [
        ["item_id", "title", "price", "category", "in_stock", "valid_from"],
        ["a", "Thing a", "2.50", "lamps", "yes", "2026-02-01T12:00:00Z"],
        ["b", "Thing b", "-", "-", "yes", "2026-02-02T12:00:00Z"],
    ]


def test_products_takes_a_time_without_a_zone_as_utc(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["products", "--item", "a", "--at", "2026-02-03T12:00:00"]) == 0
    assert "2.00" in capsys.readouterr().out


def test_products_shows_what_is_known_now(capsys: pytest.CaptureFixture[str], root: Path) -> None:
    write(root, state("a", 1, 2.5), state("a", 2, 99.0, valid_from=datetime(2400, 1, 1, tzinfo=UTC)))
    assert main(["products", "--item", "a"]) == 0
    assert "2.50" in (shown := capsys.readouterr().out)
    assert "99" not in shown


def test_products_shows_an_items_history(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["products", "--item", "a", "--history"]) == 0
    assert [line[-1].strip() for line in lines(capsys)][1:] == ["2026-02-01T12:00:00Z", "2026-02-03T12:00:00Z"]


def test_products_writes_a_file(root: Path) -> None:
    assert main(["products", "--at", "2026-02-05", "--out", "F.csv"]) == 0
    with (root / "F.csv").open(newline="") as file:
        assert [tuple(row.values()) for row in csv.DictReader(file)] == [
            ("a", "Thing a", "2", "lamps", "false", "2026-02-03T12:00:00Z"),
            ("b", "Thing b", "", "", "true", "2026-02-02T12:00:00Z"),
        ]


def test_products_says_how_many_it_does_not_print(capsys: pytest.CaptureFixture[str], root: Path) -> None:
    write(root, *(state(f"{n:03d}", 1, 1.0) for n in range(LINES + 2)))
    assert main(["products"]) == 0
    printed = capsys.readouterr().out.splitlines()
    assert len(printed) == 1 + LINES + 1
    assert printed[-1].startswith("and 2 more")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--item", "x"], "no item 'x'"),
        (
            ["--item", "a", "b", "--at", "2026-02-02"],
            "'b' was not known at 2026-02-02T00:00:00Z: its first state is of ",
        ),
        (["--history"], "--item"),
    ],
)
def test_products_says_what_it_does_not_know(
    capsys: pytest.CaptureFixture[str], arguments: list[str], message: str
) -> None:
    assert main(["products", *arguments]) == 1
    assert message in capsys.readouterr().err


def test_products_needs_a_validated_catalogue(capsys: pytest.CaptureFixture[str], root: Path) -> None:
    (root / PRODUCTS).unlink()
    assert main(["products"]) == 1
    assert "python -m pipelines validate" in capsys.readouterr().err


def test_products_refuses_what_is_no_time(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["products", "--at", "yesterday"])
    assert "'yesterday' is no time" in capsys.readouterr().err
