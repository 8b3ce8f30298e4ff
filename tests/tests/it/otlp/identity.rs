//! A span has the same ids in the store, on the console and in the collector, whatever happens to
//! it, and in whatever order the layers were added.

use std::collections::BTreeMap;
use std::io::Write;
use std::sync::{Arc, Mutex};

use serde_json::Value as Json;
use spanscope_layers::console::SpanDisplay;
use spanscope_layers::console::render::Format;
use spanscope_layers::{Categories, CategoryFilter, ConsoleLayer, LevelFilter, Levels, SpanExt as _};
use spanscope_model::{SpanId, TraceId};
use spanscope_otlp::OpenTelemetrySpanExt as _;
use spanscope_otlp::opentelemetry::Context;
use spanscope_otlp::opentelemetry::trace::{SpanContext, TraceContextExt as _, TraceFlags, TraceState};
use spanscope_sqlite::SqliteLayer;
use spanscope_tests::receiver::{Receiver, hex};
use spanscope_tests::{PATIENCE, wait_for};
use tracing::{Dispatch, info, info_span};
use tracing_subscriber::filter::filter_fn;
use tracing_subscriber::prelude::*;

use super::{alone, build, stored_spans, to};

/// Trace, span, parent.
type Ids = (String, String, Option<String>);
/// By name.
type Seen = BTreeMap<String, Ids>;

const REMOTE_TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";
const REMOTE_SPAN: &str = "00f067aa0ba902b7";

/// A writer whose output can be read afterwards.
#[derive(Clone, Default)]
struct Written(Arc<Mutex<Vec<u8>>>);

impl Write for Written {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

/// The order in which the layers are added, and which of them doesn't see spans whose name begins
/// with `hidden`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Order {
    BridgeFirst,
    BridgeBetween,
    BridgeLast,
    BridgeFirstFiltered,
    BridgeLastFiltered,
    StoreFiltered,
}

const ORDERS: [Order; 6] = [
    Order::BridgeFirst,
    Order::BridgeBetween,
    Order::BridgeLast,
    Order::BridgeFirstFiltered,
    Order::BridgeLastFiltered,
    Order::StoreFiltered,
];

/// The output of the three sinks.
struct Shown {
    sent: Seen,
    stored: Seen,
    /// From the starts on the console, with no parents.
    console: BTreeMap<String, (String, String)>,
}

fn run(order: Order, program: impl FnOnce(&Dispatch)) -> Shown {
    let receiver = Receiver::start();
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("trace_store.db");
    let written = Written::default();
    let (store, store_guard) = SqliteLayer::open(&path).unwrap();
    let (console, console_guard) = ConsoleLayer::builder()
        .writer(written.clone())
        .format(Format::Json)
        .spans(SpanDisplay::Lines)
        .build()
        .unwrap();
    let visible = || filter_fn(|metadata| !metadata.name().starts_with("hidden"));
    let registry = tracing_subscriber::registry();
    let (dispatch, guard) = match order {
        Order::BridgeFirst => {
            let (bridge, guard) = build(to(&receiver.url()));
            (
                Dispatch::new(registry.with(bridge).with(store).with(console)),
                guard,
            )
        }
        Order::BridgeBetween => {
            let (bridge, guard) = build(to(&receiver.url()));
            (
                Dispatch::new(registry.with(store).with(bridge).with(console)),
                guard,
            )
        }
        Order::BridgeLast => {
            let (bridge, guard) = build(to(&receiver.url()));
            (
                Dispatch::new(registry.with(store).with(console).with(bridge)),
                guard,
            )
        }
        Order::BridgeFirstFiltered => {
            let (bridge, guard) = build(to(&receiver.url()));
            let bridge = bridge.with_filter(visible());
            (
                Dispatch::new(registry.with(bridge).with(store).with(console)),
                guard,
            )
        }
        Order::BridgeLastFiltered => {
            let (bridge, guard) = build(to(&receiver.url()));
            let bridge = bridge.with_filter(visible());
            (
                Dispatch::new(registry.with(store).with(console).with(bridge)),
                guard,
            )
        }
        Order::StoreFiltered => {
            let (bridge, guard) = build(to(&receiver.url()));
            let store = store.with_filter(visible());
            (
                Dispatch::new(registry.with(store).with(bridge).with(console)),
                guard,
            )
        }
    };
    tracing::dispatcher::with_default(&dispatch, || program(&dispatch));
    guard.flush(PATIENCE).unwrap();
    store_guard.flush(PATIENCE).unwrap();
    console_guard.flush(PATIENCE).unwrap();
    let sent = receiver.spans().into_iter().map(|sent| {
        let span = sent.record;
        let parent = (!span.parent_span_id.is_empty()).then(|| hex(&span.parent_span_id));
        (span.name, (hex(&span.trace_id), hex(&span.span_id), parent))
    });
    let stored = stored_spans(&path).into_iter().map(|span| {
        let parent = span.parent_span_id.map(|parent| parent.to_string());
        (
            span.name,
            (span.trace_id.to_string(), span.span_id.to_string(), parent),
        )
    });
    let lines = String::from_utf8(written.0.lock().unwrap().clone()).unwrap();
    let console = lines.lines().filter_map(|line| {
        let line: Json = serde_json::from_str(line).unwrap();
        let text = |key: &str| line[key].as_str().map(ToOwned::to_owned);
        (line["kind"] == "span_start").then_some(())?;
        Some((text("name")?, (text("trace_id")?, text("span_id")?)))
    });
    Shown {
        sent: sent.collect(),
        stored: stored.collect(),
        console: console.collect(),
    }
}

