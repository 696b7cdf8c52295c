"""Traces: what the environment asks for, and what a request becomes."""

import logging
from collections.abc import Iterator

import pytest
from fastapi.testclient import TestClient
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from pipelines.settings import Settings
from serving import spans
from serving.app import create_app
from serving.spans import Spans, asked_for, opened
from tests.serving.shop import Memory, eventually

CALLER = "4bf92f3577b34da6a3ce929d0e0e4736"


@pytest.mark.parametrize(
    ("environ", "name"),
    [
        ({}, None),
        ({"OTEL_TRACES_EXPORTER": "none", "OTEL_EXPORTER_OTLP_ENDPOINT": "http://c:4318"}, None),
        ({"OTEL_TRACES_EXPORTER": "console", "OTEL_SDK_DISABLED": "true"}, None),
        ({"OTEL_SERVICE_NAME": "shop"}, None),
        ({"OTEL_TRACES_EXPORTER": "console"}, "console"),
        ({"OTEL_TRACES_EXPORTER": "otlp"}, "otlp_proto_http"),
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": "http://c:4318"}, "otlp_proto_http"),
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": "http://c:4317", "OTEL_EXPORTER_OTLP_PROTOCOL": "grpc"}, "otlp_proto_grpc"),
    ],
)
def test_traces_are_made_only_where_the_environment_asks(environ: dict[str, str], name: str | None) -> None:
    assert asked_for(environ) == name
    assert (opened({}) is None) is True


def test_exporter_that_is_not_installed_is_told_and_the_service_goes_on(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.ERROR):
        assert opened({"OTEL_TRACES_EXPORTER": "jaeger_thrift"}) is None
    assert "pip install opentelemetry-exporter-jaeger-thrift" in caplog.text


def test_exporter_is_found_by_its_name() -> None:
    assert isinstance(opened({"OTEL_TRACES_EXPORTER": "console"}), Spans)


@pytest.fixture
def exported(memory: Memory, settings: Settings, monkeypatch: pytest.MonkeyPatch) -> Iterator[list[ReadableSpan]]:
    """The spans of one recommendation and one unknown path, asked for by a caller with a trace."""
    exporter = InMemorySpanExporter()
    own = Spans(exporter)
    monkeypatch.setattr(spans, "opened", lambda _: own)
    with TestClient(create_app(settings, backends=lambda _: memory, refresh_seconds=0.05)) as client:
        eventually(lambda: client.get("/ready").status_code == 200)
        headers = {"traceparent": f"00-{CALLER}-00f067aa0ba902b7-01"}
        client.get("/recommend", params={"user_id": "U1"}, headers=headers)
    own.flush()
    yield [span for span in exporter.get_finished_spans() if f"{span.context.trace_id:032x}" == CALLER]


def test_request_is_a_span_below_its_caller_with_one_for_each_stage(exported: list[ReadableSpan]) -> None:
    (request,) = [span for span in exported if span.name == "GET /recommend"]
    assert request.parent is not None and request.parent.span_id == 0x00F067AA0BA902B7
    attributes = dict(request.attributes or {})
    assert attributes["http.route"] == "/recommend"
    assert attributes["http.response.status_code"] == 200
    assert attributes["recomart.strategy"] == "personalized"
    assert "U1" not in str(attributes)
    stages = [span for span in exported if span.parent is not None and span.parent.span_id == request.context.span_id]
    assert {"candidates", "features", "rank"} <= {stage.name for stage in stages}
    for stage in stages:
        assert request.start_time <= stage.start_time <= stage.end_time <= request.end_time
