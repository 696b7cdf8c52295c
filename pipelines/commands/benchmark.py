"""Measure RecoMart beside published methods on any log: trained before a cut, judged by what came after it.

The log (.parquet, .csv or .csv.gz) has the columns user_id, item_id, timestamp[, event_type, price]. Everybody with a
history before the cut who turns to something new in the window after it is recommended items of the whole catalogue,
but those that they have met; right are the new ones. One JSON line a model goes to stdout as soon as it is measured,
the progress and a table of all go to stderr. The peers' hyperparameters are chosen on the window before the cut, and
the time for that counts as theirs.
"""

import argparse
import json
import logging
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any, Final

import numpy as np

from pipelines.context import Context
from pipelines.core.errors import InputError
from pipelines.core.models import learning
from pipelines.core.models.peers import PEERS, choosing
from pipelines.core.models.peers.holdout import measure
from pipelines.core.models.peers.ranking import rank
from pipelines.io import memory, tables
from pipelines.io.models import benchmark_task
from pipelines.io.models.benchmark_task import Task

log = logging.getLogger(__name__)

OURS: Final = "recomart"
Line = Mapping[str, Any]


def configure(parser: argparse.ArgumentParser) -> None:
    """Declare the data, the split and the models."""
    add = parser.add_argument
    add("--interactions", type=Path, required=True, metavar="FILE", help="the log; its rows may be in any order")
    add(
        "--cutoff", type=_moment, required=True, metavar="ISO", help="models know what is before it; UTC without a zone"
    )
    add("--window-days", type=_positive, default=30.0, metavar="N", help="how long they predict (default: %(default)g)")
    add("--items", type=Path, metavar="FILE", help="item_id[, title, description, category, price]")
    add("--k", type=_whole, nargs="+", default=[10, 20], metavar="K", help="lengths of the lists (default: 10 20)")
    add("--out", type=Path, metavar="FILE", help="our recommendations as Parquet: user_id, item_id, rank, score")
    models = ", ".join([OURS, *PEERS])
    add("--models", nargs="+", choices=[OURS, *PEERS], metavar="MODEL", help=f"some of {models} (default: all)")
    add("--no-peers", action="store_true", help=f"the same as --models {OURS}")
    add("--seed", type=int, help="of everything random (default: that of params.yaml)")


def run(context: Context) -> None:
    """Read, split, then fit, rank and measure one model after the other.

    Raises:
        InputError: a file can't be used, or nobody can be measured at this cut.
    """
    args, params = context.args, context.params
    chosen = [OURS] if args.no_peers else args.models or [OURS, *PEERS]
    if args.out and OURS not in chosen:
        raise InputError(f"--out is for the recommendations of {OURS}, which --models leaves out")
    task = benchmark_task.read(args.interactions, args.items, args.cutoff, args.window_days, params.event_weights)
    ks, seed = list(dict.fromkeys(args.k)), params.seed if args.seed is None else args.seed
    lines = []
    for line in _lines(task, chosen, ks, seed, args.out):
        sys.stdout.write(json.dumps(line) + "\n")
        sys.stdout.flush()
        lines.append(line)
    sys.stderr.write(_table(lines) if lines else "")


def _lines(task: Task, chosen: Sequence[str], ks: Sequence[int], seed: int, out: Path | None) -> Iterator[Line]:
    """One line a model: ours first, then the peers that can be fitted here."""
    if OURS in chosen:
        yield _ours(task, ks, seed, out)
    peers = [name for name in PEERS if name in chosen]
    if not peers:
        return
    training = choosing.Training.of(task.past, task.cut)
    for reason, left_out in _obstacles(peers, training).items():
        log.warning("left out: %s: %s", ", ".join(left_out), reason)
        peers = [name for name in peers if name not in left_out]
    rehearsal = choosing.rehearsal(task.past, task.cut, task.window_days, np.random.default_rng(seed))
    if rehearsal is None:
        log.info("the window before the cut has too few users to choose hyperparameters: peers keep their defaults")
    for name in peers:
        yield _peer(name, task, training, rehearsal, ks, seed)


def _obstacles(peers: Sequence[str], training: choosing.Training) -> dict[str, list[str]]:
    """Reason -> the peers that can't be fitted for it."""
    reasons: dict[str, list[str]] = {}
    for name in peers:
        if reason := PEERS[name].obstacle(training.user_items, memory.free()):
            reasons.setdefault(reason, []).append(name)
    return reasons


def _ours(task: Task, ks: Sequence[int], seed: int, out: Path | None) -> Line:
    log.info("%s: fitting", OURS)
    started = time.monotonic()
    bundle = learning.fit(task.past, task.cut, task.window_days, task.catalogue, seed, log.info)
    fitted = time.monotonic()
    ranked, scores = learning.recommend(bundle, task.holdout.users, max(ks))
    done = time.monotonic()
    if out:
        benchmark_task.write(out, task, ranked, scores)
    return {"model": OURS, **_figures(task, ranked, ks, fitted - started, done - fitted)}


def _peer(
    name: str,
    task: Task,
    training: choosing.Training,
    rehearsal: choosing.Rehearsal | None,
    ks: Sequence[int],
    seed: int,
) -> Line:
    log.info("%s: fitting", name)
    started = time.monotonic()
    scorer, setting = choosing.fit(PEERS[name], training, rehearsal, seed)
    fitted = time.monotonic()
    ranked = rank(scorer, training.histories, task.holdout.users, len(task.past.item_ids), max(ks))
    figures = _figures(task, ranked, ks, fitted - started, time.monotonic() - fitted)
    return {"model": name, **figures, "params": dict(setting)}


def _figures(task: Task, ranked: np.ndarray, ks: Sequence[int], fit_s: float, rec_s: float) -> dict[str, float]:
    values = {name: round(value, 6) for name, value in measure(ranked, task.holdout, ks).items()}
    return {**values, "fit_s": round(fit_s, 3), "rec_s": round(rec_s, 3)}


def _table(lines: Sequence[Line]) -> str:
    """All models below each other, then ours as a multiple of the best peer's."""
    metrics = [name for name in lines[0] if "@" in name]
    rows = [["model", *metrics, "fit_s", "rec_s"]]
    for line in lines:
        seconds = [f"{line[name]:.1f}" for name in ("fit_s", "rec_s")]
        rows.append([line["model"], *(f"{line[name]:.4f}" for name in metrics), *seconds])
    ours, peers = (lines[:1], lines[1:]) if lines[0]["model"] == OURS else ([], lines)
    if ours and peers:
        best = [max(line[name] for line in peers) for name in metrics]
        ratios = [f"{ours[0][name] / value:.2f}×" if value else "-" for name, value in zip(metrics, best, strict=True)]
        rows.append([f"{OURS} ÷ best peer", *ratios, "", ""])
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return "".join(_aligned(row, widths) + "\n" for row in rows)


def _aligned(row: Sequence[str], widths: Sequence[int]) -> str:
    name, *numbers = row
    cells = [name.ljust(widths[0]), *(cell.rjust(width) for cell, width in zip(numbers, widths[1:], strict=True))]
    return "  ".join(cells).rstrip()


def _moment(text: str) -> datetime:
    try:
        return tables.utc(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is no date or time in ISO 8601") from None


def _positive(text: str) -> float:
    if not 0 < (value := float(text)) < float("inf"):
        raise argparse.ArgumentTypeError(f"must be above 0, got {text}")
    return value


def _whole(text: str) -> int:
    if (value := int(text)) < 1:
        raise argparse.ArgumentTypeError(f"must be at least 1, got {text}")
    return value
