//! The category filter from outside: on a subscriber and on a layer, with values, with `log`, and
//! changed while in use.
//!
//! A separate binary, and one test at a time: `tracing` keeps one maximum level and one interest
//! per callsite for the whole process, over all living subscribers, and `log` has one logger.
#![expect(clippy::unwrap_used, reason = "tests fail by panicking")]

use std::fmt;
use std::process::Command;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, Once, PoisonError};

use spanscope_core::capture::Capture;
use spanscope_layers::{Categories, CategoryFilter, LevelFilter, Levels};
use tracing::field::{Field, Visit};
use tracing::level_filters::LevelFilter as TracingFilter;
use tracing::span::{Attributes, Id};
use tracing::{
    Event, Level, Metadata, Subscriber, debug, debug_span, error, error_span, info, info_span, warn,
};
use tracing_subscriber::layer::{Context, Filter, Layer};
use tracing_subscriber::prelude::*;
use tracing_subscriber::registry::{LookupSpan, Registry};

fn alone() -> MutexGuard<'static, ()> {
    static ALONE: Mutex<()> = Mutex::new(());
    ALONE.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Records what reaches it, as a sink does, except spans that a filter hid by their values.
#[derive(Clone)]
struct Recorder {
    capture: Arc<Capture>,
    seen: Arc<Mutex<Vec<String>>>,
    callsites: Arc<Mutex<Vec<&'static Metadata<'static>>>>,
}

impl Recorder {
    fn new() -> Self {
        Self {
            capture: Arc::new(Capture::new(1024)),
            seen: Arc::default(),
            callsites: Arc::default(),
        }
    }

    /// Returns the records since the last call.
    fn take(&self) -> Vec<String> {
        std::mem::take(&mut *self.seen.lock().unwrap())
    }

    fn note(&self, text: String, metadata: &'static Metadata<'static>) {
        self.seen.lock().unwrap().push(text);
        self.callsites.lock().unwrap().push(metadata);
    }
}

impl<S: Subscriber + for<'a> LookupSpan<'a>> Layer<S> for Recorder {
    fn on_new_span(&self, attributes: &Attributes<'_>, id: &Id, context: Context<'_, S>) {
        if self.capture.on_new_span(attributes, id, &context) {
            let metadata = attributes.metadata();
            self.note(format!("span {}", metadata.name()), metadata);
        }
    }

    fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
        struct Message(String);
        impl Visit for Message {
            fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
                if field.name() == "message" {
                    self.0 = format!("{value:?}");
                }
            }
        }
        let mut message = Message(String::new());
        event.record(&mut message);
        self.note(message.0, event.metadata());
    }
}

fn application() -> Categories {
    Categories::new().app_crate("my_app")
}

fn filter(pairs: &str, directives: &str) -> CategoryFilter {
    let mut levels = Levels::new();
    assert_eq!(levels.set_pairs(&application(), "test", pairs), []);
    assert_eq!(levels.set_directives("test", directives), []);
    CategoryFilter::new(application(), levels)
}

/// Runs this with the filter over a whole subscriber, and returns what passed.
fn seen_through(filter: &CategoryFilter, work: impl FnOnce()) -> Vec<String> {
    let recorder = Recorder::new();
    let subscriber = tracing_subscriber::registry()
        .with(filter.clone())
        .with(recorder.clone());
    tracing::subscriber::with_default(subscriber, work);
    recorder.take()
}

/// Runs this with the filter on one layer, and returns what that layer got.
fn seen_by_filtered(filter: &CategoryFilter, work: impl FnOnce()) -> Vec<String> {
    let (filtered, other) = (Recorder::new(), Recorder::new());
    let subscriber = tracing_subscriber::registry()
        .with(filtered.clone().with_filter(filter.clone()))
        .with(other);
    tracing::subscriber::with_default(subscriber, work);
    filtered.take()
}

fn seen_both_ways(filter: &CategoryFilter, work: impl Fn()) -> Vec<String> {
    let seen = seen_through(filter, &work);
    assert_eq!(
        seen_by_filtered(filter, &work),
        seen,
        "as a layer and as a per-layer filter"
    );
    seen
}

