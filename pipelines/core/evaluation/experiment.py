"""Experiments: which user gets which model. The same user always gets the same one, on every worker."""

import hashlib
import math
from dataclasses import dataclass


@dataclass(frozen=True)
class Arm:
    """A part of an experiment's users, and the model that they get."""

    name: str
    model: str
    """An alias or a version number of the registered model."""
    weight: float
    """The share of users, 0 to 1: the probability (propensity) with which a user is in this arm."""


@dataclass(frozen=True)
class Experiment:
    """Models compared on users that are divided by chance. The arms' weights add up to 1 at most; the rest of the users

    takes no part.
    """

    name: str
    salt: str
    """Who is in which arm depends on it: experiments with other salts divide the users independently."""
    arms: tuple[Arm, ...]
    """The first is what the others are compared with."""
    start: float | None = None
    """Epoch seconds; None: it has always run."""
    end: float | None = None
    """Epoch seconds, exclusive; None: it has no end."""

    def runs(self, at: float) -> bool:
        """Whether it runs at a time in epoch seconds."""
        return (self.start is None or at >= self.start) and (self.end is None or at < self.end)

    def arm_of(self, user_id: str) -> Arm | None:
        """The user's arm; None for one who takes no part.

        Every arm draws an exponential time with its weight as the rate, by a hash of salt, arm and user; the first to
        ring has the user. An arm wins with a probability of its weight. When weights change, a user moves only to an
        arm that gained against the user's own: nobody leaves an arm that grows at all others' expense, and of three or
        more arms at most 2d / (1 + d) of the users move where d is the least share that has to (weighted rendezvous
        hashing: Schindelhauer, Schomaker, SPAA 2005; the bound: Bavarian et al., 2016).
        """
        first, best = None, _time(self.salt, "", user_id, 1.0 - math.fsum(arm.weight for arm in self.arms))
        for arm in self.arms:
            time = _time(self.salt, arm.name, user_id, arm.weight)
            if time < best:
                first, best = arm, time
        return first


@dataclass(frozen=True)
class Shadow:
    """A model that is scored beside the one that answers, and only logged."""

    model: str
    share: float
    """Of the requests, 0 to 1."""


@dataclass(frozen=True)
class Plan:
    """All that is tried out. A user belongs to the first experiment that runs and takes the user."""

    experiments: tuple[Experiment, ...] = ()
    shadow: Shadow | None = None

    @property
    def models(self) -> tuple[str, ...]:
        """Every alias and version that it names, once."""
        named = [arm.model for experiment in self.experiments for arm in experiment.arms]
        return tuple(dict.fromkeys(named + ([self.shadow.model] if self.shadow else [])))


def _time(salt: str, arm: str, user_id: str, weight: float) -> float:
    """An exponential time with rate ``weight``, the same for the same texts; never for a weight of 0."""
    if weight <= 1e-9:  # sums of weights may miss 1 by rounding
        return math.inf
    text = f"{len(salt)}:{salt}{len(arm)}:{arm}{user_id}"
    drawn = int.from_bytes(hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=8).digest())
    return -math.log((drawn + 0.5) / 2.0**64) / weight
