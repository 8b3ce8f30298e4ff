//! The queue from calling threads to a sink's thread: bounded in bytes, counted exactly, one short
//! lock per record.
//!
//! Each thread fills its own chunk: records one after another, their fields in one buffer. A full
//! chunk is passed to the sink; the sink collects half-full ones when it drains, so an idle thread
//! delays nothing. Empty chunks are kept for reuse, because freeing memory and faulting it in again
//! is expensive; an idle queue returns them.
//!
//! A budget of bytes bounds the memory: a chunk is paid from it before it is allocated. When it is
//! used up, the record is dropped and counted, or the caller waits, as the sink chose. Every record
//! is in exactly one state: it is in a chunk, it was passed to the sink, or it was counted as
//! dropped.
//!
//! Only the thread itself and, a few times a second, the sink take a thread's lock; no user code
//! runs under it.

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
pub use control::{
    ControlRequest, FlushTimeout, LayerStats, MAX_TIMEOUT, SHUTDOWN_REPORT_TIME, ShutdownError, WorkerHandle,
};
pub use counts::Counts;
pub use fork::{OpenResource, Restart, in_forked_children, was_idle_at_fork};
pub use late::late_records_were_reported;
pub use log_to_stderr::log_to_stderr;
pub use shared::{OverflowPolicy, Queue};
