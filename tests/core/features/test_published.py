"""Records of what is published, and what contradicts them: a shop's ``visits_v1`` and the services that read it."""

import json
from collections.abc import Mapping
from dataclasses import replace

import pytest

from pipelines.core.features.contradictions import contradictions, next_version
from pipelines.core.features.published import (
    Declared,
    Published,
    Record,
    ServiceRecord,
    View,
    obstacles,
    of_json,
    readers,
    retire,
    to_json,
    with_new,
)

VISITS = View(("user_id",), {"visits": "Int64", "spend": "Float64"}, 0, "features.visits_v1", "36h")
MEANING = {"rows": "r", "visits": "a", "spend": "b"}
SERVICES = {"model_v1": ("visits_v1__visits", "visits_v1__spend")}
DECLARED = Declared({"visits_v1": VISITS}, SERVICES)
PUBLISHED = Published({"visits_v1": Record(VISITS, MEANING)}, {"model_v1": ServiceRecord(SERVICES["model_v1"])})


def changed(**changes: object) -> Declared:
    return replace(DECLARED, views={"visits_v1": replace(VISITS, **changes)})


def test_what_was_published_contradicts_nothing() -> None:
    assert contradictions(PUBLISHED, DECLARED, {"visits_v1": MEANING}) == []


def test_other_maximum_age_contradicts_nothing() -> None:
    assert contradictions(PUBLISHED, changed(max_age="1h"), {"visits_v1": MEANING}) == []


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"features": {"visits": "Int64"}}, "spend is gone"),
        ({"features": {**VISITS.features, "carts": "Int64", "views": "Int64"}}, "carts, views are new"),
        ({"features": {**VISITS.features, "visits": "Int32"}}, "visits was Int64 and is Int32"),
        ({"features": {"spend": "Float64", "visits": "Int64"}}, "its features are in another order"),
        ({"keys": ("user_id", "item_id")}, "its keys were user_id and are user_id, item_id"),
        ({"ttl_s": 60}, "its time to live was 0 s and is 60 s"),
        ({"table": "features.other"}, "its table was features.visits_v1 and is features.other"),
    ],
)
def test_changed_declaration_names_what_changed_and_what_to_do(changes: dict[str, object], told: str) -> None:
    (line,) = contradictions(PUBLISHED, changed(**changes))
    assert line.startswith("visits_v1 is published and never changes, but ")
    assert told in line
    assert "declare visits_v2 instead" in line
    assert "README" in line


@pytest.mark.parametrize(
    ("meaning", "told"),
    [
        (MEANING | {"visits": "x", "spend": "y"}, "the same events give other values of visits, spend"),
        (MEANING | {"rows": "x", "visits": "x"}, "the same events give it rows of other entities or moments"),
        ({}, "nothing computes it"),
    ],
)
def test_changed_meaning_names_the_features(meaning: Mapping[str, str], told: str) -> None:
    (line,) = contradictions(PUBLISHED, DECLARED, {"visits_v1": meaning})
    assert told in line
    assert "declare visits_v2 instead" in line
    assert contradictions(PUBLISHED, DECLARED) == []


def test_changed_service_is_told_like_a_view() -> None:
    less = replace(DECLARED, services={"model_v1": ("visits_v1__visits",)})
    (line,) = contradictions(PUBLISHED, less)
    assert "visits_v1__spend is gone" in line
    assert "declare model_v2 instead" in line


def test_new_view_must_be_recorded() -> None:
    more = Declared({**DECLARED.views, "visits_v2": VISITS}, {**SERVICES, "model_v2": ("visits_v2__visits",)})
    assert [line.partition(" ")[0] for line in contradictions(PUBLISHED, more)] == ["visits_v2", "model_v2"]
    recorded = with_new(PUBLISHED, more, {"visits_v1": {"rows": "other"}, "visits_v2": MEANING})
    assert contradictions(recorded, more, {"visits_v1": MEANING, "visits_v2": MEANING}) == []
    assert recorded.views["visits_v1"] == PUBLISHED.views["visits_v1"]


def test_view_that_is_gone_must_be_retired() -> None:
    lines = contradictions(PUBLISHED, Declared({}, {}))
    assert [line.partition(" ")[0] for line in lines] == ["visits_v1", "model_v1"]
    assert all("--retire" in line for line in lines)
    retired = retire(retire(PUBLISHED, "model_v1", "2026-01-02"), "visits_v1", "2026-01-02")
    assert contradictions(retired, Declared({}, {})) == []


def test_retired_name_does_not_come_back() -> None:
    (line,) = contradictions(retire(PUBLISHED, "visits_v1", "2026-01-02"), DECLARED)
    assert "visits_v1 was retired on 2026-01-02 and can't come back: declare visits_v2" in line


@pytest.mark.parametrize(
    ("name", "declared", "told"),
    [
        ("visits_v9", DECLARED, "never published"),
        ("visits_v1", DECLARED, "still in feature_repo/definitions.py"),
        ("visits_v1", Declared({}, SERVICES), "the service model_v1 pins visits_v1"),
        ("visits_v1", Declared({}, {}), "the service model_v1 pins visits_v1"),
        ("model_v1", DECLARED, "still in feature_repo/definitions.py"),
    ],
)
def test_obstacle_to_retiring_is_named(name: str, declared: Declared, told: str) -> None:
    assert told in "; ".join(obstacles(PUBLISHED, declared, name))


def test_service_goes_before_its_view() -> None:
    nothing = Declared({}, {})
    assert obstacles(PUBLISHED, nothing, "model_v1") == []
    later = retire(PUBLISHED, "model_v1", "2026-01-02")
    assert obstacles(later, nothing, "visits_v1") == []
    assert obstacles(later, nothing, "model_v1") == ["model_v1 was retired on 2026-01-02"]
    assert readers(later, "visits_v1") == readers(later, "model_v1") == ("model_v1",)


def test_records_come_back_from_json() -> None:
    stored = json.loads(json.dumps(to_json(retire(PUBLISHED, "model_v1", "2026-01-02")), sort_keys=True))
    back = of_json(stored)
    assert back == retire(PUBLISHED, "model_v1", "2026-01-02")
    assert list(back.views["visits_v1"].view.features) == ["visits", "spend"]


@pytest.mark.parametrize(
    ("name", "taken", "next_one"),
    [("a_v1", ["a_v1"], "a_v2"), ("a_v1", ["a_v1", "a_v3", "ba_v7"], "a_v4"), ("plain", [], "plain_v2")],
)
def test_next_version_is_free(name: str, taken: list[str], next_one: str) -> None:
    assert next_version(name, taken) == next_one
