"""Run one stage: ``python -m pipelines.io.dvc_stage <name>``, as `dvc repro --single-item` does.

It exits with the stage's own exit code, which the `dvc` program replaces by one of its own.
"""

import logging
import os
import re
import signal
import sys
from pathlib import Path

from pipelines.core.errors import FAILURE


def main(name: str) -> int:
    """Run the stage and return its exit code (128 + n after a signal n); 1 where DVC itself fails, which is told."""
    signal.signal(signal.SIGINT, signal.default_int_handler)  # a background job would pass its deafness on
    from dvc.exceptions import DvcException, ReproductionError
    from dvc.repo import Repo
    from dvc.stage.exceptions import StageCmdFailedError

    logging.getLogger("dvc").setLevel(logging.CRITICAL)
    try:
        with Repo() as repo:
            repo.reproduce(name, single_item=True)
    except DvcException as error:
        reason = error.__cause__ if isinstance(error, ReproductionError) and error.__cause__ else error
        if isinstance(reason, StageCmdFailedError) and (code := re.search(r"exited with (-?\d+)$", str(reason))):
            return int(code[1]) if int(code[1]) >= 0 else 128 - int(code[1])
        _tell(name, f"DVC: {reason}")
        return 1
    return 0


def _tell(name: str, reason: str) -> None:
    sys.stderr.write(f"{name}: {reason}\n")
    if path := os.environ.get(FAILURE):
        Path(path).write_text(reason, encoding="utf-8")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
