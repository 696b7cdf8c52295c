"""Each suite on a small lake that is good, and on lakes with one fault each."""

import re
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from pipelines.io import files
from pipelines.io.quality import expectations
from tests.io import judged_lake

pytestmark = pytest.mark.slow  # Great Expectations takes seconds

Rows = list[dict[str, Any]]


def _failed(results: list[dict[str, Any]]) -> set[tuple[str, str]]:
    """Suite and description of what fails."""
    return {(result["suite"], result["description"]) for result in results if not result["success"]}


def _newest(results: list[dict[str, Any]]) -> dict[str, dict[str, Any]]:
    return {result["kwargs"]["column"]: result for result in results if result["suite"] == "newest day"}


def _pages(root: Path) -> dict[str, str]:
    folder = root / "data/reports/data_docs"
    return {str(page.relative_to(folder)): page.read_text() for page in sorted(folder.rglob("*.html"))}


def test_good_lake_fulfils_everything(tmp_path: Path) -> None:
    taken = judged_lake.events()[:1]
    del taken[0]["event_type"]
    results = expectations.check(tmp_path, judged_lake.write(tmp_path, cancelled=taken), judged_lake.mapping())
    assert _failed(results) == set()
    suites = {"data set", "files", "events", "cancellations", "products", "newest day"}
    assert {result["suite"] for result in results} == suites
    newest = _newest(results)
    assert newest["volume"]["result"]["observed_value"] == 1.0
    assert newest["age_days"]["result"]["observed_value"] == pytest.approx(5.5 / 24)  # 19:30 to 01:00
    assert newest["drift_device"]["result"]["not_judged"] == "too few users to tell drift from chance"


def test_same_lake_has_the_same_results_and_pages(tmp_path: Path) -> None:
    summary = judged_lake.write(tmp_path)
    first, pages = expectations.check(tmp_path, summary, judged_lake.mapping()), _pages(tmp_path)
    assert expectations.check(tmp_path, summary, judged_lake.mapping()) == first
    assert _pages(tmp_path) == pages


def _set(**values: Any) -> Callable[[Rows], Rows]:
    return lambda rows: [rows[0] | values, *rows[1:]]


