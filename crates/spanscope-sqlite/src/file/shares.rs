//! The tenants' shares of a full file. The tenant with the most data loses traces first, so that a
//! tenant that sends much does not cause the deletion of other tenants' traces.

use std::collections::HashMap;

use rusqlite::Connection;

/// Bytes of each tenant: of traces, of events and measurements outside them, and of the rows of
/// senders and series.
#[derive(Debug)]
pub(crate) struct Shares {
    bytes: HashMap<i64, i64>,
    /// The tenant that was chosen last.
    last: Option<i64>,
    /// Whether records may have been stored since the bytes were added up.
    is_stale: bool,
}

impl Shares {
    /// Adds up the bytes, if there are several tenants. It reads every trace, which takes 50 ms for
    /// 400,000, once for each tenth of the file that is deleted.
    pub(crate) fn of(db: &Connection) -> rusqlite::Result<Self> {
        let tenants: i64 = db.query_row("SELECT count(*) FROM _tenant", [], |row| row.get(0))?;
        let shares = |bytes| Self {
            bytes,
            last: None,
            is_stale: false,
        };
        if tenants < 2 {
            return Ok(shares(HashMap::new()));
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
        Ok(shares(bytes))
    }

    /// Notes that records may be stored before the next call of [`next`](Self::next).
    pub(crate) fn pause(&mut self) {
        self.is_stale = true;
    }

    /// Returns the tenant with the most data, whose traces are deleted next. `None` if there is
    /// only one tenant, or no data.
    ///
    /// A tenant that continues to send may lose much without having less, so the bytes are added up
    /// again before another tenant is chosen.
    pub(crate) fn next(&mut self, db: &Connection) -> rusqlite::Result<Option<i64>> {
        let largest = self.largest();
        if self.is_stale && (largest != self.last || largest.is_none()) {
            *self = Self::of(db)?;
        }
        self.last = self.largest();
        Ok(self.last)
    }

    fn largest(&self) -> Option<i64> {
        let largest = self.bytes.iter().max_by_key(|(_, bytes)| **bytes);
        largest.map(|(tenant, _)| *tenant)
    }

    /// Subtracts deleted bytes from a tenant; everything, if there was nothing left.
    pub(crate) fn shrink(&mut self, tenant: Option<i64>, bytes: u64, is_empty: bool) {
        let Some(tenant) = tenant else { return };
        if is_empty {
            self.bytes.remove(&tenant);
        } else if let Some(left) = self.bytes.get_mut(&tenant) {
            *left -= i64::try_from(bytes.max(1)).unwrap_or(i64::MAX / 2);
        }
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test may panic")]
mod tests {
    use super::*;

    const LOUD: i64 = 1;
    const QUIET: i64 = 2;

    #[test]
    fn a_tenant_that_sends_as_much_as_it_loses_stays_the_largest() {
        let db = Connection::open_in_memory().unwrap();
        db.execute_batch(
            "CREATE TABLE _tenant (id); INSERT INTO _tenant VALUES (1);
             CREATE TABLE _trace (tenant, bytes); INSERT INTO _trace VALUES (1, 9000000);
             CREATE TABLE _process (tenant, bytes, resource, scope);
             CREATE TABLE _series (metric, labels); CREATE TABLE _metric (id, tenant);",
        )
        .unwrap();
        let mut shares = Shares::of(&db).unwrap();
        assert_eq!(shares.next(&db).unwrap(), None, "there is one tenant");
        shares.pause();
        db.execute_batch("INSERT INTO _tenant VALUES (2); INSERT INTO _trace VALUES (2, 50000)")
            .unwrap();
        // Each round deletes as much as was sent.
        for _ in 0..20 {
            assert_eq!(shares.next(&db).unwrap(), Some(LOUD));
            shares.shrink(Some(LOUD), 1_000_000, false);
            shares.pause();
        }
        db.execute_batch("UPDATE _trace SET bytes = 40000 WHERE tenant = 1")
            .unwrap();
        shares.shrink(Some(LOUD), 10_000_000, false);
        assert_eq!(shares.next(&db).unwrap(), Some(QUIET), "it has the most data");
        shares.shrink(Some(QUIET), 0, true);
        assert_eq!(shares.next(&db).unwrap(), Some(LOUD));
    }
}
