"""Building the feature views day by day, beside building them whole."""

import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pipelines.core.errors import InputError
from pipelines.core.features.feature_views import RECENT_DAYS, VIEWS
from pipelines.io import files
from pipelines.io.features import feature_files, feature_state
from pipelines.io.features.feature_build import Built, build
from pipelines.settings import Settings
from tests.conftest import CHECKOUT
from tests.feature_data import (
    Event,
    day,
    event,
    prepared,
    product,
    random_events,
    random_taken_back,
)

pytestmark = pytest.mark.slow  # many builds

NOW = datetime(2025, 1, 1, 12, tzinfo=UTC)
LATER = NOW + timedelta(days=1)
ITEMS = [product(f"i{n}", n * 3.5) for n in range(6)]  # one without events
CATEGORIES = ("a", "b", None)


def shop(seed: int, n: int = 150, days: int = 40) -> list[Event]:
    log = random_events(seed, n, days)
    return [
        e | {"event_id": f"{seed}-{i}", "category": CATEGORIES[int(e["item_id"][1]) % 3]} for i, e in enumerate(log)
    ]


def prepare(root: Path, events: Iterable[Event], taken: Iterable[Event] = (), items: Any = ITEMS) -> None:
    prepared(Settings(root=root, mlflow_tracking_uri=""), events, items, taken)


def contents(root: Path) -> dict[str, bytes]:
    """The bytes of all files that never change."""
    return {str(p.relative_to(root)): p.read_bytes() for p in sorted((root / "data/features").rglob("part-*.parquet"))}


def truth(root: Path) -> dict[str, list[dict[str, Any]]]:
    return {view: feature_files.current(root, view).to_pylist() for view in VIEWS}


def at_every_moment(root: Path, until: datetime) -> dict[str, Any]:
    """What a point-in-time join finds of each entity at each midnight, and of profiles at each noon, too."""
    found = {}
    for view, rows in truth(root).items():
        keys = VIEWS[view].keys
        newest: dict[Any, dict[str, Any]] = {}
        stamps = {row["event_timestamp"] for row in rows} | {day(n) for n in range(150)}
        moments = sorted(moment for moment in stamps if moment <= until)
        by_time = iter(sorted(rows, key=lambda row: row["event_timestamp"]))
        waiting = next(by_time, None)
        for moment in moments:
            while waiting and waiting["event_timestamp"] <= moment:
                newest[tuple(waiting[k] for k in keys)] = waiting
                waiting = next(by_time, None)
            for entity, row in newest.items():
                values = {name: row[name] for name in VIEWS[view].features}
                if moment == midnight(moment) and any(value not in (0, None) for value in values.values()):
                    found[view, entity, moment] = values
    return found


def midnight(moment: datetime) -> datetime:
    return moment.replace(hour=0, minute=0, second=0, microsecond=0)


def whole(tmp_path: Path, *log: Any, **options: Any) -> Path:
    """A folder beside the test's own, with a full build of the log."""
    root = tmp_path.parent / f"{tmp_path.name}-whole"
    shutil.rmtree(root, ignore_errors=True)
    root.mkdir()
    prepare(root, *log, **options)
    build(root, NOW)
    return root


def assert_true(root: Path, tmp_path: Path, *log: Any, **options: Any) -> None:
    """What the files of ``root`` say at each midnight is what a full build of the log says."""
    other = whole(tmp_path, *log, **options)
    until = datetime.fromisoformat(feature_files.manifest(other)["until"])
    assert at_every_moment(root, until) == at_every_moment(other, until)
    if feature_files.manifest(root)["until"] == until.isoformat():
        assert recent(root) == recent(other)


def recent(root: Path) -> pa.Table:
    return pq.read_table(root / "data/features/recent_days.parquet")


