"""Sends traces, metrics and logs with the OpenTelemetry SDK for Python, and prints what it sent as one JSON document.

    otel_sdk.py ENDPOINT|default http/protobuf|http/json|grpc cumulative|delta [none|gzip]

The document is made of the SDK's own objects, as they pass by on their way to the exporter: {client, resource, spans,
metrics, logs}. An attribute or value is {type, value}, with OTLP's types (bool, int, double, string, array, map); a time
is a text of nanoseconds, or null where none is sent; an id is hex, or null. The points of a metric are those of both
exports, in order. `otel_sdk.mjs` prints the same shape.

It exits with 1 if an export fails, which the SDK itself only logs.
"""

import json
import logging
import math
import os
import sys
import warnings

# Settings of the machine must not change the sent records or their destination. The SDK reads some
# when it is imported.
for name in list(os.environ):
    if name.startswith("OTEL_") or name.lower() in ("http_proxy", "https_proxy", "all_proxy"):
        del os.environ[name]

ENDPOINT, PROTOCOL, TEMPORALITY = sys.argv[1:4]
COMPRESSION = sys.argv[4] if len(sys.argv) > 4 else "none"

# Configured as users do: through the environment.
if ENDPOINT != "default":
    os.environ["OTEL_EXPORTER_OTLP_ENDPOINT"] = ENDPOINT
if TEMPORALITY != "cumulative":
    os.environ["OTEL_EXPORTER_OTLP_METRICS_TEMPORALITY_PREFERENCE"] = TEMPORALITY
if COMPRESSION != "none":
    os.environ["OTEL_EXPORTER_OTLP_COMPRESSION"] = COMPRESSION

from opentelemetry import trace
from opentelemetry._logs import LogRecord, SeverityNumber
from opentelemetry.metrics import Observation
from opentelemetry.sdk._logs import LoggerProvider, LoggingHandler
from opentelemetry.sdk._logs.export import BatchLogRecordProcessor
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import ExponentialHistogram, Histogram, PeriodicExportingMetricReader, Sum
from opentelemetry.sdk.metrics.view import ExponentialBucketHistogramAggregation, View
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.sdk.trace.id_generator import RandomIdGenerator
from opentelemetry.sdk.version import __version__
from opentelemetry.trace import Link, NonRecordingSpan, SpanContext, SpanKind, Status, StatusCode, TraceFlags, TraceState

if PROTOCOL == "http/protobuf":
    from opentelemetry.exporter.otlp.proto.http._log_exporter import OTLPLogExporter
    from opentelemetry.exporter.otlp.proto.http.metric_exporter import OTLPMetricExporter
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
elif PROTOCOL == "http/json":
    from opentelemetry.exporter.otlp.json.http._log_exporter import OTLPLogExporter
    from opentelemetry.exporter.otlp.json.http.metric_exporter import OTLPMetricExporter
    from opentelemetry.exporter.otlp.json.http.trace_exporter import OTLPSpanExporter
elif PROTOCOL == "grpc":
    from opentelemetry.exporter.otlp.proto.grpc._log_exporter import OTLPLogExporter
    from opentelemetry.exporter.otlp.proto.grpc.metric_exporter import OTLPMetricExporter
    from opentelemetry.exporter.otlp.proto.grpc.trace_exporter import OTLPSpanExporter
else:
    sys.exit(f"no exporter for {PROTOCOL}")

sent = {"spans": [], "metrics": {}, "logs": []}
failed = []


def recorded(exporter, describe):
    """Describes the records during their export: a second reader of metrics would collect its own numbers and times."""
    export = exporter.export

    def both(batch, **options):
        describe(batch)
        result = export(batch, **options)
        if result.name != "SUCCESS":
            failed.append(f"{type(exporter).__name__}: {result.name}")
        return result

    exporter.export = both
    return exporter


def typed(value):
    """A value with its type in OTLP."""
    match value:
        case bool():
            return {"type": "bool", "value": value}
        case int():
            return {"type": "int", "value": value}
        case float():
            return {"type": "double", "value": value}
        case str():
            return {"type": "string", "value": value}
        case list() | tuple():
            return {"type": "array", "value": [typed(one) for one in value]}
        case dict():
            return {"type": "map", "value": attributes(value)}
    raise TypeError(f"no type for {value!r}")


def attributes(given):
    return {key: typed(value) for key, value in (given or {}).items()}


def nanos(time):
    """As text, like OTLP's own JSON: Node has no numbers for it."""
    return None if time is None else str(time)


def scope(given):
    return {"name": given.name, "version": given.version or "", "attributes": attributes(given.attributes)}


def trace_id(number):
    return trace.format_trace_id(number) if number else None


def span_id(number):
    return trace.format_span_id(number) if number else None


