//! The file behind a store: its connections, and queries that take more than one transaction.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use rusqlite::Connection;
use spanscope_core::sync::lock;
use spanscope_model::{
    DurationRank, Histogram, HistogramRange, LogEvent, LogFilter, NameStats, Span, SpanFilter, SpanId,
    StoreError, StoreErrorKind, Tenant, Timestamp, TraceFilter, TraceId, TraceShape, TraceSummary,
};

use super::scan::{self, Pieces};
use super::scope::Scope;
use super::turn::Turn;
use super::{Failure, histograms, logs, matches, neighbours, shape, spans, stats, traces, tree};
use crate::file::identity::{self, LogId};
use crate::file::open::{open_reader, sql_error};
use crate::file::unwritable::Reader;

/// Maximum number of connections that stay open between queries.
const KEPT_CONNECTIONS: usize = 6;
/// Number of selected traces whose spans are read in one transaction.
const TRACES_AT_ONCE: usize = 64;

/// The caller of a query: one tenant, or all tenants (`None`), and the size limit of one result.
#[derive(Debug, Clone)]
pub(super) struct QueryContext {
    pub(super) tenant: Option<Tenant>,
    pub(super) max_result_bytes: usize,
}

/// The file and its idle connections.
#[derive(Debug)]
pub(super) struct File {
    pub(super) path: PathBuf,
    pub(super) idle: Mutex<Vec<(FileId, Connection)>>,
    /// Set when a query finds damage; the writer of the file then checks it.
    pub(super) met_damage: Arc<AtomicBool>,
}

/// Identifies a file and its log, because another file may replace them under the same names: a
/// file that is opened with another file's log is read wrongly.
pub(super) type FileId = (Option<identity::FileId>, LogId);

/// The id for a connection that must not be reused.
const NO_FILE: FileId = (Some((u64::MAX, u64::MAX)), LogId::NONE);

pub(super) fn file_id(path: &Path) -> FileId {
    (identity::file_id(path), LogId::of(path))
}

impl File {
    pub(super) fn connection(&self) -> Result<(FileId, Connection), StoreError> {
        let id = file_id(&self.path);
        let mut idle = lock(&self.idle);
        idle.retain(|(of, _)| *of == id);
        if let Some(found) = idle.pop() {
            return Ok(found);
        }
        drop(idle);
        let Reader { db, is_frozen } = open_reader(&self.path)?;
        matches::register(&db).map_err(|error| sql_error(&self.path, error))?;
        // A connection that does not see later writes serves one query and is not pooled.
        Ok((if is_frozen { NO_FILE } else { id }, db))
    }

    pub(super) fn give_back(&self, connection: (FileId, Connection)) {
        if connection.0 == NO_FILE {
            return;
        }
        let mut idle = lock(&self.idle);
        if idle.len() < KEPT_CONNECTIONS {
            idle.push(connection);
        }
    }

    fn note_damage(&self, error: &StoreError) {
        if error.kind() == StoreErrorKind::Unusable {
            self.met_damage.store(true, Ordering::Relaxed);
        }
    }

    /// Runs a query within one read transaction, which lasts no longer than its turn allows.
    pub(super) fn read<T>(
        &self,
        turn: &Turn,
        context: &QueryContext,
        question: impl FnOnce(&Connection, Scope) -> Result<T, Failure>,
    ) -> Result<T, StoreError> {
        turn.check()?;
        let (id, mut db) = self.connection().inspect_err(|error| self.note_damage(error))?;
        let watched = turn
            .watch(&mut db)
            .map_err(|error| sql_error(&self.path, error))?;
        let answer = match ask(watched.db, context, question) {
            Ok(answer) => Ok(answer),
            Err(failure) => match watched.why_stopped() {
                Some(why) => {
                    drop(watched);
                    self.give_back((id, db));
                    return Err(why);
                }
                None => Err(failure.into_store_error(&self.path)),
            },
        };
        drop(watched);
        // After a failure the connection may be the cause.
        if let Err(error) = &answer {
            self.note_damage(error);
        }
        let may_be_broken = answer
            .as_ref()
            .is_err_and(|error| !error.is_not_found() && !error.is_invalid_input());
        if !may_be_broken {
            self.give_back((id, db));
        }
        answer
    }

