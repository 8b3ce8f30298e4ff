//! Rows of `_run`: the agent runs in a trace, updated while spans are written.
//!
//! A span with run attributes (`spanscope_runs::run_attributes`) is noted; when the batch is
//! flushed, the row of its run is created or changed. Traces without such spans cost nothing. If
//! several spans set an attribute, the span with the highest rank counts (a root, an agent, a
//! step), and of spans with equal ranks the earlier.
//!
//! The result does not depend on the order in which spans are stored. A row does not contain which
//! span each of its texts is from, so if a batch contradicts a row and the row's head does not
//! decide it, all spans of the trace are read again. Traces with more than [`MAX_READ`] spans are
//! not read again, so that the cost of a span has a bound.

use std::collections::{HashMap, HashSet};

use rusqlite::{Connection, OptionalExtension, params};
use spanscope_model::{Attributes, wire};
use spanscope_runs::{RunAttributes, RunDescription, RunRank, RunSource, is_run_attribute, run_attributes};

use super::text::without_nul;

/// Maximum number of runs with a task id in one trace, because a sender may send any number.
/// Further ones get no row.
const MAX_TASKS: i64 = 1000;
/// Maximum number of spans of a trace that are read again to find out what a run is called by.
const MAX_READ: i64 = 10_000;
/// An ancestor that is further above is not looked for.
const MAX_DEPTH: usize = 64;

/// The run attributes of a span.
#[derive(Debug)]
pub(crate) struct Found {
    pub(crate) facts: RunAttributes,
    /// `_span.id`.
    pub(crate) row: i64,
    /// `_span.span_id`.
    pub(crate) key: i64,
    pub(crate) start: i64,
    pub(crate) has_parent: bool,
}

/// What spans say about a run; their rows are those of `_span`.
type Description = RunDescription<i64>;

impl Found {
    fn describe(self) -> (Option<String>, Description) {
        let rank = RunRank::of(&self.facts, self.has_parent);
        let mut facts = self.facts;
        let task_id = facts.task_id.take();
        let source = RunSource::new(rank, self.start, self.key.cast_unsigned(), self.row);
        (task_id, RunDescription::new(facts, source))
    }
}

/// Ranks as the file has them.
const RANKS: [(i64, RunRank); 3] = [(0, RunRank::Step), (1, RunRank::Agent), (2, RunRank::Root)];

fn rank_of(number: i64) -> RunRank {
    let found = RANKS.iter().find(|(of, _)| *of == number);
    found.map_or(RunRank::Step, |(_, rank)| *rank)
}

fn number_of(rank: RunRank) -> i64 {
    let found = RANKS.iter().find(|(_, of)| *of == rank);
    found.map_or(0, |(number, _)| *number)
}

/// A row of `_run`.
#[derive(Debug, Clone)]
struct Run {
    /// Agent, session, user, level.
    texts: [String; 4],
    /// The span that the run is called by. Its rank is that of the spans which describe the run.
    head: RunSource<i64>,
    start: i64,
}

impl Run {
    /// The run of these spans alone.
    fn of(db: &Connection, trace: i64, task_id: Option<&str>, spans: &Description) -> rusqlite::Result<Self> {
        let texts = [
            spans.agent_id(),
            spans.session_id(),
            spans.user_id(),
            spans.trace_level(),
        ];
        Ok(Self {
            texts: texts.map(str::to_owned),
            head: last_attempt(db, trace, task_id, spans)?,
            start: spans.start(),
        })
    }

    /// Adds what other spans say; returns `None` if the row does not have enough to decide it.
    fn with(
        &self,
        db: &Connection,
        trace: i64,
        task_id: Option<&str>,
        spans: &Description,
    ) -> rusqlite::Result<Option<Self>> {
        let mut run = self.clone();
        run.start = run.start.min(spans.start());
        let mut of_head = None;
        for (place, new) in spans.texts().into_iter().enumerate() {
            let known = &self.texts[place];
            let Some((source, text)) = new else { continue };
            let text = without_nul(text);
            if text == known.as_str() {
                continue;
            }
            if known.is_empty() || source.rank > self.head.rank {
                run.texts[place] = text.into_owned();
                continue;
            }
            // What the head says itself is not taken back by a span that comes after it.
            if of_head.is_none() {
                of_head = Some(texts_of(db, self.head.row)?);
            }
            let is_of_head = of_head.as_ref().is_some_and(|texts| texts[place] == *known);
            let comes_after = source.row != self.head.row && self.head.precedence(&source).is_lt();
            if !(is_of_head && comes_after) {
                return Ok(None);
            }
        }
        let Some(head) = self.head_with(db, trace, task_id, spans)? else {
            return Ok(None);
        };
        run.head = head;
        Ok(Some(run))
    }

