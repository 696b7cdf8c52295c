"""The data-quality report of a small lake: what its PDF and its page say."""

import re
from pathlib import Path
from typing import Any

import pypdfium2
import pytest

from pipelines.io.quality import quality_facts, quality_report
from tests.io import judged_lake

BAD = [
    {"file": "2026/02/08/clickstream.csv", "line": 6, "reasons": ["missing user_id"], "repaired_in": "r.csv:2"},
    {"file": "2026/02/08/clickstream.csv", "line": 7, "reasons": ["missing user_id", "<script>alert(1)</script> $x$"]}
    | {"product_id": "<b>жёлтый</b>" + "x" * 99, "user_id": None},
    {"file": "2026/02/08/clickstream.csv", "line": 9, "reasons": ["missing user_id"], "text": 'U1,"a\x00b'},
]


def _result(suite: str, success: bool = True, severity: str = "stop", **result: Any) -> dict[str, Any]:
    kwargs = {"column": "volume", "min_value": 0.1, "max_value": 10}
    told = {"description": f"{suite} is <well>", "severity": severity, "success": success}
    return {"suite": suite, "expectation": "expect_it", "kwargs": kwargs, "result": result} | told


PASSED = [_result("data set"), _result("newest day", observed_value=None, not_judged="no day was over")]


def _write(root: Path, summary: dict[str, Any], results: list[dict[str, Any]]) -> tuple[list[str], str]:
    """The text of each page of the PDF, and the HTML."""
    quality_report.write(root, summary, results)
    with pypdfium2.PdfDocument(root / quality_report.PDF) as pdf:
        pages = [" ".join(pdf[n].get_textpage().get_text_bounded().split()) for n in range(len(pdf))]
    return pages, (root / quality_report.HTML).read_text()


def test_report_of_good_data(tmp_path: Path) -> None:
    pages, html = _write(tmp_path, judged_lake.write(tmp_path), PASSED)
    assert 1 <= len(pages) <= 2
    for text in (pages[0], html):
        assert "The data can be used: 100.0 % of 320 rows are good, and no check failed." in text
        assert "320 = 320 + 0 + 0" in text
        assert "No row is in quarantine." in text
        assert "Events from 2026-02-01 to 2026-02-08." in text
    everything = " ".join(pages)
    for text in (everything, html):
        assert "4 items, 3 of them in stock; 1 have no price, 1 no category. No entry was refused." in text
        assert "Not judged: no day was over." in text
    assert all(f"page {number}" in text for number, text in enumerate(pages, 1))


def test_report_of_bad_data_shows_rows_and_what_to_do(tmp_path: Path) -> None:
    failed = [_result("data set", success=False), _result("files", success=False, severity="warn")]
    pages, html = _write(tmp_path, judged_lake.write(tmp_path, bad=BAD), failed)
    assert 2 <= len(pages) <= 5
    everything = " ".join(pages)
    for text in (everything, html):
        assert "The data must not be used: 99.1 % of 323 rows are good, and 1 check that must hold failed." in text
        assert "2026/02/08/clickstream.csv" in text
        assert "Nobody is named." in text
        assert "жёлтый" in text
    assert "✗ stops data set: data set is <well>" in everything
    assert "⚠ warns files: files is <well>" in everything


def test_html_escapes_what_comes_from_outside(tmp_path: Path) -> None:
    _, html = _write(tmp_path, judged_lake.write(tmp_path, bad=BAD), [_result("data set", success=False)])
    assert "<script" not in html
    assert "<b>" not in html
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in html
    assert "data set is &lt;well&gt;" in html
    assert not re.search(r"(src|href)=\"(https?:)?//", html)


def test_samples_are_cut_and_printable_and_leave_out_what_is_repaired(tmp_path: Path) -> None:
    facts = quality_facts.gather(tmp_path, judged_lake.write(tmp_path, bad=BAD), [])
    missing = [sample for sample in facts.samples if sample.reason == "missing user_id"]
    assert [sample.line for sample in missing] == [7, 9]
    assert missing[0].text == "user_id=, product_id=<b>жёлтый</b>" + "x" * 26 + "…"
    assert missing[1].text == 'U1,"a\ufffdb'


def test_same_input_has_the_same_bytes(tmp_path: Path) -> None:
    summary = judged_lake.write(tmp_path, bad=BAD)
    paths = [tmp_path / quality_report.PDF, tmp_path / quality_report.HTML]
    quality_report.write(tmp_path, summary, PASSED)
    first = [path.read_bytes() for path in paths]
    quality_report.write(tmp_path, summary, PASSED)
    assert [path.read_bytes() for path in paths] == first


def test_report_compares_with_the_last_run_that_differed(tmp_path: Path) -> None:
    summary = judged_lake.write(tmp_path)
    assert quality_facts.gather(tmp_path, summary, []).changes is None
    more = summary | {"rows": 325, "quarantined": 5, "reasons": {"missing user_id": 5}}
    changes = [("rows", 320, 325), ("quarantined", 0, 5), ("missing user_id", 0, 5)]
    for _ in range(2):  # again, without anything new
        assert quality_facts.gather(tmp_path, more, []).changes == changes
    pages, html = _write(tmp_path, more, PASSED)
    assert "quarantined 0 5 +5" in " ".join(pages)
    assert "<td>quarantined</td>" in html


def test_report_does_not_compare_two_shops(tmp_path: Path) -> None:
    summary = judged_lake.write(tmp_path)
    quality_facts.gather(tmp_path, summary, [])
    assert quality_facts.gather(tmp_path, summary | {"source": "another"}, []).changes is None


@pytest.mark.parametrize("days", [1, 30, 400])
def test_report_of_short_and_long_logs(tmp_path: Path, days: int) -> None:
    summary = judged_lake.write(tmp_path)
    names = [f"{2020 + n // 360:04d}-{n // 30 % 12 + 1:02d}-{n % 28 + 1:02d}" for n in range(days)]
    files = {
        f"{name.replace('-', '/')}/clickstream.csv": {"rows": 9, "quarantined": 1, "duplicates": 0} for name in names
    }
    pages, _ = _write(tmp_path, summary | {"days": dict.fromkeys(sorted(names), 9), "files": files}, PASSED)
    assert 1 <= len(pages) <= 3