    /// Queries two halves of the spans at the same time, on a connection each.
    pub(super) fn name_statistics(
        &self,
        turn: &Turn,
        context: &QueryContext,
        since: Option<Timestamp>,
        until: Option<Timestamp>,
    ) -> Result<Vec<NameStats>, StoreError> {
        let (first, middle, last) = self.read(turn, context, |db, _| stats::halves(db, since))?;
        let half = |first, last| {
            let mut durations = stats::Durations::default();
            Pieces::new(first, last).each(turn, |first, last| {
                // A piece that took too long is read again, and must not count twice.
                let mut piece = stats::Durations::default();
                self.read(turn, context, |db, scope| {
                    piece.read(db, scope, (first, last), (since, until))
                })?;
                durations.add(piece);
                Ok(())
            })?;
            Ok(durations)
        };
        let (lower, upper) = std::thread::scope(|scope| {
            let lower = std::thread::Builder::new()
                .name("spanscope-read".to_owned())
                .spawn_scoped(scope, || half(first, middle));
            let upper = half(middle.saturating_add(1), last);
            let lower = match lower {
                Ok(thread) => thread.join().ok(),
                Err(_) => None,
            };
            (lower, upper)
        });
        // If no second thread could be started, this one reads both halves.
        let lower = lower.unwrap_or_else(|| half(first, middle))?;
        let parts = vec![lower, upper?];
        self.read(turn, context, |db, _| stats::Durations::finish(db, parts))
    }

    /// Lists traces; a full scan is done in pieces.
    pub(super) fn list_traces(
        &self,
        turn: &Turn,
        context: &QueryContext,
        filter: &TraceFilter,
    ) -> Result<Vec<TraceSummary>, StoreError> {
        let found = self.matching_traces(turn, context, filter)?;
        self.read(turn, context, |db, scope| {
            traces::list(db, scope, filter, found.as_deref())
        })
    }

    /// Finds the traces with a span that meets the filter's conditions, in pieces. Returns `None`
    /// if there are no conditions, or if the turn is short and one statement finds them.
    fn matching_traces(
        &self,
        turn: &Turn,
        context: &QueryContext,
        filter: &TraceFilter,
    ) -> Result<Option<Vec<i64>>, StoreError> {
        let criteria = traces::criteria_of(filter);
        if criteria.is_empty() || !turn.is_long() {
            return Ok(None);
        }
        let ends = self.read(turn, context, |db, _| scan::ends(db, filter.since))?;
        let mut found = Vec::new();
        Pieces::new(ends.0, ends.1).each(turn, |first, last| {
            self.read(turn, context, |db, scope| {
                scan::traces(db, scope, criteria, (first, last), &mut found)
            })
        })?;
        found.sort_unstable();
        found.dedup();
        Ok(Some(found))
    }

    /// Lists spans; a full scan is done in pieces.
    pub(super) fn list_spans(
        &self,
        turn: &Turn,
        context: &QueryContext,
        filter: &SpanFilter,
    ) -> Result<Vec<Span>, StoreError> {
        let criteria = scan::criteria_of(filter);
        if criteria.is_empty() || !turn.is_long() {
            return self.read(turn, context, |db, scope| spans::list(db, scope, filter, None));
        }
        let ends = self.read(turn, context, |db, scope| {
            let (first, last) = scan::ends(db, filter.since)?;
            let Some((trace, span)) = filter.before else {
                return Ok((first, last));
            };
            let before = spans::row_index(db, scope, trace, span)?.unwrap_or(i64::MIN);
            Ok((first, last.min(before.saturating_sub(1))))
        })?;
        let mut found = Vec::new();
        // Without an order the last stored spans come first, so the scan ends once a page is full,
        // unless other filters may still remove some.
        let page = match filter.order_by.is_empty() && !filter.errors && filter.service.is_none() {
            true => usize::try_from(filter.limit.saturating_add(filter.offset)).unwrap_or(usize::MAX),
            false => usize::MAX,
        };
        Pieces::new(ends.0, ends.1).each_back(turn, |first, last| {
            self.read(turn, context, |db, scope| {
                scan::spans(db, scope, filter, (first, last), &mut found)
            })?;
            Ok(found.len() >= page)
        })?;
        self.read(turn, context, |db, scope| {
            spans::list(db, scope, filter, Some(&found))
        })
    }

    /// Lists events; a full scan is done in pieces, the newest first.
    pub(super) fn list_logs(
        &self,
        turn: &Turn,
        context: &QueryContext,
        filter: &LogFilter,
    ) -> Result<Vec<LogEvent>, StoreError> {
        if !turn.is_long() || logs::is_found_by_index(filter) {
            return self.read(turn, context, |db, scope| logs::list(db, scope, filter));
        }
        let (first, last) = self.read(turn, context, |db, _| logs::ends(db, filter))?;
        let mut chosen = logs::Chosen::new(filter.limit);
        Pieces::new(first, last).each_back(turn, |first, last| {
            self.read(turn, context, |db, scope| {
                chosen.add_piece(db, scope, filter, (first, last))
            })
        })?;
        self.read(turn, context, |db, scope| chosen.read(db, scope))
    }

    /// Counts traces over time; a full scan is done in pieces.
    pub(super) fn trace_histogram(
        &self,
        turn: &Turn,
        context: &QueryContext,
        filter: &TraceFilter,
        range: HistogramRange,
    ) -> Result<Histogram, StoreError> {
        let found = self.matching_traces(turn, context, filter)?;
        self.read(turn, context, |db, scope| {
            histograms::of_traces(db, scope, filter, found.as_deref(), range)
        })
    }

