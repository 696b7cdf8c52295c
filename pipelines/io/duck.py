"""The engine of the heavy table work: Ibis on an embedded DuckDB."""

import os
import tempfile
from typing import Any

import ibis


def connect(memory: str = "3GB", threads: int | None = None) -> Any:
    """Return an Ibis backend on a DuckDB in memory, in UTC, that spills to the system's temporary folder.

    Args:
        memory: what DuckDB may use before it spills; buffers outside its control come on top.
        threads: worker threads; all processors where it is None. Results don't depend on it.
    """
    return ibis.duckdb.connect(
        memory_limit=memory,
        threads=threads or len(os.sched_getaffinity(0)),
        temp_directory=f"{tempfile.gettempdir()}/recomart-duckdb-{os.getpid()}",
    )
