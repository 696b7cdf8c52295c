"""What the users of the simulated shop do on a day, vectorized over its sessions."""

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from pipelines.core.columns import EVENT_TYPES
from pipelines.core.simulation.items import CATEGORIES, N_LEVELS, N_STYLES, RELATED, Items

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]

VIEW, CLICK, CART, REMOVE, PURCHASE = (EVENT_TYPES.index(name) for name in EVENT_TYPES)
DEVICES: Final = ("mobile", "desktop", "tablet")
MEMORY: Final = 8
"""How many of the items last looked at a user may come back to."""
LONGEST: Final = 25
"""Steps of the longest session."""
WEEKDAYS: Final = (0.95, 0.92, 0.94, 0.98, 1.02, 1.15, 1.18)
HOURS: Final = (4, 2, 1, 1, 1, 2, 6, 14, 22, 28, 32, 36, 40, 36, 32, 32, 34, 40, 52, 66, 76, 68, 42, 16)
STEP_KINDS: Final = {"focus": 0.42, "related": 0.22, "taste": 0.12, "popular": 0.14, "return": 0.10}
"""Where a session's next item comes from: its focus, the item before, the user's taste, what is popular, or what the
user looked at lately. Personalisation can be learnt from all but ``popular``."""


@dataclass(frozen=True)
class Users:
    """Users; arrays of length n unless marked. ``recent`` is what each looked at last and changes day by day."""

    ids: NDArray[np.object_]
    arrival: Ints
    rate: Floats  # sessions a day
    device: Ints
    categories: Floats  # [n, categories]: tastes, rows sum to 1
    styles: Floats  # [n, styles]
    levels: Floats  # [n, price levels]
    recent: Ints  # [n, MEMORY] item positions, -1 empty


@dataclass(frozen=True)
class Day:
    """The events of a day in time order; arrays of one length."""

    user: Ints
    item: Ints
    event_type: Ints
    second: Floats  # since the day's midnight UTC
    session: Ints  # number within the day
    device: Ints
    quantity: Ints


def make_users(n: int, days: int, rng: Generator) -> Users:
    """Draw ``n`` users; three in ten arrive after the first day."""
    width = max(5, len(str(n)))
    return Users(
        ids=np.array([f"U{number:0{width}d}" for number in range(1, n + 1)], dtype=object),
        arrival=np.where(rng.random(n) < 0.3, rng.integers(0, days, n), 0),
        rate=np.minimum(rng.lognormal(-2.35, 0.75, n), 3.0),
        device=rng.choice(len(DEVICES), size=n, p=[0.6, 0.33, 0.07]),
        categories=rng.dirichlet(np.full(len(CATEGORIES), 0.2), n),
        styles=rng.dirichlet(np.full(N_STYLES, 0.4), n),
        levels=rng.dirichlet(np.full(N_LEVELS, 0.8), n),
        recent=np.full((n, MEMORY), -1, dtype=np.int64),
    )


def simulate_day(users: Users, items: Items, day: int, weekday: int, rng: Generator) -> Day:
    """Draw the sessions of one day and move ``users.recent`` on."""
    expected = users.rate * WEEKDAYS[weekday] * (users.arrival <= day)
    visitor = np.repeat(np.arange(len(users.ids)), rng.poisson(expected))
    length = np.minimum(rng.geometric(0.17, len(visitor)), LONGEST)
    steps = _walk(users, items, visitor, length, items.weights(day), rng)
    _remember(users, visitor, steps)
    return _events(users, items, day, visitor, steps, rng)


def _walk(users: Users, items: Items, visitor: Ints, length: Ints, weights: Floats, rng: Generator) -> Ints:
    """[sessions, LONGEST] item positions, -1 after a session's end."""
    cumulative = np.concatenate([[0.0], np.cumsum(weights)])
    category, style = _draw(users.categories[visitor], rng), _draw(users.styles[visitor], rng)
    steps = np.full((len(visitor), LONGEST), -1, dtype=np.int64)
    for step in range(int(length.max(initial=0))):
        on = np.flatnonzero(length > step)
        user = visitor[on]
        kind = rng.choice(len(STEP_KINDS), size=len(on), p=list(STEP_KINDS.values()))
        choices = np.full((len(STEP_KINDS), len(on)), -1, dtype=np.int64)
        choices[0] = _from_taste(items, cumulative, category[on], style[on], users.levels[user], rng)
        if step:
            choices[1] = items.related[steps[on, step - 1], rng.integers(RELATED, size=len(on))]
        choices[2] = _from_taste(
            items,
            cumulative,
            _draw(users.categories[user], rng),
            _draw(users.styles[user], rng),
            users.levels[user],
            rng,
        )
        choices[3] = _pick(cumulative, np.zeros(len(on), np.int64), np.full(len(on), len(weights)), rng)
        choices[4] = users.recent[user, rng.integers(MEMORY, size=len(on))]
        chosen = choices[kind, np.arange(len(on))]
        absent = (chosen < 0) | (weights[chosen] == 0)
        steps[on, step] = np.where(absent, choices[0], chosen)
    return steps


