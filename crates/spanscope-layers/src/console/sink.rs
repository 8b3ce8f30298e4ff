//! The outputs of rendered lines: stderr, a file that other processes may append to as well, or a
//! writer of the user.
//!
//! Only our thread writes here, and the callers of a synchronous console: each of these may block
//! for as long as its output does.
//!
//! Processes share the file by lines. Each `write(2)` in append mode carries whole lines, and the
//! kernel appends them after all others, so that several processes need no lock (on a local file
//! system; NFS doesn't guarantee this). The file never stays open after it was moved away: before
//! each batch one `stat` checks whether the path still leads to the open file, which covers
//! rotation by renaming and by removing; rotation by truncating only needs the append mode.

mod printed;

use std::fmt;
use std::fs::{File, Metadata, OpenOptions};
use std::io::{Error, ErrorKind, Result, Write};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::PathBuf;
use std::time::{Duration, Instant};

/// Maximum size of a piece of several lines that is written at once. A longer line is still one
/// piece.
const MAX_PIECE: usize = 64 << 10;

/// Minimum time between a failure to open the file and the next try.
const REOPEN_AFTER: Duration = Duration::from_secs(1);

/// How long to wait for a blocked output (non-blocking stderr) after it last accepted bytes.
const STALL: Duration = Duration::from_secs(1);

/// The output of whole lines.
pub(crate) enum Sink {
    /// The process's stderr, and whether its last entry was abandoned in the middle.
    Stderr(Torn),
    /// A file in append mode.
    File(AppendFile),
    /// Stdout by `print!`, which `cargo test` captures.
    Printed,
    /// The user's writer. It is flushed after each batch; a panic in it is an error of that batch.
    Writer(Box<dyn Write + Send>, Torn),
}

/// The bytes that close an entry which was abandoned in the middle; may be empty.
#[derive(Debug, Default)]
pub(crate) struct Torn(&'static [u8]);

impl Sink {
    /// Writes lines, each with its line end. Blocks while the output does.
    ///
    /// # Errors
    /// Fails if not all could be written; a part may have been. The same cause always has the same
    /// message, which doesn't name the output: [`Sink`]'s `Display` does.
    pub(crate) fn write_lines(&mut self, text: &str) -> Result<()> {
        match self {
            // The lock keeps `eprintln!` of other threads out of the middle of an entry.
            Self::Stderr(torn) => write_stream(&mut std::io::stderr().lock(), text.as_bytes(), torn),
            Self::File(file) => file.write_lines(text, Instant::now()),
            Self::Printed => printed::write(text),
            Self::Writer(writer, torn) => {
                catch_unwind(AssertUnwindSafe(|| write_stream(writer, text.as_bytes(), torn)))
                    .unwrap_or_else(|_| Err(Error::other("the writer panicked")))
            }
        }
    }

    /// Returns a constructor of a sink with the same output for another process; `None` if only
    /// this process has it.
    pub(crate) fn for_child(&self) -> Option<Box<dyn Fn() -> Self + Send + Sync>> {
        match self {
            Self::Stderr(_) => Some(Box::new(|| Self::Stderr(Torn::default()))),
            Self::File(file) => {
                let path = file.path.clone();
                Some(Box::new(move || Self::File(AppendFile::new(path.clone()))))
            }
            Self::Printed => Some(Box::new(|| Self::Printed)),
            Self::Writer(..) => None,
        }
    }

    /// Returns the stream of the process that it writes to.
    pub(crate) fn stream(&self) -> Option<Stream> {
        match self {
            Self::Stderr(_) => Some(Stream::Stderr),
            Self::Printed => Some(Stream::Stdout),
            Self::File(_) | Self::Writer(..) => None,
        }
    }

    /// Returns whether messages about this sink would be written to it.
    pub(crate) fn is_stderr(&self) -> bool {
        matches!(self, Self::Stderr(_))
    }
}

impl fmt::Display for Sink {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Stderr(_) => f.write_str("stderr"),
            Self::File(file) => file.path.display().fmt(f),
            Self::Printed => f.write_str("stdout"),
            Self::Writer(..) => f.write_str("the writer"),
        }
    }
}

