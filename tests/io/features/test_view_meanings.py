from typing import Any

import ibis
import pyarrow as pa
import pytest

from pipelines.core.features import contradictions, feature_values
from pipelines.core.features.entities import ITEM
from pipelines.core.features.feature_views import VIEWS, View
from pipelines.core.features.item_profile import item_profile
from pipelines.core.features.meanings import changed
from pipelines.io.features import published_views, view_meanings
from tests.feature_data import CHECKOUT

REPO = CHECKOUT / "feature_repo"


def test_code_gives_published_views_the_values_that_it_gave_when_they_were_published() -> None:
    meanings = view_meanings.meanings()
    assert meanings.keys() == VIEWS.keys()
    wrong = contradictions.contradictions(published_views.read(REPO), published_views.declared(REPO), meanings)
    assert wrong == []


def test_later_view_has_the_rows_of_the_net_view_and_leaves_it_as_it_was(monkeypatch: pytest.MonkeyPatch) -> None:
    before = view_meanings.rows()["item_activity_v2"]
    later = View(("item_id",), {"views_7d": pa.int32(), "conversion_30d": pa.float64(), "taken_out": pa.int32()})
    monkeypatch.setitem(VIEWS, "item_activity_v9", later)
    monkeypatch.setitem(
        feature_values.LATER_VIEWS[ITEM],
        "item_activity_v9",
        lambda known: {"conversion_30d": known["conversion_30d"] * 2, "taken_out": known["removals_all"]},
    )
    found = view_meanings.rows()
    columns = found["item_activity_v9"]
    assert found["item_activity_v2"].equals(before)
    assert columns["event_timestamp"].equals(before["event_timestamp"])
    assert columns["views_7d"].equals(before["views_7d"])
    assert columns["taken_out"].equals(before["removals_all"])
    assert columns["conversion_30d"].to_pylist() == [2 * value for value in before["conversion_30d"].to_pylist()]


def test_change_of_a_feature_shows_as_that_feature(monkeypatch: pytest.MonkeyPatch) -> None:
    def other(*given: Any) -> Any:
        return item_profile(*given).mutate(price=ibis._.price * 2)

    monkeypatch.setattr(view_meanings, "item_profile", other)
    recorded = published_views.read(REPO).views["item_profile_v1"].meaning
    assert changed(recorded, view_meanings.meanings()["item_profile_v1"]) == ["price"]
