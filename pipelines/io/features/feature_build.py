"""Build the feature views: whole, or only what is new and what changed since the last build."""

import hashlib
import json
from collections.abc import Callable, Iterable, Iterator
from contextlib import nullcontext
from dataclasses import dataclass
from datetime import date, datetime
from pathlib import Path
from typing import Any, Final

import numpy as np
import pyarrow as pa

from pipelines.core.errors import InputError
from pipelines.core.features.affected import Affected
from pipelines.core.features.feature_views import RECENT_DAYS, RECENT_ITEMS, VIEWS
from pipelines.core.features.fingerprints import LogDay, changed
from pipelines.io import files
from pipelines.io.features import feature_files, feature_state
from pipelines.io.features.feature_files import FEATURES, FORMAT, MANIFEST
from pipelines.io.features.feature_log import PRODUCTS, Log
from pipelines.io.features.feature_output import EPOCH, Output, Repair, Rows, stamp
from pipelines.io.features.feature_profiles import Profiles
from pipelines.io.features.feature_state import Fingerprints, State
from pipelines.io.parallel import ahead
from pipelines.io.progress import counting

Seen = Callable[[int], object]
Manifest = dict[str, Any]

SIGNATURE: Final = hashlib.sha256(
    "\n".join(
        [*(f"{name} {view.keys} {view.schema}" for name, view in VIEWS.items()), str(RECENT_DAYS), str(RECENT_ITEMS)]
    ).encode()
).hexdigest()
"""What the views look like."""


@dataclass(frozen=True)
class Built:
    """What a build did."""

    until: datetime
    """The newest midnight that features are as of (UTC)."""
    rows: int
    """Rows written."""
    new: int
    """Days that were built for the first time."""
    changed: int
    """Days before them that aren't what they were."""
    whole: bool
    """Whether everything was built."""


def build(root: Path, now: datetime) -> Built:
    """Make ``data/features`` say what the prepared interactions say; killed at any time, the next build ends the same.

    Raises:
        InputError: nothing has been prepared, or no day of it is complete.
    """
    with files.locked(root / feature_state.CACHE / feature_state.LOCK, "another build of features"):
        log = Log(root)
        until, digests = log.until(now), log.digests()
        before = _before(root, log)
        if before is None or not before["days"].items() & digests.items():
            return _Build(root, log, until, digests, now).whole()
        feature_files.remove_unknown(root / FEATURES, before["files"])
        until = max(until, datetime.fromisoformat(before["until"]))
        return _Build(root, log, until, digests, now).more(before)


def _before(root: Path, log: Log) -> Manifest | None:
    """The manifest, if a build can go on from it.

    Not where other users are erased than then: corrections would leave their rows in the files behind them.
    """
    try:
        found = feature_files.manifest(root)
    except InputError:
        return None
    fits = found["format"] == FORMAT and found.get("views") == SIGNATURE
    fits = fits and found.get("erased", [0, ""])[1] == log.erased()[1]
    return found if fits and not feature_files.missing(root / FEATURES, found["files"]) else None


