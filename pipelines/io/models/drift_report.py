"""The report of drift: Markdown and JSON a day in ``data/reports/drift``, and in Postgres for the service's metrics."""

from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import numpy as np
from psycopg import Connection
from psycopg.types.json import Jsonb

from pipelines.core.evaluation.drift import InputDrift
from pipelines.io import files, live_schema

FOLDER: Final = Path("data/reports/drift")
KEPT: Final = 400
"""Reports in Postgres; files stay."""
TABLE: Final = """
CREATE TABLE IF NOT EXISTS live.drift_reports (at timestamptz PRIMARY KEY, report jsonb NOT NULL)
"""


@dataclass(frozen=True)
class Report:
    """What was compared when, and what it gave; times are UTC."""

    at: datetime
    model_version: int
    feature_service: str
    trained_until: datetime
    as_of: datetime
    """Until when the online features know what happened."""
    users: tuple[int, int]
    """At training and now."""
    threshold: float
    inputs: dict[str, InputDrift]

    @property
    def moved(self) -> list[str]:
        """The inputs that drifted."""
        return [name for name, drift in self.inputs.items() if drift.is_much(self.threshold)]

    def to_json(self) -> dict[str, Any]:
        """The report as plain values; a median that isn't there is null."""
        inputs = {name: _plain(asdict(drift)) for name, drift in self.inputs.items()}
        times = {name: getattr(self, name).isoformat() for name in ("at", "trained_until", "as_of")}
        said = {name: getattr(self, name) for name in ("model_version", "feature_service", "threshold", "moved")}
        return {**times, **said, "users": list(self.users), "inputs": inputs}

    def to_markdown(self) -> str:
        """The report for people."""
        verdict = (
            f"**{len(self.moved)} of {len(self.inputs)} inputs have drifted**" if self.moved else "Nothing drifted"
        )
        lines = [
            f"# Drift of what the ranker reads, {self.at:%Y-%m-%d %H:%M} UTC",
            "",
            f"{verdict} (PSI above {self.threshold:g}, and above what chance explains): model {self.model_version} "
            f"learned from what happened until {self.trained_until:%Y-%m-%d}; {self.feature_service} is online up to "
            f"{self.as_of:%Y-%m-%d}. {self.users[0]:,} users of then, {self.users[1]:,} of now.",
            "",
            "| input | PSI | by chance | missing then | now | median then | now | |",
            "|---|--:|--:|--:|--:|--:|--:|---|",
            *(self._line(name, drift) for name, drift in self.inputs.items()),
        ]
        return "\n".join(lines) + "\n"

    def _line(self, name: str, drift: InputDrift) -> str:
        nulls = " | ".join(f"{share:.1%}" for share in drift.nulls)
        medians = " | ".join("–" if np.isnan(median) else f"{median:.4g}" for median in drift.medians)
        mark = "drifted" if name in self.moved else ""
        return f"| {name} | {drift.psi:.3f} | {drift.chance:.3f} | {nulls} | {medians} | {mark} |"


def write(root: Path, report: Report) -> Path:
    """Write the day's files (a later report of the day replaces them); returns the Markdown's path."""
    path = root / FOLDER / f"{report.at:%Y-%m-%d}.md"
    files.write_json(path.with_suffix(".json"), report.to_json())
    files.write_text(path, report.to_markdown())
    return path


def record(connection: Connection, report: Report) -> None:
    """Leave the report where the service looks for it."""
    live_schema.create(connection)
    connection.execute(TABLE)
    connection.execute("INSERT INTO live.drift_reports VALUES (%s, %s)", [report.at, Jsonb(report.to_json())])
    connection.execute(
        "DELETE FROM live.drift_reports WHERE at < (SELECT min(at) FROM "
        "(SELECT at FROM live.drift_reports ORDER BY at DESC LIMIT %s) AS newest)",
        [KEPT],
    )


def newest(connection: Connection) -> tuple[datetime, dict[str, float]] | None:
    """(time, input → PSI) of the last report; None where there is none."""
    if not live_schema.holds(connection, "drift_reports"):
        return None
    row = connection.execute("SELECT at, report FROM live.drift_reports ORDER BY at DESC LIMIT 1").fetchone()
    if row is None:
        return None
    return row[0].astimezone(UTC), {name: drift["psi"] for name, drift in row[1]["inputs"].items()}


def _plain(drift: dict[str, Any]) -> dict[str, Any]:
    return drift | {"medians": [None if np.isnan(median) else median for median in drift["medians"]]}