    /// The head after these spans are added; `None` if the row does not decide it.
    fn head_with(
        &self,
        db: &Connection,
        trace: i64,
        task_id: Option<&str>,
        spans: &Description,
    ) -> rusqlite::Result<Option<RunSource<i64>>> {
        let (known, first, last) = (self.head, spans.first(), spans.last());
        if first.rank > known.rank {
            return last_attempt(db, trace, task_id, spans).map(Some);
        }
        let is_same = first.row == known.row && last.row == known.row;
        if first.rank < known.rank || is_same {
            return Ok(Some(known));
        }
        match (first.rank, task_id) {
            (RunRank::Step, _) => Ok(Some(match first.precedence(&known).is_lt() {
                true => first,
                false => known,
            })),
            (RunRank::Agent, Some(task_id)) => {
                // A later span that is not below the head may belong to a new attempt, or to one
                // that began with a span which started even later.
                let is_later = last.start >= known.start && last.row != known.row;
                let is_below = |span: &RunSource<i64>| span.row == known.row;
                if is_later && !above(db, trace, last.row, task_id)?.iter().any(is_below) {
                    return Ok(None);
                }
                Ok(Some(top(known, &above(db, trace, known.row, task_id)?)))
            }
            _ if last.row == known.row => Ok(Some(known)),
            _ if last.start == known.start => Ok(None),
            _ => Ok(Some(match last.is_later(&known) {
                true => last,
                false => known,
            })),
        }
    }

    /// The run of all stored spans; `None` if the trace has too many.
    fn read_again(db: &Connection, trace: i64, task_id: Option<&str>) -> rusqlite::Result<Option<Self>> {
        let spans: i64 = db
            .prepare_cached("SELECT COUNT(*) FROM (SELECT 1 FROM _span WHERE trace = ?1 LIMIT ?2)")?
            .query_row([trace, MAX_READ + 1], |row| row.get(0))?;
        if spans > MAX_READ {
            return Ok(None);
        }
        let mut found: Option<Description> = None;
        each_found(db, trace, |span| {
            let (task, described) = span.describe();
            if task.as_deref() == task_id {
                match &mut found {
                    Some(found) => found.add(described),
                    None => found = Some(described),
                }
            }
        })?;
        match found {
            Some(found) => Self::of(db, trace, task_id, &found).map(Some),
            None => Ok(None),
        }
    }

    /// Adds what other spans say to a row that does not decide it, of a trace that is not read
    /// again: the row's texts stay, and the last of the given spans may be a new attempt.
    fn with_later(
        &self,
        db: &Connection,
        trace: i64,
        task_id: Option<&str>,
        spans: &Description,
    ) -> rusqlite::Result<Self> {
        let mut run = Self::of(db, trace, task_id, spans)?;
        run.start = run.start.min(self.start);
        let is_higher = spans.first().rank > self.head.rank;
        for (text, known) in run.texts.iter_mut().zip(&self.texts) {
            if !known.is_empty() && (!is_higher || text.is_empty()) {
                text.clone_from(known);
            }
        }
        if !is_higher {
            let is_later = spans.first().rank == self.head.rank && run.head.is_later(&self.head);
            if !is_later {
                run.head = self.head;
            }
        }
        Ok(run)
    }
}

