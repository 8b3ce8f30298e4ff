//! Resolves ids as users type them: a prefix of an id, a row of `tree`, or `last`.
//!
//! The ids of a program's spans count up, so the spans of one trace only differ in their last
//! digits, and an unambiguous prefix is hardly shorter than the id. A row number of the tree is
//! short, and means the same span in every command: none has to remember the output of another.

use std::collections::HashSet;

use anyhow::Result;
use spanscope_model::{IdMatch, SpanId, TraceFilter, TraceId, TraceStore, block_on};

use super::store::Location;
use crate::failure::Stop;
use crate::render::forest;
use crate::render::text::count;

/// The id of the newest trace, or the newest run.
pub(super) const LAST: &str = "last";

/// Resolves an id: `last` is the newest trace, `TRACE:ROW` the span in that row of the trace's
/// tree, anything else a trace or a span by a prefix of its id.
///
/// # Errors
/// Fails if nothing is found, or the id is ambiguous or invalid.
pub(super) fn resolve_id(store: &dyn TraceStore, id: &str) -> Result<IdMatch> {
    let id = id.trim().to_ascii_lowercase();
    match id.split_once(':') {
        Some((trace, row)) => span_in_row(store, &id, trace.trim(), row.trim()),
        None if id == LAST => Ok(IdMatch::Trace(newest(store)?.0)),
        None => Ok(block_on(store.resolve_id(id))?),
    }
}

/// Resolves an id of a span: `last` is the root of the newest trace.
pub(super) fn resolve_span(
    location: &Location,
    store: &dyn TraceStore,
    id: &str,
) -> Result<(TraceId, SpanId)> {
    if id.trim().eq_ignore_ascii_case(LAST) {
        return newest(store);
    }
    match resolve_id(store, id)? {
        IdMatch::Trace(trace) => Err(Stop::usage(format!(
            "{trace} is a trace: see its spans with `spanscope tree{} {trace}`, and name one by its row, as {trace}:1",
            location.flag()
        ))),
        IdMatch::Span(trace, span) => Ok((trace, span)),
    }
}

/// Returns the trace that started last, and its root.
fn newest(store: &dyn TraceStore) -> Result<(TraceId, SpanId)> {
    let newest = block_on(store.list_traces(TraceFilter::default().limit(1)))?;
    let Some(newest) = newest.into_iter().next() else {
        return Err(Stop::nothing(
            "no trace is stored: run a program that records one, or `spanscope demo`",
        ));
    };
    Ok((newest.trace.trace_id, newest.trace.root_span_id))
}

fn span_in_row(store: &dyn TraceStore, whole: &str, trace: &str, row: &str) -> Result<IdMatch> {
    let wrong = || {
        Stop::usage(format!(
            "{whole:?} is not a row of a trace: write TRACE:ROW as in 4bf92f35:3 or last:3; `spanscope tree` numbers the rows"
        ))
    };
    if trace.contains(':') || row.is_empty() || !row.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(wrong());
    }
    let trace = match resolve_id(store, trace)? {
        IdMatch::Trace(trace) => trace,
        IdMatch::Span(..) => return Err(wrong()),
    };
    let spans = block_on(store.trace_spans(trace))?;
    let rows = forest::rows(&spans);
    // A number that is too large is not a row.
    let row = row.parse::<usize>().ok();
    let found = rows.iter().position(|of_span| Some(*of_span) == row);
    match found.and_then(|at| spans.get(at)) {
        Some(span) => Ok(IdMatch::Span(trace, span.span_id)),
        None => Err(Stop::nothing(format!(
            "the trace {trace} has {}: give a row from 1 to {}",
            count(u64::try_from(spans.len()).unwrap_or(u64::MAX), "span"),
            spans.len()
        ))),
    }
}

/// Returns the number of digits to which these traces' ids can be shortened, so that each prefix
/// matches no other stored trace or span.
///
/// Ids begin with the second of their creation, so ids of a busy program share many digits.
pub(super) fn short_id_digits(store: &dyn TraceStore, traces: &[TraceId]) -> usize {
    let fits = |digits: usize| {
        traces.iter().all(|trace| {
            let short = trace.to_string()[..digits].to_owned();
            block_on(store.resolve_id(short)).is_ok_and(|found| found == IdMatch::Trace(*trace))
        })
    };
    [8, 10, 12, 18, 20, 24]
        .into_iter()
        .find(|digits| fits(*digits))
        .unwrap_or(TraceId::DIGITS)
}

/// How many digits tell these traces apart, without looking for other ones: a server would be asked
/// hundreds of times. An ambiguous id is refused by the command that gets it.
pub(super) fn distinct_id_digits(traces: &[TraceId]) -> usize {
    let whole: HashSet<&TraceId> = traces.iter().collect();
    let is_distinct = |digits: usize| {
        let short: HashSet<String> = whole
            .iter()
            .map(|id| id.to_string()[..digits].to_owned())
            .collect();
        short.len() == whole.len()
    };
    [16, 20, 24]
        .into_iter()
        .find(|digits| is_distinct(*digits))
        .unwrap_or(TraceId::DIGITS)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn traces_are_distinguished_by_no_more_digits_than_needed() {
        let id = |number: u128| TraceId::from_bytes(number.to_be_bytes());
        let ids = |numbers: &[u128]| {
            numbers
                .iter()
                .filter_map(|number| id(*number))
                .collect::<Vec<_>>()
        };
        assert_eq!(distinct_id_digits(&[]), 16);
        assert_eq!(distinct_id_digits(&ids(&[1 << 64, 2 << 64, 1 << 64])), 16);
        assert_eq!(distinct_id_digits(&ids(&[1 << 48, 2 << 48])), 20);
        assert_eq!(distinct_id_digits(&ids(&[1, 2])), TraceId::DIGITS);
    }
}
