"""The age of what each view knows."""

import argparse
import json
from datetime import UTC, datetime, timedelta

import pytest

from pipelines.commands import freshness, materialize
from pipelines.context import Context
from pipelines.core.errors import InputError, ServiceError
from pipelines.core.features.feature_views import VIEWS
from pipelines.io.features import feast_store
from pipelines.settings import Settings
from tests import published_lake
from tests.conftest import emptied_redis
from tests.published_lake import VIEW, base, part, unpublished, user  # noqa: F401  fixtures

pytestmark = pytest.mark.services


def online(shop: Settings, monkeypatch: pytest.MonkeyPatch, hours_ago: float) -> datetime:
    """Let features that end some hours ago be published and materialized; return their end."""
    end = datetime.now(UTC).replace(microsecond=0) - timedelta(hours=hours_ago)
    monkeypatch.setattr(published_lake, "START", end - timedelta(days=3))
    published_lake.load(shop, 3, {part(1): [user("a", 1, 1)]})
    materialize.run(published_lake.shop(shop))
    return end


def run(shop: Settings, as_json: bool = False) -> None:
    freshness.run(Context(argparse.Namespace(json=as_json), shop))


def test_freshness_shows_newest_row_watermark_age_and_maximum(
    shop: Settings, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    end = online(shop, monkeypatch, hours_ago=5)
    run(shop)
    header, *lines = capsys.readouterr().out.splitlines()
    assert header.split() == ["VIEW", "NEWEST", "ONLINE", "AGE", "MAXIMUM", "STATE"]
    assert len(lines) == len(VIEWS)
    (line,) = [line for line in lines if line.startswith(f"{VIEW} ")]
    row = f"{end - timedelta(days=2):%Y-%m-%d %H:%M} {end:%Y-%m-%d %H:%M} 5 h 36 h fresh"
    assert line.split() == [VIEW, *row.split()]
    (profile,) = [line for line in lines if line.startswith("item_profile_v1 ")]
    assert profile.split() == ["item_profile_v1", "-", *f"{end:%Y-%m-%d %H:%M} 5 h 7 d fresh".split()]


def test_freshness_names_what_is_stale_and_only_that(shop: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    online(shop, monkeypatch, hours_ago=40)
    with pytest.raises(InputError, match="make pipeline") as failed:
        run(shop)
    assert VIEW in str(failed.value)
    assert "item_profile_v1" not in str(failed.value)


def test_freshness_of_an_emptied_redis_is_stale(
    shop: Settings, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    online(shop, monkeypatch, hours_ago=5)
    emptied_redis(shop)
    with pytest.raises(InputError, match="make materialize"):
        run(shop, as_json=True)
    found = {view["view"]: view for view in map(json.loads, capsys.readouterr().out.splitlines())}
    assert found.keys() == VIEWS.keys()
    assert (found[VIEW]["online"], found[VIEW]["age_seconds"], found[VIEW]["fresh"]) == (None, None, False)


def test_freshness_as_json_has_seconds(
    shop: Settings, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    end = online(shop, monkeypatch, hours_ago=5)
    run(shop, as_json=True)
    (view,) = [v for v in map(json.loads, capsys.readouterr().out.splitlines()) if v["view"] == VIEW]
    assert view["online"] == end.isoformat()
    assert view["age_seconds"] == pytest.approx(5 * 3600, abs=60)
    assert (view["max_age_seconds"], view["fresh"]) == (36 * 3600, True)


def test_freshness_isnt_moved_by_materializing_up_to_now(shop: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    online(shop, monkeypatch, hours_ago=40)
    feast_store.open_store(shop).materialize_incremental(datetime.now(UTC))
    with pytest.raises(InputError, match="stale"):
        run(shop)


def test_freshness_before_any_publish_is_stale(shop: Settings) -> None:
    with pytest.raises(InputError, match="make materialize"):
        run(shop)


def test_freshness_before_apply_says_what_to_run(settings: Settings) -> None:
    published_lake.shop(settings)
    with pytest.raises(ServiceError, match="make pipeline"):
        run(settings)