/// Returns the callsites that this registers.
fn callsites_of(work: impl FnOnce()) -> Vec<&'static Metadata<'static>> {
    let recorder = Recorder::new();
    tracing::subscriber::with_default(tracing_subscriber::registry().with(recorder.clone()), work);
    recorder.callsites.lock().unwrap().clone()
}

#[test]
fn a_layer_and_a_per_layer_filter_pass_the_same_records() {
    let _alone = alone();
    let filter = filter("core::routers=debug,server=error,tools=off", "quiet=off");
    let seen = seen_both_ways(&filter, || {
        debug!(target: "core::routers", "1 yes");
        debug!(target: "core::store", "2 no");
        info!(target: "core::store", "3 yes");
        warn!(target: "server", "4 no");
        error!(target: "server", "5 yes");
        error!(target: "tools", "6 no");
        info!(target: "sqlx", "7 no");
        warn!(target: "sqlx", "8 yes");
        info!(target: "my_app::x", "9 yes");
        debug!(target: "my_app::x", "10 no");
        info!(target: "hyper::server", "11 yes");
        error!(target: "quiet", "12 no");
        let _span = info_span!(target: "core", "shown").entered();
        let _span = debug_span!(target: "core", "not shown").entered();
        let _span = debug_span!(target: "core::routers", "shown too").entered();
    });
    assert_eq!(
        seen,
        [
            "1 yes",
            "3 yes",
            "5 yes",
            "8 yes",
            "9 yes",
            "11 yes",
            "span shown",
            "span shown too"
        ]
    );
}

#[test]
fn any_of_passes_what_any_sinks_filter_passes() {
    let _alone = alone();
    let mut levels = Levels::new();
    let warnings = levels.set_pairs(&application(), "test", "all=warn,nosuch=debug");
    let console = CategoryFilter::new(application(), levels).with_warnings(warnings.clone());
    let store = filter("agents=debug", "");
    let handle = store.handle();
    let any = CategoryFilter::any_of(vec![console.clone(), store.clone(), console.clone()]);
    assert_eq!(any.warnings(), warnings);
    let (shown, kept, unfiltered) = (Recorder::new(), Recorder::new(), Recorder::new());
    let subscriber = tracing_subscriber::registry()
        .with(any.clone())
        .with(shown.clone().with_filter(console))
        .with(kept.clone().with_filter(store))
        .with(unfiltered.clone());
    tracing::subscriber::with_default(subscriber, || {
        let emit = || {
            warn!(target: "agents", "warn");
            info!(target: "agents", "info");
            debug!(target: "agents", "debug");
            debug!(target: "core", "never");
            info!(target: "core", category = "agents", "by field");
            debug!(target: "core", category = "cli", "never by field");
        };
        emit();
        assert_eq!(shown.take(), ["warn"]);
        assert_eq!(kept.take(), ["warn", "info", "debug", "by field"]);
        assert_eq!(unfiltered.take(), ["warn", "info", "debug", "by field"]);
        // It follows the handles of its parts.
        let hint = || Layer::<Registry>::max_level_hint(&any);
        assert_eq!(hint(), Some(TracingFilter::DEBUG));
        handle.set("agents", LevelFilter::Error).unwrap();
        assert_eq!(hint(), Some(TracingFilter::INFO));
        emit();
        assert_eq!(shown.take(), ["warn"]);
        assert_eq!(kept.take(), [""; 0]);
        assert_eq!(unfiltered.take(), ["warn"]);
        // And its own handle changes them all.
        any.handle().set("all", LevelFilter::Info).unwrap();
        emit();
        for sink in [&shown, &kept, &unfiltered] {
            assert_eq!(sink.take(), ["warn", "info", "by field"]);
        }
        assert!(any.handle().set("nosuch", LevelFilter::Info).is_err());
        assert_eq!(any.handle().apply("nosuch=info").len(), 1);
    });
    let nothing = CategoryFilter::any_of(vec![]);
    assert_eq!(
        seen_both_ways(&nothing, || error!(target: "hyper", "no")),
        [""; 0]
    );
    assert_eq!(
        Layer::<Registry>::max_level_hint(&nothing),
        Some(TracingFilter::OFF)
    );
}

