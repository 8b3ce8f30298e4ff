//! The sink that receives the program's measurements, and renders the text.

use std::sync::Arc;

use spanscope_core::metrics::{Measurement, MetricSink};

use super::exposition::text;
use super::families::{Families, MAX_LABEL_SETS};
use super::negotiation::format_for;

/// Aggregates measurements for Prometheus.
///
/// Clones are handles to the same metrics: pass one to the code that measures and one to
/// [`metrics_router`](crate::metrics_router). Nothing is removed before the last one is dropped;
/// there are at most [`MAX_METRICS`](crate::MAX_METRICS) metrics with [`MAX_LABEL_SETS`] label sets
/// each, and each label is truncated to [`MAX_LABEL_VALUE`](crate::MAX_LABEL_VALUE) bytes.
///
/// - A counter adds up, and rejects negative values. A gauge keeps the last value. A histogram has
///   the buckets that the GenAI and HTTP conventions recommend, or else buckets that suit its unit.
/// - The first measurement determines kind and unit. Later ones that differ are rejected and
///   counted in `spanscope_metric_rejected_total`, with the labels `metric` and `reason`.
///
/// # Names
///
/// | measured as | kind, unit | sample | why |
/// |---|---|---|---|
/// | `prompt_tokens` | counter, `tokens` | `llama_stack_prompt_tokens_total` | documented |
/// | `completion_tokens` | counter, `tokens` | `llama_stack_completion_tokens_total` | documented |
/// | `total_tokens` | counter, `tokens` | `llama_stack_tokens_total` | documented |
/// | `llama_stack_requests_total` | counter | the same | no suffix twice |
/// | `llama_stack_request_duration_seconds` | histogram, `s` or `seconds` | the same, `_bucket`, `_sum`, `_count` | its unit is in the name |
/// | `queue_length` | gauge, `requests` | `queue_length` | a name without dots is the user's own and stays |
/// | `cache_misses` | counter | `cache_misses_total` | a counter's name ends in `_total` |
/// | `gen_ai.client.token.usage` | histogram, `{token}` | `gen_ai_client_token_usage` | text in braces is no unit |
/// | `gen_ai.client.operation.duration` | histogram, `s` | `gen_ai_client_operation_duration_seconds` | OpenTelemetry's rule |
/// | `http.server.active_requests` | gauge, `{request}` | `http_server_active_requests` | the same |
/// | `cpu.utilization` | gauge, `1` | `cpu_utilization_ratio` | the same |
/// | `disk.io` | counter, `By/s` | `disk_io_bytes_per_second_total` | the same |
///
/// Three names are those that Llama Stack documents. A dotted name is OpenTelemetry's, and is
/// translated by its rules for Prometheus: each sequence of invalid characters becomes one `_`, and
/// the unit is appended unless the name ends in it. Any other name is the user's own and stays. All
/// counters end in `_total`. If a name ends in its unit, OpenMetrics' `# UNIT` declares it. Keys of
/// labels are translated in the same way; `le` and `quantile` become `exported_le` and
/// `exported_quantile`.
///
/// # Cost
///
/// Recording takes a few hundred nanoseconds and doesn't allocate for labels that were there
/// before.
///
/// ```
/// use spanscope_core::capture::{Clock, RawValue};
/// use spanscope_core::metrics::{Measurement, MetricSink, Number};
/// use spanscope_model::MetricKind;
/// use spanscope_server::PrometheusSink;
///
/// let sink = PrometheusSink::new();
/// sink.record(&Measurement {
///     name: "total_tokens",
///     value: Number::I64(150),
///     unit: "tokens",
///     kind: MetricKind::Counter,
///     labels: &[("model_id", RawValue::Text("llama3.2:3b", None))],
///     span: None,
///     time: Clock::global().now(),
///     is_event: false,
/// });
/// let (content_type, text) = sink.encode("text/plain");
/// assert_eq!(content_type, "text/plain; version=0.0.4; charset=utf-8");
/// assert!(text.contains("llama_stack_tokens_total{model_id=\"llama3.2:3b\"} 150\n"));
/// ```
#[derive(Debug, Clone)]
pub struct PrometheusSink {
    families: Arc<Families>,
}

impl PrometheusSink {
    /// Creates a sink with at most [`MAX_LABEL_SETS`] label sets per metric.
    #[must_use]
    pub fn new() -> Self {
        Self::with_max_label_sets(MAX_LABEL_SETS)
    }

    /// Creates a sink with this maximum number of label sets per metric (default:
    /// [`MAX_LABEL_SETS`]), besides the overflow series.
    #[must_use]
    pub fn with_max_label_sets(max: usize) -> Self {
        Self {
            families: Arc::new(Families::new(max)),
        }
    }

    /// Returns the metrics as text, and its content type: OpenMetrics 1.0 with exemplars if this
    /// value of the HTTP header `Accept` requests `application/openmetrics-text`, else Prometheus'
    /// classic format 0.0.4.
    #[must_use]
    pub fn encode(&self, accept: &str) -> (&'static str, String) {
        let format = format_for(accept);
        (format.content_type(), text(&self.families, format))
    }
}

impl Default for PrometheusSink {
    fn default() -> Self {
        Self::new()
    }
}

impl MetricSink for PrometheusSink {
    fn record(&self, measurement: &Measurement<'_>) {
        self.families.record(measurement);
    }
}
