//! The tenants' shares of a full file: the tenant with the most data loses traces first, so that no
//! tenant can have another one's deleted by sending much.

use std::collections::HashMap;

use rusqlite::Connection;

/// Bytes of each tenant: of traces, of events and measurements outside them, and of the rows of
/// senders and series.
#[derive(Debug)]
pub(crate) struct Shares {
    bytes: HashMap<i64, i64>,
    /// Whose turn it was last.
    last: Option<i64>,
    /// Others may have stored records since the bytes were added up.
    is_stale: bool,
}

impl Shares {
    /// Adds them up, where there are several tenants. It is a look at every trace, 50 ms for
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

    /// Notes that records are stored before the next tenant is asked for.
    pub(crate) fn pause(&mut self) {
        self.is_stale = true;
    }

    /// The tenant that has most and gives up next. None where there is one tenant, or none has
    /// anything.
    ///
    /// A tenant that has most and goes on sending gives up much without having less, so before it
    /// is another one's turn they are added up again.
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
    fn who_gives_up_much_and_sends_more_has_not_less_than_the_others() {
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
        // As much goes as comes.
        for _ in 0..20 {
            assert_eq!(shares.next(&db).unwrap(), Some(LOUD));
            shares.shrink(Some(LOUD), 1_000_000, false);
            shares.pause();
        }
        db.execute_batch("UPDATE _trace SET bytes = 40000 WHERE tenant = 1")
            .unwrap();
        shares.shrink(Some(LOUD), 10_000_000, false);
        assert_eq!(shares.next(&db).unwrap(), Some(QUIET), "which has most now");
        shares.shrink(Some(QUIET), 0, true);
        assert_eq!(shares.next(&db).unwrap(), Some(LOUD));
    }
}
