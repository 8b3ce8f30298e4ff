//! Memory, in a separate process: other tests' allocations would count too.

use spanscope_core::capture::{Clock, RawValue};
use spanscope_core::metrics::{Measurement, Number};
use spanscope_layers::metrics::MetricSink as _;
use spanscope_model::MetricKind;
use spanscope_server::PrometheusSink;

fn resident_bytes() -> Option<usize> {
    let pages = std::fs::read_to_string("/proc/self/statm").ok()?;
    Some(pages.split(' ').nth(1)?.parse::<usize>().ok()? * 4096)
}

#[test]
fn a_hundred_thousand_long_label_values_take_bounded_memory() {
    let sink = PrometheusSink::new();
    let tail = "x".repeat(10_000);
    let before = resident_bytes();
    for number in 0..100_000 {
        let value = format!("{number} {tail}");
        for (name, kind, value_of) in [
            ("total_tokens", MetricKind::Counter, Number::I64(1)),
            (
                "llama_stack_request_duration_seconds",
                MetricKind::Histogram,
                Number::F64(0.1),
            ),
        ] {
            sink.record(&Measurement {
                name,
                value: value_of,
                unit: "",
                kind,
                labels: &[("user", RawValue::Text(&value, None))],
                span: None,
                time: Clock::global().now(),
                is_event: false,
            });
        }
    }
    if let (Some(before), Some(after)) = (before, resident_bytes()) {
        let grown = after.saturating_sub(before) >> 20;
        assert!(grown < 64, "{grown} MiB for what would be 2 GB");
    }
}
