//! A folder that goes with the test.

use std::fs::DirBuilder;
use std::io::{Error, ErrorKind, Result};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

/// More names than this are not tried.
const MAX_TRIES: u64 = 1_000;

/// A folder among the system's temporary files, which its owner alone can read.
#[derive(Debug)]
pub(super) struct TestFolder(PathBuf);

impl TestFolder {
    /// Makes a new one.
    pub(super) fn new() -> Result<Self> {
        static NUMBER: AtomicU64 = AtomicU64::new(0);
        let mut builder = DirBuilder::new();
        #[cfg(unix)]
        std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
        for _ in 0..MAX_TRIES {
            let number = NUMBER.fetch_add(1, Ordering::Relaxed);
            // An earlier process of this number may have died and left its own behind.
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
        // A test does not fail because of what is left of it.
        let _ = std::fs::remove_dir_all(&self.0);
    }
}
