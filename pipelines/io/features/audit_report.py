"""What an audit found: a page for people, JSON for programs, a run in MLflow."""

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final

from pipelines.core.features import audit
from pipelines.core.features.audit import Mismatch, Tally
from pipelines.core.features.feature_views import VIEWS
from pipelines.io import mlflow_runs
from pipelines.io.files import write_json, write_text

EXPERIMENT: Final = "audit"
REPORT: Final = Path("data/reports/audit.md")
JSON: Final = Path("data/reports/audit.json")
EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)

Tallies = Mapping[str, Mapping[str, Tally]]
"""Store -> view -> what came of it."""


def write(root: Path, stores: Tallies, facts: Mapping[str, Any]) -> None:
    """Write ``data/reports/audit.md`` and ``audit.json``; ``facts``: what the audit was of."""
    views = {store: {view: _counts(view, t) for view, t in tallies.items()} for store, tallies in stores.items()}
    rates = {store: audit.rate(tallies.values()) for store, tallies in stores.items()}
    first = [_line(store, one) for store, tallies in stores.items() for t in tallies.values() for one in t.first]
    write_json(root / JSON, {**facts, "mismatch_rate": rates, "views": views, "mismatches": first})
    write_text(root / REPORT, _page(stores, facts, first))


def log_run(tracking_uri: str, root: Path, stores: Tallies, facts: Mapping[str, Any]) -> str:
    """Record the mismatch rates and the two files as a run of the experiment ``audit``; returns the run's id.

    Raises:
        ServiceError: MLflow doesn't answer.
    """
    params = {name: str(value) for name, value in facts.items()}
    return mlflow_runs.log_run(
        tracking_uri, EXPERIMENT, audit.metrics(stores), params, files=[root / REPORT, root / JSON]
    )


def iso(at: int) -> str:
    """Microseconds since 1970 as ISO 8601, UTC."""
    return (EPOCH + timedelta(microseconds=at)).isoformat()


def _counts(view: str, tally: Tally) -> dict[str, Any]:
    return {
        "rows": tally.compared,
        "wrong": tally.wrong,
        "left_out": tally.left_out,
        "mismatch_rate": tally.rate,
        "features": {name: tally.features[name] / max(1, tally.compared) for name in VIEWS[view].features},
    }


def _line(store: str, wrong: Mismatch) -> dict[str, Any]:
    pair = wrong.pair
    keys = dict(zip(VIEWS[pair.view].keys, pair.keys, strict=True))
    found = {"expected": wrong.expected, "found": wrong.found}
    return {"store": store, "view": pair.view, "keys": keys, "at": iso(pair.at), "feature": wrong.feature, **found}


def _page(stores: Tallies, facts: Mapping[str, Any], first: list[dict[str, Any]]) -> str:
    sections = [
        "# Audit of the features",
        f"As of {facts['as_of']}, seed {facts['seed']}.\n\n"
        "**Offline**: what `get_historical_features` says of an entity at a moment, against a count event by event "
        "over the validated log: prices and categories from the catalogue's history, cancellations matched anew. Which "
        "events are bots' or were sent twice is taken from the prepared interactions.\n\n"
        "**Online**: what Redis holds, against the newest row of the offline tables as of the last materialization, "
        "event timestamps included. Rows that were pushed live since are left out.",
    ]
    for store, tallies in stores.items():
        rate = audit.rate(tallies.values())
        sections.append(f"## {store.capitalize()}: {rate:.4%} of rows have a wrong value\n\n{_table(tallies)}")
    if first:
        lines = [
            f"- {line['store']} `{line['view']}` {line['keys']} at {line['at']}: `{line['feature']}` should be "
            f"{line['expected']!r}, is {line['found']!r}"
            for line in first[: audit.SHOWN]
        ]
        sections.append("## First mismatches\n\n" + "\n".join(lines))
    return "\n\n".join(sections) + "\n"


def _table(tallies: Mapping[str, Tally]) -> str:
    lines = ["| view | rows | wrong | left out | wrong values by feature |", "|---|--:|--:|--:|---|"]
    for view, tally in tallies.items():
        features = ", ".join(f"`{name}` {n}" for name, n in tally.features.most_common())
        note = features or ("none" if tally.compared else "not asked: no entities")
        lines.append(f"| `{view}` | {tally.compared} | {tally.wrong} | {tally.left_out} | {note} |")
    return "\n".join(lines)
