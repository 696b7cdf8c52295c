from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest

from pipelines.core.evaluation.gate import Decision, Entrant, decide

CHAMPION = Entrant(3, "same", datetime(2026, 3, 1, tzinfo=UTC))
RETRAIN = Entrant(None, "same", datetime(2026, 3, 2, tzinfo=UTC))
ANOTHER = replace(RETRAIN, configuration="another")
BETTER = {"difference": 0.02, "low": 0.01, "high": 0.03}
EQUAL = {"difference": 0.001, "low": -0.002, "high": 0.004}
WORSE = {"difference": -0.02, "low": -0.03, "high": -0.01}


def decided(entrant: Entrant = ANOTHER, *, popularity: Any = BETTER, **verdicts: Any) -> Decision:
    return decide({"popularity": popularity, "users": 40} | verdicts, entrant, CHAMPION)


def test_gate_takes_another_configuration_that_beats_the_champion() -> None:
    assert decided(champion=BETTER) == Decision(
        True,
        (
            "beats popularity: NDCG@10 +0.0200 (95 % interval +0.0100 to +0.0300)",
            "beats the champion, version 3: NDCG@10 +0.0200 (95 % interval +0.0100 to +0.0300)",
        ),
    )


@pytest.mark.parametrize("verdict", [EQUAL, WORSE])
def test_gate_refuses_another_configuration_that_does_not_certainly_beat_the_champion(verdict: Any) -> None:
    assert not decided(champion=verdict).promoted


def test_gate_takes_a_retrain_that_is_not_worse() -> None:
    decision = decided(RETRAIN, champion=EQUAL)
    assert decision.promoted
    assert "on newer data, and not worse" in decision.reasons[1]


def test_gate_refuses_a_retrain_that_is_worse() -> None:
    decision = decided(RETRAIN, champion=WORSE)
    assert not decision.promoted
    assert "is worse than the champion, version 3" in decision.reasons[1]


def test_gate_refuses_a_retrain_on_older_data_that_does_not_beat_the_champion() -> None:
    assert not decided(replace(RETRAIN, cut=datetime(2026, 2, 28, tzinfo=UTC)), champion=EQUAL).promoted


def test_gate_takes_no_unrecorded_configuration_for_the_same() -> None:
    unrecorded = replace(CHAMPION, configuration="")
    verdicts = {"popularity": BETTER, "champion": EQUAL}
    assert not decide(verdicts, replace(RETRAIN, configuration=""), unrecorded).promoted


@pytest.mark.parametrize(("entrant", "promoted"), [(RETRAIN, True), (ANOTHER, False)])
def test_gate_without_comparison_takes_only_a_retrain_and_says_why(entrant: Entrant, promoted: bool) -> None:
    decision = decided(entrant, champion_not_compared="it has seen the window")
    assert decision.promoted is promoted
    assert "could not be compared (it has seen the window)" in decision.reasons[1]


def test_gate_does_not_go_by_a_comparison_with_another_champion() -> None:
    decision = decided(champion=BETTER | {"version": 2})
    assert not decision.promoted
    assert "evaluate again" in decision.reasons[1]


@pytest.mark.parametrize("popularity", [EQUAL, WORSE, {"difference": 0.02, "low": 0.0, "high": 0.04}])
def test_gate_refuses_whatever_does_not_beat_popularity(popularity: Any) -> None:
    decision = decided(RETRAIN, popularity=popularity, champion=BETTER)
    assert not decision.promoted
    assert decision.reasons[0].startswith("does not beat popularity")
    assert decision.reasons[1] == "version 3 stays champion"


@pytest.mark.parametrize(("popularity", "doubtful"), [(BETTER, False), (WORSE, True)])
def test_gate_takes_any_model_where_there_is_no_champion(popularity: Any, doubtful: bool) -> None:
    decision = decide({"popularity": popularity}, ANOTHER, None)
    assert (decision.promoted, decision.doubtful) == (True, doubtful)
