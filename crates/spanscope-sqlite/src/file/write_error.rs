//! [`WriteError`]: why the writer could not write.

use rusqlite::ErrorCode;
use spanscope_model::StoreError;

const DAMAGED: &str = "it is damaged: another program has written into it, or the disk has failed; put a backup in its \
                       place with `spanscope restore`, or move it away";

/// Why the writer could not write records or the file.
#[derive(Debug)]
pub(crate) enum WriteError {
    Sqlite(rusqlite::Error),
    Store(StoreError),
    /// A reader holds a snapshot, so the write-ahead log can't be emptied.
    WalHeld {
        bytes: u64,
    },
    /// Another process is copying the write-ahead log, or holds the lock.
    WalBusy,
    /// The file was deleted or replaced while the records were written to it.
    Replaced,
    /// The file is larger than its limit, and nothing is left to delete.
    OverCap {
        bytes: u64,
    },
    /// Another program truncated the file.
    Truncated {
        bytes: u64,
    },
    /// Another program truncated the write-ahead log.
    LogTruncated,
    /// The file is damaged.
    Damaged,
}

impl WriteError {
    fn code(&self) -> Option<ErrorCode> {
        match self {
            Self::Sqlite(error) => error.sqlite_error_code(),
            _ => None,
        }
    }

    /// Returns whether the records may be the cause, and not the file.
    pub(crate) fn is_of_records(&self) -> bool {
        let is_sqlite = matches!(self, Self::Sqlite(_));
        is_sqlite
            && !matches!(
                self.code(),
                Some(
                    ErrorCode::DiskFull
                        | ErrorCode::DatabaseBusy
                        | ErrorCode::DatabaseLocked
                        | ErrorCode::DatabaseCorrupt
                        | ErrorCode::NotADatabase
                        | ErrorCode::SystemIoFailure
                        | ErrorCode::ReadOnly
                        | ErrorCode::CannotOpen
                )
            )
    }

    /// Returns whether the disk is full.
    pub(crate) fn is_full(&self) -> bool {
        self.code() == Some(ErrorCode::DiskFull)
    }

    /// Returns whether the file is damaged.
    pub(crate) fn is_damage(&self) -> bool {
        matches!(self, Self::Damaged)
            || matches!(
                self.code(),
                Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase)
            )
    }

    /// Returns whether the file or its log could not be read or written.
    pub(crate) fn is_disk_failure(&self) -> bool {
        self.code() == Some(ErrorCode::SystemIoFailure)
    }

    /// Returns the identity of the cause, without the numbers in its message.
    pub(crate) fn cause(&self) -> &'static str {
        match (self, self.code()) {
            (Self::Store(_), _) => "open",
            (Self::WalHeld { .. }, _) => "reader",
            (Self::WalBusy, _) => "log",
            (Self::Replaced, _) => "replaced",
            (Self::OverCap { .. }, _) => "cap",
            (Self::Truncated { .. }, _) => "cut",
            (Self::LogTruncated, _) => "log cut",
            (Self::Damaged, _) => "damaged",
            (Self::Sqlite(_), Some(code)) => match code {
                ErrorCode::DiskFull => "full",
                ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked => "locked",
                ErrorCode::SystemIoFailure => "disk",
                ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase => "damaged",
                ErrorCode::ReadOnly | ErrorCode::CannotOpen | ErrorCode::PermissionDenied => "rights",
                _ => "records",
            },
            (Self::Sqlite(_), None) => "records",
        }
    }
}

impl std::fmt::Display for WriteError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Sqlite(error) => match self.code() {
                Some(ErrorCode::DiskFull) => write!(f, "the disk is full; make room on it"),
                Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => {
                    write!(f, "another process holds it locked")
                }
                Some(ErrorCode::SystemIoFailure) => {
                    write!(f, "the disk failed to read or write ({error}); check the disk")
                }
                Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase) => f.write_str(DAMAGED),
                _ => write!(f, "{error}"),
            },
            Self::Store(error) => write!(f, "{error}"),
            Self::WalHeld { bytes } => write!(
                f,
                "a reader has held a transaction open until the write-ahead log had {} MiB; end that reader",
                bytes >> 20
            ),
            Self::WalBusy => write!(f, "another process copies the write-ahead log"),
            Self::Replaced => write!(f, "it was deleted or replaced meanwhile"),
            Self::OverCap { bytes } => write!(
                f,
                "it is larger than its cap of {} MiB, and the descriptions of senders and metrics fill it; raise the cap",
                bytes >> 20
            ),
            Self::Damaged => f.write_str(DAMAGED),
            Self::LogTruncated => f.write_str(
                "another program has cut its write-ahead log (-wal); put a backup in its place with `spanscope \
                 restore`, or end all programs that have it open: what had been copied into the file is kept",
            ),
            Self::Truncated { bytes } => write!(
                f,
                "another program has cut it to {bytes} bytes; put a backup in its place with `spanscope restore`, or \
                 move it away"
            ),
        }
    }
}

impl From<rusqlite::Error> for WriteError {
    fn from(error: rusqlite::Error) -> Self {
        Self::Sqlite(error)
    }
}

impl From<StoreError> for WriteError {
    fn from(error: StoreError) -> Self {
        Self::Store(error)
    }
}
