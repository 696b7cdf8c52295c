import fcntl
import threading
from pathlib import Path

import pytest

from pipelines import flow


@pytest.mark.parametrize("lock", [flow.LOCK, flow.DVC_LOCK])
def test_alone_waits_for_another_run_and_for_dvc(lock: Path, tmp_path: Path) -> None:
    (tmp_path / lock).parent.mkdir(parents=True)
    entered = threading.Event()

    def run() -> None:
        with flow.alone(tmp_path):
            entered.set()

    with (tmp_path / lock).open("a") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        second = threading.Thread(target=run)
        second.start()
        assert not entered.wait(0.3)
    second.join(10)
    assert entered.is_set()
