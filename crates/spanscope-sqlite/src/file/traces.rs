//! Rows of traces: their tenants, their changes by the records of one transaction, and their
//! recomputation.
//!
//! A trace is read once and written once in a transaction, however many of its spans there are.

use rusqlite::{Connection, params};
use spanscope_model::{Timestamp, TraceId};

use super::bulk::{Bulk, Table};
use super::runs;

/// The owner of the traces that ids refer to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Owner {
    /// A program that writes this file itself: an id means its trace, of any tenant.
    Local,
    /// A sender that may see all tenants: an id means the stored trace, or a new one of the default
    /// tenant.
    Anyone,
    /// A sender of one tenant: an id means that tenant's trace.
    Tenant(i64),
    /// A file from which this tenant's traces are copied: an id means that tenant's trace, which
    /// counts as local if it is new.
    Copy(i64),
}

/// A stored trace: its row and its number of spans.
pub(crate) type StoredTrace = (i64, i64);

impl Owner {
    /// Finds a trace. It chooses among the traces with this id itself, because they are few and
    /// SQLite would need a sorter.
    pub(crate) fn find(self, db: &Connection, trace_id: TraceId) -> rusqlite::Result<Option<StoredTrace>> {
        let mut find =
            db.prepare_cached("SELECT id, span_count, local, tenant FROM _trace WHERE trace_id = ?1")?;
        let mut rows = find.query([trace_id.to_string()])?;
        let mut found: Option<(bool, StoredTrace)> = None;
        while let Some(row) = rows.next()? {
            let (local, tenant): (bool, i64) = (row.get(2)?, row.get(3)?);
            let may_be = match self {
                Self::Local => local || tenant == 0,
                Self::Anyone => true,
                Self::Tenant(own) | Self::Copy(own) => tenant == own,
            };
            if may_be && found.is_none_or(|(other, _)| local && !other) {
                found = Some((local, (row.get(0)?, row.get(1)?)));
            }
        }
        Ok(found.map(|(_, trace)| trace))
    }

    const fn tenant(self) -> i64 {
        match self {
            Self::Local | Self::Anyone => 0,
            Self::Tenant(tenant) | Self::Copy(tenant) => tenant,
        }
    }
}

/// How a batch changes one trace.
#[derive(Debug)]
pub(crate) struct TraceChange {
    pub(crate) row: i64,
    pub(crate) is_new: bool,
    /// The number of its spans before the batch.
    pub(crate) stored_spans: i64,
    start: i64,
    end: i64,
    /// The time range of its records that are not spans.
    pub(super) other_times: Option<(i64, i64)>,
    root: Option<(i64, i64)>,
    spans: i64,
    errors: i64,
    open: i64,
    /// The size of its records.
    pub(super) bytes: i64,
    /// The time when it was first stored, if that was in another file.
    pub(crate) created: Option<i64>,
    /// Its new tenant.
    pub(crate) tenant: Option<i64>,
    /// The latest time to live of the spans that brought one.
    expires: Option<i64>,
    /// Whether a span had no time to live: the trace then expires by age.
    expires_by_age: bool,
}

impl TraceChange {
    pub(super) const fn new(row: i64, is_new: bool, stored_spans: i64) -> Self {
        Self {
            row,
            is_new,
            stored_spans,
            // An empty range, until `stretch` is called.
            start: i64::MAX,
            end: i64::MIN,
            other_times: None,
            root: None,
            spans: 0,
            errors: 0,
            open: 0,
            bytes: 0,
            created: None,
            tenant: None,
            expires: None,
            expires_by_age: false,
        }
    }

    pub(super) fn stretch(&mut self, start: i64, end: i64) {
        self.start = self.start.min(start);
        self.end = self.end.max(end);
    }

    /// Counts a new span, which runs if it has no duration.
    pub(crate) fn note_span(&mut self, duration: Option<i64>, status: Option<i64>) {
        self.spans += 1;
        self.open += i64::from(duration.is_none());
        self.errors += i64::from(status == Some(1));
    }

    /// Counts the end of a span that was counted while it was running. `before` is the status that
    /// was counted then, so that a failure counts once.
    pub(crate) fn note_end(&mut self, before: Option<i64>, status: Option<i64>) {
        self.open -= 1;
        self.note_status(before, status);
    }

    /// Counts the current failure of a running span, given its earlier status.
    pub(crate) fn note_status(&mut self, before: Option<i64>, status: Option<i64>) {
        self.errors += i64::from(status == Some(1)) - i64::from(before == Some(1));
    }

    /// Removes a span as the root, because it has a parent.
    pub(crate) fn forget_root(&mut self, row: i64) {
        self.root = self.root.filter(|(root, _)| *root != row);
    }

    /// Notes the time to live of a span, if it has one.
    pub(crate) fn note_expiry(&mut self, expires: Option<i64>) {
        self.expires_by_age |= expires.is_none();
        self.expires = self.expires.max(expires);
    }

    /// Notes a span without a parent in the same program; the earliest is the root.
    pub(crate) fn note_root(&mut self, row: i64, start: i64) {
        if self.root.is_none_or(|(_, other)| start < other) {
            self.root = Some((row, start));
        }
    }
}

const TRACES: Table<13> = Table {
    insert: "INSERT OR FAIL INTO _trace",
    columns: [
        "trace_id",
        "start",
        "end",
        "root",
        "root_start",
        "span_count",
        "error_count",
        "open_count",
        "created",
        "tenant",
        "local",
        "bytes",
        "expires",
    ],
    rare: 1,
};

