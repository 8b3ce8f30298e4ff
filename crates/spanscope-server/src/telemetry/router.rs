//! The routes, each one query of the store.

use std::collections::BTreeMap;
use std::str::FromStr;
use std::sync::Arc;

use axum::extract::rejection::PathRejection;
use axum::extract::{DefaultBodyLimit, FromRef, Path, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::MethodFilter;
use axum::{Extension, Router};
use serde::Serialize;
use spanscope_model::{
    EvalTrace, MetricSeries, ParseIdError, Span, SpanNode, Trace, TraceFilter, TraceQuery, TraceStore,
};

use super::request_bodies::{LogEvent, QueryMetrics, QuerySpans, SaveSpans, SpanTree, depth, ttl};
use crate::answer::{ApiError, json};
use crate::api::{Api, Content, Route};
use crate::body::{JsonBody, MAX_BODY};
use crate::caller::{Caller, ScopedStore};
use crate::capability::Needs;
use crate::datasets::{DatasetWriter, Datasets, Export};
use crate::runs::{FILTERED, QueryParams};
use crate::store_log::logged;

type Parameters<T> = Result<Path<T>, PathRejection>;

/// The API's wrapper of lists and maps.
#[derive(Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[cfg_attr(feature = "schema", schemars(rename = "DataOf{T}"))]
struct Data<T> {
    data: T,
}

/// Serves Llama Stack's telemetry API, each route under `/v1` and without it:
///
/// | route | query of [`TraceStore`] |
/// |---|---|
/// | `POST /v1/telemetry/events` | [`log_event`](TraceStore::log_event), responds 204 |
/// | `POST /v1/telemetry/traces` | [`query_traces`](TraceStore::query_traces) |
/// | `GET /v1/telemetry/traces/{trace_id}` | [`get_trace`](TraceStore::get_trace) |
/// | `GET /v1/telemetry/traces/{trace_id}/spans/{span_id}` | [`get_span`](TraceStore::get_span) |
/// | `GET /v1/telemetry/traces/{trace_id}/eval-traces` | the rows of [`EvalTrace`] of its spans |
/// | `POST /v1/telemetry/spans/{span_id}/tree` | [`get_span_tree`](TraceStore::get_span_tree) |
/// | `POST /v1/telemetry/spans` | [`query_spans`](TraceStore::query_spans) |
/// | `POST /v1/telemetry/spans/export` | appends the spans of [`query_spans`](TraceStore::query_spans) to a dataset of [`telemetry_router_with`], responds 204 |
/// | `POST /v1/telemetry/metrics/{metric_name}` | [`query_metrics`](TraceStore::query_metrics) |
///
/// `POST /v1/telemetry/traces`, `/spans` and `/spans/export` accept the query parameter `filter`, a
/// [`Filter`](spanscope_model::filter::Filter) that must match the same span as the conditions of
/// the body.
///
/// Bodies and responses are JSON; a body has at most 1 MiB and the media type `application/json`. A
/// failure has its own status and `{"error": {"code", "message", "what_to_do"}}`, for an invalid
/// filter also `at`, the byte offset of the error, and `did_you_mean`: `invalid_input` 400,
/// `not_found` 404, `method_not_allowed` 405, `request_timeout` 408, `body_too_large` 413,
/// `unsupported_media_type` 415, `answer_too_large` 422, `overloaded` 429 and `store_unavailable`
/// 503 (both with `Retry-After`), `store_unusable` 500, `unsupported` 501, `datasets_full` and
/// `store_full` 507. The store's own error message is in the log of the process, as an `ERROR`
/// event, and not in the response.
///
/// A request is handled for its [`Caller`](crate::Caller). Without one, any client may read and
/// write everything: a server on this machine adds [`local_only`](crate::local_only), one that
/// others can reach [`with_tokens`](crate::with_tokens) or its own check.
///
/// ```
/// use std::sync::Arc;
/// use spanscope_server::{local_only, telemetry_router};
/// use spanscope_sqlite::SqliteStore;
///
/// # fn serve(path: &std::path::Path) -> Result<axum::Router, spanscope_model::StoreError> {
/// let store = SqliteStore::open(path)?;
/// let app = local_only(telemetry_router(Arc::new(store)));
/// # Ok(app)
/// # }
/// ```
pub fn telemetry_router(store: Arc<dyn TraceStore>) -> Router {
    routes(TelemetryState {
        store,
        datasets: None,
    })
}

/// Returns [`telemetry_router`] with a folder of datasets for `POST /v1/telemetry/spans/export`.
/// Without one that route responds `unsupported` (501).
///
/// ```
/// use std::sync::Arc;
/// use spanscope_model::TraceStore;
/// use spanscope_server::{Datasets, local_only, telemetry_router_with};
///
/// # fn app(store: Arc<dyn TraceStore>) -> axum::Router {
/// local_only(telemetry_router_with(store, Datasets::in_folder("datasets")))
/// # }
/// ```
pub fn telemetry_router_with(store: Arc<dyn TraceStore>, datasets: Datasets) -> Router {
    let datasets = Some(Arc::new(DatasetWriter::new(datasets)));
    routes(TelemetryState { store, datasets })
}

/// The state of the handlers.
#[derive(Clone)]
pub(crate) struct TelemetryState {
    store: Arc<dyn TraceStore>,
    datasets: Option<Arc<DatasetWriter>>,
}

impl FromRef<TelemetryState> for Arc<dyn TraceStore> {
    fn from_ref(state: &TelemetryState) -> Self {
        Arc::clone(&state.store)
    }
}

impl FromRef<TelemetryState> for Option<Arc<DatasetWriter>> {
    fn from_ref(state: &TelemetryState) -> Self {
        state.datasets.clone()
    }
}

fn routes(state: TelemetryState) -> Router {
    let routes = api()
        .into_router()
        .layer(DefaultBodyLimit::max(MAX_BODY))
        .with_state(state);
    logged(Router::new().nest("/v1", routes.clone()).merge(routes))
}

/// The routes, without a prefix.
pub(crate) fn api() -> Api<TelemetryState> {
    let get = |path, summary, answers| Route {
        method: MethodFilter::GET,
        path,
        summary,
        parameters: &[],
        reads: Content::None,
        answers,
        needs: None,
    };
    let filtered = |route: Route| Route {
        parameters: &FILTERED,
        ..route
    };
    let post = |path, summary, reads, answers| Route {
        method: MethodFilter::POST,
        path,
        summary,
        parameters: &[],
        reads,
        answers,
        needs: None,
    };
    Api::new()
        .route(
            post(
                "/telemetry/events",
                "Stores one event: a log, a measurement, the start or the end of a span.",
                Content::json::<LogEvent>(),
                Content::None,
            )
            .needing(Needs::Writes),
            log_event,
        )
        .route(
            filtered(post(
                "/telemetry/traces",
                "Traces that have a matching span.",
                Content::json::<TraceQuery>(),
                Content::json::<Data<Vec<Trace>>>(),
            )),
            query_traces,
        )
        .route(
            get(
                "/telemetry/traces/{trace_id}",
                "One trace.",
                Content::json::<Trace>(),
            ),
            get_trace,
        )
        .route(
            get(
                "/telemetry/traces/{trace_id}/spans/{span_id}",
                "One span, with its sender's resource and scope.",
                Content::json::<Span>(),
            ),
            get_span,
        )
        .route(
            get(
                "/telemetry/traces/{trace_id}/eval-traces",
                "The inputs and outputs of a trace's steps, as rows for an evaluation.",
                Content::json::<Data<Vec<EvalTrace>>>(),
            ),
            eval_traces,
        )
        .route(
            filtered(post(
                "/telemetry/spans",
                "Spans of the traces that have a matching span.",
                Content::json::<QuerySpans>(),
                Content::json::<Data<Vec<Span>>>(),
            )),
            query_spans,
        )
        .route(
            filtered(post(
                "/telemetry/spans/export",
                "Appends the matching spans to a dataset.",
                Content::json::<SaveSpans>(),
                Content::None,
            ))
            .needing(Needs::Datasets),
            save_spans,
        )
        .route(
            post(
                "/telemetry/spans/{span_id}/tree",
                "A span and its descendants, by span id.",
                Content::json::<SpanTree>(),
                Content::json::<Data<BTreeMap<String, SpanNode>>>(),
            ),
            get_span_tree,
        )
        .route(
            post(
                "/telemetry/metrics/{metric_name}",
                "The measurements of a metric, a series for each label set.",
                Content::json::<QueryMetrics>(),
                Content::json::<Data<Vec<MetricSeries>>>(),
            ),
            query_metrics,
        )
}

async fn log_event(
    ScopedStore(store): ScopedStore,
    JsonBody(LogEvent { event, ttl_seconds }): JsonBody<LogEvent>,
) -> Result<Response, ApiError> {
    store.log_event(event, ttl(ttl_seconds)?).await?;
    Ok(StatusCode::NO_CONTENT.into_response())
}

async fn eval_traces(
    ScopedStore(store): ScopedStore,
    trace_id: Parameters<String>,
) -> Result<Response, ApiError> {
    let spans = store.trace_spans(id(&trace_id?)?).await?;
    let data = EvalTrace::of_spans(&spans);
    json(Data { data }).await
}

async fn query_traces(
    ScopedStore(store): ScopedStore,
    params: QueryParams,
    JsonBody(query): JsonBody<TraceQuery>,
) -> Result<Response, ApiError> {
    let filter = (TraceFilter::try_from(query)?).filter(params.filter()?);
    let found = store.list_traces(filter).await?;
    let data: Vec<Trace> = found.into_iter().map(|summary| summary.trace).collect();
    json(Data { data }).await
}

async fn get_trace(
    ScopedStore(store): ScopedStore,
    trace_id: Parameters<String>,
) -> Result<Response, ApiError> {
    let trace = store.get_trace(id(&trace_id?)?).await?;
    json(trace).await
}

async fn get_span(
    ScopedStore(store): ScopedStore,
    ids: Parameters<(String, String)>,
) -> Result<Response, ApiError> {
    let Path((trace_id, span_id)) = ids?;
    let span = store.get_span(id(&trace_id)?, id(&span_id)?).await?;
    json(span).await
}

async fn get_span_tree(
    ScopedStore(store): ScopedStore,
    span_id: Parameters<String>,
    JsonBody(body): JsonBody<SpanTree>,
) -> Result<Response, ApiError> {
    let depth = depth(body.max_depth)?;
    let tree = store.get_span_tree(id(&span_id?)?, body.attributes_to_return, depth);
    let data = tree.await?;
    json(Data { data }).await
}

async fn query_spans(
    ScopedStore(store): ScopedStore,
    params: QueryParams,
    JsonBody(body): JsonBody<QuerySpans>,
) -> Result<Response, ApiError> {
    let depth = depth(body.max_depth)?;
    let filter = params.filter()?;
    let conditions = body.attribute_filters;
    let spans = store.query_spans(conditions, filter, body.attributes_to_return, depth);
    let data = spans.await?;
    json(Data { data }).await
}

async fn save_spans(
    ScopedStore(store): ScopedStore,
    State(datasets): State<Option<Arc<DatasetWriter>>>,
    caller: Option<Extension<Caller>>,
    params: QueryParams,
    JsonBody(body): JsonBody<SaveSpans>,
) -> Result<Response, ApiError> {
    let depth = depth(body.max_depth)?;
    let SaveSpans {
        attribute_filters,
        attributes_to_save,
        dataset_id,
        ..
    } = body;
    let Some(datasets) = datasets else {
        return Err(ApiError::unsupported("this server has no folder for datasets"));
    };
    let tenant = match &caller {
        Some(Extension(Caller::Tenant(tenant))) => Some(tenant),
        Some(Extension(Caller::Administrator)) | None => None,
    };
    let export = Export {
        conditions: attribute_filters,
        filter: params.filter()?,
        attributes: attributes_to_save,
        dataset_id,
        max_depth: depth,
    };
    datasets.export(&*store, tenant, export).await?;
    Ok(StatusCode::NO_CONTENT.into_response())
}

async fn query_metrics(
    ScopedStore(store): ScopedStore,
    metric: Parameters<String>,
    JsonBody(body): JsonBody<QueryMetrics>,
) -> Result<Response, ApiError> {
    let Path(metric) = metric?;
    let data = store.query_metrics(body.of(metric)?).await?;
    json(Data { data }).await
}

fn id<T: FromStr<Err = ParseIdError>>(text: &str) -> Result<T, ApiError> {
    text.parse()
        .map_err(|error: ParseIdError| ApiError::invalid(error.to_string()))
}
