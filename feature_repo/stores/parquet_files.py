"""Saved datasets as Parquet files, written and read some rows at a time."""

from collections.abc import Generator, Iterator, Sequence
from datetime import datetime
from itertools import chain
from pathlib import Path
from typing import Final

import pyarrow as pa
import pyarrow.dataset as ds
import pyarrow.parquet as pq
from feast.infra.offline_stores.file_source import FileSource
from feast.repo_config import RepoConfig

GROUP_ROWS: Final = 131_072


def path_of(config: RepoConfig, uri: str) -> Path:
    """Where a file of the feature repository is.

    Raises:
        ValueError: it is on no file system of this machine.
    """
    path = str(FileSource.get_uri_for_file_path(repo_path=config.repo_path, uri=uri)).removeprefix("file://")
    if "://" in path:
        raise ValueError(f"{uri}: datasets are saved to files of this machine or to tables of Postgres")
    return Path(path)


def write_parquet(path: Path, tables: Iterator[pa.Table]) -> None:
    """Write ``tables``, at least one, as one file; until it is whole the old one stays."""
    first = next(tables)
    path.parent.mkdir(parents=True, exist_ok=True)
    unfinished = path.with_name(f".{path.name}.unfinished")
    try:
        with pq.ParquetWriter(unfinished, first.schema) as writer:
            for table in chain([first], tables):
                writer.write_table(table, row_group_size=GROUP_ROWS)
        unfinished.replace(path)
    finally:
        unfinished.unlink(missing_ok=True)


def read_parquet(
    path: Path, columns: Sequence[str] | None, timestamp: str, start: datetime | None, end: datetime | None
) -> Generator[pa.Table]:
    """The rows of a file or folder between two moments, both included; an empty table first."""
    dataset = ds.dataset(path, format="parquet")
    inside = ds.scalar(True)
    if start:
        inside &= ds.field(timestamp) >= ds.scalar(start)
    if end:
        inside &= ds.field(timestamp) <= ds.scalar(end)
    scanner = dataset.scanner(columns=columns, filter=inside, batch_readahead=1, fragment_readahead=1)
    yield scanner.projected_schema.empty_table()
    for batch in scanner.to_batches():
        yield pa.Table.from_batches([batch])
