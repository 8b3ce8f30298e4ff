//! The spans of one trace as columns: below 50 bytes per span, so that a page can hold 100,000 of
//! them.

use axum::extract::rejection::PathRejection;
use axum::extract::{Path, State};
use axum::response::Response;
use serde::Serialize;
use spanscope_model::{
    Cursor, OrderKey, PriceTable, Severity, SpanId, SpanKind, SpanState, SpanStatus, SpanUsage, Timestamp,
    TraceFilter, TraceId, TraceShape, TraceStore, UsageRow,
};
use spanscope_runs::{StepKind, Waterfall};

use super::command::Command;
use super::params::{Q, filter, order};
use super::router::Pages;
use super::traces::currency;
use crate::answer::{ApiError, json};
use crate::api::{Parameter, Takes};
use crate::caller::ScopedStore;
use crate::runs::QueryParams;

/// Maximum number of rows of a response.
const MAX_ROWS: u64 = 100_000;
/// Maximum number of events that are drawn.
const MAX_EVENTS: u64 = 20_000;
/// Maximum number of rows that a search returns; it counts the others.
const MAX_FOUND: u64 = 10_000;
/// The longest trace in nanoseconds that browsers can count exactly; a longer one is in
/// milliseconds.
const MAX_NANOS: i64 = 1 << 53;
const NANOS_OF_MILLI: i64 = 1_000_000;

const ROWS: Parameter = Parameter::query(
    "limit",
    Takes::Number(MAX_ROWS, 1, MAX_ROWS),
    "Maximum number of spans; from a larger trace, the upper levels, errors and model calls are chosen.",
);
const BELOW: Parameter = Parameter::query(
    "below",
    Takes::Pattern("^((?!0{16}$)[0-9a-f]{16})?$"),
    "Only this span and its descendants.",
);
pub(super) const PARAMETERS: [Parameter; 2] = [ROWS, BELOW];
pub(super) const FIND: [Parameter; 1] = [Q];

/// Times are relative to `start`, in `unit`. Words are abbreviated to one letter a row.
#[derive(Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[cfg_attr(feature = "schema", schemars(rename = "TraceShape"))]
pub(super) struct Shape {
    trace_id: TraceId,
    /// The cursor from which to follow the trace.
    cursor: String,
    /// The unit of times: `ns` or `ms`.
    unit: &'static str,
    start: Timestamp,
    duration: i64,
    state: SpanState,
    /// The number of stored spans.
    stored: usize,
    /// The previous trace by start; null if only a part is shown.
    older: Option<TraceId>,
    /// The next trace by start.
    newer: Option<TraceId>,
    /// The number of rows in this response.
    n: usize,
    /// The span ids: 16 digits for each row.
    ids: String,
    /// The row of the parent; -1 if there is none.
    parent: Vec<i64>,
    /// Rows whose parents are not stored, and the ids of those parents.
    missing: Vec<(usize, SpanId)>,
    /// The start of each row, as the difference to that of the row before: fewer digits.
    start_steps: Vec<i64>,
    dur: Vec<Option<i64>>,
    /// A unique number for each row, as span ids can repeat: the difference to the row before.
    number_steps: Vec<i64>,
    names: Vec<String>,
    name: Vec<u32>,
    services: Vec<String>,
    service: Vec<u32>,
    /// The kind: i(nternal), s(erver), c(lient), p(roducer), or o for consumer.
    kind: String,
    /// The state: e(nded), r(unning), a(bandoned).
    state_of: String,
    /// The step: a(gent), w(orkflow), l(lm), r(etrieval), t(ool), m(essage), n(ode), or h for
    /// thinking.
    step: String,
    /// Rows that failed.
    errors: Vec<usize>,
    tokens: Tokens,
    models: Vec<String>,
    currency: Option<String>,
    dots: Dots,
    /// The critical path: row (-1: none), from, to.
    critical: Vec<(i64, i64, i64)>,
    critical_sum: CriticalSum,
    /// Omitted spans: row (-1: whole trees), number of omitted spans below it, duration of the
    /// longest.
    folded: Vec<(i64, u64, i64)>,
    command: String,
}

