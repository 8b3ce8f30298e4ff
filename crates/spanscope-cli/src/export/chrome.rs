//! Trace Event Format, a JSON array for chrome://tracing, Perfetto and Speedscope.
//!
//! In that format overlapping spans of one thread must be nested. Spans of async programs overlap
//! freely, so each trace is a process, and its spans are assigned to as few threads as possible, a
//! child to its parent's if it can be.

use std::collections::HashMap;

use anyhow::Result;
use serde_json::{Map, Value as Json, json};
use spanscope_model::{LogEvent, SourceRecords, Span, SpanId, SpanState, SpanStatus, Timestamp};

use super::form::Form;
use crate::output::json_line;

/// The format.
#[derive(Debug, Default)]
pub(super) struct Chrome {
    traces: u64,
    begun: bool,
}

impl Form for Chrome {
    fn head(&self) -> &'static str {
        "[\n"
    }

    /// Records outside traces can't be represented, nor can measurements.
    fn records(&mut self, records: &[SourceRecords]) -> Result<String> {
        let trace = &Recorded::of(records);
        let mut text = String::new();
        let Some(first) = trace.spans.iter().min_by_key(|span| span.start_time) else {
            return Ok(text);
        };
        self.traces += 1;
        let process = self.traces;
        let name = format!("{} {} {}", first.service_name, first.name, first.trace_id);
        self.push(
            &mut text,
            &json!({"name": "process_name", "ph": "M", "pid": process, "tid": 0, "args": {"name": name.trim()}}),
        )?;
        let lanes = lanes(&trace.spans);
        let last = last_moment(trace);
        let mut lane_of_span = HashMap::new();
        for (span, lane) in trace.spans.iter().zip(lanes) {
            lane_of_span.insert(span.span_id, lane);
            self.push(&mut text, &complete(span, process, lane, last))?;
        }
        for event in &trace.events {
            let lane = event
                .span_id
                .and_then(|span| lane_of_span.get(&span))
                .copied()
                .unwrap_or(0);
            self.push(&mut text, &instant(event, process, lane))?;
        }
        Ok(text)
    }

    fn foot(&self) -> &'static str {
        "]\n"
    }
}

/// One trace.
struct Recorded {
    /// Its spans, by start.
    spans: Vec<Span>,
    /// Its events, by time.
    events: Vec<LogEvent>,
}

impl Recorded {
    fn of(records: &[SourceRecords]) -> Self {
        let mut spans = Vec::new();
        let mut events = Vec::new();
        for of in records {
            for new in &of.spans {
                spans.push(new.span.clone());
                events.extend(new.events.iter().map(|new| new.event.clone()));
            }
            events.extend(of.events.iter().map(|new| new.event.clone()));
        }
        spans.sort_by_key(|span| (span.start_time, span.span_id));
        events.sort_by_key(|event| event.timestamp);
        Self { spans, events }
    }
}

impl Chrome {
    fn push(&mut self, text: &mut String, record: &Json) -> Result<()> {
        // The array is written trace by trace, so each record but the first begins with a comma.
        if std::mem::replace(&mut self.begun, true) {
            text.push(',');
        }
        text.push_str(&json_line(record)?);
        Ok(())
    }
}

fn complete(span: &Span, process: u64, lane: usize, last: Timestamp) -> Json {
    let mut args: Map<String, Json> = Map::new();
    args.insert("span_id".to_owned(), json!(span.span_id));
    if span.state != SpanState::Ended {
        args.insert("state".to_owned(), json!(span.state));
    }
    if let Some(status) = span.status {
        args.insert("status".to_owned(), json!(status));
    }
    if let Some(message) = &span.status_message {
        args.insert("status_message".to_owned(), json!(message));
    }
    for (key, value) in span.attributes.iter() {
        args.insert(key.to_owned(), json!(value));
    }
    let end = span.end_time.unwrap_or(last);
    let mut record = json!({
        "name": span.name,
        "cat": span.category.as_deref().unwrap_or("span"),
        "ph": "X",
        "ts": micros(span.start_time.as_nanos()),
        "dur": micros(end.as_nanos().saturating_sub(span.start_time.as_nanos()).max(0)),
        "pid": process,
        "tid": lane,
        "args": args,
    });
    if span.status == Some(SpanStatus::Error) {
        record["cname"] = json!("terrible");
    }
    record
}

