//! The account of a queue: every record that was offered is in a chunk, was handed to the sink, or is
//! counted under one of these causes. Nothing here counts; the slots do, under their locks.

/// How many records came and what became of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Counts {
    /// Records that were made.
    pub offered: u64,
    /// Of these: dropped because the queue was full.
    pub dropped_full: u64,
    /// Of these: dropped because the sink had ended.
    pub dropped_closed: u64,
}

impl Counts {
    /// Adds the account of a part of the queue.
    pub(super) fn add(&mut self, other: Self) {
        self.offered += other.offered;
        self.dropped_full += other.dropped_full;
        self.dropped_closed += other.dropped_closed;
    }
}
