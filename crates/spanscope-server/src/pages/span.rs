//! One span: attributes, events, links and errors; and a trace as a document of OTLP.

use std::collections::{BTreeMap, HashMap};
use std::time::Duration;

use axum::extract::rejection::PathRejection;
use axum::extract::{Path, State};
use axum::http::header::{CACHE_CONTROL, CONTENT_DISPOSITION, CONTENT_TYPE};
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use spanscope_model::semconv::{SemanticAttribute as A, is_exception_event};
use spanscope_model::text::cut;
use spanscope_model::{
    Attributes, LogEvent, LogFilter, NewEvent, NewSpan, Severity, Source, SourceRecords, Span, SpanId,
    SpanKind, SpanState, SpanStatus, StoreError, Timestamp, TraceFilter, TraceId, TraceStore, Value, wire,
};
use spanscope_runs::error_of;

use super::attributes::{Attribute, CutValue, listed, typed};
use super::command::Command;
use super::router::Pages;
use super::shape::{id_of, usage_row};
use crate::answer::{ApiError, json};
use crate::api::{Parameter, Takes};
use crate::caller::ScopedStore;
use crate::otlp::otlp_json;
use crate::runs::QueryParams;

/// Maximum length of values in bytes; the whole value can be requested separately.
const MAX_VALUE: usize = 16 * 1024;
/// Maximum number of events of one span.
const MAX_EVENTS: u64 = 1_000;
/// Maximum number of links; further ones are only counted.
const MAX_LINKS: usize = 50;
/// The age up to which spans of the same name are compared.
const COMPARED: Duration = Duration::from_secs(24 * 3600);
/// Maximum number of spans of a document; larger ones are exported by the command.
const MAX_EXPORTED: u64 = 20_000;

const KEY: Parameter = Parameter::query("key", Takes::AnyText, "The key of the attribute.");
pub(super) const VALUE: [Parameter; 1] = [KEY];

#[derive(Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[cfg_attr(feature = "schema", schemars(rename = "SpanDetails"))]
pub(super) struct Details {
    span_id: SpanId,
    trace_id: TraceId,
    parent_id: Option<SpanId>,
    name: String,
    kind: SpanKind,
    state: SpanState,
    status: Option<SpanStatus>,
    status_message: Option<String>,
    start: Timestamp,
    end: Option<Timestamp>,
    duration_ns: Option<i64>,
    service: String,
    target: Option<String>,
    category: Option<String>,
    level: Option<Severity>,
    attributes: Vec<Attribute>,
    /// Values that are truncated in this response, and those that were truncated when they were
    /// recorded.
    cut: Vec<CutValue>,
    /// Values that were truncated when they were recorded: key, original size in bytes.
    recorded_cut: Vec<(String, u64)>,
    resource: Vec<Attribute>,
    scope: Option<Scope>,
    trace_state: Option<String>,
    links: Vec<Link>,
    /// The number of omitted links.
    links_more: usize,
    events: Vec<Event>,
    /// Whether there are more events.
    events_more: bool,
    errors: Vec<Failure>,
    usage: Option<Usage>,
    command: String,
}

#[derive(Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[cfg_attr(feature = "schema", schemars(rename = "SpanScope"))]
struct Scope {
    name: String,
    version: String,
}

#[derive(Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[cfg_attr(feature = "schema", schemars(rename = "SpanLink"))]
struct Link {
    trace_id: TraceId,
    span_id: SpanId,
    /// The name of that trace's root; null if it is not stored.
    root: Option<String>,
    attributes: Vec<Attribute>,
}

#[derive(Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[cfg_attr(feature = "schema", schemars(rename = "SpanEventRow"))]
struct Event {
    id: String,
    time: Timestamp,
    /// Nanoseconds since the start of the span.
    ns: i64,
    name: String,
    severity: Severity,
    message: String,
    attributes: Vec<Attribute>,
}

#[derive(Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[cfg_attr(feature = "schema", schemars(rename = "SpanFailure"))]
struct Failure {
    #[serde(rename = "type")]
    kind: Option<String>,
    message: String,
    /// The causes, from the outermost to the innermost.
    causes: Vec<String>,
    stack: Option<String>,
}