/// Runs a program under every order and compares all three sinks. `check` gets the spans that were
/// sent.
fn same_everywhere(names: &[&str], program: impl Fn(&Dispatch), check: impl Fn(Order, &Seen)) {
    for order in ORDERS {
        let shown = run(order, &program);
        for name in names {
            let hidden = name.starts_with("hidden");
            let is_sent =
                !(hidden && matches!(order, Order::BridgeFirstFiltered | Order::BridgeLastFiltered));
            let is_stored = !(hidden && order == Order::StoreFiltered);
            let (trace, span) = shown.console[*name].clone();
            for (what, is_there, seen) in [
                ("sent", is_sent, &shown.sent),
                ("stored", is_stored, &shown.stored),
            ] {
                let ids = seen.get(*name);
                assert_eq!(ids.is_some(), is_there, "{order:?}: {name} {what}: {seen:#?}");
                if let Some(ids) = ids {
                    assert_eq!((&ids.0, &ids.1), (&trace, &span), "{order:?}: {name} {what}");
                }
            }
        }
        if !names.iter().any(|name| name.starts_with("hidden")) {
            assert_eq!(shown.sent, shown.stored, "{order:?}");
        }
        check(order, &shown.sent);
    }
}

fn remote_context() -> Context {
    Context::new().with_remote_span_context(SpanContext::new(
        spanscope_otlp::opentelemetry::TraceId::from_hex(REMOTE_TRACE).unwrap(),
        spanscope_otlp::opentelemetry::SpanId::from_hex(REMOTE_SPAN).unwrap(),
        TraceFlags::SAMPLED,
        true,
        TraceState::NONE,
    ))
}

fn is_below_remote(ids: &Ids) -> bool {
    ids.0 == REMOTE_TRACE && ids.2.as_deref() == Some(REMOTE_SPAN)
}

#[test]
fn spans_that_are_entered() {
    same_everywhere(
        &["root", "child", "grandchild"],
        |_| {
            info_span!("root").in_scope(|| {
                info_span!("child").in_scope(|| info_span!("grandchild").in_scope(|| info!("hello")));
            });
        },
        |_, sent| {
            assert_eq!(sent["child"].2.as_ref(), Some(&sent["root"].1));
            assert_eq!(sent["grandchild"].2.as_ref(), Some(&sent["child"].1));
            assert_eq!(sent["root"].2, None);
        },
    );
}

#[test]
fn spans_that_are_never_entered() {
    same_everywhere(
        &["root", "child"],
        |_| {
            let root = info_span!("root");
            drop(info_span!(parent: &root, "child"));
            info!(parent: &root, "an event in it");
        },
        |_, sent| assert_eq!(sent["child"].2.as_ref(), Some(&sent["root"].1)),
    );
}

#[test]
fn a_parent_that_ends_before_its_child_and_was_never_entered() {
    same_everywhere(
        &["root", "child"],
        |_| {
            let root = info_span!("root");
            let child = info_span!(parent: &root, "child");
            drop(root);
            child.in_scope(|| info!("late"));
        },
        |_, sent| assert_eq!(sent["child"].2.as_ref(), Some(&sent["root"].1)),
    );
}

#[test]
fn a_remote_parent_that_is_set_after_creation_through_opentelemetry() {
    same_everywhere(
        &["request", "child"],
        |_| {
            let request = info_span!("request");
            request.set_parent(remote_context()).unwrap();
            request.in_scope(|| info_span!("child").in_scope(|| ()));
        },
        |_, sent| {
            assert!(is_below_remote(&sent["request"]));
            assert_eq!(sent["child"].0, REMOTE_TRACE);
        },
    );
}

