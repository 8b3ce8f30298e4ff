//! What a question may read: whose records, and how much of them. Every question that reads rows takes one, so that none
//! forgets to.

use rusqlite::{Connection, OptionalExtension};
use spanscope_model::{StoreError, StoreErrorKind, Tenant};

use super::builder::Sql;
use crate::file::schema;

/// What may be read.
#[derive(Debug, Clone, Copy)]
pub(super) struct Scope {
    /// The row of the only tenant; none means everything.
    only: Option<i64>,
    max_answer_bytes: usize,
}

/// The row of a tenant of whom nothing is stored.
const NOBODY: i64 = -1;

impl Scope {
    /// What a tenant may read; none means whoever may read everything.
    pub(super) fn of(
        db: &Connection,
        tenant: Option<&Tenant>,
        max_answer_bytes: usize,
    ) -> rusqlite::Result<Self> {
        let all = Self {
            only: None,
            max_answer_bytes,
        };
        let Some(tenant) = tenant else {
            return Ok(all);
        };
        let row = if schema::has_tenants(db)? {
            db.prepare_cached("SELECT id FROM _tenant WHERE name = ?1")?
                .query_row([tenant.as_str()], |row| row.get(0))
                .optional()?
        } else if tenant.as_str() == Tenant::DEFAULT {
            return Ok(all);
        } else {
            None
        };
        Ok(Self {
            only: Some(row.unwrap_or(NOBODY)),
            ..all
        })
    }

    pub(super) fn is_all(self) -> bool {
        self.only.is_none()
    }

    /// Of rows `t` of `_trace`.
    pub(super) fn of_traces(self) -> Sql {
        self.only(" AND t.tenant = ")
    }

    /// Of rows `r` of `_run`.
    pub(super) fn of_runs(self) -> Sql {
        self.only(" AND r.tenant = ")
    }

    /// Of rows `s` of `_span`.
    pub(super) fn of_spans(self) -> Sql {
        self.only(" AND (SELECT tenant FROM _trace WHERE id = s.trace) = ")
    }

    /// Of rows `e` of `_event`: an event outside of every trace is of whoever sent it.
    pub(super) fn of_events(self) -> Sql {
        self.only(
            " AND COALESCE((SELECT tenant FROM _trace WHERE id = e.trace), \
             (SELECT tenant FROM _process WHERE id = e.process), 0) = ",
        )
    }

    /// Of rows `p` of `_process`.
    pub(super) fn of_processes(self) -> Sql {
        self.only(" AND p.tenant = ")
    }

    /// Of rows `m` of `_metric`.
    pub(super) fn of_metrics(self) -> Sql {
        self.only(" AND m.tenant = ")
    }

    fn only(self, is: &'static str) -> Sql {
        match self.only {
            None => Sql::default(),
            Some(tenant) => Sql::new(is).bind(tenant),
        }
    }

    /// Room for one answer.
    pub(super) fn room(self) -> Room {
        Room::new(self.max_answer_bytes)
    }
}

/// How much more an answer may hold.
#[derive(Debug)]
pub(super) struct Room {
    left: usize,
    of: usize,
}

impl Room {
    pub(super) fn new(bytes: usize) -> Self {
        Self {
            left: bytes,
            of: bytes,
        }
    }

    /// Takes what a part of the answer needs, about.
    pub(super) fn take(&mut self, bytes: usize) -> Result<(), StoreError> {
        match self.left.checked_sub(bytes) {
            Some(left) => {
                self.left = left;
                Ok(())
            }
            None => Err(StoreError::new(
                StoreErrorKind::AnswerTooLarge,
                format!(
                    "the answer would be larger than {} MiB: ask for less, with conditions, a limit, a depth or a shorter time",
                    self.of >> 20
                ),
            )),
        }
    }
}