#[test]
fn filters_and_handles_are_send_and_sync() {
    fn goes<T: Clone + Send + Sync + 'static>(_: &T) {}
    let filter = filter("", "");
    goes(&filter);
    goes(&filter.handle());
    goes(filter.categories());
}

#[test]
fn a_level_change_applies_to_known_callsites() {
    let _alone = alone();
    for as_layer in [true, false] {
        let filter = filter("", "");
        let handle = filter.handle();
        let recorder = Recorder::new();
        let subscriber: Box<dyn Subscriber + Send + Sync> = if as_layer {
            Box::new(tracing_subscriber::registry().with(filter).with(recorder.clone()))
        } else {
            Box::new(tracing_subscriber::registry().with(recorder.clone().with_filter(filter)))
        };
        tracing::subscriber::with_default(subscriber, || {
            let emit = || {
                info!(target: "server", "info");
                debug!(target: "server", "debug");
                let _span = debug_span!(target: "server", "debug").entered();
            };
            emit();
            assert_eq!(recorder.take(), ["info"]);
            assert_eq!(TracingFilter::current(), TracingFilter::INFO);
            handle.set("server", LevelFilter::Debug).unwrap();
            assert_eq!(TracingFilter::current(), TracingFilter::DEBUG);
            emit();
            assert_eq!(recorder.take(), ["info", "debug", "span debug"]);
            let before = handle.levels();
            assert_eq!(handle.apply("server=off"), []);
            assert_eq!(TracingFilter::current(), TracingFilter::INFO);
            emit();
            assert_eq!(recorder.take(), [""; 0]);
            assert_eq!(handle.apply("server=trace,nosuch=off")[0].source(), "levels");
            assert_eq!(TracingFilter::current(), TracingFilter::TRACE);
            handle.replace(before);
            assert_eq!(TracingFilter::current(), TracingFilter::DEBUG);
            emit();
            assert_eq!(recorder.take(), ["info", "debug", "span debug"]);
        });
    }
}

#[test]
fn interest_is_cached_unless_values_decide_or_the_filter_is_per_layer() {
    let _alone = alone();
    let callsites = callsites_of(|| {
        info!(target: "server", "always");
        debug!(target: "server", "never");
        info!(target: "sqlx", category = "agents", "sometimes");
        debug!(target: "sqlx", category = "agents", "never");
        error!(target: "sqlx", category = "agents", "always");
        info!(target: "directed", category = "agents", "always");
        debug!(target: "directed", category = "agents", "never");
        warn!(target: "tools", "never");
        error!(target: "tools", "never");
        error!(target: "tools", severity = "x", "sometimes");
        let _span = error_span!(target: "tools", "never");
        let _span = error_span!(target: "tools", "never", severity = "x");
        let _span = info_span!(target: "server", "always");
        let _span = info_span!(target: "server", "sometimes", category = tracing::field::Empty);
    });
    let expected = [
        "always",
        "never",
        "sometimes",
        "never",
        "sometimes",
        "always",
        "never",
        "never",
        "never",
        "sometimes",
        "never",
        "never",
        "always",
        "sometimes",
    ];
    assert_eq!(callsites.len(), expected.len());
    let filter = filter("tools=critical", "directed=info");
    for (metadata, expected) in callsites.into_iter().zip(expected) {
        let as_layer = Layer::<Registry>::register_callsite(&filter, metadata);
        let as_filter = Filter::<Registry>::callsite_enabled(&filter, metadata);
        assert_eq!(as_layer.is_always(), expected == "always", "{metadata:?}");
        assert_eq!(as_layer.is_never(), expected == "never", "{metadata:?}");
        assert!(!as_filter.is_always(), "{metadata:?}");
        assert_eq!(as_filter.is_never(), expected == "never", "{metadata:?}");
    }
}

