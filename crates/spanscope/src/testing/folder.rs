//! A temporary folder for a test.

use std::fs::DirBuilder;
use std::io::{Error, ErrorKind, Result};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

/// Maximum number of names that are tried.
const MAX_TRIES: u64 = 1_000;

/// A folder among the system's temporary files that only its owner can read; dropping it removes
/// it.
#[derive(Debug)]
pub(super) struct TestFolder(PathBuf);

impl TestFolder {
    /// Creates a new folder.
    pub(super) fn new() -> Result<Self> {
        static NUMBER: AtomicU64 = AtomicU64::new(0);
        let mut builder = DirBuilder::new();
        #[cfg(unix)]
        std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
        for _ in 0..MAX_TRIES {
            let number = NUMBER.fetch_add(1, Ordering::Relaxed);
            // An earlier process with this number may have died and left its folder behind.
            let name = format!("spanscope-test-{}-{number}", std::process::id());
            let path = std::env::temp_dir().join(name);
            match builder.create(&path) {
                Ok(()) => return Ok(Self(path)),
                Err(error) if error.kind() == ErrorKind::AlreadyExists => {}
                Err(error) => return Err(error),
            }
        }
        Err(Error::new(
            ErrorKind::AlreadyExists,
            format!("there is no free name in {}", std::env::temp_dir().display()),
        ))
    }

    pub(super) fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for TestFolder {
    fn drop(&mut self) {
        // A test does not fail because of leftover files.
        let _ = std::fs::remove_dir_all(&self.0);
    }
}
