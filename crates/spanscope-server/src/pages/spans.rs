//! Spans across traces.

use axum::response::Response;
use serde::Serialize;
use spanscope_model::text::first_chars;
use spanscope_model::{
    Order, OrderKey, SpanFilter, SpanId, SpanKind, SpanState, SpanStatus, Timestamp, TraceId,
};

use super::command::Command;
use super::params::{
    BEFORE, CommonParams, ERRORS, FROM, LIMIT, Q, SERVICE, SINCE, TO, is_set, no_cursor, order, sorted,
};
use crate::answer::{ApiError, json};
use crate::api::{Parameter, Takes};
use crate::caller::ScopedStore;
use crate::runs::QueryParams;

const SORT: Parameter = Parameter::query(
    "sort",
    Takes::Word(|| SORTS.iter().map(|(word, _)| *word).collect()),
    "The sort key; - sorts in descending order. By default the most recently stored spans come first.",
);
const SORTS: [(&str, Order); 4] = [
    ("-start", order(OrderKey::StartTime, true)),
    ("start", order(OrderKey::StartTime, false)),
    ("-duration", order(OrderKey::DurationMs, true)),
    ("duration", order(OrderKey::DurationMs, false)),
];
pub(super) const PARAMETERS: [Parameter; 9] = [Q, SINCE, FROM, TO, SERVICE, ERRORS, SORT, LIMIT, BEFORE];

/// Maximum length of messages in lists, in characters.
const MAX_MESSAGE_CHARS: usize = 300;

#[derive(Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[cfg_attr(feature = "schema", schemars(rename = "SpanPage"))]
pub(super) struct Page {
    spans: Vec<Row>,
    /// The cursor of the next page.
    next: Option<String>,
    command: Option<String>,
}

#[derive(Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[cfg_attr(feature = "schema", schemars(rename = "SpanRow"))]
struct Row {
    trace_id: TraceId,
    span_id: SpanId,
    name: String,
    service: String,
    kind: SpanKind,
    start: Timestamp,
    duration_ns: Option<i64>,
    state: SpanState,
    status: Option<SpanStatus>,
    status_message: Option<String>,
}

pub(super) async fn list(ScopedStore(store): ScopedStore, params: QueryParams) -> Result<Response, ApiError> {
    params.only(&PARAMETERS)?;
    let CommonParams {
        filter,
        filter_text,
        range,
        service,
    } = CommonParams::read(&params)?;
    let limit = params.number(&PARAMETERS, LIMIT.name)?;
    let order = sorted(&params, &SORTS)?;
    let cursor = params.text(BEFORE.name);
    let mut query = SpanFilter::default()
        .filter(filter)
        .since(range.from)
        .until(range.to)
        .service(service)
        .errors(is_set(&params, &ERRORS)?)
        .order_by(order.into_iter().collect())
        .limit(limit + 1);
    match (cursor, order) {
        (None, _) => {}
        (Some(cursor), None) => query.before = Some(parse_cursor(cursor)?),
        (Some(cursor), Some(_)) => query.offset = cursor.parse().map_err(|_| no_cursor(cursor))?,
    }
    let (first, is_first) = (query.offset, cursor.is_none());
    let command = Command::new("spans")
        .range(&params, &range)
        .option("--service", query.service.as_deref())
        .flag("--errors", query.errors)
        .option("--order-by", order.map(|order| order.to_string()).as_deref())
        .option("--limit", Some(&limit.to_string()))
        .filter(&filter_text);
    let mut found = store.list_spans(query).await?;
    let kept = usize::try_from(limit).unwrap_or(usize::MAX);
    let has_more = found.len() > kept;
    found.truncate(kept);
    let next = found.last().filter(|_| has_more).map(|last| match order {
        None => format!("{}.{}", last.trace_id, last.span_id),
        Some(_) => (first + limit).to_string(),
    });
    json(Page {
        next,
        command: is_first.then(|| command.finish()),
        spans: found
            .into_iter()
            .map(|span| Row {
                trace_id: span.trace_id,
                span_id: span.span_id,
                start: span.start_time,
                duration_ns: span
                    .end_time
                    .map(|end| end.as_nanos().saturating_sub(span.start_time.as_nanos())),
                name: span.name,
                service: span.service_name,
                kind: span.kind,
                state: span.state,
                status: span.status,
                status_message: span
                    .status_message
                    .map(|message| first_chars(&message, MAX_MESSAGE_CHARS).to_owned()),
            })
            .collect(),
    })
    .await
}

/// Reads the cursor of a page: the ids of its last span.
fn parse_cursor(cursor: &str) -> Result<(TraceId, SpanId), ApiError> {
    let read = || {
        let (trace, span) = cursor.split_once('.')?;
        Some((trace.parse().ok()?, span.parse().ok()?))
    };
    read().ok_or_else(|| no_cursor(cursor))
}
