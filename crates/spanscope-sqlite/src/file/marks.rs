//! Decides when marks are written. Every record that was stored before a mark started before the
//! mark's time, so a query "since" a time needs no index on the start of spans.

use rusqlite::Connection;
use spanscope_model::Timestamp;

/// The minimum interval of marks, in nanoseconds.
const EVERY: i64 = 10_000_000_000;

/// The last mark of a file, and the latest start among its writer's records.
#[derive(Debug, Default)]
pub(crate) struct Marks {
    last: i64,
    latest: i64,
}

impl Marks {
    /// Loads the marks of a file that has just been opened.
    pub(crate) fn load(db: &Connection) -> rusqlite::Result<Self> {
        let last = db.query_row("SELECT COALESCE(MAX(time), 0) FROM _mark", [], |row| row.get(0))?;
        Ok(Self { last, latest: 0 })
    }

    /// Returns the time of the next transaction's mark, if one is due.
    pub(crate) fn due(&self) -> Option<i64> {
        let time = self.latest.max(self.last).max(Timestamp::now().as_nanos());
        (time - self.last >= EVERY).then_some(time)
    }

    /// Notes the mark of a committed transaction, and the latest start in it.
    pub(crate) fn committed(&mut self, mark: Option<i64>, latest: i64) {
        self.last = mark.unwrap_or(self.last);
        self.latest = self.latest.max(latest);
    }
}