#[derive(Serialize, Default)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[cfg_attr(feature = "schema", schemars(rename = "ShapeTokens"))]
struct Tokens {
    at: Vec<usize>,
    input: Vec<u64>,
    output: Vec<u64>,
    cached: Vec<u64>,
    model: Vec<usize>,
    cost: Vec<Option<f64>>,
}

#[derive(Serialize, Default)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[cfg_attr(feature = "schema", schemars(rename = "ShapeDots"))]
struct Dots {
    at: Vec<usize>,
    ns: Vec<i64>,
    /// The severity: v(erbose), d(ebug), i(nfo), w(arn), e(rror), c(ritical).
    severity: String,
    /// The number of omitted events.
    more: u64,
}

#[derive(Serialize, Default)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
struct CriticalSum {
    duration: i64,
    input: u64,
    output: u64,
    cost: Option<f64>,
}

pub(super) async fn get(
    State(pages): State<Pages>,
    ScopedStore(store): ScopedStore,
    trace_id: Result<Path<String>, PathRejection>,
    params: QueryParams,
) -> Result<Response, ApiError> {
    params.only(&PARAMETERS)?;
    let trace_id = id_of(trace_id?)?;
    let limit = params.number(&PARAMETERS, ROWS.name)?;
    let below: Option<SpanId> = params.word(BELOW.name)?;
    let shape = store.trace_shape(trace_id, MAX_EVENTS).await?;
    let start = shape.spans.iter().map(|span| span.start).min();
    let (older, newer) = match start.filter(|_| below.is_none()) {
        Some(start) => adjacent(&*store, trace_id, start).await?,
        None => (None, None),
    };
    // A large trace takes a tenth of a second, in which this thread could serve others.
    let drawn = tokio::task::spawn_blocking(move || {
        let limit = usize::try_from(limit).unwrap_or(usize::MAX);
        let waterfall = Waterfall::of(&shape, limit, below)?;
        let columns = columns(trace_id, shape, &waterfall, below, pages.prices());
        Some(Shape {
            older,
            newer,
            ..columns
        })
    });
    match drawn.await {
        Ok(Some(shape)) => json(shape).await,
        Ok(None) => Err(spanscope_model::StoreError::not_found("the trace has no span of this id").into()),
        Err(_) => Err(ApiError::shutting_down()),
    }
}

/// Returns the traces that began right before and right after a trace.
async fn adjacent(
    store: &dyn TraceStore,
    trace_id: TraceId,
    start: Timestamp,
) -> Result<(Option<TraceId>, Option<TraceId>), ApiError> {
    /// Maximum number of traces that begin at the same time.
    const TIED: u64 = 16;
    let before = TraceFilter::default().before((start, trace_id)).limit(1);
    let from_then = TraceFilter::default()
        .since(start)
        .order_by(vec![order(OrderKey::StartTime, false)])
        .limit(TIED);
    let older = store.list_traces(before).await?.pop();
    let newer = store.list_traces(from_then).await?;
    let mut newer = newer.into_iter().map(|found| found.trace);
    let newer = newer.find(|trace| (trace.start_time, trace.trace_id) > (start, trace_id));
    Ok((
        older.map(|found| found.trace.trace_id),
        newer.map(|trace| trace.trace_id),
    ))
}

/// Parses a whole trace id.
pub(super) fn id_of(Path(text): Path<String>) -> Result<TraceId, ApiError> {
    text.parse()
        .map_err(|error| ApiError::invalid(format!("{error}")))
}

