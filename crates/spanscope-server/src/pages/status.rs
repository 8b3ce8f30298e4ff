//! The status of the server, and the search for the id of a trace, a span or a task.

use axum::extract::{Path, State};
use axum::response::Response;
use serde::Serialize;
use spanscope_model::{
    Cursor, IdMatch, RunRange, SpanId, StoreError, StoreErrorKind, Timestamp, TraceId, TraceStore,
};

use super::router::Pages;
use super::shell::{Mounted, redirect};
use crate::answer::{ApiError, json};
use crate::caller::{Caller, ScopedStore};
use crate::runs::QueryParams;

#[derive(Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[cfg_attr(feature = "schema", schemars(rename = "ServerStatus"))]
pub(super) struct Status {
    version: &'static str,
    /// The name of the store.
    store: Option<String>,
    /// Whether requests need a token.
    tokens: bool,
    /// The caller's tenant; null if the caller sees all tenants.
    tenant: Option<String>,
    /// Whether the server has a price table.
    prices: bool,
    currency: Option<String>,
    /// How long records are kept.
    retention_s: Option<u64>,
    can: Can,
    is_empty: bool,
    now: Timestamp,
    traces: u64,
    spans: u64,
    bytes: Option<u64>,
    /// The number of records that were dropped or lost.
    lost: Option<u64>,
    /// The options with which the command reads this store.
    db: Option<String>,
}

/// What not every store can do.
#[derive(Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[cfg_attr(feature = "schema", schemars(rename = "StoreCan"))]
struct Can {
    /// It accepts records.
    write: bool,
    /// Spans are in it before they end.
    run: bool,
    /// Values of attributes keep their types; otherwise they are texts.
    types: bool,
    /// The neighbours of a span are found, and the spans that link to it.
    around: bool,
}

pub(super) async fn get(
    State(pages): State<Pages>,
    ScopedStore(store): ScopedStore,
    caller: Option<axum::Extension<Caller>>,
    params: QueryParams,
) -> Result<Response, ApiError> {
    params.nothing()?;
    let tenant = match caller {
        Some(axum::Extension(Caller::Tenant(tenant))) => Some(tenant),
        _ => None,
    };
    let stats = pages.stats().of(tenant.as_ref(), &*store).await?;
    let capabilities = store.capabilities();
    json(Status {
        version: env!("CARGO_PKG_VERSION"),
        store: pages.store_name().map(ToOwned::to_owned),
        tokens: pages.sessions().needs_token(),
        prices: pages.prices().is_some(),
        currency: pages.prices().map(|prices| prices.currency.clone()),
        retention_s: capabilities.retention.map(|kept| kept.as_secs()),
        can: Can {
            write: capabilities.writes,
            run: capabilities.running_spans,
            types: capabilities.typed_attributes,
            around: capabilities.neighbours,
        },
        is_empty: stats.traces == 0,
        now: Timestamp::now(),
        traces: stats.traces,
        spans: stats.spans,
        bytes: stats.file.map(|_| stats.bytes),
        lost: stats.account.map(|account| account.dropped.lost() + account.lost),
        db: tenant.is_none().then(|| pages.command_options().to_owned()),
        tenant: tenant.map(|tenant| tenant.to_string()),
    })
    .await
}

#[derive(Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[cfg_attr(feature = "schema", schemars(rename = "IdMatch"))]
pub(super) struct Found {
    trace_id: TraceId,
    /// The span's id, if the prefix is that of a span.
    span_id: Option<SpanId>,
}

impl From<IdMatch> for Found {
    fn from(found: IdMatch) -> Self {
        match found {
            IdMatch::Trace(trace_id) => Self {
                trace_id,
                span_id: None,
            },
            IdMatch::Span(trace_id, span_id) => Self {
                trace_id,
                span_id: Some(span_id),
            },
        }
    }
}

pub(super) async fn find_id(
    ScopedStore(store): ScopedStore,
    path: Result<Path<String>, axum::extract::rejection::PathRejection>,
    params: QueryParams,
) -> Result<Response, ApiError> {
    params.nothing()?;
    let Path(prefix) = path?;
    json(find(&*store, prefix).await?).await
}

/// Returns the trace or the span whose id begins with the prefix, or the trace of the task with
/// this id. If the store has neither, the error is about traces, and may name the nearest ids.
async fn find(store: &dyn TraceStore, prefix: String) -> Result<Found, StoreError> {
    let error = match store.resolve_id(prefix.clone()).await {
        Ok(found) => return Ok(found.into()),
        Err(error) => error,
    };
    if !matches!(
        error.kind(),
        StoreErrorKind::NotFound | StoreErrorKind::InvalidInput
    ) {
        return Err(error);
    }
    let nothing = RunRange::ALL.after(Cursor::END).upto(None::<Cursor>).limit(1);
    match store.run_records(prefix, nothing).await {
        Ok(run) => Ok(Found {
            trace_id: run.info.trace_id,
            span_id: None,
        }),
        Err(_) => Err(error),
    }
}

/// `GET /ui/id/{prefix}` redirects to the trace of this id or task, or to the span in its trace.
pub(super) async fn to_id(
    ScopedStore(store): ScopedStore,
    mounted: Mounted,
    path: Result<Path<String>, axum::extract::rejection::PathRejection>,
) -> Result<Response, ApiError> {
    let Path(prefix) = path?;
    let found = find(&*store, prefix).await?;
    let to = match found.span_id {
        None => format!("traces/{}", found.trace_id),
        Some(span) => format!("traces/{}?span={span}", found.trace_id),
    };
    Ok(redirect(&mounted, &to))
}
