//! Measurements: from `tracing` events and from spans to whatever keeps, exports or adds them up.
//!
//! A [`Measurement`] is what seed 1 calls a metric event: a number of a metric, with labels, of a span. An event with the
//! fields `metric` (a text) and `value` (a number), and maybe `unit` and `instrument`, is one; its other fields are labels:
//!
//! ```
//! tracing::info!(metric = "queue_length", value = 17, unit = "requests", queue = "embeddings");
//! ```
//!
//! Sinks that are layers read such events themselves. What is measured otherwise reaches them, and sinks that are no
//! layers, as [`MetricSink`]s of the [`TokenMetricsLayer`]: the token usage of model calls, which it reads from spans in
//! the words of all conventions ([`ALIASES`]), the GenAI conventions' durations and calls, and what is [`record`]ed.
//! [`collect`] gathers measurements for an answer. Nothing here adds up, makes histograms or knows a text format: that
//! is for sinks, which [`buckets_of`] and [`LabelLimit`] help.

mod aliases;
mod below;
mod collect;
mod deed;
mod ended;
mod found;
mod layer;
mod limit;
mod measurement;
mod names;
mod open;
mod outlet;
mod plan;
mod record;
mod stats;
mod usage;

pub(crate) use aliases::note_own_key;
pub use aliases::{ALIASES, Alias, Convention, Meaning};
pub use collect::{MAX_COLLECTED, collect};
pub use layer::{TokenMetricsHandle, TokenMetricsLayer, TokenMetricsLayerBuilder};
pub use limit::{DEFAULT_MAX_LABEL_SETS, LabelLimit, MAX_METRICS, OVERFLOW_LABELS};
pub use measurement::{MEASUREMENT_FIELDS, Measurement, MetricSink, Number};
pub use names::{
    AGENT_DURATION, AGENT_INFERENCE_CALLS, AGENT_TOOL_CALLS, CACHE_METRICS, GenAiNames, MCP_CLIENT_DURATION,
    MCP_SERVER_DURATION, OPERATION_DURATION, TIME_PER_OUTPUT_CHUNK, TIME_TO_FIRST_CHUNK, TOKEN_USAGE,
    TOOL_DURATION, WORKFLOW_DURATION, buckets_of,
};
pub use record::{record, record_all, record_value};
pub use stats::TokenMetricsStats;
