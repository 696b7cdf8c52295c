import os
from pathlib import Path

import pytest

from pipelines.core.errors import ConfigError
from pipelines.core.evaluation.experiment import Arm, Experiment, Plan, Shadow
from pipelines.io.live.experiment_plan import PlanFile, load

SPRING = """
experiments:
  - name: spring
    arms:
      - {name: control, model: champion, weight: 0.9}
      - {name: new, model: 3, weight: 0.1}
    start: 2026-03-01T00:00:00Z
shadow: {model: challenger, share: 0.05}
"""


def file(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "experiments.yaml"
    path.write_text(text, encoding="utf-8")
    return path


def test_plan_is_what_the_file_says(tmp_path: Path) -> None:
    arms = (Arm("control", "champion", 0.9), Arm("new", "3", 0.1))
    spring = Experiment("spring", "spring", arms, start=1772323200.0)
    assert load(file(tmp_path, SPRING)) == Plan((spring,), Shadow("challenger", 0.05))


def test_plan_of_an_empty_file_is_empty(tmp_path: Path) -> None:
    assert load(file(tmp_path, "# nothing yet\n")) == Plan()


ARM = "  arms: [{name: a, model: champion, weight: 0.5}, {name: b, model: 2, weight: 0.5}]"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("experiments: [", "no YAML"),
        ("- x", "the file: Input should be a valid dictionary"),
        ("experiment: []", "experiment: Extra inputs are not permitted"),
        (SPRING.replace("0.1}", "-1}"), r"experiments\[0\] \(spring\)\.arms\[1\] \(new\)\.weight: .* it is -1"),
        (SPRING.replace("0.1}", "0.2}"), r"experiments\[0\] \(spring\): the arms' weights add up to 1\.1"),
        (SPRING.replace("new", "control"), r"experiments\[0\] \(spring\): two arms have the same name"),
        (SPRING.replace("model: 3", "model: true"), r"arms\[1\] \(new\)\.model: Input should be a valid string"),
        (SPRING.replace("00:00:00Z", "00:00:00"), r"start: .*timezone"),
        (f"experiments:\n- name: e\n{ARM}\n  start: 2026-03-01T00:00:00Z\n  end: 2026-02-01T00:00:00Z", "ends before"),
        (f"experiments:\n- name: e\n{ARM}\n- name: e\n{ARM}", "the file: two experiments have the same name"),
        ("experiments:\n- name: e\n  arms: [{name: a, model: champion, weight: 1}]", r"arms: .* at least 2 items"),
        ("shadow: {share: 2}", r"shadow\.model: Field required"),
    ],
)
def test_plan_that_means_nothing_names_file_and_field(tmp_path: Path, text: str, said: str) -> None:
    with pytest.raises(ConfigError, match=rf"experiments\.yaml: .*{said}"):
        load(file(tmp_path, text))


def test_plan_file_must_be_there(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"none\.yaml: it can't be read: No such file"):
        PlanFile(tmp_path / "none.yaml")


def test_plan_without_a_file_is_empty() -> None:
    plans = PlanFile(None)
    assert (plans.models(), plans.plan) == ((), Plan())


def test_plan_follows_its_file_and_stays_where_that_is_wrong(tmp_path: Path) -> None:
    plans = PlanFile(file(tmp_path, SPRING))
    assert plans.models() == ("champion", "3", "challenger")
    file(tmp_path, SPRING.replace("model: 3", "model: 41"))
    assert plans.models() == ("champion", "41", "challenger")
    file(tmp_path, "nonsense: 1")
    assert plans.models() == ("champion", "41", "challenger")
    assert "nonsense: Extra inputs" in str(plans.error)
    (tmp_path / "experiments.yaml").unlink()
    assert plans.models() == ("champion", "41", "challenger")
    path = file(tmp_path, "")
    os.utime(path, (1, 1))
    assert (plans.models(), plans.error) == ((), None)


def test_plan_that_the_readme_shows_can_be_read(tmp_path: Path) -> None:
    readme = (Path(__file__).parents[3] / "README.md").read_text(encoding="utf-8")
    shown = readme.partition("```yaml\nexperiments:")[2].partition("```")[0]
    plan = load(file(tmp_path, f"experiments:{shown}"))
    assert plan.models == ("champion", "challenger", "7")
