//! The buckets of a histogram: those that its convention recommends, or else those that suit its
//! unit.

use spanscope_layers::metrics;

/// The default of OpenTelemetry's SDKs.
const DEFAULT_BUCKETS: &[f64] = &[
    0.0, 5.0, 10.0, 25.0, 50.0, 75.0, 100.0, 250.0, 500.0, 750.0, 1_000.0, 2_500.0, 5_000.0, 7_500.0,
    10_000.0,
];

/// Returns the upper bounds of the buckets of the histogram with this name, without the last one
/// (infinity).
pub(super) fn buckets_of(name: &str, unit: &str) -> &'static [f64] {
    let like = || match super::names::unit_word(unit).as_ref() {
        "seconds" => Some("llama_stack_request_duration_seconds"),
        "tokens" => Some(metrics::TOKEN_USAGE),
        _ if unit.is_empty() && name.ends_with("_seconds") => Some("llama_stack_request_duration_seconds"),
        _ => None,
    };
    metrics::buckets_of(name)
        .or_else(|| metrics::buckets_of(like()?))
        .unwrap_or(DEFAULT_BUCKETS)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn buckets_of_a_convention_take_precedence_over_those_of_the_unit() {
        let last = |name, unit| buckets_of(name, unit).last().copied();
        assert_eq!(last("mcp.client.operation.duration", "s"), Some(300.0));
        assert_eq!(last("http.server.request.duration", "s"), Some(10.0));
        assert_eq!(
            last("llama_stack_request_duration_seconds", "seconds"),
            Some(120.0)
        );
        assert_eq!(last("load_seconds", ""), Some(120.0));
        assert_eq!(last("reply", "tokens"), Some(67_108_864.0));
        assert_eq!(last("queue_length", ""), Some(10_000.0));
    }
}
