//! The name of a metric in Prometheus, and its help text.
//!
//! The rules, with examples, are in the documentation of [`PrometheusSink`](super::PrometheusSink).
//! They are OpenTelemetry's rules for Prometheus, with one exception: a name without dots is the
//! user's own and gets no unit, because it may be documented as it is.

use std::borrow::Cow;

use spanscope_model::{MetricKind, TOKEN_METRICS};

/// Maximum length of a name in bytes; longer ones are truncated.
const MAX_NAME: usize = 200;

const TOTAL: &str = "_total";

/// The name of the family: OpenMetrics' name, without a counter's `_total`.
pub(super) fn family_name(name: &str, unit: &str, kind: MetricKind) -> String {
    let documented = TOKEN_METRICS.iter().find(|(event, _)| *event == name);
    let name = match documented {
        Some((_, counter)) if kind == MetricKind::Counter => counter,
        _ => name,
    };
    let mut family = identifier(name, "_");
    if kind == MetricKind::Counter {
        strip_total(&mut family);
    }
    if name.contains('.') {
        let unit = match unit {
            "1" if kind == MetricKind::Gauge => Cow::Borrowed("ratio"),
            _ => unit_word(unit),
        };
        if !unit.is_empty() && unit_in(&family, &unit).is_none() && family != unit {
            family.push('_');
            family.push_str(&unit);
        }
    }
    family
}

/// Returns the name of a family's samples, which people query: with `_total` for a counter.
pub(super) fn sample_name(family: &str, kind: MetricKind) -> String {
    match kind {
        MetricKind::Counter => format!("{family}{TOTAL}"),
        MetricKind::Gauge | MetricKind::Histogram => family.to_owned(),
    }
}

/// Returns all names that samples of a family can have, which no other family may use: the scraper
/// could not distinguish them.
pub(super) fn claimed_names(family: &str, kind: MetricKind) -> Vec<String> {
    let suffixes: &[&str] = match kind {
        MetricKind::Counter => &["", TOTAL, "_created"],
        MetricKind::Gauge => &[""],
        MetricKind::Histogram => &["", "_bucket", "_count", "_sum", "_created"],
    };
    suffixes
        .iter()
        .map(|suffix| format!("{family}{suffix}"))
        .collect()
}

/// Returns the name before the unit, if the family's name ends in that unit.
pub(super) fn unit_in<'a>(family: &'a str, unit: &str) -> Option<&'a str> {
    family
        .strip_suffix(unit)?
        .strip_suffix('_')
        .filter(|stem| !stem.is_empty() && !unit.is_empty())
}

/// Converts a text to a valid name of a metric or label: ASCII letters, digits and single
/// underscores. If it begins with a digit, `before_digit` is prepended.
pub(super) fn identifier(text: &str, before_digit: &str) -> String {
    let mut name = String::with_capacity(text.len().min(MAX_NAME));
    push_identifier(&mut name, text, before_digit);
    name
}

/// Appends a name as [`identifier`] does.
pub(super) fn push_identifier(out: &mut String, text: &str, before_digit: &str) {
    let start = out.len();
    if text.starts_with(|first: char| first.is_ascii_digit()) {
        out.push_str(before_digit);
    }
    for character in text.chars() {
        if out.len() - start >= MAX_NAME {
            break;
        }
        if character.is_ascii_alphanumeric() {
            out.push(character);
        } else if out.len() == start || !out.ends_with('_') {
            out.push('_');
        }
    }
    if out.len() == start {
        out.push('_');
    }
}

fn strip_total(family: &mut String) {
    if let Some(stem) = family.strip_suffix(TOTAL).filter(|stem| !stem.is_empty()) {
        family.truncate(stem.len());
    }
}

/// Returns the unit as a word, by OpenTelemetry's table; empty if there is none, as for `1` and
/// `{request}`.
pub(super) fn unit_word(unit: &str) -> Cow<'_, str> {
    if let Some(word) = base_unit(unit) {
        return Cow::Borrowed(word);
    }
    let (counted, per) = match unit.split_once('/') {
        Some((counted, per)) => (counted, Some(per)),
        None => (unit, None),
    };
    let counted = word_of(counted, base_unit);
    match per
        .map(|per| word_of(per, per_unit))
        .filter(|per| !per.is_empty())
    {
        Some(per) if counted.is_empty() => Cow::Owned(format!("per_{per}")),
        Some(per) => Cow::Owned(format!("{counted}_per_{per}")),
        None => Cow::Owned(counted),
    }
}

