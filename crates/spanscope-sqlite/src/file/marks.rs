//! When marks are set: what was stored until a mark began before the mark's time, so "since" needs
//! no index on the start of spans.

use rusqlite::Connection;
use spanscope_model::Timestamp;

/// The next mark comes so long after the one before, in nanoseconds.
const EVERY: i64 = 10_000_000_000;

/// The last mark of a file, and the latest start of what its writer stored.
#[derive(Debug, Default)]
pub(crate) struct Marks {
    last: i64,
    latest: i64,
}

impl Marks {
    /// The marks of a file that has just been opened.
    pub(crate) fn load(db: &Connection) -> rusqlite::Result<Self> {
        let last = db.query_row("SELECT COALESCE(MAX(time), 0) FROM _mark", [], |row| row.get(0))?;
        Ok(Self { last, latest: 0 })
    }

    /// The time of the mark that the next transaction begins with, if it is time for one.
    pub(crate) fn due(&self) -> Option<i64> {
        let time = self.latest.max(self.last).max(Timestamp::now().as_nanos());
        (time - self.last >= EVERY).then_some(time)
    }

    /// Notes what a committed transaction began with, and the latest start in it.
    pub(crate) fn committed(&mut self, mark: Option<i64>, latest: i64) {
        self.last = mark.unwrap_or(self.last);
        self.latest = self.latest.max(latest);
    }
}
