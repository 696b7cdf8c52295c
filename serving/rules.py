"""The shop's rules of a file that may be changed at any time. A new one that can't be used leaves the old in force."""

import logging
import time
import weakref
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from pipelines.core.errors import ConfigError
from pipelines.io import files
from pipelines.io.models import rule_file
from pipelines.io.models.rule_file import Rules
from pipelines.io.models.shop_rules import Active as Active
from pipelines.io.models.shop_rules import in_force, next_change
from serving.snapshot import Snapshot

LOOK_SECONDS: Final = 1.0
"""Between looks at the file."""
KEPT: Final = 8
"""Snapshots whose rules in force are remembered."""

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class _Known:
    """What was in force on a snapshot, from when until when."""

    snapshot: weakref.ref[Snapshot]
    rules: Rules
    since: float
    until: float
    active: Active


class RuleBook:
    """The rules of a file, of its newest state that could be used."""

    def __init__(self, path: Path | None, clock: Callable[[], float] = time.monotonic) -> None:
        """Read the file; where there is none, there are no rules.

        Raises:
            ConfigError: it can't be used: nothing that must be hidden may be shown for a while.
        """
        self._error: str | None = None
        self._path, self._clock = path, clock
        self._state = files.stamp(path)
        self._rules = rule_file.load(path) if path else rule_file.NONE
        self._next_look = clock() + LOOK_SECONDS
        self._known: dict[int, _Known] = {}
        """By the snapshot's identity."""

    def at(self, snapshot: Snapshot, now: float) -> Active:
        """The rules in force at ``now`` (epoch seconds)."""
        self._look()
        known = self._known.get(id(snapshot))
        if known and known.snapshot() is snapshot and known.rules is self._rules and known.since <= now < known.until:
            return known.active
        rules = self._rules
        known = _Known(weakref.ref(snapshot), rules, now, next_change(rules, now), in_force(rules, snapshot, now))
        others = [(key, one) for key, one in self._known.items() if key != id(snapshot)]
        self._known = dict([*others[1 - KEPT :], (id(snapshot), known)])
        return known.active

    @property
    def error(self) -> str | None:
        """Why the newest state of the file isn't used; None where it is."""
        self._look()
        return self._error

    def _look(self) -> None:
        """Read the file again if it has changed; asks once in a while only."""
        if self._clock() < self._next_look:
            return
        self._next_look = self._clock() + LOOK_SECONDS
        state = files.stamp(self._path)
        if state == self._state or self._path is None:
            return
        self._state = state
        try:
            self._rules = rule_file.load(self._path)
            self._error = None
            log.info("the rules in %s have changed", self._path)
        except ConfigError as error:
            self._error = f"{error}; the rules before stay in force"
            log.error("%s", self._error)
