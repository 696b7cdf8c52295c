"""The evaluation's report for people, in Markdown."""

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from pipelines.core.evaluation.calibration import Deciles
from pipelines.core.evaluation.comparison import ALL_TIME, BASELINE, CHAMPION, OURS, Estimate
from pipelines.core.evaluation.measurement import Results
from pipelines.core.evaluation.slices import Measured
from pipelines.core.models import selection
from pipelines.core.models.metrics import BEYOND, NAMES
from pipelines.io.files import write_text
from pipelines.io.models.evaluation_report import Ablation, ByK, Shares

INPUTS: Final = 12
"""Inputs of the ranker that are named."""
BEYOND_WORDS: Final = (
    "What the lists are like, whatever is wanted. novelty: how rare an item is, in bits. diversity: how few users the "
    "items of a list share, 1 is none. arp: the share of all users who had interacted with an item of the lists. "
    "gini: 0 shows all items equally often, 1 always the same."
)


def grid(header: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A Markdown table that also reads well on a terminal; all columns but the first are aligned to the right."""
    lines = [list(header), *map(list, rows)]
    widths = [max(len(line[c]) for line in lines) for c in range(len(header))]
    first, *others = widths
    texts = [
        "| " + " | ".join([cells[0].ljust(first), *(c.rjust(w) for c, w in zip(cells[1:], others, strict=True))]) + " |"
        for cells in lines
    ]
    rule = "|" + "|".join("-" * (w + 1) + (":" if c else "-") for c, w in enumerate(widths)) + "|"
    return "\n".join([texts[0], rule, *texts[1:]])


def table(models: Mapping[str, ByK], k: int, names: Sequence[str] = NAMES) -> str:
    """The models' metrics at one cut-off."""
    header = ["model", *(f"{name}@{k}" for name in names)]
    return grid(header, ([model, *(f"{by_k[k][name]:.4f}" for name in names)] for model, by_k in models.items()))


def introduction(split: Mapping[str, Any], models: Mapping[str, ByK], manifest: Mapping[str, Any]) -> str:
    """What was measured on whom, and what each model is."""
    new = "" if manifest["params"]["candidates"].get("repeat") else " new"
    window = split["evaluation"]
    others = ", ".join(f"`{name}`" for name in manifest["sources"] if name != BASELINE)
    return (
        f"Window: {window['cut'][:10]} to {window['end'][:10]} (end not included, UTC). {window['active_users']} users "
        f"were active; measured are the {window['users']} of them with history before the window who turned to "
        f"something{new} in it, {window['relevant'] / window['users']:.1f} items each.\n\n"
        "One cut in time parts what models know from what they are measured on. The whole catalogue is ranked"
        f"{', less what the user had interacted with,' * bool(new)} by the code that serves. Relevant is every{new} "
        "item with an event of positive weight in the window (by default any but remove_from_cart), also one that "
        "nobody knew before. Sources and features know what happened before the window; the ranker learned from "
        "earlier windows "
        f"({', '.join(cut['cut'][:10] for cut in split['training'])}).\n\n"
        f"`{OURS}` is the whole: sources and ranker. `{BASELINE}` is recent popularity, `{ALL_TIME}` the number of "
        f"users ever. {others} are RecoMart's own sources, each alone."
        + f" `{CHAMPION}` is the model in service, as it would have been before the window." * (CHAMPION in models)
        + " Definitions of the metrics: `pipelines/core/models/metrics.py`."
    )


def sureness(results: Results, not_compared: str | None) -> str:
    """Each model's NDCG with its interval, and ours against it."""
    k = results.headline
    ndcg = {name: _interval(results.curves[name, "ndcg", k]) for name in results.models}
    rows = [[OURS, ndcg[OURS], "", "", ""]]
    for name, one in results.verdicts.items():
        gap = f"{one.difference:+.4f} ({one.low:+.4f} to {one.high:+.4f})"
        rows.append([name, ndcg[name], gap, f"{one.p:.4f}", f"RecoMart **{one.words}** {name}"])
    header = ["model", f"NDCG@{k} (95 % interval)", "RecoMart less it (95 % interval)", "p", "verdict"]
    how = (
        "Intervals: bootstrap over users, 1,000 rounds, the same users for all models. p: two-sided randomization test "
        "of the paired differences, 10,000 permutations, not corrected for the number of models."
    )
    why_not = [f"The champion in service isn't among them: {not_compared}."] if not_compared else []
    return "\n\n".join([grid(header, rows), how, *why_not])


def segments(measured: Sequence[Measured], k: int) -> str:
    """A table for each way to slice: users, and every model's NDCG."""
    parts = []
    for dimension in dict.fromkeys(one.part.dimension for one in measured):
        inside = [one for one in measured if one.part.dimension == dimension]
        others = [name for name in next((one.models for one in inside if one.models), {}) if name != OURS]
        rows = [
            [one.part.name, one.part.meaning.removeprefix(f"{dimension}: "), f"{one.users:,}", *_slice(one, others)]
            for one in inside
        ]
        header = ["slice", dimension, "users", f"{OURS} NDCG@{k} (95 % interval)", f"{OURS} recall@{k}", *others]
        parts.append(grid(header, rows))
    return (
        f"NDCG@{k} of every model. In a slice of users, of these users. In a slice of items only its items are wanted, "
        "by everybody who turned to one; the rest of a list counts as missed, so the values of different slices of "
        "items don't compare with each other, models within one do. Users who were new in the window aren't measured: "
        "they get what is popular. Intervals of all models: `slices.json`.\n\n" + "\n\n".join(parts)
    )


def gains(steps: Ablation, k: int) -> str:
    """What each part adds."""
    rows = []
    for name, n in steps.items():
        gain = f"{n['gain']:+.4f} ({n['gain_low']:+.4f} to {n['gain_high']:+.4f})" if "gain" in n else ""
        inputs = f"{n['inputs']:.0f}" if n.get("inputs") else ""
        rows.append([name, inputs, f"{n[f'ndcg@{k}']:.4f} ({n['low']:.4f} to {n['high']:.4f})", gain])
    header = ["step", "inputs", f"NDCG@{k} (95 % interval)", "gain over the step before (95 % interval)"]
    return (
        grid(header, rows) + "\n\nEach step has one group of inputs more than the one before, and is measured on the "
        "same users. The best source is the best on this very window, which favours it. The trees of the steps are a "
        "third as many with three times the learning rate, to cost less; the last line is the model itself. "
        "Gains go by the order of the steps: what tells the same as something before it gains nothing."
    )


def calibrated(deciles: Deciles, blend: Shares, importance: Shares) -> str:
    """Rate of hits by decile of the score, the weights of the sources, and what the trees read most."""
    rates = zip(deciles.score, deciles.rate, deciles.low, deciles.high, strict=True)
    rows = [[f"{n}", f"{s:.3f}", f"{r:.2%} ({low:.2%} to {high:.2%})"] for n, (s, r, low, high) in enumerate(rates, 1)]
    trees = ([name, f"{share:.1%}"] for name, share in importance[:INPUTS])
    parts = [
        "A score orders candidates, it is no probability: the higher the decile of a candidate's score, the larger the "
        "share that came to something should be.",
        grid(["decile of the score", "mean score", "candidates turned to (95 % interval)"], rows),
        grid(["source", "weight in the blend"], ([name, f"{weight:.4f}"] for name, weight in blend)),
        grid(["input of the trees", "share of the gain of all splits"], trees) if importance else "There are no trees.",
    ]
    return "\n\n".join(parts)


def chosen(choice: Mapping[str, Any]) -> str:
    """How much of a ranker the data bear, and by what that was decided."""
    what = choice["source"] or (f"{choice['trees']} trees" if choice["trees"] else "the blend of all sources")
    lines = [f"- {name}: {value:.4f}" for name, value in sorted(choice["measured"].items(), key=lambda one: -one[1])]
    return (
        f"Chosen: **{what}**. Each was tried on the sampled candidates of {choice['users']} users of the newest "
        f"training cut, what learns having learned from the older cuts. NDCG@{selection.K}:\n\n" + "\n".join(lines)
    )


def write(
    path: Path,
    results: Results,
    split: Mapping[str, Any],
    manifest: Mapping[str, Any],
    blend: Shares,
    importance: Shares,
    not_compared: str | None,
    choice: Mapping[str, Any],
) -> None:
    """Write the whole report.

    Args:
        manifest: the bundle's.
        blend: sources with their weights.
        importance: what the trees read, the most used first.
        not_compared: why the champion isn't among the models, where there is one.
        choice: how the ranker was chosen, a ``selection.Choice``.
    """
    k, ks = results.headline, results.cut_offs
    sections = {f"Best {n}": table(results.models, n) for n in ks}
    sections["Who beats whom"] = sureness(results, not_compared)
    sections["By slice"] = segments(results.slices, k)
    if results.steps:
        sections["What each part adds"] = gains(results.steps, k)
    beyond = (table(results.models, n, BEYOND) for n in ks)
    sections["Beyond accuracy"] = "\n\n".join([BEYOND_WORDS, *beyond])
    sections["Inside the ranker"] = calibrated(results.deciles, blend, importance)
    sections["How the ranker was chosen"] = chosen(choice)
    first = introduction(split, results.models, manifest)
    bodies = (f"## {name}\n\n{body}" for name, body in sections.items())
    write_text(path, "\n\n".join(["# Evaluation", first, *bodies]) + "\n")


def _slice(one: Measured, others: Sequence[str]) -> list[str]:
    if not one.users:
        return [""] * (len(others) + 2)
    ours = one.models[OURS]
    others_ndcg = (f"{one.models[name]['ndcg'].mean:.4f}" for name in others)
    return [_interval(ours["ndcg"]), f"{ours['recall'].mean:.4f}", *others_ndcg]


def _interval(one: Estimate) -> str:
    return f"{one.mean:.4f} ({one.low:.4f} to {one.high:.4f})"
