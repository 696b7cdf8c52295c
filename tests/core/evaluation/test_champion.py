from datetime import timedelta
from typing import Any

from pipelines.core.evaluation import champion
from pipelines.core.evaluation.champion import LEARNED_UNTIL, Way
from tests.core.board import CUT, bundle

OURS = dict(bundle().manifest)


def manifest(learned_until: int = 0, **changes: Any) -> dict[str, Any]:
    """A champion's: fitted two weeks after our cut, its newest label so many days after it."""
    times = {"cut": (CUT + timedelta(14)).isoformat(), LEARNED_UNTIL: (CUT + timedelta(learned_until)).isoformat()}
    return {**OURS, **times, **changes}


def other_params(**changes: Any) -> dict[str, Any]:
    return {**OURS["params"], **changes}


def test_champion_of_the_same_candidates_ranks_ours_with_its_own_ranker() -> None:
    assert champion.way(manifest(), OURS) == Way(same_candidates=True)


def test_champion_of_other_settings_of_the_ranker_has_the_same_candidates() -> None:
    params = other_params(ranker={"feature_service": "ranker_v1", "trees": 9})
    assert champion.way(manifest(params=params), OURS) == Way(same_candidates=True)


def test_champion_of_other_settings_of_a_source_has_candidates_of_its_own() -> None:
    candidates = {**OURS["params"]["candidates"], "popularity": {"half_life_days": 1}}
    assert champion.way(manifest(params=other_params(candidates=candidates)), OURS) == Way(same_candidates=False)


def test_champion_of_another_window_has_candidates_of_its_own() -> None:
    found = champion.way(manifest(params=other_params(split={"window_days": 9})), OURS)
    assert isinstance(found, Way) and not found.same_candidates


def test_champion_whose_ranker_saw_the_window_is_not_compared() -> None:
    assert "after the window began" in str(champion.way(manifest(learned_until=1), OURS))


def test_champion_without_a_record_of_its_labels_may_have_seen_all_it_knows() -> None:
    unrecorded = {name: value for name, value in manifest().items() if name != LEARNED_UNTIL}
    assert "after the window began" in str(champion.way(unrecorded, OURS))
    assert champion.way({**unrecorded, "cut": OURS["cut"]}, OURS) == Way(same_candidates=True)


def test_champion_that_this_version_can_not_score_is_not_compared() -> None:
    assert "no source als9" in str(champion.way(manifest(sources=["als9"]), OURS))
    assert "not ranker_v0" in str(champion.way(manifest(feature_service="ranker_v0"), OURS))
    assert "other inputs" in str(champion.way(manifest(features=["svd_score"]), OURS))
