"""How many requests a second each key, or each address without a key, may send. No request waits for Redis.

A sliding window of two fixed ones, as Cloudflare counts it: what came in this window, plus the part of the one before
that still lies within the last ``WINDOW_S`` seconds. Each process counts by itself, and a thread exchanges the counts
with the other processes through Redis every ``EXCHANGE_S``: one pipeline for all callers. So the processes together let
a caller exceed the limit by what they admit within one exchange at the most. Where Redis doesn't answer, each process
holds the limit for itself until it does.
"""

import logging
import math
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from ipaddress import IPv6Address, ip_address
from typing import Final, Protocol

WINDOW_S: Final = 10
EXCHANGE_S: Final = 0.1
PAUSE_S: Final = 2.0
"""Between attempts while Redis doesn't answer."""
MOST_CALLERS: Final = 100_000
"""Callers that are counted apart; those beyond share one count, so that memory is bounded."""
OTHERS: Final = "others"
REMEMBERED: Final = 4_096
"""Addresses whose caller is known without parsing them again."""

log = logging.getLogger(__name__)


@dataclass
class Count:
    """A caller's requests in one window: the others' as last heard, ours that they know of, ours that they don't."""

    elsewhere: int = 0
    told: int = 0
    untold: int = 0

    @property
    def total(self) -> int:
        """All of them."""
        return self.elsewhere + self.told + self.untold


class Shared(Protocol):
    """Where processes add up their counts."""

    def add(self, window: int, counts: Mapping[str, int]) -> Mapping[str, int]:
        """Add to the callers' counts of a window; returns all processes' counts of these callers.

        Raises:
            OSError: it can't be reached.
        """


class Limiter:
    """Counts requests and refuses what is too much. ``shared`` is None where there is one process."""

    def __init__(self, shared: Shared | None, clock: Callable[[], float] = time.time) -> None:
        self._shared, self._clock = shared, clock
        self._lock = threading.Lock()
        self._window = 0
        self._now: dict[str, Count] = {}
        self._before: dict[str, Count] = {}
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="rate-limits", daemon=True)

    def start(self) -> None:
        """Begin to exchange counts, where there is somebody to exchange them with."""
        if self._shared is not None:
            self._thread.start()

    def stop(self) -> None:
        """Exchange no more."""
        self._stopping.set()
        if self._thread.is_alive():
            self._thread.join(EXCHANGE_S + PAUSE_S)

    def wait(self, caller: str, rate: float) -> int:
        """Seconds for which a caller of ``rate`` requests a second must wait; 0: come in, you are counted."""
        now, allowed = self._clock(), rate * WINDOW_S
        with self._lock:
            self._turn(int(now // WINDOW_S))
            count = self._count(caller)
            before = self._before.get(caller)
            earlier = before.total if before else 0
            left = 1 - now % WINDOW_S / WINDOW_S  # of the window before, what still counts
            if earlier * left + count.total + 1 <= max(allowed, 1):
                count.untold += 1
                return 0
        return _patience(earlier, count.total, left, max(allowed, 1))

    def exchange(self) -> None:
        """Tell the others of our requests, and hear of theirs. Who asks nothing meanwhile is told nothing of.

        Raises:
            OSError: the others can't be reached; our counts stay to be told.
        """
        assert self._shared is not None
        with self._lock:
            window = self._window
            counts = {caller: count for caller, count in self._now.items() if count.untold}
            told = {caller: count.untold for caller, count in counts.items()}
        if not told:
            return
        totals = self._shared.add(window, told)
        with self._lock:
            for caller, count in counts.items():
                count.untold -= told[caller]
                count.told += told[caller]
                count.elsewhere = max(0, totals[caller] - count.told)

    def _turn(self, window: int) -> None:
        """Begin a new window where the old one is over."""
        if window != self._window:
            self._before = self._now if window == self._window + 1 else {}
            self._now, self._window = {}, window

    def _count(self, caller: str) -> Count:
        if (count := self._now.get(caller)) is None:
            count = self._now.setdefault(caller if len(self._now) < MOST_CALLERS else OTHERS, Count())
        return count

    def _run(self) -> None:
        answered = True
        while not self._stopping.wait(EXCHANGE_S if answered else PAUSE_S):
            try:
                self.exchange()
            except OSError as error:
                if answered:
                    log.warning("rate limits hold for each process alone: %s", error)
                answered = False
            else:
                if not answered:
                    log.warning("rate limits hold for all processes again")
                answered = True


def _patience(earlier: int, now: int, left: float, allowed: float) -> int:
    """Whole seconds until one more request is within the window's allowance, if none comes meanwhile; at least 1."""
    if now + 1 <= allowed:  # this window has room as soon as enough of the one before is past
        return max(1, math.ceil((left - (allowed - now - 1) / earlier) * WINDOW_S))
    next_left = (allowed - 1) / now  # of this window, what may still count in the next one
    return max(1, math.ceil((left + 1 - next_left) * WINDOW_S))


@lru_cache(REMEMBERED)
def address(host: str | None) -> str:
    """The caller at an address: an IPv6 network of 64 bits is one household, so it counts as one."""
    try:
        ip = ip_address(host or "")
    except ValueError:
        return host or "unknown"
    return str(IPv6Address(int(ip) >> 64 << 64)) + "/64" if isinstance(ip, IPv6Address) else str(ip)
