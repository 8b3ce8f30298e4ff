//! The records of a `tracing` program, as the store has them.

use std::fmt;
use std::path::PathBuf;

use spanscope_core::SpanExt as _;
use spanscope_model::{
    LogEvent, LogFilter, Severity, Span, SpanFilter, SpanKind, SpanStatus, TraceStore as _, Value, block_on,
};
use spanscope_sqlite::{SqliteGuard, SqliteLayer, SqliteStore};
use spanscope_tests::{PATIENCE, store_at};
use tracing::{Dispatch, Level, field, info, info_span};
use tracing_subscriber::filter::LevelFilter;
use tracing_subscriber::prelude::*;

struct Run {
    folder: tempfile::TempDir,
    dispatch: Dispatch,
    guard: SqliteGuard,
}

impl Run {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let (dispatch, guard) = store_at(&folder.path().join("trace_store.db"));
        Self {
            folder,
            dispatch,
            guard,
        }
    }

    fn run<T>(&self, program: impl FnOnce() -> T) -> T {
        tracing::dispatcher::with_default(&self.dispatch, program)
    }

    fn path(&self) -> PathBuf {
        self.folder.path().join("trace_store.db")
    }

    fn spans(&self) -> Vec<Span> {
        self.guard.flush(PATIENCE).unwrap();
        spans_of(&self.path())
    }

    fn span(&self, name: &str) -> Span {
        let spans = self.spans();
        spans
            .iter()
            .find(|span| span.name == name)
            .unwrap_or_else(|| panic!("no {name} in {spans:#?}"))
            .clone()
    }

    fn logs(&self) -> Vec<LogEvent> {
        self.guard.flush(PATIENCE).unwrap();
        let store = SqliteStore::open(self.path()).unwrap();
        block_on(store.list_logs(LogFilter::default().limit(10_000))).unwrap()
    }
}

fn spans_of(path: &std::path::Path) -> Vec<Span> {
    let store = SqliteStore::open(path).unwrap();
    let mut spans = block_on(store.list_spans(SpanFilter::default().limit(10_000))).unwrap();
    spans.sort_by_key(|span| span.start_time);
    spans
}

fn attribute(span: &Span, key: &str) -> Option<Value> {
    span.attributes.get(key).cloned()
}

#[test]
fn a_span_arrives_with_its_types_times_and_parent() {
    let run = Run::new();
    run.run(|| {
        let _root = info_span!("root").entered();
        let child = info_span!(
            "child",
            yes = true,
            minus = -5_i64,
            huge = u64::MAX,
            half = 0.5,
            text = "a\"b\\c\n"
        );
        let _child = child.entered();
        tracing::debug!(answer = 42, "worked");
    });
    let (root, child) = (run.span("root"), run.span("child"));
    assert_eq!(child.parent_span_id, Some(root.span_id));
    assert_eq!(child.trace_id, root.trace_id);
    assert_eq!(root.parent_span_id, None);
    assert_eq!(child.status, Some(SpanStatus::Ok));
    assert_eq!(child.kind, SpanKind::Internal);
    assert!(child.end_time.unwrap() <= root.end_time.unwrap() && child.start_time >= root.start_time);
    assert_eq!(attribute(&child, "yes"), Some(Value::Bool(true)));
    assert_eq!(attribute(&child, "minus"), Some(Value::I64(-5)));
    assert_eq!(attribute(&child, "huge"), Some(Value::U64(u64::MAX)));
    assert_eq!(attribute(&child, "half"), Some(Value::F64(0.5)));
    assert_eq!(attribute(&child, "text"), Some(Value::Str("a\"b\\c\n".into())));
    let log = &run.logs()[0];
    assert_eq!(
        (log.message.as_str(), log.severity, log.span_id),
        ("worked", Severity::Debug, Some(child.span_id))
    );
    assert_eq!(log.attributes.get("answer").and_then(Value::as_i64), Some(42));
}

