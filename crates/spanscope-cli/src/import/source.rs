//! The imported file: its format by its first bytes, decompressed if necessary.

use std::cell::Cell;
use std::fs::File;
use std::io::{self, BufRead, BufReader, Read};
use std::path::Path;
use std::rc::Rc;

use anyhow::{Context, Result, anyhow};
use flate2::bufread::MultiGzDecoder;

const SQLITE: &[u8] = b"SQLite format 3\0";
const GZIP: &[u8] = b"\x1f\x8b";
const ZSTD: &[u8] = b"\x28\xb5\x2f\xfd";
/// The name of standard input on the command line.
const STDIN: &str = "-";

/// A file to be imported.
pub(crate) enum Source {
    /// A database, or a file that is missing or unreadable: opening the store reports which.
    Database,
    /// JSON.
    Text(Text),
}

/// JSON that is read from a file.
pub(crate) struct Text {
    pub(crate) reader: Box<dyn BufRead>,
    /// The name in messages.
    pub(crate) name: String,
    /// The length of the file on disk, and how much of it was read; unknown for standard input.
    pub(crate) length: u64,
    pub(crate) done: Rc<Cell<u64>>,
}

/// Opens a file, or standard input for `-`.
pub(crate) fn open(path: &Path) -> Result<Source> {
    let done = Rc::new(Cell::new(0));
    let (file, name, length): (Box<dyn Read>, _, _) = if path.as_os_str() == STDIN {
        (Box::new(io::stdin()), "standard input".to_owned(), 0)
    } else {
        let Ok(file) = File::open(path) else {
            return Ok(Source::Database);
        };
        let metadata = file.metadata();
        if metadata.as_ref().is_ok_and(std::fs::Metadata::is_dir) {
            return Ok(Source::Database);
        }
        let length = metadata.map_or(0, |metadata| metadata.len());
        (Box::new(file), path.display().to_string(), length)
    };
    let mut reader = BufReader::with_capacity(
        256 * 1024,
        Counted {
            reader: file,
            done: Rc::clone(&done),
        },
    );
    let begin = reader
        .fill_buf()
        .with_context(|| format!("could not read {name}"))?
        .to_vec();
    if begin.starts_with(SQLITE) || (begin.is_empty() && length == 0 && name != "standard input") {
        return Ok(Source::Database);
    }
    let reader: Box<dyn BufRead> = if begin.starts_with(GZIP) {
        let mut unpacked = BufReader::with_capacity(256 * 1024, MultiGzDecoder::new(reader));
        let inner = unpacked
            .fill_buf()
            .with_context(|| format!("could not unpack {name}"))?;
        must_be_text(inner, &format!("the compressed content of {name}"))?;
        Box::new(unpacked)
    } else {
        must_be_text(&begin, &name)?;
        Box::new(reader)
    };
    Ok(Source::Text(Text {
        reader,
        name,
        length,
        done,
    }))
}

/// Refuses content that can't be JSON.
fn must_be_text(begin: &[u8], name: &str) -> Result<()> {
    let text = begin.strip_prefix(b"\xef\xbb\xbf").unwrap_or(begin);
    if matches!(text.trim_ascii_start().first(), None | Some(b'{' | b'[')) {
        return Ok(());
    }
    let is = if begin.starts_with(SQLITE) {
        "is a compressed database: decompress it first, with `gunzip`"
    } else if begin.starts_with(ZSTD) {
        "is compressed with zstd: decompress it first, with `zstd -d`, or compress it with gzip"
    } else if begin.starts_with(b"\xff\xfe") || begin.starts_with(b"\xfe\xff") {
        "is UTF-16: write it as UTF-8"
    } else if begin.first() == Some(&0) {
        "may be protobuf of the collector's file exporter: set its `format` to json"
    } else {
        "is neither a trace_store.db nor JSON: import reads these, and JSON compressed with gzip"
    };
    Err(anyhow!("{name} {is}"))
}

/// A reader that counts bytes.
struct Counted {
    reader: Box<dyn Read>,
    done: Rc<Cell<u64>>,
}

impl Read for Counted {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.reader.read(buffer)?;
        self.done.set(self.done.get() + read as u64);
        Ok(read)
    }
}
