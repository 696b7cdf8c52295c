"""Great Expectations' Data Docs: its own renderers, on pages that load nothing; their bytes depend on the data alone.

Its own site builder links to style sheets and scripts of seven other sites, and stamps pages with the clock and random
ids.
"""

import html
import itertools
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import Any, Final

from pipelines.io import files

FOLDER: Final = Path("data/reports/data_docs")
TEMPLATES: Final = Path(__file__).with_name("templates")


def write(folder: Path, answers: Mapping[str, Any], arrival: datetime) -> None:
    """Write ``index.html``, and for each suite a page in ``expectations`` and one in ``validations``.

    Args:
        folder: replaced whole.
        answers: suite → Great Expectations' validation result.
        arrival: when the newest file of the log came; stands for the time of the run.
    """
    import great_expectations as gx
    from great_expectations.core.run_identifier import RunIdentifier
    from great_expectations.render.renderer import ExpectationSuitePageRenderer, ValidationResultsPageRenderer

    run = RunIdentifier(run_name="validate", run_time=arrival)
    suites, view = [], _view()
    with files.replacing(folder) as temporary:
        for name, answer in answers.items():
            file = f"{answer.suite_name}.html"
            answer.meta.update(run_id=run)
            answer.meta.pop("batch_markers", None)  # the time of loading
            expected = [result.expectation_config for result in answer.results]
            suite = gx.ExpectationSuite(answer.suite_name, expectations=expected)
            for kind, rendered in (
                ("expectations", ExpectationSuitePageRenderer().render(suite)),
                ("validations", ValidationResultsPageRenderer().render(answer)),
            ):
                (temporary / kind).mkdir(parents=True, exist_ok=True)
                page = _page(view, rendered.to_json_dict(), f"{kind.capitalize()}: {name}")
                (temporary / kind / file).write_text(page, encoding="utf-8")
            suites.append({"name": name, "file": file} | _outcome(answer))
        arrived = f"{arrival:%Y-%m-%d %H:%M} UTC"
        index = view.env.get_template("data_docs_index.html.jinja")
        text = index.render(version=gx.__version__, arrival=arrived, suites=suites)
        (temporary / "index.html").write_text(text, encoding="utf-8")


def _outcome(answer: Any) -> dict[str, Any]:
    failed = [result.expectation_config.severity for result in answer.results if not result.success]
    outcome = "passed" if not failed else "failed" if "critical" in failed else "warned"
    return {"outcome": outcome, "passed": len(answer.results) - len(failed), "failed": len(failed)}


def _page(view: Any, document: dict[str, Any], title: str) -> str:
    text: str = view.render(_escaped(document) | {"title": title}, template="data_docs_page.html.jinja")
    text = text.replace("../../../../", "../")  # where its own site builder puts the page of a result
    return "\n".join(line.rstrip() for line in text.splitlines() if line.strip()) + "\n"


def _view() -> Any:
    """Great Expectations' view with our templates beside its own, and ids that are counted."""
    from great_expectations.render.view import DefaultJinjaPageView

    class View(DefaultJinjaPageView):
        def _validate_document(self, document: Any) -> None:
            """The document is a dictionary already."""

    view = View(custom_views_directory=str(TEMPLATES))
    number = itertools.count(1)
    view.env.filters["generate_html_element_uuid"] = lambda prefix=None: f"{prefix or ''}{next(number)}"
    return view


def _escaped(node: Any) -> Any:
    """The document with the plain text of its tables' cells escaped, which the view writes as it is."""
    if isinstance(node, dict):
        return {key: [_row(row) for row in value] if key == "table" else _escaped(value) for key, value in node.items()}
    if isinstance(node, list):
        return [_escaped(value) for value in node]
    return node


def _row(row: list[Any]) -> list[Any]:
    return [html.escape(cell, quote=False) if isinstance(cell, str) else _escaped(cell) for cell in row]
