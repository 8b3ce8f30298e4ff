//! Where rendered lines go: stderr, a file that others may append to as well, or a writer of the user's.
//!
//! Only a thread of ours writes here, and the callers of a synchronous console: each of these may block for as long as its
//! receiver likes.
//!
//! The file is shared by lines. Each `write(2)` in append mode carries whole lines, and the kernel puts them behind
//! whatever others have appended, so that several processes need no lock (a local file system is meant; NFS doesn't
//! promise this). The file is never kept open against somebody who wants it away: before each batch one `stat` asks
//! whether the path still leads to the open file, which covers rotation by renaming and by removing; rotation by
//! truncating needs nothing but the append mode.

mod printed;

use std::fmt;
use std::fs::{File, Metadata, OpenOptions};
use std::io::{Error, ErrorKind, Result, Write};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::PathBuf;
use std::time::{Duration, Instant};

/// The longest piece of several lines that is written at once. A longer line still goes as one piece.
const MAX_PIECE: usize = 64 << 10;

/// After a failure to open the file, the next try is not before this.
const REOPEN_AFTER: Duration = Duration::from_secs(1);

/// How long a receiver that can't take more (non-blocking stderr) is waited for, since it last took something.
const STALL: Duration = Duration::from_secs(1);

/// Where whole lines go.
pub(crate) enum Sink {
    /// The process's stderr; whether its last entry was given up in the middle.
    Stderr(Torn),
    /// A file in append mode.
    File(AppendFile),
    /// Stdout by `print!`, which `cargo test` captures.
    Printed,
    /// What the user gave. It is flushed after each batch; if it panics, that is an error of this batch.
    Writer(Box<dyn Write + Send>, Torn),
}

/// What closes an entry that a stream ends in the middle of; empty where it does not.
#[derive(Debug, Default)]
pub(crate) struct Torn(&'static [u8]);

impl Sink {
    /// Writes lines, each with its line end. Blocks while the receiver does.
    ///
    /// # Errors
    /// Not all could be written; those before the trouble may have been. The same trouble has the same message each
    /// time, which doesn't say where: [`Sink`]'s `Display` does.
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

    /// Makes a sink to the same place for another process; `None` where only this one has it.
    pub(crate) fn again(&self) -> Option<Box<dyn Fn() -> Self + Send + Sync>> {
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

    /// The stream of the process that it writes to.
    pub(crate) fn stream(&self) -> Option<Stream> {
        match self {
            Self::Stderr(_) => Some(Stream::Stderr),
            Self::Printed => Some(Stream::Stdout),
            Self::File(_) | Self::Writer(..) => None,
        }
    }

    /// Whether messages about this sink would go into it.
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

/// A stream of the process, whose lock a thread may take again.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Stream {
    Stdout,
    Stderr,
}

/// Holds a stream.
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

/// A file that is opened at the first write, in append mode; its folder is made. The file can be
/// read and written by its owner alone, as the store's; one that is there keeps its mode.
pub(crate) struct AppendFile {
    path: PathBuf,
    open: Option<OpenFile>,
    /// When opening failed last, and how.
    failed: Option<(Instant, ErrorKind, String)>,
}

struct OpenFile {
    file: File,
    id: Option<FileId>,
    /// The file ends within a line of ours: a write was cut short.
    torn: bool,
}

impl AppendFile {
    /// Touches nothing yet.
    pub(crate) fn new(path: impl Into<PathBuf>) -> Self {
        Self {
            path: path.into(),
            open: None,
            failed: None,
        }
    }

    /// The time decides whether a file that could not be opened is tried again.
    fn write_lines(&mut self, text: &str, now: Instant) -> Result<()> {
        let open = self.ready(now)?;
        append(&mut &open.file, text.as_bytes(), &mut open.torn)
    }

    /// The file that the path leads to now.
    fn ready(&mut self, now: Instant) -> Result<&mut OpenFile> {
        match self.open.take().filter(|open| self.still_there(open)) {
            Some(mut open) => {
                // Emptied by the one who rotates: there is no torn line any more.
                if open.torn && open.file.metadata().is_ok_and(|metadata| metadata.len() == 0) {
                    open.torn = false;
                }
                Ok(self.open.insert(open))
            }
            None => self.reopen(now),
        }
    }

    /// Anything but "gone" or "another one" keeps the open file: it can be written to, whatever the path says.
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

/// Elsewhere only the removal of the file is noticed: the standard library has no stable name for a file there.
#[cfg(not(unix))]
fn file_id(_: &Metadata) -> Option<FileId> {
    None
}

/// Appends whole lines, one `write` a piece. A line that was cut short is kept apart from the next by a line end, and
/// written again, which mostly tells why it was cut; it is given up when that is cut short too.
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

/// How much of the piece was taken by one `write`.
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

/// As many whole lines as fit into a piece; one at least, whatever its length.
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

/// Writes to a receiver that nobody else appends to by lines: what was cut short is continued. Another process may have
/// made a shared terminal non-blocking, so "not now" is no error until it has lasted for [`STALL`]. What is then given up
/// in the middle is closed before the next entry begins.
fn write_stream(out: &mut impl Write, text: &[u8], torn: &mut Torn) -> Result<()> {
    // A part of the closing does no harm before the next try of it.
    write_rest(out, torn.0).map_err(|(_, error)| error)?;
    torn.0 = b"";
    write_rest(out, text).map_err(|(taken, error)| {
        torn.0 = match text[..taken].last() {
            None | Some(b'\n') => b"",
            // String terminator, end of all styles, end of the line.
            Some(_) if text.contains(&0x1b) => b"\x1b\\\x1b[0m\n",
            Some(_) => b"\n",
        };
        error
    })?;
    out.flush()
}

/// Writes all of it; an error says how much was taken before.
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
