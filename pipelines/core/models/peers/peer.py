"""What a peer is: a published method, trained on the same rows as RecoMart and measured by the same rules."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from scipy.sparse import csr_matrix

Setting = Mapping[str, float]
"""Hyperparameters by name."""

Scorer = Callable[[np.ndarray], np.ndarray]
"""int [B] positions of users -> a new float32 [B, items], larger is better, -inf where it has nothing to say."""


def _nothing_in_the_way(user_items: csr_matrix, memory: int) -> None:
    """It runs everywhere."""


@dataclass(frozen=True)
class Peer:
    """A method of recommendation."""

    fit: Callable[[csr_matrix, Sequence[Setting], np.random.Generator], Iterator[Scorer]]
    """One scorer for each of the settings, in their order, fitted on float32 [users, items], 1 where a user interacted
    with an item: lazily, since what the settings have in common is made once, and one fitted model may be large."""
    grid: Callable[[csr_matrix], Sequence[Setting]]
    """What to choose from for data of this size; the first is taken where the data can't tell."""
    obstacle: Callable[[csr_matrix, int], str | None] = _nothing_in_the_way
    """Why it can't be fitted on this data in so many bytes of memory, or None."""
