"""A model for any log of interactions, without a feature store: sources, signals and a ranker, settings included.

Everything is chosen from what lies before the cutoff: label windows as long as the one to predict, one after the other
back from the cutoff, give the ranker its examples, and the newest of them says how much of a ranker the data bear.
Where the windows hold too few users, as in a log whose times don't order its users' events, the last items of each user
are what is practised on.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, replace
from itertools import product
from typing import Any, Final

import numpy as np
from scipy.sparse import csr_matrix
from threadpoolctl import threadpool_limits

from pipelines.core.models import labels, leave_last, ranking, scoring, selection, signals, tuning
from pipelines.core.models.bundle import FORMAT, Bundle
from pipelines.core.models.histories import Histories
from pipelines.core.models.interactions import SECONDS_A_DAY, Interactions
from pipelines.core.models.past import Catalogue, Past
from pipelines.core.models.selection import Rows
from pipelines.core.models.sources import AT_ONCE, fit_all
from pipelines.core.models.split import strongest

Grids = Mapping[str, Mapping[str, tuple[float, ...]]]
Report = Callable[[str], None]
"""Takes a line that tells how far it is."""

ENOUGH_USERS: Final = 4000
"""Users to learn from; older cuts are looked at until there are as many, at least two and at most MAX_CUTS of them."""
MAX_CUTS: Final = 6
USUAL_CUTS: Final = 3
USERS_A_CUT: Final = 2500
"""Of several; a lesson of its own has ENOUGH_USERS."""
CHECKED_USERS: Final = 1500
OLDEST_SHARE: Final = 0.2
"""A cut has at least this share of the interactions before it."""
RANKER: Final = {
    "trees": 200,
    "learning_rate": 0.06,
    "max_depth": 5,
    "min_child_weight": 20,
    "subsample": 0.8,
    "colsample": 0.5,
}
NEGATIVES: Final = 60
GRIDS: Final[Grids] = {
    "svd": {"ridge": (0.03, 0.1, 0.3, 1.0, 3.0)},
    "svd_taste": {"ridge": (0.03, 0.1, 0.3, 1.0, 3.0)},
    "item_item": {"ridge": (0.02, 0.1, 0.5)},
    "als": {"ridge": (0.03, 0.1, 0.3)},
}
"""Source -> setting -> values that are tried in the newest lesson."""
ALWAYS: Final = 1e6
"""Days of a half-life in which nothing ages."""
CHEAP: Final = ("svd", "svd_taste")
"""Sources whose settings are tried on logs of any size: the factorization is made once for all of them."""
SMALL: Final = 1_000_000
"""Different items of users up to which the other sources' settings are tried too."""
TUNED_USERS: Final = 1000
TUNED_CELLS: Final = 1 << 25
FEW_USERS: Final = selection.FEW_USERS


@dataclass(frozen=True)
class Lesson:
    """Something to practise on: ``later`` is to be predicted at ``at`` (epoch seconds) from what is ``known`` then."""

    known: Interactions
    at: float
    later: Interactions


@dataclass(frozen=True)
class Problem:
    """What is asked for: ``window`` (seconds) after a cut is to be predicted from what lies before it."""

    log: Interactions
    window: float
    catalogue: Catalogue
    options: Mapping[str, Any]
    seed: int

    def past(self, known: Interactions, at: float) -> Past:
        """What is ``known`` at ``at`` (epoch seconds)."""
        return Past(known, at, self.catalogue, self.seed)

    def bundle(self, known: Interactions, at: float) -> Bundle:
        """A bundle that proposes from what is ``known`` at ``at`` (epoch seconds)."""
        past = self.past(known, at)
        fitted = fit_all(past, self.options["candidates"])
        manifest = {
            "format": FORMAT,
            "feature_service": None,
            "features": ranking.input_names(list(fitted), None),
            "sources": list(fitted),
            "cut": at,
            "params": dict(self.options),
        }
        item_signals = signals.fit(past, self.window / SECONDS_A_DAY)
        return Bundle(manifest, self.log.user_ids, self.log.item_ids, past.histories, fitted, item_signals, None)


