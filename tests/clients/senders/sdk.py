"""Shared by the Python drivers: the SDK, set up as in a user's program, over OTLP/HTTP.

    DRIVER MODEL_URL OTLP_ENDPOINT

The model's URL is that of `model_server.py`, without a path.
"""

import os
import sys

# Settings of the machine must not change the sent records or their destination. The SDK reads some
# when it is imported.
for name in list(os.environ):
    if name.startswith("OTEL_") or name.lower() in ("http_proxy", "https_proxy", "all_proxy"):
        del os.environ[name]

MODEL, ENDPOINT = sys.argv[1:3]
os.environ["OTEL_EXPORTER_OTLP_ENDPOINT"] = ENDPOINT
# Not a secret: the server needs none, but the libraries do.
KEY = "none"

from opentelemetry import trace
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor


def traced(service):
    """Sends the spans of this program. The caller shuts down the returned provider."""
    provider = TracerProvider(resource=Resource.create({"service.name": service}))
    provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
    trace.set_tracer_provider(provider)
    return provider
