//! `spanscope logs`: log events.

use anyhow::Result;
use spanscope_model::{IdMatch, LogFilter, block_on};

use super::ids::resolve_id;
use super::store::Location;
use crate::args::LogsArgs;
use crate::failure::Stop;
use crate::filter::TypedFilter;
use crate::output::Output;
use crate::render::line::EntryLines;
use crate::resolve::{range, severity};

pub(super) fn run(location: &Location, args: &LogsArgs) -> Result<()> {
    let out = Output::new(&args.output);
    let typed = TypedFilter::read(args.filter_text.as_deref(), &args.conditions)?;
    let (since, until) = range(args.since.as_deref(), args.until.as_deref(), &out.zone)?;
    let store = location.open()?;
    let (trace_id, span_id) = match &args.trace {
        None => (None, None),
        Some(id) => match resolve_id(&*store, id)? {
            IdMatch::Trace(trace) => (Some(trace), None),
            IdMatch::Span(trace, span) => (Some(trace), Some(span)),
        },
    };
    let events = block_on(
        store.list_logs(
            LogFilter::default()
                .min_severity(args.severity.as_deref().map(severity).transpose()?)
                .filter(typed.filter)
                .since(since)
                .until(until)
                .grep(args.grep.clone())
                .service(args.service.clone())
                .category(args.category.clone())
                .trace_id(trace_id)
                .span_id(span_id)
                .limit(args.limit),
        ),
    )?;
    out.list(&events, || {
        let mut lines = EntryLines::new(&out, true);
        let mut text = String::new();
        for event in &events {
            lines.event(event, &mut text);
        }
        text
    })?;
    if events.is_empty() {
        return Err(Stop::nothing("no event matches"));
    }
    Ok(())
}