#[derive(Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[cfg_attr(feature = "schema", schemars(rename = "SpanUsage"))]
struct Usage {
    model: String,
    provider: String,
    input: u64,
    output: u64,
    cached_read: u64,
    cached_write: u64,
    cost: Option<f64>,
}

pub(super) type Ids = Result<Path<(String, String)>, PathRejection>;

pub(super) fn ids(path: Ids) -> Result<(TraceId, SpanId), ApiError> {
    let Path((trace, span)) = path?;
    let span = span
        .parse()
        .map_err(|error| ApiError::invalid(format!("{error}")))?;
    Ok((id_of(Path(trace))?, span))
}

pub(super) async fn get(
    State(pages): State<Pages>,
    ScopedStore(store): ScopedStore,
    path: Ids,
    params: QueryParams,
) -> Result<Response, ApiError> {
    params.nothing()?;
    let (trace_id, span_id) = ids(path)?;
    let span = store.get_span(trace_id, span_id).await?;
    let mut events = store
        .list_logs(
            LogFilter::default()
                .trace_id(trace_id)
                .span_id(span_id)
                .oldest(true)
                .limit(MAX_EVENTS + 1),
        )
        .await?;
    let kept = usize::try_from(MAX_EVENTS).unwrap_or(usize::MAX);
    let events_more = events.len() > kept;
    events.truncate(kept);
    let links_more = span.links.len().saturating_sub(MAX_LINKS);
    let links = links(&*store, &span).await;
    let usage = usage(&*store, &pages, &span).await?;
    let (attributes, cut) = listed(&span.attributes, MAX_VALUE);
    let resource = span
        .resource
        .as_ref()
        .map(|resource| listed(resource, MAX_VALUE).0);
    json(Details {
        errors: failures(&span, &events),
        recorded_cut: recorded_cut(&span.attributes),
        events: events
            .into_iter()
            .map(|event| event_row(event, span.start_time))
            .collect(),
        duration_ns: span
            .end_time
            .map(|end| end.as_nanos().saturating_sub(span.start_time.as_nanos())),
        command: Command::new("span").argument(&span.span_id.to_string()).finish(),
        span_id: span.span_id,
        trace_id: span.trace_id,
        parent_id: span.parent_span_id,
        name: span.name,
        kind: span.kind,
        state: span.state,
        status: span.status,
        status_message: span.status_message,
        start: span.start_time,
        end: span.end_time,
        service: span.service_name,
        target: span.target,
        category: span.category,
        level: span.level,
        attributes,
        cut,
        resource: resource.unwrap_or_default(),
        scope: span.scope.map(|scope| Scope {
            name: scope.name,
            version: scope.version,
        }),
        trace_state: span.trace_state,
        links,
        links_more,
        events_more,
        usage,
    })
    .await
}

fn event_row(event: LogEvent, start: Timestamp) -> Event {
    Event {
        ns: event.timestamp.as_nanos().saturating_sub(start.as_nanos()),
        attributes: listed(&event.attributes, MAX_VALUE).0,
        message: cut(&event.message, MAX_VALUE).to_owned(),
        id: event.id,
        time: event.timestamp,
        name: event.name,
        severity: event.severity,
    }
}

/// Returns the links of a span, each with the name of its trace's root if that is stored.
async fn links(store: &dyn TraceStore, span: &Span) -> Vec<Link> {
    let mut roots: HashMap<TraceId, Option<String>> = HashMap::new();
    let mut links = Vec::new();
    for link in span.links.iter().take(MAX_LINKS) {
        let root = match roots.get(&link.trace_id) {
            Some(known) => known.clone(),
            None => {
                // If the name can't be read, the link is shown without it.
                let root = root_of(store, link.trace_id).await.ok().flatten();
                roots.insert(link.trace_id, root.clone());
                root
            }
        };
        links.push(Link {
            trace_id: link.trace_id,
            span_id: link.span_id,
            root,
            attributes: listed(&link.attributes, MAX_VALUE).0,
        });
    }
    links
}

