//! A collector that is unreachable or slow, refuses records or responds oddly: the program
//! continues, and every record is sent or counted.

use std::net::TcpListener;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use opentelemetry_proto::tonic::collector::trace::v1::{
    ExportTracePartialSuccess, ExportTraceServiceResponse,
};
use prost::Message as _;
use spanscope_otlp::{Compression, DropCounts, OtlpGuard, OtlpStats, Protocol, Signal};
use spanscope_tests::receiver::{Receiver, Reply};
use spanscope_tests::rotel::{Rotel, is_here};
use spanscope_tests::{PATIENCE, burst, wait_for};
use tracing::Dispatch;

use super::{alone, to};

/// Spans in a [`burst`] of one trace.
const SPANS: u64 = 10;

fn traces_only(url: &str) -> spanscope_otlp::OtlpLayerBuilder {
    to(url).send(Signal::Metrics, false).send(Signal::Logs, false)
}

fn run(dispatch: &Dispatch, traces: u64) {
    tracing::dispatcher::with_default(dispatch, || burst(traces));
}

/// The statistics once no record waits.
fn settled(guard: &OtlpGuard) -> OtlpStats {
    let _ = guard.flush(PATIENCE);
    wait_for("nothing to wait", || {
        let stats = guard.stats();
        (stats.spans.waiting() == 0 && stats.logs.waiting() == 0).then_some(stats)
    })
}

fn lost(set: impl FnOnce(&mut DropCounts)) -> DropCounts {
    let mut lost = DropCounts::default();
    set(&mut lost);
    lost
}

/// A port where nothing listens.
fn dead_url() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    format!("http://{}", listener.local_addr().unwrap())
}

#[test]
fn records_for_an_unreachable_collector_are_counted_as_lost() {
    for url in [dead_url(), "http://no-such-host.invalid:4318".to_owned()] {
        for protocol in [Protocol::HttpProtobuf, Protocol::Grpc] {
            let (dispatch, guard) = alone(
                traces_only(&url)
                    .protocol(protocol)
                    .export_timeout(Duration::from_millis(300)),
            );
            run(&dispatch, 3);
            let stats = settled(&guard).spans;
            assert_eq!(stats.offered, 3 * SPANS, "{url} {protocol:?}");
            assert_eq!(
                stats.lost,
                lost(|lost| lost.export_failed = 3 * SPANS),
                "{url} {protocol:?}"
            );
            assert!(stats.retries > 0, "{url} {protocol:?}");
        }
    }
}

#[test]
fn the_shutdown_does_not_wait_for_an_unreachable_collector() {
    let (dispatch, guard) = alone(traces_only(&dead_url()).shutdown_timeout(PATIENCE));
    run(&dispatch, 3);
    // Far below the timeout: the connection is refused immediately.
    let began = Instant::now();
    let _ = guard.shutdown();
    assert!(began.elapsed() < PATIENCE / 2, "it waited for its whole time");
    let stats = guard.stats().spans;
    assert_eq!(stats.waiting(), 0);
    assert_eq!(stats.lost.total(), 3 * SPANS);
}

#[test]
fn flush_and_guard_are_bounded_when_the_collector_hangs() {
    for protocol in [Protocol::HttpProtobuf, Protocol::HttpJson, Protocol::Grpc] {
        let receiver = Receiver::with(|_, _| Reply::Hang);
        let (dispatch, guard) = alone(
            to(&receiver.url())
                .protocol(protocol)
                .timeout(PATIENCE)
                .shutdown_timeout(Duration::from_millis(100)),
        );
        run(&dispatch, 3);
        let began = Instant::now();
        let flushed = guard.flush(Duration::from_millis(100));
        assert!(flushed.is_err(), "{protocol:?}");
        assert!(guard.shutdown().is_err(), "{protocol:?}");
        assert!(
            began.elapsed() < PATIENCE / 2,
            "bounded by its own timeouts, not by the request's"
        );
        let stats = guard.stats();
        assert_eq!(
            stats.spans.lost,
            lost(|lost| lost.shutdown = 3 * SPANS),
            "{protocol:?}"
        );
        assert_eq!(stats.logs.lost.total(), stats.logs.offered, "{protocol:?}");
        drop(guard);
        run(&dispatch, 1); // after the end

        // A guard that is only dropped.
        let settings = to(&receiver.url()).protocol(protocol).timeout(PATIENCE);
        let (dispatch, guard) = alone(settings.shutdown_timeout(Duration::from_millis(100)));
        run(&dispatch, 3);
        let began = Instant::now();
        drop(guard);
        assert!(began.elapsed() < PATIENCE / 2, "{protocol:?}");
    }
}

