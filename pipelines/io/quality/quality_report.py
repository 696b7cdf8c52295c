"""The data-quality report for people: one PDF and one HTML page, whose bytes depend on the data alone."""

import base64
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from pipelines.core.lake.plain_words import percent
from pipelines.io import files
from pipelines.io.quality import quality_facts

PDF: Final = Path("data/reports/data_quality_report.pdf")
HTML: Final = Path("data/reports/data_quality_report.html")
TEMPLATES: Final = Path(__file__).with_name("templates")


def write(root: Path, summary: Mapping[str, Any], results: Sequence[Mapping[str, Any]]) -> None:
    """Write both; ``summary`` and ``results`` are those of validate, which has written the lake's files before."""
    from pipelines.io.quality import quality_figures, quality_pdf  # a second of matplotlib and reportlab

    facts = quality_facts.gather(root, summary, results)
    reasons = quality_figures.reasons(summary["reasons"]) if summary["reasons"] else None
    trends = quality_figures.trends(summary["days"], facts.by_day)
    with files.replacing(root / PDF) as temporary:
        quality_pdf.write(temporary, facts, reasons, trends)
    files.write_text(root / HTML, _html(facts, reasons, trends))


def _html(facts: quality_facts.Facts, reasons: bytes | None, trends: bytes) -> str:
    import jinja2

    loader = jinja2.FileSystemLoader(TEMPLATES)
    page = jinja2.Environment(loader=loader, autoescape=True, trim_blocks=True, lstrip_blocks=True)
    page.filters["percent"] = lambda part, whole: percent(part, whole)
    page.filters["thousands"] = lambda count: f"{count:,}"
    text: str = page.get_template("quality_report.html.jinja").render(
        facts=facts, summary=facts.summary, reasons=reasons and _data_url(reasons), trends=_data_url(trends)
    )
    return text + "\n"


def _data_url(png: bytes) -> str:
    return "data:image/png;base64," + base64.b64encode(png).decode("ascii")
