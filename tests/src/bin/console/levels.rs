//! Logs at every level from every kind of place that levels are set for: `PLACE at LEVEL`.

use tracing_core::callsite::DefaultCallsite;
use tracing_core::field::Value;
use tracing_core::{Event, Level, LevelFilter, Metadata, dispatcher};

/// Each level, from a place that a target, a field or the module names.
macro_rules! at_every_level {
    ($place:literal $(, $setting:tt : $value:expr)? $(; $field:ident = $text:literal)?) => {{
        tracing::error!($($setting: $value,)? $($field = $text,)? "{} at error", $place);
        tracing::warn!($($setting: $value,)? $($field = $text,)? "{} at warn", $place);
        tracing::info!($($setting: $value,)? $($field = $text,)? "{} at info", $place);
        tracing::debug!($($setting: $value,)? $($field = $text,)? "{} at debug", $place);
        tracing::trace!($($setting: $value,)? $($field = $text,)? "{} at trace", $place);
    }};
}
pub(crate) use at_every_level;

pub(crate) const ERROR: Level = Level::ERROR;

/// An event of another crate: no macro can set another file.
macro_rules! foreign {
    ($target:literal, $level:expr, $text:expr) => {{
        static CALLSITE: tracing_core::callsite::DefaultCallsite =
            tracing_core::callsite::DefaultCallsite::new(&METADATA);
        static METADATA: tracing_core::Metadata<'static> = tracing_core::Metadata::new(
            "event of another crate",
            $target,
            $level,
            None,
            None,
            Some($target),
            tracing_core::field::FieldSet::new(&["message"], tracing_core::callsite::Identifier(&CALLSITE)),
            tracing_core::metadata::Kind::EVENT,
        );
        $crate::levels::dispatch(&CALLSITE, &METADATA, $text);
    }};
}

pub(crate) use foreign;

/// As the macros of `tracing` do it.
pub(crate) fn dispatch(
    callsite: &'static DefaultCallsite,
    metadata: &'static Metadata<'static>,
    text: &'static str,
) {
    if *metadata.level() > LevelFilter::current() {
        return;
    }
    let interest = callsite.interest();
    let is_wanted = || dispatcher::get_default(|dispatch| dispatch.enabled(metadata));
    if interest.is_always() || (!interest.is_never() && is_wanted()) {
        let message = metadata.fields().field("message").unwrap();
        let values = [(&message, Some(&text as &dyn Value))];
        Event::dispatch(metadata, &metadata.fields().value_set(&values));
    }
}

macro_rules! foreign_at_every_level {
    ($target:literal) => {{
        foreign!($target, Level::ERROR, concat!($target, " at error"));
        foreign!($target, Level::WARN, concat!($target, " at warn"));
        foreign!($target, Level::INFO, concat!($target, " at info"));
        foreign!($target, Level::DEBUG, concat!($target, " at debug"));
        foreign!($target, Level::TRACE, concat!($target, " at trace"));
    }};
}

/// A record of the `log` crate from another crate.
pub(crate) fn foreign_record(target: &str, level: log::Level, text: &str) {
    let record = |text: std::fmt::Arguments<'_>| {
        log::logger().log(
            &log::Record::builder()
                .args(text)
                .target(target)
                .level(level)
                .module_path(Some(target))
                .file(Some("/registry/src/others-1.0.0/src/lib.rs"))
                .line(Some(7))
                .build(),
        );
    };
    if level <= log::max_level() {
        record(format_args!("{text}"));
    }
}

fn records_at_every_level() {
    for level in log::Level::iter() {
        let name = level.as_str().to_lowercase();
        foreign_record("sqlx", level, &format!("log.sqlx at {name}"));
        foreign_record("tools", level, &format!("log.tools at {name}"));
        log::log!(level, "log.own at {name}");
        log::log!(target: "elsewhere", level, "log.elsewhere at {name}");
    }
}

pub(crate) fn log_all() {
    crate::agents::log_all();
    at_every_level!("own");
    at_every_level!("core", target: "core::routers");
    at_every_level!("field"; category = "safety");
    at_every_level!("unknown field"; category = "nosuch");
    at_every_level!("mapped", target: "elsewhere::llm");
    foreign_at_every_level!("sqlx::query");
    foreign_at_every_level!("tower_http::trace");
    tracing::error!(target: "eval", "an error of eval");
    tracing::error!(target: "eval", severity = "critical", "the end of eval");
    records_at_every_level();
}
