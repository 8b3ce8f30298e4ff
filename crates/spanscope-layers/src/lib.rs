//! The layers of Spanscope that need nothing but `tracing`.
//!
//! Today this is the [`capture`]: a `tracing` span or event becomes one record, whatever number of our layers is on the
//! subscriber, and a [`queue`] carries the records from the calling threads to the thread of a sink. [`SpanExt`] adds
//! to spans what `tracing` alone can't: attributes under any key, remote parents, ids.
//!
//! Nothing here blocks the caller unless it asked for that, emits events of its own, or holds a lock while code of the
//! user (`Debug`, `Display`, another layer) runs.

pub mod capture;
pub mod queue;

pub use capture::{SpanExt, suppress};