FAULTS: dict[str, tuple[Callable[[Rows], Rows], str]] = {
    "missing": (_set(user_id=None), "user_id is never missing"),
    "unknown type": (_set(event_type="stare"), "event_type is one of"),
    "no pieces": (_set(quantity=0), "quantity is between"),
    "negative": (_set(price=-1.0), "price is between"),
    "old": (_set(timestamp=judged_lake.FIRST.replace(year=1980)), "timestamp is from 1990 on"),
    "future": (_set(timestamp=judged_lake.FIRST + timedelta(days=8, hours=2, seconds=1)), "timestamp is from 1990 on"),
    "twice": (_set(event_id="e7-39"), "event_id is unique"),
    "orphan": (_set(item_id="P9"), "every item_id of an event is a product's"),
    "long session": (_set(session_id="s" * 257), "session_id has 1 to 256 characters"),
    "empty device": (_set(device=""), "device has 1 to 256 characters"),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_fault_of_an_event_fails_its_expectation_alone(tmp_path: Path, fault: str) -> None:
    change, description = FAULTS[fault]
    summary = judged_lake.write(tmp_path, change(judged_lake.events()))
    ((suite, failed),) = _failed(expectations.check(tmp_path, summary, judged_lake.mapping()))
    assert suite == "events"
    assert failed.startswith(description)


def test_product_has_one_state_at_a_time(tmp_path: Path) -> None:
    twice = [*judged_lake.products(), judged_lake.products()[0] | {"price": -2.0}]
    results = expectations.check(tmp_path, judged_lake.write(tmp_path, listed=twice), judged_lake.mapping())
    expected = {"an item has one state at a time", "price is between 0 and 1,000,000,000"}
    assert {text for suite, text in _failed(results) if suite == "products"} == expected


def test_rows_that_went_missing_fail(tmp_path: Path) -> None:
    summary = judged_lake.write(tmp_path)
    summary["rows"] += 1
    summary["events"] += 1
    failed = _failed(expectations.check(tmp_path, summary, judged_lake.mapping()))
    expected = ("data set", "rows in = good + quarantined + duplicates")
    assert failed == {expected, ("events", "there are as many events as were counted: 321")}


def test_bad_file_warns_and_bad_data_set_stops(tmp_path: Path) -> None:
    bad = [{"file": "f", "line": n, "reasons": ["missing user_id"]} for n in range(80)]
    results = expectations.check(tmp_path, judged_lake.write(tmp_path, bad=bad), judged_lake.mapping())
    severities = {result["suite"]: result["severity"] for result in results if not result["success"]}
    assert severities == {"files": "warn", "data set": "stop"}


def test_lake_without_a_good_row_is_judged(tmp_path: Path) -> None:
    bad = [{"file": "f", "line": 2, "reasons": ["missing user_id"]}]
    results = expectations.check(tmp_path, judged_lake.write(tmp_path, rows=[], bad=bad), judged_lake.mapping())
    assert ("data set", "at least one row is good") in _failed(results)
    assert all("not_judged" in result["result"] for result in _newest(results).values())


def _last_day(rows: Rows, change: Callable[[dict[str, Any], int], dict[str, Any]], keep: int = 40) -> Rows:
    return rows[:-40] + [change(row, n) for n, row in enumerate(rows[-40:])][:keep]


def test_volume_stops_where_the_mapping_says_so(tmp_path: Path) -> None:
    summary = judged_lake.write(tmp_path, _last_day(judged_lake.events(), lambda row, _: row, keep=3))
    volume = _newest(expectations.check(tmp_path, summary, judged_lake.mapping()))["volume"]
    assert (volume["success"], volume["severity"]) == (False, "stop")
    assert volume["result"]["observed_value"] == 3 / 40
    assert volume["result"]["details"]["events"] == 3


def test_freshness_and_drift_warn_unless_the_mapping_says_otherwise(tmp_path: Path) -> None:
    def wide(rows: Rows) -> Rows:  # enough users to tell drift from chance
        return [row | {"user_id": f"U{n % 4000}", "event_id": f"e{n}"} for n, row in enumerate(rows * 100)]

    def change(row: dict[str, Any], n: int) -> dict[str, Any]:
        return row | {"device": "tablet", "price": 99.0, "event_type": "view"}

    rows = wide(judged_lake.events()[:280]) + wide([change(row, n) for n, row in enumerate(judged_lake.events()[280:])])
    rows = [row | {"event_id": f"{n}"} for n, row in enumerate(rows)]
    summary = judged_lake.write(tmp_path, rows) | {"newest_arrival": "2026-02-12T07:30:00+00:00"}
    found = _newest(expectations.check(tmp_path, summary, judged_lake.mapping()))
    assert {name for name, result in found.items() if not result["success"]} == {
        "age_days", "drift_device", "drift_price", "drift_event_type",
    }  # fmt: skip
    assert {result["severity"] for name, result in found.items() if name != "volume"} == {"warn"}
    assert found["age_days"]["result"]["observed_value"] == 3.5
    assert found["drift_category"]["result"]["observed_value"] == 0.0
    assert found["drift_device"]["result"]["details"]["moved"] == ["tablet", 0.0, 1.0]
    strict = judged_lake.mapping(checks={"max_age_days": 3, "stop_on": ["drift", "freshness"]})
    stops = _newest(expectations.check(tmp_path, summary, strict))
    assert {name: result["severity"] for name, result in stops.items()} == {
        name: "warn" if name == "volume" else "stop" for name in found
    }


def test_newest_day_with_two_days_before_is_not_judged(tmp_path: Path) -> None:
    summary = judged_lake.write(tmp_path, judged_lake.events()[-120:])
    found = _newest(expectations.check(tmp_path, summary, judged_lake.mapping()))
    expected = "only 2 of the 7 days before 2026-02-08 have events, 3 are needed"
    assert found["volume"]["success"]
    assert found["volume"]["result"] == {"observed_value": None, "not_judged": expected}


def test_data_docs_load_nothing_and_link_only_to_what_is_there(tmp_path: Path) -> None:
    rows = judged_lake.events()
    rows[0]["event_type"] = "<script>alert(1)</script>"
    summary = judged_lake.write(tmp_path, rows)
    files.write_text(tmp_path / "data/reports/data_quality_report.html", "")
    expectations.check(tmp_path, summary, judged_lake.mapping())
    pages = _pages(tmp_path)
    names = ("data_set", "files", "events", "cancellations", "products", "newest_day")
    assert set(pages) == {
        "index.html",
        *(f"{kind}/{n}.html" for kind in ("expectations", "validations") for n in names),
    }
    for name, text in pages.items():
        assert "<script" not in text
        assert not re.search(r"(src|href)=[\"']?\s*(https?:)?//", text), name
        for link in re.findall(r'href="([^"#]+)"', text):
            assert (tmp_path / "data/reports/data_docs" / name).parent.joinpath(link).exists(), (name, link)
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in pages["validations/events.html"]
    assert "there are as many events as were counted: 320" in pages["validations/events.html"]
