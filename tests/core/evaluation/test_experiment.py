import pytest

from pipelines.core.evaluation.experiment import Arm, Experiment, Plan, Shadow

USERS = [f"U{n}" for n in range(20_000)]


def experiment(salt: str = "s", **weights: float) -> Experiment:
    return Experiment("test", salt, tuple(Arm(name, name, weight) for name, weight in weights.items()))


def arms(of: Experiment) -> list[str | None]:
    return [arm.name if (arm := of.arm_of(user)) else None for user in USERS]


def moved(before: Experiment, after: Experiment) -> float:
    return sum(one != other for one, other in zip(arms(before), arms(after), strict=True)) / len(USERS)


def test_arm_of_a_user_never_changes_between_releases_and_machines() -> None:
    split = experiment(control=0.5, challenger=0.5)
    assert "".join(str(arm)[1] for arm in arms(split)[:16]) == "hhoohoohohohohhh"  # c-h-allenger, c-o-ntrol


@pytest.mark.parametrize("weights", [{"a": 0.5, "b": 0.5}, {"a": 0.9, "b": 0.1}, {"a": 0.2, "b": 0.3, "c": 0.1}])
def test_arms_have_the_share_of_users_that_their_weights_say(weights: dict[str, float]) -> None:
    found = arms(experiment(**weights))
    expected = {**weights, None: 1 - sum(weights.values())}
    chi2 = sum((found.count(arm) - n) ** 2 / n for arm, share in expected.items() if (n := share * len(USERS)) > 1)
    assert chi2 < 16.3  # 3 degrees of freedom, p = 0.001
    assert set(found) <= set(expected)


def test_arms_do_not_depend_on_the_arms_of_another_salt() -> None:
    one, two = arms(experiment("spring", a=0.5, b=0.5)), arms(experiment("summer", a=0.5, b=0.5))
    both = sum(x == y == "a" for x, y in zip(one, two, strict=True)) / len(USERS)
    assert both == pytest.approx(0.25, abs=0.01)


def test_arm_that_grows_at_the_expense_of_the_others_loses_nobody() -> None:
    before, after = experiment(control=0.9, new=0.1), experiment(control=0.6, new=0.4)
    assert all(now == "new" for was, now in zip(arms(before), arms(after), strict=True) if was == "new")
    assert moved(before, after) == pytest.approx(0.3, abs=0.01)


def test_ramp_up_from_a_part_of_the_users_moves_only_new_ones() -> None:
    before, after = experiment(a=0.1, b=0.1), experiment(a=0.2, b=0.2)
    stay = [(was, now) for was, now in zip(arms(before), arms(after), strict=True) if was]
    assert all(was == now for was, now in stay)
    assert moved(before, after) == pytest.approx(0.2, abs=0.01)


def test_weights_of_three_arms_move_few_users_more_than_they_must() -> None:
    """By hand: a .4 → .5, b .3, c .3 → .2. At least d = .1 must move; cut-off points on a line would move .2.

    Kept are 1 / (1 + max(.75, .6) + max(.75, .4)) + 1 / (max(4/3, 5/3) + 1 + max(1, 2/3))
    + 1 / (max(4/3, 5/2) + max(1, 3/2) + 1) = .4 + .2727 + .2.
    """
    share = moved(experiment(a=0.4, b=0.3, c=0.3), experiment(a=0.5, b=0.3, c=0.2))
    assert share == pytest.approx(0.1273, abs=0.01)
    assert share <= 2 * 0.1 / 1.1


def test_arm_of_does_not_depend_on_the_order_of_the_arms() -> None:
    assert arms(experiment(a=0.3, b=0.7)) == arms(experiment(b=0.7, a=0.3))


def test_arm_without_weight_has_no_users() -> None:
    assert set(arms(experiment(a=1.0, b=0.0))) == {"a"}


def test_experiment_runs_from_its_start_to_before_its_end() -> None:
    limited = Experiment("e", "s", (), start=10.0, end=20.0)
    assert [limited.runs(at) for at in (9.9, 10.0, 19.9, 20.0)] == [False, True, True, False]
    assert Experiment("e", "s", ()).runs(0.0)


def test_plan_names_every_model_once() -> None:
    one = Experiment("e", "s", (Arm("a", "champion", 0.5), Arm("b", "3", 0.5)))
    assert Plan((one, one), Shadow("4", 0.1)).models == ("champion", "3", "4")
    assert Plan().models == ()
