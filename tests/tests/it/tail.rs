//! The tail rule of the store, from outside: a kept trace is complete, a dropped one is deleted and
//! counted.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::mpsc;
use std::time::Duration;

use rusqlite::Connection;
use spanscope::SpanExt as _;
use spanscope_core::tail::{TailRule, TailStats};
use spanscope_model::{SpanId, TraceId};
use spanscope_sqlite::{OverflowPolicy, SqliteGuard, SqliteLayer, SqliteLayerBuilder};
use spanscope_tests::{PATIENCE, RECORDS_A_TRACE, store_with, wait_for};
use tracing::{Dispatch, Span, error, info, info_span};

/// No span of these tests takes this long, unless it is held open.
const LONG: Duration = Duration::from_secs(3600);

struct File {
    _folder: tempfile::TempDir,
    path: PathBuf,
}

impl File {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("trace_store.db");
        Self {
            _folder: folder,
            path,
        }
    }

    fn with(&self, rule: TailRule) -> (Dispatch, SqliteGuard) {
        store_with(quick().tail(rule), &self.path)
    }

    /// Writes only when it is flushed: until then remote parents can be set.
    fn at_flushes_with(&self, rule: TailRule) -> (Dispatch, SqliteGuard) {
        store_with(quick().flush_interval(LONG).tail(rule), &self.path)
    }

    fn count(&self, sql: &str) -> u64 {
        count(&self.path, sql)
    }

    /// Names of the stored spans, each once.
    fn names(&self) -> Vec<String> {
        let db = Connection::open(&self.path).unwrap();
        let mut statement = db
            .prepare("SELECT DISTINCT name FROM spans ORDER BY name")
            .unwrap();
        let names = statement.query_map([], |row| row.get(0)).unwrap();
        names.map(Result::unwrap).collect()
    }

    /// The file is consistent, and the counts are exact.
    fn check(&self, guard: &SqliteGuard) {
        for wrong in WRONG {
            assert_eq!(self.count(wrong), 0, "{wrong}");
        }
        let stats = guard.stats();
        assert_eq!(stats.offered, stats.stored + stats.dropped.total(), "{stats:?}");
        assert_eq!(stats.dropped.lost(), 0, "{stats:?}");
        assert_eq!(
            self.count(RECORDS),
            stats.stored,
            "every record counted as stored is in the file"
        );
    }
}

fn quick() -> SqliteLayerBuilder {
    SqliteLayer::builder()
        .flush_interval(Duration::from_millis(1))
        .on_overflow(OverflowPolicy::Block)
}

fn count(path: &Path, sql: &str) -> u64 {
    let db = Connection::open(path).unwrap();
    let number: i64 = db.query_row(sql, [], |row| row.get(0)).unwrap();
    number.try_into().unwrap()
}

fn tail_stats(guard: &SqliteGuard) -> TailStats {
    guard.tail_stats().unwrap()
}

fn within<T>(dispatch: &Dispatch, work: impl FnOnce() -> T) -> T {
    tracing::dispatcher::with_default(dispatch, work)
}

/// Ended spans, events, and measurements; no event of these tests is a measurement with a message.
const RECORDS: &str =
    "SELECT (SELECT COUNT(*) FROM _span WHERE duration IS NOT NULL) + (SELECT COUNT(*) FROM _event)
    + (SELECT COUNT(*) FROM _point)";

const RUNNING: &str = "SELECT COUNT(*) FROM spans WHERE state = 'running'";

const WRONG: [&str; 6] = [
    "SELECT COUNT(*) FROM _trace t WHERE span_count <> (SELECT COUNT(*) FROM _span WHERE trace = t.id)
     OR error_count <> (SELECT COUNT(*) FROM _span WHERE trace = t.id AND status = 1)
     OR open_count <> (SELECT COUNT(*) FROM _span WHERE trace = t.id AND duration IS NULL)",
    "SELECT COUNT(*) FROM _trace t WHERE root IS NULL OR root NOT IN (SELECT id FROM _span WHERE trace = t.id)",
    "SELECT COUNT(*) FROM _span WHERE trace NOT IN (SELECT id FROM _trace)",
    "SELECT COUNT(*) FROM _event WHERE trace NOT IN (SELECT id FROM _trace)",
    "SELECT COUNT(*) FROM _attr WHERE span NOT IN (SELECT id FROM _span)",
    "SELECT (SELECT COUNT(*) FROM _point) <> (SELECT COALESCE(SUM(count), 0) FROM _rollup)",
];

