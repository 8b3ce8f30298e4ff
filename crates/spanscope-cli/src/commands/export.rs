//! `spanscope export`: traces in a form that other programs read.

use std::fs::File;
use std::io::{BufWriter, Write, stdout};
use std::path::Path;

use anyhow::{Context, Result};
use jiff::tz::TimeZone;
use spanscope_model::{IdMatch, LogFilter, Order, OrderKey, TraceFilter, TraceId, TraceStore, block_on};

use super::ids::resolve_id;
use super::store::StoreFile;
use crate::args::ExportArgs;
use crate::export::{Recorded, form};
use crate::failure::Stop;
use crate::filter::TypedFilter;
use crate::output::closed_pipe_is_an_end;
use crate::progress;
use crate::remark::remark;
use crate::render::text::count;
use crate::resolve::trace_filter;

/// Traces that are listed in one go.
const PAGE: u64 = 5_000;

pub(super) fn run(file: &StoreFile, args: &ExportArgs) -> Result<()> {
    let zone = if args.utc {
        TimeZone::UTC
    } else {
        TimeZone::system()
    };
    let typed = TypedFilter::read(None, &args.filter.conditions)?;
    let limit = args.limit.unwrap_or(u64::MAX);
    let filter = trace_filter(&args.filter, typed.filter.clone(), limit, &zone)?;
    let store = file.open()?;
    let traces = if args.ids.is_empty() {
        chosen(&*store, filter)?
    } else {
        named(&*store, &args.ids)?
    };
    typed.remark_slips(&*store, traces.is_empty())?;
    if traces.is_empty() {
        return Err(Stop::nothing("no trace matches"));
    }
    match &args.file {
        None => {
            let mut writer = BufWriter::new(stdout().lock());
            write(&*store, &traces, args, &mut writer, closed_pipe_is_an_end)
        }
        Some(path) => {
            if is_same_file(path, &file.path()?) {
                return Err(Stop::usage(
                    "the output would replace the store itself: name another file",
                ));
            }
            let failed = || format!("could not write {}", path.display());
            let mut writer = BufWriter::new(created(path).with_context(failed)?);
            write(&*store, &traces, args, &mut writer, |result| {
                result.with_context(failed)
            })?;
            let number = u64::try_from(traces.len()).unwrap_or(u64::MAX);
            remark(format_args!(
                "wrote {} to {}",
                count(number, "trace"),
                path.display()
            ));
            Ok(())
        }
    }
}

/// An empty file, which only its owner may read: what is exported may be private. One that is there
/// keeps its mode.
fn created(path: &Path) -> std::io::Result<File> {
    let mut options = File::options();
    options.write(true).create(true).truncate(true);
    #[cfg(unix)]
    {
        use std::os::unix::fs::OpenOptionsExt as _;
        options.mode(0o600);
    }
    options.open(path)
}

fn write(
    store: &dyn TraceStore,
    traces: &[TraceId],
    args: &ExportArgs,
    writer: &mut dyn Write,
    check: impl Fn(std::io::Result<()>) -> Result<()>,
) -> Result<()> {
    let mut form = form(args.to);
    let bar = progress::bar("traces");
    bar.set_length(u64::try_from(traces.len()).unwrap_or(u64::MAX));
    check(writer.write_all(form.head().as_bytes()))?;
    for trace in traces {
        // Retention may have been faster; what is gone is gone.
        if let Some(recorded) = read(store, *trace)? {
            check(writer.write_all(form.trace(&recorded)?.as_bytes()))?;
        }
        bar.inc(1);
    }
    check(writer.write_all(form.foot().as_bytes()))?;
    check(writer.flush())?;
    bar.finish_and_clear();
    Ok(())
}

fn read(store: &dyn TraceStore, trace: TraceId) -> Result<Option<Recorded>> {
    let spans = match block_on(store.trace_spans(trace)) {
        Ok(spans) => spans,
        Err(error) if error.is_not_found() => return Ok(None),
        Err(error) => return Err(error.into()),
    };
    let events = block_on(store.list_logs(LogFilter {
        trace_id: Some(trace),
        limit: u64::MAX,
        ..LogFilter::default()
    }))?;
    Ok(Some(Recorded { spans, events }))
}

/// The chosen traces. Where no order is asked for and all are wanted, the oldest come first, so that what programs
/// write meanwhile does not move the pages.
fn chosen(store: &dyn TraceStore, mut filter: TraceFilter) -> Result<Vec<TraceId>> {
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

fn named(store: &dyn TraceStore, ids: &[String]) -> Result<Vec<TraceId>> {
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
