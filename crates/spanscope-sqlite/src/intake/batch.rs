//! One transaction of records that were sent: what is there already is known again, the rest becomes rows.
//!
//! Nothing here outlives the transaction but [`State`], which is forgotten when one fails.

use std::collections::{HashMap, HashSet};

use rusqlite::{Connection, OptionalExtension, params};
use spanscope_model::{Attributes, Taken, TraceId};

use super::prepared::{InEnd, InEvent, InSpan, Place, Prepared, Sender, SenderKey, merged};
use super::tokens::{Call, Calls};
use super::totals;
use crate::points::{NewPoint, Points};
use crate::writer::database::callsite_row;
use crate::writer::rows::{EventRow, Owner, Rows, SpanRow, tenant_row};

/// A file keeps so many places of programs apart. What comes from further ones has its name in its own row, and no target:
/// a program that names its spans by what they work on must not fill the file with places.
const MAX_PLACES: usize = 20_000;
/// So many senders of a tenant are kept apart; what further ones send is stored as sent by nobody in particular.
const MAX_SENDERS: i64 = 10_000;
/// What the sender is that stands for those beyond.
const OVERFLOW: &str = r#"{"otel.resource.overflow":true}"#;
/// A span of a sender that was not heard of for so long counts as abandoned. It may be a program that says nothing while a
/// model thinks, so this is long.
const GRACE: i64 = 600_000_000_000;
/// A start may lie so far ahead of this machine's clock and still be found by "since". Whose clock is further off is not
/// worth that every such question looks at more rows.
const MAX_AHEAD: i64 = 3_600_000_000_000;
/// A trace of so many spans is looked through sooner than an index.
const FEW_SPANS: i64 = 64;
/// The text of `extra` of a span whose end came before its start.
const END_ONLY: &str = r#"{"end_only":true}"#;

/// What is known from transaction to transaction.
#[derive(Debug, Default)]
pub(super) struct State {
    tenants: HashMap<String, i64>,
    senders: HashMap<(i64, SenderKey), i64>,
    places: HashMap<Place, i64>,
    /// Rows of `_attr_key`.
    pub(super) keys: HashMap<String, i64>,
    /// How many streams of totals each sender has.
    pub(super) streams: HashMap<i64, usize>,
}

impl State {
    /// Forgets what may not be there any more, or never came to be.
    pub(super) fn clear(&mut self) {
        self.tenants.clear();
        self.senders.clear();
        self.places.clear();
        self.streams.clear();
    }
}

