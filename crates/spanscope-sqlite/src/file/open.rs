//! Opens the file: writers may create it, readers never change anything.
//!
//! Whether a file is a store is always checked through a read-only SQLite connection. Reading the
//! header with `std::fs` would be simpler, but closing that second handle would release the locks
//! of this process's other connections on the file (POSIX locks belong to the process), and two
//! writers would then collide.

use std::cell::Cell;
use std::fs::OpenOptions;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use rusqlite::config::DbConfig;
use rusqlite::{Connection, ErrorCode, OpenFlags, Transaction, TransactionBehavior, params};
use spanscope_model::{StoreError, StoreErrorKind};

use crate::file::schema;
use crate::file::unwritable::{self, Reader};

/// How long a connection waits for another process that holds the lock.
pub(crate) const BUSY_TIMEOUT: Duration = Duration::from_secs(5);
/// The time between two attempts of a writer to get a lock.
const LOCK_EVERY: Duration = Duration::from_millis(1);

/// The kind of a file that SQLite can read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Identity {
    /// A Spanscope store, of a version that this crate knows.
    Spanscope,
    /// A file without tables.
    Empty,
    /// Llama Stack's SQLite trace store.
    LlamaStack,
}

/// Opens the store for writing, and creates it if it is missing.
///
/// It never checkpoints automatically (`wal_autocheckpoint` is 0), so that the writer decides when.
pub(crate) fn open_write(path: &Path) -> Result<Connection, StoreError> {
    check_names_a_file(path)?;
    if let Some(folder) = path.parent().filter(|folder| !folder.as_os_str().is_empty()) {
        std::fs::create_dir_all(folder).map_err(|error| io_error(folder, "make the folder", error))?;
    }
    match create_private(path) {
        Ok(()) => {}
        Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => check_before_writing(path)?,
        Err(error) => return Err(io_error(path, "make the file", error)),
    }
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    Connection::open_with_flags(path, flags)
        .and_then(prepare_for_writing)
        .map_err(|error| sql_error(path, error))
}

/// Refuses paths that SQLite does not take for a file: a database in memory, which only one
/// connection can read, or a URI.
pub(crate) fn check_names_a_file(path: &Path) -> Result<(), StoreError> {
    let text = path.to_string_lossy();
    let is_uri = text.starts_with("file:");
    let is_memory = text.is_empty()
        || text == ":memory:"
        || (is_uri && (text.contains(":memory:") || text.contains("mode=memory")));
    if is_memory {
        return Err(StoreError::invalid(format!(
            "`{text}` is not a file, and nothing stored there could be read: name a file, or, in a test, use `spanscope::testing::TestStore`, whose file is deleted with the test"
        )));
    }
    if is_uri {
        return Err(StoreError::invalid(format!(
            "`{text}` is a URI: name the file by its path"
        )));
    }
    Ok(())
}

/// Ensures that an index finds the values under these keys. The caller holds the write transaction.
pub(crate) fn index_keys(db: &Connection, keys: &[String]) -> rusqlite::Result<()> {
    for key in keys {
        if db.execute("INSERT OR IGNORE INTO _attr_key (key) VALUES (?1)", [key])? > 0 {
            // The new key must also find spans that are stored already.
            db.execute(
                "INSERT OR IGNORE INTO _attr SELECT ?1, a.value, s.id FROM _span s, json_each(s.attributes) a
                 WHERE a.key = ?2 AND a.type IN ('text', 'integer', 'real')",
                params![db.last_insert_rowid(), key],
            )?;
        }
    }
    Ok(())
}

/// Returns the name of a store. A copy of its file has the same name.
pub(crate) fn store_name(db: &Connection) -> rusqlite::Result<String> {
    db.query_row("SELECT name FROM _given", [], |row| row.get(0))
}

/// Opens an existing store for reading only.
pub(crate) fn open_read(path: &Path) -> Result<Connection, StoreError> {
    open_reader(path).map(|reader| reader.db)
}

/// Opens a store like [`open_read`], and also returns whether the connection is frozen.
pub(crate) fn open_reader(path: &Path) -> Result<Reader, StoreError> {
    let reader = open_checked(path)?;
    match identify(&reader.db, path)? {
        Identity::Spanscope => {}
        Identity::Empty => {
            return Err(StoreError::not_found(format!(
                "{} is empty: no program has stored a span in it yet",
                path.display()
            )));
        }
        Identity::LlamaStack => return Err(llama_stack_error(path)),
    }
    // Without mmap: if another program truncated the file, a signal would end this process.
    (reader.db)
        .pragma_update(None, "query_only", true)
        .map_err(|error| sql_error(path, error))?;
    Ok(reader)
}

/// Opens any SQLite file for reading only; the caller must check it with [`identify`].
pub(crate) fn open_any(path: &Path) -> Result<Connection, StoreError> {
    open_checked(path).map(|reader| reader.db)
}

