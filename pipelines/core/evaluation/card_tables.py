"""The tables of a model card, in Markdown, of what `evaluate` measured."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

K: Final = 10
HEADLINE: Final = f"ndcg@{K}"
FIRST: Final = (HEADLINE, f"recall@{K}", f"precision@{K}", f"map@{K}", f"mrr@{K}")
BIAS: Final = {
    f"coverage@{K}": "share of the catalogue that anybody is shown",
    f"arp@{K}": "share of all users who had met an item that is shown, on average",
    f"gini@{K}": "0: every item is shown as often, 1: always the same one",
    f"novelty@{K}": "bits: the rarer what is shown, the more",
}
"""What tells of a preference for what is popular, and how to read it."""

Numbers = Mapping[str, Any]


def metrics(measured: Numbers) -> str:
    """Model -> metrics, the best first, as ``metrics.json`` has them."""
    models = {model: values for model, values in measured.items() if isinstance(values, Mapping)}
    names = [name for name in FIRST if any(name in values for values in models.values())]
    best = sorted(models.items(), key=lambda named: -named[1][HEADLINE])
    rows = [[model, *(_interval(values, name, f"{name}_") for name in names)] for model, values in best]
    return table(["model", *names], rows)


def differences(verdicts: Numbers) -> str:
    """Ours less each other model's, as ``verdicts.json`` has them."""
    models = {name: v for name, v in verdicts.items() if isinstance(v, Mapping)}
    rows = [[name, _interval(v, "difference", "", signed=True), _number(v.get("p"))] for name, v in models.items()]
    return table(["against", "difference", "p"], rows)


def slices(measured: Numbers, ours: str, baseline: str) -> str:
    """A row for each slice of ``ours``, the baseline's value beside it, as ``slices.json`` has them."""
    meaning, other = measured.get("meaning", {}), measured.get(baseline, {})
    rows = []
    for name, values in measured[ours].items():
        both = [_interval(of, HEADLINE, f"{HEADLINE}_") for of in (values, other.get(name, {}))]
        rows.append([name, meaning.get(name, ""), _number(values.get("users")), *both])
    return table(["slice", "what", "users", ours, baseline], rows)


def ablation(steps: Numbers) -> str:
    """A row for each step, as ``ablation.json`` has them: their names begin with their number."""
    rows = [
        [
            name.partition(" ")[2],
            _number(s.get("inputs")),
            _interval(s, HEADLINE, ""),
            _interval(s, "gain", "gain_", signed=True),
        ]
        for name, s in sorted(steps.items())
    ]
    return table(["step", "inputs", HEADLINE, "added"], rows)


def bias(measured: Numbers, ours: str, baseline: str) -> str:
    """How much ``ours`` and the baseline prefer what is popular; empty where that wasn't measured."""
    rows = [
        [name, _number(measured[ours][name]), _number(measured[baseline].get(name)), meaning]
        for name, meaning in BIAS.items()
        if name in measured[ours]
    ]
    return table(["measure", ours, baseline, "what it says"], rows)


def importance(shares: Iterable[tuple[str, float]]) -> str:
    """Input -> share of the gain, in order."""
    return table(["input", "share of the gain"], [[name, _number(share)] for name, share in shares])


def table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A table whose columns are numbers but for the first and those that begin with "what"; empty without rows."""
    if not rows:
        return ""
    rule = ["---" if n == 0 or name.startswith("what") else "---:" for n, name in enumerate(header)]
    plain = [[cell.replace("|", "/") for cell in row] for row in rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in (header, rule, *plain))


def _interval(values: Numbers, name: str, bounds: str, signed: bool = False) -> str:
    """``0.1583 (0.1374 to 0.1797)``; without the interval where it isn't known, empty without a value."""
    low, high = (values.get(f"{bounds}{end}") for end in ("low", "high"))
    if values.get(name) is None:
        return ""
    form = "+.4f" if signed else ".4f"
    known = f" ({low:{form}} to {high:{form}})" if low is not None and high is not None else ""
    return f"{values[name]:{form}}{known}"


def _number(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:.4f}"
    return f"{value:,}" if isinstance(value, int) else ""
