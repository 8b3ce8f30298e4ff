//! `spanscope export`: writes records in a format that other programs read.
//!
//! Selected traces are written with everything that belongs to them; without a selection everything
//! stored is written.

use std::fmt;
use std::io::{BufWriter, Write, stdout};
use std::path::Path;

use anyhow::{Context, Result};
use jiff::tz::TimeZone;
use spanscope_model::{
    IdMatch, Order, OrderKey, SourceRecords, StoreError, TraceFilter, TraceId, TraceStore, block_on,
};

use super::ids::resolve_id;
use super::store::Location;
use crate::args::{ExportArgs, ExportTo};
use crate::export::{Form, create_private, form};
use crate::failure::Stop;
use crate::filter::TypedFilter;
use crate::output::stop_on_closed_pipe;
use crate::progress;
use crate::remark::remark;
use crate::render::text::count;
use crate::resolve::trace_filter;

/// Number of traces listed per query.
const PAGE: u64 = 5_000;

pub(super) fn run(location: &Location, args: &ExportArgs) -> Result<()> {
    #[cfg(not(feature = "parquet"))]
    if args.to == ExportTo::Parquet {
        return Err(Stop::usage(
            "this command is built without `parquet`: cargo install spanscope-cli --features parquet",
        ));
    }
    if args.to == ExportTo::Parquet && args.file.is_none() {
        return Err(Stop::usage(
            "--to parquet writes several files: name a folder for them with -o FOLDER",
        ));
    }
    let zone = if args.utc {
        TimeZone::UTC
    } else {
        TimeZone::system()
    };
    let typed = TypedFilter::read(None, &args.filter.conditions)?;
    let limit = args.limit.unwrap_or(u64::MAX);
    let filter = trace_filter(&args.filter, typed.filter.clone(), limit, &zone)?;
    let store = location.open_file()?;
    let is_all = TraceFilter::default()
        .since(filter.since)
        .until(filter.until)
        .limit(u64::MAX)
        == filter;
    if args.ids.is_empty() && is_all {
        let mut records = store.records(filter.since, filter.until).peekable();
        if records.peek().is_none() {
            return Err(Stop::nothing(match (filter.since, filter.until) {
                (None, None) => "nothing is stored",
                _ => "nothing was recorded in that time",
            }));
        }
        return write_out(location, args, records);
    }
    let traces = if args.ids.is_empty() {
        matching_traces(&store, filter)?
    } else {
        traces_by_id(&store, &args.ids)?
    };
    typed.remark_unknown_keys(&store, traces.is_empty())?;
    if traces.is_empty() {
        return Err(Stop::nothing("no trace matches"));
    }
    // Traces that retention has deleted since the listing are skipped.
    let records = traces
        .into_iter()
        .filter_map(|trace| store.trace_records(trace).transpose());
    write_out(location, args, records)
}

/// Writes records to the given file, or to stdout.
fn write_out(
    location: &Location,
    args: &ExportArgs,
    records: impl Iterator<Item = Result<Vec<SourceRecords>, StoreError>>,
) -> Result<()> {
    match (&args.file, form(args.to)) {
        (None, None) => {}
        #[cfg(not(feature = "parquet"))]
        (Some(_), None) => {}
        #[cfg(feature = "parquet")]
        (Some(folder), None) => write_parquet(location, folder, records)?,
        (None, Some(form)) => {
            let mut writer = BufWriter::new(stdout().lock());
            write(records, args.to, form, &mut writer, stop_on_closed_pipe)?;
        }
        (Some(path), Some(form)) => {
            if is_same_file(path, &location.path()?) {
                return Err(Stop::usage(
                    "the output would replace the store itself: name another file",
                ));
            }
            let failed = || format!("could not write {}", path.display());
            let mut writer = BufWriter::new(create_private(path).with_context(failed)?);
            let wrote = write(records, args.to, form, &mut writer, |result| {
                result.with_context(failed)
            })?;
            remark(format_args!("wrote {wrote} to {}", path.display()));
        }
    }
    Ok(())
}

/// Writes records as Parquet files into a folder.
#[cfg(feature = "parquet")]
fn write_parquet(
    location: &Location,
    folder: &Path,
    records: impl Iterator<Item = Result<Vec<SourceRecords>, StoreError>>,
) -> Result<()> {
    use crate::export::parquet::{Files, paths};

    let store = location.path()?;
    if paths(folder).iter().any(|path| is_same_file(path, &store)) {
        return Err(Stop::usage(
            "the output would replace the store itself: name another folder",
        ));
    }
    let mut files = Files::create(folder)?;
    let bar = progress::bar("traces");
    for records in records {
        files.add(&records?)?;
        bar.inc(1);
    }
    let wrote = files.finish()?;
    bar.finish_and_clear();
    remark(format_args!("wrote {wrote} to {}", folder.display()));
    Ok(())
}

