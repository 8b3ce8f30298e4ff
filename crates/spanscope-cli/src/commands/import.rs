//! `spanscope import FILE`: imports records of another program, or of `export`.

use std::io::{self, BufRead, Read};

use anyhow::{Context, Result};
use serde_json::json;
use spanscope_sqlite::SqliteStore;

use super::store::Location;
use crate::args::ImportArgs;
use crate::import::{self, Imported, Source};
use crate::output::Output;
use crate::progress;
use crate::render::text::count;

pub(super) fn run(location: &Location, args: &ImportArgs) -> Result<()> {
    let out = Output::new(&args.output);
    let target = location.path()?;
    let source = import::open(&args.file)?;
    let bar = progress::bar(match source {
        Source::Database => "records",
        Source::Text(_) => "bytes",
    });
    let imported = match source {
        Source::Database => SqliteStore::import(&target, &args.file, |done, total| {
            bar.set_length(total);
            bar.set_position(done);
        })
        .map(|report| Imported {
            report,
            unreadable: 0,
        })
        .map_err(anyhow::Error::from),
        Source::Text(text) => {
            bar.set_length(text.length);
            let name = text.name.clone();
            let reader = Watched {
                reader: text.reader,
                moved: || bar.set_position(text.done.get()),
            };
            import::read(reader, &name, &target).with_context(|| format!("could not import {name}"))
        }
    };
    bar.finish_and_clear();
    let Imported { report, unreadable } = imported?;
    let answer = json!({
        "traces": report.traces,
        "spans": report.spans,
        "events": report.events,
        "points": report.points,
        "skipped": report.skipped,
        "unreadable": unreadable,
    });
    out.one(&answer, || {
        let unreadable = match unreadable {
            0 => String::new(),
            lines => format!("; {} could not be read", count(lines, "line")),
        };
        format!(
            "imported {}, {}, {} and {}; {} skipped{unreadable}\n",
            count(report.traces, "trace"),
            count(report.spans, "span"),
            count(report.events, "event"),
            count(report.points, "measurement"),
            count(report.skipped, "record"),
        )
    })
}

/// A reader that reports its progress.
struct Watched<R, F> {
    reader: R,
    moved: F,
}

impl<R: BufRead, F: FnMut()> Read for Watched<R, F> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        (self.moved)();
        self.reader.read(buffer)
    }
}

impl<R: BufRead, F: FnMut()> BufRead for Watched<R, F> {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        (self.moved)();
        self.reader.fill_buf()
    }

    fn consume(&mut self, amount: usize) {
        self.reader.consume(amount);
    }
}
