"""The data-quality report as PDF: A4, page numbers, and a font that has more than Latin letters."""

import io
from collections.abc import Sequence
from html import escape
from pathlib import Path
from typing import Any, Final

from matplotlib import get_data_path
from PIL import Image as Picture
from reportlab.lib import colors
from reportlab.lib.pagesizes import A4
from reportlab.lib.styles import ParagraphStyle
from reportlab.lib.units import mm
from reportlab.pdfbase import pdfmetrics
from reportlab.pdfbase.ttfonts import TTFont
from reportlab.platypus import CondPageBreak, Flowable, Image, KeepTogether, Paragraph, SimpleDocTemplate, Spacer, Table

from pipelines.core.lake.plain_words import percent
from pipelines.io.quality.quality_facts import Facts

MARGIN: Final = 18 * mm
WIDTH: Final = A4[0] - 2 * MARGIN - 12
"""Of what is on a page: a frame keeps 6 points free on either side."""
INK, SOFT, LINE = (colors.HexColor(code) for code in ("#1f2933", "#5f6c7b", "#d9e0e7"))
STATES: Final = {"passed": "#1f7a4d", "warned": "#9a6700", "failed": "#b3261e", "skipped": "#5f6c7b"}
PALE: Final = {"passed": "#eef6f1", "warned": "#fdf6e3", "failed": "#fbeeed"}

_BODY: Final = ParagraphStyle("body", fontName="Report", fontSize=8.8, leading=12.5, textColor=INK)
_SMALL: Final = ParagraphStyle("small", _BODY, fontSize=7.6, leading=10.2)
_VALUES: Final = ParagraphStyle("values", _SMALL, fontSize=6.8, leading=9, wordWrap="CJK")
_RIGHT: Final = ParagraphStyle("right", _SMALL, alignment=2)
_TITLE: Final = ParagraphStyle("title", _BODY, fontName="Report-Bold", fontSize=18, leading=23)
_HEADING: Final = ParagraphStyle("heading", _BODY, fontName="Report-Bold", fontSize=11.5, leading=15, spaceBefore=11)
_VERDICT: Final = ParagraphStyle("verdict", _BODY, fontSize=10.5, leading=15)


def write(path: Path, facts: Facts, reasons: bytes | None, trends: bytes) -> None:
    """Write the report; ``reasons`` and ``trends`` are PNG pictures."""
    fonts = Path(get_data_path(), "fonts", "ttf")
    pdfmetrics.registerFont(TTFont("Report", fonts / "DejaVuSans.ttf"))
    pdfmetrics.registerFont(TTFont("Report-Bold", fonts / "DejaVuSans-Bold.ttf"))
    pdfmetrics.registerFontFamily("Report", "Report", "Report-Bold", "Report", "Report-Bold")
    source = str(facts.summary["source"])
    document = SimpleDocTemplate(
        str(path),
        pagesize=A4,
        leftMargin=MARGIN,
        rightMargin=MARGIN,
        topMargin=MARGIN,
        bottomMargin=MARGIN,
        title=f"Data quality: {source}",
        author="RecoMart",
        invariant=1,
    )

    def footer(canvas: Any, _: Any) -> None:
        canvas.setFont("Report", 7.5)
        canvas.setFillColor(SOFT)
        canvas.drawString(MARGIN + 6, 10 * mm, f"Data quality: {source}, {facts.arrived}")
        canvas.drawRightString(A4[0] - MARGIN - 6, 10 * mm, f"page {canvas.getPageNumber()}")

    document.build(_story(facts, reasons, trends), onFirstPage=footer, onLaterPages=footer)


def _story(facts: Facts, reasons: bytes | None, trends: bytes) -> list[Flowable]:
    return [
        *_head(facts),
        *_rows(facts),
        *_changes(facts),
        *_quarantine(facts, reasons),
        _section("Over time", _picture(trends)),
        *_newest_day(facts),
        _section("The catalogue", _text(facts.catalogue_words)),
        *_expectations(facts),
        *_glossary(facts),
    ]


def _head(facts: Facts) -> list[Flowable]:
    state = facts.state
    box = Table([[Paragraph(escape(facts.verdict), _VERDICT)]], colWidths=[WIDTH])
    box.setStyle(
        [
            ("BACKGROUND", (0, 0), (-1, -1), PALE[state]),
            ("LINEBEFORE", (0, 0), (0, -1), 4, STATES[state]),
            ("LEFTPADDING", (0, 0), (-1, -1), 10),
            ("TOPPADDING", (0, 0), (-1, -1), 6),
            ("BOTTOMPADDING", (0, 0), (-1, -1), 8),
        ]
    )
    failures = [
        Paragraph(
            f'<font color="{STATES[kind]}">{sign}</font> {escape(found["suite"])}: {escape(found["description"])}',
            _BODY,
        )
        for kind, sign, results in (("failed", "✗ stops", facts.failed), ("warned", "⚠ warns", facts.warnings))
        for found in results
    ]
    title = Paragraph(f"Data quality: {escape(str(facts.summary['source']))}", _TITLE)
    return [title, _text(facts.scope), Spacer(1, 6), box, Spacer(1, 4), *failures]


