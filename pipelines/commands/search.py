"""Search for better hyperparameters for a while; measured on the newest training cut, each trial a run of MLflow."""

import argparse
import logging
import signal
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from threading import Event
from typing import Any, Final

import yaml
from threadpoolctl import threadpool_limits

from pipelines.context import Context
from pipelines.core.errors import InputError
from pipelines.core.models import tuning
from pipelines.core.models.sources import SOURCES
from pipelines.core.models.tuning import Range
from pipelines.io import mlflow_runs, params_file
from pipelines.io.models import bundles, training_data, tuning_data
from pipelines.io.progress import counting
from pipelines.params import Params
from pipelines.stages import train

log = logging.getLogger(__name__)

EXPERIMENT: Final = "recomart-search"
METRIC: Final = "ndcg_at_10"
RANKER: Final = "ranker"


@dataclass
class Search:
    """One part of params.yaml: what may be tried, what it is now, and the best so far."""

    keys: tuple[str, ...]
    """Where the part stands in params.yaml."""
    space: Mapping[str, Range]
    now: Mapping[str, Any]
    measured: Callable[[Mapping[str, Any]], float]
    baseline: float = float("-inf")
    best: float = float("-inf")
    settings: Mapping[str, Any] | None = None
    """None until something is better than what is there."""
    trials: int = 0

    @property
    def name(self) -> str:
        """``ranker``, or the source."""
        return self.keys[-1]


def configure(parser: argparse.ArgumentParser) -> None:
    """Declare what to search, for how long, and what becomes of it."""
    parser.add_argument("parts", nargs="*", metavar="PART", help=f"{RANKER} or a source (default: all, one by one)")
    parser.add_argument("--minutes", type=float, default=10.0, help="in all (default %(default)g)")
    parser.add_argument("--trials", type=int, help="at most so many a part (default: as many as there is time for)")
    parser.add_argument("--seed", type=int, default=7, help="the same seed tries the same (default %(default)s)")
    parser.add_argument("--write", action="store_true", help="write what is better into params.yaml")


def run(context: Context) -> None:
    """Search each part for its share of the time; print what is better, ready for params.yaml.

    Interrupted, it ends after the trial that runs, with what it has found; interrupted again, at once.

    Raises:
        InputError: there is no training data, or no such part.
        ServiceError: MLflow doesn't answer.
    """
    args, params = context.args, context.params
    searches = _searches(context, params)
    ends = time.monotonic() + 60 * args.minutes
    uri, told = context.settings.mlflow_tracking_uri, {"minutes": str(args.minutes), "seed": str(args.seed)}
    with (
        mlflow_runs.client_of(uri) as client,
        mlflow_runs.logged(client, uri, EXPERIMENT, {}, told, name="search") as parent,
    ):
        with _interrupts() as interrupted, threadpool_limits(1, "blas"):  # small systems take longer with more
            for place, search in enumerate(searches):
                until = time.monotonic() + (ends - time.monotonic()) / (len(searches) - place)
                over = partial(_over, until, args.trials, interrupted)
                _search(search, over, args, lambda m, p, n: _log(client, uri, parent, m, p, n))
        client.set_tag(parent, "interrupted", str(interrupted.is_set()).lower())
        tried = [search for search in searches if search.trials]
        mlflow_runs.log_values(client, parent, *_outcome(tried))
    _print(tried)
    better = {(*s.keys, name): value for s in tried for name, value in (s.settings or {}).items()}
    if args.write and better:
        params_file.change(context.root / "params.yaml", better)
        log.info("params.yaml: %d values changed; `make train` comes next", len(better))


def _searches(context: Context, params: Params) -> list[Search]:
    plain, root = params.model_dump(mode="json"), context.root
    candidates = plain["candidates"]
    sources = [name for name in SOURCES if candidates.get(name) and (name != "again" or candidates["repeat"])]
    wanted = context.args.parts or [RANKER, *sources]
    if unknown := sorted({*wanted} - {RANKER, *sources}):
        raise InputError(f"{', '.join(unknown)}: neither {RANKER} nor one of the sources {', '.join(sources)}")
    ranker = [_ranker(context, plain)] if RANKER in wanted else []
    cut = tuning_data.newest_cut(root, plain) if {*wanted} - {RANKER} else None
    found = []
    for name in sources:
        if cut is not None and name in wanted:
            options = candidates[name]
            space = _space(getattr(params.candidates, name))
            measured = tuning.of_source(name, cut.past, cut.users, cut.gains, options, repeat=candidates["repeat"])
            found.append(Search(("candidates", name), space, {n: options[n] for n in space}, measured))
    return [*ranker, *found]