#[test]
fn a_remote_parent_that_is_set_after_creation_through_span_ext() {
    same_everywhere(
        &["request", "child"],
        |_| {
            let request = info_span!("request");
            let trace: TraceId = REMOTE_TRACE.parse().unwrap();
            let span: SpanId = REMOTE_SPAN.parse().unwrap();
            request.set_remote_parent(trace, span).unwrap();
            request.in_scope(|| info_span!("child").in_scope(|| ()));
            assert!(request.set_remote_parent(trace, span).is_err(), "too late now");
            assert!(
                request.set_parent(Context::new()).is_err(),
                "for OpenTelemetry as well"
            );
        },
        |_, sent| {
            assert!(is_below_remote(&sent["request"]));
            assert_eq!(sent["child"].0, REMOTE_TRACE);
        },
    );
}

#[test]
fn a_remote_parent_of_a_span_that_is_never_entered() {
    same_everywhere(
        &["request"],
        |_| info_span!("request").set_parent(remote_context()).unwrap(),
        |_, sent| assert!(is_below_remote(&sent["request"])),
    );
}

#[test]
fn an_attached_context() {
    same_everywhere(
        &["request"],
        |_| {
            let _attached = remote_context().attach();
            info_span!("request").in_scope(|| ());
        },
        |_, sent| assert!(is_below_remote(&sent["request"])),
    );
}

#[test]
fn a_span_made_on_one_thread_and_entered_on_another() {
    same_everywhere(
        &["root", "job", "inner"],
        |dispatch| {
            let root = info_span!("root");
            let job = root.in_scope(|| info_span!("job"));
            std::thread::scope(|scope| {
                scope.spawn(|| {
                    let work = || job.in_scope(|| info_span!("inner").in_scope(|| ()));
                    tracing::dispatcher::with_default(dispatch, work);
                });
            });
        },
        |_, sent| {
            assert_eq!(sent["job"].2.as_ref(), Some(&sent["root"].1));
            assert_eq!(sent["inner"].2.as_ref(), Some(&sent["job"].1));
        },
    );
}

#[test]
fn a_span_whose_ids_are_read_before_it_is_entered() {
    same_everywhere(
        &["first", "second"],
        |_| {
            let first = info_span!("first");
            let (trace, span) = first.ids().unwrap();
            let context = first.context();
            assert_eq!(
                context.span().span_context().trace_id().to_string(),
                trace.to_string()
            );
            assert_eq!(
                context.span().span_context().span_id().to_string(),
                span.to_string()
            );
            // The other way round.
            let second = info_span!("second");
            let context = second.context();
            let (trace, span) = second.ids().unwrap();
            assert_eq!(
                context.span().span_context().trace_id().to_string(),
                trace.to_string()
            );
            assert_eq!(
                context.span().span_context().span_id().to_string(),
                span.to_string()
            );
        },
        |_, _| (),
    );
}

#[test]
fn an_intermediate_span_that_one_sink_does_not_see() {
    same_everywhere(
        &["root", "hidden between", "child"],
        |_| {
            info_span!("root").in_scope(|| {
                info_span!("hidden between").in_scope(|| info_span!("child").in_scope(|| info!("x")));
            });
        },
        |order, sent| {
            let is_hidden = matches!(order, Order::BridgeFirstFiltered | Order::BridgeLastFiltered);
            let parent = if is_hidden { "root" } else { "hidden between" };
            assert_eq!(sent["child"].2.as_ref(), Some(&sent[parent].1), "{order:?}");
        },
    );
}

#[test]
fn a_root_that_one_sink_does_not_see() {
    same_everywhere(
        &["hidden root", "child", "second child", "asked child"],
        |_| {
            let root = info_span!("hidden root");
            root.in_scope(|| info_span!("child").in_scope(|| info!("x")));
            drop(info_span!(parent: &root, "second child"));
            // Its context is read before it is entered.
            let asked = root.in_scope(|| info_span!("asked child"));
            let _ = asked.context();
        },
        |_, sent| {
            assert_eq!(sent["child"].0, sent["second child"].0);
            assert_eq!(sent["child"].0, sent["asked child"].0);
        },
    );
}