/// A root with two steps, each with an event and below it a part with an event: 5 spans, 4 events,
/// and a measurement. `in_part` runs in the last part.
fn request(name: &'static str, in_part: impl FnOnce(&Span)) {
    let root = info_span!("request", otel.name = name, session_id = name);
    let _root = root.enter();
    info!(metric = "requests_total", value = 1, instrument = "counter");
    info_span!("step").in_scope(|| {
        info!("begun");
        info_span!("part").in_scope(|| info!("done"));
    });
    info_span!("step").in_scope(|| {
        info!("begun");
        let part = info_span!("part", otel.status_code = tracing::field::Empty);
        part.in_scope(|| {
            info!("done");
            in_part(&part);
        });
    });
}

#[test]
fn failed_and_slow_traces_are_stored_completely() {
    let file = File::new();
    let (dispatch, guard) = file.with(TailRule::new().slower_than(Duration::from_secs(3)));
    std::thread::scope(|scope| {
        let mut holds = Vec::new();
        for _ in 0..3 {
            let (hold, held) = mpsc::channel::<()>();
            holds.push(hold);
            let dispatch = &dispatch;
            scope.spawn(move || within(dispatch, || request("slow", |_| held.recv().unwrap_or_default())));
        }
        within(&dispatch, || {
            for number in 0..92 {
                request("good", |_| ());
                match number {
                    10 => request("an error", |_| error!("refused")),
                    20 => request("a late status", |part| {
                        part.record("otel.status_code", "ERROR");
                    }),
                    30 => request("an own key", |part| {
                        part.record_attribute("otel.status_code", "error")
                    }),
                    40 => request("an error further below", |part| {
                        info_span!(parent: part, "below").in_scope(|| error!("refused"));
                    }),
                    50 => request("a panic", |part| {
                        let part = part.clone();
                        let work = move || {
                            let _doomed = info_span!(parent: part, "doomed").entered();
                            std::panic::resume_unwind(Box::new("as asked"));
                        };
                        let dispatch = dispatch.clone();
                        std::thread::spawn(move || within(&dispatch, work))
                            .join()
                            .unwrap_err();
                    }),
                    _ => {}
                }
            }
            info!("outside every span");
        });
        // They are kept as soon as they have taken too long, while they are still running.
        wait_for("the slow ones", || (tail_stats(&guard).kept == 8).then_some(()));
        drop(holds);
    });
    guard.flush(PATIENCE).unwrap();
    let stats = tail_stats(&guard);
    assert_eq!((stats.kept, stats.dropped, stats.undecided), (8, 92, 0));
    assert_eq!(file.count("SELECT COUNT(*) FROM traces"), 8);
    assert_eq!(file.count("SELECT COUNT(*) FROM spans WHERE name IN ('good')"), 0);
    assert_eq!(
        file.count(
            "SELECT COUNT(*) FROM traces t WHERE status IS NOT NULL
             AND (SELECT COUNT(*) FROM spans s WHERE s.trace_id = t.trace_id AND s.name IN ('step', 'part')) = 4
             AND (SELECT COUNT(*) FROM logs l WHERE l.trace_id = t.trace_id AND message IN ('begun', 'done')) = 4"
        ),
        8,
        "all of them are complete"
    );
    assert_eq!(
        file.count("SELECT COUNT(*) FROM logs WHERE message = 'outside every span'"),
        1
    );
    assert_eq!(
        file.count("SELECT SUM(value) FROM metrics WHERE metric = 'requests_total'"),
        100,
        "measurements outlive their traces"
    );
    file.check(&guard);
    assert_eq!(guard.stats().dropped.sampled, 92 * 9);
    guard.shutdown().unwrap();
    file.check(&guard);
    let even = "SELECT offered - stored - dropped_queue_full - dropped_write_failed - dropped_shutdown - dropped_sampled
        FROM _process";
    assert_eq!(file.count(even), 0, "the file's own account is even");
    assert_eq!(file.count("SELECT dropped_sampled FROM _process"), 92 * 9);
}

