//! Routes of runs with immediate responses.

use std::sync::Arc;
use std::time::Duration;

use axum::extract::rejection::PathRejection;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::Response;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use spanscope_model::{Cursor, RunFilter, RunInfo, RunRange, RunStatus, StoreError, Timestamp, TraceStore};
use spanscope_runs::{Run, RunEvent, format_event};

use super::query_params::{Events, QueryParams};
use super::state::Runs;
use crate::answer::{ApiError, json};
use crate::body::{Bounded, JsonBody};
use crate::caller::ScopedStore;

pub(super) type Parameters<T> = Result<Path<T>, PathRejection>;

#[derive(Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[cfg_attr(feature = "schema", schemars(rename = "RunPage"))]
pub(super) struct Page {
    total: u64,
    page: u64,
    page_size: u64,
    sessions: Vec<RunInfo>,
}

#[derive(Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub(super) struct EventPage {
    /// The requested events.
    events: Vec<Value>,
    /// The number of returned events.
    count: usize,
    /// The number of matching events.
    total: usize,
}

#[derive(Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub(super) struct DeletedRun {
    task_id: String,
    message: &'static str,
    /// The number of its spans.
    spans: u64,
}

/// The body of a cleanup.
#[derive(Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub(super) struct Cleanup {
    /// Runs that ended at least this number of days ago are deleted.
    #[serde(default = "a_week")]
    #[cfg_attr(feature = "schema", schemars(range(min = 0.0, max = MAX_DAYS)))]
    days: f64,
}

impl Bounded for Cleanup {}

/// Maximum age of a cleanup in days; no time is that old.
const MAX_DAYS: f64 = 1e6;

fn a_week() -> f64 {
    7.0
}

#[derive(Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub(super) struct Cleaned {
    /// The number of deleted runs.
    deleted: u64,
    message: String,
}

pub(super) async fn list(
    State(runs): State<Runs>,
    ScopedStore(store): ScopedStore,
    params: QueryParams,
) -> Result<Response, ApiError> {
    list_chosen(&runs, store, &params, |_| ()).await
}

pub(super) async fn list_of_agent(
    State(runs): State<Runs>,
    ScopedStore(store): ScopedStore,
    agent_id: Parameters<String>,
    params: QueryParams,
) -> Result<Response, ApiError> {
    let Path(agent_id) = agent_id?;
    list_chosen(&runs, store, &params, |filter| filter.agent_id = Some(agent_id)).await
}

pub(super) async fn list_of_session(
    State(runs): State<Runs>,
    ScopedStore(store): ScopedStore,
    session_id: Parameters<String>,
    params: QueryParams,
) -> Result<Response, ApiError> {
    let Path(session_id) = session_id?;
    list_chosen(&runs, store, &params, |filter| {
        filter.session_id = Some(session_id)
    })
    .await
}

async fn list_chosen(
    runs: &Runs,
    store: Arc<dyn TraceStore>,
    params: &QueryParams,
    choose: impl FnOnce(&mut RunFilter),
) -> Result<Response, ApiError> {
    let (mut filter, page, page_size) = params.runs()?;
    choose(&mut filter);
    filter.alive_since = Some(Timestamp::now().before(runs.settings.session_ttl));
    let found = store.list_runs(filter).await?;
    json(Page {
        total: found.total,
        page,
        page_size,
        sessions: found.runs,
    })
    .await
}

/// Returns whether a run ended longer ago than `ttl`. A running one never did.
fn ended_before(info: &RunInfo, ttl: Duration) -> bool {
    let oldest = Timestamp::now().before(ttl);
    match info.status {
        RunStatus::Running => false,
        _ => info.updated_at < oldest,
    }
}

/// Returns a run's info without its records.
pub(super) async fn info_of(
    runs: &Runs,
    store: &Arc<dyn TraceStore>,
    task_id: &str,
) -> Result<RunInfo, ApiError> {
    let nothing = RunRange::ALL.after(Cursor::END).upto(None::<Cursor>).limit(1);
    let info = store.run_records(task_id.to_owned(), nothing).await?.info;
    if ended_before(&info, runs.settings.session_ttl) {
        return Err(StoreError::not_found(format!(
            "the run ended more than {} days ago, and runs are available no longer",
            runs.settings.session_ttl.as_secs() / 86_400
        ))
        .into());
    }
    Ok(info)
}

/// Fails if a run's events have expired.
pub(super) fn check_events(runs: &Runs, info: &RunInfo) -> Result<(), ApiError> {
    if ended_before(info, runs.settings.event_ttl) {
        return Err(ApiError::new(
            StatusCode::GONE,
            "expired",
            format!(
                "the run ended more than {} days ago, and its events are available no longer",
                runs.settings.event_ttl.as_secs() / 86_400
            ),
            "request its summary, or its spans in the telemetry API; the server's operator sets how long events are available",
        ));
    }
    Ok(())
}