/// What is there of a span.
#[derive(Debug, Clone, Copy)]
struct Known {
    row: i64,
    state: KnownState,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum KnownState {
    Whole,
    Running,
    EndOnly,
}

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
    rows: Rows<'a>,
    points: Option<Points<'a>>,
    max_series: u64,
    max_value_len: usize,
    /// Spans that this transaction has met, by the row of their trace and their key.
    met: HashMap<(i64, i64), Known>,
    accounts: HashMap<i64, Account>,
    calls: Calls,
    overflowed: Vec<String>,
    now: i64,
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
            rows: Rows::begin(db, Owner::Anyone)?,
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
    pub(super) fn take(&mut self, prepared: &Prepared) -> rusqlite::Result<Taken> {
        let mut taken = Taken::default();
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
        taken: &mut Taken,
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

    /// Stores a span, or what one that is there lacked; `false` where it lacked nothing.
    fn add_span(&mut self, process: i64, trace_id: TraceId, span: &InSpan) -> rusqlite::Result<bool> {
        let end = span.start.saturating_add(span.duration.unwrap_or(0));
        let trace = self.rows.touch(trace_id, span.start, end)?;
        let (trace_row, stored) = (trace.row, trace.stored_spans);
        self.note_time(span.start);
        let known = self.known(trace_row, stored, span.key)?;
        let (callsite, name) = self.place(&span.place)?;
        let row = match known {
            Some(Known { row, state }) => match (state, span.duration) {
                (KnownState::Running, Some(duration)) => {
                    self.end_running(row, callsite, name, duration, span)?;
                    row
                }
                (KnownState::EndOnly, _) => {
                    self.begin_ended(row, callsite, name, span)?;
                    row
                }
                _ => return Ok(false),
            },
            None => {
                let row = self.rows.new_span();
                self.rows.add_span(SpanRow {
                    row,
                    callsite,
                    name,
                    start: span.start,
                    duration: span.duration,
                    status: span.status,
                    trace: trace_row,
                    process,
                    kind: span.kind,
                    key: span.key,
                    parent: span.parent,
                    attributes: span.attributes.clone(),
                    extra: span.extra.clone(),
                    category: None,
                })?;
                row
            }
        };
        if let Some(trace) = self.rows.touched(trace_id) {
            match known.map(|known| known.state) {
                None => {
                    trace.spans += 1;
                    trace.open += i64::from(span.duration.is_none());
                    trace.errors += i64::from(span.status == Some(1));
                }
                Some(KnownState::Running) => {
                    trace.open -= 1;
                    trace.errors += i64::from(span.status == Some(1));
                }
                Some(_) => {}
            }
            if span.parent.is_none() {
                trace.note_root(row, span.start);
            }
            trace.note_expiry(span.expires);
        }
        for (key, value) in &span.indexed {
            if let Some(key) = self.state.keys.get(key) {
                self.rows.index(*key, value, row)?;
            }
        }
        for event in &span.events {
            self.add_event(process, Some(trace_id), event)?;
        }
        let state = match span.duration {
            None if known.is_none() => KnownState::Running,
            _ => KnownState::Whole,
        };
        self.met.insert((trace_row, span.key), Known { row, state });
        Ok(true)
    }

    /// A span that ran has come with its end: what it says now is all of it.
    fn end_running(
        &mut self,
        row: i64,
        callsite: i64,
        name: Option<&str>,
        duration: i64,
        span: &InSpan,
    ) -> rusqlite::Result<()> {
        self.rows.flush_spans()?;
        self.rows.unindex(row)?;
        self.db
            .prepare_cached(
                "UPDATE _span SET callsite = ?2, name = ?3, start = ?4, duration = ?5, status = ?6, kind = ?7, parent = ?8,
                 attributes = ?9, extra = ?10 WHERE id = ?1",
            )?
            .execute(params![
                row,
                callsite,
                name,
                span.start,
                duration,
                span.status,
                span.kind,
                span.parent,
                span.attributes,
                span.extra
            ])?;
        Ok(())
    }

    /// The start has come of a span whose end came first.
    fn begin_ended(
        &mut self,
        row: i64,
        callsite: i64,
        name: Option<&str>,
        span: &InSpan,
    ) -> rusqlite::Result<()> {
        self.rows.flush_spans()?;
        let said_at_end: String = self
            .db
            .prepare_cached("SELECT attributes FROM _span WHERE id = ?1")?
            .query_row([row], |found| found.get(0))?;
        let said_at_end: Attributes = serde_json::from_str(&said_at_end).unwrap_or_default();
        let attributes = merged(&span.attributes, &said_at_end, self.max_value_len);
        self.db
            .prepare_cached(
                "UPDATE _span SET callsite = ?2, name = ?3, duration = MAX(0, start + duration - ?4), start = ?4, kind = ?5,
                 parent = ?6, attributes = ?7, extra = ?8 WHERE id = ?1",
            )?
            .execute(params![
                row,
                callsite,
                name,
                span.start,
                span.kind,
                span.parent,
                attributes,
                span.extra
            ])?;
        Ok(())
    }

    /// Ends a span; `false` where it has an end. The end of one that is not there is kept, and waits for its start.
    fn add_end(&mut self, process: i64, trace_id: TraceId, end: &InEnd) -> rusqlite::Result<bool> {
        let trace = self.rows.touch(trace_id, end.time, end.time)?;
        let (trace_row, stored) = (trace.row, trace.stored_spans);
        self.note_time(end.time);
        let known = self.known(trace_row, stored, end.key)?;
        let (row, was_running) = match known {
            Some(Known {
                row,
                state: KnownState::Running,
            }) => {
                self.rows.flush_spans()?;
                let attributes: String = self
                    .db
                    .prepare_cached("SELECT attributes FROM _span WHERE id = ?1")?
                    .query_row([row], |found| found.get(0))?;
                self.db
                    .prepare_cached(
                        "UPDATE _span SET duration = MAX(0, ?2 - start), status = ?3, attributes = ?4 WHERE id = ?1",
                    )?
                    .execute(params![
                        row,
                        end.time,
                        end.status,
                        merged(&attributes, &end.attributes, self.max_value_len)
                    ])?;
                (row, true)
            }
            Some(_) => return Ok(false),
            None => {
                let nowhere = Place {
                    name: String::new(),
                    target: String::new(),
                    level: spanscope_model::Severity::Info.number(),
                    category: spanscope_model::UNCATEGORIZED.to_owned(),
                };
                let (callsite, _) = self.place(&nowhere)?;
                let row = self.rows.new_span();
                self.rows.add_span(SpanRow {
                    row,
                    callsite,
                    name: None,
                    start: end.time,
                    duration: Some(0),
                    status: Some(end.status),
                    trace: trace_row,
                    process,
                    kind: 0,
                    key: end.key,
                    parent: None,
                    attributes: merged("{}", &end.attributes, self.max_value_len),
                    extra: Some(END_ONLY.to_owned()),
                    category: None,
                })?;
                (row, false)
            }
        };
        if let Some(trace) = self.rows.touched(trace_id) {
            trace.errors += end.status;
            if was_running {
                trace.open -= 1;
            } else {
                trace.spans += 1;
            }
            trace.note_expiry(end.expires);
        }
        let state = if was_running {
            KnownState::Whole
        } else {
            KnownState::EndOnly
        };
        self.met.insert((trace_row, end.key), Known { row, state });
        Ok(true)
    }

    fn add_event(
        &mut self,
        process: i64,
        trace_id: Option<TraceId>,
        event: &InEvent,
    ) -> rusqlite::Result<()> {
        let trace = match trace_id {
            Some(trace_id) => Some(self.rows.touch(trace_id, event.time, event.time)?.row),
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
        self.rows.add_event(EventRow {
            callsite,
            time: event.time,
            trace,
            span: event.span,
            process,
            severity: None,
            name: (!name.is_empty()).then_some(name),
            message: event.message.clone(),
            attributes: &event.attributes,
            expires: event.expires,
            category: None,
        })?;
        Ok(())
    }

    /// What is there of a span. A trace without spans has none that this transaction has not met.
    fn known(&mut self, trace: i64, stored_spans: i64, key: i64) -> rusqlite::Result<Option<Known>> {
        if let Some(known) = self.met.get(&(trace, key)) {
            return Ok(Some(*known));
        }
        // A row of a program that writes this file is that program's to end. A small trace is looked through, because the
        // index by id has a segment for every 65,536 spans of the file.
        let mut find = self.db.prepare_cached(match stored_spans {
            0 => return Ok(None),
            1..=FEW_SPANS => {
                "SELECT s.id, s.duration IS NULL AND p.resource IS NOT NULL, s.extra = ?3 FROM _span s INDEXED BY _span_trace
                 LEFT JOIN _process p ON p.id = s.process
                 WHERE s.trace = ?2 AND s.span_id = ?1 ORDER BY s.id DESC LIMIT 1"
            }
            _ => {
                "SELECT s.id, s.duration IS NULL AND p.resource IS NOT NULL, s.extra = ?3 FROM _span s INDEXED BY _span_hex
                 LEFT JOIN _process p ON p.id = s.process
                 WHERE s.span_hex = printf('%016x', ?1) AND s.trace = ?2 ORDER BY s.id DESC LIMIT 1"
            }
        })?;
        find.query_row(params![key, trace, END_ONLY], |row| {
            let is_end_only: Option<bool> = row.get(2)?;
            let state = match (row.get(1)?, is_end_only) {
                (true, _) => KnownState::Running,
                (false, Some(true)) => KnownState::EndOnly,
                (false, _) => KnownState::Whole,
            };
            Ok(Known {
                row: row.get(0)?,
                state,
            })
        })
        .optional()
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

    fn note_time(&mut self, time: i64) {
        let ahead = time.saturating_sub(self.now);
        if ahead <= MAX_AHEAD {
            self.ahead = self.ahead.max(ahead);
        }
    }

    fn tenant(&mut self, name: &str) -> rusqlite::Result<i64> {
        if let Some(row) = self.state.tenants.get(name) {
            return Ok(*row);
        }
        let row = tenant_row(self.db, name)?;
        self.state.tenants.insert(name.to_owned(), row);
        Ok(row)
    }

    /// The row of a sender, which is made if it is not there.
    fn sender(&mut self, tenant: i64, key: &SenderKey) -> rusqlite::Result<i64> {
        let wanted = (tenant, key.clone());
        if let Some(row) = self.state.senders.get(&wanted) {
            return Ok(*row);
        }
        let find = |resource: &str, scope: &str| {
            self.db
                .prepare_cached(
                    "SELECT id FROM _process WHERE tenant = ?1 AND resource = ?2 AND scope = ?3 AND service_name = ?4",
                )?
                .query_row(params![tenant, resource, scope, key.service_name], |row| {
                    row.get::<_, i64>(0)
                })
                .optional()
        };
        let make = |resource: &str, scope: &str| {
            self.db
                .prepare_cached(
                    "INSERT INTO _process (service_name, pid, started_at, seen_at, tenant, resource, scope)
                     VALUES (?1, 0, ?2, ?2, ?3, ?4, ?5)",
                )?
                .execute(params![key.service_name, self.now, tenant, resource, scope])?;
            Ok::<_, rusqlite::Error>(self.db.last_insert_rowid())
        };
        let row = match find(&key.resource, &key.scope)? {
            Some(row) => row,
            None => {
                let senders: i64 = self
                    .db
                    .prepare_cached(
                        "SELECT count(*) FROM _process WHERE tenant = ?1 AND resource IS NOT NULL",
                    )?
                    .query_row([tenant], |row| row.get(0))?;
                if senders < MAX_SENDERS {
                    make(&key.resource, &key.scope)?
                } else {
                    let nobody = SenderKey {
                        service_name: String::new(),
                        resource: OVERFLOW.to_owned(),
                        scope: "{}".to_owned(),
                    };
                    if *key == nobody {
                        make(OVERFLOW, "{}")?
                    } else {
                        self.sender(tenant, &nobody)?
                    }
                }
            }
        };
        self.state.senders.insert(wanted, row);
        Ok(row)
    }

    /// The row of a place, and the name that is to stand in the row of what comes from there.
    fn place<'p>(&mut self, place: &'p Place) -> rusqlite::Result<(i64, Option<&'p str>)> {
        if let Some(row) = self.state.places.get(place) {
            return Ok((*row, None));
        }
        if self.state.places.len() >= MAX_PLACES {
            let general = Place {
                name: String::new(),
                target: String::new(),
                ..place.clone()
            };
            let row = match self.state.places.get(&general) {
                Some(row) => *row,
                None => callsite_row(self.db, "", "", general.level, &general.category)?,
            };
            return Ok((row, (!place.name.is_empty()).then_some(&place.name)));
        }
        let row = callsite_row(self.db, &place.name, &place.target, place.level, &place.category)?;
        self.state.places.insert(place.clone(), row);
        Ok((row, None))
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

/// What totals need to know of a batch.
impl Batch<'_> {
    pub(super) fn streams_of(&mut self, process: i64) -> rusqlite::Result<&mut usize> {
        use std::collections::hash_map::Entry;
        match self.state.streams.entry(process) {
            Entry::Occupied(entry) => Ok(entry.into_mut()),
            Entry::Vacant(entry) => {
                let count: i64 = self
                    .db
                    .prepare_cached("SELECT count(*) FROM _total WHERE process = ?1")?
                    .query_row([process], |row| row.get(0))?;
                Ok(entry.insert(usize::try_from(count).unwrap_or(0)))
            }
        }
    }
}
