import os
import subprocess
from pathlib import Path

import pytest

from pipelines.io.files import replacing, sha256, write_json


def test_replacing_keeps_the_old_file_on_error(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    path.write_text("old", encoding="utf-8")
    with pytest.raises(RuntimeError), replacing(path) as temporary:
        temporary.write_text("half", encoding="utf-8")
        raise RuntimeError
    assert [p.name for p in tmp_path.iterdir()] == ["a.txt"]
    assert path.read_text(encoding="utf-8") == "old"


def test_replacing_swaps_a_folder_whole(tmp_path: Path) -> None:
    folder = tmp_path / "view"
    folder.mkdir()
    (folder / "old").touch()
    with replacing(folder) as temporary:
        temporary.mkdir()
        (temporary / "new").touch()
    assert [p.name for p in folder.iterdir()] == ["new"]
    assert [p.name for p in tmp_path.iterdir()] == ["view"]


def test_replacing_removes_what_a_killed_process_left_and_nothing_else(tmp_path: Path) -> None:
    killed = subprocess.Popen(["true"])
    killed.wait()
    (tmp_path / f".view.{killed.pid}.tmp").mkdir()
    (tmp_path / f".view.{killed.pid}.old").touch()
    alive = [f".view.{os.getppid()}.tmp", f".other.{killed.pid}.tmp"]
    for name in alive:
        (tmp_path / name).touch()
    with replacing(tmp_path / "view") as temporary:
        temporary.touch()
    assert {p.name for p in tmp_path.iterdir()} == {"view", *alive}


def test_write_json_is_deterministic(tmp_path: Path) -> None:
    write_json(tmp_path / "a", {"b": 1, "a": 2})
    write_json(tmp_path / "b", {"a": 2, "b": 1})
    assert sha256(tmp_path / "a") == sha256(tmp_path / "b")