    /// Counts log events over time, in pieces.
    pub(super) fn log_histogram(
        &self,
        turn: &Turn,
        context: &QueryContext,
        filter: &LogFilter,
        range: HistogramRange,
    ) -> Result<Histogram, StoreError> {
        let filter = filter
            .clone()
            .since(filter.since.map_or(range.from, |since| since.max(range.from)))
            .until(filter.until.map_or(range.to, |until| until.min(range.to)));
        let mut counts = histograms::LogCounts::new(range);
        if !turn.is_long() || logs::is_found_by_index(&filter) {
            self.read(turn, context, |db, scope| {
                counts.add(&histograms::LogCounts::read(db, scope, &filter, range, None)?);
                Ok(())
            })?;
            return Ok(counts.finish());
        }
        let (first, last) = self.read(turn, context, |db, _| logs::ends(db, &filter))?;
        Pieces::new(first, last).each(turn, |first, last| {
            // A piece that took too long is read again, and must not count twice.
            let piece = self.read(turn, context, |db, scope| {
                histograms::LogCounts::read(db, scope, &filter, range, Some((first, last)))
            })?;
            counts.add(&piece);
            Ok(())
        })?;
        Ok(counts.finish())
    }

    /// Finds the spans that link to one, in pieces, the newest first.
    pub(super) fn spans_linking_to(
        &self,
        turn: &Turn,
        context: &QueryContext,
        to: (TraceId, SpanId),
        limit: u64,
    ) -> Result<Vec<Span>, StoreError> {
        let limit = usize::try_from(limit).unwrap_or(usize::MAX);
        let (first, last) = self.read(turn, context, |db, scope| neighbours::first_link(db, scope, to.0))?;
        let mut found = Vec::new();
        Pieces::new(first, last).each_back(turn, |first, last| {
            let piece = (first, last);
            found.extend(self.read(turn, context, |db, scope| {
                neighbours::linking(db, scope, to, piece)
            })?);
            Ok(found.len() >= limit)
        })?;
        found.truncate(limit);
        Ok(found)
    }

    /// Reads the shape of a trace, its spans in pieces: on a busy machine 100,000 of them may take
    /// longer than the limit of one transaction.
    pub(super) fn trace_shape(
        &self,
        turn: &Turn,
        context: &QueryContext,
        trace_id: TraceId,
        max_events: u64,
    ) -> Result<TraceShape, StoreError> {
        let mut shape = self.read(turn, context, |db, scope| shape::Spans::of(db, scope, trace_id))?;
        shape.pieces().each(turn, |first, last| {
            self.read(turn, context, |db, scope| shape.add(db, scope, (first, last)))
        })?;
        self.read(turn, context, |db, scope| shape.finish(db, scope, max_events))
    }

    /// Ranks a duration among those of the spans with one name, in pieces.
    pub(super) fn duration_rank(
        &self,
        turn: &Turn,
        context: &QueryContext,
        name: &str,
        since: Timestamp,
        nanos: u64,
    ) -> Result<DurationRank, StoreError> {
        let (first, _, last) = self.read(turn, context, |db, _| stats::halves(db, Some(since)))?;
        let mut rank = stats::Rank::default();
        Pieces::new(first, last).each(turn, |first, last| {
            let piece = self.read(turn, context, |db, scope| {
                stats::Rank::read(db, scope, name, (first, last), since, nanos)
            })?;
            rank.add(piece);
            Ok(())
        })?;
        Ok(rank.finish())
    }

    /// Passes the spans of all selected traces to `each`, [`TRACES_AT_ONCE`] traces at a time.
    pub(super) fn chosen_spans(
        &self,
        turn: &Turn,
        context: &QueryContext,
        filter: &TraceFilter,
        attributes: &[String],
        max_depth: Option<u32>,
        mut each: impl FnMut(Vec<Span>) -> Result<(), StoreError>,
    ) -> Result<(), StoreError> {
        let found = self.matching_traces(turn, context, filter)?;
        let traces = self.read(turn, context, |db, scope| {
            traces::rowids(db, scope, filter, found.as_deref())
        })?;
        for some in traces.chunks(TRACES_AT_ONCE) {
            each(self.read(turn, context, |db, scope| {
                let mut spans = Vec::new();
                for trace in some {
                    spans.extend(tree::of_trace(db, scope, *trace, attributes, max_depth)?);
                }
                Ok(spans)
            })?)?;
        }
        Ok(())
    }
}

fn ask<T>(
    db: &Connection,
    context: &QueryContext,
    question: impl FnOnce(&Connection, Scope) -> Result<T, Failure>,
) -> Result<T, Failure> {
    let transaction = db.unchecked_transaction()?;
    let scope = Scope::of(&transaction, context.tenant.as_ref(), context.max_result_bytes)?;
    let answer = question(&transaction, scope)?;
    transaction.finish()?;
    Ok(answer)
}
