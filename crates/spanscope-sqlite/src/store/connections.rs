//! The file behind a store: its connections, and questions that take more than one transaction.

use std::path::{Path, PathBuf};
use std::sync::Mutex;

use rusqlite::Connection;
use spanscope_core::sync::lock;
use spanscope_model::{Condition, NameStats, Span, StoreError, Tenant, Timestamp};

use super::scope::Scope;
use super::{Failure, conditions, stats, tree};
use crate::file::open::{open_read, sql_error};

/// Connections that are kept open between questions.
const KEPT_CONNECTIONS: usize = 4;
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

/// Tells a file from another one that was put in its place under the same name.
pub(super) type FileId = Option<(u64, u64)>;

pub(super) fn file_id(path: &Path) -> FileId {
    #[cfg(unix)]
    {
        use std::os::unix::fs::MetadataExt;
        std::fs::metadata(path).ok().map(|file| (file.dev(), file.ino()))
    }
    #[cfg(not(unix))]
    {
        let _ = path;
        None
    }
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
        let db = open_read(&self.path)?;
        conditions::register(&db).map_err(|error| sql_error(&self.path, error))?;
        Ok((id, db))
    }

    pub(super) fn give_back(&self, connection: (FileId, Connection)) {
        let mut idle = lock(&self.idle);
        if idle.len() < KEPT_CONNECTIONS {
            idle.push(connection);
        }
    }

    /// Asks within one read transaction.
    pub(super) fn read<T>(
        &self,
        context: &QueryContext,
        question: impl FnOnce(&Connection, Scope) -> Result<T, Failure>,
    ) -> Result<T, StoreError> {
        let (id, db) = self.connection()?;
        let answer = ask(&db, context, question).map_err(|failure| failure.of(&self.path));
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
        context: &QueryContext,
        since: Option<Timestamp>,
    ) -> Result<Vec<NameStats>, StoreError> {
        let (first, middle, last) = self.read(context, |db, _| stats::halves(db, since))?;
        let half = |first, last| {
            self.read(context, move |db, scope| {
                stats::Durations::read(db, scope, first, last, since)
            })
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
        self.read(context, |db, _| stats::Durations::finish(db, parts))
    }

    /// Gives the spans of all chosen traces to `each`, some traces at a time.
    pub(super) fn chosen_spans(
        &self,
        context: &QueryContext,
        conditions: Vec<Condition>,
        attributes: &[String],
        max_depth: Option<u32>,
        mut each: impl FnMut(Vec<Span>) -> Result<(), StoreError>,
    ) -> Result<(), StoreError> {
        let traces = self.read(context, |db, scope| tree::chosen(db, scope, conditions))?;
        for some in traces.chunks(TRACES_AT_ONCE) {
            each(self.read(context, |db, scope| {
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
