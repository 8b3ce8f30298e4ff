//! Rows of `_run`: the agent runs in a trace, updated while spans are written.
//!
//! A span with run attributes (`spanscope_runs::run_attributes`) is noted; when the batch is
//! flushed, the row of its run is created or changed. Traces without such spans cost nothing. If
//! several spans set an attribute, the span with the highest rank counts (a root, an agent, a
//! step), and of spans with equal ranks the earlier.

use std::collections::{HashMap, HashSet};

use rusqlite::{Connection, OptionalExtension, params};
use spanscope_model::Attributes;
use spanscope_runs::{RunAttributes, is_run_attribute, run_attributes};

use super::text::without_nul;

/// The rank of a trace's root, a span without a parent, above all others.
const ROOT: i64 = 2;
const AGENT: i64 = 1;
const STEP: i64 = 0;
/// Maximum number of runs with a task id in one trace, because a sender may send any number.
/// Further ones get no row.
const MAX_TASKS: i64 = 1000;

/// The run attributes of a span.
#[derive(Debug)]
pub(crate) struct Found {
    pub(crate) facts: RunAttributes,
    /// `_span.id`.
    pub(crate) row: i64,
    pub(crate) start: i64,
    pub(crate) has_parent: bool,
}

impl Found {
    fn rank(&self) -> i64 {
        if !self.has_parent {
            ROOT
        } else if self.facts.is_agent || self.facts.task_id.is_some() {
            AGENT
        } else {
            STEP
        }
    }
}

/// The state of a run.
#[derive(Debug, Clone)]
struct Run {
    agent_id: String,
    session_id: String,
    user_id: String,
    trace_level: String,
    rank: i64,
    head: i64,
    head_start: i64,
    start: i64,
    /// Of the spans with the head's rank, the one that started last.
    last: (i64, i64),
}

impl Run {
    fn new(found: Found) -> (Option<String>, Self) {
        let rank = found.rank();
        let facts = found.facts;
        let run = Self {
            agent_id: facts.agent_id.unwrap_or_default(),
            session_id: facts.session_id.unwrap_or_default(),
            user_id: facts.user_id.unwrap_or_default(),
            trace_level: facts.trace_level.unwrap_or_default(),
            rank,
            head: found.row,
            head_start: found.start,
            start: found.start,
            last: (found.start, found.row),
        };
        (facts.task_id, run)
    }

    /// Adds another span's attributes.
    fn add(&mut self, other: Self) {
        let other_is_head = other.head == self.head
            || other.rank > self.rank
            || (other.rank == self.rank && other.head_start < self.head_start);
        let start = self.start.min(other.start);
        let last = match self.rank.cmp(&other.rank) {
            std::cmp::Ordering::Less => other.last,
            std::cmp::Ordering::Equal => self.last.max(other.last),
            std::cmp::Ordering::Greater => self.last,
        };
        let (mut first, second) = if other_is_head {
            (other, self.clone())
        } else {
            (self.clone(), other)
        };
        for (text, instead) in [
            (&mut first.agent_id, second.agent_id),
            (&mut first.session_id, second.session_id),
            (&mut first.user_id, second.user_id),
            (&mut first.trace_level, second.trace_level),
        ] {
            if text.is_empty() {
                *text = instead;
            }
        }
        first.start = start;
        first.last = last;
        *self = first;
    }
}

impl Run {
    /// A run has the name and the outcome of its last attempt: the topmost span of its task at or
    /// above the one that started last.
    fn take_last_attempt(
        &mut self,
        db: &Connection,
        trace: i64,
        task_id: Option<&str>,
    ) -> rusqlite::Result<()> {
        const MAX_DEPTH: usize = 64;
        let (start, row) = self.last;
        if row == self.head || start <= self.head_start || self.rank == STEP {
            return Ok(());
        }
        let mut top = (start, row);
        if let (Some(task_id), AGENT) = (task_id, self.rank) {
            let mut up = db.prepare_cached(
                "SELECT u.id, u.start, u.attributes FROM _span s JOIN _span u INDEXED BY _span_hex
                 ON u.span_hex = printf('%016x', s.parent) AND u.trace = s.trace WHERE s.id = ?1 AND s.trace = ?2 LIMIT 1",
            )?;
            let mut at = row;
            for _ in 0..MAX_DEPTH {
                let above: Option<(i64, i64, String)> = up
                    .query_row([at, trace], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))
                    .optional()?;
                let Some((above, start, attributes)) = above else {
                    break;
                };
                if task_in(&attributes).as_deref() == Some(task_id) {
                    top = (start, above);
                }
                at = above;
            }
        }
        if top.0 > self.head_start {
            (self.head_start, self.head) = top;
        }
        Ok(())
    }
}