def describe_spans(batch):
    for span in batch:
        parent = span.parent
        sent["spans"].append({
            "trace_id": trace_id(span.context.trace_id),
            "span_id": span_id(span.context.span_id),
            "parent_span_id": span_id(parent.span_id) if parent else None,
            "parent_is_remote": bool(parent and parent.is_remote),
            "trace_state": span.context.trace_state.to_header(),
            "name": span.name,
            "kind": span.kind.name,
            "start_ns": nanos(span.start_time),
            "end_ns": nanos(span.end_time),
            "status": {"code": span.status.status_code.name, "message": span.status.description or ""},
            "attributes": attributes(span.attributes),
            "events": [
                {"name": event.name, "time_ns": nanos(event.timestamp), "attributes": attributes(event.attributes)}
                for event in span.events
            ],
            # Without the link's tracestate, which this SDK's exporters leave out.
            "links": [
                {
                    "trace_id": trace_id(link.context.trace_id),
                    "span_id": span_id(link.context.span_id),
                    "trace_state": "",
                    "attributes": attributes(link.attributes),
                }
                for link in span.links
            ],
            "scope": scope(span.instrumentation_scope),
        })


def describe_point(point, kind):
    described = {
        "attributes": attributes(point.attributes),
        "start_ns": nanos(point.start_time_unix_nano),
        "time_ns": nanos(point.time_unix_nano),
        "exemplars": [
            {
                "time_ns": nanos(exemplar.time_unix_nano),
                "value": typed(exemplar.value),
                "trace_id": trace_id(exemplar.trace_id),
                "span_id": span_id(exemplar.span_id),
                "attributes": attributes(exemplar.filtered_attributes),
            }
            for exemplar in point.exemplars
        ],
    }
    if kind in ("sum", "gauge"):
        return described | {"value": typed(point.value)}
    described |= {"count": point.count, "sum": float(point.sum), "min": float(point.min), "max": float(point.max)}
    if kind == "histogram":
        return described | {"bounds": list(point.explicit_bounds), "bucket_counts": list(point.bucket_counts)}
    buckets = {
        sign: {"offset": side.offset, "bucket_counts": list(side.bucket_counts)}
        for sign, side in (("positive", point.positive), ("negative", point.negative))
    }
    return described | {"scale": point.scale, "zero_count": point.zero_count} | buckets


def describe_metrics(data):
    kinds = {Sum: "sum", Histogram: "histogram", ExponentialHistogram: "exponential_histogram"}
    for of_scope in (each for of_resource in data.resource_metrics for each in of_resource.scope_metrics):
        for metric in of_scope.metrics:
            kind = kinds.get(type(metric.data), "gauge")
            temporality = getattr(metric.data, "aggregation_temporality", None)
            described = {
                "name": metric.name,
                "description": metric.description,
                "unit": metric.unit,
                "kind": kind,
                "temporality": temporality.name.lower() if temporality else None,
                "monotonic": getattr(metric.data, "is_monotonic", None),
                "scope": scope(of_scope.scope),
                "points": [],
            }
            # The points of all exports, in order.
            points = sent["metrics"].setdefault(metric.name, described)["points"]
            points += [describe_point(point, kind) for point in metric.data.data_points]


def describe_logs(batch):
    for given in batch:
        record = given.log_record
        sent["logs"].append({
            "time_ns": nanos(record.timestamp),
            "observed_ns": nanos(record.observed_timestamp),
            "severity_number": record.severity_number.value,
            "severity_text": record.severity_text or "",
            "event_name": record.event_name or "",
            "body": typed(record.body),
            "attributes": attributes(record.attributes),
            "trace_id": trace_id(record.trace_id),
            "span_id": span_id(record.span_id),
            "scope": scope(given.instrumentation_scope),
        })


resource = Resource.create({"service.name": "python-sdk", "service.version": "1.2.3", "worker.index": 7})
tracers = TracerProvider(resource=resource)
tracers.add_span_processor(BatchSpanProcessor(recorded(OTLPSpanExporter(), describe_spans)))
loggers = LoggerProvider(resource=resource)
loggers.add_log_record_processor(BatchLogRecordProcessor(recorded(OTLPLogExporter(), describe_logs)))
# Collects only on request, so that a slow run sends the same points.
reader = PeriodicExportingMetricReader(recorded(OTLPMetricExporter(), describe_metrics), math.inf)
exponential = View(instrument_name="app.payload", aggregation=ExponentialBucketHistogramAggregation())
meters = MeterProvider([reader], resource, views=[exponential])

tracer = tracers.get_tracer("clients.tracer", "0.1", attributes={"layer": "app"})
meter = meters.get_meter("clients.meter", "0.2")

requests = meter.create_counter("app.requests", "{request}", "Requests that came in")
cost = meter.create_counter("app.cost", "USD", "What the models cost")
queue = meter.create_up_down_counter("app.queue", "{job}", "Jobs that wait")
duration = meter.create_histogram(
    "app.duration", "s", "How long it took", explicit_bucket_boundaries_advisory=[0.1, 0.5, 1.0, 5.0]
)
payload = meter.create_histogram("app.payload", "By", "How large it was")
meter.create_observable_gauge(
    "app.temperature", [lambda _: [Observation(21.5, {"room": "lab"}), Observation(-4.25, {"room": "yard"})]], "Cel"
)