#[test]
fn special_fields_name_the_span_its_kind_and_its_status() {
    let run = Run::new();
    run.run(|| {
        let span = info_span!(
            "plain",
            otel.name = "GET /users",
            otel.kind = "server",
            otel.status_code = field::Empty,
            otel.status_description = "no such user",
            category = "inference"
        );
        span.record("otel.status_code", "ERROR");
    });
    let span = run.span("GET /users");
    assert_eq!(
        (span.kind, span.status),
        (SpanKind::Server, Some(SpanStatus::Error))
    );
    assert_eq!(span.status_message.as_deref(), Some("no such user"));
    assert_eq!(span.category.as_deref(), Some("inference"));
    assert!(
        span.attributes.is_empty(),
        "special fields are not attributes: {:?}",
        span.attributes
    );
}

#[test]
fn an_error_event_fails_its_span_unless_the_spans_status_is_ok() {
    let run = Run::new();
    run.run(|| {
        info_span!("fails").in_scope(|| tracing::error!("broken"));
        info_span!("copes", otel.status_code = "ok")
            .in_scope(|| tracing::error!(severity = "critical", "broken"));
        info_span!("outer").in_scope(|| info_span!("inner").in_scope(|| tracing::error!("broken")));
    });
    assert_eq!(run.span("fails").status, Some(SpanStatus::Error));
    assert_eq!(run.span("copes").status, Some(SpanStatus::Ok));
    assert_eq!(run.span("inner").status, Some(SpanStatus::Error));
    assert_eq!(
        run.span("outer").status,
        Some(SpanStatus::Ok),
        "the event happened in the inner span"
    );
    assert!(run.logs().iter().any(|log| log.severity == Severity::Critical));
}

#[derive(Debug)]
struct Outer(Inner);
#[derive(Debug)]
struct Inner;
impl fmt::Display for Outer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("request failed")
    }
}
impl fmt::Display for Inner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("connection refused")
    }
}
impl std::error::Error for Inner {}
impl std::error::Error for Outer {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        Some(&self.0)
    }
}

