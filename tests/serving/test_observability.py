"""The dashboard and the alerts ask for what /metrics has, by names and labels that exist."""

import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from fastapi.testclient import TestClient
from prometheus_client.parser import text_string_to_metric_families

from serving.gauges import DriftReport
from tests.serving.shop import eventually

FOLDER = Path(__file__).resolve().parents[2] / "serving/observability"
RULES: list[dict[str, Any]] = yaml.safe_load((FOLDER / "rules.yml").read_text())["groups"][0]["rules"]
DASHBOARD: dict[str, Any] = json.loads((FOLDER / "grafana/dashboards/recomart.json").read_text())
PANELS = [panel for panel in DASHBOARD["panels"] if panel["type"] != "row"]
ASKED = {
    **{rule["alert"]: rule["expr"] for rule in RULES},
    **{f"{p['title']} {t['refId']}": t["expr"] for p in PANELS for t in p["targets"]},
}
SUFFIXES = {
    "counter": ("_total",),
    "gauge": ("",),
    "histogram": ("_bucket", "_sum", "_count"),
    "summary": ("_sum", "_count"),
}


@pytest.fixture
def offered(client: TestClient) -> dict[str, set[str]]:
    """Sample name → labels, of a service that has answered all kinds of requests."""
    services = client.app.state.services  # type: ignore[attr-defined]
    services.metrics.watch_queue("log", depth=lambda: 0, dropped=lambda: 0)
    services.metrics.events(1, 1, 1)
    services.metrics.rejected(401)
    for _ in range(17):
        client.get("/recommend", params={"user_id": "U1"})
    services.metrics._nulls.labels("an input").inc()
    services.security.watch.drift = DriftReport(services.keeper.snapshot.as_of, {"an input": float(np.float64(0.1))})
    text = client.get("/metrics").text
    names: dict[str, set[str]] = {}
    for family in text_string_to_metric_families(text):
        for suffix in SUFFIXES.get(family.type, ("",)):
            names.setdefault(f"{family.name}{suffix}", set())
        for sample in family.samples:
            names.setdefault(sample.name, set()).update(sample.labels)
    return names


def test_every_metric_asked_for_is_offered(offered: dict[str, set[str]]) -> None:
    unknown = {what: set(re.findall(r"recomart_\w+", expr)) - offered.keys() for what, expr in ASKED.items()}
    assert not {what: names for what, names in unknown.items() if names}


def test_every_label_asked_for_is_offered(offered: dict[str, set[str]]) -> None:
    for what, expr in ASKED.items():
        has = set().union(*(offered[name] for name in re.findall(r"recomart_\w+", expr)), {"job"})
        by = {label.strip() for labels in re.findall(r"by \(([^)]*)\)", expr) for label in labels.split(",")}
        matched = set(re.findall(r'[{,]\s*(\w+)\s*=~?"', expr))
        assert by | matched <= has, what


def test_every_metric_offered_is_looked_at(offered: dict[str, set[str]]) -> None:
    """Nothing is measured for nobody."""
    looked = set(re.findall(r"recomart_\w+", " ".join(ASKED.values())))
    families = {
        re.sub(r"_(total|bucket|sum|count|created)$", "", name) for name in offered if name.startswith("recomart_")
    }
    assert families == {re.sub(r"_(total|bucket|sum|count)$", "", name) for name in looked}


def test_alerts_say_what_is_wrong_and_whom_it_concerns() -> None:
    for rule in RULES:
        assert rule["labels"]["severity"] in ("page", "ticket"), rule["alert"]
        assert rule["annotations"]["summary"]
    assert len({rule["alert"] for rule in RULES}) == len(RULES)


def test_legends_name_labels_that_are_there(offered: dict[str, set[str]]) -> None:
    for panel in PANELS:
        for target in panel["targets"]:
            has = set().union(*(offered[name] for name in re.findall(r"recomart_\w+", target["expr"])))
            assert set(re.findall(r"\{\{(\w+)\}\}", target["legendFormat"])) <= has, panel["title"]


def test_panels_do_not_overlap() -> None:
    taken: set[tuple[int, int]] = set()
    for panel in DASHBOARD["panels"]:
        at = panel["gridPos"]
        cells = {(x, y) for x in range(at["x"], at["x"] + at["w"]) for y in range(at["y"], at["y"] + at["h"])}
        assert not cells & taken and max(x for x, _ in cells) < 24, panel["title"]
        taken |= cells
    assert len({panel["id"] for panel in DASHBOARD["panels"]}) == len(DASHBOARD["panels"])


def test_scrape_configuration_asks_the_service_of_the_compose_file(client: TestClient) -> None:
    config = yaml.safe_load((FOLDER / "prometheus.yml").read_text())
    (job,) = config["scrape_configs"]
    assert job["static_configs"][0]["targets"] == ["api:8000"]
    eventually(lambda: client.get(job["metrics_path"]).status_code == 200)
    assert job["job_name"] in RULES[0]["expr"]
