from collections.abc import Mapping

import pytest

from serving.security.rate import MOST_CALLERS, WINDOW_S, Limiter, address

RATE = 1.0
ALLOWED = int(RATE * WINDOW_S)


class Clock:
    def __init__(self) -> None:
        self.now = 1_000_000.0  # a window begins

    def __call__(self) -> float:
        return self.now


class Counts:
    """What two processes share, in memory."""

    def __init__(self) -> None:
        self.counts: dict[tuple[int, str], int] = {}
        self.down = False

    def add(self, window: int, counts: Mapping[str, int]) -> Mapping[str, int]:
        if self.down:
            raise OSError("gone")
        for caller, count in counts.items():
            self.counts[window, caller] = self.counts.get((window, caller), 0) + count
        return {caller: self.counts[window, caller] for caller in counts}


def admitted(limiter: Limiter, n: int, caller: str = "a") -> int:
    return sum(limiter.wait(caller, RATE) == 0 for _ in range(n))


def test_limit_admits_exactly_the_window() -> None:
    assert admitted(Limiter(None, Clock()), 3 * ALLOWED) == ALLOWED


def test_callers_have_limits_of_their_own() -> None:
    limiter = Limiter(None, Clock())
    admitted(limiter, ALLOWED, "a")
    assert admitted(limiter, 1, "a") == 0
    assert admitted(limiter, 1, "b") == 1


def test_window_slides() -> None:
    clock = Clock()
    limiter = Limiter(None, clock)
    admitted(limiter, ALLOWED)
    clock.now += 1.4 * WINDOW_S  # 60 % of the window before still counts
    assert admitted(limiter, ALLOWED) == 4
    clock.now += 5 * WINDOW_S
    assert admitted(limiter, 2 * ALLOWED) == ALLOWED


@pytest.mark.parametrize("offset", [0.0, 0.25, 0.9])
@pytest.mark.parametrize("earlier", [0, 7, 10])
def test_after_the_time_to_wait_one_more_comes_in(offset: float, earlier: int) -> None:
    clock = Clock()
    limiter = Limiter(None, clock)
    admitted(limiter, earlier)
    clock.now += (1 + offset) * WINDOW_S
    admitted(limiter, 2 * ALLOWED)
    seconds = limiter.wait("a", RATE)
    assert seconds >= 1
    clock.now += seconds - 1.001
    assert seconds == 1 or limiter.wait("a", RATE) > 0
    clock.now += 1.002
    assert limiter.wait("a", RATE) == 0


def test_processes_share_one_limit() -> None:
    clock, shared = Clock(), Counts()
    one, other = Limiter(shared, clock), Limiter(shared, clock)
    assert admitted(one, 6) == 6
    assert admitted(other, 1) == 1
    one.exchange()
    other.exchange()
    assert admitted(other, ALLOWED) == 3
    one.exchange()  # it has nothing to tell, so it hears nothing: it lets in what it doesn't know of
    other.exchange()
    assert admitted(one, 1) == 1
    one.exchange()
    assert admitted(one, 1) == 0


def test_processes_that_can_not_exchange_hold_the_limit_each_and_tell_later() -> None:
    clock, shared = Clock(), Counts()
    limiter = Limiter(shared, clock)
    shared.down = True
    assert admitted(limiter, 2 * ALLOWED) == ALLOWED
    with pytest.raises(OSError):
        limiter.exchange()
    shared.down = False
    limiter.exchange()
    assert list(shared.counts.values()) == [ALLOWED]


def test_memory_for_callers_is_bounded() -> None:
    limiter = Limiter(None, Clock())
    for number in range(MOST_CALLERS + 2 * ALLOWED):
        limiter.wait(f"c{number}", RATE)
    assert len(limiter._now) == MOST_CALLERS + 1
    assert limiter.wait("one more", RATE) > 0


def test_network_of_a_household_is_one_caller() -> None:
    assert address("2001:db8:1:2:3:4:5:6") == address("2001:db8:1:2::9") == "2001:db8:1:2::/64"
    assert address("10.0.0.7") == "10.0.0.7"
    assert address(None) == "unknown"