/// A stream of the process, with a reentrant lock.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Stream {
    Stdout,
    Stderr,
}

/// The lock of a stream.
pub(crate) enum Held {
    Stdout(#[expect(dead_code, reason = "held, not used")] std::io::StdoutLock<'static>),
    Stderr(#[expect(dead_code, reason = "held, not used")] std::io::StderrLock<'static>),
}

impl Stream {
    pub(crate) fn lock(self) -> Held {
        match self {
            Self::Stdout => Held::Stdout(std::io::stdout().lock()),
            Self::Stderr => Held::Stderr(std::io::stderr().lock()),
        }
    }
}

impl fmt::Debug for Sink {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Sink({self})")
    }
}

/// A file that is opened at the first write, in append mode; its folder is created. Only its owner
/// can read and write the file, as with the store's; an existing file keeps its mode.
pub(crate) struct AppendFile {
    path: PathBuf,
    open: Option<OpenFile>,
    /// When opening failed last, and how.
    failed: Option<(Instant, ErrorKind, String)>,
}

struct OpenFile {
    file: File,
    id: Option<FileId>,
    /// Whether the file ends within a Spanscope line, after a short write.
    torn: bool,
}

impl AppendFile {
    /// Creates it without accessing the file.
    pub(crate) fn new(path: impl Into<PathBuf>) -> Self {
        Self {
            path: path.into(),
            open: None,
            failed: None,
        }
    }

    /// Writes lines; `now` decides whether a file that could not be opened is tried again.
    fn write_lines(&mut self, text: &str, now: Instant) -> Result<()> {
        let open = self.ready(now)?;
        append(&mut &open.file, text.as_bytes(), &mut open.torn)
    }

    /// Returns the file that the path leads to now.
    fn ready(&mut self, now: Instant) -> Result<&mut OpenFile> {
        match self.open.take().filter(|open| self.still_there(open)) {
            Some(mut open) => {
                // The rotation emptied it: there is no torn line any more.
                if open.torn && open.file.metadata().is_ok_and(|metadata| metadata.len() == 0) {
                    open.torn = false;
                }
                Ok(self.open.insert(open))
            }
            None => self.reopen(now),
        }
    }

    /// Returns whether the path still leads to the open file. Other errors keep the open file: it
    /// can be written to in any case.
    fn still_there(&self, open: &OpenFile) -> bool {
        match std::fs::metadata(&self.path) {
            Ok(metadata) => file_id(&metadata) == open.id,
            Err(error) => error.kind() != ErrorKind::NotFound,
        }
    }

    fn reopen(&mut self, now: Instant) -> Result<&mut OpenFile> {
        if let Some((at, kind, message)) = &self.failed
            && now.saturating_duration_since(*at) < REOPEN_AFTER
        {
            return Err(Error::new(*kind, message.as_str()));
        }
        match self.open_or_make() {
            Ok(open) => {
                self.failed = None;
                Ok(self.open.insert(open))
            }
            Err(error) => {
                self.failed = Some((now, error.kind(), error.to_string()));
                Err(error)
            }
        }
    }