#[test]
fn eight_threads_that_exchange_spans_keep_exactly_the_errors() {
    let file = File::new();
    let (dispatch, guard) = file.with(TailRule::new().slower_than(LONG));
    std::thread::scope(|scope| {
        for thread in 0..8_u64 {
            let dispatch = &dispatch;
            scope.spawn(move || {
                for number in 0..200_u64 {
                    let fails = number % 25 == thread;
                    let root = within(dispatch, || {
                        let root = info_span!("request", fails);
                        info!(parent: &root, "begun");
                        root
                    });
                    // The root's handle is dropped first; its clone ends elsewhere and later.
                    let child = root.clone();
                    let helper = scope.spawn(move || {
                        within(dispatch, || {
                            let step = info_span!(parent: &child, "step", fails);
                            drop(child);
                            let part = info_span!(parent: &step, "part", fails);
                            drop(step);
                            part.in_scope(|| match fails {
                                true => error!("refused"),
                                false => info!("done"),
                            });
                        });
                    });
                    drop(root);
                    if number % 3 == 0 {
                        helper.join().unwrap();
                    }
                }
            });
        }
    });
    guard.flush(PATIENCE).unwrap();
    let stats = tail_stats(&guard);
    assert_eq!((stats.kept, stats.dropped, stats.undecided), (64, 1536, 0));
    assert_eq!(stats.too_late, 0);
    assert_eq!(file.count("SELECT COUNT(*) FROM _trace"), 64);
    assert_eq!(
        file.count("SELECT COUNT(*) FROM spans WHERE json_extract(attributes, '$.fails')"),
        3 * 64
    );
    assert_eq!(file.count("SELECT COUNT(*) FROM _event"), 2 * 64);
    file.check(&guard);
    assert_eq!(guard.stats().offered, 1600 * 5);
}

#[test]
fn an_error_is_kept_if_its_root_ends_on_a_thread_that_is_drained_later() {
    let file = File::new();
    let (dispatch, guard) = file.with(TailRule::new().slower_than(LONG));
    let traces = 2_000;
    // The queue visits threads in the order of their first record; these delay the last
    // one.
    let idle = 300;
    let came = |threads| wait_for("the threads", || (guard.stats().offered == threads).then_some(()));
    std::thread::scope(|scope| {
        let (children, to_end) = mpsc::channel::<Span>();
        let (ended, wait) = mpsc::channel();
        let dispatch = &dispatch;
        scope.spawn(move || {
            within(dispatch, || {
                info!("first");
                for child in to_end {
                    child.in_scope(|| error!("refused"));
                    drop(child);
                    ended.send(()).unwrap();
                }
            });
        });
        came(1);
        let mut holds = Vec::new();
        for _ in 0..idle {
            let (hold, held) = mpsc::channel::<()>();
            holds.push(hold);
            scope.spawn(move || within(dispatch, || (info!("idle"), held.recv())));
        }
        came(1 + idle);
        within(dispatch, || {
            for _ in 0..traces {
                let root = info_span!("root");
                children.send(info_span!(parent: &root, "child")).unwrap();
                wait.recv().unwrap();
            }
        });
        drop((children, holds));
    });
    guard.flush(PATIENCE).unwrap();
    let stats = tail_stats(&guard);
    assert_eq!((stats.kept, stats.dropped, stats.too_late), (traces, 0, 0));
    file.check(&guard);
}

