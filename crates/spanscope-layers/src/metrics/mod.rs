//! Measurements: from `tracing` events and from spans to sinks that store, export or aggregate
//! them.
//!
//! A [`Measurement`] is a number of a metric, with labels and a span; Llama Stack's telemetry API
//! calls it a metric event. An event with the fields `metric` (a string) and `value` (a number),
//! and optionally `unit` and `instrument`, is one; its other fields are labels:
//!
//! ```
//! tracing::info!(metric = "queue_length", value = 17, unit = "requests", queue = "embeddings");
//! ```
//!
//! Sinks that are layers read such events themselves. Other measurements reach them, and sinks that
//! are not layers, as [`MetricSink`]s of the [`TokenMetricsLayer`]: the token usage of model calls,
//! which it reads from spans in all conventions ([`spanscope_model::semconv`]), the durations and
//! calls of the GenAI conventions, and [`record`]ed ones. [`collect`] gathers measurements for a
//! response. Nothing here aggregates or knows a text format: that is left to sinks; [`buckets_of`]
//! and [`LabelLimit`](spanscope_core::metrics::LabelLimit) help them.
//!
//! | field of a span | convention | where it ends up |
//! |---|---|---|
//! | `gen_ai.usage.{input,output}_tokens` | OpenTelemetry | `prompt_tokens`, `completion_tokens`, `total_tokens` (their sum), `gen_ai.client.token.usage` |
//! | `gen_ai.usage.{prompt,completion}_tokens`, `gen_ai.system` | OpenTelemetry to 1.36 | the same, and the label `provider_id` |
//! | `llm.token_count.{prompt,completion,total}`, `llm.model_name`, `llm.provider` | OpenInference | the same, and the labels `model_id`, `provider_id` |
//! | `llm.usage.*`, `gen_ai.usage.total_tokens`, `llm.request.model`, `llm.vendor` | OpenLLMetry | the same |
//! | `ai.usage.*Tokens`, `ai.model.{id,provider}` | Vercel's SDK | the same |
//! | `{prompt,completion,total}_tokens`, `model_id`, `provider_id` | Llama Stack | the same |
//! | `input_tokens`, `output_tokens`, `model`, `provider` | none | the same, if the span is about a model |
//! | tokens read from or written to a cache | all | `cache_read_tokens`, `cache_write_tokens`; never added to the others |
//! | reasoning tokens | all | never added; `gen_ai.client.inference.usage.*` under the new names |
//! | `gen_ai.response.time_to_first_chunk` | OpenTelemetry | `gen_ai.client.operation.time_to_first_chunk` |
//! | `gen_ai.operation.name`, `openinference.span.kind`, `traceloop.span.kind` | all | what counts; `gen_ai.{invoke_agent,invoke_workflow,execute_tool}.duration` |
//! | `mcp.method.name` | MCP | `mcp.{client,server}.operation.duration` |

mod child_activity;
mod collect;
mod ended;
mod inside;
mod layer;
mod names;
mod open;
mod outlet;
mod plan;
mod record;
mod responses;
mod stats;

pub use collect::{MAX_COLLECTED, collect};
pub use inside::is_inside_model_call;
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