#[test]
fn the_level_hint_is_the_highest_level_that_anything_can_have() {
    for (pairs, directives, expected) in [
        ("", "", TracingFilter::INFO),
        (
            "all=error",
            "hyper=off,axum=off,tower_http=off",
            TracingFilter::ERROR,
        ),
        (
            "all=critical",
            "hyper=off,axum=off,tower_http=off",
            TracingFilter::ERROR,
        ),
        ("all=off", "hyper=off,axum=off,tower_http=off", TracingFilter::OFF),
        ("core::routers=trace", "", TracingFilter::TRACE),
        ("all=error", "sqlx=debug", TracingFilter::DEBUG),
        ("", "debug", TracingFilter::DEBUG),
    ] {
        let filter = filter(pairs, directives);
        assert_eq!(Layer::<Registry>::max_level_hint(&filter), Some(expected));
        assert_eq!(Filter::<Registry>::max_level_hint(&filter), Some(expected));
    }
}

#[test]
fn a_category_field_decides_for_events() {
    let _alone = alone();
    let filter = filter(
        "agents=debug,agents::run=off,cli=error,uncategorized=error",
        "directed=warn",
    );
    let seen = seen_both_ways(&filter, || {
        debug!(target: "server", category = "agents", "1 yes");
        debug!(target: "server", category = " Agents::Walk ", "2 yes");
        debug!(target: "server", category = "agents::run", "3 no");
        info!(target: "server", category = "cli", "4 no");
        error!(target: "sqlx", category = "cli", "5 yes");
        debug!(target: "sqlx", category = %"agents", "6 yes");
        info!(target: "sqlx", category = ?"agents", "7 no: the quotes are part of it");
        // An unregistered name: the application's default, or the root.
        info!(target: "my_app", category = "nosuch", "8 no");
        error!(target: "my_app", category = "nosuch", "9 yes");
        info!(target: "sqlx", category = "nosuch", "10 no");
        warn!(target: "sqlx", category = "nosuch", "11 yes");
        // Empty: the target decides.
        debug!(target: "agents", category = "", "12 yes");
        debug!(target: "agents", category = tracing::field::Empty, "13 yes");
        debug!(target: "agents", category = 7, "14 yes");
        debug!(target: "server", category = "", "15 no");
        // A directive for its target is more specific.
        info!(target: "directed", category = "agents", "16 no");
        warn!(target: "directed", category = "agents::run", "17 yes");
    });
    let numbers: Vec<&str> = seen.iter().map(|text| text.split(' ').next().unwrap()).collect();
    assert_eq!(
        numbers,
        ["1", "2", "5", "6", "9", "11", "12", "13", "14", "17"],
        "{seen:#?}"
    );
}

#[test]
fn a_category_field_decides_for_its_span_but_not_for_records_in_it() {
    let _alone = alone();
    let filter = filter("agents=debug,cli=error", "");
    let seen = seen_both_ways(&filter, || {
        let _shown = debug_span!(target: "server", "1", category = "agents").entered();
        let _hidden = info_span!(target: "server", "2", category = "cli").entered();
        let _child = info_span!(target: "server", "3").entered();
        info!(target: "server", "4");
        let _late = info_span!(target: "server", "5", category = tracing::field::Empty).entered();
        let _none = debug_span!(target: "server", "6", category = tracing::field::Empty).entered();
        let _empty = debug_span!(target: "agents", "7", category = "").entered();
        let _unknown = info_span!(target: "sqlx", "8", category = "nosuch").entered();
        let _error = error_span!(target: "sqlx", "9", category = "cli").entered();
    });
    assert_eq!(seen, ["span 1", "span 3", "4", "span 5", "span 7", "span 9"]);
}