#[test]
fn a_request_without_a_response_in_time_is_retried() {
    let receiver = Receiver::with(|_, before| if before == 0 { Reply::Hang } else { Reply::OK });
    let (dispatch, guard) = alone(traces_only(&receiver.url()).timeout(Duration::from_millis(200)));
    run(&dispatch, 1);
    let stats = settled(&guard).spans;
    assert_eq!((stats.exported, stats.lost.total(), stats.retries), (SPANS, 0, 1));
    assert_eq!(receiver.spans().len() as u64, SPANS);
}

#[test]
fn retry_after_is_respected() {
    let times: Arc<std::sync::Mutex<Vec<Instant>>> = Arc::default();
    let seen = Arc::clone(&times);
    let receiver = Receiver::with(move |_, before| {
        seen.lock().unwrap().push(Instant::now());
        match before {
            0 => Reply::Respond(429, vec![("retry-after", "1".to_owned())], Vec::new()),
            _ => Reply::OK,
        }
    });
    let (dispatch, guard) = alone(traces_only(&receiver.url()));
    run(&dispatch, 1);
    let stats = settled(&guard).spans;
    assert_eq!((stats.exported, stats.retries), (SPANS, 1));
    let times = times.lock().unwrap();
    assert!(
        times[1] - times[0] >= Duration::from_secs(1),
        "not before the requested time"
    );
}

#[test]
fn retryable_responses_are_retried_and_others_are_not() {
    for status in [429, 502, 503, 504] {
        let receiver = Receiver::with(move |_, before| {
            if before < 2 {
                Reply::status(status)
            } else {
                Reply::OK
            }
        });
        let (dispatch, guard) = alone(traces_only(&receiver.url()));
        run(&dispatch, 1);
        let stats = settled(&guard).spans;
        assert_eq!(
            (stats.exported, stats.lost.total(), stats.retries),
            (SPANS, 0, 2),
            "{status}"
        );
    }
    for status in [301, 307, 400, 401, 403, 404, 413, 500, 501] {
        let receiver = Receiver::with(move |_, _| Reply::status(status));
        let (dispatch, guard) = alone(traces_only(&receiver.url()));
        run(&dispatch, 1);
        let stats = settled(&guard).spans;
        assert_eq!(stats.lost, lost(|lost| lost.export_failed = SPANS), "{status}");
        assert_eq!(
            (stats.exported, stats.retries, receiver.requests().len()),
            (0, 0, 1),
            "{status}"
        );
    }
}

#[test]
fn records_that_a_collector_rejects_are_counted() {
    for (is_json, body) in [
        (false, partial(4)),
        (
            true,
            br#"{"partialSuccess":{"rejectedSpans":"4","errorMessage":"too old"}}"#.to_vec(),
        ),
    ] {
        let kind = if is_json {
            "application/json"
        } else {
            "application/x-protobuf"
        };
        let receiver = Receiver::with(move |_, _| {
            Reply::Respond(200, vec![("content-type", kind.to_owned())], body.clone())
        });
        let protocol = if is_json {
            Protocol::HttpJson
        } else {
            Protocol::HttpProtobuf
        };
        let (dispatch, guard) = alone(traces_only(&receiver.url()).protocol(protocol));
        run(&dispatch, 1);
        let stats = settled(&guard).spans;
        assert_eq!(
            (stats.exported, stats.lost),
            (SPANS - 4, lost(|lost| lost.rejected = 4))
        );
        assert_eq!(stats.retries, 0, "rejected records are never sent again");
    }
}

fn partial(rejected_spans: i64) -> Vec<u8> {
    let answer = ExportTraceServiceResponse {
        partial_success: Some(ExportTracePartialSuccess {
            rejected_spans,
            error_message: "too old".to_owned(),
        }),
    };
    answer.encode_to_vec()
}

#[test]
fn impossible_rejection_counts_keep_the_statistics_consistent() {
    for (rejected, expected) in [(1_000_000, SPANS), (-5, 0)] {
        let receiver = Receiver::with(move |_, _| Reply::Respond(200, Vec::new(), partial(rejected)));
        let (dispatch, guard) = alone(traces_only(&receiver.url()));
        run(&dispatch, 1);
        let stats = settled(&guard).spans;
        assert_eq!(
            (stats.exported, stats.lost.rejected),
            (SPANS - expected, expected),
            "{rejected}"
        );
    }
}

