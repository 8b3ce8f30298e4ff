//! The JSON formats that `import` reads: OTLP's and Spanscope's, one document per line or one in
//! total, also compressed with gzip.
//!
//! An unreadable document is reported with its line number, and the others are imported. The
//! records are stored by the same rules as those sent to `serve`.

mod document;
mod source;

use std::io::{BufRead, Read as _};
use std::path::Path;

use anyhow::{Result, anyhow};
use spanscope_model::{NewRecords, SourceRecords};
use spanscope_sqlite::{ImportReport, Importer};

pub(crate) use self::source::{Source, open};
use crate::remark::remark;
use crate::render::text::{count, visible};

/// Approximate number of records per transaction: a document is never split.
const BATCH: u64 = 2_000;
/// Maximum number of faults that are described one by one.
const DESCRIBED: u64 = 10;
/// The longest line, or document, in bytes.
const MAX_DOCUMENT: u64 = 512 << 20;

/// The counts of an import.
#[derive(Debug)]
pub(crate) struct Imported {
    pub(crate) report: ImportReport,
    /// Documents of which nothing could be read.
    pub(crate) unreadable: u64,
}

/// Reads JSON and stores it.
pub(crate) fn read(source: impl BufRead, name: &str, target: &Path) -> Result<Imported> {
    let mut reader = Reader {
        name,
        target,
        importer: None,
        waiting: Vec::new(),
        records: 0,
        documents: 0,
        faults: Faults::default(),
    };
    reader.read_all(source)?;
    reader.finish()
}

struct Reader<'a> {
    name: &'a str,
    target: &'a Path,
    /// Opened with the first records, so that an unreadable file creates no store.
    importer: Option<Importer>,
    waiting: Vec<SourceRecords>,
    records: u64,
    documents: u64,
    faults: Faults,
}

#[derive(Default)]
struct Faults {
    unreadable: u64,
    /// Records that were left out of readable documents.
    rejected: u64,
    described: u64,
    first: Option<String>,
}

impl Reader<'_> {
    fn read_all(&mut self, mut source: impl BufRead) -> Result<()> {
        let mut line = Vec::new();
        let mut number = 0;
        let mut is_first = true;
        loop {
            line.clear();
            number += 1;
            if (&mut source).take(MAX_DOCUMENT).read_until(b'\n', &mut line)? == 0 {
                return Ok(());
            }
            if line.len() as u64 == MAX_DOCUMENT && line.last() != Some(&b'\n') {
                return Err(anyhow!(
                    "line {number} of {} is longer than {} MiB: write one document per line, with fewer records in each",
                    self.name,
                    MAX_DOCUMENT >> 20
                ));
            }
            if line.trim_ascii().is_empty() {
                continue;
            }
            if std::mem::take(&mut is_first) && document::is_unfinished(&line) {
                // One document over many lines.
                (&mut source)
                    .take(MAX_DOCUMENT.saturating_sub(line.len() as u64))
                    .read_to_end(&mut line)?;
                return self.read_documents(&line, number);
            }
            self.read_document(&line, number)?;
        }
    }

    /// Reads documents that span several lines. If the first one is broken, reads one document per
    /// line.
    fn read_documents(&mut self, text: &[u8], first_line: u64) -> Result<()> {
        let line_at = |at: usize| {
            let before = text.get(..at).unwrap_or_default();
            first_line + before.iter().filter(|byte| **byte == b'\n').count() as u64
        };
        let documents = document::split(text);
        if documents.is_empty() {
            for (place, line) in text.split(|byte| *byte == b'\n').enumerate() {
                if !line.trim_ascii().is_empty() {
                    self.read_document(line, first_line + place as u64)?;
                }
            }
            return Ok(());
        }
        let mut end = 0;
        for range in documents {
            end = range.end;
            self.read_document(&text[range.clone()], line_at(range.start))?;
        }
        if let Some(rest) = text.get(end..)
            && !rest.trim_ascii().is_empty()
        {
            self.read_document(rest, line_at(end + rest.len() - rest.trim_ascii_start().len()))?;
        }
        Ok(())
    }

    /// Reads one document.
    fn read_document(&mut self, text: &[u8], line: u64) -> Result<()> {
        match document::read(text) {
            Err(why) => {
                self.faults.unreadable += 1;
                self.describe(line, &why);
            }
            Ok(read) => {
                self.documents += 1;
                self.faults.rejected += read.rejected;
                if !read.message.is_empty() {
                    self.describe(line, &read.message);
                }
                for records in read.sources {
                    self.add(records);
                }
                if self.records >= BATCH {
                    self.store()?;
                }
            }
        }
        Ok(())
    }

    /// Adds records to the next batch. Consecutive records of one source are stored together.
    fn add(&mut self, records: SourceRecords) {
        let SourceRecords {
            source,
            mut spans,
            mut ends,
            mut events,
            mut points,
            ..
        } = records;
        let in_spans: usize = spans.iter().map(|new| new.events.len()).sum();
        self.records += (spans.len() + in_spans + ends.len() + events.len() + points.len()) as u64;
        match self.waiting.last_mut() {
            Some(last) if last.source == source => {
                last.spans.append(&mut spans);
                last.ends.append(&mut ends);
                last.events.append(&mut events);
                last.points.append(&mut points);
            }
            _ => self.waiting.push(
                SourceRecords::default()
                    .source(source)
                    .spans(spans)
                    .ends(ends)
                    .events(events)
                    .points(points),
            ),
        }
    }

    fn store(&mut self) -> Result<()> {
        self.records = 0;
        let records = NewRecords::default().sources(std::mem::take(&mut self.waiting));
        let importer = match &mut self.importer {
            Some(importer) => importer,
            none => none.insert(Importer::open(self.target)?),
        };
        importer.add(records)?;
        Ok(())
    }

    fn describe(&mut self, line: u64, why: &str) {
        // The error may quote data, which must not restyle the terminal.
        let fault = visible(&format!("line {line} of {}: {why}", self.name)).into_owned();
        self.faults.described += 1;
        if self.faults.described <= DESCRIBED {
            remark(&fault);
        }
        self.faults.first.get_or_insert(fault);
    }

    fn finish(mut self) -> Result<Imported> {
        if self.documents == 0 && self.faults.unreadable > 0 {
            let documents = count(self.faults.unreadable, "document");
            return Err(anyhow!("nothing was imported: {documents} could not be read"));
        }
        if let Some(further) = self.faults.described.checked_sub(DESCRIBED)
            && further > 0
        {
            remark(format_args!("{further} further lines had faults too"));
        }
        if !self.waiting.is_empty() {
            self.store()?;
        }
        let mut report = self.importer.map(Importer::finish).unwrap_or_default();
        report.skipped += self.faults.rejected;
        Ok(Imported {
            report,
            unreadable: self.faults.unreadable,
        })
    }
}
