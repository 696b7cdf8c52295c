"""Runs of small DVC projects: real DVC, real processes."""

import fcntl
import logging
import os
import signal
import subprocess
import sys
import threading
from functools import partial
from pathlib import Path

import pytest

from pipelines import flow
from pipelines.core.errors import ConfigError, StageError
from pipelines.io import children
from pipelines.io.dvc_repo import Stage
from pipelines.io.services.processes import alive
from tests.project import CHECKOUT, NAMED, chain, project, ran

FAILS_TWICE = "echo b >> ran && test $(grep -c b ran) -gt 2 || exit {code}; cp a.txt b.txt"
HANGS = "sh -c 'echo $$ > sleeping; exec sleep 300'; true"


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


def test_policy_of_a_stage_without_meta_tries_once() -> None:
    assert flow.Policy.of(Stage("a", {})).retries == 0


@pytest.mark.parametrize(("meta", "field"), [({"retry": 1}, "retry"), ({"timeout_minutes": 0}, "timeout_minutes")])
def test_policy_with_a_mistake_names_stage_and_field(meta: dict[str, object], field: str) -> None:
    with pytest.raises(ConfigError, match=rf"dvc\.yaml: validate\.meta\.{field}:"):
        flow.Policy.of(Stage("validate", meta))


@pytest.mark.slow
def test_run_takes_dvcs_order_and_then_only_what_changed(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "pipelines")
    stages = chain("b", "a", "c")
    settings = project(tmp_path, dict(reversed(stages.items())))
    (tmp_path / "in.txt").write_text("1")
    flow.run(settings)
    assert ran(tmp_path) == ["b", "a", "c"]
    flow.run(settings)
    assert ran(tmp_path) == ["b", "a", "c"]
    assert "ran nothing; 3 unchanged" in caplog.text
    (tmp_path / "a.txt").unlink()  # its output is in DVC's cache
    (tmp_path / "in.txt").write_text("2")
    flow.run(settings, "a")
    assert ran(tmp_path) == ["b", "a", "c", "b", "a"]
    assert (tmp_path / "a.txt").read_text() == "2"


@pytest.mark.slow
def test_run_writes_what_dvc_repro_would(tmp_path: Path) -> None:
    for name in ("ours", "theirs"):
        project(tmp_path / name, chain("a", "b", a={"always_changed": True, "meta": {"retries": 1}}))
        (tmp_path / name / "in.txt").write_text("1")
    flow.run(project(tmp_path / "ours", chain("a", "b", a={"always_changed": True, "meta": {"retries": 1}})))
    (tmp_path / "theirs/.dvc/config.local").write_text("[core]\n no_scm = true\n")
    subprocess.run([sys.executable, "-m", "dvc", "repro", "--quiet"], cwd=tmp_path / "theirs", check=True)
    assert (tmp_path / "ours/dvc.lock").read_text() == (tmp_path / "theirs/dvc.lock").read_text()