fn open_checked(path: &Path) -> Result<Reader, StoreError> {
    check_names_a_file(path)?;
    match std::fs::metadata(path) {
        Ok(file) if file.is_dir() => return Err(folder_error(path)),
        Ok(_) => {}
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            return Err(StoreError::not_found(format!(
                "there is no span store at {}: run a program that writes one, or name another with --db or \
                 SQLITE_STORE_DIR",
                path.display()
            )));
        }
        Err(error) => return Err(io_error(path, "read", error)),
    }
    unwritable::open(path)
}

/// Returns what kind of file it is, or why it can't be used.
pub(crate) fn identify(db: &Connection, path: &Path) -> Result<Identity, StoreError> {
    // Read before SQLite reads the file, because another process may be creating it.
    let has_bytes = std::fs::metadata(path).is_ok_and(|file| file.len() > 0);
    // One snapshot for all queries: another process may finish creating the file between two of
    // them.
    let snapshot = db
        .unchecked_transaction()
        .map_err(|error| sql_error(path, error))?;
    let db = &snapshot;
    let number = |pragma: &str| {
        db.pragma_query_value(None, pragma, |row| row.get::<_, i32>(0))
            .map_err(|error| sql_error(path, error))
    };
    if number("application_id")? == schema::APPLICATION_ID {
        let version = number("user_version")?;
        if version > schema::VERSION {
            return Err(StoreError::new(
                StoreErrorKind::Unusable,
                format!(
                    "{} was written by a newer version of spanscope (schema {version}, this one knows {}): update \
                     this program, or use another file",
                    path.display(),
                    schema::VERSION
                ),
            ));
        }
        return Ok(Identity::Spanscope);
    }
    let (tables, llama_stack_tables): (i64, i64) = db
        .query_row(
            "SELECT count(*), count(*) FILTER (WHERE type = 'table' AND name IN ('traces', 'spans')) FROM sqlite_schema",
            [],
            |row| Ok((row.get(0)?, row.get(1)?)),
        )
        .map_err(|error| sql_error(path, error))?;
    match (tables, llama_stack_tables) {
        // SQLite treats a file of a few bytes as one that it may overwrite.
        (0, _) if has_bytes && number("page_count")? == 0 => Err(StoreError::new(
            StoreErrorKind::Unusable,
            format!(
                "{} is not a database: it was left as it is, name another file",
                path.display()
            ),
        )),
        (0, _) => Ok(Identity::Empty),
        (_, 2) => Ok(Identity::LlamaStack),
        _ => Err(StoreError::new(
            StoreErrorKind::Unusable,
            format!(
                "{} is the database of another application: it was left as it is, name another file",
                path.display()
            ),
        )),
    }
}

fn check_before_writing(path: &Path) -> Result<(), StoreError> {
    let db = open_any(path)?;
    match identify(&db, path)? {
        Identity::Spanscope | Identity::Empty => Ok(()),
        Identity::LlamaStack => Err(llama_stack_error(path)),
    }
}

/// Creates or upgrades the schema, before it switches the file to WAL, so that the file's identity
/// is in the file itself from the start and not in a log.
fn prepare_for_writing(mut db: Connection) -> rusqlite::Result<Connection> {
    wait_for_locks(&mut db)?;
    // A batch with spans, events and measurements uses more than the 16 that are cached by default.
    db.set_prepared_statement_cache_capacity(64);
    db.execute_batch("PRAGMA page_size = 8192; PRAGMA auto_vacuum = INCREMENTAL;")?;
    let transaction = Transaction::new_unchecked(&db, TransactionBehavior::Immediate)?;
    schema::upgrade(&transaction)?;
    transaction.commit()?;
    switch_to_wal(&db)?;
    // Without it, SQLite plans a query again when its bound values change: 4 % of a writer's time.
    db.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_QPSG, true)?;
    db.execute_batch(
        "PRAGMA synchronous = NORMAL;
         PRAGMA wal_autocheckpoint = 0;
         PRAGMA journal_size_limit = 16777216;
         PRAGMA cache_size = -8000;
         PRAGMA temp_store = MEMORY;",
    )?;
    Ok(db)
}

thread_local! {
    /// How long a writer on this thread waits for a lock.
    static PATIENCE: Cell<Duration> = const { Cell::new(BUSY_TIMEOUT) };
    /// When it began to wait.
    static WAITS_SINCE: Cell<Option<Instant>> = const { Cell::new(None) };
}

