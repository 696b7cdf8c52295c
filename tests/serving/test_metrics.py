"""GET /metrics: what Prometheus scrapes."""

from datetime import UTC, datetime

import pytest
from fastapi.testclient import TestClient
from prometheus_client.parser import text_string_to_metric_families

from tests.serving.shop import CUT, Memory


def scraped(client: TestClient) -> dict[tuple[str, str], float]:
    """(sample, view or bucket) -> value."""
    response = client.get("/metrics")
    assert response.headers["content-type"].startswith("text/plain")
    return {
        (sample.name, sample.labels.get("view", sample.labels.get("le", ""))): sample.value
        for family in text_string_to_metric_families(response.text)
        for sample in family.samples
    }


def counted(client: TestClient, *users: str) -> dict[str, float]:
    """What a recommendation for each user adds to the samples without a label."""
    before = scraped(client)
    for user in users:
        client.get("/recommend", params={"user_id": user})
    client.get("/health")
    return {name: value - before[name, label] for (name, label), value in scraped(client).items() if not label}


def test_metrics_count_recommendations_and_nothing_else(client: TestClient) -> None:
    found = counted(client, "U1", "U2")
    assert found["recomart_recommend_seconds_count"] == 2
    assert 0 < found["recomart_recommend_seconds_sum"] < 5
    assert found["recomart_degraded_answers_total"] == 0


def test_metrics_count_degraded_answers(client: TestClient, memory: Memory) -> None:
    memory.shelf.down = True
    assert counted(client, "U1")["recomart_degraded_answers_total"] == 1


def test_metrics_show_the_age_of_each_view_now(client: TestClient, memory: Memory) -> None:
    found = scraped(client)
    age = (datetime.now(UTC) - CUT).total_seconds()
    assert found["recomart_feature_view_age_seconds", "user_activity_v1"] == pytest.approx(age, abs=5)
    assert found["recomart_feature_view_max_age_seconds", "user_activity_v1"] == 36 * 3600


def test_metrics_answer_before_there_is_a_model(starting: TestClient, memory: Memory) -> None:
    memory.down = True
    assert starting.get("/metrics").status_code == 200
