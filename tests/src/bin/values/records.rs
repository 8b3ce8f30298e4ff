//! The content of single records.

use std::time::Duration;

use spanscope::SpanExt as _;
use tracing::{Level, error, event, info, info_span, warn};

/// Keys that occur twice, and keys that sinks use for their additions.
pub(crate) fn twice() {
    let span = info_span!(
        "doubled",
        a = 1,
        a = 2,
        otel.status_code = "error",
        otel.status_code = "ok",
        category = "tools",
        category = "agents"
    );
    span.record_attribute("b", "first");
    span.record_attribute("b", "last");
    span.record_attribute("a", 3_i64);
    let _entered = span.entered();
    info!(message = "explicit", kind = "two messages", "implicit");
    info!(a = 1, a = 2, kind = "two fields", "two fields");
    info!(category = "tools", category = "agents", "two categories");
    warn!(
        severity = "high",
        target = "moon",
        category = 5,
        kind = "ours",
        "both attributes"
    );
    event!(name: "named", Level::INFO, severity = 3, kind = "named", "said");
    error!(exception.message = "mine", error = "theirs");
    info!(category = "safety", kind = "categorized", "categorized");
}

/// Integers of 128 bits.
pub(crate) fn wide() {
    let elapsed = Duration::from_millis(1234);
    info!(
        ms = elapsed.as_millis(),
        least = i128::from(i64::MIN),
        most = u128::from(u64::MAX),
        larger = u128::from(u64::MAX) + 1,
        smaller = i128::from(i64::MIN) - 1,
        "wide"
    );
    info!(metric = "took", value = elapsed.as_millis(), unit = "ms");
    drop(info_span!("wide", ms = elapsed.as_millis()));
}

/// Zero bytes wherever a text can be.
pub(crate) fn zeros() {
    let span = info_span!(
        "plain",
        otel.name = "na\0me",
        otel.status_code = "error",
        otel.status_description = "rea\0son",
        category = "to\0ols",
        text = "te\0xt"
    );
    span.record_attribute("ke\0y", "v");
    span.in_scope(|| {
        info!(text = "te\0xt", category = "to\0ols", "mes\0sage");
        event!(name: "ev\0ent", target: "tar\0get", Level::WARN, "named");
        info!(metric = "met\0ric", value = 1, unit = "un\0it", label = "la\0bel");
    });
    drop(info_span!("ca\0llsite"));
}

/// Events that name a lifetime.
pub(crate) fn with_lifetimes() {
    let _span = info_span!("session", ttl_seconds = 5).entered();
    info!(ttl_seconds = 0, "an ordinary event");
    info!(metric = "measured", value = 1, ttl_seconds = 3600);
    info!(
        metric = "not measured",
        value = "text",
        ttl_seconds = 0,
        "no measurement"
    );
}

/// One of each level.
pub(crate) fn of_the_log_crate() {
    for level in log::Level::iter() {
        log::log!(target: "values::own", level, "of the log crate at {level}");
    }
}

/// Logs from its `Display`.
struct LogsToo;

impl std::fmt::Display for LogsToo {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        log::info!(kind = "inner", inner = 1; "within Display");
        log::info!("without any");
        f.write_str("shown")
    }
}

/// Panics in its `Display`.
#[derive(Debug)]
struct Fails;

impl std::fmt::Display for Fails {
    fn fmt(&self, _: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        panic!("as asked");
    }
}

/// Records of the `log` crate with key-values.
pub(crate) fn with_key_values() {
    let cause = std::io::Error::other("no route");
    let error = spanscope::model::StoreError::invalid("refused").with_source(cause);
    log::info!(
        target: "values::own",
        kind = "typed",
        count = 3,
        least = i64::MIN,
        ratio = 0.5,
        ok = true,
        wide = 1234_u128,
        wider = u128::MAX,
        letter = 'x',
        debug:? = Some(1),
        display:% = cause_of(&error),
        nothing:? = None::<u8>,
        api_key = "sk-secret",
        message = "another message",
        category = "tools",
        "log.target" = "forged";
        "with key-values"
    );
    log::error!(kind = "failed", err:err = error; "it failed");
    info_span!("around")
        .in_scope(|| log::warn!(kind = "outer", shown:% = LogsToo, outer = 2; "around {LogsToo}"));
    info!(kind = "of tracing", "after them");
    std::panic::set_hook(Box::new(|_| ()));
    log::info!(kind = "panics", before = 1, panics:% = Fails, after = 2; "it panics");
    let _ = std::panic::take_hook();
    log::info!(kind = "long", long = "x".repeat(100_000).as_str(); "long");
}

fn cause_of(error: &spanscope::model::StoreError) -> String {
    std::error::Error::source(error)
        .map(ToString::to_string)
        .unwrap_or_default()
}