/// A run has the name and the outcome of its last attempt: the topmost span of its task at or above
/// the one that started last.
fn last_attempt(
    db: &Connection,
    trace: i64,
    task_id: Option<&str>,
    spans: &Description,
) -> rusqlite::Result<RunSource<i64>> {
    let (first, last) = (spans.first(), spans.last());
    if last.row == first.row || last.start <= first.start || first.rank == RunRank::Step {
        return Ok(first);
    }
    let top = match (task_id, first.rank) {
        (Some(task_id), RunRank::Agent) => top(last, &above(db, trace, last.row, task_id)?),
        _ => last,
    };
    Ok(match top.start > first.start {
        true => top,
        false => first,
    })
}

/// The topmost of a span and those of its task above it.
fn top(span: RunSource<i64>, above: &[RunSource<i64>]) -> RunSource<i64> {
    above.last().copied().unwrap_or(span)
}

/// The stored spans of a task above a span, from the nearest to the topmost.
fn above(db: &Connection, trace: i64, row: i64, task_id: &str) -> rusqlite::Result<Vec<RunSource<i64>>> {
    let mut up = db.prepare_cached(
        "SELECT u.id, u.start, u.attributes, u.span_id FROM _span s JOIN _span u INDEXED BY _span_hex
         ON u.span_hex = printf('%016x', s.parent) AND u.trace = s.trace WHERE s.id = ?1 AND s.trace = ?2 LIMIT 1",
    )?;
    let mut found = Vec::new();
    let mut at = row;
    for _ in 0..MAX_DEPTH {
        let above: Option<(i64, i64, String, i64)> = up
            .query_row([at, trace], |row| {
                Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?))
            })
            .optional()?;
        let Some((above, start, attributes, key)) = above else {
            break;
        };
        if task_in(&attributes).as_deref() == Some(task_id) {
            found.push(RunSource::new(RunRank::Agent, start, key.cast_unsigned(), above));
        }
        at = above;
    }
    Ok(found)
}

/// What one span says itself: agent, session, user, level.
fn texts_of(db: &Connection, row: i64) -> rusqlite::Result<[String; 4]> {
    let attributes: Option<String> = db
        .prepare_cached("SELECT attributes FROM _span WHERE id = ?1")?
        .query_row([row], |row| row.get(0))
        .optional()?
        .flatten();
    let facts = attributes.as_deref().and_then(facts_in).unwrap_or_default();
    let texts = [facts.agent_id, facts.session_id, facts.user_id, facts.trace_level];
    Ok(texts.map(|text| without_nul(&text.unwrap_or_default()).into_owned()))
}

/// The runs that a batch changes.
#[derive(Debug, Default)]
pub(crate) struct Runs {
    /// By the row of the trace and the task id, if there is one.
    changed: HashMap<(i64, Option<String>), Description>,
    roots: HashSet<i64>,
    /// Stored traces with new spans that say nothing about runs.
    ancestors: HashSet<i64>,
}

