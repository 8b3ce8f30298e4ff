//! Levels by category: what to see of an LLM server, in one line of the environment.
//!
//! **The need.** `LLAMA_STACK_LOGGING="server=debug,core::routers=warn,all=error"`: people think in
//! the parts of their system (server, inference, agents), not in module paths. The same levels must
//! apply to every sink, and be changeable while the program runs; a mistyped name must be reported
//! and not be ignored.
//!
//! **The choice.** [`Categories`] assigns a category to a target, [`Levels`] a level to a category,
//! and [`CategoryFilter`] applies both to `tracing`. It works for a whole subscriber (as a layer)
//! and for a single layer (`.with_filter`). The priorities, from the most to the least specific:
//!
//! | what | example | holds for |
//! |---|---|---|
//! | explicit level of a category that is part of the target, if it matches further into the target than any directive | `core::routers=debug` over `RUST_LOG=core=warn`, `agents=debug` over `RUST_LOG=my_app=warn` | targets `core::routers::chat`, `my_app::agents::run` |
//! | directive with a target, longest prefix first | `RUST_LOG=my_app::agents=trace` | every target with this prefix, whatever its category and its `category` field are |
//! | explicit level of a category or a finer name | `agents=debug`; `agents::run` falls back to it | targets of the category; `uncategorized=` the application's targets without a category |
//! | web targets | `tower_http`, `hyper`, `axum` | INFO, whatever the root level is |
//! | `all`, and a root level set in code | `all=error` | every category and the root |
//! | directive without a target | `RUST_LOG=debug` | categories and root, unless a row above sets them |
//! | defaults | | categories INFO, third-party targets (root) WARN |
//!
//! A `category = "..."` field has priority over the category of the target. An unregistered name in
//! it counts as `uncategorized`; sinks still show the name. An empty one, and one that is recorded
//! after the span was created, is ignored.
//!
//! **Rejected.** `EnvFilter`: knows targets only, rejects or ignores a whole value because of one
//! bad part, and can only be changed by replacing the layer, which a per-layer filter doesn't
//! survive. `tracing_subscriber::reload` around a filter: takes a lock for each evaluation.
//!
//! **Guarantees.** No lock is held while foreign code runs. No external text makes it panic, take
//! more than linear time, or produce more than [`MAX_WARNINGS`] warnings and one more. It emits
//! nothing itself: warnings are values for code that can show them. The environment is only read by
//! [`CategoryFilter::from_env`] and [`Levels::read_env`].
//!
//! **The costs.** As a layer: nothing for a callsite that can't be enabled, or always is; `tracing`
//! caches that result. As a per-layer filter, and for callsites whose `category` field decides: an
//! atomic load if the level alone decides, else a lookup in a table of 256 results per thread (4
//! KiB); a callsite that is new to the thread, and every record of the `log` crate, needs a walk
//! through maps and directives under a read lock. Only a callsite whose field decides has its
//! values read, and its span is created before: hidden from our sinks, but seen by other layers on
//! the subscriber.
//!
//! **Filters of one sink.** Nothing that happens while a record's values are computed interferes
//! with [`CategoryFilter::for_sink`]. `.with_filter(CategoryFilter)` handles records that are made
//! meanwhile, because the filter is evaluated again when the values are available. It can't handle
//! two cases, because `tracing-subscriber` keeps its result in a thread-local: an `enabled!` among
//! the values loses the record for that sink (tokio-rs/tracing#2519), and a record from a `Display`
//! or `Debug` that another layer formats lets the record pass. Filters of other crates, such as
//! `EnvFilter`, have the same limits.

mod categories;
mod category_filter;
mod filtered_sink;
mod level_filter;
mod levels;
mod package;
mod switch;
#[cfg(test)]
mod tests;
mod text;
mod warning;

pub use categories::{Categories, CategoryMatch, DEFAULT_WEB_TARGETS};
pub use category_filter::{CategoryFilter, LevelHandle};
pub use filtered_sink::FilteredSink;
pub use level_filter::{LevelFilter, UnknownLevel};
pub use levels::{DEFAULT_CATEGORY_LEVEL, DEFAULT_ROOT_LEVEL, Levels, WEB_LEVEL};
pub use text::{DIRECTIVES_VARIABLE, LEVELS_VARIABLE};
pub use warning::{BadCategoryName, LevelWarning, MAX_WARNINGS, UnknownCategory};
