//! What every sink of Spanscope is built on: for authors of layers and sinks.
//!
//! - [`capture`]: a `tracing` span or event becomes one record, whatever number of our layers is on
//!   the subscriber; [`SpanExt`] adds to spans what `tracing` alone can't.
//!   [`LogBridge`] brings records of the `log` crate in, with their key-values.
//! - [`queue`]: carries the records from the calling threads to the thread of a sink.
//! - [`metrics`]: what a measurement is, and what takes it.
//! - [`tail`]: which traces a sink keeps once they are over.
//! - [`sync`]: locks that a panic does not close.
//! - [`program_name`]: the service's name where none is set.
//! - [`threads`]: threads of sinks, which the program does not notice.
//! - [`suppress`]: keeps our own work from becoming telemetry.
//!
//! This crate never formats text for people, and knows no category's default, no database and no
//! network. Nothing here blocks the caller unless the caller asked for that, emits `tracing` events,
//! or holds a lock while user code (`Debug`, `Display`, another layer) runs.

pub mod capture;
pub mod metrics;
mod program;
pub mod queue;
pub mod sync;
pub mod tail;
pub mod threads;

pub use capture::{LogBridge, SpanExt, suppress};
pub use program::program_name;
