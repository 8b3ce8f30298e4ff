//! Lists and histograms of traces.

use std::collections::HashMap;
use std::fmt::Write as _;
use std::hash::BuildHasher as _;

use axum::extract::State;
use axum::http::header::{ETAG, HeaderValue, IF_NONE_MATCH};
use axum::http::{HeaderMap, Uri};
use axum::response::Response;
use foldhash::fast::FixedState;
use serde::Serialize;
use spanscope_model::filter::Filter;
use spanscope_model::text::first_chars;
use spanscope_model::{
    Order, OrderKey, PriceTable, SpanId, SpanState, SpanStatus, Timestamp, TraceFilter, TraceId,
    TraceOverview, TraceStore, TraceSummary, UsageRow,
};

use super::command::Command;
use super::params::{
    BEFORE, BUCKETS, CommonParams, ERRORS, FROM, LIMIT, Q, RUNNING, Range, SERVICE, SINCE, TO, is_set,
    no_cursor, order, sorted,
};
use super::router::{Pages, not_modified};
use crate::answer::{ApiError, json};
use crate::api::{Parameter, Takes};
use crate::caller::{Caller, ScopedStore};
use crate::runs::QueryParams;

const SORT: Parameter = Parameter::query(
    "sort",
    Takes::Word(|| SORTS.iter().map(|(word, _)| *word).collect()),
    "The sort key; - sorts in descending order. `-start` by default.",
);
const SORTS: [(&str, Order); 6] = [
    ("-start", order(OrderKey::StartTime, true)),
    ("start", order(OrderKey::StartTime, false)),
    ("-duration", order(OrderKey::DurationMs, true)),
    ("duration", order(OrderKey::DurationMs, false)),
    ("-spans", order(OrderKey::SpanCount, true)),
    ("spans", order(OrderKey::SpanCount, false)),
];

pub(super) const LIST: [Parameter; 10] = [Q, SINCE, FROM, TO, SERVICE, ERRORS, RUNNING, SORT, LIMIT, BEFORE];
pub(super) const HISTOGRAM: [Parameter; 8] = [Q, SINCE, FROM, TO, SERVICE, ERRORS, RUNNING, BUCKETS];
pub(super) const WITHOUT: [Parameter; 7] = [Q, SINCE, FROM, TO, SERVICE, ERRORS, RUNNING];

/// Maximum length of error messages in lists, in characters.
const MAX_ERROR_CHARS: usize = 160;
/// Maximum age of an unchanged list: a trace becomes abandoned without a change of the store.
const ETAG_SECONDS: i64 = 15;

#[derive(Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[cfg_attr(feature = "schema", schemars(rename = "TracePage"))]
pub(super) struct Page {
    /// A version that increases with each change of the store.
    version: u64,
    now: Timestamp,
    currency: Option<String>,
    traces: Vec<Row>,
    /// The cursor of the next page.
    next: Option<String>,
    /// The command that prints these traces; null if there is none.
    command: Option<String>,
}

#[derive(Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[cfg_attr(feature = "schema", schemars(rename = "TraceRow"))]
struct Row {
    trace_id: TraceId,
    root_span_id: SpanId,
    root: String,
    service: String,
    start: Timestamp,
    duration_ns: Option<i64>,
    state: SpanState,
    status: Option<SpanStatus>,
    spans: u64,
    errors: u64,
    calls: u64,
    input: u64,
    output: u64,
    cached: u64,
    /// The cost; null if there was no call, or if the cost of one is unknown.
    cost: Option<f64>,
    /// Models that used tokens and have no price.
    unpriced: Vec<String>,
    models: Vec<String>,
    run: Option<String>,
    agent: Option<String>,
    session: Option<String>,
    user: Option<String>,
    error: Option<FirstError>,
}

#[derive(Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
struct FirstError {
    span_id: SpanId,
    name: String,
    text: String,
}

/// Reads the query that all three routes have in common.
fn query_of(params: &QueryParams) -> Result<(TraceFilter, Range, String), ApiError> {
    let CommonParams {
        filter,
        filter_text,
        range,
        service,
    } = CommonParams::read(params)?;
    let query = TraceFilter::default()
        .filter(filter)
        .since(range.from)
        .until(range.to)
        .service(service)
        .errors(is_set(params, &ERRORS)?)
        .running(is_set(params, &RUNNING)?);
    Ok((query, range, filter_text))
}