with warnings.catch_warnings():
    warnings.simplefilter("ignore", DeprecationWarning)  # its successor is in a package of instrumentations
    handler = LoggingHandler(logger_provider=loggers)
log = logging.getLogger("clients.app")
log.setLevel(logging.DEBUG)
log.propagate = False  # only to the SDK
log.addHandler(handler)


def measure(factor):
    requests.add(3 * factor, {"route": "/chat", "ok": True})
    requests.add(1, {"route": "/health", "ok": True})
    cost.add(0.125 * factor, {"model": "large"})
    queue.add(5)
    queue.add(-2 * factor)
    for seconds in (0.05, 0.1, 0.75, 7.5):
        duration.record(seconds * factor, {"route": "/chat"})
    for size in (0, 1, 300, 4096 * factor):
        payload.record(size)


CHAT = {
    "gen_ai.operation.name": "chat",
    "gen_ai.provider.name": "openai",
    "gen_ai.request.model": "large",
    "gen_ai.request.temperature": 0.5,
    "gen_ai.response.model": "large-2026-01-01",
    "gen_ai.response.finish_reasons": ["stop"],
}
USAGE = {"gen_ai.usage.input_tokens": 120, "gen_ai.usage.output_tokens": 30}

# A caller elsewhere began the trace. Its ids are new in each run, so that runs against one store
# don't mix.
ids = RandomIdGenerator()
vendors = TraceState([("vendor", "opaque"), ("other", "00f067")])
sampled = TraceFlags(TraceFlags.SAMPLED)
caller = SpanContext(ids.generate_trace_id(), ids.generate_span_id(), True, sampled, vendors)
elsewhere = SpanContext(ids.generate_trace_id(), ids.generate_span_id(), True, sampled)

log.info("before any span", extra={"attempt": 1})
remote = trace.set_span_in_context(NonRecordingSpan(caller))
with tracer.start_as_current_span("POST /chat", remote, SpanKind.SERVER) as server:
    server.set_attributes({
        "text": "grüße 🦀",
        "text.empty": "",
        "yes": True,
        "no": False,
        "int": 42,
        "int.largest": 2**63 - 1,
        "int.smallest": -(2**63),
        "double": 0.1,
        "double.whole": 2.0,
        "double.huge": 1e300,
        "texts": ["a", "b"],
        "ints": [1, -2],
        "doubles": [0.5, 1.0],
        "bools": [True, False],
        "empty": [],
    })
    server.add_event("accepted", {"bytes": 512, "cached": False})
    server.add_event("bare")
    log.warning("queue is %d %% full", 80, extra={"queue": "chat", "full": 0.8})
    measure(1)
    # The agent's span has the sum of its calls too; a sum over all spans counts them twice.
    with tracer.start_as_current_span("invoke_agent planner") as agent:
        agent.set_attributes({"gen_ai.operation.name": "invoke_agent", "gen_ai.agent.name": "planner"} | USAGE)
        with tracer.start_as_current_span("chat large", kind=SpanKind.CLIENT, attributes=CHAT | USAGE) as chat:
            log.debug("asked the model")
            chat.set_status(Status(StatusCode.OK))
        try:
            with tracer.start_as_current_span("execute_tool weather", attributes={"gen_ai.tool.name": "weather"}):
                raise ValueError("no such city")  # the span records it, and its status
        except ValueError:
            log.exception("the tool failed")
    with tracer.start_as_current_span("publish", kind=SpanKind.PRODUCER) as producer:
        pass

links = [Link(producer.get_span_context(), {"messaging.offset": 9, "why": "caused by"}), Link(elsewhere)]
with tracer.start_as_current_span("consume", kind=SpanKind.CONSUMER, links=links):
    # A name and no text of the severity, which the handler can't send.
    loggers.get_logger("clients.events", "0.3").emit(
        LogRecord(
            timestamp=producer.end_time,
            severity_number=SeverityNumber.TRACE,
            event_name="message.read",
            body={"id": 12, "parts": ["head", 0.5], "done": True},
            attributes={"nested": {"depth": 1}},
        )
    )
log.critical("after all spans")

meters.force_flush()
measure(2)
meters.force_flush()
for provider in (meters, loggers, tracers):
    provider.shutdown()
# At exit, Python would have the handler flush, for which it starts a thread, which Python then
# refuses.
log.removeHandler(handler)
del handler

client = {
    "language": "python",
    "version": __version__,
    "endpoint": ENDPOINT,
    "protocol": PROTOCOL,
    "temporality": TEMPORALITY,
    "compression": COMPRESSION,
}
print(json.dumps(
    {"client": client, "resource": attributes(resource.attributes)} | sent | {"metrics": list(sent["metrics"].values())}
))
if failed:
    sys.exit(f"exports failed: {failed}")
