"""A model for any log of interactions, without a feature store: sources, signals and a ranker, settings included.

Everything is chosen from what lies before the cutoff: label windows as long as the one to predict, one after the other
back from the cutoff, give the ranker its examples, and the newest of them says how much of a ranker the data bear.
Where the windows hold too few users, as in a log whose times don't order its users' events, the last items of each user
are what is practised on.
"""

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, replace
from typing import Final

import numpy as np
from scipy.sparse import csr_matrix
from threadpoolctl import threadpool_limits

from pipelines.core.models import labels, leave_last, ranking, scoring, selection
from pipelines.core.models.bundle import Bundle
from pipelines.core.models.interactions import SECONDS_A_DAY, Interactions
from pipelines.core.models.lessons import Lesson, Problem, gained, too_few, windows
from pipelines.core.models.past import Catalogue
from pipelines.core.models.selection import Rows
from pipelines.core.models.source_settings import ALWAYS, GRIDS, RANKER, settings, timeless, tuned
from pipelines.core.models.sources import AT_ONCE

Report = Callable[[str], None]
"""Takes a line that tells how far it is."""

ENOUGH_USERS: Final = 4000
"""Users to learn from; older cuts are looked at until there are as many, at least two and at most MAX_CUTS of them."""
USUAL_CUTS: Final = 3
USERS_A_CUT: Final = 2500
"""Of several; a lesson of its own has ENOUGH_USERS."""
CHECKED_USERS: Final = 1500
NEGATIVES: Final = 60


def fit(
    log: Interactions, cutoff: float, window_days: float, catalogue: Catalogue, seed: int, report: Report
) -> Bundle:
    """A model that predicts the ``window_days`` after ``cutoff`` (epoch seconds) from ``log``, all of it before.

    ``catalogue`` is in the order of ``log.item_ids``.
    """
    options = settings(window_days, len(log.item_ids), catalogue)
    problem = Problem(log, window_days * SECONDS_A_DAY, catalogue, options, seed)
    report("settings of the sources")
    lessons, grids = list(windows(problem, cutoff)), GRIDS
    if too_few(problem, lessons):
        report("the windows before the cutoff hold too few users: practising on the last items of each user")
        known, later = leave_last.split(log)
        lessons, grids = [Lesson(known, cutoff, later)], timeless(options["candidates"])
        options["candidates"] |= {name: {**options["candidates"][name], "half_life_days": ALWAYS} for name in grids}
    problem = replace(problem, options={**options, "candidates": tuned(problem, lessons[0], grids)})
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
        for _ in pool.map(fill, scoring.batches(len(users))):
            pass
    return items, scores


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
    for part in scoring.batches(len(users)):
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


def _per_source(bundle: Bundle) -> int:
    return int(bundle.manifest["params"]["candidates"]["per_source"])
