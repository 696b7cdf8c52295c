"""The reports that validate leaves, whether the data pass or not."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from pipelines.context import Context
from pipelines.io import files
from pipelines.stages import validate
from tests.stages.shop import CHECKOUT, fill_lake

pytestmark = pytest.mark.slow

HEADER = "user_id,product_id,event_type,timestamp\n"
PRODUCT = {"id": "P1", "title": "Lamp", "price": 9.5}


def _log(good: int, bad: int, day: str = "2026-02-01") -> bytes:
    rows = [f"U{n},P1,view,{day}T10:{n // 60:02d}:{n % 60:02d}Z\n" for n in range(good)]
    return (HEADER + "".join(rows + [f",P1,view,{day}T11:00:{n:02d}Z\n" for n in range(bad)])).encode()


def _validate(root: Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "pipelines", "validate"]
    environ = os.environ | {"PYTHONPATH": str(CHECKOUT)}
    return subprocess.run(command, cwd=root, env=environ, capture_output=True, text=True, check=False)


def test_failing_data_set_ends_with_an_error_and_leaves_its_reports(context: Context) -> None:
    fill_lake(context.root, {"log-2026-02-01.csv": _log(3, 2)}, [PRODUCT])
    done = _validate(context.root)
    assert done.returncode == 1
    assert "2 of 5 rows are bad, 3 good" in done.stderr
    assert "expected that at most 10 % of the rows are bad" in done.stderr
    assert "data/reports/data_quality_report.html" in done.stderr
    assert "Traceback" not in done.stderr
    reports = context.root / "data/reports"
    assert "The data must not be used" in (reports / "data_quality_report.html").read_text()
    assert (reports / "data_quality_report.pdf").read_bytes().startswith(b"%PDF")
    assert "✗ failed" in (reports / "data_docs/index.html").read_text()


def test_a_failing_volume_stops_and_a_bad_file_only_warns(context: Context) -> None:
    logs = {f"log-2026-01-{day}.csv": _log(100, 0, f"2026-01-{day}") for day in range(25, 31)}
    logs["log-2026-01-31.csv"] = _log(100, 30, "2026-01-31")
    fill_lake(context.root, logs, [PRODUCT])
    done = _validate(context.root)
    assert done.returncode == 0
    lines = done.stderr.splitlines()  # nothing else: no noise of the engines when the process ends
    assert len(lines) == 3, done.stderr
    assert "validate: files (bad_share): expected that no file has more than 10 % bad rows" in lines
    assert any("age_days" in line for line in lines)
    fill_lake(context.root, {"log-2026-02-01.csv": _log(5, 0)}, [PRODUCT])
    done = _validate(context.root)
    assert done.returncode == 1
    assert "the newest day has 0.1 to 10 times the events of a day of the week before, but found 0.05" in done.stderr


def test_validate_twice_leaves_the_same_reports(context: Context) -> None:
    fill_lake(context.root, {"log-2026-02-01.csv": _log(30, 2)}, [PRODUCT])

    def reports() -> dict[str, str]:
        validate.run(context)
        found = (context.root / "data/reports").rglob("*")
        return {str(path): files.sha256(path) for path in found if path.is_file()}

    first = reports()
    assert len(first) == 17  # 2 of the report, 2 of validation, 13 pages of Data Docs
    assert reports() == first
