//! `spanscope traces`: lists traces.

use anyhow::Result;
use spanscope_model::{SpanState, SpanStatus, TraceId, TraceSummary, block_on};

use super::ids::{distinct_id_digits, short_id_digits};
use super::store::Location;
use crate::args::ListArgs;
use crate::failure::Stop;
use crate::filter::TypedFilter;
use crate::output::Output;
use crate::render::colour::Paint;
use crate::render::duration::format_ms;
use crate::render::table::{Cell, Column, painted, table};
use crate::render::time;
use crate::resolve::trace_filter;

pub(super) fn run(location: &Location, args: &ListArgs) -> Result<()> {
    let out = Output::new(&args.output);
    let typed = TypedFilter::read(args.filter_text.as_deref(), &args.filter.conditions)?;
    let filter = trace_filter(&args.filter, typed.filter.clone(), args.limit, &out.zone)?;
    let store = location.open()?;
    let traces = block_on(store.list_traces(filter))?;
    let digits = |ids: &[TraceId]| match location.is_remote() {
        true => distinct_id_digits(ids),
        false => short_id_digits(&*store, ids),
    };
    out.list(&traces, || rows(&out, digits, &traces))?;
    typed.remark_unknown_keys(&*store, traces.is_empty())?;
    if traces.is_empty() {
        return Err(Stop::nothing("no trace matches"));
    }
    Ok(())
}

fn rows(out: &Output, digits: impl Fn(&[TraceId]) -> usize, traces: &[TraceSummary]) -> String {
    if traces.is_empty() {
        return String::new();
    }
    let columns = [
        ("time", Column::Fixed),
        ("trace", Column::Fixed),
        ("name", Column::Text),
        ("service", Column::Shared),
        ("duration", Column::Number),
        ("spans", Column::Number),
        ("status", Column::Fixed),
    ];
    let ids: Vec<TraceId> = traces.iter().map(|trace| trace.trace.trace_id).collect();
    let digits = digits(&ids);
    let rows = traces.iter().zip(ids).map(|(trace, id)| {
        vec![
            time::seconds(trace.trace.start_time, &out.zone).into(),
            painted(Paint::Accent, &id.to_string()[..digits]),
            trace.root_name.as_str().into(),
            trace.service_name.as_str().into(),
            duration(trace.duration_ms),
            trace.span_count.to_string().into(),
            status(trace.status, trace.state),
        ]
    });
    table(out, &columns, rows.collect())
}

pub(super) fn duration(ms: Option<f64>) -> Cell {
    ms.map_or_else(|| painted(Paint::Dim, "-"), |ms| format_ms(ms).into())
}

pub(super) fn status(status: Option<SpanStatus>, state: SpanState) -> Cell {
    match (status, state) {
        (Some(SpanStatus::Error), _) => painted(Paint::Bad, "error"),
        (_, SpanState::Running) => painted(Paint::Warn, "running"),
        (_, SpanState::Abandoned) => painted(Paint::Warn, "abandoned"),
        (Some(SpanStatus::Ok), _) => painted(Paint::Good, "ok"),
        (None, SpanState::Ended) => "-".into(),
    }
}
