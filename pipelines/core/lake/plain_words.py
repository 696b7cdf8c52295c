"""Results of quality checks in sentences."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

SUBJECTS = {
    "event_type": "kinds of events",
    "device": "devices",
    "category": "categories",
    "price": "prices",
    "hour": "hours of the day (UTC)",
}
"""Column whose distribution is compared → its name in a sentence."""


@dataclass(frozen=True)
class Measure:
    """A line of the table on the newest day; ``state`` is passed, warned, failed or skipped."""

    name: str
    value: str
    allowed: str
    state: str
    words: str

    @property
    def sign(self) -> str:
        """The state with a sign that needs no colour."""
        return {"passed": "✓ passed", "warned": "⚠ warns", "failed": "✗ failed", "skipped": "not judged"}[self.state]


def verdict(summary: Mapping[str, Any], failed: int, warnings: int) -> str:
    """Whether the data can be used, in one sentence."""
    rows = f"{percent(summary['good'], summary['rows'])} of {summary['rows']:,} rows are good"
    if failed:
        return f"The data must not be used: {rows}, and {_checks(failed)} that must hold failed."
    if warnings:
        return f"The data can be used: {rows}; {_checks(warnings)} should be looked at."
    return f"The data can be used: {rows}, and no check failed."


def percent(part: int, whole: int) -> str:
    """A share with one decimal, but never 0 % of something and never 100 % of less than all."""
    share = part / max(1, whole)
    if 0 < share < 0.001:
        return "under 0.1 %"
    return "over 99.9 %" if 0.999 < share < 1 else f"{share:.1%}".replace("%", " %")


def catalogue(items: int, in_stock: int, priceless: int, uncategorized: int, bad: Mapping[str, int]) -> str:
    """The catalogue's newest state, and its refused entries by reason."""
    refused = "; ".join(f"{reason}: {entries:,}" for reason, entries in bad.items())
    state = (
        f"{items:,} items, {in_stock:,} of them in stock; {priceless:,} have no price, {uncategorized:,} no category."
    )
    return f"{state} Refused entries by reason: {refused}." if bad else f"{state} No entry was refused."


def measure(result: Mapping[str, Any]) -> Measure:
    """What a result of the suite "newest day" says."""
    column, found = str(result["kwargs"]["column"]), result["result"]
    subject = SUBJECTS.get(column.removeprefix("drift_"), "")
    name = {"age_days": "freshness", "volume": "volume"}.get(column, f"drift of {subject}")
    if "not_judged" in found:
        return Measure(name, "–", "–", "skipped", f"Not judged: {found['not_judged']}.")
    state = "passed" if result["success"] else "failed" if result["severity"] == "stop" else "warned"
    low, high = result["kwargs"].get("min_value"), result["kwargs"].get("max_value")
    allowed = f"at most {high:g}" if low is None else f"{low:g} to {high:g}"
    value = found["observed_value"]
    if column == "age_days":
        age = f"{value:.1f} days" if value >= 2 else f"{24 * value:.1f} hours"
        return Measure(name, age, f"{allowed} days", state, f"The newest event is {age} older than the newest file.")
    details = found["details"]
    if column == "volume":
        words = (
            f"{details['day']} has {details['events']:,} events; the days of the week before had "
            f"{details['mean_before']:,.0f} on average."
        )
        if details["waiting"]:
            days = ", ".join(f"{day} ({events:,})" for day, events in details["waiting"].items())
            words += f" Not judged yet, for the log has no or few rows of it: {days}."
        return Measure(name, f"{value:.2f} times", f"{allowed} times", state, words)
    moved, before, after = details["moved"]
    words = f"{_moved(value)} Most moved “{moved}”: from {before:.1%} to {after:.1%} of the events.".replace("%", " %")
    return Measure(name, f"{value:.3f}", allowed, state, words)


def _moved(psi: float) -> str:
    """The usual rule of thumb for a population stability index."""
    return "As before." if psi < 0.1 else "Somewhat different." if psi < 0.25 else "Very different."


def _checks(count: int) -> str:
    return "1 check" if count == 1 else f"{count} checks"
