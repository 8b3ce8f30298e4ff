//! One transaction of records that were sent: what is there already is known again, the rest becomes rows.
//!
//! Nothing here outlives the transaction but [`State`], which is forgotten when one fails. Who sent is in `senders.rs`, spans and their
//! ends are in `spans.rs`.

use std::collections::{HashMap, HashSet};

use rusqlite::{Connection, OptionalExtension, params};
use spanscope_model::{IngestReceipt, TraceId};

use super::prepared::{InEvent, Place, Prepared, Sender};
use super::senders::State;
use super::spans::Known;
use super::tokens::{Call, Calls};
use super::totals;
use crate::file::rows::{EventRow, RowWriter};
use crate::file::series::{NewPoint, Points};
use crate::file::traces::Owner;

/// A span of a sender that was not heard of for so long counts as abandoned. It may be a program that says nothing while a
/// model thinks, so this is long.
const GRACE: i64 = 600_000_000_000;
/// A start may lie so far ahead of this machine's clock and still be found by "since". Whose clock is further off is not
/// worth that every such question looks at more rows.
const MAX_AHEAD: i64 = 3_600_000_000_000;

/// What a sender's row gets more of.
#[derive(Debug, Default)]
struct Account {
    records: u64,
    expires: Option<i64>,
    runs: bool,
}

/// One transaction.
pub(super) struct Batch<'a> {
    pub(super) db: &'a Connection,
    pub(super) state: &'a mut State,
    pub(super) rows: RowWriter<'a>,
    points: Option<Points<'a>>,
    max_series: u64,
    pub(super) max_value_len: usize,
    /// Spans that this transaction has met, by the row of their trace and their key.
    pub(super) met: HashMap<(i64, i64), Known>,
    accounts: HashMap<i64, Account>,
    calls: Calls,
    overflowed: Vec<String>,
    pub(super) now: i64,
    ahead: i64,
}

impl<'a> Batch<'a> {
    /// Begins; the caller holds the write transaction.
    pub(super) fn begin(
        db: &'a Connection,
        state: &'a mut State,
        max_series: u64,
        max_value_len: usize,
        now: i64,
    ) -> rusqlite::Result<Self> {
        Ok(Self {
            db,
            state,
            rows: RowWriter::begin(db, Owner::Anyone)?,
            points: None,
            max_series,
            max_value_len,
            met: HashMap::new(),
            accounts: HashMap::new(),
            calls: Calls::default(),
            overflowed: Vec::new(),
            now,
            ahead: 0,
        })
    }

    /// Sets a mark: what was stored until now began before `time`.
    pub(super) fn mark(&self, time: i64) -> rusqlite::Result<()> {
        self.rows.mark(time)
    }

    /// Stores what of these records is not there.
    pub(super) fn take(&mut self, prepared: &Prepared) -> rusqlite::Result<IngestReceipt> {
        let mut taken = IngestReceipt::default();
        let (owner, tenant) = match &prepared.tenant {
            None => (Owner::Anyone, 0),
            Some(tenant) => {
                let row = self.tenant(tenant.as_str())?;
                (Owner::Tenant(row), row)
            }
        };
        self.rows.set_owner(owner)?;
        self.met.clear();
        if let Some(digest) = &prepared.digest {
            let is_new = self
                .db
                .prepare_cached("INSERT OR IGNORE INTO _batch (digest, time) VALUES (?1, ?2)")?
                .execute(params![digest, self.now])?;
            if is_new == 0 {
                taken.known = prepared.records;
                return Ok(taken);
            }
        }
        if let Some((sent, continued)) = prepared.continues {
            self.db
                .prepare_cached(
                    "INSERT OR REPLACE INTO _continued (tenant, trace_id, continues, time) VALUES (?1, ?2, ?3, ?4)",
                )?
                .execute(params![
                    tenant,
                    sent.to_string(),
                    continued.to_string(),
                    self.now
                ])?;
        }
        for sender in &prepared.sources {
            self.take_sender(tenant, sender, prepared.follows, &mut taken)?;
        }
        Ok(taken)
    }

    fn take_sender(
        &mut self,
        tenant: i64,
        sender: &Sender,
        follows: bool,
        taken: &mut IngestReceipt,
    ) -> rusqlite::Result<()> {
        let process = self.sender(tenant, &sender.key)?;
        let mut account = Account {
            runs: follows || sender.spans.iter().any(|span| span.duration.is_none()),
            ..Account::default()
        };
        let called = |batch: &Self, trace_id: TraceId| match follows {
            true => batch.continued(tenant, trace_id),
            false => Ok(trace_id),
        };
        for span in &sender.spans {
            let trace_id = called(self, span.trace_id)?;
            let records = 1 + span.events.len() as u64;
            if self.add_span(process, trace_id, span)? {
                if self.rows.touched(trace_id).is_some_and(|trace| !trace.is_new) {
                    self.calls.may_join(tenant, trace_id);
                }
                if let Some(tokens) = &span.tokens {
                    self.calls.push(Call {
                        trace_id,
                        key: span.key,
                        process,
                        tenant,
                        time: span.start.saturating_add(span.duration.unwrap_or(0)),
                        tokens: tokens.clone(),
                        expires: span.expires,
                    });
                }
                account.records += records;
                account.expires = account.expires.max(span.expires);
            } else {
                taken.known += records;
            }
        }
        for end in &sender.ends {
            let trace_id = called(self, end.trace_id)?;
            if self.add_end(process, trace_id, end)? {
                account.records += 1;
                account.expires = account.expires.max(end.expires);
            } else {
                taken.known += 1;
            }
        }
        for event in &sender.events {
            let trace_id = event.trace_id.map(|id| called(self, id)).transpose()?;
            self.add_event(process, trace_id, event)?;
            account.records += 1;
            account.expires = account.expires.max(event.expires);
        }
        for point in &sender.points {
            match totals::grown(self, process, point)? {
                totals::Grown::By(value) => {
                    let trace = match point.trace.and_then(TraceId::from_bytes) {
                        Some(trace_id) => Some(called(self, trace_id)?.to_bytes()),
                        None => None,
                    };
                    self.add_point(&NewPoint {
                        metric: &point.metric,
                        unit: &point.unit,
                        kind: point.kind,
                        labels: &point.labels,
                        time: point.time,
                        value,
                        trace,
                        span: point.span,
                        process,
                        expires: point.expires,
                        tenant,
                        detail: point.detail.as_deref(),
                    })?;
                    account.records += 1;
                    account.expires = account.expires.max(point.expires);
                }
                totals::Grown::NotAtAll => account.records += 1,
                totals::Grown::Known => taken.known += 1,
                totals::Grown::TooMany => taken.rejected_points += 1,
            }
        }
        taken.stored += account.records;
        let all = self.accounts.entry(process).or_default();
        all.records += account.records;
        all.expires = all.expires.max(account.expires);
        all.runs |= account.runs;
        Ok(())
    }