#[test]
fn a_malformed_response_is_retried() {
    for nonsense in [
        &b"SSH-2.0-OpenSSH_9.6\r\n"[..],
        b"HTTP/1.1 999999 no\r\n\r\n",
        b"\0\0\0\0\0\0\0\0\0",
    ] {
        let receiver = Receiver::with(move |_, before| {
            if before == 0 {
                Reply::Nonsense(nonsense)
            } else {
                Reply::OK
            }
        });
        let (dispatch, guard) = alone(traces_only(&receiver.url()));
        run(&dispatch, 1);
        let stats = settled(&guard).spans;
        assert_eq!(
            (stats.exported, stats.lost.total(), stats.retries),
            (SPANS, 0, 1),
            "{nonsense:?}"
        );
    }
    let receiver = Receiver::with(|_, before| if before == 0 { Reply::Close } else { Reply::OK });
    let (dispatch, guard) = alone(traces_only(&receiver.url()));
    run(&dispatch, 1);
    assert_eq!(settled(&guard).spans.exported, SPANS);
}

#[test]
fn a_200_that_is_not_otlp_still_accepts_the_records() {
    let page = b"<html>please log in</html>".to_vec();
    let receiver = Receiver::with(move |_, _| Reply::Respond(200, Vec::new(), page.clone()));
    let (dispatch, guard) = alone(traces_only(&receiver.url()));
    run(&dispatch, 1);
    assert_eq!(settled(&guard).spans.exported, SPANS);
}

#[test]
fn records_for_a_receiver_without_tls_or_http2_are_counted_as_lost() {
    let receiver = Receiver::start();
    let https = receiver.url().replace("http://", "https://");
    for (url, protocol) in [(https, Protocol::HttpProtobuf), (receiver.url(), Protocol::Grpc)] {
        let settings = traces_only(&url)
            .protocol(protocol)
            .timeout(Duration::from_millis(500))
            .export_timeout(Duration::from_millis(600));
        let (dispatch, guard) = alone(settings);
        run(&dispatch, 1);
        assert_eq!(settled(&guard).spans.lost.total(), SPANS, "{protocol:?}");
    }
    assert_eq!(receiver.spans().len(), 0);
}

#[test]
fn a_collector_that_is_reachable_again_gets_the_waiting_records() {
    let receiver = Receiver::start();
    let address = receiver.address();
    let (dispatch, guard) = alone(traces_only(&receiver.url()));
    run(&dispatch, 5);
    guard.flush(PATIENCE).unwrap();
    let before = receiver.spans().len();
    drop(receiver);
    // Without the collector everything continues, and the first batch is retried.
    run(&dispatch, 5);
    assert!(guard.flush(Duration::from_millis(1)).is_err());
    wait_for("some retries", || {
        (guard.stats().spans.retries >= 3).then_some(())
    });
    run(&dispatch, 5);
    let back = Receiver::at(address, |_, _| Reply::OK);
    let stats = settled(&guard).spans;
    assert_eq!((stats.exported, stats.lost.total()), (15 * SPANS, 0));
    assert_eq!((before + back.spans().len()) as u64, 15 * SPANS);
}

#[test]
fn killing_rotel_between_batches_changes_only_the_counters() {
    if !is_here() {
        return;
    }
    for protocol in [Protocol::HttpProtobuf, Protocol::Grpc] {
        let rotel = Rotel::start();
        let url = format!(
            "http://{}",
            if protocol == Protocol::Grpc {
                rotel.grpc
            } else {
                rotel.http
            }
        );
        let settings = traces_only(&url)
            .protocol(protocol)
            .export_timeout(Duration::from_millis(300))
            .max_batch_size(SPANS as usize);
        let (dispatch, guard) = alone(settings);
        run(&dispatch, 20);
        guard.flush(PATIENCE).unwrap();
        assert_eq!(guard.stats().spans.exported, 20 * SPANS, "{protocol:?}");
        drop(rotel);
        run(&dispatch, 5);
        let stats = settled(&guard).spans;
        assert_eq!(stats.offered, 25 * SPANS);
        assert_eq!(
            (stats.exported, stats.lost),
            (20 * SPANS, lost(|lost| lost.export_failed = 5 * SPANS))
        );
    }
}

