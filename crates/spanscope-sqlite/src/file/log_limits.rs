//! The maximum size of a file's write-ahead log.

use std::path::Path;

/// Approximate maximum size of the log, from which [`LogLimits`] derives its sizes; less if the
/// file's limit or the free space is small. At 1.5 times this size writing stops. One transaction
/// adds at most about 8 MiB, so the log stays under 64 MiB.
const LOG_BYTES: u64 = 32 * 1024 * 1024;
/// Minimum size of a log before it is copied: with less, each batch would wait for the disk.
pub(super) const LEAST_LOG_BYTES: u64 = 512 * 1024;

/// How large the write-ahead log may grow, given the file's limit and the free space: a log that
/// fills the disk can't be copied into the file, which would have to grow.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct LogLimits {
    /// The base of the other limits.
    size: u64,
}

impl LogLimits {
    pub(super) fn new(max_bytes: u64, room: u64) -> Self {
        Self {
            size: LOG_BYTES.min(max_bytes / 4).min(room / 4).max(LEAST_LOG_BYTES),
        }
    }

    /// Returns the size from which the helper thread copies the log. It is larger than
    /// [`kept`](Self::kept), so that there is nothing to copy in an idle file.
    pub(super) const fn help(self) -> u64 {
        self.size / 4 * 3
    }

    /// Returns the size from which the writer copies the log itself, because the helper has not
    /// finished between two transactions.
    pub(super) const fn copy(self) -> u64 {
        self.size / 4 * 5
    }

    /// Returns the size from which nothing is written until readers release the log.
    pub(super) const fn stop(self) -> u64 {
        self.size / 4 * 6
    }

    /// Returns the size to which SQLite truncates a log that it overwrites from its start.
    pub(super) const fn kept(self) -> u64 {
        self.size / 2
    }
}

/// Returns the free space of a file's disk. `None` if it is unknown.
pub(super) fn free_bytes(path: &Path) -> Option<u64> {
    #[cfg(unix)]
    {
        let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
        let disk = rustix::fs::statvfs(folder.unwrap_or(Path::new("."))).ok()?;
        Some(disk.f_bavail.saturating_mul(disk.f_frsize))
    }
    #[cfg(not(unix))]
    {
        let _ = path;
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_size_of_the_log_depends_on_the_files_limit_and_the_free_space() {
        const MIB: u64 = 1024 * 1024;
        assert_eq!(LogLimits::new(1024 * MIB, u64::MAX).size, 32 * MIB);
        assert_eq!(LogLimits::new(16 * MIB, u64::MAX).size, 4 * MIB);
        assert_eq!(LogLimits::new(1024 * MIB, 8 * MIB).size, 2 * MIB);
        assert_eq!(LogLimits::new(MIB, 8 * MIB).size, LEAST_LOG_BYTES);
        let log = LogLimits::new(u64::MAX, u64::MAX);
        assert!(log.kept() < log.help() && log.help() < log.copy() && log.copy() < log.stop());
    }
}
