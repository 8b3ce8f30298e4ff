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
//! the words of all conventions ([`spanscope_model::semconv`]), the GenAI conventions' durations and calls, and what is [`record`]ed.
//! [`collect`] gathers measurements for an answer. Nothing here adds up, makes histograms or knows a
//! text format: that is for sinks, which [`buckets_of`] and
//! [`LabelLimit`](spanscope_core::metrics::LabelLimit) help.
//!
//! | field of a span | convention | where it ends up |
//! |---|---|---|
//! | `gen_ai.usage.{input,output}_tokens` | OpenTelemetry | `prompt_tokens`, `completion_tokens`, `total_tokens` (their sum), `gen_ai.client.token.usage` |
//! | `gen_ai.usage.{prompt,completion}_tokens`, `gen_ai.system` | OpenTelemetry to 1.36 | the same, and the label `provider_id` |
//! | `llm.token_count.{prompt,completion,total}`, `llm.model_name`, `llm.provider` | OpenInference | the same, and the labels `model_id`, `provider_id` |
//! | `llm.usage.*`, `gen_ai.usage.total_tokens`, `llm.request.model`, `llm.vendor` | OpenLLMetry | the same |
//! | `ai.usage.*Tokens`, `ai.model.{id,provider}` | Vercel's SDK | the same |
//! | `{prompt,completion,total}_tokens`, `model_id`, `provider_id` | the described system | the same |
//! | `input_tokens`, `output_tokens`, `model`, `provider` | none | the same, if the span is about a model |
//! | tokens read from or written to a cache | all | `cache_read_tokens`, `cache_write_tokens`; never added to the others |
//! | reasoning tokens | all | never added; `gen_ai.client.inference.usage.*` under the new names |
//! | `gen_ai.response.time_to_first_chunk` | OpenTelemetry | `gen_ai.client.operation.time_to_first_chunk` |
//! | `gen_ai.operation.name`, `openinference.span.kind`, `traceloop.span.kind` | all | what counts; `gen_ai.{invoke_agent,invoke_workflow,execute_tool}.duration` |
//! | `mcp.method.name` | MCP | `mcp.{client,server}.operation.duration` |

mod below;
mod collect;
mod ended;
mod layer;
mod names;
mod open;
mod outlet;
mod plan;
mod record;
mod responses;
mod stats;

pub use collect::{MAX_COLLECTED, collect};
pub use layer::{TokenMetricsHandle, TokenMetricsLayer, TokenMetricsLayerBuilder};
pub use names::{
    AGENT_DURATION, AGENT_INFERENCE_CALLS, AGENT_TOOL_CALLS, GenAiNames, MCP_CLIENT_DURATION,
    MCP_SERVER_DURATION, OPERATION_DURATION, TIME_PER_OUTPUT_CHUNK, TIME_TO_FIRST_CHUNK, TOKEN_USAGE,
    TOOL_DURATION, WORKFLOW_DURATION, buckets_of,
};
pub use record::{record, record_all, record_value};
pub use spanscope_core::metrics::{MEASUREMENT_FIELDS, Measurement, MetricSink, Number};
pub use spanscope_model::CACHE_METRICS;
pub use stats::TokenMetricsStats;
