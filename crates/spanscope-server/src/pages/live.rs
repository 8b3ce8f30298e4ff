//! New records while a page is open, as server-sent events.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::extract::rejection::PathRejection;
use axum::extract::{Path, Request, State};
use axum::http::HeaderMap;
use axum::http::header::{CACHE_CONTROL, CONTENT_TYPE, HeaderName};
use axum::response::{IntoResponse, Response};
use futures_util::stream;
use serde::Serialize;
use spanscope_model::filter::{Comparison, Filter, FilterField, FilterKey, FilterOp, FilterTerm, FilterTest};
use spanscope_model::filter::{Pattern, Scalar};
use spanscope_model::text::first_chars;
use spanscope_model::{
    Cursor, Span, SpanId, SpanState, SpanStatus, StoredFilter, Timestamp, TraceFilter, TraceId, TraceStore,
};
use spanscope_runs::StepKind;
use tokio::sync::watch;
use tokio::time::{Instant, sleep_until, timeout};

use super::router::Pages;
use super::shape::{id_of, kind, state_letter, step};
use crate::answer::ApiError;
use crate::api::{Parameter, Takes};
use crate::caller::{Caller, ScopedStore};
use crate::permits::Permit;
use crate::runs::QueryParams;
use crate::stream_shutdown::Ends;

/// The time between two events of a stream: pages request new data at each.
const PAUSE: Duration = Duration::from_millis(250);
/// The interval of comments on an idle stream. Sending one fails if the client has left.
const KEEP_ALIVE_TIME: Duration = Duration::from_secs(15);
const KEEP_ALIVE: &str = ": nothing new\n\n";
/// Maximum number of records of each kind in one event.
const PAGE: u64 = 2_000;
/// The header by which a client resumes a stream.
const LAST_EVENT_ID: HeaderName = HeaderName::from_static("last-event-id");

const AFTER: Parameter = Parameter::query(
    "after",
    Takes::Pattern("^([0-9]{1,20}[.][0-9]{1,20}[.][0-9]{1,20})?$"),
    "The cursor of the trace's shape; by default the stream begins with the next stored record.",
);
pub(super) const PARAMETERS: [Parameter; 2] = [
    AFTER,
    Parameter::header(
        "last-event-id",
        Takes::Pattern("^[0-9]{1,20}[.][0-9]{1,20}[.][0-9]{1,20}$"),
        "The id of the last received event: the stream continues after it.",
    ),
];

/// The common parts of all open streams.
struct Open {
    store: Arc<dyn TraceStore>,
    ends: Option<watch::Receiver<bool>>,
    _permit: Permit,
}

impl Open {
    fn new(pages: &Pages, store: Arc<dyn TraceStore>, request: &Request) -> Result<Self, ApiError> {
        let tenant = match request.extensions().get::<Caller>() {
            Some(Caller::Tenant(tenant)) => Some(tenant.clone()),
            Some(Caller::Administrator) | None => None,
        };
        let permit = pages.streams().take(tenant);
        Ok(Self {
            store,
            ends: request.extensions().get::<Ends>().map(Ends::receiver),
            _permit: permit.map_err(|_| ApiError::overloaded("too many pages are open"))?,
        })
    }

