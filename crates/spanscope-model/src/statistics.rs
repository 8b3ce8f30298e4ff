//! What a store says of itself: counts, sizes, losses, durations.
//!
//! Only what every store can count is a plain field; the rest is optional.

use serde::{Deserialize, Serialize};

use crate::Timestamp;

/// How many records were dropped, by cause.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct DropCounts {
    /// The queue was full.
    pub queue_full: u64,
    /// The store could not write them: disk full, file gone, database locked for too long.
    pub write_failed: u64,
    /// They came after the layer was shut down, or were still queued when its time was over.
    pub shutdown: u64,
    /// The tail rule of the sink left them out: their traces were not worth keeping.
    #[serde(default)]
    pub sampled: u64,
}

impl DropCounts {
    /// All causes together.
    #[must_use]
    pub const fn total(&self) -> u64 {
        self.lost() + self.sampled
    }

    /// Records that were lost without a rule: all causes but [`sampled`](Self::sampled).
    #[must_use]
    pub const fn lost(&self) -> u64 {
        self.queue_full + self.write_failed + self.shutdown
    }
}

/// What one service wrote.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ServiceStats {
    /// The service's name; empty if it has none.
    pub service_name: String,
    /// Its stored spans.
    pub spans: u64,
    /// Its stored spans that failed.
    pub errors: u64,
}

/// The state of a store. In JSON the fields of [`file`](Self::file) and
/// [`account`](Self::account) are fields of this.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct StoreStats {
    /// Bytes that the store takes; 0 where it does not tell, as to one of its tenants.
    #[serde(default)]
    pub bytes: u64,
    /// Stored traces.
    pub traces: u64,
    /// Stored spans.
    pub spans: u64,
    /// Stored events.
    pub events: u64,
    /// Stored measurements.
    #[serde(default)]
    pub points: u64,
    /// Start of the oldest trace.
    pub oldest: Option<Timestamp>,
    /// Start of the newest trace.
    pub newest: Option<Timestamp>,
    /// Of a store that is a file; none where it is not, and to one of its tenants.
    #[serde(flatten)]
    pub file: Option<FileStats>,
    /// Of a store that accounts for the records of the programs that write it.
    #[serde(flatten)]
    pub account: Option<Account>,
    /// Per service.
    pub services: Vec<ServiceStats>,
}

/// The file of a store.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct FileStats {
    /// Bytes of the database file.
    #[serde(rename = "file_bytes")]
    pub bytes: u64,
    /// Bytes of its write-ahead log.
    pub wal_bytes: u64,
    /// Bytes in the file that hold nothing.
    pub free_bytes: u64,
}

/// What became of the records that programs offered to a store: spans, events and measurements.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Account {
    /// Records that programs offered since the store was made.
    pub offered: u64,
    /// Records of these that were written, and not taken back by a tail rule since.
    pub stored: u64,
    /// Records of these that were dropped, by cause; `offered = stored + dropped.total() + lost` when all is flushed.
    pub dropped: DropCounts,
    /// Records that were on their way when their program was killed.
    #[serde(default)]
    pub lost: u64,
}

/// Spans of one name.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct NameStats {
    /// The name.
    pub name: String,
    /// How many ended.
    pub count: u64,
    /// How many of them failed.
    pub errors: u64,
    /// Median duration in milliseconds; percentiles are within 1 % of the true value.
    pub p50_ms: f64,
    /// 95th percentile.
    pub p95_ms: f64,
    /// 99th percentile.
    pub p99_ms: f64,
    /// All durations together, in milliseconds.
    pub total_ms: f64,
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test may panic")]
    use serde_json::json;

    use super::*;

    #[test]
    fn in_json_what_only_some_stores_have_is_beside_the_rest_or_missing() {
        let mut stats = StoreStats {
            bytes: 70,
            traces: 1,
            spans: 2,
            events: 3,
            points: 4,
            oldest: None,
            newest: None,
            file: Some(FileStats {
                bytes: 60,
                wal_bytes: 10,
                free_bytes: 5,
            }),
            account: Some(Account {
                offered: 9,
                stored: 9,
                dropped: DropCounts::default(),
                lost: 0,
            }),
            services: Vec::new(),
        };
        let dropped = json!({"queue_full": 0, "write_failed": 0, "shutdown": 0, "sampled": 0});
        let whole = json!({
            "bytes": 70, "traces": 1, "spans": 2, "events": 3, "points": 4, "oldest": null, "newest": null,
            "file_bytes": 60, "wal_bytes": 10, "free_bytes": 5,
            "offered": 9, "stored": 9, "dropped": dropped, "lost": 0, "services": []
        });
        assert_eq!(serde_json::to_value(&stats).unwrap(), whole);
        assert_eq!(serde_json::from_value::<StoreStats>(whole).unwrap(), stats);
        (stats.file, stats.account) = (None, None);
        let plain = json!({
            "bytes": 70, "traces": 1, "spans": 2, "events": 3, "points": 4, "oldest": null, "newest": null,
            "services": []
        });
        assert_eq!(serde_json::to_value(&stats).unwrap(), plain);
        assert_eq!(serde_json::from_value::<StoreStats>(plain).unwrap(), stats);
    }
}
