from html.parser import HTMLParser
from pathlib import Path

import pytest

from pipelines.core.evaluation.gate import Decision
from pipelines.io.files import read_json, write_json, write_text
from pipelines.io.models import bundles, model_card
from pipelines.io.models.model_card import Evaluated
from tests.evaluated import evaluated

LINEAGE = {
    "code": {"git_commit": "c0ffee", "changed": ["params.yaml"]},
    "raw": {"clickstream": [1, 2], "products": [3]},
}
PNG = b"\x89PNG\r\n\x1a\n"


class Page(HTMLParser):
    """Collects tags and the addresses that a page asks for."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: set[str] = set()
        self.asked: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        self.asked += [str(value) for name, value in attrs if name in ("src", "href")]


def card(root: Path, decision: Decision = Decision(True, ("beats popularity",))) -> str:  # noqa: B008
    report = root / "data/reports/evaluation"
    seen = Evaluated(read_json(root / "data/reports/metrics.json"), read_json(report / "verdicts.json"), report)
    return model_card.markdown(root, bundles.load(root / "data/models/final"), "5" * 64, seen, decision, LINEAGE)


def test_card_tells_what_is_measured(tmp_path: Path) -> None:
    evaluated(tmp_path)
    text = card(tmp_path)
    assert "NDCG@10 0.2000 over 9 users; recent popularity has 0.1000." in text
    assert "| recomart | 0.2000 | 0.3000 |\n| popularity | 0.1000 | 0.3000 |" in text
    assert "| popularity | +0.0200 (+0.0100 to +0.0300) | 0.0010 |" in text
    assert "| cold users | at most 5 items | 4 | 0.1500 (0.1000 to 0.2000) |  |" in text
    assert "| svd_rank | 0.7500 |" in text
    assert "| coverage@10 | 0.5000 | 0.5000 |" in text


def test_card_tells_why_the_champion_was_not_compared(tmp_path: Path) -> None:
    evaluated(tmp_path)
    assert "wasn't compared" not in card(tmp_path)
    evaluated(tmp_path, champion_not_compared="it reads other features")
    assert "The champion wasn't compared: it reads other features." in card(tmp_path)


def test_card_tells_data_settings_and_lineage(tmp_path: Path) -> None:
    evaluated(tmp_path)
    counts = {"rows": 1100, "good": 1000, "quarantined": 70, "duplicates": 30, "source": "clickstream"}
    days = {"2026-02-01": 5, "2026-02-23": 6}
    write_json(tmp_path / "data/reports/validation/summary.json", {**counts, "days": days, "reasons": {"no user": 70}})
    text = card(tmp_path)
    assert (
        "1,000 good of 1,100 that came in; 70 in quarantine, 30 duplicates. Source: clickstream, 2026-02-01 to" in text
    )
    assert "12 users, 12 items, 60 pairs of them; every event before 2026-02-25T00:00 (UTC)" in text
    assert "no user (70)" in text
    assert "svd: {factors: 2," not in text  # the board's candidates were replaced by what follows
    assert "candidates: {per_source: 5}" in text
    assert "`c0ffee`, and uncommitted: params.yaml" in text
    assert "Raw files: 3" in text


@pytest.mark.parametrize(("promoted", "words"), [(True, "**Champion**: the service"), (False, "**Challenger**: ")])
def test_card_tells_the_decision_and_why(tmp_path: Path, promoted: bool, words: str) -> None:
    evaluated(tmp_path)
    text = card(tmp_path, Decision(promoted, ("one reason", "another")))
    assert words in text
    assert "- one reason\n- another\n" in text


def test_card_leaves_out_what_was_not_measured(tmp_path: Path) -> None:
    evaluated(tmp_path)
    for name in ("slices.json", "importance.csv"):
        (tmp_path / "data/reports/evaluation" / name).unlink()
    text = card(tmp_path)
    assert "By slice" not in text
    assert "What the ranker goes by" not in text
    assert "What its parts are worth" not in text


def test_card_as_a_page_asks_for_nothing_and_escapes_what_it_shows(tmp_path: Path) -> None:
    evaluated(tmp_path)
    report = tmp_path / "data/reports/evaluation"
    (report / "metric_by_k.png").write_bytes(PNG)
    write_text(report / "importance.csv", "input,gain\n<script>,0.5\n")
    page = model_card.html(card(tmp_path), report)
    read = Page(page)
    assert [address.partition(",")[0] for address in read.asked] == ["data:image/png;base64"]
    assert "table" in read.tags
    assert "script" not in read.tags
    assert 'alt="metric by k"' in page
