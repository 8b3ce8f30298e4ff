//! The foundation of every sink of Spanscope, for authors of layers and sinks.
//!
//! - [`capture`]: a `tracing` span or event becomes one record, however many of our layers are on
//!   the subscriber; [`SpanExt`] adds to spans what `tracing` alone can't. [`LogBridge`] captures
//!   records of the `log` crate, with their key-values.
//! - [`queue`]: carries the records from the calling threads to the thread of a sink.
//! - [`metrics`]: measurements, and the trait of their receivers.
//! - [`tail`]: decides which traces a sink keeps once they are over.
//! - [`sync`]: locks that ignore poisoning.
//! - [`propagation`]: trace context and baggage in and out of headers, messages and environments.
//! - [`program_name`]: the default service name; [`ProcessResource`]: attributes of the process.
//! - [`threads`]: threads of sinks, shielded from the program's signals and telemetry.
//! - [`suppress`]: keeps our own work from becoming telemetry.
//!
//! This crate never formats text for people, and knows no category's default, no database and no
//! network. Nothing here blocks the caller unless the caller chose that, emits `tracing` events, or
//! holds a lock while user code (`Debug`, `Display`, another layer) runs.

pub mod capture;
pub mod metrics;
mod program;
pub mod propagation;
pub mod queue;
mod resource;
pub mod sync;
pub mod tail;
pub mod threads;

pub use capture::{LogBridge, SetParentError, SpanExt, suppress};
pub use program::program_name;
pub use resource::{ProcessResource, resource_pairs};
