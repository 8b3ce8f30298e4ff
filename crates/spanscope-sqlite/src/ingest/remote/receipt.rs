//! The result of storing a batch.

use spanscope_model::{IngestReceipt, TraceId};

/// The counts of a stored batch, by kind of record.
#[derive(Debug, Clone, Default)]
pub(crate) struct Taken {
    pub(crate) receipt: IngestReceipt,
    pub(crate) spans: u64,
    pub(crate) events: u64,
    pub(crate) points: u64,
    /// In an import: the traces that got spans.
    pub(crate) traces: Vec<TraceId>,
}
