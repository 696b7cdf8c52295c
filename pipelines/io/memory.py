"""How much memory this process may still take."""

import os
import resource
from pathlib import Path
from typing import Final

LIMITS: Final = (Path("/sys/fs/cgroup/memory.max"), Path("/sys/fs/cgroup/memory/memory.limit_in_bytes"))
"""Where a container's limit stands, by the version of control groups."""


def free() -> int:
    """Bytes, by the machine and by the container."""
    used = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    limits = [path.read_text().strip() for path in LIMITS if path.exists()]
    return min(_available(), *(int(limit) - used for limit in limits if limit.isdigit()), 1 << 62)


def _available() -> int:
    try:
        lines = Path("/proc/meminfo").read_text().splitlines()
    except FileNotFoundError:  # not Linux
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("MemAvailable"))