/// Writes the changes of a batch.
pub(super) fn write(
    db: &Connection,
    owner: Owner,
    mut traces: Vec<(TraceId, TraceChange)>,
) -> rusqlite::Result<()> {
    if traces.is_empty() {
        return Ok(());
    }
    let mut insert = Bulk::new(db, &TRACES);
    let mut update = db.prepare_cached(
            "UPDATE _trace SET start = CASE WHEN ?12 THEN ?2 ELSE MIN(start, ?2) END,
             end = CASE WHEN ?12 THEN ?3 ELSE MAX(end, ?3) END,
             root = CASE WHEN ?5 < COALESCE(root_start, 9223372036854775807) THEN ?4 ELSE root END,
             root_start = CASE WHEN ?5 < COALESCE(root_start, 9223372036854775807) THEN ?5 ELSE root_start END,
             span_count = span_count + ?6, error_count = error_count + ?7, open_count = open_count + ?8,
             expires = CASE WHEN ?9 OR (expires IS NULL AND span_count > 0) THEN NULL
                 ELSE COALESCE(MAX(expires, ?10), expires, ?10) END,
             local = MAX(local, ?11), bytes = bytes + ?13 WHERE id = ?1",
        )?;
    // A run that is named by its trace begins with the trace, also if its own spans are stored
    // first.
    let mut begin_runs =
        db.prepare_cached("UPDATE _run SET start = ?2 WHERE trace = ?1 AND said = 0 AND start > ?2")?;
    // If the new tenant already has a trace with this id, this row keeps its tenant.
    let mut hand_over = db.prepare_cached("UPDATE OR IGNORE _trace SET tenant = ?2 WHERE id = ?1")?;
    let mut handed_over = Vec::new();
    let now = Timestamp::now().as_nanos();
    let is_local = owner == Owner::Local;
    let is_copy = matches!(owner, Owner::Copy(_));
    traces.sort_unstable_by_key(|(_, trace)| trace.row);
    for (trace_id, trace) in traces {
        let TraceChange {
            row,
            is_new,
            stored_spans,
            start,
            end,
            other_times,
            root,
            spans,
            errors,
            open,
            bytes,
            created,
            tenant,
            expires,
            expires_by_age,
        } = trace;
        let expires = expires.filter(|_| !expires_by_age);
        let (root, root_start) = root.unzip();
        let has_spans = spans > 0 || stored_spans > 0;
        let (start, end) = match other_times {
            Some((first, last)) if !has_spans => (start.min(first), end.max(last)),
            _ => (start, end),
        };
        // The time range of other records is replaced when spans arrive.
        let is_first = spans > 0 && stored_spans == 0;
        if is_new {
            let trace_id = trace_id.to_string();
            insert.push_numbered(
                row,
                [
                    trace_id.as_str().into(),
                    start.into(),
                    end.into(),
                    root.into(),
                    root_start.into(),
                    spans.into(),
                    errors.into(),
                    open.into(),
                    created.unwrap_or(now).into(),
                    owner.tenant().into(),
                    i64::from(is_local || is_copy).into(),
                    bytes.into(),
                    expires.into(),
                ],
            )?;
        } else {
            update.execute(params![
                row,
                start,
                end,
                root,
                root_start,
                spans,
                errors,
                open,
                expires_by_age,
                expires,
                is_local,
                is_first,
                bytes
            ])?;
            if spans > 0 {
                begin_runs.execute([row, start])?;
            }
        }
        if let Some(tenant) = tenant {
            handed_over.push([row, tenant]);
        }
    }
    insert.flush()?;
    for [trace, tenant] in handed_over {
        hand_over.execute([trace, tenant])?;
        runs::hand_over(db, trace)?;
    }
    Ok(())
}

/// Recomputes a trace's row and those of its runs from its remaining records; deletes them if there
/// are none.
pub(crate) fn sum_up_or_delete(db: &Connection, trace: i64) -> rusqlite::Result<()> {
    let is_left = "SELECT EXISTS (SELECT 1 FROM _span WHERE trace = ?1) OR EXISTS (SELECT 1 FROM _event WHERE trace = ?1)";
    if db.prepare_cached(is_left)?.query_row([trace], |row| row.get(0))? {
        sum_up(db, trace)?;
        runs::find_again(db, trace)?;
    } else {
        for delete in [
            "DELETE FROM _run WHERE trace = ?1",
            "DELETE FROM _ended WHERE trace = ?1",
            "DELETE FROM _trace WHERE id = ?1",
        ] {
            db.prepare_cached(delete)?.execute([trace])?;
        }
    }
    Ok(())
}

/// Recomputes a trace's row from its remaining records. Its root is the earliest span whose parent
/// is missing.
fn sum_up(db: &Connection, trace: i64) -> rusqlite::Result<()> {
    db.prepare_cached(
        "UPDATE _trace SET
             start = COALESCE(MIN(s.start, e.start), s.start, e.start),
             end = COALESCE(MAX(s.end, e.end), s.end, e.end),
             span_count = s.spans, error_count = s.errors, open_count = s.open,
             (root, root_start) = (SELECT id, start FROM _span WHERE trace = ?1 AND
                 (parent IS NULL OR parent NOT IN (SELECT span_id FROM _span WHERE trace = ?1))
                 ORDER BY start, id LIMIT 1)
         FROM (SELECT MIN(start) AS start, MAX(start + COALESCE(duration, 0)) AS end, COUNT(*) AS spans,
                   COUNT(*) FILTER (WHERE status = 1) AS errors, COUNT(*) FILTER (WHERE duration IS NULL) AS open
               FROM _span WHERE trace = ?1) s,
              (SELECT MIN(time) AS start, MAX(time) AS end FROM _event WHERE trace = ?1) e
         WHERE _trace.id = ?1",
    )?
    .execute([trace])?;
    Ok(())
}
