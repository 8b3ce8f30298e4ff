//! The tail rule of a store: reports records to the decider, keeps track of the stored rows of
//! undecided traces, and deletes those of dropped traces.
//!
//! Records of an undecided trace are written as without a rule, and deleted if the trace is
//! dropped. Holding them in memory instead would hide running spans from readers, lose long traces
//! if the process is killed, and need a second budget besides the queue's. The cost is small,
//! because all drained records are reported before any is written: a trace that starts and ends
//! between two drains is already decided, and is never written if it is dropped.
//!
//! Only rows that this process wrote while it watched the trace are deleted. Rows of other
//! processes stay, and so do rows from an earlier time when the same trace was kept. The trace's
//! row is then recomputed from the remaining records. Measurements always stay.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex};

use rusqlite::{Connection, params};
use spanscope_core::capture::{Capture, Ticks};
use spanscope_core::queue::Chunk;
use spanscope_core::sync::lock;
use spanscope_core::tail::{DecisionScope, TailDecider, TailRule, TailStats, Verdict};
use spanscope_model::TraceId;

use crate::file::traces::{Owner, sum_up_or_delete};

/// Maximum number of rows that one transaction deletes, so that the write-ahead log grows in small
/// steps.
const ROWS: usize = 20_000;

/// The counts of a rule, shared with the guard.
pub(crate) type SharedStats = Arc<Mutex<TailStats>>;

/// The decision about a record that is about to be written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum SampleDecision {
    Wanted,
    /// Written, and possibly deleted again.
    Undecided,
    Unwanted,
}

/// The stored rows of an undecided trace.
#[derive(Debug, Clone, Copy)]
pub(super) struct InFile {
    /// Records that count as stored.
    records: u64,
    first_span: i64,
    first_event: i64,
}

impl Default for InFile {
    fn default() -> Self {
        Self {
            records: 0,
            first_span: i64::MAX,
            first_event: i64::MAX,
        }
    }
}

impl InFile {
    /// Notes the new row of a span.
    pub(super) fn add_span_row(&mut self, row: i64) {
        self.first_span = self.first_span.min(row);
    }

    pub(super) fn add_event_row(&mut self, row: i64) {
        self.first_event = self.first_event.min(row);
    }

    /// Counts a record that no longer counts as stored if the trace is dropped.
    pub(super) fn add_record(&mut self) {
        self.records += 1;
    }

    fn add(&mut self, other: Self) {
        self.records += other.records;
        self.first_span = self.first_span.min(other.first_span);
        self.first_event = self.first_event.min(other.first_event);
    }
}

/// A dropped trace with rows in the file.
#[derive(Debug)]
struct Unwanted {
    trace_id: TraceId,
    in_file: InFile,
}

/// The deletions of one transaction, which are noted when it is committed.
#[derive(Debug, Default)]
pub(super) struct TakenBack {
    /// Records that no longer count as stored.
    pub(super) records: u64,
    /// Whether any row was deleted.
    pub(super) any: bool,
    /// The number of dropped traces whose rows are all deleted.
    traces: usize,
    /// The records, among `records`, of a next trace that is too large for one transaction.
    part: u64,
}

#[derive(Debug)]
pub(super) struct Tail {
    decider: TailDecider,
    in_file: HashMap<TraceId, InFile>,
    unwanted: VecDeque<Unwanted>,
    stats: SharedStats,
}

impl Tail {
    pub(super) fn new(rule: TailRule, stats: SharedStats) -> Self {
        Self {
            decider: TailDecider::new(rule),
            in_file: HashMap::new(),
            unwanted: VecDeque::new(),
            stats,
        }
    }

    /// Reports the drained records to the decider. The clock was read at `before_drain`: all
    /// records of a trace whose root had ended by then are among them.
    pub(super) fn report(
        &mut self,
        chunks: &[Chunk],
        capture: &Capture,
        before_drain: Ticks,
        settle: DecisionScope,
    ) {
        self.decider.report_drained(chunks, capture);
        let now = capture.clock().moment(before_drain);
        let decisions = self.decider.decide(settle, now);
        for decision in decisions {
            let trace_id = decision.trace_id;
            if let Some(in_file) = self.in_file.remove(&trace_id)
                && decision.verdict == Verdict::Drop
            {
                self.unwanted.push_back(Unwanted { trace_id, in_file });
            }
        }
        *lock(&self.stats) = self.decider.stats();
    }

