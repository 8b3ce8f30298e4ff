//! [`Space`]: the disk space of a folder's datasets.
//!
//! The operator may remove files, so the folder is measured again whenever an export begins while
//! none is running. Concurrent exports add to that size.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Mutex;

use spanscope_core::sync::lock;

use crate::answer::ApiError;

/// A file takes whole blocks, so that very many small ones count too.
const BLOCK: u64 = 4096;

/// Returns the length of a file, rounded up to whole blocks.
pub(super) fn blocks(length: u64) -> u64 {
    length.div_ceil(BLOCK) * BLOCK
}

/// Formats a limit for people.
pub(super) fn format_bytes(bytes: u64) -> String {
    match bytes {
        0..0x10_0000 => format!("{} KiB", bytes >> 10),
        _ => format!("{} MiB", bytes >> 20),
    }
}

#[derive(Debug)]
pub(super) struct Space {
    folder: PathBuf,
    max_bytes: u64,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    used: u64,
    exports: usize,
}

impl Space {
    pub(super) fn new(folder: PathBuf, max_bytes: u64) -> Self {
        Self {
            folder,
            max_bytes,
            state: Mutex::default(),
        }
    }

    /// Begins an export; [`end`](Self::end) ends it.
    pub(super) fn begin(&self) {
        let mut state = lock(&self.state);
        if state.exports == 0 {
            state.used = measure(&self.folder, true);
        }
        state.exports += 1;
    }

    /// Reserves bytes for an export.
    pub(super) fn take(&self, bytes: u64) -> Result<(), ApiError> {
        let mut state = lock(&self.state);
        let used = state.used.saturating_add(bytes);
        if used > self.max_bytes {
            return Err(ApiError::datasets_full(format!(
                "the datasets of this server would take more than {}",
                format_bytes(self.max_bytes)
            )));
        }
        state.used = used;
        Ok(())
    }

    /// Ends an export, and releases the bytes that were not kept.
    pub(super) fn end(&self, released: u64) {
        let mut state = lock(&self.state);
        state.exports = state.exports.saturating_sub(1);
        state.used = state.used.saturating_sub(released);
    }
}

/// Returns the size of the files in a folder, and with `deep` of its subfolders. Unreadable ones
/// count as nothing.
pub(super) fn measure(folder: &Path, deep: bool) -> u64 {
    let Ok(entries) = fs::read_dir(folder) else {
        return 0;
    };
    let mut bytes = 0_u64;
    for entry in entries.flatten() {
        // The metadata is that of a link itself: its target is not in the folder.
        let Ok(found) = entry.metadata() else { continue };
        bytes = bytes.saturating_add(match found.is_dir() {
            true if deep => measure(&entry.path(), deep),
            true => 0,
            false => blocks(found.len()),
        });
    }
    bytes
}
