//! The names of the GenAI conventions' metrics, their generations, and the recommended bucket
//! bounds.

/// The generation of the conventions' metric names.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum GenAiNames {
    /// Those of the conventions' last release, which dashboards and backends know.
    #[default]
    Classic,
    /// Those of their main branch, which is not released: token counters,
    /// `gen_ai.client.inference.*`.
    New,
    /// Both; each measurement is then made twice.
    Both,
    /// None of the conventions' metrics, only the three counters.
    Off,
}

impl GenAiNames {
    pub(super) fn has_classic(self) -> bool {
        matches!(self, Self::Classic | Self::Both)
    }

    pub(super) fn has_new(self) -> bool {
        matches!(self, Self::New | Self::Both)
    }
}

/// Tokens of one call, by `gen_ai.token.type`.
pub const TOKEN_USAGE: &str = "gen_ai.client.token.usage";
/// The duration of a call.
pub const OPERATION_DURATION: &str = "gen_ai.client.operation.duration";
/// The time until the first chunk of a streamed call.
pub const TIME_TO_FIRST_CHUNK: &str = "gen_ai.client.operation.time_to_first_chunk";
/// The time between two chunks of a streamed call.
pub const TIME_PER_OUTPUT_CHUNK: &str = "gen_ai.client.operation.time_per_output_chunk";
/// The duration of an agent's run in this process.
pub const AGENT_DURATION: &str = "gen_ai.invoke_agent.duration";
/// The number of its model calls, without those of the agents that it called.
pub const AGENT_INFERENCE_CALLS: &str = "gen_ai.invoke_agent.inference_calls";
/// The number of its tool calls, without those of the agents that it called.
pub const AGENT_TOOL_CALLS: &str = "gen_ai.invoke_agent.tool_calls";
/// The duration of a workflow's run.
pub const WORKFLOW_DURATION: &str = "gen_ai.invoke_workflow.duration";
/// The duration of a tool's run.
pub const TOOL_DURATION: &str = "gen_ai.execute_tool.duration";
/// The duration of a request of the Model Context Protocol, in the client.
pub const MCP_CLIENT_DURATION: &str = "mcp.client.operation.duration";
/// The duration of a request of the Model Context Protocol, in the server.
pub const MCP_SERVER_DURATION: &str = "mcp.server.operation.duration";

pub(super) const NEW_INPUT_TOKENS: &str = "gen_ai.client.inference.usage.input_tokens";
pub(super) const NEW_OUTPUT_TOKENS: &str = "gen_ai.client.inference.usage.output_tokens";
pub(super) const NEW_CACHE_READ_TOKENS: &str = "gen_ai.client.inference.usage.cache_read.input_tokens";
pub(super) const NEW_CACHE_WRITE_TOKENS: &str = "gen_ai.client.inference.usage.cache_write.input_tokens";
pub(super) const NEW_REASONING_TOKENS: &str = "gen_ai.client.inference.usage.reasoning.output_tokens";
pub(super) const NEW_INPUT_DISTRIBUTION: &str = "gen_ai.client.inference.operation.input_tokens";
pub(super) const NEW_OUTPUT_DISTRIBUTION: &str = "gen_ai.client.inference.operation.output_tokens";
const NEW_DURATION: &str = "gen_ai.client.inference.duration";
const NEW_FIRST_CHUNK: &str = "gen_ai.client.inference.time_to_first_chunk";
const NEW_PER_CHUNK: &str = "gen_ai.client.inference.time_per_output_chunk";

/// Returns the new name of a metric that was only renamed.
pub(super) fn new_name_of(classic: &str) -> Option<&'static str> {
    match classic {
        OPERATION_DURATION => Some(NEW_DURATION),
        TIME_TO_FIRST_CHUNK => Some(NEW_FIRST_CHUNK),
        TIME_PER_OUTPUT_CHUNK => Some(NEW_PER_CHUNK),
        _ => None,
    }
}

