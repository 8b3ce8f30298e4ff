//! The scope of a query: which tenant's records it may read, and how large its result may be. Every
//! query that reads rows takes one, so that no query forgets the tenant.

use rusqlite::{Connection, OptionalExtension};
use spanscope_model::{StoreError, StoreErrorKind, Tenant};

use super::builder::Sql;
use crate::file::schema;

/// The tenant whose records a query may read, and the size limit of its result.
#[derive(Debug, Clone, Copy)]
pub(super) struct Scope {
    /// The row of the tenant in `_tenant`; `None` means all tenants.
    only: Option<i64>,
    max_result_bytes: usize,
}

/// Stands for a tenant without stored records; no row has this id.
const NO_TENANT: i64 = -1;

impl Scope {
    /// Returns the scope of a tenant; `None` means all tenants.
    pub(super) fn of(
        db: &Connection,
        tenant: Option<&Tenant>,
        max_result_bytes: usize,
    ) -> rusqlite::Result<Self> {
        let all = Self {
            only: None,
            max_result_bytes,
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
            only: Some(row.unwrap_or(NO_TENANT)),
            ..all
        })
    }

    pub(super) fn is_all(self) -> bool {
        self.only.is_none()
    }

    /// Returns the condition on rows `t` of `_trace`.
    pub(super) fn of_traces(self) -> Sql {
        self.only(" AND t.tenant = ")
    }

    /// Returns the condition on rows `r` of `_run`.
    pub(super) fn of_runs(self) -> Sql {
        self.only(" AND r.tenant = ")
    }

    /// Returns the condition on rows `s` of `_span`.
    pub(super) fn of_spans(self) -> Sql {
        self.only(" AND (SELECT tenant FROM _trace WHERE id = s.trace) = ")
    }

    /// Returns the condition on rows `e` of `_event`. An event outside traces belongs to the tenant
    /// of its process.
    pub(super) fn of_events(self) -> Sql {
        self.only(
            " AND COALESCE((SELECT tenant FROM _trace WHERE id = e.trace), \
             (SELECT tenant FROM _process WHERE id = e.process), 0) = ",
        )
    }

    /// Returns the condition on rows `p` of `_process`.
    pub(super) fn of_processes(self) -> Sql {
        self.only(" AND p.tenant = ")
    }

    /// Returns the condition on rows `m` of `_metric`.
    pub(super) fn of_metrics(self) -> Sql {
        self.only(" AND m.tenant = ")
    }

    fn only(self, is: &'static str) -> Sql {
        match self.only {
            None => Sql::default(),
            Some(tenant) => Sql::new(is).bind(tenant),
        }
    }

    /// Returns the size limit of one result.
    pub(super) fn budget(self) -> ResultBudget {
        ResultBudget::new(self.max_result_bytes)
    }
}

/// The size limit of a result: how many bytes it may still grow by.
#[derive(Debug)]
pub(super) struct ResultBudget {
    remaining: usize,
    max: usize,
}

impl ResultBudget {
    pub(super) fn new(bytes: usize) -> Self {
        Self {
            remaining: bytes,
            max: bytes,
        }
    }

    /// Subtracts the approximate size of a part of the result. Fails if the result is too large.
    pub(super) fn take(&mut self, bytes: usize) -> Result<(), StoreError> {
        match self.remaining.checked_sub(bytes) {
            Some(remaining) => {
                self.remaining = remaining;
                Ok(())
            }
            None => Err(StoreError::new(
                StoreErrorKind::ResultTooLarge,
                format!(
                    "the result would be larger than {} MiB: request less, with conditions, a limit, a depth or a shorter time",
                    self.max >> 20
                ),
            )),
        }
    }
}