    pub(super) fn fate(&self, trace_id: TraceId) -> SampleDecision {
        match self.decider.verdict(trace_id) {
            Some(Verdict::Drop) => SampleDecision::Unwanted,
            Some(Verdict::Undecided) => SampleDecision::Undecided,
            // A trace that is no longer watched gets no decision: its rows stay.
            Some(Verdict::Keep) | None => SampleDecision::Wanted,
        }
    }

    /// Returns the decision for a running span. A span whose ids were set late was not reported
    /// yet; its end will be.
    pub(super) fn fate_of_running(&self, trace_id: TraceId) -> SampleDecision {
        match self.decider.verdict(trace_id) {
            None => SampleDecision::Undecided,
            Some(_) => self.fate(trace_id),
        }
    }

    pub(super) fn has_unwanted(&self) -> bool {
        !self.unwanted.is_empty()
    }

    /// Keeps the rows in the file, and counts them as stored, because the disk has failed for too
    /// long.
    pub(super) fn leave_unwanted(&mut self) {
        self.unwanted.clear();
    }

    /// Deletes rows of dropped traces; the caller holds the write transaction and then calls
    /// [`committed`](Self::committed).
    pub(super) fn take_back(&self, db: &Connection, process: i64) -> rusqlite::Result<TakenBack> {
        let mut taken = TakenBack::default();
        let mut room = ROWS;
        for Unwanted { trace_id, in_file } in &self.unwanted {
            let rows = delete_rows(db, *trace_id, process, in_file, room)?;
            taken.any |= rows > 0;
            if rows == room {
                taken.part = in_file.records.min(rows as u64);
                taken.records += taken.part;
                break;
            }
            room -= rows;
            taken.traces += 1;
            taken.records += in_file.records;
        }
        Ok(taken)
    }

    /// Notes a committed transaction: the rows that it wrote of undecided traces, and its
    /// deletions.
    pub(super) fn committed(&mut self, written: HashMap<TraceId, InFile>, taken: &TakenBack) {
        for (trace_id, in_file) in written {
            self.in_file.entry(trace_id).or_default().add(in_file);
        }
        self.unwanted.drain(..taken.traces);
        if let Some(next) = self.unwanted.front_mut() {
            next.in_file.records -= taken.part;
        }
    }
}

/// Deletes up to `room` rows of a trace that this process wrote, and returns their number.
fn delete_rows(
    db: &Connection,
    trace_id: TraceId,
    process: i64,
    in_file: &InFile,
    room: usize,
) -> rusqlite::Result<usize> {
    // A sender may use the same id in another tenant.
    let Some((trace, _)) = Owner::Local.find(db, trace_id)? else {
        return Ok(0); // retention has deleted the trace
    };
    let limit = |room: usize| i64::try_from(room).unwrap_or(i64::MAX);
    let spans = params![trace, process, in_file.first_span, limit(room)];
    db.prepare_cached(
        "DELETE FROM _attr WHERE span IN
         (SELECT id FROM _span WHERE trace = ?1 AND process = ?2 AND id >= ?3 ORDER BY id LIMIT ?4)",
    )?
    .execute(spans)?;
    let spans = db
        .prepare_cached(
            "DELETE FROM _span WHERE id IN
             (SELECT id FROM _span WHERE trace = ?1 AND process = ?2 AND id >= ?3 ORDER BY id LIMIT ?4)",
        )?
        .execute(spans)?;
    let events = db
        .prepare_cached(
            "DELETE FROM _event WHERE id IN
             (SELECT id FROM _event WHERE trace = ?1 AND process = ?2 AND id >= ?3 ORDER BY id LIMIT ?4)",
        )?
        .execute(params![trace, process, in_file.first_event, limit(room - spans)])?;
    sum_up_or_delete(db, trace)?;
    Ok(spans + events)
}