def test_day_after_day_gives_the_files_of_a_full_build(tmp_path: Path) -> None:
    log = shop(1)
    taken = random_taken_back(1, log)
    prepare(tmp_path, log, taken)
    for number in [*range(1, 14), 20, 21, 60, 90]:  # until = that midnight
        try:
            built = build(tmp_path, day(number + 0.5))
        except InputError:
            continue
        assert number == 1 or not built.whole
    other = whole(tmp_path, log, taken)
    assert feature_files.manifest(tmp_path)["until"] == feature_files.manifest(other)["until"]
    activity = {name: content for name, content in contents(tmp_path).items() if "item_profile" not in name}
    assert activity == {name: content for name, content in contents(other).items() if "item_profile" not in name}
    assert_true(tmp_path, tmp_path, log, taken)


def test_files_have_the_schema_of_their_view(tmp_path: Path) -> None:
    prepare(tmp_path, shop(1))
    build(tmp_path, NOW)
    for view in VIEWS:
        for path in (tmp_path / "data/features" / view).rglob("*.parquet"):
            assert pq.read_schema(path).equals(VIEWS[view].schema)
            assert pq.read_schema(path).metadata is None
    assert recent(tmp_path).schema.equals(RECENT_DAYS)


def test_manifest_says_what_the_files_are(tmp_path: Path) -> None:
    prepare(tmp_path, shop(1))
    build(tmp_path, NOW)
    found = feature_files.manifest(tmp_path)
    listed = {f"{view}/{part}": entry for view, parts in found["files"].items() for part, entry in parts.items()}
    folder = tmp_path / "data/features"
    assert set(listed) == {str(p.relative_to(folder)) for p in folder.rglob("part-*.parquet")}
    for name, entry in listed.items():
        rows = pq.read_metadata(folder / name).num_rows
        assert entry == {"rows": rows, "sha256": files.sha256(folder / name), "created": None}
    assert found["until"] == day(40).isoformat()
    assert list(found["days"]) == sorted(found["days"])


def test_nothing_changed_writes_nothing(tmp_path: Path) -> None:
    prepare(tmp_path, shop(1))
    build(tmp_path, NOW)
    before = {path: path.stat().st_mtime_ns for path in (tmp_path / "data").rglob("*") if path.is_file()}
    assert build(tmp_path, LATER) == Built(day(40), 0, 0, 0, False)
    assert {path: path.stat().st_mtime_ns for path in (tmp_path / "data").rglob("*") if path.is_file()} == before


ONE = [event("u", "i0", "view", 0.5), event("v", "i1", "view", 0.5), event("u", "i0", "view", 9.5)]


def test_late_event_writes_exactly_the_rows_that_differ(tmp_path: Path) -> None:
    prepare(tmp_path, ONE)
    build(tmp_path, NOW)
    before = contents(tmp_path)
    prepare(tmp_path, [*ONE, event("u", "i1", "click", 7.5)])
    assert build(tmp_path, LATER) == Built(day(10), 15, 0, 1, False)
    added = {name: content for name, content in contents(tmp_path).items() if name not in before}
    assert {name: contents(tmp_path)[name] for name in before} == before
    rows = {}
    for name in added:
        _, _, view, folder, part = name.split("/")
        assert part == "part-1.parquet"
        for row in pq.read_table(tmp_path / name, partitioning=None).to_pylist():
            assert row["created_timestamp"] == LATER
            assert folder == f"date={row['event_timestamp'].date()}"
            keys = tuple(row[key] for key in VIEWS[view].keys)
            rows[view, keys, (row["event_timestamp"] - day(0)).days] = row
    # u: the click enters on day 8 and leaves a day on day 9; the view of day 9 enters on day 10. i1: the same, and on
    # day 8 v's view leaves 7 days, as before. Rows of v, i0, (u, i0) and (v, i1) say what they said.
    assert sorted(rows, key=str) == sorted(
        [
            *((view, ("u",), n) for view in ("user_activity_v1", "user_activity_v2") for n in (8, 9, 10)),
            *((view, ("i1",), n) for view in ("item_activity_v1", "item_activity_v2") for n in (8, 9)),
            *((view, ("u", "i1"), 8) for view in ("user_item_activity_v1", "user_item_activity_v2")),
            ("user_item_activity_v2", ("u", "i1"), 9),
            *(("user_recent_items_v1", ("u",), n) for n in (8, 10)),
        ],
        key=str,
    )  # fmt: skip
    assert rows["user_activity_v2", ("u",), 10]["clicks_7d"] == 1
    assert rows["user_recent_items_v1", ("u",), 8]["recent_items"] == ["i1", "i0"]