#[test]
fn errors_become_exceptions_with_type_and_chain() {
    #[tracing::instrument(err)]
    fn instrumented() -> Result<(), Outer> {
        Err(Outer(Inner))
    }
    let run = Run::new();
    run.run(|| {
        let _ = instrumented();
        let error = Outer(Inner);
        info_span!("with value").in_scope(|| {
            tracing::error!(error = &error as &(dyn std::error::Error + 'static), "it broke");
        });
    });
    assert_eq!(run.span("instrumented").status, Some(SpanStatus::Error));
    let logs = run.logs();
    let exception = logs.iter().find(|log| log.name == "exception").unwrap();
    assert_eq!(exception.message, "request failed");
    assert_eq!(
        exception
            .attributes
            .get("exception.message")
            .and_then(Value::as_str),
        Some("request failed")
    );
    let detailed = logs.iter().find(|log| log.message == "it broke").unwrap();
    assert_eq!(
        detailed.attributes.get("exception.type").and_then(Value::as_str),
        None,
        "a name that does not look like an error type is not used"
    );
    assert_eq!(
        detailed.attributes.get("exception.chain").and_then(Value::as_str),
        Some("connection refused")
    );
}

#[test]
fn attributes_may_have_any_key_and_the_last_value_wins() {
    let run = Run::new();
    run.run(|| {
        let span = info_span!("chat", tokens = 1, late = field::Empty);
        span.record_attribute("user.tier", "silver");
        span.record_attribute("user.tier", "gold");
        span.record("late", 7);
        span.record("tokens", 2);
        span.record_attribute("tokens", 3);
    });
    let span = run.span("chat");
    assert_eq!(attribute(&span, "user.tier"), Some("gold".into()));
    assert_eq!(attribute(&span, "late"), Some(Value::I64(7)));
    assert_eq!(attribute(&span, "tokens"), Some(Value::I64(3)));
    assert_eq!(span.attributes.len(), 3);
}

#[test]
fn secrets_are_masked_and_long_values_are_cut_visibly() {
    let run = Run::new();
    let long = "é".repeat(2 * 1024 * 1024);
    run.run(|| {
        info_span!(
            "call",
            api_key = "sk-123",
            "http.request.header.authorization" = "Bearer x",
            max_tokens = 5
        );
        info_span!("long", text = long.as_str(), debug = ?long);
        info!("{long}");
    });
    let call = run.span("call");
    assert_eq!(attribute(&call, "api_key"), Some("[masked: 6 characters]".into()));
    assert_eq!(
        attribute(&call, "http.request.header.authorization"),
        Some("[masked: 8 characters]".into())
    );
    assert_eq!(attribute(&call, "max_tokens"), Some(Value::I64(5)));
    let cut = run.span("long");
    assert_eq!(attribute(&cut, "text"), Some("é".repeat(8 * 1024).into()));
    assert_eq!(
        attribute(&cut, "spanscope.cut.text"),
        Some(Value::I64(4 * 1024 * 1024))
    );
    assert_eq!(
        attribute(&cut, "spanscope.cut.debug"),
        Some(Value::I64(4 * 1024 * 1024 + 2))
    );
    assert_eq!(run.logs()[0].message.len(), 16 * 1024);
}

#[test]
fn numbers_that_json_does_not_have_stay_as_text() {
    let run = Run::new();
    run.run(|| {
        info_span!(
            "odd",
            nan = f64::NAN,
            inf = f64::INFINITY,
            minus = f64::NEG_INFINITY,
            wide = i128::MAX
        );
    });
    let span = run.span("odd");
    assert_eq!(attribute(&span, "nan"), Some("NaN".into()));
    assert_eq!(attribute(&span, "inf"), Some("Infinity".into()));
    assert_eq!(attribute(&span, "minus"), Some("-Infinity".into()));
    assert_eq!(attribute(&span, "wide"), Some(i128::MAX.to_string().into()));
}

#[test]
fn events_outside_of_spans_and_records_of_log_are_kept() {
    let run = Run::new();
    run.run(|| {
        tracing::warn!("alone");
        let record = log::Record::builder()
            .args(format_args!("from log"))
            .level(log::Level::Warn)
            .target("sqlx::query")
            .build();
        tracing_log::format_trace(&record).unwrap();
    });
    let logs = run.logs();
    let alone = logs.iter().find(|log| log.message == "alone").unwrap();
    assert_eq!(
        (alone.trace_id, alone.span_id, alone.severity),
        (None, None, Severity::Warn)
    );
    let from_log = logs.iter().find(|log| log.message == "from log").unwrap();
    assert_eq!(
        (from_log.target.as_str(), from_log.severity),
        ("sqlx::query", Severity::Warn)
    );
}

#[test]
fn spans_closed_out_of_order_on_other_threads_and_after_their_thread_keep_their_parents() {
    let run = Run::new();
    let root = run.run(|| info_span!("root"));
    let child = run.run(|| info_span!(parent: &root, "child"));
    let grandchild = run.run(|| info_span!(parent: &child, "grandchild"));
    drop(root);
    std::thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| run.run(|| child.in_scope(|| info!("entered"))));
        }
    });
    std::thread::spawn(move || drop(child)).join().unwrap();
    std::thread::spawn(move || drop(grandchild)).join().unwrap();
    let (root, child, grandchild) = (run.span("root"), run.span("child"), run.span("grandchild"));
    assert_eq!(child.parent_span_id, Some(root.span_id));
    assert_eq!(grandchild.parent_span_id, Some(child.span_id));
    assert_eq!(grandchild.trace_id, root.trace_id);
    assert_eq!(
        run.logs()
            .iter()
            .filter(|log| log.span_id == Some(child.span_id))
            .count(),
        8
    );
}

