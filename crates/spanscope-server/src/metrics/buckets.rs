//! Which buckets a histogram has: those that its convention advises, and else those that suit its unit.

/// Tokens of one call.
const TOKENS: &[f64] = &[
    1.0,
    4.0,
    16.0,
    64.0,
    256.0,
    1_024.0,
    4_096.0,
    16_384.0,
    65_536.0,
    262_144.0,
    1_048_576.0,
    4_194_304.0,
    16_777_216.0,
    67_108_864.0,
];

/// Seconds of a model or tool call.
const CALL_SECONDS: &[f64] = &[
    0.01, 0.02, 0.04, 0.08, 0.16, 0.32, 0.64, 1.28, 2.56, 5.12, 10.24, 20.48, 40.96, 81.92,
];

const SECONDS_PER_TOKEN: &[f64] = &[
    0.01, 0.025, 0.05, 0.075, 0.1, 0.15, 0.2, 0.3, 0.4, 0.5, 0.75, 1.0, 2.5,
];

const SECONDS_TO_FIRST_TOKEN: &[f64] = &[
    0.001, 0.005, 0.01, 0.02, 0.04, 0.06, 0.08, 0.1, 0.25, 0.5, 0.75, 1.0, 2.5, 5.0, 7.5, 10.0,
];

const WORKFLOW_SECONDS: &[f64] = &[
    1.0, 5.0, 10.0, 30.0, 60.0, 120.0, 300.0, 600.0, 1_800.0, 3_600.0, 7_200.0,
];

const AGENT_SECONDS: &[f64] = &[
    0.1, 0.2, 0.4, 0.8, 1.6, 3.2, 6.4, 12.8, 25.6, 51.2, 102.4, 204.8, 409.6,
];

const CALLS: &[f64] = &[1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0, 128.0];

/// Seconds of an HTTP request, as the HTTP conventions advise.
const REQUEST_SECONDS: &[f64] = &[
    0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1.0, 2.5, 5.0, 7.5, 10.0,
];

/// The same, and on to what an answer of a model takes.
const LONG_REQUEST_SECONDS: &[f64] = &[
    0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1.0, 2.5, 5.0, 7.5, 10.0, 30.0, 60.0, 120.0,
];

/// What OpenTelemetry's SDKs take where nothing is advised.
const ANYTHING: &[f64] = &[
    0.0, 5.0, 10.0, 25.0, 50.0, 75.0, 100.0, 250.0, 500.0, 750.0, 1_000.0, 2_500.0, 5_000.0, 7_500.0,
    10_000.0,
];

/// The upper bounds of the buckets of the histogram of that name, the last one (infinity) left out.
pub(super) fn buckets_of(name: &str, unit: &str) -> &'static [f64] {
    match name {
        "gen_ai.client.token.usage"
        | "gen_ai.client.inference.operation.input_tokens"
        | "gen_ai.client.inference.operation.output_tokens" => TOKENS,
        "gen_ai.client.operation.duration"
        | "gen_ai.client.operation.time_to_first_chunk"
        | "gen_ai.client.operation.time_per_output_chunk"
        | "gen_ai.client.inference.duration"
        | "gen_ai.client.inference.time_to_first_chunk"
        | "gen_ai.client.inference.time_per_output_chunk"
        | "gen_ai.server.request.duration"
        | "gen_ai.execute_tool.duration" => CALL_SECONDS,
        "gen_ai.server.time_per_output_token" => SECONDS_PER_TOKEN,
        "gen_ai.server.time_to_first_token" => SECONDS_TO_FIRST_TOKEN,
        "gen_ai.invoke_workflow.duration" => WORKFLOW_SECONDS,
        "gen_ai.invoke_agent.duration" => AGENT_SECONDS,
        "gen_ai.invoke_agent.inference_calls" | "gen_ai.invoke_agent.tool_calls" => CALLS,
        "http.server.request.duration" | "http.client.request.duration" => REQUEST_SECONDS,
        _ => match super::names::unit_word(unit).as_ref() {
            "seconds" => LONG_REQUEST_SECONDS,
            "tokens" => TOKENS,
            _ if unit.is_empty() && name.ends_with("_seconds") => LONG_REQUEST_SECONDS,
            _ => ANYTHING,
        },
    }
}
