//! Interleaved traces, and spans that are not simply entered and exited.

use std::sync::Barrier;

use spanscope::SpanExt as _;
use spanscope::model::{SpanId, TraceId};
use tracing::info_span;

/// Two traces whose steps alternate.
pub(crate) fn side_by_side() {
    let turn = Barrier::new(2);
    std::thread::scope(|scope| {
        for name in ["red", "blue"] {
            let turn = &turn;
            scope.spawn(move || {
                let _root = info_span!("request", colour = name).entered();
                for step in 0..3 {
                    turn.wait();
                    let _step = info_span!("step", step, of = name).entered();
                    turn.wait();
                    tracing::info!("{name} does {step}");
                }
            });
        }
    });
}

/// Never entered, entered elsewhere, entered often, continued from another process.
pub(crate) fn odd_spans() {
    drop(info_span!("never entered", why = "none"));

    let elsewhere = info_span!("entered elsewhere");
    let inner = elsewhere.clone();
    std::thread::spawn(move || {
        inner.in_scope(|| tracing::info!("said elsewhere"));
    })
    .join()
    .unwrap();
    elsewhere.in_scope(|| ());
    drop(elsewhere);

    let continued = info_span!("continued", declared = tracing::field::Empty);
    let trace: TraceId = "0123456789abcdef0123456789abcdef".parse().unwrap();
    let parent: SpanId = "fedcba9876543210".parse().unwrap();
    continued.set_remote_parent(trace, parent).unwrap();
    continued.in_scope(|| {
        tracing::info!("in the other's trace");
        info_span!("child of continued").in_scope(|| ());
    });
    continued.record("declared", "late");
    continued.record_attribute("undeclared", 7_i64);
    assert!(
        continued.set_remote_parent(trace, parent).is_err(),
        "its ids are already in use"
    );

    let quiet = info_span!("only a parent");
    tracing::info!(parent: &quiet, "logged next to it");
    drop(quiet);
    tracing::info!("outside every span");
}

/// A span whose field names another category than its module does, with others around and in it.
pub(crate) fn guarded() {
    let _root = info_span!("root").entered();
    let _guarded = info_span!("guarded", category = "safety").entered();
    tracing::info!("in guarded");
    let _child = info_span!("child").entered();
    tracing::info!("in child");
    tracing::warn!("warned in child");
    tracing::info!(category = "safety", "guarded event");
}

/// A span with more attributes than fit a line, a long one and a late one among them.
pub(crate) fn wide_span() {
    let prompt = "word ".repeat(200);
    let span = info_span!(
        "wide",
        first = 1,
        prompt,
        region = "eu-central",
        tier = "gold",
        shard = 17,
        replica = 3,
        tenant = "acme",
        attempt = 1,
        late = tracing::field::Empty,
    );
    span.in_scope(|| ());
    span.record("late", 2);
}

/// Messages that look like markup: with data in it, requested, and with a field that only has the
/// name.
pub(crate) fn log_markup() {
    let data = r"[bold]x[/bold] in C:\new\[tmp] \[0] [/]";
    tracing::info!("user said: {data}");
    tracing::info!(markup = true, r"[bold]asked[/bold] for, see \[tmp]");
    tracing::info!(markup = 2, "[b]odd[/b]");
}