pub(super) async fn list(
    State(pages): State<Pages>,
    ScopedStore(store): ScopedStore,
    caller: Option<axum::Extension<Caller>>,
    headers: HeaderMap,
    uri: Uri,
    params: QueryParams,
) -> Result<Response, ApiError> {
    params.only(&LIST)?;
    let (mut query, range, filter_text) = query_of(&params)?;
    let limit = params.number(&LIST, LIMIT.name)?;
    let order = sorted(&params, &SORTS)?.unwrap_or(SORTS[0].1);
    let is_newest_first = order == SORTS[0].1;
    if !is_newest_first {
        query.order_by = vec![order];
    }
    match (params.text(BEFORE.name), is_newest_first) {
        (None, _) => {}
        (Some(cursor), true) => query.before = Some(parse_cursor(cursor)?),
        (Some(cursor), false) => query.offset = cursor.parse().map_err(|_| no_cursor(cursor))?,
    }
    // Read before the list, so that records that are stored meanwhile have a later version.
    let version = store.wait_for_change(0).await?;
    let now = Timestamp::now();
    let etag = etag(&pages, version, now, &uri, caller.as_deref());
    if headers
        .get_all(IF_NONE_MATCH)
        .iter()
        .any(|known| known == etag.as_str())
    {
        return Ok(not_modified(&etag));
    }
    query.limit = limit + 1;
    let (first, is_running_only) = (query.offset, query.running);
    let command = Command::new("traces")
        .range(&params, &range)
        .option("--service", query.service.as_deref())
        .flag("--errors", query.errors)
        .option(
            "--order-by",
            (!is_newest_first).then(|| order.to_string()).as_deref(),
        )
        .option("--limit", Some(&limit.to_string()))
        .filter(&filter_text);
    let mut found = store.list_traces(query).await?;
    let kept = usize::try_from(limit).unwrap_or(usize::MAX);
    let has_more = found.len() > kept;
    found.truncate(kept);
    let next = found
        .last()
        .filter(|_| has_more)
        .map(|last| match is_newest_first {
            true => format!("{}.{}", last.trace.start_time.as_nanos(), last.trace.trace_id),
            false => (first + limit).to_string(),
        });
    let rows = rows(&*store, found, pages.prices()).await?;
    let has_cost = rows.iter().any(|row| row.cost.is_some());
    let mut response = json(Page {
        version,
        now,
        currency: currency(pages.prices(), has_cost),
        traces: rows,
        next,
        // No command lists running traces alone, or the second page.
        command: (!is_running_only && params.text(BEFORE.name).is_none()).then(|| command.finish()),
    })
    .await?;
    if let Ok(etag) = HeaderValue::from_str(&etag) {
        response.headers_mut().insert(ETAG, etag);
    }
    Ok(response)
}

/// Returns the currency of costs: the price table's, or else that of reported costs.
pub(super) fn currency(prices: Option<&PriceTable>, has_cost: bool) -> Option<String> {
    match prices {
        Some(prices) => Some(prices.currency.clone()),
        None => has_cost.then(|| "USD".to_owned()),
    }
}

fn etag(pages: &Pages, version: u64, now: Timestamp, uri: &Uri, caller: Option<&Caller>) -> String {
    let tenant = match caller {
        Some(Caller::Tenant(tenant)) => tenant.as_str(),
        Some(Caller::Administrator) | None => "*",
    };
    let request = FixedState::with_seed(pages.started()).hash_one((uri.query(), tenant));
    let seconds = now.as_nanos() / 1_000_000_000 / ETAG_SECONDS;
    let mut etag = String::from("W/\"");
    // Writing to a `String` can't fail.
    let _ = write!(
        etag,
        "{:x}.{version:x}.{seconds:x}.{request:x}\"",
        pages.started()
    );
    etag
}

/// Reads the cursor of a page: the start and the id of its last trace.
fn parse_cursor(cursor: &str) -> Result<(Timestamp, TraceId), ApiError> {
    let read = || {
        let (start, trace_id) = cursor.split_once('.')?;
        let start = start.parse().ok().map(Timestamp::from_nanos)?;
        Some((start, trace_id.parse().ok()?))
    };
    read().ok_or_else(|| no_cursor(cursor))
}

async fn rows(
    store: &dyn TraceStore,
    found: Vec<TraceSummary>,
    prices: Option<&PriceTable>,
) -> Result<Vec<Row>, ApiError> {
    let ids = found.iter().map(|found| found.trace.trace_id).collect();
    let overviews = store.trace_overviews(ids).await?;
    let mut overviews: HashMap<TraceId, TraceOverview> = overviews
        .into_iter()
        .map(|overview| (overview.trace_id, overview))
        .collect();
    let rows = found.into_iter().map(|found| {
        let overview = overviews.remove(&found.trace.trace_id);
        row(found, overview, prices)
    });
    Ok(rows.collect())
}

fn row(found: TraceSummary, overview: Option<TraceOverview>, prices: Option<&PriceTable>) -> Row {
    let trace = found.trace;
    let (usage, error, run) = match overview {
        Some(overview) => (overview.usage, overview.error, overview.run.unwrap_or_default()),
        None => Default::default(),
    };
    let cost = Cost::of(&usage, prices);
    let sum = |of: fn(&UsageRow) -> u64| usage.iter().map(of).sum();
    let named = |text: String| Some(text).filter(|text| !text.is_empty());
    Row {
        trace_id: trace.trace_id,
        root_span_id: trace.root_span_id,
        root: found.root_name,
        service: found.service_name,
        start: trace.start_time,
        duration_ns: trace
            .end_time
            .map(|end| end.as_nanos().saturating_sub(trace.start_time.as_nanos()).max(0)),
        state: found.state,
        status: found.status,
        spans: found.span_count,
        errors: found.error_count,
        calls: sum(|row| row.calls),
        input: sum(|row| row.input),
        output: sum(|row| row.output),
        cached: sum(|row| row.cached_read),
        cost: cost.sum,
        unpriced: cost.unpriced,
        models: usage
            .iter()
            .map(|row| row.model.clone())
            .filter(|model| !model.is_empty())
            .collect(),
        run: named(run.task_id),
        agent: named(run.agent_id),
        session: named(run.session_id),
        user: named(run.user_id),
        error: error.map(|error| FirstError {
            span_id: error.span_id,
            name: error.name,
            text: first_chars(&error.message, MAX_ERROR_CHARS).to_owned(),
        }),
    }
}

