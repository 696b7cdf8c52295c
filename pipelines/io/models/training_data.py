"""What ``assemble`` wrote, read back in bounded memory."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Final

import pyarrow as pa
import pyarrow.parquet as pq

from pipelines.core.errors import InputError
from pipelines.core.models.labels import Examples, from_table
from pipelines.io.files import read_json

FOLDER: Final = Path("data/training")
TRAINING: Final = FOLDER / "training.parquet"
EVALUATION: Final = FOLDER / "evaluation.parquet"
TRUTH: Final = FOLDER / "truth.parquet"
SOURCES: Final = FOLDER / "sources"
SPLIT: Final = FOLDER / "split.json"


def examples(path: Path, sources: Sequence[str]) -> Iterator[Examples]:
    """The candidates of a file, whole groups at a time.

    Raises:
        InputError: the file is missing.
    """
    with pq.ParquetFile(_present(path)) as file:
        for part in range(file.num_row_groups):
            yield from_table(file.read_row_group(part), sources)


def truth(root: Path) -> pa.Table:
    """user_id, item_id, gain: what was relevant in the evaluation window, sorted by user.

    Raises:
        InputError: the file is missing.
    """
    return pq.read_table(_present(root / TRUTH))


def split(root: Path) -> dict[str, Any]:
    """The cuts with their numbers of users and candidates.

    Raises:
        InputError: the file is missing.
    """
    read: dict[str, Any] = read_json(_present(root / SPLIT))
    return read


def _present(path: Path) -> Path:
    if not path.exists():
        raise InputError(f"{path} is missing: run `python -m pipelines assemble`")
    return path
