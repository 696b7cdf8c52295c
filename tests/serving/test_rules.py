import gc
import weakref
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from pipelines.core.errors import ConfigError
from pipelines.core.models.bundle import Bundle
from serving.rules import RuleBook
from serving.snapshot import Snapshot
from tests.serving.shop import Shelf

DAY = 86_400.0


@pytest.fixture
def snapshot(model: Bundle) -> Snapshot:
    return Snapshot.read(1, model, Shelf())


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


def _write(path: Path, text: str) -> None:
    """As editors do: a new file in place of the old one."""
    fresh = path.with_suffix(".new")
    fresh.write_text(text, encoding="utf-8")
    fresh.replace(path)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "rules.yaml"
    _write(path, "pin:\n  - {item: P1, position: 1}\n")
    return path


def test_changed_rules_are_in_force_within_a_second(path: Path, snapshot: Snapshot) -> None:
    clock = Clock()
    book = RuleBook(path, clock)
    assert book.at(snapshot, 0.0).pins() == ((0, 1),)
    _write(path, "pin:\n  - {item: P2, position: 1}\n")
    clock.now = 1.0
    assert book.at(snapshot, 0.0).pins() == ((0, 2),)


@pytest.mark.parametrize("spoil", [lambda path: _write(path, "pin:\n  - {item: P2}\n"), lambda path: path.unlink()])
def test_broken_rules_leave_the_old_ones_in_force_and_say_so(path: Path, snapshot: Snapshot, spoil) -> None:
    clock = Clock()
    book = RuleBook(path, clock)
    spoil(path)
    clock.now = 1.0
    assert book.at(snapshot, 0.0).pins() == ((0, 1),)
    assert book.error is not None
    assert book.error.startswith(("the rules in", f"{path}:2: pin.0.position: Field required"))
    _write(path, "pin:\n  - {item: P3, position: 1}\n")
    clock.now = 2.0
    assert book.at(snapshot, 0.0).pins() == ((0, 3),)
    assert book.error is None


def test_rules_are_not_worked_out_twice_until_one_begins_or_ends(path: Path, snapshot: Snapshot) -> None:
    _write(path, "pin:\n  - {item: P1, position: 1, until: 1970-01-02}\n")
    book = RuleBook(path, Clock())
    first = book.at(snapshot, 5.0)
    assert book.at(snapshot, DAY - 1) is first
    assert book.at(snapshot, DAY).pins() == ()
    assert book.at(snapshot, 5.0).pins() == ((0, 1),)


def test_rules_keep_no_snapshot_alive(path: Path, snapshot: Snapshot) -> None:
    book = RuleBook(path, Clock())
    one = replace(snapshot)
    assert book.at(one, 0.0).pins() == ((0, 1),)
    gone = weakref.ref(one)
    del one
    gc.collect()
    assert gone() is None


def test_service_does_not_begin_with_broken_rules(path: Path) -> None:
    _write(path, "pin: P1\n")
    with pytest.raises(ConfigError, match="pin"):
        RuleBook(path)


def test_no_file_is_no_rules(snapshot: Snapshot) -> None:
    active = RuleBook(None).at(snapshot, 0.0)
    assert (active.visible, active.boost(snapshot, np.arange(2)), active.pins()) == (None, None, ())
