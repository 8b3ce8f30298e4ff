//! The way from calling threads to a sink's thread: bounded in bytes, counted exactly, one short lock a record.
//!
//! Each thread fills a chunk of its own: records one after another, their fields in one buffer. A full chunk goes to
//! the sink; what lies in half-full ones the sink collects when its time comes, so an idle thread delays nothing.
//! Emptied chunks are kept for the next records, because to free memory and to have it faulted in
//! again is what costs; an idle queue gives them back.
//!
//! Memory is bounded by a budget of bytes that chunks are paid from before they exist. When it is used up, the record is
//! dropped and counted, or the caller waits, as the sink chose. For every record exactly one is true: it is in a chunk,
//! it was handed to the sink, or it was counted as dropped.
//!
//! A thread's lock is taken by that thread and, a few times a second, by the sink; nothing of the user runs under it.

mod chunk;
mod control;
mod counts;
mod fork;
mod late;
mod log_to_stderr;
mod push;
mod shared;
mod slot;

pub use chunk::{Chunk, EventEntry, MeasurementEntry, QueuedRecord, SpanEntry, StartEntry};
pub use control::{ControlRequest, FlushTimeout, LayerStats, MAX_TIMEOUT, REPORT_TIME, WorkerHandle};
pub use counts::Counts;
pub use fork::{HoldsOpen, Restart, in_forked_children, rested_at_fork};
pub use late::late_records_were_reported;
pub use log_to_stderr::log_to_stderr;
pub use shared::{OverflowPolicy, Queue};
