"""What a machine remembers of a feature build, to go on from it. All of it can be computed again."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import numpy as np
import pyarrow as pa
from numpy.lib.format import open_memmap
from pyarrow import feather

from pipelines.core.features.affected import Affected
from pipelines.core.features.change_points import Timeline
from pipelines.core.features.coded_days import Ids
from pipelines.core.features.codes import Codes
from pipelines.core.features.day_events import DayEvents, Int32
from pipelines.core.features.fingerprints import UInt64
from pipelines.io import files

CACHE: Final = Path("data/cache/features")
LOCK: Final = ".lock"
MAKING: Final = "making"
NEVER: Final = np.iinfo(np.int32).max
_ARRAY: Final = "timeline."
_ROOMY: Final = ("user_item.counts", "user_item.money", "user_category.counts", "user_category.money")
"""What is large, may be longer than there are pairs, and is 0 for those to come."""
_PROFILES: Final = "profiles.arrow"
_IDS: Final = ("users", "items", "categories")


class Fingerprints:
    """A fingerprint for each day, each in a file of its own."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._folder = folder

    def put(self, day: int, fingerprint: UInt64) -> None:
        """Remember the fingerprint of ``day``."""
        np.save(self._folder / f"{day}.npy", fingerprint)

    def get(self, day: int) -> UInt64:
        """The fingerprint of ``day``; without any pair where it isn't known."""
        path = self._folder / f"{day}.npy"
        return np.load(path) if path.exists() else np.empty((2, 0), np.uint64)


@dataclass
class State:
    """Where a build ended."""

    ids: Ids
    timeline: Timeline
    first_day: Int32 = field(default_factory=lambda: np.empty(0, np.int32))
    """int32 [items]: the day of an item's first event; NEVER where it has none."""
    profiles: pa.Table | None = None
    """What is true of item_profile_v1, as it was written."""
    files: Mapping[str, np.ndarray] = field(default_factory=dict)
    """The timeline's arrays as they lie in files that may be written to."""

    @classmethod
    def new(cls, ids: Ids) -> "State":
        """Before the first day."""
        return cls(ids, Timeline(ids.users, ids.items, ids.categories))

    def see(self, events: DayEvents) -> None:
        """Note which items have events."""
        self._grow()
        np.minimum.at(self.first_day, np.unique(events.item), np.int32(events.day))

    def adopt(self, other: "State", affected: Affected) -> None:
        """Take over what ``other`` knows of those who are affected; it has the same ids and saw all of their events."""
        self.timeline.adopt(other.timeline, affected.users, affected.items)
        self._grow()
        other._grow()
        self.first_day[affected.items] = other.first_day[affected.items]

    def _grow(self) -> None:
        missing = len(self.ids.items) - len(self.first_day)
        self.first_day = np.append(self.first_day, np.full(missing, NEVER, np.int32))


@contextmanager
def making(root: Path) -> Iterator[Path]:
    """Yield an empty folder for the state of a build in the making. Nothing of it stays unless ``keep`` takes it."""
    folder = root / CACHE / MAKING
    files.remove(folder)
    folder.mkdir(parents=True)
    try:
        yield folder
    finally:
        files.remove(folder)


def take(root: Path, build: str) -> State | None:
    """Make the state of ``build``, if this machine has it, the one in the making.

    The large arrays are changed in their files: a day costs what it changes, but who is killed has no state any more.
    """
    folder = root / CACHE / MAKING
    if not _is_of_this_code(root / CACHE / build):
        return None
    files.remove(folder)
    (root / CACHE / build).rename(folder)
    columns = [feather.read_table(folder / f"{name}.arrow", memory_map=False)["id"] for name in _IDS]
    ids = Ids(*(Codes(column.combine_chunks()) for column in columns))
    arrays = {path.stem.removeprefix(_ARRAY): np.load(path, mmap_mode="r+") for path in folder.glob(f"{_ARRAY}*.npy")}
    timeline = Timeline.restore(arrays, ids.users, ids.items, ids.categories)
    profiles = feather.read_table(folder / _PROFILES, memory_map=False)
    return State(ids, timeline, np.load(folder / "first_day.npy"), profiles, arrays)


def _is_of_this_code(folder: Path) -> bool:
    """Whether ``folder`` holds a state whose arrays are laid out as this code lays them out."""
    expected = Timeline(Codes(), Codes(), Codes()).arrays()
    paths = {name: folder / f"{_ARRAY}{name}.npy" for name in expected}
    return all(path.exists() and _alike(expected[name], np.load(path, mmap_mode="r")) for name, path in paths.items())


def _alike(empty: np.ndarray, stored: np.ndarray) -> bool:
    """Whether ``stored`` is what ``empty`` becomes: an axis of length 0 grows, the others of a matrix don't."""
    if empty.dtype != stored.dtype or empty.ndim != stored.ndim:
        return False
    return empty.ndim == 1 or all(e in (0, s) for e, s in zip(empty.shape, stored.shape, strict=True))


def keep(root: Path, state: State, build: str) -> None:
    """Write ``state`` into the folder in the making, which becomes the state of ``build``."""
    folder = root / CACHE / MAKING
    for name in _IDS:
        codes: Codes = getattr(state.ids, name)
        feather.write_feather(pa.table({"id": codes.ids}), folder / f"{name}.arrow", compression="uncompressed")
    np.save(folder / "first_day.npy", state.first_day)
    if state.profiles is not None:
        feather.write_feather(state.profiles, folder / _PROFILES, compression="uncompressed")
    for name, array in state.timeline.arrays().items():
        if not _lies_in(array, state.files.get(name)):
            _save(folder / f"{_ARRAY}{name}.npy", array, roomy=name in _ROOMY)
    files.remove(root / CACHE / build)
    folder.rename(root / CACHE / build)


def forget_others(root: Path, build: str) -> None:
    """Remove all states but that of ``build``."""
    for folder in (root / CACHE).iterdir():
        if folder.name not in (build, LOCK):
            files.remove(folder)


def _lies_in(array: np.ndarray, file: np.ndarray | None) -> bool:
    """Whether ``array`` is the content of ``file`` itself, which may have room behind it."""
    if file is None or array.shape[1:] != file.shape[1:] or not array.size:
        return False
    return array.ctypes.data == file.ctypes.data and len(array) <= len(file)


def _save(path: Path, array: np.ndarray, roomy: bool) -> None:
    """Write an array beside the old file, which may still be in use; a ``roomy`` one with zeros to grow into."""
    temporary = path.with_suffix(".tmp")
    places = 2 * len(array) + 1024 if roomy else len(array)
    file = open_memmap(temporary, mode="w+", dtype=array.dtype, shape=(places, *array.shape[1:]))
    file[: len(array)] = array
    temporary.replace(path)
