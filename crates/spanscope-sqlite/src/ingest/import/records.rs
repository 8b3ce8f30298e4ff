//! [`Importer`]: stores records that a caller has read from a file in another format.

use std::collections::HashSet;
use std::path::Path;
use std::time::Duration;

use spanscope_model::{NewRecords, SpanState, StoreError, TraceId, Value, block_on, wire};

use super::record::ImportReport;
use crate::ingest::remote::{Intake, Settings};
use crate::layer::{DEFAULT_INDEXED_KEYS, DEFAULT_MAX_SERIES};

/// Stores records from elsewhere, such as an export or a file of a collector. Records that are
/// already stored are skipped, so that a second import adds nothing. Spans without an end are
/// stored as [abandoned](SpanState::Abandoned), and keep their exported state as an attribute
/// ([`wire::STATE`]).
///
/// The importer truncates no values and deletes nothing by age. A program with limits deletes what
/// exceeds them when it writes the store.
///
/// ```
/// use spanscope_model::{NewRecords, NewSpan, SourceRecords, Span, Timestamp};
/// use spanscope_sqlite::Importer;
///
/// # let folder = tempfile::tempdir()?;
/// # let path = folder.path().join("trace_store.db");
/// let span = Span::new(
///     "4bf92f3577b34da6a3ce929d0e0e4736".parse()?,
///     "00f067aa0ba902b7".parse()?,
///     "ask",
///     Timestamp::now(),
/// );
/// let records = SourceRecords::default().spans(vec![NewSpan::new(span)]);
/// let records = NewRecords::default().sources(vec![records]);
/// let mut importer = Importer::open(&path)?;
/// importer.add(records.clone())?;
/// importer.add(records)?;
/// let report = importer.finish();
/// assert_eq!((report.spans, report.skipped), (1, 1));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct Importer {
    intake: Intake,
    report: ImportReport,
    traces: HashSet<TraceId>,
}

impl Importer {
    /// Opens the store, and creates it if it is missing.
    ///
    /// # Errors
    /// Fails if the file is not a span store or is one of a newer version, or if its folder can't
    /// be created or written.
    pub fn open(target: impl AsRef<Path>) -> Result<Self, StoreError> {
        let settings = Settings {
            retention: Duration::MAX,
            max_bytes: u64::MAX,
            max_series: DEFAULT_MAX_SERIES,
            max_value_len: usize::MAX,
            queue_bytes: usize::MAX,
            indexed_keys: DEFAULT_INDEXED_KEYS.iter().map(ToString::to_string).collect(),
            is_import: true,
            stored_metrics: None,
        };
        Ok(Self {
            intake: Intake::open(target.as_ref(), settings, std::sync::Arc::default())?,
            report: ImportReport::default(),
            traces: HashSet::new(),
        })
    }

    /// Stores records, all of them or none. Equal events or measurements in one call are different
    /// records; in a later call they are the same ones again.
    ///
    /// # Errors
    /// Unavailable if the file can't be written.
    pub fn add(&mut self, mut records: NewRecords) -> Result<(), StoreError> {
        let sources = records.sources.iter_mut();
        for new in sources.flat_map(|of| &mut of.spans) {
            keep_state(&mut new.span);
        }
        records.batch = None;
        let taken = block_on(self.intake.enqueue_counted(None, records))?;
        self.traces.extend(taken.traces);
        self.report.traces = self.traces.len() as u64;
        self.report.spans += taken.spans;
        self.report.events += taken.events;
        self.report.points += taken.points;
        self.report.skipped += taken.receipt.known + taken.receipt.rejected_points;
        Ok(())
    }

    /// Returns the counts of all calls of [`add`](Self::add).
    pub fn finish(self) -> ImportReport {
        self.report
    }
}

/// Keeps the state of a span without an end as an attribute: no program will end it in this store,
/// so it is stored as abandoned.
fn keep_state(span: &mut spanscope_model::Span) {
    if span.end_time.is_some() {
        return;
    }
    let exported = span.attributes.get(wire::STATE).and_then(Value::as_str);
    let state = exported.and_then(|word| word.parse().ok()).unwrap_or(span.state);
    match state {
        SpanState::Abandoned => span.attributes.retain(|key, _| key != wire::STATE),
        state => span.attributes.set(wire::STATE, state.as_str()),
    }
}