impl Runs {
    pub(crate) fn note(&mut self, trace: i64, found: Found) {
        let (task_id, run) = found.describe();
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

    pub(crate) fn note_ancestor(&mut self, trace: i64) {
        self.ancestors.insert(trace);
    }

    /// Writes the rows. Spans and traces must be written before.
    pub(crate) fn write(self, db: &Connection) -> rusqlite::Result<()> {
        let mut traces = self.roots;
        for ((trace, task_id), run) in self.changed {
            write(db, trace, task_id.as_deref(), &run)?;
            traces.insert(trace);
        }
        for trace in self.ancestors {
            if look_above_heads(db, trace)? {
                traces.insert(trace);
            }
        }
        for trace in traces {
            look_at_heads(db, trace)?;
        }
        Ok(())
    }
}

fn write(db: &Connection, trace: i64, task_id: Option<&str>, spans: &Description) -> rusqlite::Result<()> {
    let known = db
        .prepare_cached(
            "SELECT r.id, r.agent_id, r.session_id, r.user_id, r.trace_level, r.rank, r.head, r.head_start, r.start,
             (SELECT span_id FROM _span WHERE id = r.head) FROM _run r
             WHERE r.trace = ?1 AND r.said = (?2 IS NOT NULL) AND (?2 IS NULL OR r.task_id = ?2)",
        )?
        .query_row(params![trace, task_id], |row| {
            let key: Option<i64> = row.get(9)?;
            let key = key.unwrap_or_default().cast_unsigned();
            let run = Run {
                texts: [row.get(1)?, row.get(2)?, row.get(3)?, row.get(4)?],
                head: RunSource::new(rank_of(row.get(5)?), row.get(7)?, key, row.get(6)?),
                start: row.get(8)?,
            };
            Ok((row.get::<_, i64>(0)?, run))
        })
        .optional()?;
    if let Some((id, known)) = known {
        let mut run = match known.with(db, trace, task_id, spans)? {
            Some(run) => run,
            None => match Run::read_again(db, trace, task_id)? {
                Some(run) => run,
                None => known.with_later(db, trace, task_id, spans)?,
            },
        };
        // A run of a trace begins with the trace, which may be earlier.
        run.start = run.start.min(known.start);
        db.prepare_cached(
            "UPDATE _run SET agent_id = ?2, session_id = ?3, user_id = ?4, trace_level = ?5, rank = ?6, head = ?7,
             head_start = ?8, start = ?9 WHERE id = ?1",
        )?
        .execute(params![
            id,
            without_nul(&run.texts[0]),
            without_nul(&run.texts[1]),
            without_nul(&run.texts[2]),
            run.texts[3],
            number_of(run.head.rank),
            run.head.row,
            run.head.start,
            run.start
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
    let mut run = Run::of(db, trace, task_id, spans)?;
    if task_id.is_none() {
        run.start = run.start.min(start);
    }
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
        without_nul(&run.texts[0]),
        without_nul(&run.texts[1]),
        without_nul(&run.texts[2]),
        run.texts[3],
        number_of(run.head.rank),
        run.head.row,
        run.head.start,
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

/// Looks for spans of the same task above the heads of a trace's runs: a span between them that
/// names no task was stored last. Returns whether a head has changed.
fn look_above_heads(db: &Connection, trace: i64) -> rusqlite::Result<bool> {
    let mut find = db.prepare_cached(
        "SELECT r.id, r.task_id, r.head, r.head_start FROM _run r WHERE r.trace = ?1 AND r.said = 1 AND r.rank = 1",
    )?;
    let runs: Vec<(i64, String, i64, i64)> = find
        .query_map([trace], |row| {
            Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?))
        })?
        .collect::<rusqlite::Result<_>>()?;
    let mut has_changed = false;
    for (run, task_id, head, start) in runs {
        let head = RunSource::new(RunRank::Agent, start, 0, head);
        let top = top(head, &above(db, trace, head.row, &task_id)?);
        if top.row != head.row {
            has_changed = true;
            db.prepare_cached("UPDATE _run SET head = ?2, head_start = ?3 WHERE id = ?1")?
                .execute([run, top.row, top.start])?;
        }
    }
    Ok(has_changed)
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

/// Passes each stored span of a trace that says something about a run to `each`.
fn each_found(db: &Connection, trace: i64, mut each: impl FnMut(Found)) -> rusqlite::Result<()> {
    let mut find = db.prepare_cached(
        "SELECT id, start, parent IS NOT NULL, attributes, span_id FROM _span WHERE trace = ?1",
    )?;
    let mut rows = find.query([trace])?;
    while let Some(row) = rows.next()? {
        let Some(text) = row.get_ref(3)?.as_str_or_null()? else {
            continue;
        };
        let Ok(attributes) = serde_json::from_str::<Attributes>(text) else {
            continue;
        };
        let Some(facts) = facts_of_attributes(&attributes) else {
            continue;
        };
        let has_parent: bool = row.get(2)?;
        each(Found {
            facts,
            row: row.get(0)?,
            key: row.get(4)?,
            start: row.get(1)?,
            // A span that was read from a program's log is no root.
            has_parent: has_parent || attributes.get(wire::READ_FROM).is_some(),
        });
    }
    Ok(())
}

/// Finds the runs of a trace again, from all of its spans.
pub(crate) fn find_again(db: &Connection, trace: i64) -> rusqlite::Result<()> {
    db.prepare_cached("DELETE FROM _run WHERE trace = ?1")?
        .execute([trace])?;
    let mut runs = Runs::default();
    each_found(db, trace, |found| runs.note(trace, found))?;
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