@pytest.mark.slow
def test_run_tries_again_what_may_pass(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    fails = {"cmd": FAILS_TWICE.format(code=75), "meta": {"retries": 2, "retry_delay_s": 0}}
    settings = project(tmp_path, chain("a", "b", "c", b=fails))
    (tmp_path / "in.txt").write_text("1")
    flow.run(settings)
    assert ran(tmp_path) == ["a", "b", "b", "b", "c"]
    assert "again in 0 s (2 more)" in caplog.text


@pytest.mark.slow
@pytest.mark.parametrize(("code", "attempts"), [(75, 2), (1, 1), (130, 1), (137, 2)])
def test_run_gives_up_after_its_retries_or_at_once_and_goes_on_from_there(
    code: int, attempts: int, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "pipelines")
    fails = {"cmd": FAILS_TWICE.format(code=code), "meta": {"retries": 1, "retry_delay_s": 0}}
    settings = project(tmp_path, chain("a", "b", "c", b=fails))
    (tmp_path / "in.txt").write_text("1")
    with pytest.raises(StageError, match="b failed: ended with"):
        flow.run(settings)
    assert ran(tmp_path) == ["a", *attempts * ["b"]]
    assert "not run: b, c" in caplog.text
    (tmp_path / "ran").write_text("b b b\nb\nb\n")
    flow.run(settings)
    assert ran(tmp_path)[-2:] == ["b", "c"]
    assert "a" not in ran(tmp_path)


@pytest.mark.slow
def test_run_tells_what_the_stage_said_last(tmp_path: Path) -> None:
    settings = project(tmp_path, {"ingest": {"cmd": "python -m pipelines ingest", "outs": ["data/raw"]}})
    with pytest.raises(StageError, match="ingest failed: no shop is connected"):
        flow.run(settings)


@pytest.mark.slow
def test_run_tells_what_dvc_itself_finds_wrong(tmp_path: Path) -> None:
    settings = project(tmp_path, {"a": {"cmd": "true", "outs": ["a.txt"]}})
    with pytest.raises(StageError, match=r"a failed: DVC: .*a\.txt.* does not exist"):
        flow.run(settings)


@pytest.mark.slow
def test_run_with_a_broken_dvc_yaml_is_readable(tmp_path: Path) -> None:
    settings = project(tmp_path, {"a": {"command": "true"}})
    with pytest.raises(ConfigError, match=r"DVC: .*dvc\.yaml' validation failed"):
        flow.run(settings)


@pytest.mark.slow
def test_run_ends_all_of_a_stage_that_hangs_and_tries_again(tmp_path: Path) -> None:
    hangs = {"cmd": f"echo b >> ran && {HANGS}", "meta": {"retries": 1, "retry_delay_s": 0, "timeout_minutes": 0.05}}
    settings = project(tmp_path, chain("a", "b", b=hangs))
    (tmp_path / "in.txt").write_text("1")
    with pytest.raises(StageError, match=r"b failed: took longer than 0\.05 minutes"):
        flow.run(settings)
    assert ran(tmp_path) == ["a", "b", "b"]
    assert not alive(int((tmp_path / "sleeping").read_text()))
    assert flow.dvc_repo.changed(tmp_path, "b")  # and no lock of DVC's is left


@pytest.mark.slow
def test_interrupted_run_ends_its_stage(tmp_path: Path) -> None:
    project(tmp_path, {"a": {"cmd": HANGS, "outs": ["a.txt"]}})
    run = subprocess.Popen(
        [sys.executable, "-m", "pipelines", "pipeline"],
        cwd=tmp_path,
        env=os.environ | NAMED | {"PYTHONPATH": str(CHECKOUT)},
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=partial(signal.signal, signal.SIGINT, signal.SIG_DFL),  # a job in the background ignores it
    )
    while not (tmp_path / "sleeping").exists():
        assert run.poll() is None
    run.send_signal(signal.SIGINT)
    assert "pipeline: interrupted" in run.communicate(timeout=60)[1]
    assert run.returncode == 130
    assert not alive(int((tmp_path / "sleeping").read_text()))


@pytest.mark.slow
def test_two_runs_at_once_take_turns(tmp_path: Path) -> None:
    slow = "echo begins >> turns && sleep 1 && echo ends >> turns && cp in.txt a.txt"
    project(tmp_path, chain("a", a={"cmd": slow, "always_changed": True}))
    (tmp_path / "in.txt").write_text("1")
    both = [
        subprocess.Popen(
            [sys.executable, "-m", "pipelines", "pipeline"],
            cwd=tmp_path,
            env=os.environ | NAMED | {"PYTHONPATH": str(CHECKOUT)},
        )
        for _ in range(2)
    ]
    assert [run.wait(60) for run in both] == [0, 0]
    assert (tmp_path / "turns").read_text().split() == 2 * ["begins", "ends"]


def test_child_that_ignores_the_interruption_is_killed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(children, "GRACE_S", 0.3)
    with pytest.raises(TimeoutError):
        children.run(
            ("sh", "-c", "trap '' INT; echo $$ > pid; while :; do sleep 1; done"),
            cwd=tmp_path,
            env=os.environ,
            timeout_s=0.5,
        )
    assert not alive(int((tmp_path / "pid").read_text()))


def test_child_tells_its_lines_as_they_come(tmp_path: Path) -> None:
    lines: list[str] = []
    code = children.run(
        ("sh", "-c", "echo one; echo two >&2; exit 3"), cwd=tmp_path, env=os.environ, timeout_s=10, say=lines.append
    )
    assert (code, lines) == (3, ["one", "two"])