/// The runs that a batch changes.
#[derive(Debug, Default)]
pub(crate) struct Runs {
    /// By the row of the trace and the task id, if there is one.
    changed: HashMap<(i64, Option<String>), Run>,
    roots: HashSet<i64>,
}

impl Runs {
    pub(crate) fn note(&mut self, trace: i64, found: Found) {
        let (task_id, run) = Run::new(found);
        match self.changed.entry((trace, task_id)) {
            std::collections::hash_map::Entry::Occupied(mut known) => known.get_mut().add(run),
            std::collections::hash_map::Entry::Vacant(new) => {
                new.insert(run);
            }
        }
    }

    pub(crate) fn note_root(&mut self, trace: i64) {
        self.roots.insert(trace);
    }

    /// Writes the rows. Spans and traces must be written before.
    pub(crate) fn write(self, db: &Connection) -> rusqlite::Result<()> {
        let mut traces = self.roots;
        for ((trace, task_id), run) in self.changed {
            write(db, trace, task_id.as_deref(), run)?;
            traces.insert(trace);
        }
        for trace in traces {
            look_at_heads(db, trace)?;
        }
        Ok(())
    }
}

fn write(db: &Connection, trace: i64, task_id: Option<&str>, mut run: Run) -> rusqlite::Result<()> {
    let known = db
        .prepare_cached(
            "SELECT id, agent_id, session_id, user_id, trace_level, rank, head, head_start, start FROM _run
             WHERE trace = ?1 AND said = (?2 IS NOT NULL) AND (?2 IS NULL OR task_id = ?2)",
        )?
        .query_row(params![trace, task_id], |row| {
            let known = Run {
                agent_id: row.get(1)?,
                session_id: row.get(2)?,
                user_id: row.get(3)?,
                trace_level: row.get(4)?,
                rank: row.get(5)?,
                head: row.get(6)?,
                head_start: row.get(7)?,
                start: row.get(8)?,
                last: (row.get(7)?, row.get(6)?),
            };
            Ok((row.get::<_, i64>(0)?, known))
        })
        .optional()?;
    if let Some((id, mut known)) = known {
        known.add(run);
        known.take_last_attempt(db, trace, task_id)?;
        db.prepare_cached(
            "UPDATE _run SET agent_id = ?2, session_id = ?3, user_id = ?4, trace_level = ?5, rank = ?6, head = ?7,
             head_start = ?8, start = ?9 WHERE id = ?1",
        )?
        .execute(params![
            id,
            without_nul(&known.agent_id),
            without_nul(&known.session_id),
            without_nul(&known.user_id),
            known.trace_level,
            known.rank,
            known.head,
            known.head_start,
            known.start
        ])?;
        return Ok(());
    }
    let Some((trace_id, tenant, start)) = db
        .prepare_cached("SELECT trace_id, tenant, start FROM _trace WHERE id = ?1")?
        .query_row([trace], |row| {
            Ok((
                row.get::<_, String>(0)?,
                row.get::<_, i64>(1)?,
                row.get::<_, i64>(2)?,
            ))
        })
        .optional()?
    else {
        return Ok(());
    };
    if task_id.is_none() {
        run.start = run.start.min(start);
    }
    run.take_last_attempt(db, trace, task_id)?;
    let said: i64 = db
        .prepare_cached("SELECT COUNT(*) FROM _run WHERE trace = ?1 AND said = 1")?
        .query_row([trace], |row| row.get(0))?;
    if task_id.is_some() && said >= MAX_TASKS {
        return Ok(());
    }
    db.prepare_cached(
        "INSERT INTO _run (trace, task_id, said, tenant, start, agent_id, session_id, user_id, trace_level, rank, head, head_start,
             state, hidden, shared)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, 0, ?13, ?14)",
    )?
    .execute(params![
        trace,
        without_nul(task_id.unwrap_or(&trace_id)),
        task_id.is_some(),
        tenant,
        run.start,
        without_nul(&run.agent_id),
        without_nul(&run.session_id),
        without_nul(&run.user_id),
        run.trace_level,
        run.rank,
        run.head,
        run.head_start,
        task_id.is_none() && said > 0,
        task_id.is_some() && said > 0,
    ])?;
    let row = db.last_insert_rowid();
    if let Some(task_id) = task_id {
        // With more than one task, the rows are already marked.
        if said == 0 {
            db.prepare_cached("UPDATE _run SET hidden = 1 WHERE trace = ?1 AND said = 0")?
                .execute([trace])?;
        } else if said == 1 {
            db.prepare_cached("UPDATE _run SET shared = 1 WHERE trace = ?1 AND said = 1")?
                .execute([trace])?;
        }
        note_parts(db, row, task_id, tenant)?;
    }
    Ok(())
}

