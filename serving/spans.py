"""OpenTelemetry spans of requests and their stages, where the standard ``OTEL_*`` variables ask for them.

``OTEL_TRACES_EXPORTER`` (``otlp`` or ``console``) or an ``OTEL_EXPORTER_OTLP_ENDPOINT`` turns them on,
``OTEL_SDK_DISABLED=true`` off; sampler, resource and batch variables are the SDK's own. Spans are made of a request's
trace when it has ended, so a request waits for none, and where nothing is asked for this costs nothing.
"""

import logging
from collections.abc import Mapping
from importlib.metadata import entry_points
from typing import Final

from opentelemetry import trace as otel
from opentelemetry.sdk.resources import SERVICE_NAME, Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter
from opentelemetry.trace import SpanKind, Status, StatusCode
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from serving.tracing import Trace

EXPORTERS: Final = "opentelemetry_traces_exporter"
"""The group of entry points by which exporters are found, whoever brings them."""
OTLP: Final = {"http/protobuf": "otlp_proto_http", "grpc": "otlp_proto_grpc"}
ENDPOINTS: Final = ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "OTEL_EXPORTER_OTLP_ENDPOINT")
SHOWN: Final = ("strategy", "degraded", "model_version", "recommendation_id", "key")
"""Notes that become attributes; whose request it was doesn't."""

log = logging.getLogger(__name__)


def asked_for(environ: Mapping[str, str]) -> str | None:
    """The name of the exporter's entry point; None where no traces are asked for."""
    exporter = environ.get("OTEL_TRACES_EXPORTER", "otlp" if any(environ.get(name) for name in ENDPOINTS) else "none")
    if exporter == "none" or not exporter or environ.get("OTEL_SDK_DISABLED", "").lower() == "true":
        return None
    protocol = environ.get("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL") or environ.get("OTEL_EXPORTER_OTLP_PROTOCOL")
    return OTLP.get(protocol or "http/protobuf", "otlp_proto_http") if exporter == "otlp" else exporter


def opened(environ: Mapping[str, str]) -> "Spans | None":
    """Spans to where the environment says; None where it asks for none, or for an exporter that isn't installed."""
    name = asked_for(environ)
    if name is None:
        return None
    found = next(iter(entry_points(group=EXPORTERS, name=name)), None)
    if found is None:
        package = f"opentelemetry-exporter-{name.replace('_', '-')}"
        log.error("no traces: the exporter %s isn't installed (pip install %s)", name, package)
        return None
    return Spans(found.load()())


class Spans:
    """Exports what is known of each request, in batches on a thread of the SDK's; what is left goes out at the exit."""

    def __init__(self, exporter: SpanExporter) -> None:
        self._provider = TracerProvider(resource=Resource({SERVICE_NAME: "recomart"}).merge(Resource.create()))
        self._provider.add_span_processor(BatchSpanProcessor(exporter))
        self._tracer = self._provider.get_tracer("serving")
        self._propagator = TraceContextTextMapPropagator()

    def ended(self, trace: Trace) -> None:
        """Make the spans of a request that has ended: one of it, below the caller's, and one of each stage."""
        parent = self._propagator.extract({"traceparent": trace.parent}) if trace.parent else None
        name = f"{trace.method} {trace.route}"
        span = self._tracer.start_span(name, parent, SpanKind.SERVER, start_time=trace.began_ns)
        if span.is_recording():
            span.set_attributes(
                {
                    "http.request.method": trace.method,
                    "http.route": trace.route,
                    "http.response.status_code": trace.status,
                    "recomart.request_id": trace.request_id,
                    **{f"recomart.{name}": trace.notes[name] for name in SHOWN if name in trace.notes},
                }
            )
            if trace.status >= 500:
                span.set_status(Status(StatusCode.ERROR))
            within = otel.set_span_in_context(span)
            for stage, start, end in trace.spans:
                child = self._tracer.start_span(stage, within, start_time=_moment(trace, start))
                child.end(_moment(trace, end))
        span.end(_moment(trace, trace.total_ms / 1000))

    def flush(self) -> None:
        """Export what waits."""
        self._provider.force_flush()


def _moment(trace: Trace, seconds: float) -> int:
    """Nanoseconds since 1970, so many seconds after the request came."""
    return trace.began_ns + int(seconds * 1e9)