    /// Waits for the store's next version. Returns `None` if there is none until this time, and an
    /// error if the stream is over.
    async fn next_version(&mut self, seen: u64, until: Instant) -> Result<Option<u64>, ()> {
        loop {
            let ends = async {
                match &mut self.ends {
                    Some(ends) => drop(ends.wait_for(|ends| *ends).await),
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                () = ends => return Err(()),
                () = sleep_until(until) => return Ok(None),
                version = self.store.wait_for_change(seen) => match version {
                    Ok(version) if version > seen => return Ok(Some(version)),
                    Ok(_) => {} // the store's own interval is over
                    Err(_) => return Err(()),
                },
            }
        }
    }
}

fn streamed(
    pieces: impl futures_util::Stream<Item = Result<Bytes, Infallible>> + Send + 'static,
) -> Response {
    let headers = [
        (CONTENT_TYPE, "text/event-stream; charset=utf-8"),
        (CACHE_CONTROL, "no-store"),
        // Proxies that buffer a response before they pass it on would delay live events.
        (HeaderName::from_static("x-accel-buffering"), "no"),
    ];
    (headers, Body::from_stream(pieces)).into_response()
}

/// The `data` of an event about a change of the store.
#[derive(Serialize)]
struct Change {
    version: u64,
}

pub(super) async fn changes(
    State(pages): State<Pages>,
    ScopedStore(store): ScopedStore,
    params: QueryParams,
    request: Request,
) -> Result<Response, ApiError> {
    params.nothing()?;
    let open = Open::new(&pages, store, &request)?;
    let pieces = stream::unfold((open, 0), async |(mut open, seen)| {
        if seen > 0 {
            tokio::time::sleep(PAUSE).await;
        }
        let until = Instant::now() + KEEP_ALIVE_TIME;
        let (piece, seen) = match open.next_version(seen, until).await.ok()? {
            Some(version) => (event(None, &Change { version })?, version),
            None => (Bytes::from_static(KEEP_ALIVE.as_bytes()), seen),
        };
        Some((Ok(piece), (open, seen)))
    });
    Ok(streamed(pieces))
}

/// Formats one event of a stream.
fn event<T: Serialize>(id: Option<Cursor>, data: &T) -> Option<Bytes> {
    let data = serde_json::to_string(data).ok()?; // JSON has no line ends in it
    Some(match id {
        Some(id) => format!("id: {id}\ndata: {data}\n\n").into(),
        None => format!("data: {data}\n\n").into(),
    })
}

/// The `data` of an event about new records of a trace.
#[derive(Serialize)]
struct TraceUpdate {
    new: Vec<Row>,
    /// Spans that an earlier event had without an end.
    ended: Vec<Row>,
    /// The number of new log events.
    events: usize,
    state: SpanState,
    duration_ns: Option<i64>,
    spans: u64,
    errors: u64,
}

#[derive(Serialize)]
struct Row {
    span_id: SpanId,
    parent_id: Option<SpanId>,
    name: String,
    service: String,
    kind: char,
    state: char,
    step: char,
    start: Timestamp,
    dur: Option<i64>,
    error: u8,
}

fn row(span: Span) -> Row {
    Row {
        span_id: span.span_id,
        parent_id: span.parent_span_id,
        kind: kind(span.kind),
        state: state_letter(span.state),
        step: step(StepKind::of(&span.attributes).as_str()),
        start: span.start_time,
        dur: span
            .end_time
            .map(|end| end.as_nanos().saturating_sub(span.start_time.as_nanos())),
        error: u8::from(span.status == Some(SpanStatus::Error)),
        name: span.name,
        service: span.service_name,
    }
}

/// The state of a stream of one trace.
struct Following {
    open: Open,
    trace_id: TraceId,
    cursor: Cursor,
    seen: u64,
    /// Whether the store has further records of the last change.
    has_more: bool,
    /// The trace's state in the last event.
    state: Option<SpanState>,
}

pub(super) async fn trace(
    State(pages): State<Pages>,
    ScopedStore(store): ScopedStore,
    trace_id: Result<Path<String>, PathRejection>,
    params: QueryParams,
    request: Request,
) -> Result<Response, ApiError> {
    params.only(&PARAMETERS[..1])?;
    let trace_id = id_of(trace_id?)?;
    store.get_trace(trace_id).await?;
    let cursor = match cursor_in(request.headers())? {
        Some(cursor) => cursor,
        None => match params.word(AFTER.name)? {
            Some(cursor) => cursor,
            None => store.latest().await?,
        },
    };
    let following = Following {
        open: Open::new(&pages, store, &request)?,
        trace_id,
        cursor,
        seen: 0,
        has_more: false,
        state: None,
    };
    let pieces = stream::unfold(following, async |mut following| {
        let piece = following.next().await?;
        Some((Ok(piece), following))
    });
    Ok(streamed(pieces))
}

fn cursor_in(headers: &HeaderMap) -> Result<Option<Cursor>, ApiError> {
    let text = headers.get(LAST_EVENT_ID).map(|id| id.to_str().unwrap_or("?"));
    match text.filter(|text| !text.is_empty()) {
        None => Ok(None),
        Some(text) => text.parse().map(Some).map_err(|_| {
            ApiError::invalid(format!(
                "last-event-id is {:?}, which is no id of an event of this server: send the id of the last event that \
                 you got, or none",
                first_chars(text, 80)
            ))
        }),
    }
}

impl Following {
    /// Returns the next piece of the stream; `None` if the server ends or the trace was deleted.
    async fn next(&mut self) -> Option<Bytes> {
        let until = Instant::now() + KEEP_ALIVE_TIME;
        loop {
            if !self.has_more {
                if self.seen > 0 {
                    tokio::time::sleep(PAUSE).await;
                }
                match self.open.next_version(self.seen, until).await.ok()? {
                    Some(version) => self.seen = version,
                    None => {
                        // The state changes without a new record if the program was killed.
                        let state = self.summary().await?.0;
                        if self.state.is_none_or(|sent| sent == state) {
                            return Some(Bytes::from_static(KEEP_ALIVE.as_bytes()));
                        }
                    }
                }
            }
            let filter = StoredFilter::default().trace_id(self.trace_id);
            let stored = self.open.store.stored_after(self.cursor, filter, PAGE);
            let stored = timeout(KEEP_ALIVE_TIME, stored).await.ok()?.ok()?;
            (self.cursor, self.has_more) = (stored.upto, stored.more);
            let (state, duration_ns, spans, errors) = self.summary().await?;
            let is_nothing = stored.spans.is_empty() && stored.ended.is_empty() && stored.events.is_empty();
            if is_nothing && self.state == Some(state) {
                continue;
            }
            self.state = Some(state);
            let update = TraceUpdate {
                new: stored.spans.into_iter().map(row).collect(),
                ended: stored.ended.into_iter().map(row).collect(),
                events: stored.events.len(),
                state,
                duration_ns,
                spans,
                errors,
            };
            return event(Some(self.cursor), &update);
        }
    }

    /// Returns state, duration, spans and errors of the trace.
    async fn summary(&self) -> Option<(SpanState, Option<i64>, u64, u64)> {
        let filter = TraceFilter::default().filter(of_trace(self.trace_id)).limit(1);
        let found = self.open.store.list_traces(filter).await.ok()?.pop()?;
        let trace = found.trace;
        let nanos = |end: Timestamp| end.as_nanos().saturating_sub(trace.start_time.as_nanos());
        Some((
            found.state,
            trace.end_time.map(nanos),
            found.span_count,
            found.error_count,
        ))
    }
}

/// Returns the filter `trace=ID`.
pub(super) fn of_trace(trace_id: TraceId) -> Filter {
    Filter {
        terms: vec![FilterTerm {
            negated: false,
            test: FilterTest::Compare(Comparison {
                key: FilterKey::Field(FilterField::Trace),
                op: FilterOp::Eq,
                values: vec![Pattern::Is(Scalar::Text(trace_id.to_string()))],
            }),
        }],
    }
}
