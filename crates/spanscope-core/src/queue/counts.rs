//! The statistics of a queue: every offered record is in a chunk, was passed to the sink, or is
//! counted under one of these causes. The slots count, under their locks.

/// The number of records, by outcome.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct Counts {
    /// Records that were created.
    pub offered: u64,
    /// Of these: dropped because the queue was full.
    pub dropped_full: u64,
    /// Of these: dropped because the sink had ended.
    pub dropped_closed: u64,
}

impl Counts {
    /// Adds the counts of a part of the queue.
    pub(super) fn add(&mut self, other: Self) {
        self.offered += other.offered;
        self.dropped_full += other.dropped_full;
        self.dropped_closed += other.dropped_closed;
    }
}