/// Reads a whole run and creates a response from it, on a blocking thread.
async fn answer<T: Serialize + Send + 'static>(
    store: &Arc<dyn TraceStore>,
    task_id: String,
    make: impl FnOnce(&Run) -> T + Send + 'static,
) -> Result<Response, ApiError> {
    let records = store.run_records(task_id, RunRange::ALL).await?;
    let made = tokio::task::spawn_blocking(move || make(&Run::of(&records))).await;
    json(made.map_err(|_| ApiError::shutting_down())?).await
}

pub(super) async fn get_run(
    State(runs): State<Runs>,
    ScopedStore(store): ScopedStore,
    task_id: Parameters<String>,
    params: QueryParams,
) -> Result<Response, ApiError> {
    let Path(task_id) = task_id?;
    let shape = params.shape()?;
    let info = info_of(&runs, &store, &task_id).await?;
    let level = shape.level_of(&info.trace_level);
    let is_expired = check_events(&runs, &info).is_err();
    answer(&store, task_id, move |run| {
        let mut session = run.session(shape.format, level);
        if is_expired && let Value::Object(session) = &mut session {
            for list in [
                "events",
                "timeline",
                "text_timeline",
                "llm_calls",
                "retrievals",
                "tool_calls",
            ] {
                if session.contains_key(list) {
                    session.insert(list.to_owned(), json!([]));
                }
            }
            session.insert("events_expired".to_owned(), true.into());
        }
        session
    })
    .await
}

pub(super) async fn get_events(
    State(runs): State<Runs>,
    ScopedStore(store): ScopedStore,
    task_id: Parameters<String>,
    params: QueryParams,
) -> Result<Response, ApiError> {
    let Path(task_id) = task_id?;
    let Events {
        types,
        component,
        limit,
        offset,
        shape,
    } = params.events()?;
    let info = info_of(&runs, &store, &task_id).await?;
    check_events(&runs, &info)?;
    let level = shape.level_of(&info.trace_level);
    answer(&store, task_id, move |run| {
        let is_requested = |event: &RunEvent| {
            let of_type = types
                .as_ref()
                .is_none_or(|types| types.contains(&event.event_type));
            let of_component = component.as_ref().is_none_or(|component| {
                event.component_id == *component
                    || event
                        .metadata
                        .span_id
                        .is_some_and(|span| span.to_string() == *component)
            });
            of_type && of_component
        };
        let events: Vec<_> = run.events(level).into_iter().filter(is_requested).collect();
        let count = |number: u64| usize::try_from(number).unwrap_or(usize::MAX);
        let page: Vec<Value> = events
            .iter()
            .skip(count(offset))
            .take(count(limit))
            .map(|event| format_event(event, shape.format, level))
            .collect();
        EventPage {
            count: page.len(),
            events: page,
            total: events.len(),
        }
    })
    .await
}

pub(super) async fn get_summary(
    State(runs): State<Runs>,
    ScopedStore(store): ScopedStore,
    task_id: Parameters<String>,
    params: QueryParams,
) -> Result<Response, ApiError> {
    let Path(task_id) = task_id?;
    let level = params.level()?;
    let info = info_of(&runs, &store, &task_id).await?;
    let level = level
        .or_else(|| info.trace_level.parse().ok())
        .unwrap_or_default();
    answer(&store, task_id, move |run| run.summary(level)).await
}

pub(super) async fn get_analysis(
    State(runs): State<Runs>,
    ScopedStore(store): ScopedStore,
    task_id: Parameters<String>,
    params: QueryParams,
) -> Result<Response, ApiError> {
    let Path(task_id) = task_id?;
    params.nothing()?;
    let info = info_of(&runs, &store, &task_id).await?;
    check_events(&runs, &info)?;
    answer(&store, task_id, |run| run.analysis()).await
}

pub(super) async fn delete_run(
    ScopedStore(store): ScopedStore,
    task_id: Parameters<String>,
    params: QueryParams,
) -> Result<Response, ApiError> {
    let Path(task_id) = task_id?;
    params.nothing()?;
    let spans = store.delete_run(task_id.clone()).await?;
    json(DeletedRun {
        task_id,
        message: "Trace deleted successfully",
        spans,
    })
    .await
}

pub(super) async fn clean_up(
    ScopedStore(store): ScopedStore,
    params: QueryParams,
    JsonBody(Cleanup { days }): JsonBody<Cleanup>,
) -> Result<Response, ApiError> {
    params.nothing()?;
    if !(0.0..=MAX_DAYS).contains(&days) {
        return Err(ApiError::invalid(format!(
            "days is {days}: give a number of days from 0 to {MAX_DAYS}"
        )));
    }
    let age = Duration::from_secs_f64(days * 86_400.0);
    let deleted = store.delete_runs_before(Timestamp::now().before(age)).await?;
    json(Cleaned {
        deleted,
        message: format!("Deleted {deleted} old trace sessions"),
    })
    .await
}