def _ranker(context: Context, plain: Mapping[str, Any]) -> Search:
    """The ranker, on the assembled candidates.

    Raises:
        InputError: there is one training cut only.
    """
    root, options = context.root, plain[RANKER]
    manifest = bundles.load(root / training_data.SOURCES).manifest
    rows = train.examples(root / training_data.TRAINING, manifest["sources"], manifest["feature_service"])
    newest = rows.group < training_data.split(root)["training"][0]["users"]  # groups count from the newest cut on
    if newest.all() or not newest.any():
        raise InputError("there is one training cut only: the ranker's settings need an older one to learn from")
    space = {name: of for name, of in tuning.RANKER.items() if name in options}
    older, newer = rows.where(~newest), rows.where(newest)
    measured = tuning.of_ranker(older, newer, manifest["features"], options, plain["seed"])
    return Search((RANKER,), space, {name: options[name] for name in space}, measured)


def _space(values: Any) -> dict[str, Range]:
    """Setting -> where it is looked for, between the limits of its field."""
    found = {}
    for name, field in type(values).model_fields.items():
        if of := tuning.around(getattr(values, name), _limit(field, "ge", "gt"), _limit(field, "le", "lt")):
            found[name] = of
    return found


def _limit(field: Any, *kinds: str) -> float | None:
    """The first limit of these kinds that the field declares."""
    return next((getattr(of, kind) for of in field.metadata for kind in kinds if hasattr(of, kind)), None)


@contextmanager
def _interrupts() -> Iterator[Event]:
    """Set by the first interrupt (Ctrl-C) and left to the usual way by the second.

    An exception in the midst of a trial could be lost or turned into another one: XGBoost calls back into Python.
    """
    interrupted = Event()

    def note(*_: object) -> None:
        log.warning("interrupted: this trial is the last one; once more to end at once")
        interrupted.set()
        signal.signal(signal.SIGINT, before)

    before = signal.signal(signal.SIGINT, note)
    try:
        yield interrupted
    finally:
        signal.signal(signal.SIGINT, before)


def _over(until: float, trials: int | None, interrupted: Event, done: int) -> bool:
    """Whether no further trial begins after ``done`` of them; one is always made of each part, as a measure."""
    return interrupted.is_set() or (done > 0 and (time.monotonic() >= until or done == trials))


def _search(search: Search, over: Callable[[int], bool], args: argparse.Namespace, logged: Callable[..., None]) -> None:
    """Try settings until it is ``over``, first those that are there."""
    import optuna

    optuna.logging.set_verbosity(optuna.logging.WARNING)
    study = optuna.create_study(direction="maximize", sampler=optuna.samplers.TPESampler(seed=args.seed))
    with counting(f"{search.name}: trials", args.trials) as count:
        while not over(search.trials):
            trial = study.ask() if search.trials else None
            settings = tuning.suggest(search.space, trial) if trial else dict(search.now)
            value = search.measured(settings)
            if trial:
                study.tell(trial, value)
            else:
                search.baseline = search.best = value
            logged({METRIC: value}, mlflow_runs.flat_params(settings), f"{search.name} {search.trials}")
            search.trials += 1
            count(1)
            if value > search.best:
                search.best, search.settings = value, settings
                log.info("%s: trial %d, NDCG@10 %.4f (%.4f now)", search.name, search.trials, value, search.baseline)


def _log(client: Any, uri: str, parent: str, metrics: dict[str, float], params: dict[str, str], name: str) -> None:
    with mlflow_runs.logged(client, uri, EXPERIMENT, metrics, params, {mlflow_runs.PARENT: parent}, name):
        pass


def _outcome(tried: Sequence[Search]) -> tuple[dict[str, float], dict[str, str]]:
    metrics = {f"{s.name}/{what}": value for s in tried for what, value in (("best", s.best), ("now", s.baseline))}
    return metrics, {f"{'.'.join(s.keys)}.{n}": str(v) for s in tried for n, v in (s.settings or s.now).items()}


def _print(tried: Sequence[Search]) -> None:
    told: dict[str, Any] = {}
    for search in tried:
        what = f"{search.best:.4f}, now {search.baseline:.4f}" if search.settings else f"{search.best:.4f} as it is"
        sys.stdout.write(f"{search.name}: NDCG@10 {what} ({search.trials} trials)\n")
        if search.settings:
            inner = told
            for key in search.keys:
                inner = inner.setdefault(key, {})
            inner.update(search.settings)
    if told:
        sys.stdout.write("\n" + yaml.safe_dump(told, sort_keys=False, default_flow_style=None))
        sys.stdout.write("\nThe best of many is lucky, too: `make train` measures it on the newest window.\n")
    else:
        sys.stdout.write("params.yaml has the best that was tried\n")
