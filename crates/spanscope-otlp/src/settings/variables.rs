//! The variables of OpenTelemetry's specification, including those that its Rust crates don't read,
//! as the table in the documentation.

/// A variable, and its effect.
#[derive(Debug, Clone, Copy)]
#[non_exhaustive]
pub struct Variable {
    /// Its name; `*` stands for nothing, `TRACES_`, `METRICS_` and `LOGS_`.
    pub name: &'static str,
    /// The value if it is not set.
    pub default: &'static str,
    /// Its effect here.
    pub effect: &'static str,
}

const fn variable(name: &'static str, default: &'static str, effect: &'static str) -> Variable {
    Variable {
        name,
        default,
        effect,
    }
}

/// Every variable of the specification (v1.60.0), and of the GenAI and exception conventions.
pub const VARIABLES: [Variable; 58] = [
    variable(
        "OTEL_SDK_DISABLED",
        "`false`",
        "`true` switches the three `otel_*` sinks off; `spanscope::init` then switches all sinks off",
    ),
    variable(
        "OTEL_CONFIG_FILE",
        "none",
        "not read: reported at the start, and the other variables apply",
    ),
    variable(
        "OTEL_SERVICE_NAME",
        "the program's name",
        "`service.name`; beats `OTEL_RESOURCE_ATTRIBUTES`",
    ),
    variable(
        "OTEL_RESOURCE_ATTRIBUTES",
        "none",
        "`key=value,...`, percent-decoded; a malformed pair is reported and left out",
    ),
    variable("OTEL_ENTITIES", "none", "not read"),
    variable(
        "OTEL_LOG_LEVEL",
        "`info`",
        "not read: errors are reported at the start, and at most once a minute",
    ),
    variable(
        "OTEL_PROPAGATORS",
        "`tracecontext,baggage`",
        "`tracecontext`, `baggage`, `none`; others are reported and left out. `spanscope::init` reads it even if nothing is exported",
    ),
    variable(
        "OTEL_TRACES_SAMPLER",
        "`parentbased_always_on`",
        "`always_on`, `always_off`, `traceidratio` and the same with `parentbased_`; local sinks are not sampled",
    ),
    variable("OTEL_TRACES_SAMPLER_ARG", "`1.0`", "the ratio, from 0 to 1"),
    variable(
        "OTEL_SPAN_ATTRIBUTE_COUNT_LIMIT",
        "128",
        "further attributes are left out of exports, and counted in the exported span",
    ),
    variable("OTEL_SPAN_EVENT_COUNT_LIMIT", "128", "the same"),
    variable("OTEL_SPAN_LINK_COUNT_LIMIT", "128", "the same"),
    variable("OTEL_EVENT_ATTRIBUTE_COUNT_LIMIT", "128", "the same"),
    variable(
        "OTEL_LINK_ATTRIBUTE_COUNT_LIMIT",
        "128",
        "links have no attributes here, so there is nothing to bound",
    ),
    variable(
        "OTEL_SPAN_ATTRIBUTE_VALUE_LENGTH_LIMIT",
        "none",
        "maximum characters of strings of spans and their events; longer ones are truncated",
    ),
    variable(
        "OTEL_ATTRIBUTE_VALUE_LENGTH_LIMIT",
        "none",
        "the same for all; `spanscope::init` truncates for every sink at this number of bytes, 16 KiB by default",
    ),
    variable(
        "OTEL_ATTRIBUTE_COUNT_LIMIT",
        "128",
        "used if the limit for spans or log records is not set",
    ),
    variable("OTEL_LOGRECORD_ATTRIBUTE_COUNT_LIMIT", "128", "as for spans"),
    variable(
        "OTEL_LOGRECORD_ATTRIBUTE_VALUE_LENGTH_LIMIT",
        "none",
        "as for spans",
    ),
    variable(
        "OTEL_BSP_SCHEDULE_DELAY",
        "5000 (ms)",
        "how long a span waits for its batch",
    ),
    variable(
        "OTEL_BSP_MAX_QUEUE_SIZE",
        "32768",
        "how many spans wait; more are dropped and counted (the specification says 2048)",
    ),
    variable(
        "OTEL_BSP_MAX_EXPORT_BATCH_SIZE",
        "512",
        "the maximum number per request",
    ),
    variable(
        "OTEL_BSP_EXPORT_TIMEOUT",
        "120000 (ms)",
        "how long a batch is retried before it is counted as lost (the specification says 30000)",
    ),
    variable(
        "OTEL_BSP_MAX_CONCURRENT_EXPORTS",
        "1",
        "not read: one request at a time",
    ),
    variable("OTEL_BLRP_SCHEDULE_DELAY", "1000 (ms)", "as for spans"),
    variable("OTEL_BLRP_MAX_QUEUE_SIZE", "32768", "as for spans"),
    variable("OTEL_BLRP_MAX_EXPORT_BATCH_SIZE", "512", "as for spans"),
    variable("OTEL_BLRP_EXPORT_TIMEOUT", "120000 (ms)", "as for spans"),
    variable(
        "OTEL_METRIC_EXPORT_INTERVAL",
        "60000 (ms)",
        "how often metrics are sent",
    ),
    variable(
        "OTEL_METRIC_EXPORT_TIMEOUT",
        "30000 (ms)",
        "how long an export is retried",
    ),
    variable(
        "OTEL_METRICS_EXEMPLAR_FILTER",
        "`trace_based`",
        "`always_on`, `always_off`, `trace_based` are accepted; the Rust SDK has no exemplars, so none are exported",
    ),
    variable(
        "OTEL_TRACES_EXPORTER",
        "`otlp`",
        "`none` turns the sink off; others than `otlp` are reported (for a console there is the sink `console`)",
    ),
    variable(
        "OTEL_METRICS_EXPORTER",
        "`otlp`",
        "the same (for Prometheus there is `metrics_router` of `spanscope-server`)",
    ),
    variable("OTEL_LOGS_EXPORTER", "`otlp`", "the same"),
    variable(
        "OTEL_EXPORTER_OTLP_ENDPOINT",
        "`http://localhost:4318`, for `grpc` `http://localhost:4317`",
        "for HTTP, `/v1/traces`, `/v1/metrics` and `/v1/logs` are appended",
    ),
    variable("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "none", "used unchanged"),
    variable("OTEL_EXPORTER_OTLP_METRICS_ENDPOINT", "none", "used unchanged"),
    variable("OTEL_EXPORTER_OTLP_LOGS_ENDPOINT", "none", "used unchanged"),
    variable(
        "OTEL_EXPORTER_OTLP_*PROTOCOL",
        "`http/protobuf`",
        "`http/protobuf`, `http/json`, `grpc` (with the feature `grpc`); others are reported, and the default applies",
    ),
    variable(
        "OTEL_EXPORTER_OTLP_*HEADERS",
        "none",
        "`key=value,...`, percent-decoded; their values are never printed",
    ),
    variable(
        "OTEL_EXPORTER_OTLP_*TIMEOUT",
        "10000 (ms)",
        "how long one request may take",
    ),
    variable(
        "OTEL_EXPORTER_OTLP_*COMPRESSION",
        "`none`",
        "`gzip`, `none`; others are reported, and the default applies",
    ),
    variable(
        "OTEL_EXPORTER_OTLP_*INSECURE",
        "`false`",
        "for `grpc` endpoints without a scheme: `true` is `http://`, else `https://`",
    ),
    variable(
        "OTEL_EXPORTER_OTLP_*CERTIFICATE",
        "the system's",
        "a PEM file with the authorities to trust instead",
    ),
    variable(
        "OTEL_EXPORTER_OTLP_*CLIENT_CERTIFICATE",
        "none",
        "a PEM file with the program's own certificate; needs the key",
    ),
    variable(
        "OTEL_EXPORTER_OTLP_*CLIENT_KEY",
        "none",
        "a PEM file with its key",
    ),
    variable(
        "OTEL_EXPORTER_OTLP_METRICS_TEMPORALITY_PREFERENCE",
        "`cumulative`",
        "`cumulative`, `delta`, `lowmemory`",
    ),
    variable(
        "OTEL_EXPORTER_OTLP_METRICS_DEFAULT_HISTOGRAM_AGGREGATION",
        "`explicit_bucket_histogram`",
        "or `base2_exponential_bucket_histogram`",
    ),
    variable(
        "OTEL_EXPORTER_PROMETHEUS_HOST",
        "`localhost`",
        "not read: mount `metrics_router` of `spanscope-server` on any server",
    ),
    variable("OTEL_EXPORTER_PROMETHEUS_PORT", "9464", "not read, as above"),
    variable(
        "OTEL_SEMCONV_STABILITY_OPT_IN",
        "none",
        "not read: `GenAiNames` of `TokenMetricsLayer` chooses the metrics' names in code",
    ),
    variable(
        "OTEL_SEMCONV_EXCEPTION_SIGNAL_OPT_IN",
        "none",
        "`logs`: exceptions are exported as log records only; `logs/dup`: as both, the default if both are on",
    ),
    variable(
        "OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT",
        "`NO_CONTENT`",
        "`SPAN_ONLY`, `EVENT_ONLY`, `SPAN_AND_EVENT` (and `true`): where contents leave the machine; `REDACTED`: length and hash",
    ),
    variable(
        "OTEL_INSTRUMENTATION_HTTP_KNOWN_METHODS",
        "RFC 9110, PATCH, QUERY",
        "not read: `spanscope-tower` has a fixed list",
    ),
    variable("OTEL_EXPORTER_OTLP_SPAN_INSECURE", "none", "obsolete, not read"),
    variable("OTEL_EXPORTER_OTLP_METRIC_INSECURE", "none", "obsolete, not read"),
    variable(
        "OTEL_EXPORTER_JAEGER_ENDPOINT",
        "none",
        "obsolete, not read: Jaeger accepts OTLP",
    ),
    variable(
        "OTEL_EXPORTER_ZIPKIN_ENDPOINT",
        "none",
        "not read: a collector can export to Zipkin",
    ),
];