fn word_of(unit: &str, known: fn(&str) -> Option<&'static str>) -> String {
    let unit = unit.trim();
    if let Some(word) = known(unit) {
        return word.to_owned();
    }
    if unit.is_empty() || unit.contains(['{', '}']) {
        return String::new();
    }
    identifier(unit, "").trim_matches('_').to_owned()
}

fn base_unit(unit: &str) -> Option<&'static str> {
    Some(match unit {
        "" | "1" => "",
        "s" | "seconds" => "seconds",
        "ms" => "milliseconds",
        "us" => "microseconds",
        "ns" => "nanoseconds",
        "min" => "minutes",
        "h" => "hours",
        "d" => "days",
        "By" => "bytes",
        "KiBy" => "kibibytes",
        "MiBy" => "mebibytes",
        "GiBy" => "gibibytes",
        "TiBy" => "tibibytes",
        "kBy" | "KBy" => "kilobytes",
        "MBy" => "megabytes",
        "GBy" => "gigabytes",
        "TBy" => "terabytes",
        "m" => "meters",
        "V" => "volts",
        "A" => "amperes",
        "J" => "joules",
        "W" => "watts",
        "g" => "grams",
        "Cel" => "celsius",
        "Hz" => "hertz",
        "%" => "percent",
        "tokens" => "tokens",
        _ => return None,
    })
}

fn per_unit(unit: &str) -> Option<&'static str> {
    Some(match unit {
        "s" => "second",
        "m" | "min" => "minute",
        "h" => "hour",
        "d" => "day",
        "w" => "week",
        "mo" => "month",
        "y" => "year",
        _ => return None,
    })
}

/// Returns the help text of a metric; each documented one has its own.
pub(super) fn help(sample: &str) -> &'static str {
    match sample {
        "llama_stack_prompt_tokens_total" => "Number of tokens in the input prompt.",
        "llama_stack_completion_tokens_total" => "Number of tokens in the generated response.",
        "llama_stack_tokens_total" => "Total tokens used (prompt + completion).",
        "llama_stack_requests_total" => "Number of requests that have ended, by API and status.",
        "llama_stack_request_duration_seconds" => "Time from a request to the end of its response.",
        "spanscope_stored_spans_total" => "Number of spans that have ended and were stored.",
        "spanscope_stored_tokens_total" => "Number of tokens of the model calls that were stored.",
        "llama_stack_concurrent_requests" => "Number of requests that are being processed.",
        "gen_ai_client_token_usage" => "Number of input and output tokens of a model call.",
        "gen_ai_client_operation_duration_seconds" => "Time that a model call took.",
        "gen_ai_client_operation_time_to_first_chunk_seconds" => {
            "Time from a streamed model call to its first chunk."
        }
        "gen_ai_client_operation_time_per_output_chunk_seconds" => {
            "Time between one chunk of a streamed model call and the next."
        }
        "gen_ai_server_request_duration_seconds" => "Time that a model server took for a request.",
        "gen_ai_server_time_per_output_token_seconds" => {
            "Time that a model server took for each output token after the first."
        }
        "gen_ai_server_time_to_first_token_seconds" => {
            "Time that a model server took to the first output token."
        }
        "gen_ai_invoke_workflow_duration_seconds" => "Time that a workflow took.",
        "gen_ai_invoke_agent_duration_seconds" => "Time that a run of an agent took.",
        "gen_ai_invoke_agent_inference_calls" => "Number of model calls in a run of an agent.",
        "gen_ai_invoke_agent_tool_calls" => "Number of tool calls in a run of an agent.",
        "gen_ai_execute_tool_duration_seconds" => "Time that a tool took.",
        "http_server_request_duration_seconds" => "Time that the server took for an HTTP request.",
        "http_server_active_requests" => "Number of HTTP requests that the server is processing.",
        "http_client_request_duration_seconds" => "Time that an HTTP request took, seen by the client.",
        _ => "As the program measured it.",
    }
}

#[cfg(test)]
#[path = "names_tests.rs"]
mod tests;