/// The counts of an export; loose events and points are those outside traces.
#[derive(Debug, Default)]
struct Written {
    traces: u64,
    loose_events: u64,
    loose_points: u64,
}

impl fmt::Display for Written {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&count(self.traces, "trace"))?;
        if self.loose_events + self.loose_points > 0 {
            let events = count(self.loose_events, "event");
            let points = count(self.loose_points, "measurement");
            write!(f, ", and {events} and {points} outside traces")?;
        }
        Ok(())
    }
}

fn write(
    records: impl Iterator<Item = Result<Vec<SourceRecords>, StoreError>>,
    to: ExportTo,
    mut form: Box<dyn Form>,
    writer: &mut dyn Write,
    check: impl Fn(std::io::Result<()>) -> Result<()>,
) -> Result<Written> {
    let mut written = Written::default();
    let (mut left_out_events, mut left_out_points) = (0, 0);
    let bar = progress::bar("traces");
    check(writer.write_all(form.head().as_bytes()))?;
    for records in records {
        let mut records = records?;
        clear_event_ids(&mut records);
        let all = |of: fn(&SourceRecords) -> usize| records.iter().map(of).sum::<usize>() as u64;
        let (events, points) = (all(|of| of.events.len()), all(|of| of.points.len()));
        let is_trace = all(|of| of.spans.len()) > 0;
        let text = form.records(&records)?;
        check(writer.write_all(text.as_bytes()))?;
        written.traces += u64::from(is_trace);
        match (is_trace, text.is_empty(), to) {
            (false, false, _) => {
                written.loose_events += events;
                written.loose_points += points;
            }
            (false, true, _) => {
                (left_out_events, left_out_points) = (left_out_events + events, left_out_points + points)
            }
            (true, _, ExportTo::Chrome) => left_out_points += points,
            (true, ..) => {}
        }
        bar.inc(1);
    }
    check(writer.write_all(form.foot().as_bytes()))?;
    check(writer.flush())?;
    bar.finish_and_clear();
    if left_out_events + left_out_points > 0 {
        remark(format_args!(
            "{} outside traces and {} have no place in this form and were left out: --to jsonl and --to otlp-json \
             have them",
            count(left_out_events, "event"),
            count(left_out_points, "measurement"),
        ));
    }
    Ok(written)
}

/// Clears the ids of events, which are the store's own, so that an export of an import is the same
/// text.
fn clear_event_ids(records: &mut [SourceRecords]) {
    for of in records {
        let in_spans = of.spans.iter_mut().flat_map(|new| &mut new.events);
        for new in in_spans.chain(&mut of.events) {
            new.event.id.clear();
        }
    }
}

/// Returns the selected traces. Without an order and a limit, the oldest come first, so that
/// concurrent writes do not shift the pages.
fn matching_traces(store: &dyn TraceStore, mut filter: TraceFilter) -> Result<Vec<TraceId>> {
    let mut left = filter.limit;
    if filter.order_by.is_empty() && left == u64::MAX && filter.offset == 0 {
        filter.order_by.push(Order {
            key: OrderKey::StartTime,
            descending: false,
        });
    }
    let mut traces = Vec::new();
    loop {
        filter.limit = left.min(PAGE);
        let page = block_on(store.list_traces(filter.clone()))?;
        let found = u64::try_from(page.len()).unwrap_or(u64::MAX);
        traces.extend(page.into_iter().map(|summary| summary.trace.trace_id));
        left -= found.min(left);
        filter.offset += found;
        if found < filter.limit || left == 0 {
            return Ok(traces);
        }
    }
}

fn traces_by_id(store: &dyn TraceStore, ids: &[String]) -> Result<Vec<TraceId>> {
    let mut traces = Vec::new();
    for id in ids {
        let (IdMatch::Trace(trace) | IdMatch::Span(trace, _)) = resolve_id(store, id)?;
        if !traces.contains(&trace) {
            traces.push(trace);
        }
    }
    Ok(traces)
}

fn is_same_file(one: &Path, other: &Path) -> bool {
    match (one.canonicalize(), other.canonicalize()) {
        (Ok(one), Ok(other)) => one == other,
        _ => false,
    }
}