/// Makes a writer wait for the locks of other connections, for up to [`BUSY_TIMEOUT`] or what
/// [`with_patience`] sets.
///
/// SQLite's own wait sleeps for up to 100 ms between two attempts. A process that always has
/// something to write frees the lock only for a moment between two transactions, and the attempts
/// of another process missed it for seconds: 20 processes that wrote one record each took more than
/// a minute, on two busy cores.
fn wait_for_locks(db: &mut Connection) -> rusqlite::Result<()> {
    db.busy_handler(Some(|attempts| {
        let now = Instant::now();
        let since = match WAITS_SINCE.get() {
            Some(since) if attempts > 0 => since,
            _ => now,
        };
        WAITS_SINCE.set(Some(since));
        if now - since >= PATIENCE.get() {
            return false;
        }
        std::thread::sleep(LOCK_EVERY);
        true
    }))
}

/// Does work in which a writer waits for another time than usual.
pub(super) fn with_patience<T>(patience: Duration, work: impl FnOnce() -> T) -> T {
    let usual = PATIENCE.replace(patience);
    let result = work();
    PATIENCE.set(usual);
    result
}

/// Switches to WAL. SQLite itself does not wait for other connections then, so this does.
fn switch_to_wal(db: &Connection) -> rusqlite::Result<()> {
    let until = Instant::now() + BUSY_TIMEOUT;
    loop {
        match db.query_row("PRAGMA journal_mode = WAL", [], |_| Ok(())) {
            Err(error) if is_busy(&error) && Instant::now() < until => {
                std::thread::sleep(Duration::from_millis(5));
            }
            result => return result,
        }
    }
}

fn is_busy(error: &rusqlite::Error) -> bool {
    matches!(
        error.sqlite_error_code(),
        Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked)
    )
}

/// Creates an empty file that only its owner can read: a store has people's prompts.
pub(crate) fn create_private(path: &Path) -> std::io::Result<()> {
    let mut options = OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    {
        use std::os::unix::fs::OpenOptionsExt;
        options.mode(0o600);
    }
    options.open(path).map(drop)
}

fn llama_stack_error(path: &Path) -> StoreError {
    StoreError::new(
        StoreErrorKind::Unusable,
        format!(
            "{} has the tables of another telemetry system: copy its spans into a Spanscope store with `spanscope \
             import {}`",
            path.display(),
            path.display()
        ),
    )
}

fn folder_error(path: &Path) -> StoreError {
    let example: PathBuf = path.join("trace_store.db");
    StoreError::new(
        StoreErrorKind::Unusable,
        format!(
            "{} is a folder: name the file in it, for example {}",
            path.display(),
            example.display()
        ),
    )
}

/// Converts an error of the file system to a message for the user.
pub(crate) fn io_error(path: &Path, what: &str, error: std::io::Error) -> StoreError {
    let fix = match error.kind() {
        std::io::ErrorKind::PermissionDenied | std::io::ErrorKind::ReadOnlyFilesystem => {
            "give this user the right to write there, or name another place with --db or SQLITE_STORE_DIR"
        }
        std::io::ErrorKind::StorageFull | std::io::ErrorKind::QuotaExceeded => "make room on the disk",
        std::io::ErrorKind::NotADirectory | std::io::ErrorKind::AlreadyExists => {
            "a part of the path is a file, name another place"
        }
        _ => "name another place with --db or SQLITE_STORE_DIR",
    };
    StoreError::new(
        StoreErrorKind::Unavailable,
        format!("can't {what} {}: {error}; {fix}", path.display()),
    )
    .with_source(error)
}

/// Converts an error of SQLite to a message for the user.
pub(crate) fn sql_error(path: &Path, error: rusqlite::Error) -> StoreError {
    let file = path.display();
    let (kind, message) = match error.sqlite_error_code() {
        Some(ErrorCode::NotADatabase) => (
            StoreErrorKind::Unusable,
            format!("{file} is not a database: it was left as it is, name another file"),
        ),
        Some(ErrorCode::DatabaseCorrupt) => (
            StoreErrorKind::Unusable,
            format!("{file} is damaged: move it away, or put a backup in its place with `spanscope restore`"),
        ),
        Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked | ErrorCode::FileLockingProtocolFailed) => (
            StoreErrorKind::Unavailable,
            format!("{file} is locked by another program for too long: try again, or end that program"),
        ),
        Some(ErrorCode::DiskFull) => (
            StoreErrorKind::Unavailable,
            format!("the disk of {file} is full: make room on it"),
        ),
        Some(ErrorCode::CannotOpen | ErrorCode::ReadOnly | ErrorCode::PermissionDenied) => (
            StoreErrorKind::Unavailable,
            format!(
                "can't open {file}: give this user the right to read and write the file and its folder, or name \
                 another place with --db or SQLITE_STORE_DIR"
            ),
        ),
        _ => (
            StoreErrorKind::Unavailable,
            format!("the span store {file} failed: {error}"),
        ),
    };
    StoreError::new(kind, message).with_source(error)
}
