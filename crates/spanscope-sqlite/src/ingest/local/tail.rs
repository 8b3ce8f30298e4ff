//! The tail rule of a store: what the decider is told, what of undecided traces is in the file, and how it is taken back.
//!
//! Records of an undecided trace are written as if there were no rule, and deleted if the trace is dropped. To hold them in
//! memory until then would hide what runs from readers, lose by a `kill -9` the long traces that somebody will ask for, and
//! need a second budget beside the queue's. What it costs is small, because all that was drained is told before any of it
//! is written: a trace that begins and ends between two drains is decided by then, and if it is dropped never written.
//!
//! What is taken back is what this process wrote since it began to watch the trace. Rows of other processes stay, and so do
//! rows of a trace that was kept, forgotten, and came again: the trace's row is then made anew from what is left of it.
//! Measurements stay in any case.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex};

use rusqlite::{Connection, params};
use spanscope_core::capture::{Capture, Ticks};
use spanscope_core::queue::Chunk;
use spanscope_core::sync::lock;
use spanscope_core::tail::{Settle, TailDecider, TailRule, TailStats, Verdict};
use spanscope_model::TraceId;

use crate::file::traces::{Owner, sum_up_or_delete};

/// Rows that one transaction takes back at most: so the write-ahead log grows in small steps.
const ROWS: usize = 20_000;

/// The counts of a rule, for the guard.
pub(crate) type SharedStats = Arc<Mutex<TailStats>>;

/// What becomes of a record that is about to be written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum SampleDecision {
    Wanted,
    /// Written, and maybe taken back.
    Undecided,
    Unwanted,
}

/// What of an undecided trace is in the file.
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
    /// A span's row, when it is made.
    pub(super) fn add_span_row(&mut self, row: i64) {
        self.first_span = self.first_span.min(row);
    }

    pub(super) fn add_event_row(&mut self, row: i64) {
        self.first_event = self.first_event.min(row);
    }

    /// A record that counts as stored and would not, were the trace dropped.
    pub(super) fn add_record(&mut self) {
        self.records += 1;
    }

    fn add(&mut self, other: Self) {
        self.records += other.records;
        self.first_span = self.first_span.min(other.first_span);
        self.first_event = self.first_event.min(other.first_event);
    }
}

/// A dropped trace of which something is in the file.
#[derive(Debug)]
struct Unwanted {
    trace_id: TraceId,
    in_file: InFile,
}

/// What one transaction took back, to be noted when it is committed.
#[derive(Debug, Default)]
pub(super) struct TakenBack {
    /// Records that no longer count as stored.
    pub(super) records: u64,
    /// Whether any row was deleted.
    pub(super) any: bool,
    /// So many of the unwanted traces are done with.
    traces: usize,
    /// Records of the next one among `records`: it is too large for one transaction.
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

    /// Tells the decider what was drained. The clock was read at `before_drain`, so that of a trace whose root had ended
    /// by then nothing is missing here.
    pub(super) fn tell(&mut self, chunks: &[Chunk], capture: &Capture, before_drain: Ticks, settle: Settle) {
        self.decider.tell_drained(chunks, capture);
        let now = capture.clock().moment(before_drain);
        let decisions = self.decider.judge(settle, now);
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
            // A trace that nobody watches any more will not be judged either: what is written of it stays.
            Some(Verdict::Keep) | None => SampleDecision::Wanted,
        }
    }

    /// The same of a span that still runs. One whose ids were settled late was not among what was told; its end will be.
    pub(super) fn fate_of_running(&self, trace_id: TraceId) -> SampleDecision {
        match self.decider.verdict(trace_id) {
            None => SampleDecision::Undecided,
            Some(_) => self.fate(trace_id),
        }
    }

    pub(super) fn has_unwanted(&self) -> bool {
        !self.unwanted.is_empty()
    }

    /// The disk has refused for too long: what is in the file stays there, and counts as stored.
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

    /// The transaction that wrote this of undecided traces, and took that back, is committed.
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

/// Deletes up to `room` rows of a trace that this process wrote, and answers how many it were.
fn delete_rows(
    db: &Connection,
    trace_id: TraceId,
    process: i64,
    in_file: &InFile,
    room: usize,
) -> rusqlite::Result<usize> {
    // A sender may use the same id in another tenant.
    let Some((trace, _)) = Owner::Local.find(db, trace_id)? else {
        return Ok(0); // retention was first
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