/// The total cost of several rows.
pub(super) struct Cost {
    /// `None` if no row used tokens, or if the cost of one that did is unknown.
    pub(super) sum: Option<f64>,
    /// The models whose cost is unknown.
    pub(super) unpriced: Vec<String>,
}

impl Cost {
    pub(super) fn of(rows: &[UsageRow], prices: Option<&PriceTable>) -> Self {
        let mut sum = None;
        let mut unpriced = Vec::new();
        for row in rows.iter().filter(|row| row.has_tokens()) {
            match row.cost(prices) {
                Some(cost) => sum = Some(sum.unwrap_or(0.0) + cost),
                None => unpriced.push(row.model.clone()),
            }
        }
        Self {
            sum: sum.filter(|_| unpriced.is_empty()),
            unpriced,
        }
    }
}

#[derive(Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub(super) struct Histogram {
    from: Timestamp,
    to: Timestamp,
    /// Nanoseconds of a bucket.
    step_ns: i64,
    /// Every k-th record was counted, and the counts were multiplied by k; 1 is exact.
    every: u64,
    /// The total number of records.
    total: Total,
    series: Vec<Series>,
}

#[derive(Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[cfg_attr(feature = "schema", schemars(rename = "HistogramTotal"))]
struct Total {
    count: u64,
    /// Whether the number is exact, not extrapolated from a sample.
    exact: bool,
}

#[derive(Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[cfg_attr(feature = "schema", schemars(rename = "HistogramSeries"))]
struct Series {
    name: &'static str,
    counts: Vec<u64>,
}

impl Histogram {
    pub(super) fn new(range: spanscope_model::HistogramRange, found: spanscope_model::Histogram) -> Self {
        let counts = found.series.iter().flat_map(|(_, counts)| counts);
        let total = Total {
            count: counts.sum(),
            exact: found.every == 1,
        };
        let series = found.series.into_iter();
        Self {
            total,
            from: range.from,
            to: range.to,
            step_ns: range.step_nanos(),
            every: found.every,
            series: series.map(|(name, counts)| Series { name, counts }).collect(),
        }
    }
}

pub(super) async fn histogram(
    ScopedStore(store): ScopedStore,
    params: QueryParams,
) -> Result<Response, ApiError> {
    params.only(&HISTOGRAM)?;
    let (query, range, _) = query_of(&params)?;
    let range = range.buckets(&params, &*store).await?;
    let found = store.trace_histogram(query, range).await?;
    json(Histogram::new(range, found)).await
}

#[derive(Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub(super) struct Without {
    terms: Vec<WithoutTerm>,
}

#[derive(Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
struct WithoutTerm {
    /// A term of the filter, or the name of a parameter.
    term: String,
    /// The number of traces that match without it, up to 1,000.
    count: usize,
}

/// Maximum number of terms that are left out, one at a time.
const MAX_TERMS: usize = 8;
const MAX_COUNT: u64 = 1000;

/// Counts the traces without each term of a filter, to show which term excludes most.
pub(super) async fn without(
    ScopedStore(store): ScopedStore,
    params: QueryParams,
) -> Result<Response, ApiError> {
    params.only(&WITHOUT)?;
    let (query, _, filter_text) = query_of(&params)?;
    let mut others: Vec<(String, TraceFilter)> = Vec::new();
    let parsed = Filter::parse_ranges(&filter_text).map_err(|error| ApiError::wrong_filter(&error))?;
    for index in 0..parsed.len().min(MAX_TERMS) {
        let mut other = query.clone();
        other.filter.terms.remove(index);
        others.push((filter_text[parsed[index].0.clone()].to_owned(), other));
    }
    if query.errors {
        let other = query.clone().errors(false);
        others.push((ERRORS.name.to_owned(), other));
    }
    if query.running {
        let other = query.clone().running(false);
        others.push((RUNNING.name.to_owned(), other));
    }
    if query.service.is_some() {
        let other = query.clone().service(None::<String>);
        others.push((SERVICE.name.to_owned(), other));
    }
    let mut terms = Vec::new();
    for (term, mut other) in others {
        other.limit = MAX_COUNT;
        let count = store.list_traces(other).await?.len();
        terms.push(WithoutTerm { term, count });
    }
    terms.sort_by_key(|term| std::cmp::Reverse(term.count));
    json(Without { terms }).await
}