#[test]
fn a_request_below_a_root_that_one_sink_does_not_see_continues_its_remote_parent() {
    same_everywhere(
        &["hidden server", "request"],
        |_| {
            info_span!("hidden server").in_scope(|| {
                let request = info_span!("request");
                request.set_parent(remote_context()).unwrap();
                request.in_scope(|| info!("x"));
            });
        },
        |_, sent| assert!(is_below_remote(&sent["request"])),
    );
}

#[test]
fn links_change_no_ids() {
    same_everywhere(
        &["first", "second"],
        |_| {
            let first = info_span!("first");
            let second = info_span!("second");
            second.follows_from(&first);
            first.in_scope(|| ());
            second.in_scope(|| ());
        },
        |_, _| (),
    );
}

#[test]
fn many_threads_make_spans_below_one_root() {
    let names: Vec<String> = (0..64).map(|number| format!("job {number}")).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    same_everywhere(
        &names,
        |dispatch| {
            let root = info_span!("root");
            std::thread::scope(|scope| {
                for jobs in names.chunks(8) {
                    let root = root.clone();
                    scope.spawn(move || {
                        tracing::dispatcher::with_default(dispatch, || {
                            for name in jobs {
                                let job = info_span!(parent: &root, "job", otel.name = *name);
                                job.in_scope(|| info!("done"));
                            }
                        });
                    });
                }
            });
        },
        |_, sent| {
            let root = &sent["root"];
            assert!(names.iter().all(|name| sent[*name].2.as_ref() == Some(&root.1)));
        },
    );
}

#[test]
fn a_hidden_parent_that_was_never_entered() {
    let receiver = Receiver::start();
    let mut levels = Levels::new();
    levels.set_root(LevelFilter::Info);
    let gate = CategoryFilter::new(Categories::new(), levels);
    let (dispatch, guard) = alone(to(&receiver.url()).span_filter(gate));
    tracing::dispatcher::with_default(&dispatch, || {
        let outer = info_span!("outer");
        let hidden = tracing::debug_span!(parent: &outer, "hidden");
        let inner = info_span!(parent: &hidden, "inner");
        drop(info_span!(parent: &inner, "innermost"));
    });
    guard.flush(PATIENCE).unwrap();
    let spans = receiver.spans();
    let of = |name: &str| &spans.iter().find(|span| span.record.name == name).unwrap().record;
    assert_eq!(spans.len(), 3);
    assert_eq!(of("inner").parent_span_id, of("outer").span_id);
    assert_eq!(of("innermost").parent_span_id, of("inner").span_id);
}

#[test]
fn two_bridges_send_the_same_spans_to_two_collectors() {
    let (one, other) = (Receiver::start(), Receiver::start());
    let (first, first_guard) = build(to(&one.url()));
    let (second, second_guard) = build(to(&other.url()));
    let dispatch = Dispatch::new(tracing_subscriber::registry().with(first).with(second));
    tracing::dispatcher::with_default(&dispatch, || {
        let root = info_span!("root");
        root.set_parent(remote_context()).unwrap();
        root.in_scope(|| info_span!("child").in_scope(|| info!("x")));
    });
    first_guard.flush(PATIENCE).unwrap();
    second_guard.flush(PATIENCE).unwrap();
    let ids = |receiver: &Receiver| {
        let spans = receiver.spans().into_iter().map(|span| span.record);
        let mut ids: Vec<_> = spans
            .map(|span| (span.name, span.trace_id, span.span_id, span.parent_span_id))
            .collect();
        ids.sort();
        ids
    };
    assert_eq!(ids(&one), ids(&other));
    assert_eq!(ids(&one).len(), 2);
    assert_eq!(hex(&ids(&one)[0].1), REMOTE_TRACE);
}

#[test]
fn a_bridge_in_an_option_under_a_scoped_dispatcher() {
    let receiver = Receiver::start();
    let (bridge, guard) = build(to(&receiver.url()));
    let dispatch = Dispatch::new(tracing_subscriber::registry().with(Some(bridge)));
    let (root, child) = tracing::dispatcher::with_default(&dispatch, || {
        let root = info_span!("root");
        let child = root.in_scope(|| info_span!("child"));
        let ids = |span: &tracing::Span| span.ids().unwrap().1.to_string();
        let of_otel = child.context().span().span_context().span_id().to_string();
        assert_eq!(of_otel, ids(&child));
        (ids(&root), ids(&child))
    });
    guard.flush(PATIENCE).unwrap();
    let spans = receiver.spans();
    let of = |id: &str| spans.iter().find(|span| hex(&span.record.span_id) == id).unwrap();
    assert_eq!(hex(&of(&child).record.parent_span_id), root);
    assert_eq!(of(&child).record.trace_id, of(&root).record.trace_id);
}

