//! [`Reader`]: what one caller may see of a store, and the times in which it is looked for.
//!
//! Questions for the newest records never look at everything at once: windows go back from the
//! newest record, each four times as wide, until a page is full. That matters more than any index,
//! because the collector's tables are ordered by service and name.

use std::sync::Arc;

use spanscope_model::{StoreError, StoreErrorKind, Tenant, Timestamp, TraceId};

use crate::client::Client;
use crate::sql::Sql;
use crate::tables::{AttributeColumn, Tables};

const HOUR: i64 = 3_600_000_000_000;
/// The width of the first window.
const FIRST_WINDOW: i64 = HOUR / 2;
/// By how much each window is wider than the one before.
const GROWTH: i64 = 4;
/// How long before a window spans are looked at, so that the start of a trace that goes on in it is
/// known.
pub(crate) const MARGIN: i64 = HOUR;

#[derive(Debug, Clone)]
pub(crate) struct Reader {
    pub(crate) client: Arc<Client>,
    pub(crate) tables: Arc<Tables>,
    /// The tenant whose records are seen; `None`: those of all.
    pub(crate) tenant: Option<Tenant>,
}

/// A part of the time, from its beginning on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Window {
    /// `None`: from the first record on.
    pub(crate) from: Option<i64>,
    /// Nothing that is asked for is older.
    pub(crate) is_last: bool,
}

impl Reader {
    /// ` AND ...` over a row with this resource: the caller may see it.
    pub(crate) fn scope(&self, resource: &AttributeColumn) -> Sql {
        let Some(tenant) = &self.tenant else {
            return Sql::default();
        };
        let is_default = tenant.as_str() == Tenant::DEFAULT;
        match &self.client.address().tenant_attribute {
            // Without an attribute that names tenants, everything is the default tenant's.
            None if is_default => Sql::default(),
            None => Sql::new(" AND 0"),
            Some(key) if is_default => Sql::new(" AND ")
                .add(&resource.value(key))
                .push(" IN ('', ")
                .text(Tenant::DEFAULT)
                .push(")"),
            Some(key) => Sql::new(" AND ").add(&resource.is(key, tenant.as_str())),
        }
    }

    /// ` AND ...` over a span: the caller may see it.
    pub(crate) fn scope_of_spans(&self) -> Sql {
        self.scope(&self.tables.traces.resource)
    }

    /// Returns when the oldest and the newest span began; `None` without spans.
    pub(crate) fn extent(&self) -> Result<Option<(i64, i64)>, StoreError> {
        let sql = Sql::new(
            "SELECT count(), toUnixTimestamp64Nano(min(Timestamp)), toUnixTimestamp64Nano(max(Timestamp)) \
             FROM otel_traces",
        );
        let found: Option<(u64, i64, i64)> = self.client.row(&sql)?;
        Ok(found
            .filter(|(count, ..)| *count > 0)
            .map(|(_, oldest, newest)| (oldest, newest)))
    }

    /// Returns the windows back from the newest span, or from `until`, to `since`.
    pub(crate) fn windows(
        &self,
        since: Option<Timestamp>,
        until: Option<Timestamp>,
    ) -> Result<Vec<Window>, StoreError> {
        let Some((oldest, newest)) = self.extent()? else {
            return Ok(Vec::new());
        };
        let since = since.map(Timestamp::as_nanos);
        Ok(windows(oldest, newest, since, until.map(Timestamp::as_nanos)))
    }

    /// ` AND ...` over spans: they began in the time of these traces, where a table says when that
    /// was. Its times are whole seconds.
    pub(crate) fn in_time_of(&self, ids: &[TraceId]) -> Result<Sql, StoreError> {
        if !self.tables.traces.has_times {
            return Ok(Sql::default());
        }
        let sql = Sql::new(
            "SELECT uniqExact(TraceId), toInt64(toUnixTimestamp(min(Start))), toInt64(toUnixTimestamp(max(End))) \
             FROM otel_traces_trace_id_ts WHERE TraceId IN ",
        )
        .texts(ids.iter().map(TraceId::to_string));
        let found: Option<(u64, i64, i64)> = self.client.row(&sql)?;
        // A trace that is older than the table has no time in it.
        Ok(match found {
            Some((count, start, end)) if count == ids.len() as u64 => Sql::new(" AND Timestamp >= ")
                .time(seconds(start))
                .push(" AND Timestamp < ")
                .time(seconds(end.saturating_add(1))),
            _ => Sql::default(),
        })
    }

    /// An expression for the tenant that the resource of a span names. Two tenants may use one
    /// trace id, which are two traces for a caller that sees both.
    pub(crate) fn tenant_column(&self) -> Sql {
        match (self.tenant_key(), &self.tenant) {
            (Some(key), None) => self.tables.traces.resource.value(key),
            _ => Sql::new("''"),
        }
    }

    /// Returns the resource attribute that names the tenant of a record, if there is one.
    pub(crate) fn tenant_key(&self) -> Option<&str> {
        self.client.address().tenant_attribute.as_deref()
    }
}

pub(crate) fn seconds(seconds: i64) -> Timestamp {
    Timestamp::from_nanos(seconds.saturating_mul(1_000_000_000))
}

fn windows(oldest: i64, newest: i64, since: Option<i64>, until: Option<i64>) -> Vec<Window> {
    let upper = until.map_or(newest, |until| until.min(newest));
    let lower = since.map_or(oldest, |since| since.max(oldest));
    let mut windows = Vec::new();
    let mut width = FIRST_WINDOW;
    loop {
        let from = upper.saturating_sub(width);
        if from <= lower {
            windows.push(Window {
                from: since,
                is_last: true,
            });
            return windows;
        }
        windows.push(Window {
            from: Some(from),
            is_last: false,
        });
        width = width.saturating_mul(GROWTH);
    }
}

/// The error of a question whose candidates are too many to compare.
pub(crate) fn too_many() -> StoreError {
    StoreError::new(
        StoreErrorKind::QueryTooLarge,
        "the filter has to compare more records than one query may read: ask for a shorter time, by since and until",
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn windows_reach_from_the_newest_to_the_oldest() {
        let day = 24 * HOUR;
        let found = windows(0, 10 * day, None, None);
        assert_eq!(found[0].from, Some(10 * day - HOUR / 2));
        assert_eq!(found[1].from, Some(10 * day - 2 * HOUR));
        assert!(found.len() < 8);
        assert_eq!(
            found.last(),
            Some(&Window {
                from: None,
                is_last: true
            })
        );
        // A short time is one window.
        let since = 10 * day - HOUR / 4;
        assert_eq!(
            windows(0, 10 * day, Some(since), None),
            [Window {
                from: Some(since),
                is_last: true
            }]
        );
        let found = windows(0, 10 * day, Some(day), Some(2 * day));
        assert_eq!(found[0].from, Some(2 * day - HOUR / 2));
        assert_eq!(found.last().and_then(|window| window.from), Some(day));
    }
}
