//! The trace that [`AgentRun`](super::AgentRun) returns: read from the store when the run is
//! stored.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use serde_json::Value;
use spanscope_model::{
    RunRange, RunRecords, RunSpan, RunStatus, SpanId, SpanStatus, StoreError, StoreErrorKind, Timestamp,
    TraceStore,
};
use spanscope_runs::{DetailLevel, Run, TraceFormat};
use tokio::time::{Instant, timeout_at};

/// How long a trace waits for the run to be stored.
const STORED_WITHIN: Duration = Duration::from_secs(5);

/// The end of a run, as its own program knows it. The store learns it later: when the last task
/// that the run left running drops its span.
#[derive(Debug, Clone, Copy)]
pub(super) struct RunEnd {
    at: Timestamp,
    since: Instant,
    has_failed: bool,
}

impl RunEnd {
    pub(super) fn now(has_failed: bool) -> Self {
        Self {
            at: Timestamp::now(),
            since: Instant::now(),
            has_failed,
        }
    }
}

/// How long after the end of a run its trace waits for tasks that are still running.
const LEFT_RUNNING: Duration = Duration::from_secs(1);

pub(super) async fn trace_of(
    store: Arc<dyn TraceStore>,
    task_id: String,
    span_id: Option<SpanId>,
    known_end: Option<RunEnd>,
    format: TraceFormat,
    level: DetailLevel,
) -> Result<Value, StoreError> {
    let until = Instant::now() + STORED_WITHIN;
    let mut ended: Option<Instant> = None;
    let mut seen = 0;
    let records = loop {
        // Before the store is read, so that later writes wake this up.
        let left_open_at = known_end.map(|end| end.since + LEFT_RUNNING);
        let patience = match (ended, left_open_at) {
            (Some(ended), _) => ended + LEFT_RUNNING,
            (None, Some(left_open_at)) if Instant::now() < left_open_at => left_open_at.min(until),
            (None, _) => until,
        };
        match timeout_at(patience, store.wait_for_change(seen)).await {
            Ok(version) => seen = version?,
            Err(_) if ended.is_some() || Instant::now() < until => {}
            Err(_) => {
                return Err(StoreError::not_found(format!(
                    "the run {task_id:?} was not stored within {} s: a layer has to write the file of this store, and no level or rule \
                     may leave the run out",
                    STORED_WITHIN.as_secs()
                )));
            }
        }
        match store.run_records(task_id.clone(), RunRange::ALL).await {
            Ok(mut records) => {
                if let Some(span_id) = span_id {
                    only_below(&mut records, span_id);
                }
                let is_left_open = left_open_at.is_some_and(|at| at <= Instant::now());
                if is_left_open && let (Some(span_id), Some(end)) = (span_id, known_end) {
                    end_head(&mut records, span_id, end);
                }
                if is_ended(&records, span_id) {
                    let since = *ended.get_or_insert_with(Instant::now);
                    if records.open == 0 || is_left_open || since.elapsed() >= LEFT_RUNNING {
                        break records;
                    }
                }
            }
            Err(error) if error.is_not_found() => {}
            Err(error) => return Err(error),
        }
    };
    let written = tokio::task::spawn_blocking(move || Run::of(&records).session(format, level)).await;
    written.map_err(|error| {
        StoreError::new(StoreErrorKind::Unavailable, "the trace could not be written").with_source(error)
    })
}

/// Ends the run's span as its program did, if a task that it left running still holds the span.
fn end_head(records: &mut RunRecords, head: SpanId, end: RunEnd) {
    let mut spans = records.spans.iter_mut().map(|stored| &mut stored.span);
    if let Some(span) = spans.find(|span| span.span_id == head && span.end_time.is_none()) {
        span.end_time = Some(end.at.max(span.start_time));
        span.status = Some(match end.has_failed {
            true => SpanStatus::Error,
            false => SpanStatus::Ok,
        });
        records.open = records.open.saturating_sub(1);
    }
}

/// Returns whether the end of the run's span is stored.
fn is_ended(records: &RunRecords, span_id: Option<SpanId>) -> bool {
    match span_id {
        Some(span_id) => records
            .spans
            .iter()
            .any(|span| span.span.span_id == span_id && span.span.end_time.is_some()),
        None => records.info.status != RunStatus::Running,
    }
}

/// Reduces a trace to the spans at and below a span, as a separate run: the spans above belong to
/// the request, which is still running.
fn only_below(records: &mut RunRecords, head: SpanId) {
    let parents: HashMap<SpanId, Option<SpanId>> = records
        .spans
        .iter()
        .map(|span| (span.span.span_id, span.span.parent_span_id))
        .collect();
    let mut is_below: HashMap<SpanId, bool> = HashMap::from([(head, true)]);
    for id in parents.keys() {
        let mut path = Vec::new();
        let mut at = Some(*id);
        let found = loop {
            match at {
                None => break false,
                Some(id) => match is_below.get(&id) {
                    Some(known) => break *known,
                    None => {
                        // Parents that form a cycle do not lead to the head.
                        is_below.insert(id, false);
                        path.push(id);
                        at = parents.get(&id).copied().flatten();
                    }
                },
            }
        };
        for id in path {
            is_below.insert(id, found);
        }
    }
    let belongs = |id: &SpanId| is_below.get(id).copied().unwrap_or(false);
    records.spans.retain(|span| belongs(&span.span.span_id));
    records
        .events
        .retain(|event| event.span_id.as_ref().is_some_and(belongs));
    records.is_shared = false;
    records.open = 0;
    for RunSpan { span, .. } in &mut records.spans {
        records.open += u64::from(span.end_time.is_none());
        if span.span_id == head {
            span.parent_span_id = None;
            records.info.name.clone_from(&span.name);
            records.info.created_at = span.start_time;
            records.info.completed_at = span.end_time;
            records.info.updated_at = span.end_time.unwrap_or(span.start_time);
        }
    }
    records.info.span_count = records.spans.len() as u64;
    let failed = |span: &&RunSpan| span.span.status == Some(SpanStatus::Error);
    records.info.error_count = records.spans.iter().filter(failed).count() as u64;
}