fn columns(
    trace_id: TraceId,
    shape: TraceShape,
    waterfall: &Waterfall,
    below: Option<SpanId>,
    prices: Option<&PriceTable>,
) -> Shape {
    let base = waterfall.start.as_nanos();
    let whole = waterfall.end.as_nanos().saturating_sub(base);
    let is_long = whole > MAX_NANOS;
    let length = |nanos: i64| if is_long { nanos / NANOS_OF_MILLI } else { nanos };
    let since = |time: Timestamp| length(time.as_nanos().saturating_sub(base));
    let spans = || waterfall.spans.iter().map(|index| &shape.spans[*index]);
    let row_index = |row: Option<usize>| row.and_then(|row| i64::try_from(row).ok()).unwrap_or(-1);
    let (tokens, models) = tokens(&shape, waterfall, prices);
    let critical: Vec<_> = waterfall
        .critical
        .iter()
        .map(|segment| (row_index(segment.row), since(segment.from), since(segment.to)))
        .collect();
    let has_cost = tokens.cost.iter().any(Option::is_some);
    let state = match waterfall.spans.iter().map(|index| shape.spans[*index].state) {
        mut states if states.clone().any(|state| state == SpanState::Running) => {
            states.find(|state| *state == SpanState::Running)
        }
        mut states => states.find(|state| *state == SpanState::Abandoned),
    };
    let whole_id = trace_id.to_string();
    let id = below.map_or_else(|| whole_id.clone(), |span| span.to_string());
    Shape {
        trace_id,
        cursor: Cursor::to_string(&shape.upto),
        unit: if is_long { "ms" } else { "ns" },
        start: waterfall.start,
        duration: length(whole),
        state: state.unwrap_or(SpanState::Ended),
        stored: shape.spans.len(),
        older: None,
        newer: None,
        n: waterfall.spans.len(),
        ids: spans().map(|span| span.span_id.to_string()).collect(),
        parent: waterfall
            .parents
            .iter()
            .map(|parent| row_index(*parent))
            .collect(),
        missing: waterfall.missing.clone(),
        start_steps: steps(spans().map(|span| since(span.start))),
        dur: spans().map(|span| span.duration_nanos.map(length)).collect(),
        number_steps: steps(spans().map(|span| i64::try_from(span.number).unwrap_or(i64::MAX))),
        name: spans().map(|span| span.name).collect(),
        service: spans().map(|span| span.service).collect(),
        kind: spans().map(|span| kind(span.kind)).collect(),
        state_of: spans().map(|span| state_letter(span.state)).collect(),
        step: spans().map(|span| step(span.step)).collect(),
        errors: spans()
            .enumerate()
            .filter(|(_, span)| span.status == Some(SpanStatus::Error))
            .map(|(row, _)| row)
            .collect(),
        dots: dots(&shape, waterfall, since),
        critical_sum: critical_sum(&tokens, &critical),
        critical,
        tokens,
        models,
        currency: currency(prices, has_cost),
        folded: waterfall
            .folded
            .iter()
            .map(|folded| (row_index(folded.row), folded.spans, length(folded.longest_nanos)))
            .collect(),
        names: shape.names,
        services: shape.services,
        command: Command::new("tree").argument(&id).finish(),
    }
}

/// Returns the difference of each value to the one before; the first value is unchanged.
fn steps(values: impl Iterator<Item = i64>) -> Vec<i64> {
    let mut before = 0;
    let step = |value: i64| value.saturating_sub(std::mem::replace(&mut before, value));
    values.map(step).collect()
}

/// Returns the letter of a kind.
pub(super) const fn kind(kind: SpanKind) -> char {
    match kind {
        SpanKind::Server => 's',
        SpanKind::Client => 'c',
        SpanKind::Producer => 'p',
        SpanKind::Consumer => 'o',
        SpanKind::Internal => 'i',
    }
}

/// Returns the letter of a state.
pub(super) const fn state_letter(state: SpanState) -> char {
    match state {
        SpanState::Running => 'r',
        SpanState::Abandoned => 'a',
        SpanState::Ended => 'e',
    }
}

/// Returns the letter of a span's step kind.
pub(super) fn step(word: &str) -> char {
    match word.parse() {
        Ok(StepKind::Agent) => 'a',
        Ok(StepKind::Workflow) => 'w',
        Ok(StepKind::LlmCall) => 'l',
        Ok(StepKind::Retrieval) => 'r',
        Ok(StepKind::ToolCall) => 't',
        Ok(StepKind::Thinking) => 'h',
        Ok(StepKind::Message) => 'm',
        Ok(StepKind::Node) | Err(_) => 'n',
    }
}

/// Returns the first row of each span id.
fn rows_by_id(shape: &TraceShape, waterfall: &Waterfall) -> std::collections::HashMap<SpanId, usize> {
    let mut rows = std::collections::HashMap::with_capacity(waterfall.spans.len());
    for (row, index) in waterfall.spans.iter().enumerate() {
        rows.entry(shape.spans[*index].span_id).or_insert(row);
    }
    rows
}