#[test]
fn rows_of_a_dropped_trace_that_was_visible_are_deleted_and_their_ids_are_not_reused() {
    let file = File::new();
    let (dispatch, guard) = file.with(TailRule::new().slower_than(LONG).wait(LONG));
    within(&dispatch, || {
        let root = info_span!("request", session_id = "s-1");
        info!(parent: &root, "begun");
        info!(parent: &root, metric = "steps_total", value = 1);
        info!(parent: &root, metric = "steps_total", value = 1, "a step");
        drop(info_span!(parent: &root, "step", session_id = "s-1"));
        wait_for("the running span", || (file.count(RUNNING) == 1).then_some(()));
        guard.flush(PATIENCE).unwrap();
        assert_eq!(tail_stats(&guard).undecided, 1, "a flush decides no open trace");
        assert_eq!(
            (guard.stats().stored, file.count("SELECT COUNT(*) FROM _event")),
            (4, 2)
        );
    });
    guard.flush(PATIENCE).unwrap();
    for table in ["_trace", "_span", "_event", "_attr"] {
        assert_eq!(file.count(&format!("SELECT COUNT(*) FROM {table}")), 0, "{table}");
    }
    file.check(&guard);
    let stats = guard.stats();
    assert_eq!((stats.offered, stats.stored, stats.dropped.sampled), (5, 2, 3));
    within(&dispatch, || {
        info_span!("soon over").in_scope(|| info!(metric = "steps_total", value = 1, "a step"));
        info_span!("failed").in_scope(|| error!("refused"));
    });
    guard.flush(PATIENCE).unwrap();
    // The first trace had a row, two spans and two events; the second may have had some too.
    for (table, given) in [("_trace", 1), ("_span", 2), ("_event", 2)] {
        assert!(
            file.count(&format!("SELECT MIN(id) FROM {table}")) > given,
            "{table}"
        );
    }
    file.check(&guard);
    assert_eq!(guard.stats().dropped.sampled, 4);
}

#[test]
fn a_trace_that_runs_too_long_is_kept_before_it_ends() {
    let file = File::new();
    let (dispatch, guard) = file.with(TailRule::new().slower_than(Duration::from_millis(20)));
    let root = within(&dispatch, || info_span!("agent"));
    within(&dispatch, || info!(parent: &root, "still here"));
    wait_for("its decision", || (tail_stats(&guard).kept == 1).then_some(()));
    assert_eq!(file.count(RUNNING), 1);
    within(&dispatch, || drop(root));
    guard.flush(PATIENCE).unwrap();
    assert_eq!(file.names(), ["agent"]);
    file.check(&guard);
}

#[test]
fn the_shutdown_keeps_open_traces_and_decides_ended_ones() {
    let file = File::new();
    let (dispatch, guard) = file.with(TailRule::new().slower_than(LONG).wait(LONG));
    let open = within(&dispatch, || {
        let open = info_span!("open");
        drop(info_span!(parent: &open, "step"));
        request("good", |_| ());
        open
    });
    guard.shutdown().unwrap();
    assert_eq!(file.names(), ["open", "step"]);
    let stats = guard.stats();
    assert_eq!((stats.offered, stats.stored, stats.dropped.sampled), (11, 2, 9));
    within(&dispatch, || drop(open));
}

#[test]
fn an_error_that_comes_after_the_decision_follows_it_and_is_counted() {
    let file = File::new();
    let (dispatch, guard) = file.at_flushes_with(TailRule::new().slower_than(LONG));
    let trace_id: TraceId = "4bf92f3577b34da6a3ce929d0e0e4736".parse().unwrap();
    let parent: SpanId = "00f067aa0ba902b7".parse().unwrap();
    let continued = || {
        let span = info_span!("continued");
        span.set_remote_parent(trace_id, parent).unwrap();
        span
    };
    within(&dispatch, || drop(continued()));
    guard.flush(PATIENCE).unwrap();
    within(&dispatch, || continued().in_scope(|| error!("too late")));
    guard.flush(PATIENCE).unwrap();
    let stats = tail_stats(&guard);
    assert_eq!((stats.kept, stats.dropped, stats.too_late), (0, 1, 1));
    assert_eq!(file.count("SELECT COUNT(*) FROM _trace"), 0);
    file.check(&guard);
}

