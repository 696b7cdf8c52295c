"""GET /metrics: what Prometheus scrapes."""

import os
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from fastapi.testclient import TestClient
from prometheus_client.parser import text_string_to_metric_families

from pipelines.core.models.bundle import Bundle
from serving.metrics import SAMPLED, Metrics
from tests.serving.shop import SIZE, Memory, eventually

Labels = frozenset[tuple[str, str]]


def samples(text: str) -> dict[tuple[str, Labels], float]:
    """(sample, its labels) → value."""
    return {
        (sample.name, frozenset(sample.labels.items())): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def value(text: str, name: str, **labels: str) -> float:
    return samples(text)[name, frozenset(labels.items())]


def scraped(client: TestClient) -> str:
    response = client.get("/metrics")
    assert response.headers["content-type"].startswith("text/plain")
    return response.text


def counted(client: TestClient, *users: str) -> dict[str, float]:
    """What a recommendation for each user adds to the samples without a label."""
    before = samples(scraped(client))
    for user in users:
        client.get("/recommend", params={"user_id": user})
    client.get("/health")
    return {name: now - before[name, labels] for (name, labels), now in samples(scraped(client)).items() if not labels}


def test_metrics_count_recommendations_and_nothing_else(client: TestClient) -> None:
    found = counted(client, "U1", "U2")
    assert found["recomart_recommend_seconds_count"] == 2
    assert 0 < found["recomart_recommend_seconds_sum"] < 5
    assert found["recomart_degraded_answers_total"] == 0


def test_metrics_count_degraded_answers(client: TestClient, memory: Memory) -> None:
    memory.shelf.down = True
    assert counted(client, "U1")["recomart_degraded_answers_total"] == 1


def test_metrics_count_requests_by_route_not_by_path(client: TestClient) -> None:
    client.get("/users/U1/features")
    client.get("/users/U2/features")
    client.get("/nowhere/U3")
    text = scraped(client)
    route = {"method": "GET", "route": "/users/{user_id}/features", "status": "200"}
    assert value(text, "recomart_http_requests_total", **route) == 2
    assert value(text, "recomart_http_requests_total", method="GET", route="(none)", status="404") == 1
    assert "U1" not in text and "U3" not in text


def test_metrics_time_each_stage(client: TestClient) -> None:
    client.get("/recommend", params={"user_id": "U1"})
    text = scraped(client)
    for stage in ("candidates", "features", "rank"):
        assert value(text, "recomart_stage_seconds_count", stage=stage) == 1


def test_metrics_show_the_age_of_each_view_now(client: TestClient, memory: Memory) -> None:
    memory.shelf.online, view = datetime.now(UTC) - timedelta(hours=2), "user_activity_v1"

    def age() -> float:
        return value(scraped(client), "recomart_feature_view_age_seconds", view=view)

    eventually(lambda: 7200 <= age() < 7230)
    assert value(scraped(client), "recomart_feature_view_max_age_seconds", view=view) == 36 * 3600


def test_metrics_show_the_model(client: TestClient) -> None:
    text = scraped(client)
    assert value(text, "recomart_model_info", model_version="1", feature_service="ranker_v1") == 1
    assert value(text, "recomart_model_items") == SIZE


def test_metrics_answer_before_there_is_a_model(starting: TestClient, memory: Memory) -> None:
    memory.down = True
    assert starting.get("/metrics").status_code == 200


def decided(items: list[int], inputs: np.ndarray | None = None, source: list[int] | None = None) -> SimpleNamespace:
    return SimpleNamespace(
        strategy="popular",
        degraded=(),
        items=[SimpleNamespace(item_idx=item) for item in items],
        evidence=SimpleNamespace(candidates=SimpleNamespace(source=np.array(source or [], np.int8)), inputs=inputs),
    )


def test_answers_are_counted_and_cover_the_catalogue(model: Bundle) -> None:
    metrics = Metrics(lambda: None)
    metrics.recommended(3, model, decided([0, 1]))
    metrics.recommended(3, model, decided([1, 2]))
    text = metrics.text().decode()
    answers = {"strategy": "popular", "degraded": "false", "model_version": "3"}
    assert value(text, "recomart_recommendations_total", **answers) == 2
    assert value(text, "recomart_catalogue_coverage_ratio", model_version="3") == pytest.approx(3 / SIZE)


def test_nulls_and_candidates_are_counted_of_a_sample_of_answers(model: Bundle) -> None:
    metrics, names = Metrics(lambda: None), model.manifest["features"]
    inputs = np.zeros((4, len(names)), np.float32)
    inputs[:3, 1] = np.nan
    for _ in range(2 * SAMPLED):
        metrics.recommended(1, model, decided([0], inputs, [0, 0, 0, 1]))
    text = metrics.text().decode()
    assert value(text, "recomart_ranker_rows_total") == 2 * 4
    assert value(text, "recomart_ranker_nulls_total", input=names[1]) == 2 * 3
    first, second, _ = model.manifest["sources"]
    assert value(text, "recomart_candidates_sum", source=first) == 2 * 3
    assert value(text, "recomart_candidates_sum", source=second) == 2 * 1


def test_events_and_queues_are_shown() -> None:
    metrics = Metrics(lambda: None)
    metrics.events(accepted=5, duplicates=2, unknown_items=1)
    metrics.watch_queue("log", depth=lambda: 7, dropped=lambda: 3, thinned=lambda: 5)
    metrics.watch_queue("plain", depth=lambda: 0, dropped=lambda: 0)
    text = metrics.text().decode()
    assert value(text, "recomart_events_total", outcome="accepted") == 5
    assert value(text, "recomart_queue_depth", queue="log") == 7
    assert value(text, "recomart_queue_dropped_total", queue="log") == 3
    assert value(text, "recomart_queue_thinned_total", queue="log") == 5
    assert 'recomart_queue_thinned_total{queue="plain"}' not in text


WORKER = """
from serving.metrics import Metrics
metrics = Metrics(lambda: None)
metrics.events(accepted=2, duplicates=0, unknown_items=0)
print(metrics.text().decode())
"""


def test_workers_that_share_a_folder_add_up(tmp_path: Path) -> None:
    env = os.environ | {"PROMETHEUS_MULTIPROC_DIR": str(tmp_path)}
    outputs = [
        subprocess.run([sys.executable, "-c", WORKER], env=env, capture_output=True, text=True, check=True).stdout
        for _ in range(2)
    ]
    found = [value(text, "recomart_events_total", outcome="accepted") for text in outputs]
    assert found == [2, 4]