#[test]
fn at_critical_only_error_events_with_that_severity_pass() {
    let _alone = alone();
    let seen = seen_both_ways(&filter("all=critical,cli=info", ""), || {
        error!(target: "server", "1 no");
        error!(target: "server", severity = "critical", "2 yes");
        error!(target: "sqlx", severity = "CRITICAL", "3 yes");
        error!(target: "server", severity = "error", "4 no");
        warn!(target: "server", severity = "critical", "5 no");
        error!(target: "cli", category = "server", severity = "critical", "6 yes");
        error!(target: "cli", category = "server", "7 no");
        error!(target: "server", category = "cli", "8 yes");
        let _span = error_span!(target: "server", "9 no", severity = "critical").entered();
        let _span = error_span!(target: "cli", "10 no", category = "server").entered();
    });
    let numbers: Vec<&str> = seen.iter().map(|text| text.split(' ').next().unwrap()).collect();
    assert_eq!(numbers, ["2", "3", "6", "8"], "{seen:#?}");
}

fn with_log() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| tracing_log::LogTracer::init().unwrap());
}

/// tokio-rs/tracing#2519: a result that `enabled!` left behind dropped the next span.
#[test]
fn enabled_checks_between_spans_lose_no_span() {
    let _alone = alone();
    with_log();
    let filter = filter("core=debug", "");
    let expected: Vec<String> = (0..100)
        .flat_map(|_| ["span work", "done"])
        .map(str::to_owned)
        .collect();
    let work = || {
        for _ in 0..100 {
            assert!(tracing::enabled!(target: "core", Level::DEBUG));
            // On a layer, `tracing` may enable what only other layers want.
            let _ = tracing::enabled!(target: "sqlx", Level::DEBUG);
            let _ = tracing::event_enabled!(target: "server", Level::DEBUG);
            let _ = tracing::span_enabled!(target: "server", Level::DEBUG);
            let _ = log::log_enabled!(target: "sqlx::query", log::Level::Debug);
            let _ = log::log_enabled!(target: "sqlx::query", log::Level::Trace);
            let _span = info_span!(target: "core", "work").entered();
            let _ = log::log_enabled!(target: "sqlx::query", log::Level::Info);
            let _ = tracing::enabled!(target: "sqlx", Level::INFO);
            info!(target: "core", "done");
        }
    };
    assert_eq!(seen_both_ways(&filter, work), expected);
    let alone = Recorder::new();
    let subscriber = tracing_subscriber::registry().with(alone.clone().with_filter(filter.clone()));
    tracing::subscriber::with_default(subscriber, work);
    assert_eq!(alone.take(), expected, "as the only layer");
    let (first, second) = (Recorder::new(), Recorder::new());
    let subscriber = tracing_subscriber::registry()
        .with(first.clone().with_filter(filter))
        .with(second.clone().with_filter(self::filter("all=info", "")));
    tracing::subscriber::with_default(subscriber, work);
    assert_eq!(first.take(), expected, "as the first of two");
    assert_eq!(second.take(), expected, "as the second of two");
}

/// The values of a span are computed between the filter's evaluation and its start.
#[test]
fn events_from_the_values_of_a_refused_span_are_not_lost() {
    let _alone = alone();
    let (filtered, other) = (Recorder::new(), Recorder::new());
    let subscriber = tracing_subscriber::registry()
        .with(other.clone())
        .with(filtered.clone().with_filter(filter("core=debug", "")));
    let load = || {
        info!(target: "core", "loaded");
        1
    };
    tracing::subscriber::with_default(subscriber, || {
        for _ in 0..3 {
            let _span = debug_span!(target: "server", "refused", user = load()).entered();
        }
    });
    let seen_by = |recorder: &Recorder| recorder.take().iter().filter(|text| *text == "loaded").count();
    assert_eq!(seen_by(&filtered), 3, "by the layer that has the filter");
    assert_eq!(seen_by(&other), 3, "by the layer that has none");
}