#[test]
fn two_parts_of_a_trace_are_decided_together_while_one_is_open() {
    let file = File::new();
    let (dispatch, guard) = file.at_flushes_with(TailRule::new().slower_than(LONG));
    within(&dispatch, || {
        let first = info_span!("first");
        let second = info_span!("second");
        let (trace_id, parent) = first.ids().unwrap();
        second.set_remote_parent(trace_id, parent).unwrap();
        guard.flush(PATIENCE).unwrap();
        assert_eq!(file.count(RUNNING), 2);
        drop(first);
        guard.flush(PATIENCE).unwrap();
        assert_eq!(tail_stats(&guard).undecided, 1);
        second.in_scope(|| error!("refused"));
    });
    guard.flush(PATIENCE).unwrap();
    assert_eq!(file.names(), ["first", "second"]);
    file.check(&guard);
}

#[test]
fn rows_of_a_dropped_trace_by_another_process_are_kept() {
    let file = File::new();
    let (theirs, their_guard) = store_with(quick().flush_interval(LONG), &file.path);
    let (ours, our_guard) = file.at_flushes_with(TailRule::new().slower_than(LONG));
    let root = within(&ours, || {
        let root = info_span!("ours");
        info!(parent: &root, "ours");
        root
    });
    let (trace_id, parent) = within(&ours, || root.ids().unwrap());
    our_guard.flush(PATIENCE).unwrap();
    assert_eq!(file.count(RUNNING), 1);
    within(&theirs, || {
        let span = info_span!("theirs");
        span.set_remote_parent(trace_id, parent).unwrap();
        span.in_scope(|| {
            info!("theirs");
            drop(info_span!("below").entered());
        });
    });
    their_guard.flush(PATIENCE).unwrap();
    assert_eq!(file.count("SELECT span_count FROM _trace"), 3);
    within(&ours, || drop(root));
    our_guard.flush(PATIENCE).unwrap();
    assert_eq!(file.names(), ["below", "theirs"]);
    assert_eq!(
        file.count("SELECT COUNT(*) FROM logs WHERE message = 'theirs'"),
        1
    );
    assert_eq!(file.count("SELECT COUNT(*) FROM logs"), 1);
    for wrong in WRONG {
        assert_eq!(file.count(wrong), 0, "{wrong}");
    }
    let root =
        "SELECT COUNT(*) FROM traces t JOIN spans s ON s.span_id = t.root_span_id WHERE s.name = 'theirs'";
    assert_eq!(file.count(root), 1);
    assert_eq!(our_guard.stats().dropped.sampled, 2);
    assert_eq!(their_guard.stats().stored, 3);
}

#[test]
fn a_trace_too_large_for_one_transaction_is_still_deleted() {
    let file = File::new();
    let (dispatch, guard) = file.with(TailRule::new().slower_than(LONG));
    within(&dispatch, || {
        let root = info_span!("request");
        for number in 0..25_000 {
            drop(info_span!(parent: &root, "step", number));
            info!(parent: &root, number, "done");
        }
        guard.flush(PATIENCE).unwrap();
        file.check(&guard);
        assert_eq!(guard.stats().stored, 50_000);
    });
    guard.flush(PATIENCE).unwrap();
    assert_eq!(file.count("SELECT COUNT(*) FROM _trace"), 0);
    file.check(&guard);
    assert_eq!(guard.stats().dropped.sampled, 50_001);
}

#[test]
fn a_file_that_is_locked_meanwhile_changes_no_decision() {
    let file = File::new();
    let (dispatch, guard) = file.with(TailRule::new().slower_than(LONG));
    let blocker = Connection::open(&file.path).unwrap();
    for _ in 0..3 {
        blocker.execute_batch("BEGIN IMMEDIATE").unwrap();
        within(&dispatch, || {
            for _ in 0..200 {
                request("good", |_| ());
            }
            request("bad", |_| error!("refused"));
        });
        blocker.execute_batch("COMMIT").unwrap();
    }
    guard.flush(PATIENCE).unwrap();
    let stats = tail_stats(&guard);
    assert_eq!((stats.kept, stats.dropped), (3, 600));
    assert_eq!(file.count("SELECT COUNT(*) FROM _trace"), 3);
    assert_eq!(file.count("SELECT COUNT(*) FROM _point"), 603);
    file.check(&guard);
}

