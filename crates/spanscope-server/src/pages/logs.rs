//! Log events: the newest ones, those around one event, and histograms.

use std::time::Duration;

use axum::response::Response;
use serde::Serialize;
use spanscope_model::text::cut;
use spanscope_model::{LogEvent, LogFilter, Severity, SpanId, Timestamp, TraceId, TraceStore};

use super::attributes::{Attribute, listed};
use super::command::Command;
use super::params::{
    BEFORE, BUCKETS, CommonParams, FROM, LIMIT, Q, Range, SERVICE, SINCE, TO, no_cursor, text,
};
use super::traces::Histogram;
use crate::answer::{ApiError, json};
use crate::api::{Parameter, Takes};
use crate::caller::ScopedStore;
use crate::runs::QueryParams;

const SEVERITY: Parameter = Parameter::query(
    "severity",
    Takes::Word(|| Severity::ALL.iter().map(|word| word.as_str()).collect()),
    "Only events of this severity or a higher one.",
);
const CATEGORY: Parameter = Parameter::query(
    "category",
    Takes::Text(1000),
    "Only events of this category or of one within it.",
);
const TRACE: Parameter = Parameter::query(
    "trace",
    Takes::Pattern("^((?!0{32}$)[0-9a-f]{32})?$"),
    "Only events of this trace.",
);
const SPAN: Parameter = Parameter::query(
    "span",
    Takes::Pattern("^((?!0{16}$)[0-9a-f]{16})?$"),
    "Only events of this span.",
);
const TIME: Parameter = Parameter::query("time", Takes::Time, "The time of the event in the middle.");
const ID: Parameter = Parameter::query("id", Takes::Text(80), "The id of the event in the middle.");

pub(super) const LIST: [Parameter; 11] = [
    Q, SINCE, FROM, TO, SEVERITY, SERVICE, CATEGORY, TRACE, SPAN, BEFORE, LIMIT,
];
pub(super) const HISTOGRAM: [Parameter; 10] = [
    Q, SINCE, FROM, TO, SEVERITY, SERVICE, CATEGORY, TRACE, SPAN, BUCKETS,
];
pub(super) const CONTEXT: [Parameter; 3] = [TIME, ID, SERVICE];

/// Maximum length of messages and values in lists, in bytes.
const MAX_MESSAGE: usize = 4096;
const MAX_VALUE: usize = 1024;
/// Maximum number of events on each side of an event that is shown in its context.
const AROUND: u64 = 50;
/// Maximum number of events with the same time in one page.
const MAX_TIED: u64 = 10_000;

#[derive(Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[cfg_attr(feature = "schema", schemars(rename = "LogPage"))]
pub(super) struct Page {
    logs: Vec<Row>,
    /// The cursor of the next page.
    next: Option<String>,
    command: Option<String>,
}

#[derive(Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[cfg_attr(feature = "schema", schemars(rename = "LogRow"))]
struct Row {
    id: String,
    time: Timestamp,
    severity: Severity,
    service: String,
    category: String,
    target: String,
    name: String,
    message: String,
    attributes: Vec<Attribute>,
    /// Whether the message or a value is truncated.
    cut: bool,
    trace_id: Option<TraceId>,
    span_id: Option<SpanId>,
}

fn row(event: LogEvent) -> Row {
    let (attributes, cuts) = listed(&event.attributes, MAX_VALUE);
    let message = cut(&event.message, MAX_MESSAGE);
    Row {
        cut: !cuts.is_empty() || message.len() < event.message.len(),
        message: message.to_owned(),
        id: event.id,
        time: event.timestamp,
        severity: event.severity,
        service: event.service_name,
        category: event.category,
        target: event.target,
        name: event.name,
        attributes,
        trace_id: event.trace_id,
        span_id: event.span_id,
    }
}

fn query_of(params: &QueryParams) -> Result<(LogFilter, Range, String), ApiError> {
    let CommonParams {
        filter,
        filter_text,
        range,
        service,
    } = CommonParams::read(params)?;
    let query = LogFilter::default()
        .min_severity(params.word(SEVERITY.name)?)
        .filter(filter)
        .since(range.from)
        .until(range.to)
        .service(service)
        .category(text(params, &CATEGORY))
        .trace_id(params.word(TRACE.name)?)
        .span_id(params.word(SPAN.name)?);
    Ok((query, range, filter_text))
}

