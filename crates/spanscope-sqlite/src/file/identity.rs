//! Tells a file from another one that was put in its place under the same name.

use std::path::Path;

/// Device and inode.
pub(crate) type FileId = (u64, u64);

/// The identity of what a path leads to. None where there is no file, and on systems that have no
/// such numbers.
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