class _Build:
    """One build up to ``until``."""

    def __init__(self, root: Path, log: Log, until: datetime, digests: dict[str, str], now: datetime) -> None:
        self._root, self._log, self._until, self._now = root, log, until, now
        self._end = stamp(until)
        self._digests = {day: digest for day, digest in digests.items() if day < until.date().isoformat()}
        self._products = files.sha256(root / PRODUCTS)
        self._erased = list(log.erased())

    def whole(self) -> Built:
        """Build everything, in place of what was there."""
        with files.replacing(self._root / FEATURES) as folder, feature_state.making(self._root) as making:
            output, marks = Output(folder, {}), Fingerprints(making / "days")
            state = State.new(self._log.ids())
            with counting("features", self._log.rows) as seen:
                days = _noted(ahead(self._log.days(state.ids, self._end)), state, marks, seen)
                output.write(_flat(_steps(state, days, self._end)))
            output.write(Profiles(self._root, state, self._until).rows())
            build = self._finish(output, state)
        feature_state.forget_others(self._root, build)
        return Built(self._until, output.rows, len(self._digests), 0, True)

    def more(self, before: Manifest) -> Built:
        """Build what is new, and correct what changed."""
        old_until = datetime.fromisoformat(before["until"])
        known = {day for day in self._digests if day < old_until.date().isoformat()}
        dates = {day for day in known | set(before["days"]) if self._digests.get(day) != before["days"].get(day)}
        same = self._products == before["products"] and self._erased == before.get("erased", [0, ""])
        if not dates and self._until == old_until and same:
            return Built(self._until, 0, 0, 0, False)
        output = Output(self._root / FEATURES, before["files"])
        with feature_state.making(self._root) as making:
            state = feature_state.take(self._root, before["build"])
            marks = Fingerprints(making / "days")
            state = self._at(stamp(old_until), state, {_number(day) for day in dates}, output, marks)
            new = range(stamp(old_until), self._end)
            with counting("features", self._log.rows) if len(new) > 1 else nullcontext(lambda _: None) as seen:
                days = _noted(self._log.days(state.ids, self._end, new), state, marks, seen)
                output.write(_flat(_steps(state, days, self._end)))
            profiles = Profiles(self._root, state, self._until)
            output.write(profiles.corrections(output, old_until), self._now)
            output.write(profiles.new(old_until))
            build = self._finish(output, state)
        feature_state.forget_others(self._root, build)
        return Built(self._until, output.rows, len(self._digests) - len(known), len(dates), False)

    def _at(self, end: int, state: State | None, days: set[int], output: Output, marks: Fingerprints) -> State:
        """The state at the end of the build before, after corrections of the changed ``days``."""
        if state is None:
            state = State.new(self._log.ids())
            everyone = Affected.everyone(min(days, default=end), state.ids)
            self._replay(state, everyone, output if days else None, end, marks)
        elif days and (affected := self._affected(state, days, end, marks)) is not None:
            other = State.new(state.ids)
            self._replay(other, affected, output, end, None)
            state.adopt(other, affected)
        return state

    def _affected(self, state: State, days: set[int], end: int, marks: Fingerprints) -> Affected | None:
        """Whom the changes of ``days`` concern, if anybody; ``marks`` learns what these days are now."""
        now = {day.events.day: day.fingerprint for day in self._log.days(state.ids, end, days)}
        pairs = {}
        for day in sorted(days):
            mark = now.get(day, np.empty((2, 0), np.uint64))
            pairs[day] = changed(marks.get(day), mark)
            marks.put(day, mark)
        since = [day for day, of in pairs.items() if len(of)]
        return Affected.by(np.concatenate(list(pairs.values())), since[0], state.ids) if since else None

    def _replay(
        self, state: State, affected: Affected, output: Output | None, end: int, marks: Fingerprints | None
    ) -> None:
        """Let ``state`` go through the events of those who are affected; correct in ``output`` what isn't true."""
        with counting("features again", self._log.rows) as seen:
            days = _noted(map(affected.of, ahead(self._log.days(state.ids, end))), state, marks, seen)
            steps = _steps(state, days, end)
            if output is None:
                for _ in steps:
                    pass
            else:
                output.write(_repaired(Repair(output, affected), steps, end), self._now)

    def _finish(self, output: Output, state: State) -> str:
        """Write the recent days, the state and, last, the manifest; returns its ``build``."""
        content: Manifest = {
            "format": FORMAT,
            "views": SIGNATURE,
            "until": self._until.isoformat(),
            "days": self._digests,
            "products": self._products,
            "erased": self._erased,
            "recent_days": feature_files.write_recent_days(output.folder, state.timeline.recent_days()),
            "files": output.files,
        }
        build = hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()[:16]
        feature_state.keep(self._root, state, build)
        files.write_json(output.folder / MANIFEST, content | {"build": build})
        return build


def _noted(days: Iterable[LogDay], state: State, marks: Fingerprints | None, seen: Seen) -> Iterator[LogDay]:
    """The same days; the state and the fingerprints learn of each."""
    for day in days:
        state.see(day.events)
        if marks is not None:
            marks.put(day.events.day, day.fingerprint)
        seen(len(day.events))
        yield day


def _steps(state: State, days: Iterable[LogDay], end: int) -> Iterator[tuple[int, dict[str, pa.Table]]]:
    """(day of the stamp, the rows stamped with it) for each midnight that has some, up to ``end``."""
    timeline = state.timeline
    for day in days:
        for tables in timeline.advance(day.events.day):
            yield timeline.day or 0, tables
        tables = timeline.step(day.events, day.taken_back)
        yield timeline.day or 0, tables
    for tables in timeline.advance(end):
        yield timeline.day or 0, tables


def _flat(steps: Iterable[tuple[int, dict[str, pa.Table]]]) -> Iterator[Rows]:
    return ((view, day, rows) for day, tables in steps for view, rows in tables.items())


def _repaired(repair: Repair, steps: Iterable[tuple[int, dict[str, pa.Table]]], end: int) -> Iterator[Rows]:
    for day, tables in steps:
        yield from repair.see(day, tables)
    yield from repair.end(end)


def _number(day: str) -> int:
    return (date.fromisoformat(day) - EPOCH).days