    fn open_or_make(&self) -> Result<OpenFile> {
        let mut options = OpenOptions::new();
        options.append(true).create(true);
        #[cfg(unix)]
        {
            use std::os::unix::fs::OpenOptionsExt as _;
            options.mode(0o600);
        }
        let file = match options.open(&self.path) {
            Err(error) if error.kind() == ErrorKind::NotFound => {
                if let Some(folder) = self.path.parent().filter(|folder| !folder.as_os_str().is_empty()) {
                    std::fs::create_dir_all(folder)?;
                }
                options.open(&self.path)?
            }
            opened => opened?,
        };
        let id = file_id(&file.metadata()?);
        Ok(OpenFile {
            file,
            id,
            torn: false,
        })
    }
}

/// Device and inode.
type FileId = (u64, u64);

#[cfg(unix)]
#[expect(clippy::unnecessary_wraps, reason = "other systems have none")]
fn file_id(metadata: &Metadata) -> Option<FileId> {
    use std::os::unix::fs::MetadataExt as _;
    Some((metadata.dev(), metadata.ino()))
}

/// On other systems only the removal of the file is noticed: the standard library has no stable
/// file id there.
#[cfg(not(unix))]
fn file_id(_: &Metadata) -> Option<FileId> {
    None
}

/// Appends whole lines, one `write` per piece. After a short write, a line end separates the torn
/// line from the next, and it is written again, which usually reveals the cause; it is abandoned if
/// that is short too.
fn append(out: &mut impl Write, text: &[u8], torn: &mut bool) -> Result<()> {
    let mut rest = text;
    let mut is_second_try = false;
    while !rest.is_empty() {
        let piece = first_piece(rest);
        let taken = write_piece(out, piece, torn)?;
        let whole = if taken == piece.len() {
            taken
        } else {
            end_of_last_line(&piece[..taken])
        };
        if whole == 0 && is_second_try {
            return Err(Error::new(
                ErrorKind::WriteZero,
                "there is no room for a whole line",
            ));
        }
        is_second_try = whole == 0;
        rest = &rest[whole..];
    }
    Ok(())
}

/// Returns how much of the piece one `write` accepted.
fn write_piece(out: &mut impl Write, piece: &[u8], torn: &mut bool) -> Result<usize> {
    let apart = usize::from(*torn);
    let written = if *torn {
        write_once(out, &[b"\n", piece].concat())?
    } else {
        write_once(out, piece)?
    };
    if written > 0 {
        let taken = &piece[..written - apart];
        *torn = taken.last().is_some_and(|byte| *byte != b'\n');
    }
    Ok(written.saturating_sub(apart))
}

fn write_once(out: &mut impl Write, bytes: &[u8]) -> Result<usize> {
    loop {
        match out.write(bytes) {
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            other => return other,
        }
    }
}

/// Returns the number of bytes of whole lines that fit into a piece; at least one line, whatever
/// its length.
fn first_piece(text: &[u8]) -> &[u8] {
    if text.len() <= MAX_PIECE {
        return text;
    }
    let end = match end_of_last_line(&text[..MAX_PIECE]) {
        0 => text
            .iter()
            .position(|byte| *byte == b'\n')
            .map_or(text.len(), |at| at + 1),
        end => end,
    };
    &text[..end]
}

fn end_of_last_line(text: &[u8]) -> usize {
    text.iter()
        .rposition(|byte| *byte == b'\n')
        .map_or(0, |at| at + 1)
}

/// Writes to an output that nothing else appends to by lines: a short write is continued. Another
/// process may have made a shared terminal non-blocking, so "would block" is no error until it has
/// lasted for [`STALL`]. An entry that is then abandoned in the middle is closed before the next
/// one begins.
fn write_stream(out: &mut impl Write, text: &[u8], torn: &mut Torn) -> Result<()> {
    // Repeating a part of the closing bytes does no harm.
    write_rest(out, torn.0).map_err(|(_, error)| error)?;
    torn.0 = b"";
    write_rest(out, text).map_err(|(taken, error)| {
        torn.0 = match text[..taken].last() {
            None | Some(b'\n') => b"",
            // String terminator, reset of all styles, line end.
            Some(_) if text.contains(&0x1b) => b"\x1b\\\x1b[0m\n",
            Some(_) => b"\n",
        };
        error
    })?;
    out.flush()
}

/// Writes all of it; an error carries the number of bytes written before.
fn write_rest(out: &mut impl Write, text: &[u8]) -> std::result::Result<(), (usize, Error)> {
    let mut taken = 0;
    let mut last_taken = Instant::now();
    while taken < text.len() {
        match out.write(&text[taken..]) {
            Ok(0) => return Err((taken, ErrorKind::WriteZero.into())),
            Ok(more) => {
                taken += more;
                last_taken = Instant::now();
            }
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) if error.kind() == ErrorKind::WouldBlock && last_taken.elapsed() < STALL => {
                std::thread::sleep(Duration::from_millis(5));
            }
            Err(error) => return Err((taken, error)),
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests;
