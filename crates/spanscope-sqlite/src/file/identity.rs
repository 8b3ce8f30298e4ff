//! Distinguishes a file from another one that has replaced it under the same name, and removes the
//! log that such a replacement leaves behind.

use std::fs::File;
use std::path::{Path, PathBuf};

/// Device and inode.
pub(crate) type FileId = (u64, u64);

/// Returns the identity of a path's file. `None` if there is no file, and on systems without such
/// numbers.
pub(crate) fn file_id(path: &Path) -> Option<FileId> {
    #[cfg(unix)]
    {
        use std::os::unix::fs::MetadataExt as _;
        std::fs::metadata(path).ok().map(|file| (file.dev(), file.ino()))
    }
    #[cfg(not(unix))]
    {
        let _ = path;
        None
    }
}

/// Returns the path with SQLite's suffix for a file next to the store.
pub(crate) fn sibling(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    name.into()
}

/// The log of an open file: `-wal` and `-shm`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct LogId([Option<FileId>; 2]);

const LOG: [&str; 2] = ["-wal", "-shm"];

impl LogId {
    /// The log of a file without one.
    pub(crate) const NONE: Self = Self([None; 2]);

    pub(crate) fn of(path: &Path) -> Self {
        Self(LOG.map(|suffix| file_id(&sibling(path, suffix))))
    }

    /// Whether both of its files existed.
    pub(crate) const fn is_whole(self) -> bool {
        matches!(self.0, [Some(_), Some(_)])
    }

    /// Removes this log if its files still have their names. SQLite would copy it into the file
    /// that has replaced its own.
    pub(crate) fn remove(self, path: &Path) {
        // Prevents another process from removing the log that the next one creates.
        let _lock = lock_folder(path);
        self.remove_unlocked(path);
    }

    /// Removes this log like [`remove`](Self::remove), for a caller that has locked the folder.
    pub(crate) fn remove_unlocked(self, path: &Path) {
        for (suffix, id) in LOG.into_iter().zip(self.0) {
            let name = sibling(path, suffix);
            if id.is_some() && file_id(&name) == id {
                // If this fails, the next attempt removes it.
                let _ = std::fs::remove_file(name);
            }
        }
    }
}

/// Locks the folder of a file against replacement by others; dropping the result releases it.
/// `None` if the folder can't be locked.
pub(crate) fn lock_folder(path: &Path) -> Option<File> {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
    let folder = File::open(folder.unwrap_or(Path::new("."))).ok()?;
    folder.lock().ok()?;
    Some(folder)
}

/// Returns whether this process has the file open; also `true` if the system does not report it.
pub(crate) fn is_open_here(path: &Path) -> bool {
    #[cfg(unix)]
    {
        let id = file_id(path);
        let mut folders = ["/proc/self/fd", "/dev/fd"].into_iter();
        let entries = folders.find_map(|folder| std::fs::read_dir(folder).ok());
        entries.is_none_or(|mut entries| {
            entries.any(|entry| entry.is_ok_and(|entry| file_id(&entry.path()) == id))
        })
    }
    #[cfg(not(unix))]
    {
        let _ = path;
        true
    }
}
