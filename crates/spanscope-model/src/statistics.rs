//! Statistics of a store: counts, sizes, losses, durations.
//!
//! Only what every store can count is a plain field; the rest is optional.

use serde::{Deserialize, Serialize};

use crate::{Timestamp, setters};

/// The number of dropped records, by cause.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[non_exhaustive]
pub struct DropCounts {
    /// The queue was full.
    pub queue_full: u64,
    /// The store could not write them: disk full, file gone, database locked for too long.
    pub write_failed: u64,
    /// They arrived after the layer was shut down, or were still queued at its deadline.
    pub shutdown: u64,
    /// The sink's tail rule dropped their traces.
    #[serde(default)]
    pub sampled: u64,
}

setters!(DropCounts {
    queue_full: [u64],
    write_failed: [u64],
    shutdown: [u64],
    sampled: [u64],
});

impl DropCounts {
    /// Returns the sum of all causes.
    #[must_use]
    pub const fn total(&self) -> u64 {
        self.lost() + self.sampled
    }

    /// Returns the number of records that were lost without a rule: all causes except
    /// [`sampled`](Self::sampled).
    #[must_use]
    pub const fn lost(&self) -> u64 {
        self.queue_full + self.write_failed + self.shutdown
    }
}

/// The records of one service.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct ServiceStats {
    /// The service's name; empty if it has none.
    pub service_name: String,
    /// Its number of stored spans.
    pub spans: u64,
    /// Its number of stored spans that failed.
    pub errors: u64,
}

impl ServiceStats {
    /// Creates statistics of a service without spans.
    pub fn new(service_name: impl Into<String>) -> Self {
        Self {
            service_name: service_name.into(),
            spans: 0,
            errors: 0,
        }
    }
}

setters!(ServiceStats {
    spans: [u64],
    errors: [u64],
});

/// The state of a store. In JSON the fields of [`file`](Self::file) and [`account`](Self::account)
/// are fields of this object.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[non_exhaustive]
pub struct StoreStats {
    /// Size in bytes; 0 if it is not shown, as for a tenant.
    #[serde(default)]
    pub bytes: u64,
    /// The number of stored traces.
    pub traces: u64,
    /// The number of stored spans.
    pub spans: u64,
    /// The number of stored events.
    pub events: u64,
    /// The number of stored measurements.
    #[serde(default)]
    pub points: u64,
    /// Start of the oldest trace.
    pub oldest: Option<Timestamp>,
    /// Start of the newest trace.
    pub newest: Option<Timestamp>,
    /// Sizes of a store that is a file; `None` for other stores, and for a tenant.
    #[serde(flatten)]
    pub file: Option<FileStats>,
    /// The account of a store that counts the records of the programs that write it.
    #[serde(flatten)]
    pub account: Option<Account>,
    /// Per service.
    pub services: Vec<ServiceStats>,
}

setters!(StoreStats {
    bytes: [u64],
    traces: [u64],
    spans: [u64],
    events: [u64],
    points: [u64],
    oldest: into [Option<Timestamp>],
    newest: into [Option<Timestamp>],
    file: into [Option<FileStats>],
    account: into [Option<Account>],
    services: [Vec<ServiceStats>],
});

/// The sizes of a store's file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[non_exhaustive]
pub struct FileStats {
    /// Size of the database file in bytes.
    #[serde(rename = "file_bytes")]
    pub bytes: u64,
    /// Size of its write-ahead log in bytes.
    pub wal_bytes: u64,
    /// Unused bytes in the file.
    pub free_bytes: u64,
}

setters!(FileStats {
    bytes: [u64],
    wal_bytes: [u64],
    free_bytes: [u64],
});

/// The counts of the records that programs offered to a store (spans, events and measurements), by
/// outcome.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Account {
    /// Records that programs offered since the store was created.
    pub offered: u64,
    /// Records of these that were written, and not removed by a tail rule since.
    pub stored: u64,
    /// Records of these that were dropped, by cause; `offered = stored + dropped.total() + lost`
    /// once all records are flushed.
    pub dropped: DropCounts,
    /// Records that were in flight when their program was killed.
    #[serde(default)]
    pub lost: u64,
}

setters!(Account {
    offered: [u64],
    stored: [u64],
    dropped: [DropCounts],
    lost: [u64],
});

/// Statistics of the spans of one name.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct NameStats {
    /// The name.
    pub name: String,
    /// The number of spans that ended.
    pub count: u64,
    /// The number of failed spans.
    pub errors: u64,
    /// Median duration in milliseconds; percentiles are within 1 % of the true value.
    pub p50_ms: f64,
    /// 95th percentile.
    pub p95_ms: f64,
    /// 99th percentile.
    pub p99_ms: f64,
    /// The sum of all durations in milliseconds.
    pub total_ms: f64,
}

impl NameStats {
    /// Creates statistics of a name without spans.
    pub fn new(name: impl Into<String>) -> Self {
        Self {
            name: name.into(),
            count: 0,
            errors: 0,
            p50_ms: 0.0,
            p95_ms: 0.0,
            p99_ms: 0.0,
            total_ms: 0.0,
        }
    }
}

setters!(NameStats {
    count: [u64],
    errors: [u64],
    p50_ms: [f64],
    p95_ms: [f64],
    p99_ms: [f64],
    total_ms: [f64],
});

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test may panic")]
    use serde_json::json;

    use super::*;

    #[test]
    fn statistics_that_only_some_stores_have_are_optional_in_json() {
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
