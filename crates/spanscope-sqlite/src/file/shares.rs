//! What tenants take of a file that is full: who has most gives up traces first, so that no tenant
//! can have another one's deleted by sending much.

use std::collections::HashMap;

use rusqlite::Connection;

/// Bytes of each tenant: of traces, of events and measurements outside of them, and of what describes senders and series.
#[derive(Debug)]
pub(crate) struct Shares(HashMap<i64, i64>);

impl Shares {
    /// Adds them up, where there are several tenants. It is a look at every trace, 50 ms for 400,000,
    /// once for each tenth of the file that is deleted.
    pub(crate) fn of(db: &Connection) -> rusqlite::Result<Self> {
        let tenants: i64 = db.query_row("SELECT count(*) FROM _tenant", [], |row| row.get(0))?;
        if tenants < 2 {
            return Ok(Self(HashMap::new()));
        }
        let bytes = db
            .prepare_cached(
                "SELECT tenant, sum(bytes) FROM (
                     SELECT tenant, bytes + 1 AS bytes FROM _trace
                     UNION ALL
                     SELECT tenant, bytes + 2 * COALESCE(octet_length(resource) + octet_length(scope), 0) FROM _process
                     UNION ALL
                     SELECT tenant, 2 * octet_length(labels) FROM _series JOIN _metric ON _metric.id = metric
                 ) GROUP BY tenant HAVING sum(bytes) > 0",
            )?
            .query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?
            .collect::<rusqlite::Result<_>>()?;
        Ok(Self(bytes))
    }

    /// The tenant that has most. None where there is one tenant, or none has anything.
    pub(crate) fn largest(&self) -> Option<i64> {
        let largest = self.0.iter().max_by_key(|(_, bytes)| **bytes);
        largest.map(|(tenant, _)| *tenant)
    }

    /// A tenant has given up so much; all it had, if there was nothing left.
    pub(crate) fn shrink(&mut self, tenant: Option<i64>, bytes: u64, is_empty: bool) {
        let Some(tenant) = tenant else { return };
        if is_empty {
            self.0.remove(&tenant);
        } else if let Some(left) = self.0.get_mut(&tenant) {
            *left -= i64::try_from(bytes.max(1)).unwrap_or(i64::MAX / 2);
        }
    }
}
