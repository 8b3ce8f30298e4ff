//! Reads a store that the user has no permission to write: another user's file, or one on a
//! read-only disk or in a folder without write permission.
//!
//! A reader of a file with a write-ahead log needs the index of the log (`-shm`), and creates it if
//! it is missing. Without the permission to create it, there are two ways to read the file. A file
//! without a log is opened as immutable, which is safe as long as no program writes it. A file with
//! a log is copied together with the log, and the copy is read: without the log, the newest records
//! would be missing, and SQLite would report no error.
//!
//! If the index exists and is readable, SQLite reads the file in place, also while another user's
//! program writes it.

use std::ffi::OsString;
use std::fs::DirBuilder;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};

use rusqlite::{Connection, ErrorCode, OpenFlags};
use spanscope_model::StoreError;

use super::identity::sibling;
use super::open::{BUSY_TIMEOUT, io_error, sql_error};

/// A connection for reading.
#[derive(Debug)]
pub(crate) struct Reader {
    pub(crate) db: Connection,
    /// Whether the connection keeps reading the state in which it opened the file, without later
    /// changes.
    pub(crate) is_frozen: bool,
}

/// Opens an existing file for reading, even if its index is missing and can't be created.
pub(super) fn open(path: &Path) -> Result<Reader, StoreError> {
    match connect(path.as_os_str(), OpenFlags::empty()) {
        Ok(db) => Ok(Reader { db, is_frozen: false }),
        Err(error) if needs_an_index(&error) => {
            let db = match has_log(path) {
                false => connect(&unchangeable(path), OpenFlags::SQLITE_OPEN_URI)
                    .map_err(|error| sql_error(path, error))?,
                true => copied(path)?,
            };
            Ok(Reader { db, is_frozen: true })
        }
        Err(error) => Err(sql_error(path, error)),
    }
}

/// Opens the file and runs a query, because SQLite does not access a file before the first query.
fn connect(name: &std::ffi::OsStr, how: OpenFlags) -> rusqlite::Result<Connection> {
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX | how;
    let db = Connection::open_with_flags(name, flags)?;
    db.busy_timeout(BUSY_TIMEOUT)?;
    match db.query_row("PRAGMA schema_version", [], |_| Ok(())) {
        // Other errors recur in the caller's first query, and the caller reports them.
        Err(error) if !needs_an_index(&error) => Ok(db),
        result => result.map(|()| db),
    }
}

fn needs_an_index(error: &rusqlite::Error) -> bool {
    matches!(
        error.sqlite_error_code(),
        Some(ErrorCode::CannotOpen | ErrorCode::ReadOnly)
    )
}

fn has_log(path: &Path) -> bool {
    std::fs::metadata(sibling(path, "-wal")).is_ok_and(|log| log.len() > 0)
}

/// Returns the file's name as a URI that declares the file immutable.
pub(super) fn unchangeable(path: &Path) -> OsString {
    // An absolute path needs an empty host: otherwise a path that begins with two slashes would be
    // read as a host.
    let mut uri = String::from(if path.is_absolute() { "file://" } else { "file:" });
    for byte in path.as_os_str().as_encoded_bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'/' | b'.' | b'-' | b'_' | b'~' => {
                uri.push(char::from(*byte))
            }
            byte => uri.push_str(&format!("%{byte:02X}")),
        }
    }
    uri.push_str("?immutable=1");
    uri.into()
}

/// Opens a copy of the file and its log. The copy's folder is removed on return; the connection
/// still reads the open file.
fn copied(path: &Path) -> Result<Connection, StoreError> {
    let folder = private_folder()?;
    let copy = folder.0.join("copy.db");
    for suffix in ["", "-wal"] {
        let from = sibling(path, suffix);
        std::fs::copy(&from, sibling(&copy, suffix))
            .map_err(|error| io_error(&from, "make a readable copy of", error))?;
    }
    let open_copy = || {
        let db = Connection::open_with_flags(&copy, OpenFlags::SQLITE_OPEN_READ_WRITE)?;
        db.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(()))?;
        drop(db);
        connect(&unchangeable(&copy), OpenFlags::SQLITE_OPEN_URI)
    };
    // The copies have the modes of the originals, which may be read-only.
    make_writable(&copy)?;
    open_copy().map_err(|error| sql_error(path, error))
}

fn make_writable(copy: &Path) -> Result<(), StoreError> {
    for suffix in ["", "-wal"] {
        let file = sibling(copy, suffix);
        #[cfg(unix)]
        let mode = {
            use std::os::unix::fs::PermissionsExt as _;
            std::fs::Permissions::from_mode(0o600)
        };
        #[cfg(not(unix))]
        let mode = std::fs::metadata(&file)
            .map(|file| {
                let mut mode = file.permissions();
                mode.set_readonly(false);
                mode
            })
            .map_err(|error| io_error(&file, "read", error))?;
        std::fs::set_permissions(&file, mode).map_err(|error| io_error(&file, "write", error))?;
    }
    Ok(())
}

/// A folder that is removed when this is dropped. Open files in it stay readable; on Windows, which
/// does not remove open files, the folder stays.
struct PrivateFolder(PathBuf);

impl Drop for PrivateFolder {
    fn drop(&mut self) {
        // There is no caller to report an error to, and the system clears its temporary folder.
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// Creates a folder that only its owner can read: a store has people's prompts.
fn private_folder() -> Result<PrivateFolder, StoreError> {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    let mut builder = DirBuilder::new();
    #[cfg(unix)]
    {
        use std::os::unix::fs::DirBuilderExt as _;
        builder.mode(0o700);
    }
    loop {
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let name = format!("spanscope-{}-{number}", std::process::id());
        let path = std::env::temp_dir().join(name);
        match builder.create(&path) {
            Ok(()) => return Ok(PrivateFolder(path)),
            // An earlier process with the same process id left this folder behind.
            Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists && number < 10_000 => {}
            Err(error) => return Err(io_error(&path, "make", error)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn special_characters_of_a_path_are_escaped_in_its_uri() {
        let uri = unchangeable(Path::new("/a b/x?mode=rw#é.db"));
        assert_eq!(uri, "file:///a%20b/x%3Fmode%3Drw%23%C3%A9.db?immutable=1");
    }
}
