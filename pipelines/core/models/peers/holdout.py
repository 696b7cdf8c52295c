"""The temporal split of a log: what a model may know, who is measured, and what would be right for them."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from pipelines.core.models import metrics
from pipelines.core.models.interactions import SECONDS_A_DAY, Interactions

MEASURED: Final = ("ndcg", "recall")


@dataclass(frozen=True)
class Holdout:
    """Users with a history before the cut, and the items that were new to them in the window after it."""

    users: np.ndarray
    """int32 [B] positions among the users of the past, ascending."""
    indptr: np.ndarray
    """int64 [B + 1], of CSR: the relevant items of each of these users, at least one."""
    item_idx: np.ndarray
    """int32 [m] positions among the items of the past; items that it doesn't know follow from its last one on."""

    def sample(self, n: int, rng: np.random.Generator) -> "Holdout":
        """At most ``n`` of the users."""
        if len(self.users) <= n:
            return self
        chosen = np.sort(rng.choice(len(self.users), n, replace=False))
        counts = np.diff(self.indptr)
        kept = np.repeat(np.isin(np.arange(len(self.users)), chosen), counts)
        return Holdout(self.users[chosen], np.append(0, np.cumsum(counts[chosen])), self.item_idx[kept])


def split(log: Interactions, cut: float, window_days: float) -> tuple[Interactions, Holdout]:
    """(the interactions before ``cut``, the new ones in [``cut``, ``cut`` + ``window_days``)).

    ``cut``: epoch seconds. The past knows the users and items that occur in it, and no others.
    """
    return hold(log.before(cut), log.between(cut, cut + window_days * SECONDS_A_DAY))


def hold(known: Interactions, later: Interactions) -> tuple[Interactions, Holdout]:
    """(what is ``known``, what is new in ``later``), two parts of one log."""
    n_items = len(known.item_ids)
    user_of, item_of = _places(known.user_idx, known.user_ids), _places(known.item_idx, known.item_ids)
    past = Interactions(
        known.user_ids[user_of >= 0],
        known.item_ids[item_of >= 0],
        user_of[known.user_idx],
        item_of[known.item_idx],
        known.weight,
        known.epoch_s,
    )
    unknown = item_of < 0
    item_of[unknown] = len(past.item_ids) + np.arange(unknown.sum())
    user, item = user_of[later.user_idx], item_of[later.item_idx]
    with_history = user >= 0
    return past, _new(past, user[with_history], item[with_history], n_items)


def measure(ranked: np.ndarray, holdout: Holdout, ks: Sequence[int]) -> dict[str, float]:
    """``ndcg@k`` and ``recall@k``, averaged over the users, of int32 [B, ≥k] items, best first, -1 after the last.

    Every relevant item counts in recall's denominator, also those that the past doesn't know.
    """
    found = metrics.hits(ranked, holdout.indptr, holdout.item_idx)
    relevant = np.diff(holdout.indptr)
    return {
        f"{name}@{k}": float(values[name].mean())
        for k, values in ((k, metrics.per_user(found, relevant, k)) for k in ks)
        for name in MEASURED
    }


def _places(occurring: np.ndarray, ids: np.ndarray) -> np.ndarray:
    """int32 [ids]: the position of each id among those that occur, -1 where it doesn't."""
    occurs = np.zeros(len(ids), bool)
    occurs[occurring] = True
    return np.where(occurs, np.cumsum(occurs) - 1, -1).astype(np.int32)


def _new(past: Interactions, user: np.ndarray, item: np.ndarray, n_items: int) -> Holdout:
    """Of pairs after the past, those that it doesn't have, each once."""
    concerned = np.zeros(len(past.user_ids), bool)
    concerned[user] = True
    known = concerned[past.user_idx]
    old = past.user_idx[known].astype(np.int64) * n_items + past.item_idx[known]
    cells = np.setdiff1d(user.astype(np.int64) * n_items + item, old)
    users, counts = np.unique(cells // n_items, return_counts=True)
    indptr = np.append(0, np.cumsum(counts)).astype(np.int64)
    return Holdout(users.astype(np.int32), indptr, (cells % n_items).astype(np.int32))