def fit(
    log: Interactions, cutoff: float, window_days: float, catalogue: Catalogue, seed: int, report: Report
) -> Bundle:
    """A model that predicts the ``window_days`` after ``cutoff`` (epoch seconds) from ``log``, all of it before.

    ``catalogue`` is in the order of ``log.item_ids``.
    """
    options = settings(window_days, len(log.item_ids), catalogue)
    problem = Problem(log, window_days * SECONDS_A_DAY, catalogue, options, seed)
    report("settings of the sources")
    lessons, grids = list(_windows(problem, cutoff)), GRIDS
    if _too_few(problem, lessons):
        report("the windows before the cutoff hold too few users: practising on the last items of each user")
        known, later = leave_last.split(log)
        lessons, grids = [Lesson(known, cutoff, later)], _timeless(options["candidates"])
        options["candidates"] |= {name: {**options["candidates"][name], "half_life_days": ALWAYS} for name in grids}
    problem = replace(problem, options={**options, "candidates": _tuned(problem, lessons[0], grids)})
    examples = list(_examples(problem, lessons, report))
    report("fitting the sources at the cutoff")
    final = problem.bundle(log, cutoff)
    names = final.manifest["features"]
    none = Rows(np.zeros((0, len(names)), np.float32), np.zeros(0, np.float32), np.zeros(0, np.int32))
    sampled = [rows for rows, _ in examples] or [none]
    check = Rows.join([none, *(rows for _, rows in examples)])
    report("choosing the ranker")
    choice = selection.decide(Rows.join([none, *sampled[1:]]), sampled[0], check, names, RANKER, seed)
    report(f"learning to rank: {choice}")
    ranker = selection.fit(Rows.join(sampled), choice, names, RANKER, seed)
    return replace(final, ranker=ranker, manifest={**final.manifest, "choice": asdict(choice)})


def recommend(bundle: Bundle, user_idx: np.ndarray, k: int) -> tuple[np.ndarray, np.ndarray]:
    """(items int32 [B, k], -1 where the list has ended; scores float32 [B, k]) of unseen items, best first."""
    users = np.asarray(user_idx)
    items, scores = np.full((len(users), k), -1, np.int32), np.full((len(users), k), np.nan, np.float32)

    def fill(part: slice) -> None:
        found = scoring.candidates(bundle, bundle.histories.take(users[part]), max(k, _per_source(bundle)))
        best = scoring.top_k(found, scoring.rank(bundle, found, {}, 0.0), k)
        items[part.start + best.user_pos, best.rank] = best.item_idx
        scores[part.start + best.user_pos, best.rank] = best.scores

    with threadpool_limits(1, "blas"), ThreadPoolExecutor(AT_ONCE) as pool:
        for _ in pool.map(fill, _parts(bundle, len(users))):
            pass
    return items, scores


def settings(window_days: float, n_items: int, catalogue: Catalogue) -> dict[str, Any]:
    """Hyperparameters for a log: spans of time go by the window to predict, everything else is the same for all."""
    recent, always = 0.4 * window_days, ALWAYS
    candidates: dict[str, Any] = {
        "svd": {"factors": 128, "ridge": 0.1, "half_life_days": recent, "user_scale": 0.0, "item_scale": 0.0},
        "svd_taste": {"factors": 128, "ridge": 0.1, "half_life_days": always, "user_scale": 0.0, "item_scale": 0.0},
        "item_item": {"neighbours": 100, "ridge": 0.1, "half_life_days": recent},
        "als": {"factors": 64, "unobserved": 0.3, "ridge": 0.03, "iterations": 8, "half_life_days": always},
        "covisitation": {"window": 10, "half_life_days": 2 * window_days, "neighbours": 100},
        "popularity": {"half_life_days": 0.25 * window_days},
        "popularity_always": {"half_life_days": always},
    }
    if any(text is not None for text in catalogue.text):
        candidates["content"] = {"max_users": 5, "half_life_days": 2 * window_days}
    if any(category is not None for category in catalogue.category):
        taste = {"half_life_days": 0.25 * window_days, "taste_half_life_days": 2 * window_days}
        candidates["category_popularity"] = taste
    return {"candidates": {**candidates, "per_source": 100 if n_items < 50_000 else 50}, "ranker": RANKER}


def _windows(problem: Problem, cutoff: float) -> Iterator[Lesson]:
    """The windows before the cutoff, the newest first, as long as enough lies before them."""
    for n in range(1, MAX_CUTS + 1):
        cut = cutoff - n * problem.window
        known = problem.log.before(cut)
        if len(known.weight) < OLDEST_SHARE * len(problem.log.weight):
            return
        yield Lesson(known, cut, problem.log.between(cut, cut + problem.window))


def _too_few(problem: Problem, lessons: Sequence[Lesson]) -> bool:
    """Whether nothing can be chosen by the users of all lessons together."""
    users = 0
    for lesson in lessons:
        users += len(_gaining(problem.past(lesson.known, lesson.at), lesson)[0])
        if users >= FEW_USERS:
            return False
    return True