/// Marks runs of the same task in several traces, which are one run. Once both of the first two are
/// marked, a further one needs to read only one other.
fn note_parts(db: &Connection, row: i64, task_id: &str, tenant: i64) -> rusqlite::Result<()> {
    let other: Option<i64> = db
        .prepare_cached(
            "SELECT id FROM _run WHERE task_id = ?1 AND tenant = ?2 AND id <> ?3 AND said = 1 ORDER BY id DESC LIMIT 1",
        )?
        .query_row(params![task_id, tenant, row], |row| row.get(0))
        .optional()?;
    if let Some(other) = other {
        db.prepare_cached("UPDATE _run SET parts = 1 WHERE id IN (?1, ?2) AND parts = 0")?
            .execute([row, other])?;
        // The newest part represents the task in lists, with the others' attributes.
        db.prepare_cached(
            "UPDATE _run SET agent_id = COALESCE(NULLIF(_run.agent_id, ''), o.agent_id),
                 session_id = COALESCE(NULLIF(_run.session_id, ''), o.session_id),
                 user_id = COALESCE(NULLIF(_run.user_id, ''), o.user_id)
             FROM (SELECT agent_id, session_id, user_id FROM _run WHERE id = ?2) o WHERE _run.id = ?1",
        )?
        .execute([row.max(other), row.min(other)])?;
    }
    Ok(())
}

/// Assigns the runs of a trace to the trace's new tenant.
pub(super) fn hand_over(db: &Connection, trace: i64) -> rusqlite::Result<()> {
    let changed = db
        .prepare_cached(
            "UPDATE _run SET tenant = (SELECT tenant FROM _trace WHERE id = ?1) WHERE trace = ?1
             AND tenant <> (SELECT tenant FROM _trace WHERE id = ?1)",
        )?
        .execute([trace])?;
    if changed == 0 {
        return Ok(());
    }
    let mut find = db.prepare_cached("SELECT id, task_id, tenant FROM _run WHERE trace = ?1 AND said = 1")?;
    let said: Vec<(i64, String, i64)> = find
        .query_map([trace], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))?
        .collect::<rusqlite::Result<_>>()?;
    for (row, task_id, tenant) in said {
        note_parts(db, row, &task_id, tenant)?;
    }
    Ok(())
}

/// Updates the status of a trace's runs from their heads, the spans that name them. The trace's
/// root is the head of the run with the trace's id.
fn look_at_heads(db: &Connection, trace: i64) -> rusqlite::Result<()> {
    db.prepare_cached(
        "UPDATE _run SET head = t.root, head_start = t.root_start, start = MIN(_run.start, t.root_start)
         FROM _trace t WHERE t.id = ?1 AND t.root IS NOT NULL AND _run.trace = ?1 AND _run.said = 0
         AND _run.rank < 2",
    )?
    .execute([trace])?;
    db.prepare_cached(
        "UPDATE _run SET state = CASE WHEN s.duration IS NULL THEN 0 WHEN s.status = 1 THEN 2 ELSE 1 END
         FROM _span s WHERE s.id = _run.head AND _run.trace = ?1",
    )?
    .execute([trace])?;
    Ok(())
}

/// Finds the runs of a trace again, from all of its spans.
pub(crate) fn find_again(db: &Connection, trace: i64) -> rusqlite::Result<()> {
    db.prepare_cached("DELETE FROM _run WHERE trace = ?1")?
        .execute([trace])?;
    let mut runs = Runs::default();
    let mut find =
        db.prepare_cached("SELECT id, start, parent IS NOT NULL, attributes FROM _span WHERE trace = ?1")?;
    let mut rows = find.query([trace])?;
    while let Some(row) = rows.next()? {
        let Some(facts) = row.get_ref(3)?.as_str_or_null()?.and_then(facts_in) else {
            continue;
        };
        let found = Found {
            facts,
            row: row.get(0)?,
            start: row.get(1)?,
            has_parent: row.get(2)?,
        };
        runs.note(trace, found);
    }
    runs.write(db)
}

/// Finds the runs of all traces, in a file of a version without a list of them.
pub(crate) fn find_all(db: &Connection) -> rusqlite::Result<()> {
    let mut traces = db.prepare("SELECT id FROM _trace")?;
    let mut rows = traces.query([])?;
    while let Some(row) = rows.next()? {
        find_again(db, row.get(0)?)?;
    }
    Ok(())
}

/// Returns the task id in a span's attributes, which are JSON text.
pub(crate) fn task_in(attributes: &str) -> Option<String> {
    facts_in(attributes)?.task_id
}

/// Returns the run attributes in a span's attributes, which are JSON text.
fn facts_in(attributes: &str) -> Option<RunAttributes> {
    facts_of_attributes(&serde_json::from_str(attributes).ok()?)
}

/// Returns the run attributes of a span with these attributes.
pub(crate) fn facts_of_attributes(attributes: &Attributes) -> Option<RunAttributes> {
    if !attributes.iter().any(|(key, _)| is_run_attribute(key)) {
        return None;
    }
    run_attributes(attributes.raw())
}
