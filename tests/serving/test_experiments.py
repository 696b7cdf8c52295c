"""Which model answers whom."""

import time
from dataclasses import replace
from pathlib import Path

import pytest

from pipelines.core.models.bundle import Bundle
from pipelines.io.live.experiment_plan import PlanFile
from serving.experiments import Assignment, Experiments
from serving.keeper import Keeper
from serving.problems import Unavailable
from tests.serving.shop import Memory

USERS = [f"U{n}" for n in range(400)]
PLAN = """
experiments:
  - name: {name}
    arms: [{{name: control, model: champion, weight: 0.5}}, {{name: new, model: "{model}", weight: 0.25}}]
    {more}
"""


def experiments(tmp_path: Path, memory: Memory, text: str) -> Experiments:
    (tmp_path / "plan.yaml").write_text(text, encoding="utf-8")
    file = PlanFile(tmp_path / "plan.yaml")
    keeper = Keeper(lambda: memory, lambda _: None, 60.0, file.models)
    keeper.refresh()
    return Experiments(file, keeper)


@pytest.fixture
def two(memory: Memory, model: Bundle) -> Memory:
    memory.bundles[2] = replace(model)
    return memory


def test_user_of_an_arm_gets_its_model_and_everybody_else_the_champion(tmp_path: Path, two: Memory) -> None:
    tried = experiments(tmp_path, two, PLAN.format(name="e", model=2, more=""))
    found = {(a.experiment, a.arm, a.propensity, a.snapshot.version) for a in map(tried.assign, USERS)}
    assert found == {("e", "control", 0.5, 1), ("e", "new", 0.25, 2), (None, None, 1.0, 1)}
    assert [tried.assign(user).arm for user in USERS] == [tried.assign(user).arm for user in USERS]
    assert tried.errors == {}


def test_session_without_a_user_is_in_no_experiment(tmp_path: Path, two: Memory) -> None:
    tried = experiments(tmp_path, two, PLAN.format(name="e", model=2, more=""))
    assert tried.assign(None).experiment is None


def test_user_of_an_arm_without_its_model_gets_the_champion_and_is_not_counted(tmp_path: Path, two: Memory) -> None:
    tried = experiments(tmp_path, two, PLAN.format(name="e", model="challenger", more=""))
    found = {(a.arm, a.snapshot.version) for a in map(tried.assign, USERS)}
    assert found == {("control", 1), (None, 1)}
    assert tried.errors == {"challenger": "no model version goes by 'challenger'"}


def test_experiment_that_is_over_assigns_nobody(tmp_path: Path, two: Memory) -> None:
    tried = experiments(tmp_path, two, PLAN.format(name="e", model=2, more="end: 2026-01-01T00:00:00Z"))
    assert {tried.assign(user).arm for user in USERS} == {None}


def test_experiment_begins_at_its_start(tmp_path: Path, two: Memory, monkeypatch: pytest.MonkeyPatch) -> None:
    tried = experiments(tmp_path, two, PLAN.format(name="e", model=2, more="start: 2100-01-01T00:00:00Z"))
    assert {tried.assign(user).arm for user in USERS} == {None}
    monkeypatch.setattr(time, "time", lambda: 4102444800.0)
    assert {tried.assign(user).arm for user in USERS} == {"control", "new", None}


def test_second_experiment_takes_whom_the_first_one_left(tmp_path: Path, two: Memory) -> None:
    second = PLAN.format(name="second", model=2, more="").partition("experiments:")[2]
    tried = experiments(tmp_path, two, PLAN.format(name="first", model=2, more="") + second)
    counts = [sum(tried.assign(user).experiment == name for user in USERS) for name in ("first", "second")]
    assert counts[0] == pytest.approx(300, abs=30)
    assert counts[1] == pytest.approx(75, abs=30)


def test_nobody_is_assigned_while_there_is_no_model(tmp_path: Path, two: Memory) -> None:
    two.version = None
    tried = experiments(tmp_path, two, "")
    with pytest.raises(Unavailable, match="no model is promoted yet"):
        tried.assign("U1")


def test_shadow_is_the_model_that_the_plan_names(tmp_path: Path, two: Memory) -> None:
    tried = experiments(tmp_path, two, "shadow: {model: 2, share: 0.5}")
    shadow = tried.shadow()
    assert shadow is not None
    assert (shadow[0].version, shadow[1]) == (2, 0.5)
    assert experiments(tmp_path, two, "shadow: {model: other}").shadow() is None
    assert experiments(tmp_path, two, "").shadow() is None


def test_assignment_of_the_champion_says_so(tmp_path: Path, two: Memory) -> None:
    tried = experiments(tmp_path, two, "")
    assigned = tried.assign("U1")
    assert assigned == Assignment(assigned.snapshot, None, None, 1.0)
    assert assigned.snapshot.version == 1