fn instant(event: &LogEvent, process: u64, lane: usize) -> Json {
    let name = if event.message.is_empty() {
        &event.name
    } else {
        &event.message
    };
    json!({
        "name": name,
        "cat": "log",
        "ph": "i",
        "s": "t",
        "ts": micros(event.timestamp.as_nanos()),
        "pid": process,
        "tid": lane,
        "args": {"severity": event.severity, "attributes": event.attributes},
    })
}

#[expect(
    clippy::cast_precision_loss,
    reason = "the format's unit; quarters of a microsecond remain distinct"
)]
fn micros(nanos: i64) -> f64 {
    nanos as f64 / 1e3
}

fn last_moment(trace: &Recorded) -> Timestamp {
    let spans = trace
        .spans
        .iter()
        .map(|span| span.end_time.unwrap_or(span.start_time));
    spans
        .chain(trace.events.iter().map(|event| event.timestamp))
        .max()
        .unwrap_or_default()
}

/// Returns the thread of each span, from 1.
fn lanes(spans: &[Span]) -> Vec<usize> {
    let mut order: Vec<usize> = (0..spans.len()).collect();
    // Of two with the same start, the enclosing one comes first.
    order.sort_by_key(|&at| (spans[at].start_time, std::cmp::Reverse(end_of(&spans[at])), at));
    let mut open: Vec<Vec<Timestamp>> = Vec::new();
    let mut lanes = vec![0; spans.len()];
    let mut lane_of_span: HashMap<SpanId, usize> = HashMap::new();
    for at in order {
        let span = &spans[at];
        let parent_lane = span
            .parent_span_id
            .and_then(|parent| lane_of_span.get(&parent))
            .copied();
        let mut free = parent_lane
            .into_iter()
            .chain(0..open.len())
            .find(|&lane| fits(&mut open[lane], span));
        let lane = *free.get_or_insert_with(|| {
            open.push(Vec::new());
            open.len() - 1
        });
        open[lane].push(end_of(span));
        lane_of_span.insert(span.span_id, lane);
        lanes[at] = lane + 1;
    }
    lanes
}

/// Whether every span that is still open on this lane ends with the new span or later.
fn fits(open: &mut Vec<Timestamp>, span: &Span) -> bool {
    while open.last().is_some_and(|end| *end <= span.start_time) {
        open.pop();
    }
    open.last().is_none_or(|end| *end >= end_of(span))
}

fn end_of(span: &Span) -> Timestamp {
    span.end_time.unwrap_or(Timestamp::from_nanos(i64::MAX))
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test may panic")]
    use super::*;
    use crate::render::fixtures::span;

    #[test]
    fn overlapping_spans_are_nested_or_on_another_thread() {
        let spans = [
            span(1, 0, "root", 0, 100),
            span(2, 1, "a", 10, 50),
            span(3, 1, "b overlaps a", 30, 60),
            span(4, 3, "in b", 40, 10),
            span(5, 1, "after all", 95, 5),
        ];
        assert_eq!(lanes(&spans), [1, 1, 2, 2, 1]);
    }

    #[test]
    fn two_traces_make_one_array() {
        let mut form = Chrome::default();
        let trace = [
            SourceRecords::default().spans(vec![spanscope_model::NewSpan::new(span(1, 0, "root", 0, 100))])
        ];
        let text = [
            form.head(),
            &form.records(&trace).unwrap(),
            &form.records(&trace).unwrap(),
            form.foot(),
        ]
        .concat();
        let records: Vec<Json> = serde_json::from_str(&text).unwrap();
        assert_eq!(records.len(), 4);
        assert_eq!(records[3]["ts"], 1_700_000_000_000_000.0);
        assert_eq!(records[3]["dur"], 100_000.0);
        assert_eq!(records[3]["pid"], 2);
    }
}