def _rows(facts: Facts) -> list[Flowable]:
    counts = facts.summary
    names = {"rows": "rows came in", "good": "good", "quarantined": "quarantined", "duplicates": "duplicates"}
    cells = [
        Paragraph(
            f'<font name="Report-Bold" size="14">{counts[name]:,}</font><br/>{label}'
            + ("" if name == "rows" else f", {percent(counts[name], counts['rows'])}"),
            ParagraphStyle("tile", _BODY, leading=17),
        )
        for name, label in names.items()
    ]
    tiles = Table([cells], colWidths=[WIDTH / 4] * 4)
    tiles.setStyle([("BOX", (0, 0), (-1, -1), 0.6, LINE), ("INNERGRID", (0, 0), (-1, -1), 0.6, LINE)])
    words = (
        f"{counts['rows']:,} = {counts['good']:,} + {counts['quarantined']:,} + {counts['duplicates']:,}. Of the good "
        f"rows {counts['events']:,} are events and {counts['cancellations']:,} take a purchase back; "
        f"{counts['repaired']:,} rows of the quarantine have been repaired by later ones."
    )
    return [_section("Where every row went", tiles), Spacer(1, 3), _text(words)]


def _changes(facts: Facts) -> list[Flowable]:
    if facts.changes is None:
        return [_section("Since the run before", _text("There is no run before this one to compare with."))]
    if not facts.changes:
        return [_section("Since the run before", _text("The counts are the same."))]
    rows = [[name, f"{old:,}", f"{new:,}", f"{new - old:+,}"] for name, old, new in facts.changes]
    return _table("Since the run before", ["Count", ">before", ">now", ">change"], rows, [0.4, 0.2, 0.2, 0.2])


def _quarantine(facts: Facts, reasons: bytes | None) -> list[Flowable]:
    if reasons is None:
        return [_section("Why rows are in quarantine", _text("No row is in quarantine."))]
    worst = [
        [file, f"{n['rows']:,}", f"{n['quarantined']:,}", percent(n["quarantined"], n["rows"])]
        for file, n in facts.worst_files
    ]
    samples = [[found.reason, found.file, f"{found.line:,}", found.text] for found in facts.samples]
    return [
        _section("Why rows are in quarantine", _picture(reasons), _text("A row with two reasons counts twice.")),
        *_table("Files with most bad rows", ["=File", ">rows", ">bad", ">share"], worst, [0.55, 0.15, 0.15, 0.15]),
        *_table(
            "Samples of bad rows", ["Reason", "=File", ">line", "=What it says"], samples, [0.17, 0.26, 0.08, 0.49]
        ),
    ]


def _newest_day(facts: Facts) -> list[Flowable]:
    words = _text(
        "The newest whole day against the seven days before it. Drift is the population stability index: below 0.1 "
        "nothing has changed, above 0.25 much has."
    )
    rows: list[list[Any]] = [
        [m.name, m.value, m.allowed, Paragraph(f'<font color="{STATES[m.state]}">{m.sign}</font>', _SMALL), m.words]
        for m in facts.newest_day
    ]
    header = ["Measure", ">found", ">allowed", "Result", "In words"]
    return _table("The newest day", header, rows, [0.2, 0.12, 0.14, 0.11, 0.43], words)


def _expectations(facts: Facts) -> list[Flowable]:
    rows = [[name, str(passed), str(failed), str(skipped)] for name, passed, failed, skipped in facts.suites]
    where = _text("Each of them is in data/reports/data_docs/index.html.")
    return _table("Expectations", ["Suite", ">passed", ">failed", ">not judged"], rows, [0.4, 0.2, 0.2, 0.2], where)


def _glossary(facts: Facts) -> list[Flowable]:
    if not facts.glossary:
        return []
    rows = [list(entry) for entry in facts.glossary]
    return _table("What the reasons mean", ["Reason", "What it means", "What to do"], rows, [0.24, 0.34, 0.42])


def _section(title: str, *content: Flowable) -> Flowable:
    """A heading and what must stay with it on the page."""
    return KeepTogether([Paragraph(escape(title), _HEADING), Spacer(1, 4), *content])


def _table(
    title: str,
    header: Sequence[str],
    rows: Sequence[Sequence[Any]],
    shares: Sequence[float],
    above: Flowable | None = None,
) -> list[Flowable]:
    """A headed table of text. A header's first character may say how: > to the right, = small and broken anywhere."""
    styles = [{">": _RIGHT, "=": _VALUES}.get(name[0], _SMALL) for name in header]
    names = [f"<b>{escape(name.lstrip('>='))}</b>" for name in header]
    heads = [Paragraph(name, _RIGHT if style is _RIGHT else _SMALL) for name, style in zip(names, styles, strict=True)]
    cells = [
        [
            Paragraph(escape(cell), style) if isinstance(cell, str) else cell
            for cell, style in zip(row, styles, strict=True)
        ]
        for row in rows
    ]
    table = Table([heads, *cells], colWidths=[WIDTH * share for share in shares], repeatRows=1)
    table.setStyle(
        [
            ("VALIGN", (0, 0), (-1, -1), "TOP"),
            ("LINEBELOW", (0, 0), (-1, -1), 0.5, LINE),
            ("TOPPADDING", (0, 0), (-1, -1), 2),
            ("BOTTOMPADDING", (0, 0), (-1, -1), 3),
            ("LEFTPADDING", (0, 0), (-1, -1), 3),
            ("RIGHTPADDING", (0, 0), (-1, -1), 3),
        ]
    )
    heading = [CondPageBreak(30 * mm), Paragraph(escape(title), _HEADING), Spacer(1, 4)]
    return [*heading, *([above, Spacer(1, 3)] if above else []), table]


def _text(words: str) -> Paragraph:
    return Paragraph(escape(words), _BODY)


def _picture(png: bytes) -> Image:
    """A picture as wide as the page, in its own proportions."""
    with Picture.open(io.BytesIO(png)) as picture:
        width, height = picture.size
    return Image(io.BytesIO(png), width=WIDTH, height=WIDTH * height / width)
