//! One transaction of received records: its state, and the methods that its parts share.
//!
//! `store_batch.rs` gives it the records, `senders.rs` finds their senders, `spans.rs` stores spans
//! and their ends, `totals.rs` computes the increases of totals, `tokens.rs` counts the tokens of
//! calls. Only [`State`] outlives the transaction, and is reset when one fails.

use std::collections::HashMap;

use rusqlite::{Connection, OptionalExtension, params};
use spanscope_model::TraceId;

use super::Settings;
use super::prepared::{Callsite, InEvent};
use super::seen_events::{EventKey, SeenEvents};
use super::state::{Account, Calls, Known, State};
use super::stored_metrics::StoredCounts;
use crate::file::rows::{EventRow, RowWriter};
use crate::file::series::{NewPoint, Points};
use crate::file::traces::Owner;

/// How far a start may be ahead of this machine's clock and still be found by a query "since" a
/// time. A larger difference is not worth reading more rows in every such query.
const MAX_AHEAD: i64 = 3_600_000_000_000;

/// What exceeded the limits of the file in a transaction.
pub(super) struct Overflow {
    /// Metrics with too many label sets.
    pub(super) metrics: Vec<String>,
    /// A tenant has too many senders.
    pub(super) senders: bool,
}

/// One transaction.
pub(super) struct Batch<'a> {
    pub(super) db: &'a Connection,
    pub(super) state: &'a mut State,
    pub(super) rows: RowWriter<'a>,
    points: Option<Points<'a>>,
    max_series: u64,
    pub(super) max_value_len: usize,
    /// Maximum size of the rows of one tenant's senders, with their streams of totals; also of all
    /// callsites.
    pub(super) max_sender_bytes: usize,
    pub(super) has_too_many_senders: bool,
    retention: i64,
    /// Spans of the current records, by the row of their trace and their key.
    pub(super) met: HashMap<(i64, i64), Known>,
    /// Events of traces with an already stored span, by the row of their trace.
    pub(super) seen_events: HashMap<i64, SeenEvents>,
    /// The number of equal events that were stored before an import and are not matched yet.
    pub(super) events_left: HashMap<EventKey, u32>,
    pub(super) accounts: HashMap<i64, Account>,
    pub(super) calls: Calls,
    pub(super) overflowed: Vec<String>,
    /// Counts of what is stored, if it is counted.
    pub(super) stored: Option<StoredCounts>,
    pub(super) now: i64,
    pub(super) ahead: i64,
    /// Whether this is an import: records may already be stored, and their programs do not run.
    pub(super) is_import: bool,
}

impl<'a> Batch<'a> {
    /// Begins a transaction's batch; the caller holds the write transaction.
    pub(super) fn begin(
        db: &'a Connection,
        state: &'a mut State,
        settings: &Settings,
        stored: Option<StoredCounts>,
        now: i64,
    ) -> rusqlite::Result<Self> {
        Ok(Self {
            db,
            state,
            rows: RowWriter::begin(db, Owner::Anyone)?,
            points: None,
            max_series: settings.max_series,
            max_value_len: settings.max_value_len,
            max_sender_bytes: usize::try_from(settings.max_bytes / 16).unwrap_or(usize::MAX),
            has_too_many_senders: false,
            retention: i64::try_from(settings.retention.as_nanos()).unwrap_or(i64::MAX),
            met: HashMap::new(),
            seen_events: HashMap::new(),
            events_left: HashMap::new(),
            accounts: HashMap::new(),
            calls: Calls::default(),
            overflowed: Vec::new(),
            stored,
            now,
            ahead: 0,
            is_import: settings.is_import,
        })
    }

    /// Writes a mark: everything stored so far started before `time`.
    pub(super) fn mark(&self, time: i64) -> rusqlite::Result<()> {
        self.rows.mark(time)
    }

    /// Stores a measurement.
    pub(super) fn add_point(&mut self, point: &NewPoint<'_>) -> rusqlite::Result<()> {
        self.points()?.add(point)?;
        if let Some(stored) = &mut self.stored {
            stored.add_point(point);
        }
        Ok(())
    }

    /// Returns the row of a measurement's series, and creates it if it is missing.
    pub(super) fn series_of(&mut self, point: &NewPoint<'_>) -> rusqlite::Result<i64> {
        self.points()?.series_of(point)
    }

    fn points(&mut self) -> rusqlite::Result<&mut Points<'a>> {
        match &mut self.points {
            Some(points) => Ok(points),
            none => Ok(none.insert(Points::begin(self.db, self.max_series)?)),
        }
    }

    /// Writes the measurements of this transaction, so that they can be deleted like any other.
    pub(super) fn flush_points(&mut self) -> rusqlite::Result<()> {
        if let Some(points) = self.points.take() {
            self.overflowed.extend(points.finish()?);
        }
        Ok(())
    }

    pub(super) fn add_event(
        &mut self,
        process: i64,
        trace_id: Option<TraceId>,
        span: Option<i64>,
        event: &InEvent,
    ) -> rusqlite::Result<()> {
        let trace = match trace_id {
            Some(trace_id) => Some(self.rows.touch_adjacent(trace_id, event.time)?),
            None => None,
        };
        self.note_time(event.time);
        let expires = match trace_id {
            Some(_) => event.expires,
            None => self.expiry(event.time, event.expires),
        };
        // Many libraries name an event by its text, so the event's row has the name.
        let callsite = Callsite {
            name: String::new(),
            ..event.callsite.clone()
        };
        let (callsite, _) = self.callsite(&callsite)?;
        let name = event.callsite.name.as_str();
        self.rows.add_event(&EventRow {
            callsite,
            time: event.time,
            trace,
            span,
            process,
            severity: None,
            name: (!name.is_empty()).then_some(name),
            message: &event.message,
            attributes: &event.attributes,
            expires,
            category: None,
        })?;
        Ok(())
    }

    /// Returns the trace that a trace of the telemetry API continues; itself if it continues none.
    pub(super) fn continued(&self, tenant: i64, trace_id: TraceId) -> rusqlite::Result<TraceId> {
        let found: Option<String> = self
            .db
            .prepare_cached("SELECT continues FROM _continued WHERE tenant = ?1 AND trace_id = ?2")?
            .query_row(params![tenant, trace_id.to_string()], |row| row.get(0))
            .optional()?;
        Ok(found.and_then(|id| id.parse().ok()).unwrap_or(trace_id))
    }

    /// Returns when something outside traces expires: a record with a future date counts by its
    /// time of storing, otherwise it would stay until its date.
    pub(super) fn expiry(&self, time: i64, expires: Option<i64>) -> Option<i64> {
        let is_ahead = time.saturating_sub(self.now) > MAX_AHEAD;
        expires.or(is_ahead.then(|| self.now.saturating_add(self.retention)))
    }

    pub(super) fn note_time(&mut self, time: i64) {
        let ahead = time.saturating_sub(self.now);
        if ahead <= MAX_AHEAD {
            self.ahead = self.ahead.max(ahead);
        }
    }

    /// The row of a trace of this tenant.
    pub(super) fn trace_row(&self, tenant: i64, trace_id: TraceId) -> rusqlite::Result<Option<i64>> {
        self.db
            .prepare_cached(
                "SELECT id FROM _trace WHERE trace_id = ?1 ORDER BY tenant = ?2 DESC, local DESC, id LIMIT 1",
            )?
            .query_row(params![trace_id.to_string(), tenant], |row| row.get(0))
            .optional()
    }
}
