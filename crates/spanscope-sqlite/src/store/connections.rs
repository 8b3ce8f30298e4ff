//! The file behind a store: its connections, and questions that take more than one transaction.

use std::path::{Path, PathBuf};
use std::sync::Mutex;

use rusqlite::Connection;
use spanscope_core::sync::lock;
use spanscope_model::{
    NameStats, Span, SpanFilter, StoreError, Tenant, Timestamp, TraceFilter, TraceSummary,
};

use super::scan::{self, Pieces};
use super::scope::Scope;
use super::turn::Turn;
use super::{Failure, matches, spans, stats, traces, tree};
use crate::file::identity::{self, LogId};
use crate::file::open::{open_reader, sql_error};
use crate::file::unwritable::Reader;

/// Connections that are kept open between questions.
const KEPT_CONNECTIONS: usize = 6;
/// Chosen traces whose spans are read in one transaction.
const TRACES_AT_ONCE: usize = 64;

/// Who asks: one tenant or everybody, and how much they are answered at once.
#[derive(Debug, Clone)]
pub(super) struct QueryContext {
    pub(super) tenant: Option<Tenant>,
    pub(super) max_answer_bytes: usize,
}

/// The file and its idle connections.
#[derive(Debug)]
pub(super) struct File {
    pub(super) path: PathBuf,
    pub(super) idle: Mutex<Vec<(FileId, Connection)>>,
}

/// Tells a file and its log from others that were put in their place under the same names: a file
/// that was opened with the log of another one is read wrongly.
pub(super) type FileId = (Option<identity::FileId>, LogId);

/// Of a connection that is not used again.
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
        // One that does not see what is written next answers one question and is no file's afterwards.
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

    /// Asks within one read transaction, which lasts no longer than the turn gives it.
    pub(super) fn read<T>(
        &self,
        turn: &Turn,
        context: &QueryContext,
        question: impl FnOnce(&Connection, Scope) -> Result<T, Failure>,
    ) -> Result<T, StoreError> {
        turn.check()?;
        let (id, mut db) = self.connection()?;
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
                None => Err(failure.of(&self.path)),
            },
        };
        drop(watched);
        // After a failure the connection may be what failed.
        let may_be_broken = answer
            .as_ref()
            .is_err_and(|error| !error.is_not_found() && !error.is_invalid_input());
        if !may_be_broken {
            self.give_back((id, db));
        }
        answer
    }

    /// Asks about two halves of the spans at the same time, on a connection each.
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
                self.read(turn, context, |db, scope| {
                    durations.read(db, scope, (first, last), (since, until))
                })
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
        // Where no second thread was to be had, this one does both halves.
        let lower = lower.unwrap_or_else(|| half(first, middle))?;
        let parts = vec![lower, upper?];
        self.read(turn, context, |db, _| stats::Durations::finish(db, parts))
    }

    /// Lists traces; what has to look at all spans does so in pieces.
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

    /// The traces with a span that meets the filter's conditions, in a turn that reads in pieces; none
    /// where one statement may find them.
    fn matching_traces(
        &self,
        turn: &Turn,
        context: &QueryContext,
        filter: &TraceFilter,
    ) -> Result<Option<Vec<i64>>, StoreError> {
        let asked = traces::asked_of(filter);
        if asked.is_empty() || !turn.is_long() {
            return Ok(None);
        }
        let ends = self.read(turn, context, |db, _| scan::ends(db, filter.since))?;
        let mut found = Vec::new();
        Pieces::new(ends.0, ends.1).each(turn, |first, last| {
            self.read(turn, context, |db, scope| {
                scan::traces(db, scope, asked, (first, last), &mut found)
            })
        })?;
        found.sort_unstable();
        found.dedup();
        Ok(Some(found))
    }

    /// Lists spans; what has to look at all of them does so in pieces.
    pub(super) fn list_spans(
        &self,
        turn: &Turn,
        context: &QueryContext,
        filter: &SpanFilter,
    ) -> Result<Vec<Span>, StoreError> {
        let asked = scan::asked_of(filter);
        if asked.is_empty() || !turn.is_long() {
            return self.read(turn, context, |db, scope| spans::list(db, scope, filter, None));
        }
        let ends = self.read(turn, context, |db, _| scan::ends(db, filter.since))?;
        let mut found = Vec::new();
        // Without an order the spans that were stored last come first, and a page of them may be near.
        // Other filters may still take some of it away.
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

    /// Gives the spans of all chosen traces to `each`, some traces at a time.
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
    let scope = Scope::of(&transaction, context.tenant.as_ref(), context.max_answer_bytes)?;
    let answer = question(&transaction, scope)?;
    transaction.finish()?;
    Ok(answer)
}