/// Returns whether a metric belongs to the conventions; these have no meaning without their labels.
pub(super) fn is_of_a_convention(name: &str) -> bool {
    ["gen_ai.", "mcp.", "http."]
        .iter()
        .any(|start| name.starts_with(start))
}

const TOKENS: &[f64] = &[
    1.0,
    4.0,
    16.0,
    64.0,
    256.0,
    1024.0,
    4096.0,
    16384.0,
    65536.0,
    262_144.0,
    1_048_576.0,
    4_194_304.0,
    16_777_216.0,
    67_108_864.0,
];
const DURATIONS: &[f64] = &[
    0.01, 0.02, 0.04, 0.08, 0.16, 0.32, 0.64, 1.28, 2.56, 5.12, 10.24, 20.48, 40.96, 81.92,
];
const TIMES_PER_TOKEN: &[f64] = &[
    0.01, 0.025, 0.05, 0.075, 0.1, 0.15, 0.2, 0.3, 0.4, 0.5, 0.75, 1.0, 2.5,
];
const TIMES_TO_FIRST_TOKEN: &[f64] = &[
    0.001, 0.005, 0.01, 0.02, 0.04, 0.06, 0.08, 0.1, 0.25, 0.5, 0.75, 1.0, 2.5, 5.0, 7.5, 10.0,
];
const AGENTS: &[f64] = &[
    0.1, 0.2, 0.4, 0.8, 1.6, 3.2, 6.4, 12.8, 25.6, 51.2, 102.4, 204.8, 409.6,
];
const WORKFLOWS: &[f64] = &[
    1.0, 5.0, 10.0, 30.0, 60.0, 120.0, 300.0, 600.0, 1800.0, 3600.0, 7200.0,
];
const CALLS: &[f64] = &[1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0, 128.0];
const MCP: &[f64] = &[
    0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0, 30.0, 60.0, 120.0, 300.0,
];
const REQUESTS: &[f64] = &[
    0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1.0, 2.5, 5.0, 7.5, 10.0,
];
/// The bounds of an HTTP request, extended to the duration of a model's response.
const LONG_REQUESTS: &[f64] = &[
    0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1.0, 2.5, 5.0, 7.5, 10.0, 30.0, 60.0, 120.0,
];

/// Returns the upper bounds of a histogram's buckets that its convention recommends; `None` if
/// there are none.
///
/// ```
/// use spanscope_layers::metrics::buckets_of;
/// assert_eq!(buckets_of("gen_ai.client.token.usage").map(<[f64]>::len), Some(14));
/// assert_eq!(buckets_of("queue_length"), None);
/// ```
#[must_use]
pub fn buckets_of(metric: &str) -> Option<&'static [f64]> {
    Some(match metric {
        TOKEN_USAGE | NEW_INPUT_DISTRIBUTION | NEW_OUTPUT_DISTRIBUTION => TOKENS,
        OPERATION_DURATION
        | TIME_TO_FIRST_CHUNK
        | TIME_PER_OUTPUT_CHUNK
        | TOOL_DURATION
        | NEW_DURATION
        | NEW_FIRST_CHUNK
        | NEW_PER_CHUNK
        | "gen_ai.server.request.duration" => DURATIONS,
        "gen_ai.server.time_per_output_token" => TIMES_PER_TOKEN,
        "gen_ai.server.time_to_first_token" => TIMES_TO_FIRST_TOKEN,
        AGENT_DURATION => AGENTS,
        WORKFLOW_DURATION => WORKFLOWS,
        AGENT_INFERENCE_CALLS | AGENT_TOOL_CALLS => CALLS,
        MCP_CLIENT_DURATION
        | MCP_SERVER_DURATION
        | "mcp.client.session.duration"
        | "mcp.server.session.duration" => MCP,
        "http.server.request.duration" | "http.client.request.duration" => REQUESTS,
        "llama_stack_request_duration_seconds" => LONG_REQUESTS,
        _ => return None,
    })
}
