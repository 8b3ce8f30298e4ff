//! [`Replay`]: reads a run from the store, page by page, from its beginning or from a place in it.
//!
//! What a page says depends on what came before it (whose child a span is), so every reading begins at the beginning; what somebody
//! has got already is read and passed over.

use std::sync::Arc;

use spanscope_model::{Cursor, RunRange, RunRecords, StoreError, StoreErrorKind, TraceStore};
use spanscope_runs::RunReader;

use super::page::Page;

/// Spans of a page at most.
const SPANS_AT_ONCE: u64 = 5_000;
/// A run of more spans is not followed: about each something has to be remembered.
const MAX_SPANS: u64 = 200_000;

/// A run, read up to somewhere.
pub(super) struct Replay {
    store: Arc<dyn TraceStore>,
    task_id: String,
    pub(super) reader: RunReader,
    pub(super) cursor: Cursor,
}

impl Replay {
    pub(super) fn new(store: Arc<dyn TraceStore>, task_id: String) -> Self {
        Self {
            store,
            task_id,
            reader: RunReader::new(),
            cursor: Cursor::default(),
        }
    }

    /// Reads what comes next, up to the cursor if one is given. The page is none where nothing came.
    pub(super) async fn next(
        &mut self,
        upto: Option<Cursor>,
    ) -> Result<(Option<Page>, RunRecords), StoreError> {
        self.next_of(upto, SPANS_AT_ONCE).await
    }

    /// A page that was sent before, to its end, whatever is stored since.
    pub(super) async fn again(&mut self, upto: Cursor) -> Result<Option<Page>, StoreError> {
        let (page, _) = self.next_of(Some(upto), u64::MAX).await?;
        self.cursor = upto;
        Ok(page)
    }

    async fn next_of(
        &mut self,
        upto: Option<Cursor>,
        limit: u64,
    ) -> Result<(Option<Page>, RunRecords), StoreError> {
        let range = RunRange {
            after: self.cursor,
            upto,
            limit,
        };
        let records = self.store.run_records(self.task_id.clone(), range).await?;
        if records.info.span_count > MAX_SPANS {
            return Err(StoreError::new(
                StoreErrorKind::AnswerTooLarge,
                format!(
                    "the run has {} spans, and one of more than {MAX_SPANS} can't be followed: ask for its summary, or for its \
                     spans in the telemetry API",
                    records.info.span_count
                ),
            ));
        }
        let base = self.cursor;
        self.cursor = records.upto;
        if records.spans.is_empty() && records.ended.is_empty() && records.events.is_empty() {
            return Ok((None, records));
        }
        let mut reader = std::mem::take(&mut self.reader);
        // Thousands of spans take milliseconds.
        let read = tokio::task::spawn_blocking(move || {
            let events = reader.read(&records);
            (reader, events, records)
        });
        let (reader, events, records) = read.await.map_err(|error| {
            StoreError::new(StoreErrorKind::Unavailable, "the run could not be read").with_source(error)
        })?;
        self.reader = reader;
        let page = Page::new(base, records.upto, events);
        Ok((Some(page), records))
    }

    /// Reads up to here and forgets what it says.
    pub(super) async fn pass_over(&mut self, upto: Cursor) -> Result<(), StoreError> {
        while self.next(Some(upto)).await?.1.more {}
        // What lies between the last record and here is nothing.
        self.cursor = upto;
        Ok(())
    }
}