def _from_taste(items: Items, cumulative: Floats, category: Ints, style: Ints, levels: Floats, rng: Generator) -> Ints:
    """An item of the category and style at a price level the user likes; of the whole category where there is none."""
    cell = (category * N_STYLES + style) * N_LEVELS
    at_level = cell + _draw(levels, rng)
    whole = category * N_STYLES * N_LEVELS
    low, high = items.bounds[at_level], items.bounds[at_level + 1]
    for first, width in ((cell, N_LEVELS), (whole, N_LEVELS * N_STYLES), (np.zeros_like(cell), len(items.bounds) - 1)):
        empty = cumulative[high] <= cumulative[low]
        low, high = np.where(empty, items.bounds[first], low), np.where(empty, items.bounds[first + width], high)
    return _pick(cumulative, low, high, rng)


def _pick(cumulative: Floats, low: Ints, high: Ints, rng: Generator) -> Ints:
    """One position in [low, high) each, in proportion to the weights under ``cumulative``."""
    start, end = cumulative[low], cumulative[high]
    at = start + rng.random(len(low)) * (end - start)
    return np.clip(np.searchsorted(cumulative, at, side="right") - 1, low, high - 1)


def _draw(probabilities: Floats, rng: Generator) -> Ints:
    """One column for each row of ``probabilities``."""
    cumulative = np.cumsum(probabilities, axis=1)
    at = rng.random((len(probabilities), 1)) * cumulative[:, -1:]
    return np.minimum((at >= cumulative).sum(axis=1), probabilities.shape[1] - 1)


def _remember(users: Users, visitor: Ints, steps: Ints) -> None:
    """Keep the first items of each user's session as those to come back to."""
    last = np.flatnonzero(np.append(visitor[1:] != visitor[:-1], True)) if len(visitor) else visitor
    seen = steps[last, :MEMORY]
    who = visitor[last]
    users.recent[who] = np.where(seen >= 0, seen, users.recent[who])


def _events(users: Users, items: Items, day: int, visitor: Ints, steps: Ints, rng: Generator) -> Day:
    """Turn steps into views, clicks, carts, removals and purchases, each at its second of the day."""
    session, step = np.nonzero(steps >= 0)
    user, item = visitor[session], steps[session, step]
    liking = _liking(users, items, user, item)
    click = rng.random(len(item)) < 0.2 + 0.5 * liking
    cart = click & items.in_stock(day)[item] & (rng.random(len(item)) < 0.1 + 0.35 * liking)
    remove = cart & (rng.random(len(item)) < 0.12)
    purchase = cart & ~remove & (rng.random(len(visitor)) < 0.62)[session]
    look = rng.exponential(45, len(item)) + 8
    at = _running(look, session)
    leave = np.zeros(len(visitor))
    np.maximum.at(leave, session, at + look)
    start = np.minimum(_starts(len(visitor), rng), 86_390 - leave - 60)
    begin = start[session] + at
    checkout = start[session] + leave[session] + 30 + 0.01 * step
    moments: list[tuple[int, NDArray[np.bool_], Floats]] = [
        (VIEW, np.ones_like(click), begin),
        (CLICK, click, begin + 0.2 * look),
        (CART, cart, begin + 0.6 * look),
        (REMOVE, remove, begin + 0.9 * look),
        (PURCHASE, purchase, checkout),
    ]
    rows = np.concatenate([np.flatnonzero(mask) for _, mask, _ in moments])
    kind = np.repeat([kind for kind, _, _ in moments], [int(mask.sum()) for _, mask, _ in moments])
    second = np.concatenate([when[mask] for _, mask, when in moments])
    quantity = 1 + (rng.random(len(item)) < 0.12) + (rng.random(len(item)) < 0.04)
    device = np.where(
        rng.random(len(visitor)) < 0.85, users.device[visitor], rng.integers(len(DEVICES), size=len(visitor))
    )
    order = np.lexsort((kind, rows, second))
    rows = rows[order]
    where = session[rows]
    return Day(user[rows], item[rows], kind[order], second[order], where, device[where], quantity[rows])


def _liking(users: Users, items: Items, user: Ints, item: Ints) -> Floats:
    """How much each user likes each item, in [0, 1]: category, style, price level and the item's own quality."""
    category = np.minimum(users.categories[user, items.category[item]] * 3, 1)
    style = np.minimum(users.styles[user, items.style[item]] * 2, 1)
    level = np.minimum(users.levels[user, items.level[item]] * 1.5, 1)
    return 0.35 * category + 0.2 * style + 0.15 * level + 0.3 * items.quality[item]


def _starts(n: int, rng: Generator) -> Floats:
    hours = np.array(HOURS) / sum(HOURS)
    return np.asarray((rng.choice(24, size=n, p=hours) + rng.random(n)) * 3600)


def _running(value: Floats, group: Ints) -> Floats:
    """Sum of the values before each row within its group; rows of a group stand together."""
    before = np.cumsum(value) - value
    first = np.searchsorted(group, group)
    return np.asarray(before - before[first])