#[test]
fn a_remote_parent_set_before_use_continues_its_trace_and_later_is_refused() {
    let run = Run::new();
    let (trace, parent) = (
        "0af7651916cd43dd8448eb211c80319c".parse().unwrap(),
        "b7ad6b7169203331".parse().unwrap(),
    );
    run.run(|| {
        let span = info_span!("server");
        span.set_remote_parent(trace, parent).unwrap();
        assert_eq!(span.ids().map(|(trace, _)| trace), Some(trace));
        assert!(
            span.set_remote_parent(trace, parent).is_err(),
            "the ids are already in use"
        );
        span.in_scope(|| info_span!("inside").in_scope(|| {}));
    });
    assert_eq!(run.span("server").parent_span_id, Some(parent));
    assert_eq!(run.span("inside").trace_id, trace);
    let db = rusqlite::Connection::open(run.path()).unwrap();
    let root: String = db
        .query_row("SELECT root_span_id FROM traces", [], |row| row.get(0))
        .unwrap();
    assert_eq!(
        root,
        run.span("server").span_id.to_string(),
        "a continued trace has a local root"
    );
}

#[test]
fn follows_from_and_links_are_kept() {
    let run = Run::new();
    run.run(|| {
        let first = info_span!("first");
        let second = info_span!("second");
        second.follows_from(&first);
    });
    let link = &run.span("second").links[0];
    assert_eq!(link.span_id, run.span("first").span_id);
}

struct Logs;
impl fmt::Debug for Logs {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        info!("from inside Debug");
        tracing::Span::current().record_attribute("touched", true);
        f.write_str("logged")
    }
}
struct Panics;
impl fmt::Debug for Panics {
    fn fmt(&self, _: &mut fmt::Formatter<'_>) -> fmt::Result {
        panic!("from inside Debug")
    }
}

#[test]
fn a_debug_that_logs_or_panics_neither_blocks_nor_poisons() {
    let run = Run::new();
    run.run(|| {
        let span = info_span!("span", logs = ?Logs, panics = ?Panics, after = 1).entered();
        span.record("logs", field::debug(Logs));
        info!(value = ?Logs, bad = ?Panics, "event");
        info!("still here");
    });
    let span = run.span("span");
    assert_eq!(attribute(&span, "logs"), Some("logged".into()));
    assert_eq!(
        attribute(&span, "panics"),
        Some("<its Debug or Display panicked>".into())
    );
    assert_eq!(attribute(&span, "after"), Some(Value::I64(1)));
    assert!(run.logs().iter().any(|log| log.message == "still here"));
}

#[test]
fn two_layers_show_the_same_ids_and_each_its_own_visible_parents() {
    let folder = tempfile::tempdir().unwrap();
    let (all_path, some_path) = (folder.path().join("all.db"), folder.path().join("some.db"));
    for info_first in [true, false] {
        for path in [&all_path, &some_path] {
            let _ = std::fs::remove_file(path);
        }
        let (all, all_guard) = SqliteLayer::open(&all_path).unwrap();
        let (some, some_guard) = SqliteLayer::open(&some_path).unwrap();
        let dispatch = if info_first {
            Dispatch::new(
                tracing_subscriber::registry()
                    .with(some.with_filter(LevelFilter::INFO))
                    .with(all),
            )
        } else {
            Dispatch::new(
                tracing_subscriber::registry()
                    .with(all)
                    .with(some.with_filter(LevelFilter::INFO)),
            )
        };
        tracing::dispatcher::with_default(&dispatch, || {
            let _hidden_root = tracing::debug_span!("hidden root").entered();
            let _outer = info_span!("outer").entered();
            let _hidden = tracing::debug_span!("hidden").entered();
            let inner = info_span!("inner", late = field::Empty).entered();
            inner.record("late", 1);
            info!("seen by both");
        });
        all_guard.flush(PATIENCE).unwrap();
        some_guard.flush(PATIENCE).unwrap();
        let (all, some) = (spans_of(&all_path), spans_of(&some_path));
        let find = |spans: &[Span], name: &str| spans.iter().find(|span| span.name == name).cloned().unwrap();
        assert_eq!((all.len(), some.len()), (4, 2), "info first: {info_first}");
        let (outer, inner) = (find(&some, "outer"), find(&some, "inner"));
        assert_eq!(find(&all, "inner").span_id, inner.span_id);
        assert_eq!(find(&all, "inner").trace_id, inner.trace_id);
        assert_eq!(
            find(&all, "hidden root").trace_id,
            outer.trace_id,
            "one trace in every sink"
        );
        assert_eq!(
            inner.parent_span_id,
            Some(outer.span_id),
            "the nearest visible ancestor"
        );
        assert_eq!(
            find(&all, "inner").parent_span_id,
            Some(find(&all, "hidden").span_id)
        );
        assert_eq!(inner.attributes, find(&all, "inner").attributes);
        assert_eq!(inner.attributes.get("late"), Some(&Value::I64(1)));
        drop((all_guard, some_guard));
        for path in [&all_path, &some_path] {
            std::fs::remove_file(path).unwrap();
        }
    }
}