#[test]
fn spans_beyond_a_full_queue_are_counted_as_lost() {
    let released = Arc::new(AtomicBool::new(false));
    let is_released = Arc::clone(&released);
    let receiver = Receiver::with(move |_, _| {
        wait_for("the test to release it", || {
            is_released.load(Ordering::SeqCst).then_some(())
        });
        Reply::OK
    });
    let settings = traces_only(&receiver.url())
        .max_queue_size(100)
        .max_batch_size(50)
        .timeout(PATIENCE);
    let (dispatch, guard) = alone(settings);
    run(&dispatch, 50);
    wait_for("the queue to be full", || {
        (guard.stats().spans.lost.queue_full == 400).then_some(())
    });
    released.store(true, Ordering::SeqCst);
    let stats = settled(&guard).spans;
    assert_eq!((stats.offered, stats.exported), (500, 100));
    assert_eq!(stats.lost, lost(|lost| lost.queue_full = 400));
    assert_eq!(receiver.spans().len(), 100);
}

#[test]
fn records_after_the_end_are_counted() {
    let receiver = Receiver::start();
    let (dispatch, guard) = alone(to(&receiver.url()));
    run(&dispatch, 1);
    guard.shutdown().unwrap();
    guard.shutdown().expect("a second time it does nothing");
    run(&dispatch, 1);
    let stats = guard.stats();
    assert_eq!((stats.spans.offered, stats.spans.exported), (2 * SPANS, SPANS));
    assert_eq!(stats.spans.lost, lost(|lost| lost.shutdown = SPANS));
    assert_eq!(receiver.spans().len() as u64, SPANS);
}

#[test]
fn eight_threads_lose_nothing() {
    let receiver = Receiver::start();
    let (dispatch, guard) = alone(to(&receiver.url()).compression(Compression::Gzip));
    std::thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| run(&dispatch, 100));
        }
    });
    guard.flush(PATIENCE).unwrap();
    let stats = guard.stats();
    assert_eq!(
        (stats.spans.exported, stats.spans.lost.total()),
        (8 * 100 * SPANS, 0)
    );
    assert_eq!((stats.logs.exported, stats.logs.lost.total()), (8 * 100 * 9, 0));
    let spans = receiver.spans();
    assert_eq!(spans.len() as u64, 8 * 100 * SPANS);
    let events: usize = spans.iter().map(|span| span.record.events.len()).sum();
    assert_eq!(events, 8 * 100 * 9, "each event is in its span");
}

#[test]
fn records_counted_as_lost_by_the_shutdown_are_not_delivered_after_it() {
    let receiver = Receiver::with(|_, _| Reply::Accept(Duration::from_millis(50)));
    let settings = traces_only(&receiver.url())
        .max_batch_size(SPANS as usize)
        .shutdown_timeout(Duration::from_millis(120));
    let (dispatch, guard) = alone(settings);
    run(&dispatch, 40);
    assert!(guard.shutdown().is_err(), "not everything was sent");
    let stats = guard.stats().spans;
    assert_eq!(stats.waiting(), 0);
    assert!(stats.lost.shutdown > 0);
    // Requests in flight at the limit may still arrive; no other is begun.
    let in_flight = SPANS;
    drop((dispatch, guard));
    receiver.wait_until_disconnected();
    let received = receiver.spans().len() as u64;
    assert!(received <= stats.exported + in_flight, "{received} of {stats:?}");
}

#[test]
fn a_shutdown_that_loses_records_returns_an_error() {
    for status in [404, 503] {
        let receiver = Receiver::with(move |_, _| Reply::status(status));
        let (dispatch, guard) =
            alone(traces_only(&receiver.url()).shutdown_timeout(Duration::from_millis(300)));
        run(&dispatch, 1);
        assert!(guard.shutdown().is_err(), "{status}");
        assert_eq!(guard.stats().spans.lost.total(), SPANS, "{status}");
    }
    let (dispatch, guard) = alone(traces_only(&dead_url()));
    run(&dispatch, 1);
    assert!(guard.shutdown().is_err());
}

#[test]
fn extreme_settings_work() {
    let receiver = Receiver::start();
    let settings = to(&receiver.url())
        .schedule_delay(Duration::ZERO)
        .export_timeout(Duration::MAX)
        .shutdown_timeout(Duration::MAX)
        .timeout(Duration::MAX)
        .metric_interval(Duration::MAX)
        .max_queue_size(usize::MAX)
        .max_batch_size(usize::MAX);
    let (dispatch, guard) = alone(settings);
    run(&dispatch, 1);
    guard.flush(Duration::MAX).unwrap();
    assert_eq!(guard.stats().spans.exported, SPANS);
    guard.shutdown().unwrap();
}