#[test]
fn the_oldest_of_too_many_open_traces_is_kept() {
    let file = File::new();
    let (dispatch, guard) = file.at_flushes_with(TailRule::new().slower_than(LONG).max_traces(1));
    within(&dispatch, || {
        let first = info_span!("first");
        guard.flush(PATIENCE).unwrap();
        let second = info_span!("second");
        guard.flush(PATIENCE).unwrap();
        assert_eq!(file.count(RUNNING), 2);
        drop((first, second));
    });
    guard.flush(PATIENCE).unwrap();
    assert_eq!(file.names(), ["first"]);
    assert_eq!(tail_stats(&guard).kept_early, 1);
    file.check(&guard);
}

#[test]
fn a_kept_trace_that_is_no_longer_remembered_loses_no_record() {
    let file = File::new();
    let (dispatch, guard) = file.at_flushes_with(TailRule::new().slower_than(LONG).max_traces(1));
    let trace_id: TraceId = "4bf92f3577b34da6a3ce929d0e0e4736".parse().unwrap();
    let parent: SpanId = "00f067aa0ba902b7".parse().unwrap();
    within(&dispatch, || {
        let kept = info_span!("kept");
        kept.set_remote_parent(trace_id, parent).unwrap();
        kept.in_scope(|| error!("refused"));
        drop(kept);
        guard.flush(PATIENCE).unwrap();
        info_span!("another").in_scope(|| error!("refused"));
        guard.flush(PATIENCE).unwrap();
        let again = info_span!("again");
        again.set_remote_parent(trace_id, parent).unwrap();
        guard.flush(PATIENCE).unwrap();
        assert_eq!(file.count(RUNNING), 1);
    });
    guard.flush(PATIENCE).unwrap();
    assert_eq!(tail_stats(&guard).dropped, 1);
    assert_eq!(file.names(), ["another", "kept"]);
    file.check(&guard);
}

#[test]
fn a_program_with_a_rule_counts_dropped_records_and_reports_none() {
    let file = File::new();
    let output = Command::new(env!("CARGO_BIN_EXE_burst"))
        .args([file.path.as_os_str(), "500".as_ref(), "tail".as_ref()])
        .output()
        .unwrap();
    assert!(output.status.success());
    assert_eq!(
        String::from_utf8_lossy(&output.stderr),
        "",
        "a requested drop is not reported"
    );
    assert_eq!(file.names(), ["failed"]);
    let left_out = "SELECT dropped_sampled FROM _process WHERE offered = stored + dropped_sampled";
    assert_eq!(file.count(left_out), 500 * RECORDS_A_TRACE);
}

#[test]
fn without_a_rule_everything_is_stored() {
    let file = File::new();
    let (dispatch, guard) = store_with(quick(), &file.path);
    within(&dispatch, || request("good", |_| ()));
    guard.flush(PATIENCE).unwrap();
    assert_eq!((guard.stats().stored, guard.tail_stats()), (10, None));
    file.check(&guard);
}

/// The rule reads a span before its record is decoded.
#[test]
fn a_span_with_only_an_error_type_makes_its_trace_one_with_an_error() {
    let file = File::new();
    let (dispatch, guard) = file.with(TailRule::new().slower_than(LONG));
    within(&dispatch, || {
        drop(info_span!("named", error.type = "timeout"));
        drop(info_span!("unnamed", error.type = ""));
        let settled = info_span!("settled", error.type = "timeout", otel.status_code = "ok");
        drop(settled);
    });
    guard.flush(PATIENCE).unwrap();
    assert_eq!(file.names(), ["named"]);
    file.check(&guard);
}