#[test]
fn level_checks_between_spans_lose_no_span() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("trace_store.db");
    let (layer, guard) = SqliteLayer::open(&path).unwrap();
    let dispatch = Dispatch::new(tracing_subscriber::registry().with(LevelFilter::INFO).with(layer));
    tracing::dispatcher::with_default(&dispatch, || {
        for _ in 0..3 {
            // As sqlx does before each query.
            assert!(!tracing::enabled!(Level::DEBUG));
            info_span!("query").in_scope(|| info!("done"));
        }
    });
    guard.flush(PATIENCE).unwrap();
    assert_eq!((spans_of(&path).len(), guard.stats().stored), (3, 6));
}

#[test]
fn a_reloaded_filter_loses_no_record_that_it_lets_through() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("trace_store.db");
    let (layer, guard) = SqliteLayer::open(&path).unwrap();
    let (filter, handle) = tracing_subscriber::reload::Layer::new(LevelFilter::WARN);
    let dispatch = Dispatch::new(tracing_subscriber::registry().with(layer.with_filter(filter)));
    tracing::dispatcher::with_default(&dispatch, || {
        info_span!("too early");
        handle.reload(LevelFilter::INFO).unwrap();
        info_span!("seen").in_scope(|| info!("seen"));
        handle.reload(LevelFilter::OFF).unwrap();
        info_span!("too late");
        handle.reload(LevelFilter::TRACE).unwrap();
        tracing::trace_span!("seen too");
    });
    guard.flush(PATIENCE).unwrap();
    let names: Vec<String> = spans_of(&path).into_iter().map(|span| span.name).collect();
    assert_eq!(names, ["seen", "seen too"]);
}

#[test]
fn hostile_names_are_stored_unchanged() {
    let run = Run::new();
    let hostile = "'; DROP TABLE spans; --\u{202e}\u{1b}[31m\"\\";
    run.run(|| {
        let span = info_span!("x", otel.name = hostile, value = hostile);
        span.record_attribute(hostile, hostile);
        span.in_scope(|| info!("{hostile}"));
    });
    let span = run.span(hostile);
    assert_eq!(attribute(&span, hostile), Some(hostile.into()));
    assert_eq!(attribute(&span, "value"), Some(hostile.into()));
    assert_eq!(run.logs()[0].message, hostile);
    run.run(|| info_span!("y", text = "a\0b"));
    assert_eq!(
        attribute(&run.span("y"), "text"),
        Some("a\u{fffd}b".into()),
        "NUL is replaced, not removed"
    );
}

#[test]
fn events_with_a_closed_parent_and_no_span_at_all_are_kept() {
    let run = Run::new();
    run.run(|| {
        let id = info_span!("gone").id();
        info!(parent: id, "late");
        info!(parent: None, "rootless");
        let none = tracing::Span::none();
        none.in_scope(|| info!("in none"));
    });
    let messages: Vec<String> = run.logs().into_iter().map(|log| log.message).collect();
    for message in ["late", "rootless", "in none"] {
        assert!(
            messages.iter().any(|have| have == message),
            "{message} of {messages:?}"
        );
    }
}
