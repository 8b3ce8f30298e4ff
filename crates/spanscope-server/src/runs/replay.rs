//! [`Replay`]: reads a run from the store, page by page, from its beginning or from a position in
//! it.
//!
//! The contents of a page depend on the records before it (for example the parents of spans), so
//! every reading begins at the start; events that a client already has are read and skipped.

use std::sync::Arc;
use std::time::Instant;

use spanscope_model::{Cursor, RunRange, RunRecords, StoreError, StoreErrorKind, Timestamp, TraceStore};
use spanscope_runs::{FollowStep, Follower};

use super::page::Page;

/// Maximum number of spans of a followed run, because the follower keeps some state for each.
const MAX_SPANS: u64 = 200_000;

/// A run that was read up to some position.
pub(super) struct Replay {
    store: Arc<dyn TraceStore>,
    task_id: String,
    pub(super) follower: Follower,
    began: Instant,
}

impl Replay {
    pub(super) fn new(store: Arc<dyn TraceStore>, task_id: String, follower: Follower) -> Self {
        Self {
            store,
            task_id,
            follower,
            began: Instant::now(),
        }
    }

    /// Reads the next records, up to the cursor if one is given. The page is `None` if they contain
    /// no event.
    pub(super) async fn next(
        &mut self,
        upto: Option<Cursor>,
    ) -> Result<(Option<Page>, RunRecords), StoreError> {
        self.read(self.follower.range(upto)).await
    }

    /// Recreates a page that was sent before, without records that were stored since.
    pub(super) async fn again(&mut self, upto: Cursor) -> Result<Option<Page>, StoreError> {
        let range = self.follower.range(Some(upto)).limit(u64::MAX);
        let (page, _) = self.read(range).await?;
        self.follower.skip_to(upto);
        Ok(page)
    }

    /// Reads up to this cursor and discards the events.
    pub(super) async fn skip(&mut self, upto: Cursor) -> Result<(), StoreError> {
        while self.next(Some(upto)).await?.1.more {}
        self.follower.skip_to(upto);
        Ok(())
    }

    /// Returns what to do after these records.
    pub(super) fn step(&self, records: &RunRecords) -> FollowStep {
        self.follower
            .step(records, Timestamp::now(), self.began.elapsed())
    }

    async fn read(&mut self, range: RunRange) -> Result<(Option<Page>, RunRecords), StoreError> {
        let records = self.store.run_records(self.task_id.clone(), range).await?;
        if records.info.span_count > MAX_SPANS {
            return Err(StoreError::new(
                StoreErrorKind::ResultTooLarge,
                format!(
                    "the run has {} spans, and one of more than {MAX_SPANS} can't be followed: request its summary, or its spans in the telemetry API",
                    records.info.span_count
                ),
            ));
        }
        let elapsed = self.began.elapsed();
        if records.spans.is_empty() && records.ended.is_empty() && records.events.is_empty() {
            self.follower.read(&records, elapsed);
            return Ok((None, records));
        }
        let mut follower = std::mem::take(&mut self.follower);
        // Thousands of spans take milliseconds.
        let read = tokio::task::spawn_blocking(move || {
            let events = follower.read(&records, elapsed);
            (follower, events, records)
        });
        let (follower, events, records) = read.await.map_err(|error| {
            // Retrying is impossible: the follower was lost with the thread.
            StoreError::new(StoreErrorKind::Unusable, "the run could not be read").with_source(error)
        })?;
        self.follower = follower;
        let page = (!events.is_empty()).then(|| Page::new(range.after, records.upto, events));
        Ok((page, records))
    }
}