#[test]
fn records_of_the_log_crate_are_filtered_by_their_own_target() {
    let _alone = alone();
    with_log();
    let filter = filter("agents=debug,tools=critical", "h2=trace");
    let seen = seen_both_ways(&filter, || {
        log::info!(target: "hyper::client", "1 yes");
        log::debug!(target: "hyper::client", "2 no");
        log::info!(target: "sqlx::query", "3 no");
        log::warn!(target: "sqlx::query", "4 yes");
        log::debug!(target: "agents::run", "5 yes");
        log::debug!(target: "my_app::agents::run", "6 yes");
        log::trace!(target: "h2::codec", "7 yes");
        log::error!(target: "tools", "8 no");
        log::info!(target: "log", "9 no");
        log::info!(target: "server", "10 yes");
        // All at one address, with one callsite: no result may be cached for them.
        let mut target = String::with_capacity(16);
        for name in ["sqlx::query", "hyper::core", "sqlx::query", "hyper::core"] {
            target.clear();
            target.push_str(name);
            log::info!(target: &target, "{name}");
        }
    });
    assert_eq!(
        seen,
        [
            "1 yes",
            "4 yes",
            "5 yes",
            "6 yes",
            "7 yes",
            "10 yes",
            "hyper::core",
            "hyper::core"
        ]
    );
}

#[test]
fn cached_results_of_one_filter_are_not_used_by_another() {
    let _alone = alone();
    let (quiet, loud) = (filter("server=warn,core=trace", ""), filter("server=debug", ""));
    let emit = || debug!(target: "server", "one callsite");
    for _ in 0..3 {
        assert_eq!(seen_both_ways(&quiet, emit), [""; 0]);
        assert_eq!(seen_both_ways(&loud, emit), ["one callsite"]);
    }
    // A clone is the same filter.
    let clone = quiet.clone();
    clone.handle().set("server", LevelFilter::Debug).unwrap();
    assert_eq!(seen_both_ways(&quiet, emit), ["one callsite"]);
}

#[test]
fn nothing_is_lost_while_levels_change_under_many_threads() {
    let _alone = alone();
    for as_layer in [true, false] {
        let filter = filter("core=trace", "");
        let handles = [filter.handle(), filter.handle()];
        let counter = Counter::default();
        let dispatch = if as_layer {
            let subscriber = tracing_subscriber::registry().with(filter).with(counter.clone());
            tracing::Dispatch::new(subscriber)
        } else {
            tracing::Dispatch::new(tracing_subscriber::registry().with(counter.clone().with_filter(filter)))
        };
        let done = AtomicBool::new(false);
        std::thread::scope(|scope| {
            let workers: Vec<_> = (0..16)
                .map(|_| {
                    scope.spawn(|| {
                        tracing::dispatcher::with_default(&dispatch, || {
                            for _ in 0..2_000 {
                                let _span = info_span!(target: "server", "always").entered();
                                info!(target: "server", "always");
                                debug!(target: "core", category = "server", "changing");
                                debug!(target: "server", "changing");
                                error!(target: "server", category = "core", "always");
                                debug!(target: "sqlx", "never");
                            }
                        });
                    })
                })
                .collect();
            for handle in &handles {
                let done = &done;
                scope.spawn(move || {
                    while !done.load(Ordering::Relaxed) {
                        handle.set("server", LevelFilter::Trace).unwrap();
                        handle.set("server", LevelFilter::Info).unwrap();
                        assert_eq!(handle.apply("cli=trace,cli=info"), []);
                    }
                });
            }
            let results: Vec<_> = workers.into_iter().map(|worker| worker.join()).collect();
            done.store(true, Ordering::Relaxed);
            for result in results {
                result.unwrap();
            }
        });
        assert_eq!(counter.always.load(Ordering::Relaxed), 16 * 2_000 * 3);
        assert_eq!(counter.never.load(Ordering::Relaxed), 0);
        // Whatever the order of the changes, the last one counts.
        handles[0].set("all", LevelFilter::Error).unwrap();
        assert_eq!(TracingFilter::current(), TracingFilter::INFO);
        handles[0].set("server", LevelFilter::Debug).unwrap();
        assert_eq!(TracingFilter::current(), TracingFilter::DEBUG);
    }
}

