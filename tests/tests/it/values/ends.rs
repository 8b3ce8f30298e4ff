//! When a span ends.

use spanscope_model::Timestamp;

use super::Sinks;

/// The end of a span in each sink, in nanoseconds: the console shows milliseconds and a duration.
fn ends_of(sinks: &Sinks, name: &str) -> [i64; 3] {
    let stored = sinks.stored_span(name);
    let sent = sinks.sent_span(name);
    let line = sinks.span_line("span_end", name);
    let shown = line["duration_ms"].as_f64().unwrap() * 1e6;
    #[expect(clippy::cast_possible_truncation, reason = "nanoseconds of a short program")]
    let shown = stored.start_time.as_nanos() + shown.round() as i64;
    let sent = i64::try_from(sent.end_time_unix_nano).unwrap();
    [shown, stored.end_time.map(Timestamp::as_nanos).unwrap(), sent]
}

#[track_caller]
fn assert_ends_between(sinks: &Sinks, name: &str, after: &str, before: &str) {
    let time_of = |message: &str| {
        let mut logs = sinks.logs.iter().filter(|log| log.message == message);
        logs.next_back()
            .unwrap_or_else(|| panic!("no {message}"))
            .timestamp
            .as_nanos()
    };
    let ends = ends_of(sinks, name);
    // Re-anchoring the clock between two batches moves times by some microseconds.
    let slack = 500_000;
    for end in ends {
        assert!(
            time_of(after) - slack <= end,
            "{name} ends before {after:?}: {ends:?}"
        );
        assert!(
            end <= time_of(before) + slack,
            "{name} ends after {before:?}: {ends:?}"
        );
    }
    let [shown, stored, sent] = ends;
    assert!(
        shown.abs_diff(stored) < 500_000 && stored.abs_diff(sent) < 500_000,
        "{ends:?}"
    );
}

#[test]
fn a_span_ends_at_its_end_or_last_exit_or_if_never_entered_at_its_close() {
    let sinks = Sinks::of("ends");
    assert_ends_between(&sinks, "request", "answered", "late 1");
    assert_ends_between(&sinks, "polled", "poll 2", "late 2");
    assert_ends_between(&sinks, "ended", "the work", "after the end");
    assert_ends_between(&sinks, "never entered", "late 3", "last");
    assert_ends_between(&sinks, "entered twice", "still in it", "late 4");
    // A child that runs longer has its own times.
    assert_ends_between(&sinks, "goes on", "late 1", "poll 0");
    // A span's measurement has the same end.
    let request = sinks.stored_span("request");
    let measured = sinks
        .receiver
        .metrics()
        .into_iter()
        .find(|metric| metric.record.name == "gen_ai.client.operation.duration");
    let Some(opentelemetry_proto::tonic::metrics::v1::metric::Data::Histogram(histogram)) =
        measured.unwrap().record.data
    else {
        panic!("no histogram");
    };
    let took = request.end_time.unwrap().as_nanos() - request.start_time.as_nanos();
    let sum = histogram.data_points[0].sum.unwrap();
    #[expect(clippy::cast_precision_loss, reason = "nanoseconds of a short program")]
    let difference = (sum - took as f64 / 1e9).abs();
    assert!(difference < 1e-6, "{sum} s, and the span took {took} ns");
}
