//! Levels by category: what is worth seeing of an LLM server, in one line of the environment.
//!
//! **The need.** `LLAMA_STACK_LOGGING="server=debug,core::routers=warn,all=error"`: people think in the parts of their
//! system (server, inference, agents), not in module paths. The same levels are to hold for every sink, and to be
//! changed while the program runs; a mistyped name is to be said and not to be swallowed.
//!
//! **The choice.** [`Categories`] says what a target belongs to, [`Levels`] which level holds for what, and
//! [`CategoryFilter`] asks both for `tracing`. It works for a whole subscriber (as a layer) and for a single layer
//! (`.with_filter`). Who wins, from the most to the least specific:
//!
//! | what | example | holds for |
//! |---|---|---|
//! | explicit level of a category that stands in the target, where it reaches further than any directive's target | `core::routers=debug` over `RUST_LOG=core=warn`, `agents=debug` over `RUST_LOG=my_app=warn` | targets `core::routers::chat`, `my_app::agents::run` |
//! | directive with a target, longest prefix first | `RUST_LOG=my_app::agents=trace` | whatever begins so, whatever its category and its `category` field are |
//! | explicit level of a category or a finer name | `agents=debug`; `agents::run` falls back to it | what belongs to it; `uncategorized=` the application's own rest |
//! | web targets | `tower_http`, `hyper`, `axum` | INFO, whatever the root level is |
//! | `all`, and a root level set in code | `all=error` | every category and the root |
//! | directive without a target | `RUST_LOG=debug` | categories and root, where nothing above says else |
//! | defaults | | categories INFO, third-party targets (root) WARN |
//!
//! A `category = "..."` field comes before the category of the target. A name in it that nobody registered counts as
//! `uncategorized`; it is still the name that sinks show. An empty one, and one that is recorded after the span was made,
//! says nothing.
//!
//! **Rejected.** `EnvFilter`: knows targets only, gives up a whole value for one bad part or ignores it, and can't be
//! changed but by replacing the layer, which a per-layer filter doesn't survive. `tracing_subscriber::reload` around a
//! filter: takes a lock for each question.
//!
//! **What holds.** No lock is held while foreign code runs. No text from outside makes it panic, take more than linear
//! time, or warn more than [`MAX_WARNINGS`] times and once more. It emits nothing itself: warnings are values, shown by
//! whoever has a place to show them. The environment is only read by [`CategoryFilter::from_env`] and
//! [`Levels::read_env`].
//!
//! **The costs.** As a layer: nothing for a callsite that can't be enabled, or always is; `tracing` keeps that answer.
//! As a per-layer filter, and for callsites whose `category` field decides: an atomic load where the level alone says it,
//! else a look into a table of 256 answers that each thread keeps (4 KiB); a callsite that is new to the thread, and
//! every record of the `log` crate, a walk through maps and directives under a read lock. Only a callsite whose field
//! decides has its values read, and the span is made before: hidden from our sinks, but seen by other layers on the
//! subscriber.
//!
//! **Filters of one sink.** [`CategoryFilter::for_sink`] holds whatever happens while a record's values are worked out.
//! `.with_filter(CategoryFilter)` holds for records that are made meanwhile, because the filter is asked once more when
//! the values are there. Two things it can't see, because `tracing-subscriber` keeps its answer in a thread-local: an
//! `enabled!` among the values loses the record for that sink (tokio-rs/tracing#2519), and what a `Display` or `Debug`
//! records while another layer formats it lets the record through. Filters of other crates, such as `EnvFilter`, can't
//! see what is recorded among the values either.

mod categories;
mod category_filter;
mod filtered_sink;
mod levels;
mod package;
mod switch;
#[cfg(test)]
mod tests;
mod text;
mod threshold;
mod warning;

pub use categories::{Categories, DEFAULT_WEB_TARGETS, Origin};
pub use category_filter::{CategoryFilter, LevelHandle};
pub use filtered_sink::FilteredSink;
pub use levels::{DEFAULT_CATEGORY_LEVEL, DEFAULT_ROOT_LEVEL, Levels, WEB_LEVEL};
pub use text::{DIRECTIVES_VARIABLE, LEVELS_VARIABLE};
pub use threshold::{Threshold, UnknownLevel};
pub use warning::{BadCategoryName, LevelWarning, MAX_WARNINGS, UnknownCategory};
