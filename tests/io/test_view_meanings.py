from typing import Any

import ibis
import pytest

from pipelines.core import contradictions
from pipelines.core.feature_views import VIEWS
from pipelines.core.features import item_profile
from pipelines.core.meanings import changed
from pipelines.io import published_views, view_meanings
from tests.feature_data import CHECKOUT

REPO = CHECKOUT / "feature_repo"


def test_code_gives_published_views_the_values_that_it_gave_when_they_were_published() -> None:
    meanings = view_meanings.meanings()
    assert meanings.keys() == VIEWS.keys()
    wrong = contradictions.contradictions(published_views.read(REPO), published_views.declared(REPO), meanings)
    assert wrong == []


def test_change_of_a_feature_shows_as_that_feature(monkeypatch: pytest.MonkeyPatch) -> None:
    def other(*given: Any) -> Any:
        return item_profile(*given).mutate(price=ibis._.price * 2)

    monkeypatch.setattr(view_meanings, "item_profile", other)
    recorded = published_views.read(REPO).views["item_profile_v1"].meaning
    assert changed(recorded, view_meanings.meanings()["item_profile_v1"]) == ["price"]