async fn root_of(store: &dyn TraceStore, trace_id: TraceId) -> Result<Option<String>, StoreError> {
    let trace = match store.get_trace(trace_id).await {
        Ok(trace) => trace,
        Err(error) if error.is_not_found() => return Ok(None),
        Err(error) => return Err(error),
    };
    let root = store.get_span(trace_id, trace.root_span_id).await?;
    Ok(Some(root.name))
}

/// Returns the keys of values that were truncated when they were recorded, and their whole lengths.
fn recorded_cut(attributes: &Attributes) -> Vec<(String, u64)> {
    let prefix = wire::cut_length("");
    let cuts = attributes.iter().filter_map(|(key, value)| {
        let key = key.strip_prefix(prefix.as_str())?;
        match value {
            Value::I64(length) => Some((key.to_owned(), u64::try_from(*length).ok()?)),
            Value::U64(length) => Some((key.to_owned(), *length)),
            _ => None,
        }
    });
    cuts.collect()
}

/// Returns the errors of a span: its exception events, its own attributes, or else its status.
fn failures(span: &Span, events: &[LogEvent]) -> Vec<Failure> {
    let mut failures: Vec<Failure> = events
        .iter()
        .filter(|event| is_exception_event(&event.name) || has_exception(&event.attributes))
        .map(|event| failure(&event.attributes, &event.message))
        .collect();
    if has_exception(&span.attributes) {
        failures.push(failure(&span.attributes, ""));
    }
    if failures.is_empty()
        && let Some(message) = error_of(span)
    {
        failures.push(Failure {
            kind: text(&span.attributes, A::ErrorType),
            message: cut(&message, MAX_VALUE).to_owned(),
            causes: Vec::new(),
            stack: None,
        });
    }
    failures
}

fn has_exception(attributes: &Attributes) -> bool {
    let has = |meaning: A| attributes.get(meaning.name()).is_some();
    has(A::ExceptionType) || has(A::ExceptionMessage)
}

fn failure(attributes: &Attributes, message: &str) -> Failure {
    let chain = text(attributes, A::ExceptionChain);
    Failure {
        kind: text(attributes, A::ExceptionType),
        message: text(attributes, A::ExceptionMessage).unwrap_or_else(|| cut(message, MAX_VALUE).to_owned()),
        causes: chain
            .iter()
            .flat_map(|chain| chain.lines())
            .map(ToOwned::to_owned)
            .collect(),
        stack: text(attributes, A::ExceptionStacktrace),
    }
}

fn text(attributes: &Attributes, meaning: A) -> Option<String> {
    let value = attributes.get(meaning.name())?;
    Some(cut(&typed(value).1, MAX_VALUE).to_owned())
}

/// Returns the usage of a model call; `None` if the span is not a model call.
async fn usage(store: &dyn TraceStore, pages: &Pages, span: &Span) -> Result<Option<Usage>, ApiError> {
    // Only a span that reports tokens has measurements, which are found by the trace.
    if spanscope_model::semconv::SpanTokens::of(span.attributes.raw()).is_none() {
        return Ok(None);
    }
    let found = store.trace_usage(span.trace_id).await?;
    let usage = found.into_iter().find(|usage| usage.span_id == span.span_id);
    Ok(usage.map(|usage| Usage {
        cost: usage_row(&usage).cost(pages.prices()),
        model: usage.model,
        provider: usage.provider,
        input: usage.input,
        output: usage.output,
        cached_read: usage.cached_read,
        cached_write: usage.cached_write,
    }))
}

#[derive(Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[cfg_attr(feature = "schema", schemars(rename = "SpanAmong"))]
pub(super) struct Among {
    name: String,
    /// The time range of the spans that it is compared with, up to now: `24h`.
    since: &'static str,
    count: u64,
    p50_ns: u64,
    p95_ns: u64,
    /// The share of them that took less time; null if there are none.
    slower_than: Option<f64>,
}

