"""The command on real stores: what was true at the cut, from Postgres, beside what is online, from Redis."""

import argparse
import json
from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path

import pytest
import redis

from pipelines.commands import drift
from pipelines.context import Context
from pipelines.core.errors import DataQualityError, ModelError
from pipelines.core.models.ranker_inputs import reads
from pipelines.io import postgres
from pipelines.io.models import drift_report, registry
from pipelines.io.models.drift_sample import drawn
from pipelines.settings import Settings
from serving.security.watched import Watched
from tests import feature_data

CHECKOUT = Path(__file__).resolve().parents[2]
DAYS = 50
Compare = Callable[..., dict[str, object]]


@pytest.fixture
def compare(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> Compare:
    """Run the command for a champion of ``service`` that was trained on the events before a day."""
    (settings.root / "params.yaml").symlink_to(CHECKOUT / "params.yaml")
    events = feature_data.random_events(seed=9, n=3000, users=150, items=30)
    events = [event | {"category": f"c{event['item_id'][-1]}"} for event in events]
    products = [feature_data.product(f"i{n}", 0, category=f"c{str(n)[-1]}") for n in range(30)]
    feature_data.published(settings, events, products)

    def run(cut: float, service: str = "ranker_v2") -> dict[str, object]:
        tags = {"cut": feature_data.day(cut).isoformat()}
        champion = registry.Known(7, "run", (registry.CHAMPION,), service, tags)
        monkeypatch.setattr(registry, "known", lambda _: [champion])
        args = argparse.Namespace(users=100, threshold=0.25, seed=0)
        try:
            drift.run(Context(args, settings))
        finally:
            (path,) = (settings.root / drift_report.FOLDER).glob("*.json")
            found: dict[str, object] = json.loads(path.read_text())
        return found

    return run


@pytest.mark.parametrize("service", ["ranker_v1", "ranker_v2"])
def test_what_is_online_is_what_was_published(compare: Compare, service: str) -> None:
    """At the same moment both stores give the same, so a drift of anything would be a skew between them."""
    found = compare(DAYS, service)
    inputs = found["inputs"]
    assert isinstance(inputs, dict)
    assert set(inputs) == set(reads(service).inputs)
    assert {name: drift["psi"] for name, drift in inputs.items()} == dict.fromkeys(inputs, 0.0)
    assert (found["users"], found["moved"], found["model_version"]) == ([100, 100], [], 7)


def test_features_that_vanish_online_are_told_and_reach_the_service(
    compare: Compare, settings: Settings, capsys: pytest.CaptureFixture[str]
) -> None:
    with redis.Redis.from_url(settings.redis) as client:
        client.delete(*[key for key in client.scan_iter() if b"user_id" in key and b"item_id" not in key])
    with pytest.raises(DataQualityError, match="no longer what the model learned from"):
        compare(DAYS)
    assert "inputs have drifted" in capsys.readouterr().out
    said = Watched(settings)()
    assert said.drift is not None
    assert said.drift.psi["user_recency_days"] > 0.25
    assert said.drift.psi["item_recency_days"] == 0


def test_history_that_has_grown_shows(compare: Compare) -> None:
    with pytest.raises(DataQualityError):
        compare(15)  # all-time counts were small then


def test_reports_in_postgres_are_bounded(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(drift_report, "KEPT", 2)
    at = feature_data.day(0)
    with postgres.connect(settings) as connection:
        assert drift_report.newest(connection) is None
        for day in range(4):
            moment = at + timedelta(days=day)
            drift_report.record(connection, drift_report.Report(moment, 1, "s", at, at, (1, 1), 0.25, {}))
        assert connection.execute("SELECT count(*) FROM live.drift_reports").fetchone() == (2,)
        assert drift_report.newest(connection) == (at + timedelta(days=3), {})


def test_sample_is_of_active_users_with_their_last_item(settings: Settings) -> None:
    events = [
        feature_data.event("a", "old", "view", 1),
        feature_data.event("b", "i1", "view", 8),
        feature_data.event("b", "i2", "view", 9, category="c"),
        feature_data.event("b", "later", "view", 10.5),
        feature_data.event("d", "i3", "view", 9.5),
    ]
    feature_data.prepared(settings, events, [])
    sample = drawn(settings.root, feature_data.day(10), days=5, users=10, seed=1)
    rows = [(row["user_id"], row["item_id"], row["category"]) for row in sample.to_pylist()]
    assert rows == [("b", "i2", "c"), ("d", "i3", "")]
    assert len(drawn(settings.root, feature_data.day(10), days=5, users=1, seed=1)) == 1


def test_without_a_champion_it_says_what_to_run(settings: Settings) -> None:
    (settings.root / "params.yaml").symlink_to(CHECKOUT / "params.yaml")
    with pytest.raises(ModelError, match="no model is promoted yet"):
        drift._report(Context(argparse.Namespace(users=1, threshold=1, seed=0), settings), datetime.now())
