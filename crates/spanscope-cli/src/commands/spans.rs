//! `spanscope spans`: lists spans of all traces.

use anyhow::Result;
use spanscope_model::{Span, block_on};

use super::store::Location;
use super::traces::{duration, status};
use crate::args::ListArgs;
use crate::failure::Stop;
use crate::filter::TypedFilter;
use crate::output::Output;
use crate::render::colour::Paint;
use crate::render::json::SpanJson;
use crate::render::table::{Column, painted, table};
use crate::render::time;
use crate::resolve::span_filter;

pub(super) fn run(location: &Location, args: &ListArgs) -> Result<()> {
    let out = Output::new(&args.output);
    let typed = TypedFilter::read(args.filter_text.as_deref(), &args.filter.conditions)?;
    let filter = span_filter(&args.filter, typed.filter.clone(), args.limit, &out.zone)?;
    let store = location.open()?;
    let spans = block_on(store.list_spans(filter))?;
    let answer: Vec<SpanJson<'_>> = spans.iter().map(SpanJson::of).collect();
    out.list(&answer, || rows(&out, &spans))?;
    typed.remark_unknown_keys(&*store, spans.is_empty())?;
    if spans.is_empty() {
        return Err(Stop::nothing("no span matches"));
    }
    Ok(())
}

fn rows(out: &Output, spans: &[Span]) -> String {
    if spans.is_empty() {
        return String::new();
    }
    let columns = [
        ("date", Column::Shared),
        ("time", Column::Fixed),
        ("span", Column::Fixed),
        ("name", Column::Text),
        ("service", Column::Shared),
        ("duration", Column::Number),
        ("status", Column::Fixed),
    ];
    // Span ids of one program only differ in their last digits, so they are shown completely.
    let rows = spans.iter().map(|span| {
        let time = time::short(span.start_time, &out.zone);
        let (date, time) = time.split_once(' ').unwrap_or(("", &time));
        vec![
            date.into(),
            time.into(),
            painted(Paint::Accent, span.span_id.to_string()),
            span.name.as_str().into(),
            span.service_name.as_str().into(),
            duration(span.duration_ms()),
            status(span.status, span.state),
        ]
    });
    table(out, &columns, rows.collect())
}
