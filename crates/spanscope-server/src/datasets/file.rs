//! The file of a dataset: its name, and rows that are appended as a whole or not at all.

use std::fmt::Write as _;
use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use spanscope_model::text::first_chars;
use spanscope_model::{StoreError, StoreErrorKind, Tenant};

use super::space::{Space, blocks, format_bytes, measure};
use crate::answer::ApiError;

const MAX_ID: usize = 128;
/// The longest name of a folder that every file system accepts.
const MAX_FOLDER: usize = 255;

/// Returns the file of a dataset. The id can't leave the folder: it has no separators and does not
/// begin with a dot.
pub(super) fn file_of(folder: &Path, dataset_id: &str) -> Result<PathBuf, ApiError> {
    let is_plain = dataset_id
        .bytes()
        .all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-'));
    if dataset_id.is_empty() || dataset_id.len() > MAX_ID || dataset_id.starts_with('.') || !is_plain {
        return Err(ApiError::invalid(format!(
            "{:?} is not a valid dataset id: use 1 to {MAX_ID} of the characters A-Z a-z 0-9 . _ - and no dot at the beginning",
            first_chars(dataset_id, MAX_ID)
        )));
    }
    Ok(folder.join(format!("{dataset_id}.jsonl")))
}

/// Returns the folder of a tenant's datasets, relative to the folder of all datasets. Any tenant's
/// name becomes a single path component.
pub(super) fn folder_of(tenant: &Tenant) -> Result<PathBuf, ApiError> {
    let mut name = String::new();
    for byte in tenant.as_str().bytes() {
        // Capitals are escaped too: some file systems ignore case.
        if byte.is_ascii_lowercase() || byte.is_ascii_digit() || matches!(byte, b'_' | b'-') {
            name.push(char::from(byte));
        } else {
            let _ = write!(name, "%{byte:02x}");
        }
    }
    if name.len() > MAX_FOLDER {
        return Err(ApiError::invalid(format!(
            "the tenant {:?} can have no datasets: its name is too long for a folder",
            tenant.as_str()
        )));
    }
    Ok(Path::new("tenants").join(name))
}

/// Rows that are being appended to a dataset. Dropping it removes them, unless they are
/// [kept](Self::keep).
#[derive(Debug)]
pub(super) struct Appending {
    path: PathBuf,
    file: File,
    /// The length before the first row.
    before: u64,
    length: u64,
    /// Bytes that this tenant's datasets may still take.
    own_left: u64,
    own_bytes: u64,
    /// Bytes taken from the total space.
    taken: u64,
    space: Arc<Space>,
    is_kept: bool,
}

impl Appending {
    /// Opens the dataset for rows. Only one writer at a time, of this or another process.
    pub(super) fn begin(path: &Path, space: Arc<Space>, own_bytes: u64) -> Result<Self, ApiError> {
        let folder = path.parent().unwrap_or_else(|| Path::new(""));
        let file = open(path, folder).map_err(|error| match error {
            Refused::NotAFile => ApiError::invalid(
                "there is a link, or no file, under the name of this dataset: use another dataset id",
            ),
            Refused::Io(error) => failed(path, error),
        })?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                return Err(ApiError::overloaded("another program writes this dataset"));
            }
            // The file system has no locks: only exports of this process wait for each other.
            Err(TryLockError::Error(_)) => {}
        }
        let before = file.metadata().map_err(|error| failed(path, error))?.len();
        let own_used = if own_bytes == u64::MAX {
            0
        } else {
            measure(folder, false)
        };
        space.begin();
        let mut appending = Self {
            path: path.to_owned(),
            file,
            before,
            length: before,
            own_left: own_bytes.saturating_sub(own_used),
            own_bytes,
            taken: 0,
            space,
            is_kept: false,
        };
        if appending
            .ends_within_a_row()
            .map_err(|error| failed(path, error))?
        {
            appending.append(b"\n")?;
        }
        Ok(appending)
    }

    /// Returns whether the file ends within a row, which a killed program may have left.
    fn ends_within_a_row(&mut self) -> io::Result<bool> {
        let Some(last) = self.before.checked_sub(1) else {
            return Ok(false);
        };
        let mut byte = [0];
        self.file.seek(SeekFrom::Start(last))?;
        self.file.read_exact(&mut byte)?;
        Ok(byte != *b"\n")
    }

    pub(super) fn append(&mut self, rows: &[u8]) -> Result<(), ApiError> {
        let length = self.length + rows.len() as u64;
        let more = blocks(length) - blocks(self.length);
        self.own_left = self.own_left.checked_sub(more).ok_or_else(|| {
            ApiError::datasets_full(format!(
                "the datasets of this tenant would take more than {}",
                format_bytes(self.own_bytes)
            ))
        })?;
        self.space.take(more)?;
        self.taken += more;
        self.file
            .write_all(rows)
            .map_err(|error| failed(&self.path, error))?;
        self.length = length;
        Ok(())
    }

    /// Keeps the rows. A dataset without rows is removed.
    pub(super) fn keep(mut self) {
        self.is_kept = self.length > self.before;
    }
}

impl Drop for Appending {
    fn drop(&mut self) {
        if self.is_kept {
            self.space.end(0);
            return;
        }
        // This only fails if the disk fails. The rows then stay, and the next export may repeat
        // them.
        let _ = self.file.set_len(self.before);
        if self.before == 0 {
            let _ = fs::remove_file(&self.path);
        }
        self.space.end(self.taken);
    }
}

enum Refused {
    NotAFile,
    Io(io::Error),
}

fn open(path: &Path, folder: &Path) -> Result<File, Refused> {
    fs::create_dir_all(folder).map_err(Refused::Io)?;
    if fs::symlink_metadata(path).is_ok_and(|found| !found.is_file()) {
        return Err(Refused::NotAFile);
    }
    let mut options = OpenOptions::new();
    options.read(true).append(true).create(true);
    #[cfg(unix)]
    {
        use std::os::unix::fs::OpenOptionsExt;
        options.mode(0o600);
    }
    options.open(path).map_err(Refused::Io)
}

/// Returns the error of a failed write. Its path is only logged; the client learns nothing but the
/// failure.
fn failed(path: &Path, error: io::Error) -> ApiError {
    let message = format!("can't write the dataset {}", path.display());
    StoreError::new(StoreErrorKind::Unavailable, message)
        .with_source(error)
        .into()
}