/// Spans while a thread ends: thread-locals of `tracing-opentelemetry` may be gone by then.
#[test]
fn spans_in_thread_locals() {
    struct Kept {
        span: tracing::Span,
        enters: bool,
    }

    impl Drop for Kept {
        fn drop(&mut self) {
            if self.enters {
                self.span.in_scope(|| drop(info_span!("made at the end")));
            }
        }
    }

    thread_local! {
        static KEPT: std::cell::RefCell<Option<Kept>> = const { std::cell::RefCell::new(None) };
    }

    // If no span was created before, the registry's own thread-locals are gone first: then no span
    // can be entered, whatever layers it has, so the span is only closed.
    for enters_before in [false, true] {
        let receiver = Receiver::start();
        let (dispatch, guard) = alone(to(&receiver.url()));
        let scope = dispatch.clone();
        let thread = std::thread::spawn(move || {
            tracing::dispatcher::with_default(&scope, || {
                if enters_before {
                    info_span!("before").in_scope(|| ());
                }
                KEPT.with(|kept| {
                    *kept.borrow_mut() = Some(Kept {
                        span: info_span!("kept"),
                        enters: enters_before,
                    });
                });
                info_span!("after").in_scope(|| ());
            });
        });
        thread.join().unwrap();
        guard.flush(PATIENCE).unwrap();
        let sent = receiver.spans().iter().any(|span| span.record.name == "kept");
        // The queue's thread-locals may be gone too; the queue still accepts it.
        let spans = guard.stats().spans;
        assert!(sent, "{spans:?}");
        assert_eq!(spans.lost.total(), 0, "{spans:?}");
        assert_eq!(spans.offered, spans.exported);
    }
}

#[test]
fn spans_close_while_the_stores_thread_reads_them() {
    for bridge_first in [true, false] {
        let receiver = Receiver::start();
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("trace_store.db");
        let store = SqliteLayer::builder().flush_interval(std::time::Duration::from_millis(1));
        let (store, store_guard) = store.open(&path).unwrap();
        let registry = tracing_subscriber::registry();
        let (dispatch, guard) = if bridge_first {
            let (bridge, guard) = build(to(&receiver.url()));
            (Dispatch::new(registry.with(bridge).with(store)), guard)
        } else {
            let (bridge, guard) = build(to(&receiver.url()));
            (Dispatch::new(registry.with(store).with(bridge)), guard)
        };
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    tracing::dispatcher::with_default(&dispatch, || {
                        for _ in 0..500 {
                            let parent = info_span!("parent");
                            let child = info_span!(parent: &parent, "child");
                            drop(parent);
                            drop(info_span!(parent: &child, "grandchild"));
                        }
                    });
                });
            }
        });
        guard.flush(PATIENCE).unwrap();
        store_guard.flush(PATIENCE).unwrap();
        let mut sent: Vec<_> = receiver
            .spans()
            .iter()
            .map(|span| {
                (
                    hex(&span.record.trace_id),
                    hex(&span.record.span_id),
                    hex(&span.record.parent_span_id),
                )
            })
            .collect();
        let mut stored: Vec<_> = stored_spans(&path)
            .iter()
            .map(|span| {
                let parent = span.parent_span_id.map(|parent| parent.to_string());
                (
                    span.trace_id.to_string(),
                    span.span_id.to_string(),
                    parent.unwrap_or_default(),
                )
            })
            .collect();
        sent.sort();
        stored.sort();
        assert_eq!(sent.len(), 6_000);
        assert_eq!(sent, stored);
    }
}

#[test]
fn a_span_that_is_entered_late_is_seen_while_it_runs() {
    let receiver = Receiver::start();
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("trace_store.db");
    let (store, store_guard) = SqliteLayer::open(&path).unwrap();
    let (bridge, _guard) = build(to(&receiver.url()));
    let dispatch = Dispatch::new(tracing_subscriber::registry().with(bridge).with(store));
    tracing::dispatcher::with_default(&dispatch, || {
        let span = info_span!("late");
        store_guard.flush(PATIENCE).unwrap();
        span.set_parent(remote_context()).unwrap();
        let _inside = span.enter();
        let seen = wait_for("the running span", || {
            stored_spans(&path).into_iter().find(|span| span.name == "late")
        });
        assert_eq!(seen.trace_id.to_string(), REMOTE_TRACE);
        assert_eq!(seen.end_time, None);
    });
}
