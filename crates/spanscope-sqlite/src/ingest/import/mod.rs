//! Copies spans, events and measurements of another file into a store.
//!
//! The modules [`llama_stack`] and [`spanscope`] read a source, one trace after the other, with its
//! events; [`target`] stores new records, on the thread that writes the file. A trace is stored in
//! one transaction, so that the next import completes an interrupted one. Spans are recognized by
//! their ids, events by time, span and text, measurements by series, time, span and value.

mod id;
mod llama_stack;
mod points;
mod record;
mod records;
mod spanscope;
mod target;

use std::path::Path;

use spanscope_model::{StoreError, StoreErrorKind};

use self::record::Group;
pub use self::record::ImportReport;
pub use self::records::Importer;
use self::target::{BATCH, Known};
use crate::file::Failure;
use crate::file::open::{Identity, identify, open_any, sql_error};
use crate::file::writer::FileWriter;

pub(crate) fn run(
    target: &Path,
    source: &Path,
    mut progress: impl FnMut(u64, u64),
) -> Result<ImportReport, StoreError> {
    if let (Ok(from), Ok(to)) = (source.canonicalize(), target.canonicalize())
        && from == to
    {
        return Err(StoreError::invalid(format!(
            "{} can't be imported into itself: name another file",
            source.display()
        )));
    }
    if !source.exists() {
        return Err(StoreError::not_found(format!(
            "the file {} does not exist",
            source.display()
        )));
    }
    let from = open_any(source)?;
    let identity = identify(&from, source)?;
    if identity == Identity::Empty {
        return Ok(ImportReport::default());
    }
    let at_source = |error| sql_error(source, error);
    let snapshot = from.unchecked_transaction().map_err(at_source)?;
    if identity == Identity::LlamaStack
        && let Some(column) = llama_stack::missing_column(&snapshot).map_err(at_source)?
    {
        return Err(StoreError::new(
            StoreErrorKind::Unusable,
            format!(
                "{} has no column {column}: it is not a trace_store.db that can be imported",
                source.display()
            ),
        ));
    }
    let total = match identity {
        Identity::Spanscope => spanscope::count(&snapshot),
        Identity::Empty | Identity::LlamaStack => llama_stack::count(&snapshot),
    }
    .map_err(at_source)?;
    let mut store = Store {
        writer: FileWriter::open(target)?,
        known: Known::default(),
        waiting: Vec::new(),
        records: 0,
    };
    let mut done = 0;
    let mut take = |mut group: Group| {
        group.mask_secrets();
        done += group.records();
        store.add(group).map_err(Failure::Store)?;
        progress(done.min(total), total);
        Ok(())
    };
    match identity {
        Identity::Spanscope => spanscope::read(&snapshot, &mut take),
        Identity::Empty | Identity::LlamaStack => llama_stack::read(&snapshot, &mut take),
    }
    .map_err(|failure| failure.into_store_error(source))?;
    store.write()?;
    Ok(store.known.done)
}

/// The store that is imported into.
struct Store {
    writer: FileWriter,
    known: Known,
    /// The groups of the next transaction.
    waiting: Vec<Group>,
    records: u64,
}

impl Store {
    fn add(&mut self, group: Group) -> Result<(), StoreError> {
        self.records += group.records();
        self.waiting.push(group);
        match self.records >= BATCH {
            true => self.write(),
            false => Ok(()),
        }
    }

    fn write(&mut self) -> Result<(), StoreError> {
        self.records = 0;
        let groups = std::mem::take(&mut self.waiting);
        let mut known = std::mem::take(&mut self.known);
        self.known = self.writer.change(move |file| {
            target::store(file, &mut known, &groups)?;
            Ok(known)
        })?;
        Ok(())
    }
}