    /// Stores a measurement.
    pub(super) fn add_point(&mut self, point: &NewPoint<'_>) -> rusqlite::Result<()> {
        let points = match &mut self.points {
            Some(points) => points,
            none => none.insert(Points::begin(self.db, self.max_series)?),
        };
        points.add(point)
    }

    /// Writes the measurements of this transaction, so that they can be deleted like any other.
    pub(super) fn flush_points(&mut self) -> rusqlite::Result<()> {
        if let Some(points) = self.points.take() {
            self.overflowed.extend(points.finish()?);
        }
        Ok(())
    }

    /// Writes what is left. Answers the metrics that had too many label sets.
    pub(super) fn finish(mut self) -> rusqlite::Result<Vec<String>> {
        self.rows.flush()?;
        let calls = std::mem::take(&mut self.calls);
        calls.count(&mut self)?;
        self.flush_points()?;
        let mut statement = self.db.prepare_cached(
            "UPDATE _process SET offered = offered + ?2, stored = stored + ?2, seen_at = MAX(seen_at, ?3),
             expires = COALESCE(MAX(expires, ?4), expires, ?4) WHERE id = ?1",
        )?;
        for (process, account) in &self.accounts {
            let records = i64::try_from(account.records).unwrap_or(i64::MAX);
            let seen = if account.runs { self.now + GRACE } else { self.now };
            statement.execute(params![process, records, seen, account.expires])?;
        }
        if self.ahead > 0 {
            self.db
                .prepare_cached("UPDATE _given SET ahead = MAX(ahead, ?1)")?
                .execute([self.ahead])?;
        }
        Ok(self.overflowed)
    }

    pub(super) fn add_event(
        &mut self,
        process: i64,
        trace_id: Option<TraceId>,
        event: &InEvent,
    ) -> rusqlite::Result<()> {
        let trace = match trace_id {
            Some(trace_id) => Some(self.rows.touch_beside(trace_id, event.time)?),
            None => None,
        };
        self.note_time(event.time);
        // Many libraries name an event by its text, so names are no places here.
        let place = Place {
            name: String::new(),
            ..event.place.clone()
        };
        let (callsite, _) = self.place(&place)?;
        let name = event.place.name.as_str();
        self.rows.add_event(&EventRow {
            callsite,
            time: event.time,
            trace,
            span: event.span,
            process,
            severity: None,
            name: (!name.is_empty()).then_some(name),
            message: &event.message,
            attributes: &event.attributes,
            expires: event.expires,
            category: None,
        })?;
        Ok(())
    }

    /// The trace that a trace of the telemetry API is called by.
    fn continued(&self, tenant: i64, trace_id: TraceId) -> rusqlite::Result<TraceId> {
        let found: Option<String> = self
            .db
            .prepare_cached("SELECT continues FROM _continued WHERE tenant = ?1 AND trace_id = ?2")?
            .query_row(params![tenant, trace_id.to_string()], |row| row.get(0))
            .optional()?;
        Ok(found.and_then(|id| id.parse().ok()).unwrap_or(trace_id))
    }

    pub(super) fn note_time(&mut self, time: i64) {
        let ahead = time.saturating_sub(self.now);
        if ahead <= MAX_AHEAD {
            self.ahead = self.ahead.max(ahead);
        }
    }

    /// The keys of the spans above one, the nearest first, as far as they are stored.
    pub(super) fn above(&self, trace: i64, key: i64) -> rusqlite::Result<HashSet<i64>> {
        const MAX_DEPTH: usize = 256;
        let mut find = self.db.prepare_cached(
            "SELECT parent FROM _span INDEXED BY _span_hex WHERE span_hex = printf('%016x', ?1) AND trace = ?2
             ORDER BY id DESC LIMIT 1",
        )?;
        let mut found = HashSet::new();
        let mut below = key;
        while found.len() < MAX_DEPTH {
            let parent: Option<Option<i64>> = find.query_row([below, trace], |row| row.get(0)).optional()?;
            match parent.flatten() {
                // A cycle ends where it began.
                Some(parent) if parent != key && found.insert(parent) => below = parent,
                _ => break,
            }
        }
        Ok(found)
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