def test_withdrawn_day_leaves_what_was_true_before_it(tmp_path: Path) -> None:
    prepare(tmp_path, [*ONE, event("v", "i0", "view", 3.5), event("w", "i2", "add_to_cart", 3.5)])
    build(tmp_path, NOW)
    prepare(tmp_path, ONE)
    build(tmp_path, LATER)
    at_four = {
        row["user_id"]: (row["views_all"], row["last_event_epoch_s"], row["created_timestamp"])
        for row in feature_files.current(tmp_path, "user_activity_v1").to_pylist()
        if row["event_timestamp"] == day(4)
    }
    assert at_four == {"v": (1, int(day(0.5).timestamp()), LATER), "w": (0, None, LATER)}
    assert_true(tmp_path, tmp_path, ONE)


LOG = shop(3)
TAKEN = random_taken_back(3, LOG)


@pytest.fixture(scope="module")
def first(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A build of LOG and TAKEN, which tests copy."""
    root = tmp_path_factory.mktemp("first")
    prepare(root, LOG, TAKEN)
    build(root, NOW)
    return root


def changed_logs() -> dict[str, Any]:
    """Name -> log and cancellations, after LOG and TAKEN."""
    new = [event("new", "i9", "purchase", n, category="c") for n in (5.5, 30.5)]
    early = event("u0", "i0", "view", -20.5)
    less = [e for e in LOG if not 10 <= (e["timestamp"] - day(0)).days < 13]
    bought = [e for e in less if e["event_type"] == "purchase"]
    gone = [e for e in LOG if e["user_id"] != "u1" and e["item_id"] != "i1"]
    robot = [e | {"is_bot": e["user_id"] == "u2" and e["timestamp"] < day(20)} for e in LOG]
    moved = [e | {"price": 1.0, "category": "z"} if e["timestamp"] < day(9) else e for e in LOG]
    return {
        "late events of old and new users": ([*LOG, *shop(4, 12), *new], TAKEN),
        "before the first day": ([*LOG, early], TAKEN),
        "withdrawn days": (less, random_taken_back(1, bought)),
        "a withdrawn user and item": (gone, []),
        "other cancellations": (LOG, random_taken_back(7, LOG)),
        "repaired values": (moved, []),
        "other bots": (robot, []),
        "the end": ([e for e in LOG if e["timestamp"] < day(33)], []),
    }


@pytest.mark.parametrize("name", changed_logs())
def test_changed_log_says_what_a_full_build_says(tmp_path: Path, first: Path, name: str) -> None:
    shutil.copytree(first / "data", tmp_path / "data")
    there = contents(tmp_path)
    prepare(tmp_path, *changed_logs()[name])
    assert not build(tmp_path, LATER).whole
    now = contents(tmp_path)
    assert {name: now[name] for name in there} == there
    assert_true(tmp_path, tmp_path, *changed_logs()[name])


def test_other_order_within_a_moment_says_what_a_full_build_says(tmp_path: Path) -> None:
    log = [e | {"timestamp": midnight(e["timestamp"])} for e in shop(3, 60, 20)]
    other = [e | {"event_id": e["event_id"][::-1]} for e in log]
    prepare(tmp_path, log)
    build(tmp_path, NOW)
    prepare(tmp_path, other)
    assert build(tmp_path, LATER).rows
    assert_true(tmp_path, tmp_path, other)


def test_corrections_of_corrections_say_what_a_full_build_says(tmp_path: Path, first: Path) -> None:
    shutil.copytree(first / "data", tmp_path / "data")
    more = shop(6, 20)
    for number, events in enumerate([LOG + more, LOG, LOG[30:], LOG + more[:10]]):
        prepare(tmp_path, events)
        build(tmp_path, LATER + timedelta(days=number))
    assert_true(tmp_path, tmp_path, LOG + more[:10])


def test_late_event_with_new_days_says_what_a_full_build_says(tmp_path: Path) -> None:
    log, late = shop(7), event("late", "i1", "click", 3.3)
    prepare(tmp_path, [e for e in log if e["timestamp"] < day(20)])
    build(tmp_path, NOW)
    prepare(tmp_path, [*log, late])
    built = build(tmp_path, LATER)
    assert (built.new, built.changed) == (20, 1)
    created = {
        row["event_timestamp"]: row["created_timestamp"]
        for row in feature_files.current(tmp_path, "user_activity_v2", [], {"user_id": ["late"]}).to_pylist()
    }
    assert created == {day(4): LATER, day(5): LATER, day(11): LATER, day(34): day(34)}
    assert_true(tmp_path, tmp_path, [*log, late])


def test_catalogue_that_changed_writes_profiles_only(tmp_path: Path) -> None:
    prepare(tmp_path, shop(1))
    build(tmp_path, NOW)
    before = contents(tmp_path)
    items = [*ITEMS, product("i0", 30.5, price=77.0), product("i8", 500)]
    prepare(tmp_path, shop(1), items=items)
    build(tmp_path, LATER)
    added = [name.split("/")[2:] for name in contents(tmp_path) if name not in before]
    assert added == [
        ["item_profile_v1", f"date={day(30).date()}", "part-1.parquet"],
        ["item_profile_v1", f"date={day(40).date()}", "part-1.parquet"],
    ]
    assert_true(tmp_path, tmp_path, shop(1), items=items)


def test_item_whose_first_event_comes_has_an_older_profile(tmp_path: Path) -> None:
    prepare(tmp_path, shop(1), items=[*ITEMS, product("i9", 500)])
    build(tmp_path, NOW)
    log = [*shop(1), event("u0", "i9", "view", 12.5)]
    prepare(tmp_path, log, items=[*ITEMS, product("i9", 500)])
    build(tmp_path, LATER)
    rows = feature_files.current(tmp_path, "item_profile_v1", None, {"item_id": ["i9"]}).to_pylist()
    assert [(r["event_timestamp"], r["created_timestamp"], r["title"]) for r in rows] == [
        (day(12), LATER, "Title of i9"), (day(40), LATER, "Title of i9"),
    ]  # fmt: skip
    assert_true(tmp_path, tmp_path, log, items=[*ITEMS, product("i9", 500)])


@pytest.mark.parametrize("more", [False, True])
def test_lost_state_is_computed_again_without_writing_rows_that_exist(tmp_path: Path, more: bool) -> None:
    log = shop(8)
    taken = random_taken_back(8, log)
    prepare(tmp_path, [e for e in log if e["timestamp"] < day(30)], taken)
    build(tmp_path, day(30.5))
    before = contents(tmp_path)
    files.remove(tmp_path / feature_state.CACHE)
    after = [*log, event("late", "i1", "click", 3.3)] if more else log
    prepare(tmp_path, after, taken)
    build(tmp_path, LATER)
    now = contents(tmp_path)
    assert {name: now[name] for name in before} == before
    assert any("part-1" in name for name in now if "item_profile" not in name) == more
    assert_true(tmp_path, tmp_path, after, taken)
    prepare(tmp_path, [*after, event("u1", "i2", "view", 41.5)], taken)
    build(tmp_path, LATER)  # from the state that was computed again
    assert_true(tmp_path, tmp_path, [*after, event("u1", "i2", "view", 41.5)], taken)


def test_state_of_other_code_is_computed_again(tmp_path: Path) -> None:
    log = shop(8)
    prepare(tmp_path, [e for e in log if e["timestamp"] < day(30)])
    build(tmp_path, day(30.5))
    (counts,) = (tmp_path / feature_state.CACHE).glob("*/timeline.user.counts.npy")
    np.save(counts, np.load(counts).transpose(0, 2, 1))
    prepare(tmp_path, log)
    build(tmp_path, LATER)
    assert_true(tmp_path, tmp_path, log)


@pytest.mark.parametrize("damage", ["format", "views", "text", "file"])
def test_other_format_or_damage_builds_everything_anew(tmp_path: Path, first: Path, damage: str) -> None:
    shutil.copytree(first / "data", tmp_path / "data")
    before = contents(tmp_path)
    path = tmp_path / "data/features/manifest.json"
    if damage == "text":
        path.write_text("{")
    elif damage == "file":
        (tmp_path / min(before)).unlink()
    else:
        files.write_json(path, files.read_json(path) | {damage: 0})
    assert build(tmp_path, LATER).whole
    assert contents(tmp_path) == before


def test_other_shop_is_built_anew(tmp_path: Path) -> None:
    prepare(tmp_path, shop(1))
    build(tmp_path, NOW)
    prepare(tmp_path, shop(2))
    assert build(tmp_path, LATER).whole
    assert contents(tmp_path) == contents(whole(tmp_path, shop(2)))


def test_leftovers_of_a_killed_build_go(tmp_path: Path) -> None:
    prepare(tmp_path, shop(1))
    build(tmp_path, NOW)
    before = contents(tmp_path)
    name = tmp_path / min(before)
    for leftover in (name.with_name("part-7.parquet"), name.with_name(".part-8.parquet.tmp")):
        leftover.write_bytes(b"")
    build(tmp_path, NOW)
    assert contents(tmp_path) == before
    assert not list((tmp_path / "data/features").rglob("*.tmp"))


KILLED = """
import os, signal, sys
from datetime import datetime
from pathlib import Path
from pipelines.io.features import feature_build, feature_files
of, name, left = {"write": (feature_files, "_put", int(sys.argv[3])), "state": (feature_build.feature_state, "keep", 0),
                  "manifest": (feature_build.files, "write_json", 0)}[sys.argv[2]]
done = getattr(of, name)
def call(*arguments):
    global left
    left -= 1
    if left < 0:
        os.kill(os.getpid(), signal.SIGKILL)
    return done(*arguments)
setattr(of, name, call)
feature_build.build(Path(sys.argv[1]), datetime.fromisoformat(sys.argv[4]))
"""


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> dict[bool, Path]:
    """The log built whole, and after a build of a part of it; beside it, under ``begun``, that first build."""
    roots = {}
    for whole_ in (True, False):
        root = roots[whole_] = tmp_path_factory.mktemp("undisturbed")
        if not whole_:
            prepare(root, [e for e in LOG if e["timestamp"] < day(30)], TAKEN[:20])
            build(root, day(30.5))
            shutil.copytree(root / "data", root / "begun")
        prepare(root, LOG, TAKEN)
        build(root, LATER)
    return roots


@pytest.mark.parametrize(
    ("at", "whole_"),
    [("write 3", True), ("state 0", True), ("write 3", False), ("write 60", False), ("state 0", False),
     ("manifest 0", False)],
)  # fmt: skip
def test_killed_build_is_taken_up_by_the_next(
    tmp_path: Path, undisturbed: dict[bool, Path], at: str, whole_: bool
) -> None:
    if not whole_:
        shutil.copytree(undisturbed[False] / "begun", tmp_path / "data")
    prepare(tmp_path, LOG, TAKEN)
    killed = subprocess.run(
        [sys.executable, "-c", KILLED, str(tmp_path), *at.split(), LATER.isoformat()],
        env=os.environ | {"PYTHONPATH": str(CHECKOUT)}, check=False,
    )  # fmt: skip
    assert killed.returncode == -signal.SIGKILL
    build(tmp_path, LATER)
    assert contents(tmp_path) == contents(undisturbed[whole_])
    assert feature_files.manifest(tmp_path) == feature_files.manifest(undisturbed[whole_])