pub(super) async fn list(ScopedStore(store): ScopedStore, params: QueryParams) -> Result<Response, ApiError> {
    params.only(&LIST)?;
    let (mut query, range, filter_text) = query_of(&params)?;
    let limit = params.number(&LIST, LIMIT.name)?;
    let cursor = params.text(BEFORE.name);
    if let Some(cursor) = cursor {
        let before = cursor.parse().map(Timestamp::from_nanos);
        let before = before.map_err(|_| no_cursor(cursor))?;
        query.until = Some(query.until.map_or(before, |until| until.min(before)));
    }
    let id = query.trace_id.map(|id| id.to_string());
    let id = query.span_id.map(|id| id.to_string()).or(id);
    let command = Command::new("logs")
        .range(&params, &range)
        .option("--severity", query.min_severity.map(Severity::as_str))
        .option("--service", query.service.as_deref())
        .option("--category", query.category.as_deref())
        .option("--trace", id.as_deref())
        .option("--limit", Some(&limit.to_string()))
        .filter(&filter_text);
    let is_first = cursor.is_none();
    let (found, next) = page(&*store, query, limit).await?;
    json(Page {
        logs: found.into_iter().rev().map(row).collect(),
        next,
        command: is_first.then(|| command.finish()),
    })
    .await
}

/// Returns up to `limit` events, oldest first, and the cursor of those before them. A page never
/// ends within events of one time, because the cursor is a time.
async fn page(
    store: &dyn TraceStore,
    mut query: LogFilter,
    limit: u64,
) -> Result<(Vec<LogEvent>, Option<String>), ApiError> {
    query.limit = limit + 1;
    let mut found = store.list_logs(query.clone()).await?;
    if u64::try_from(found.len()).is_ok_and(|found| found <= limit) {
        return Ok((found, None));
    }
    let first = found[0].timestamp;
    if found.iter().all(|event| event.timestamp == first) {
        query.limit = MAX_TIED;
        found = store.list_logs(query).await?;
        found.retain(|event| event.timestamp == first);
    } else {
        found.retain(|event| event.timestamp != first);
    }
    let next = found.first().map(|event| event.timestamp.as_nanos().to_string());
    Ok((found, next))
}

pub(super) async fn histogram(
    ScopedStore(store): ScopedStore,
    params: QueryParams,
) -> Result<Response, ApiError> {
    params.only(&HISTOGRAM)?;
    let (query, range, _) = query_of(&params)?;
    let range = range.buckets(&params, &*store).await?;
    let found = store.log_histogram(query, range).await?;
    json(Histogram::new(range, found)).await
}

#[derive(Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[cfg_attr(feature = "schema", schemars(rename = "LogContext"))]
pub(super) struct Context {
    /// Oldest first.
    logs: Vec<Row>,
    /// The index of the event in the middle; null if it is no longer stored.
    at: Option<usize>,
}

pub(super) async fn context(
    ScopedStore(store): ScopedStore,
    params: QueryParams,
) -> Result<Response, ApiError> {
    params.only(&CONTEXT)?;
    let Some(time) = params.time(TIME.name)? else {
        return Err(ApiError::invalid("time is missing: give the time of an event"));
    };
    let of_service = LogFilter::default().service(text(&params, &SERVICE));
    let before = of_service.clone().until(time).limit(AROUND);
    let mut events = store.list_logs(before).await?;
    events.extend(after(&*store, of_service, time).await?);
    let id = params.text(ID.name);
    let at = events.iter().position(|event| Some(event.id.as_str()) == id);
    json(Context {
        logs: events.into_iter().map(row).collect(),
        at,
    })
    .await
}

/// Returns the first events at this time or later. It tries short ranges first, so that the store
/// does not search all later events.
async fn after(
    store: &dyn TraceStore,
    of_service: LogFilter,
    time: Timestamp,
) -> Result<Vec<LogEvent>, ApiError> {
    const TIMES: [Option<Duration>; 3] = [Some(Duration::from_secs(1)), Some(Duration::from_secs(60)), None];
    let mut found = Vec::new();
    for length in TIMES {
        let nanos = length.map(|length| i64::try_from(length.as_nanos()).unwrap_or(i64::MAX));
        let until = nanos.map(|nanos| Timestamp::from_nanos(time.as_nanos().saturating_add(nanos)));
        let filter = of_service
            .clone()
            .since(time)
            .until(until)
            .oldest(true)
            .limit(AROUND + 1);
        found = store.list_logs(filter).await?;
        if u64::try_from(found.len()).is_ok_and(|found| found > AROUND) {
            break;
        }
    }
    Ok(found)
}