#[expect(clippy::cast_precision_loss, reason = "a share is a float")]
pub(super) async fn among(
    ScopedStore(store): ScopedStore,
    path: Ids,
    params: QueryParams,
) -> Result<Response, ApiError> {
    params.nothing()?;
    let (trace_id, span_id) = ids(path)?;
    let span = store.get_span(trace_id, span_id).await?;
    let now = Timestamp::now();
    let end = span.end_time.unwrap_or(now);
    let nanos = end.as_nanos().saturating_sub(span.start_time.as_nanos());
    let rank = store
        .duration_rank(
            span.name.clone(),
            now.before(COMPARED),
            u64::try_from(nanos).unwrap_or(0),
        )
        .await?;
    json(Among {
        name: span.name,
        since: "24h",
        count: rank.count,
        p50_ns: rank.p50_nanos,
        p95_ns: rank.p95_nanos,
        slower_than: (rank.count > 0).then(|| rank.faster as f64 / rank.count as f64),
    })
    .await
}

pub(super) async fn value(
    ScopedStore(store): ScopedStore,
    path: Ids,
    params: QueryParams,
) -> Result<Response, ApiError> {
    params.only(&VALUE)?;
    let (trace_id, span_id) = ids(path)?;
    let key = params.text(KEY.name).unwrap_or_default();
    let span = store.get_span(trace_id, span_id).await?;
    let Some(value) = span.attributes.get(key) else {
        return Err(StoreError::not_found("the span has no attribute of this key").into());
    };
    // The name is not the key, which may be any text.
    let file = format!("attachment; filename=\"value-{span_id}.txt\"");
    let headers = [
        (CONTENT_TYPE, "text/plain; charset=utf-8".to_owned()),
        (CONTENT_DISPOSITION, file),
        (CACHE_CONTROL, "no-store".to_owned()),
    ];
    Ok((headers, typed(value).1).into_response())
}

/// Responds with a trace as an export request of OTLP.
pub(super) async fn export(
    ScopedStore(store): ScopedStore,
    trace_id: Result<Path<String>, PathRejection>,
    params: QueryParams,
) -> Result<Response, ApiError> {
    params.nothing()?;
    let trace_id = id_of(trace_id?)?;
    let summary = store
        .list_traces(
            TraceFilter::default()
                .filter(super::live::of_trace(trace_id))
                .limit(1),
        )
        .await?;
    if summary
        .first()
        .is_some_and(|summary| summary.span_count > MAX_EXPORTED)
    {
        return Err(StoreError::new(
            spanscope_model::StoreErrorKind::ResultTooLarge,
            format!("the trace has more than {MAX_EXPORTED} spans: run `spanscope export --to otlp-json {trace_id}`"),
        )
        .into());
    }
    let spans = store.trace_spans(trace_id).await?;
    let events = store
        .list_logs(LogFilter::default().trace_id(trace_id).limit(u64::from(u32::MAX)))
        .await?;
    let mut of_spans: HashMap<SpanId, Vec<NewEvent>> = HashMap::new();
    for event in events {
        if let Some(span) = event.span_id {
            of_spans.entry(span).or_default().push(NewEvent::new(event));
        }
    }
    let mut sources: BTreeMap<String, SourceRecords> = BTreeMap::new();
    for span in spans {
        if !sources.contains_key(&span.service_name) {
            // All spans of a program have the same resource, which a list of spans lacks.
            let whole = store.get_span(trace_id, span.span_id).await?;
            let source = Source::default()
                .service_name(span.service_name.clone())
                .resource(whole.resource.unwrap_or_default())
                .scope(whole.scope.unwrap_or_default());
            sources.insert(span.service_name.clone(), SourceRecords::default().source(source));
        }
        if let Some(records) = sources.get_mut(&span.service_name) {
            let events = of_spans.remove(&span.span_id).unwrap_or_default();
            records.spans.push(NewSpan::new(span).events(events));
        }
    }
    let records: Vec<SourceRecords> = sources.into_values().collect();
    let written = tokio::task::spawn_blocking(move || otlp_json(&records).into_iter().next());
    let Ok(Some(document)) = written.await else {
        return Err(ApiError::shutting_down());
    };
    let mut response = json(document).await?;
    let file = format!(
        "attachment; filename=\"trace-{}.json\"",
        &trace_id.to_string()[..8]
    );
    if let Ok(file) = file.parse() {
        response.headers_mut().insert(CONTENT_DISPOSITION, file);
    }
    Ok(response)
}