/// With one subscriber, `tracing` would consult that of the calling thread, and take none for
/// "nothing is enabled".
#[test]
fn levels_can_be_changed_from_a_thread_without_a_subscriber_and_from_within_an_event() {
    struct Changer(spanscope_layers::LevelHandle);
    impl<S: Subscriber> Layer<S> for Changer {
        fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
            if event.metadata().target() == "cli" {
                self.0.set("server", LevelFilter::Trace).unwrap();
            }
        }
    }
    let _alone = alone();
    let filter = filter("", "");
    let handle = filter.handle();
    let recorder = Recorder::new();
    let subscriber = tracing_subscriber::registry()
        .with(filter)
        .with(Changer(handle.clone()))
        .with(recorder.clone());
    tracing::subscriber::with_default(subscriber, || {
        let emit = || {
            info!(target: "server", "info");
            debug!(target: "server", "debug");
            tracing::trace!(target: "server", "trace");
        };
        emit();
        assert_eq!(recorder.take(), ["info"]);
        std::thread::scope(|scope| {
            scope.spawn(|| handle.set("server", LevelFilter::Debug).unwrap());
        });
        assert_eq!(TracingFilter::current(), TracingFilter::DEBUG);
        emit();
        assert_eq!(recorder.take(), ["info", "debug"]);
        info!(target: "cli", "louder");
        assert_eq!(TracingFilter::current(), TracingFilter::TRACE);
        emit();
        assert_eq!(recorder.take(), ["louder", "info", "debug", "trace"]);
    });
}

/// Counts every span, and events by level and target.
#[derive(Clone, Default)]
struct Counter {
    always: Arc<AtomicU64>,
    never: Arc<AtomicU64>,
}

impl<S: Subscriber> Layer<S> for Counter {
    fn on_new_span(&self, _: &Attributes<'_>, _: &Id, _: Context<'_, S>) {
        self.always.fetch_add(1, Ordering::Relaxed);
    }

    fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
        match (*event.metadata().level(), event.metadata().target()) {
            (Level::INFO | Level::ERROR, _) => self.always.fetch_add(1, Ordering::Relaxed),
            (_, "sqlx") => self.never.fetch_add(1, Ordering::Relaxed),
            _ => 0,
        };
    }
}

#[test]
fn a_display_that_logs_or_panics_does_not_disturb_the_filter() {
    struct Chatty;
    impl fmt::Display for Chatty {
        fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            debug!(target: "core", category = "agents", "from within");
            f.write_str("agents")
        }
    }
    struct Broken;
    impl fmt::Display for Broken {
        fn fmt(&self, _: &mut fmt::Formatter<'_>) -> fmt::Result {
            panic!("of the user's own making")
        }
    }
    let _alone = alone();
    let seen = seen_both_ways(&filter("agents=debug", ""), || {
        debug!(target: "server", category = %Chatty, "chatty");
        debug!(target: "server", category = %Broken, "broken");
    });
    assert_eq!(seen.last().unwrap(), "chatty");
}

/// A variable can't be set in this process: other threads may be reading the environment.
#[test]
fn from_env_reads_both_variables_and_keeps_their_warnings() {
    const CHILD: &str = "SPANSCOPE_TEST_CHILD";
    if std::env::var_os(CHILD).is_some() {
        let filter = CategoryFilter::from_env();
        for warning in filter.warnings() {
            println!("warning: {warning}");
        }
        let seen = seen_both_ways(&filter, || {
            debug!(target: "core", "core");
            debug!("of the calling package");
            debug!(target: "sqlx", "sqlx");
        });
        println!("seen: {seen:?}");
        return;
    }
    let output = Command::new(std::env::current_exe().unwrap())
        .args([
            "from_env_reads_both_variables_and_keeps_their_warnings",
            "--exact",
            "--nocapture",
        ])
        .env(CHILD, "1")
        .env("LLAMA_STACK_LOGGING", "uncategorized=debug;serve=debug")
        .env("RUST_LOG", "sqlx=debug,[span]=trace")
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{text}");
    assert!(
        text.contains("warning: LLAMA_STACK_LOGGING: `serve=debug`: unknown category `serve`"),
        "{text}"
    );
    assert!(
        text.contains("warning: RUST_LOG: `[span]=trace`: spans"),
        "{text}"
    );
    assert!(
        text.contains(r#"seen: ["of the calling package", "sqlx"]"#),
        "{text}"
    );
}