fn tokens(shape: &TraceShape, waterfall: &Waterfall, prices: Option<&PriceTable>) -> (Tokens, Vec<String>) {
    let mut models: Vec<String> = Vec::new();
    let mut tokens = Tokens::default();
    if shape.usage.is_empty() {
        return (tokens, models);
    }
    let rows = rows_by_id(shape, waterfall);
    let mut usage: Vec<(usize, &SpanUsage)> = shape
        .usage
        .iter()
        .filter_map(|usage| Some((*rows.get(&usage.span_id)?, usage)))
        .collect();
    usage.sort_by_key(|(row, _)| *row);
    for (row, usage) in usage {
        let model = models.iter().position(|model| *model == usage.model);
        let model = model.unwrap_or_else(|| {
            models.push(usage.model.clone());
            models.len() - 1
        });
        tokens.at.push(row);
        tokens.input.push(usage.input);
        tokens.output.push(usage.output);
        tokens.cached.push(usage.cached_read);
        tokens.model.push(model);
        tokens.cost.push(usage_row(usage).cost(prices));
    }
    (tokens, models)
}

/// Converts usage to the row from which its cost is computed.
pub(super) fn usage_row(usage: &SpanUsage) -> UsageRow {
    let mut row = UsageRow::new(String::new(), &usage.model, &usage.provider);
    row.input = usage.input;
    row.output = usage.output;
    row.total = usage.input.saturating_add(usage.output);
    row.cached_read = usage.cached_read;
    row.cached_write = usage.cached_write;
    row.reported_cost = usage.reported_cost;
    row
}

fn dots(shape: &TraceShape, waterfall: &Waterfall, since: impl Fn(Timestamp) -> i64) -> Dots {
    let mut dots = Dots {
        more: shape.more_events,
        ..Dots::default()
    };
    if shape.events.is_empty() {
        return dots;
    }
    let rows = rows_by_id(shape, waterfall);
    for event in &shape.events {
        let Some(row) = rows.get(&event.span_id) else {
            continue;
        };
        dots.at.push(*row);
        dots.ns.push(since(event.time));
        dots.severity.push(match event.severity {
            Severity::Verbose => 'v',
            Severity::Debug => 'd',
            Severity::Info => 'i',
            Severity::Warn => 'w',
            Severity::Error => 'e',
            Severity::Critical => 'c',
        });
    }
    dots
}

/// Returns the time, the tokens and the cost of the rows on the critical path.
fn critical_sum(tokens: &Tokens, critical: &[(i64, i64, i64)]) -> CriticalSum {
    let on_path: std::collections::HashSet<i64> = critical.iter().map(|(row, ..)| *row).collect();
    let mut sum = CriticalSum {
        duration: critical
            .iter()
            .filter(|(row, ..)| *row >= 0)
            .map(|(_, from, to)| to - from)
            .sum(),
        ..CriticalSum::default()
    };
    let mut is_known = true;
    for index in 0..tokens.at.len() {
        if !i64::try_from(tokens.at[index]).is_ok_and(|row| on_path.contains(&row)) {
            continue;
        }
        sum.input += tokens.input[index];
        sum.output += tokens.output[index];
        match tokens.cost[index] {
            Some(cost) => sum.cost = Some(sum.cost.unwrap_or(0.0) + cost),
            None => is_known = false,
        }
    }
    sum.cost = sum.cost.filter(|_| is_known);
    sum
}

#[derive(Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[cfg_attr(feature = "schema", schemars(rename = "FoundSpans"))]
pub(super) struct Found {
    /// The numbers of the matching rows of the trace's shape, ordered by start.
    numbers: Vec<u64>,
    total: u64,
}

pub(super) async fn find(
    ScopedStore(store): ScopedStore,
    trace_id: Result<Path<String>, PathRejection>,
    params: QueryParams,
) -> Result<Response, ApiError> {
    params.only(&FIND)?;
    let trace_id = id_of(trace_id?)?;
    let (filter, _) = filter(&params)?;
    let found = store.find_spans(trace_id, filter, MAX_FOUND).await?;
    json(Found {
        numbers: found.numbers,
        total: found.total,
    })
    .await
}