def _timeless(candidates: Mapping[str, Any]) -> Grids:
    """What to try where times may tell nothing: what was always in demand, or what is now."""
    tried = {name: tuple(sorted({ALWAYS, candidates[name]["half_life_days"]}, reverse=True)) for name in GRIDS}
    return {name: {"half_life_days": tried[name], **grid} for name, grid in GRIDS.items()}


def _gaining(past: Past, lesson: Lesson) -> tuple[np.ndarray, csr_matrix]:
    """(users that gain something, what all users gain)."""
    gains = gained(past.histories, lesson.later, past.n_items)
    return np.flatnonzero(np.diff(gains.indptr)), gains


def _tuned(problem: Problem, lesson: Lesson, grids: Grids) -> dict[str, Any]:
    """The sources' settings that are best in a lesson, each source alone; as they are with few users."""
    chosen = dict(problem.options["candidates"])
    past = problem.past(lesson.known, lesson.at)
    gaining, gains = _gaining(past, lesson)
    if len(gaining) < FEW_USERS:
        return chosen
    few = max(FEW_USERS, min(TUNED_USERS, TUNED_CELLS // past.n_items))
    users = np.sort(past.rng().permutation(gaining)[:few])
    small = len(past.histories.item_idx) <= SMALL
    with threadpool_limits(1, "blas"):
        for name, grid in grids.items():
            if name in CHEAP or small:
                ndcg = tuning.of_source(name, past, users, gains[users], chosen[name], share=True)
                options = [dict(zip(grid, values, strict=True)) for values in product(*grid.values())]
                measured = [ndcg(tried) for tried in options]
                chosen[name] = {**chosen[name], **options[int(np.argmax(measured))]}
    return chosen


def _examples(problem: Problem, lessons: Sequence[Lesson], report: Report) -> Iterator[tuple[Rows, Rows]]:
    """(rows to learn from, rows to check on) of each lesson that has some, the newest first.

    Rows to learn from have few negatives; only the newest lesson is checked on, where all candidates are kept.
    """
    seen_users = 0
    most = USERS_A_CUT if len(lessons) > 1 else ENOUGH_USERS
    for n, lesson in enumerate(lessons, 1):
        if n > 2 and (seen_users >= ENOUGH_USERS or (n > USUAL_CUTS and seen_users >= ENOUGH_USERS / 4)):
            return
        report(f"learning from lesson {n} of at most {len(lessons)}")
        bundle = problem.bundle(lesson.known, lesson.at)
        gains = gained(bundle.histories, lesson.later, len(bundle.item_ids))
        users = np.flatnonzero(np.diff(gains.indptr))
        rng = np.random.default_rng([problem.seed, n])
        users = np.sort(rng.permutation(users)[:most])
        if len(users):
            yield _rows(bundle, users, gains[users], rng, first_group=seen_users, check=n == 1)
            seen_users += len(users)


def _rows(
    bundle: Bundle, users: np.ndarray, gains: csr_matrix, rng: np.random.Generator, first_group: int, check: bool
) -> tuple[Rows, Rows]:
    """(sampled rows, all rows of some users) of a cut; the latter none where ``check`` is false."""
    sampled, whole = [], []
    names = bundle.manifest["sources"]
    for part in _parts(bundle, len(users)):
        found = scoring.candidates(bundle, bundle.histories.take(users[part]), _per_source(bundle))
        grades = labels.graded(found, gains[part])
        inputs = ranking.inputs(names, found, {}, 0.0, None)
        group = found.user_pos + np.int32(first_group + part.start)
        kept = labels.sampled(found, grades, NEGATIVES, rng)
        sampled.append(Rows(inputs[kept], grades[kept], group[kept]))
        if check and part.start < CHECKED_USERS:
            whole.append(Rows(inputs, grades, group))
    nothing = [sampled[0].where(np.zeros(len(sampled[0].group), bool))]
    return Rows.join(sampled), Rows.join(whole or nothing)


def gained(histories: Histories, later: Interactions, n_items: int) -> csr_matrix:
    """CSR float64 [users, items]: what users with a history gain in ``later`` from items that they hadn't met."""
    known = np.diff(histories.indptr)[later.user_idx] > 0
    events = (later.user_idx[known], later.item_idx[known], later.weight[known])
    return strongest(histories, *events, n_items=n_items, repeats=False)


def _parts(bundle: Bundle, n_users: int) -> list[slice]:
    """Batches of users whose scores fit into memory."""
    size = scoring.USERS_AT_ONCE
    return [slice(start, min(start + size, n_users)) for start in range(0, n_users, size)]


def _per_source(bundle: Bundle) -> int:
    return int(bundle.manifest["params"]["candidates"]["per_source"])
