"""The shop's rules at work: which of a model's items they hide, boost and pin at a moment."""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Protocol, TypeVar

import numpy as np

from pipelines.core.lists import matching
from pipelines.core.lists.cards import Cards
from pipelines.core.lists.matching import At
from pipelines.core.models.bundle import Bundle
from pipelines.core.models.interactions import SECONDS_A_DAY, positions
from pipelines.io.models.rule_file import Boost, Pin, Rules, Selection, Timed

FIRST_SEEN: Final = "item_profile_v1__first_seen_epoch_s"

Rule = TypeVar("Rule", bound=Timed)


class Shelved(Protocol):
    """A model's items as they are now."""

    @property
    def bundle(self) -> Bundle:
        """The model."""

    @property
    def cards(self) -> Cards:
        """What people see of them."""

    @property
    def items(self) -> Mapping[str, np.ndarray]:
        """Item feature → float64 [items]; FIRST_SEEN if it is known."""

    @property
    def now(self) -> float:
        """What they are new before, epoch seconds."""


@dataclass(frozen=True)
class Active:
    """The rules that are in force at a moment, on one shelf. It doesn't hold the shelf."""

    boosts: tuple[Boost, ...] = ()
    pinned: tuple[tuple[Pin, int], ...] = ()
    """With the item's position."""
    visible: tuple[np.ndarray, np.ndarray] | None = None
    """bool [items] each: what no rule hides, and what of it is in stock; None where nothing is hidden."""

    def boost(self, shelf: Shelved, item_idx: np.ndarray) -> np.ndarray | None:
        """float32 [n]: what to add to the scores of these items; None where there is nothing to add."""
        if not self.boosts:
            return None
        total = np.zeros(len(item_idx), np.float32)
        for rule in self.boosts:
            total[_meant(shelf, rule, item_idx)] += np.float32(rule.amount)
        return total

    def pins(self, categories: Sequence[str] | None = None) -> tuple[tuple[int, int], ...]:
        """(place from 0, item) of what is pinned on a list that is limited to ``categories``, or to none."""
        asked = set(categories or ())
        return tuple(
            (rule.position - 1, item)
            for rule, item in self.pinned
            if not rule.categories or (asked and asked <= set(rule.categories))
        )


def in_force(rules: Rules, shelf: Shelved, now: float) -> Active:
    """Those of ``rules`` that are in force at ``now`` (epoch seconds), on ``shelf``."""
    hides, pins = _now(rules.hide, now), _now(rules.pin, now)
    places = positions(shelf.bundle.item_ids, [rule.item for rule in pins]).tolist()
    visible = None
    if hides:
        open_ = ~np.logical_or.reduce([_meant(shelf, rule, slice(None)) for rule in hides])
        visible = (open_, open_ & shelf.cards.in_stock)
    pinned = tuple((rule, place) for rule, place in zip(pins, places, strict=True) if place >= 0)
    return Active(tuple(_now(rules.boost, now)), pinned, visible)


def _now(rules: Iterable[Rule], now: float) -> list[Rule]:
    return [rule for rule in rules if rule.in_force(now)]


def _meant(shelf: Shelved, rule: Selection, at: At) -> np.ndarray:
    """bool: whether the rule means each of the items ``at``."""
    cards = shelf.cards
    meant = np.ones(len(cards.price[at]), bool)
    if rule.items:
        meant &= matching.named(shelf.bundle.item_ids, rule.items, at)
    if rule.categories:
        meant &= matching.in_categories(cards, rule.categories, at)
    if rule.is_priced:
        meant &= matching.priced(cards, rule.min_price, rule.max_price, at)
    if rule.new_days is not None:
        meant &= _new(shelf, rule.new_days, at)
    return meant


def _new(shelf: Shelved, days: float, at: At) -> np.ndarray:
    """bool: whether each of the items ``at`` was first seen within so many days before the features' moment."""
    first_seen = shelf.items.get(FIRST_SEEN)
    if first_seen is None:
        return np.zeros(len(shelf.cards.price[at]), bool)
    found: np.ndarray = first_seen[at] >= shelf.now - days * SECONDS_A_DAY
    return found


def next_change(rules: Rules, now: float) -> float:
    """When the next rule begins or ends after ``now``, epoch seconds; infinite where none does."""
    timed = [*rules.hide, *rules.boost, *rules.pin]
    moments = [at.timestamp() for rule in timed for at in (rule.since, rule.until) if at is not None]
    return min((at for at in moments if at > now), default=math.inf)
