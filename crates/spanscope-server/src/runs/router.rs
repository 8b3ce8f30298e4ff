//! The routes of agent traces.

use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use axum::extract::rejection::PathRejection;
use axum::extract::{DefaultBodyLimit, FromRef, Path, Request, State};
use axum::http::header::{CACHE_CONTROL, CONTENT_TYPE, HeaderName};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::MethodFilter;
use futures_util::stream;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use spanscope_model::{RunCursor, RunFilter, RunInfo, RunRange, StoreError, Timestamp, TraceStore};
use spanscope_runs::{Analysis, Run, Summary, format_event};
use tokio::sync::Semaphore;

use super::RunSettings;
use super::asked::{Asked, Events};
use super::followed::{Ending, Hub};
use super::place::{Place, Within};
use super::places::Places;
use super::watcher::{Watcher, Watching};
use crate::answer::{ApiError, json};
use crate::api::{Api, Content, Route};
use crate::body::{Bounded, MAX_BODY, Question};
use crate::caller::{Caller, Seen};
use crate::limits::overloaded;
use crate::serve::Ends;

/// Each route is under these.
pub(crate) const PREFIXES: [&str; 2] = ["/api/v1", ""];
/// Clients that have to read a run from the store by themselves, at one time.
const REPLAYS: usize = 8;
const EVENT_STREAM: &str = "text/event-stream; charset=utf-8";

type Parameters<T> = Result<Path<T>, PathRejection>;

/// What the handlers share.
#[derive(Clone)]
pub(crate) struct Runs {
    store: Arc<dyn TraceStore>,
    settings: RunSettings,
    hub: Arc<Hub>,
    places: Arc<Places>,
    replays: Arc<Semaphore>,
}

impl FromRef<Runs> for Arc<dyn TraceStore> {
    fn from_ref(runs: &Runs) -> Self {
        Arc::clone(&runs.store)
    }
}

impl Runs {
    fn new(store: Arc<dyn TraceStore>, settings: RunSettings) -> Self {
        Self {
            store,
            settings,
            hub: Arc::default(),
            places: Arc::default(),
            replays: Arc::new(Semaphore::new(REPLAYS)),
        }
    }
}

/// Answers agent traces (seed 5, specification section 10), each route at the root and under `/api/v1`:
///
/// | route | answers |
/// |---|---|
/// | `GET /traces?agent_id&user_id&session_id&status&start_time&end_time&page&page_size` | a page of runs, and how many there are |
/// | `GET /traces/{task_id}?format&level` | the run: `streaming` (default), `compact`, `detailed` |
/// | `GET /traces/{task_id}/events?event_types&component_id&limit&offset&format&level` | events |
/// | `GET /traces/{task_id}/summary` | counts |
/// | `GET /traces/{task_id}/analysis` | time per component, critical path, bottlenecks, errors, recommendations |
/// | `GET /traces/{task_id}/stream?format&level` | server-sent events: what was, then what comes, then `[DONE]` |
/// | `DELETE /traces/{task_id}` | deletes the run |
/// | `POST /traces/cleanup` `{"days": 7}` | deletes the runs that ended so many days ago |
/// | `GET /agents/{agent_id}/traces`, `GET /sessions/{session_id}/traces` | the runs of one agent, of one conversation |
///
/// Levels are `minimal`, `standard` (default, unless the run names one in `trace_level`), `detailed` and `debug`. A failure is answered
/// as by [`telemetry_router`](crate::telemetry_router); what is older than the settings say is `not_found` (404) or, of a run whose
/// events are gone before it, `expired` (410). As there, a request is answered as of its [`Caller`].
///
/// ```
/// use std::sync::Arc;
/// use spanscope_server::{RunSettings, local_only, runs_router};
/// use spanscope_sqlite::SqliteStore;
///
/// # fn serve(path: &std::path::Path) -> Result<axum::Router, spanscope_model::StoreError> {
/// let store = SqliteStore::builder().open(path)?; // one that was opened for reading can't delete
/// Ok(local_only(runs_router(Arc::new(store), RunSettings::default())))
/// # }
/// ```
pub fn runs_router(store: Arc<dyn TraceStore>, settings: RunSettings) -> Router {
    questions(Arc::clone(&store), settings).merge(streams(store, settings))
}

/// The routes whose answers end.
pub(crate) fn questions(store: Arc<dyn TraceStore>, settings: RunSettings) -> Router {
    under_prefixes(
        of_questions()
            .into_router()
            .with_state(Runs::new(store, settings)),
    )
}

/// The routes whose answers go on for as long as a run does.
pub(crate) fn streams(store: Arc<dyn TraceStore>, settings: RunSettings) -> Router {
    under_prefixes(of_streams().into_router().with_state(Runs::new(store, settings)))
}

fn under_prefixes(routes: Router) -> Router {
    let routes = routes.layer(DefaultBodyLimit::max(MAX_BODY));
    Router::new().nest("/api/v1", routes.clone()).merge(routes)
}

/// What is said of all of them.
pub(crate) fn api() -> [Api<Runs>; 2] {
    [of_questions(), of_streams()]
}

fn route(method: MethodFilter, path: &'static str, summary: &'static str, answers: Content) -> Route {
    Route {
        method,
        path,
        summary,
        reads: Content::None,
        answers,
    }
}

fn of_questions() -> Api<Runs> {
    let get = |path, summary, answers| route(MethodFilter::GET, path, summary, answers);
    let json_object = || Content::Other(&["application/json"], "The run in the format that was asked for.");
    let cleanup = Route {
        reads: Content::json::<Cleanup>(),
        ..route(
            MethodFilter::POST,
            "/traces/cleanup",
            "Deletes the runs that ended so many days ago.",
            Content::json::<Cleaned>(),
        )
    };
    Api::new()
        .route(
            get(
                "/traces",
                "Runs of agents, newest first.",
                Content::json::<Page>(),
            ),
            list,
        )
        .route(cleanup, clean_up)
        .route(get("/traces/{task_id}", "One run.", json_object()), get_run)
        .route(
            route(
                MethodFilter::DELETE,
                "/traces/{task_id}",
                "Deletes a run.",
                Content::json::<DeletedRun>(),
            ),
            delete_run,
        )
        .route(
            get(
                "/traces/{task_id}/events",
                "Events of a run.",
                Content::json::<EventPage>(),
            ),
            get_events,
        )
        .route(
            get(
                "/traces/{task_id}/summary",
                "Counts of a run.",
                Content::json::<Summary>(),
            ),
            get_summary,
        )
        .route(
            get(
                "/traces/{task_id}/analysis",
                "Where the time of a run went, and what failed.",
                Content::json::<Analysis>(),
            ),
            get_analysis,
        )
        .route(
            get(
                "/agents/{agent_id}/traces",
                "Runs of one agent.",
                Content::json::<Page>(),
            ),
            list_of_agent,
        )
        .route(
            get(
                "/sessions/{session_id}/traces",
                "Runs of one session: a conversation.",
                Content::json::<Page>(),
            ),
            list_of_session,
        )
}

fn of_streams() -> Api<Runs> {
    Api::new().route(
        route(
            MethodFilter::GET,
            "/traces/{task_id}/stream",
            "What a run did and does, as server-sent events, until it is over.",
            Content::Other(
                &["text/event-stream"],
                "Events; the last one's data is [DONE]. `last-event-id` goes on after that event.",
            ),
        ),
        stream_run,
    )
}

#[derive(Serialize, JsonSchema)]
#[schemars(rename = "RunPage")]
struct Page {
    total: u64,
    page: u64,
    page_size: u64,
    sessions: Vec<RunInfo>,
}

#[derive(Serialize, JsonSchema)]
struct EventPage {
    /// As many of the events as were asked for.
    events: Vec<Value>,
    /// How many these are.
    count: usize,
    /// How many there are that fit.
    total: usize,
}

#[derive(Serialize, JsonSchema)]
struct DeletedRun {
    task_id: String,
    message: &'static str,
    /// How many spans it had.
    spans: u64,
}

/// The body of a cleanup.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Cleanup {
    #[serde(default = "a_week")]
    days: f64,
}

impl Bounded for Cleanup {}

fn a_week() -> f64 {
    7.0
}

#[derive(Serialize, JsonSchema)]
struct Cleaned {
    /// How many runs.
    deleted: u64,
    message: String,
}

async fn list(State(runs): State<Runs>, Seen(store): Seen, asked: Asked) -> Result<Response, ApiError> {
    list_chosen(&runs, store, &asked, |_| ()).await
}

async fn list_of_agent(
    State(runs): State<Runs>,
    Seen(store): Seen,
    agent_id: Parameters<String>,
    asked: Asked,
) -> Result<Response, ApiError> {
    let Path(agent_id) = agent_id?;
    list_chosen(&runs, store, &asked, |filter| filter.agent_id = Some(agent_id)).await
}

async fn list_of_session(
    State(runs): State<Runs>,
    Seen(store): Seen,
    session_id: Parameters<String>,
    asked: Asked,
) -> Result<Response, ApiError> {
    let Path(session_id) = session_id?;
    list_chosen(&runs, store, &asked, |filter| {
        filter.session_id = Some(session_id)
    })
    .await
}

async fn list_chosen(
    runs: &Runs,
    store: Arc<dyn TraceStore>,
    asked: &Asked,
    choose: impl FnOnce(&mut RunFilter),
) -> Result<Response, ApiError> {
    let (mut filter, page, page_size) = asked.runs()?;
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

/// Whether a run ended before then. One that goes on is never old.
fn ended_before(info: &RunInfo, ttl: std::time::Duration) -> bool {
    let oldest = Timestamp::now().before(ttl);
    match info.status {
        spanscope_model::RunStatus::Running => false,
        _ => info.updated_at < oldest,
    }
}

/// What is known of a run without its records.
async fn info_of(runs: &Runs, store: &Arc<dyn TraceStore>, task_id: &str) -> Result<RunInfo, ApiError> {
    let nothing = RunRange {
        after: RunCursor {
            span: i64::MAX,
            end: i64::MAX,
            event: i64::MAX,
        },
        upto: None,
        limit: 1,
    };
    let info = store.run_records(task_id.to_owned(), nothing).await?.info;
    if ended_before(&info, runs.settings.session_ttl) {
        return Err(StoreError::not_found(format!(
            "the run ended more than {} days ago, which is as long as runs are answered",
            runs.settings.session_ttl.as_secs() / 86_400
        ))
        .into());
    }
    Ok(info)
}

/// A run whose events are still answered.
fn check_events(runs: &Runs, info: &RunInfo) -> Result<(), ApiError> {
    if ended_before(info, runs.settings.event_ttl) {
        return Err(ApiError::new(
            StatusCode::GONE,
            "expired",
            format!(
                "the run ended more than {} days ago, which is as long as its events are answered",
                runs.settings.event_ttl.as_secs() / 86_400
            ),
            "ask for its summary, or for its spans in the telemetry API; whoever runs the server sets how long events are answered",
        ));
    }
    Ok(())
}

/// Reads a run whole and makes an answer of it, on a thread that may block.
async fn answer<T: Serialize + Send + 'static>(
    store: &Arc<dyn TraceStore>,
    task_id: String,
    make: impl FnOnce(&Run) -> T + Send + 'static,
) -> Result<Response, ApiError> {
    let records = store.run_records(task_id, RunRange::ALL).await?;
    let made = tokio::task::spawn_blocking(move || make(&Run::of(&records))).await;
    json(made.map_err(|_| ApiError::shutting_down())?).await
}

async fn get_run(
    State(runs): State<Runs>,
    Seen(store): Seen,
    task_id: Parameters<String>,
    asked: Asked,
) -> Result<Response, ApiError> {
    let Path(task_id) = task_id?;
    let shape = asked.shape()?;
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

async fn get_events(
    State(runs): State<Runs>,
    Seen(store): Seen,
    task_id: Parameters<String>,
    asked: Asked,
) -> Result<Response, ApiError> {
    let Path(task_id) = task_id?;
    let Events {
        types,
        component,
        limit,
        offset,
        shape,
    } = asked.events()?;
    let info = info_of(&runs, &store, &task_id).await?;
    check_events(&runs, &info)?;
    let level = shape.level_of(&info.trace_level);
    answer(&store, task_id, move |run| {
        let is_asked = |event: &spanscope_runs::RunEvent| {
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
        let events: Vec<_> = run.events(level).into_iter().filter(is_asked).collect();
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

async fn get_summary(
    State(runs): State<Runs>,
    Seen(store): Seen,
    task_id: Parameters<String>,
    asked: Asked,
) -> Result<Response, ApiError> {
    let Path(task_id) = task_id?;
    let level = asked.level()?;
    let info = info_of(&runs, &store, &task_id).await?;
    let level = level
        .or_else(|| info.trace_level.parse().ok())
        .unwrap_or_default();
    answer(&store, task_id, move |run| run.summary(level)).await
}

async fn get_analysis(
    State(runs): State<Runs>,
    Seen(store): Seen,
    task_id: Parameters<String>,
    asked: Asked,
) -> Result<Response, ApiError> {
    let Path(task_id) = task_id?;
    asked.nothing()?;
    let info = info_of(&runs, &store, &task_id).await?;
    check_events(&runs, &info)?;
    answer(&store, task_id, |run| run.analysis()).await
}

async fn delete_run(
    Seen(store): Seen,
    task_id: Parameters<String>,
    asked: Asked,
) -> Result<Response, ApiError> {
    let Path(task_id) = task_id?;
    asked.nothing()?;
    let spans = store.delete_run(task_id.clone()).await?;
    json(DeletedRun {
        task_id,
        message: "Trace deleted successfully",
        spans,
    })
    .await
}

async fn clean_up(
    Seen(store): Seen,
    asked: Asked,
    Question(Cleanup { days }): Question<Cleanup>,
) -> Result<Response, ApiError> {
    asked.nothing()?;
    let age = std::time::Duration::try_from_secs_f64(days * 86_400.0)
        .map_err(|_| ApiError::invalid(format!("days is {days}: give 0 or a positive number of days")))?;
    let deleted = store.delete_runs_before(Timestamp::now().before(age)).await?;
    json(Cleaned {
        deleted,
        message: format!("Deleted {deleted} old trace sessions"),
    })
    .await
}

/// The header with which a client comes back.
const LAST_EVENT_ID: HeaderName = HeaderName::from_static("last-event-id");

async fn stream_run(
    State(runs): State<Runs>,
    Seen(store): Seen,
    task_id: Parameters<String>,
    asked: Asked,
    request: Request,
) -> Result<Response, ApiError> {
    let Path(task_id) = task_id?;
    let shape = asked.shape()?;
    let after = place_in(request.headers())?;
    let tenant = match request.extensions().get::<Caller>() {
        Some(Caller::Tenant(tenant)) => Some(tenant.clone()),
        Some(Caller::Administrator) | None => None,
    };
    let info = match runs.hub.info(tenant.as_ref(), &task_id) {
        Some(info) => info,
        None => info_of(&runs, &store, &task_id).await?,
    };
    check_events(&runs, &info)?;
    let place = runs.places.take(tenant.clone(), &runs.settings);
    let place = place.ok_or_else(|| overloaded("too many streams are open"))?;
    let run = runs.hub.follow(tenant, &task_id, &store, runs.settings);
    if let Some(Place {
        upto,
        within: Within::Done,
        ..
    }) = &after
    {
        // A client that has got the last word comes back by itself, unless it is told that there is nothing more.
        let (read, ending) = run.read_once().await;
        if upto.covers(&read) && matches!(ending, Some(Ending::Over(_))) {
            return Ok(StatusCode::NO_CONTENT.into_response());
        }
    }
    let watcher = Watcher::new(Watching {
        run,
        store,
        task_id,
        format: shape.format,
        level: shape.level_of(&info.trace_level),
        after,
        replays: Arc::clone(&runs.replays),
        ends: request.extensions().get::<Ends>().map(Ends::receiver),
        place,
    });
    let pieces = stream::unfold(watcher, async |mut watcher| {
        let piece = watcher.next().await?;
        Some((Ok::<_, std::convert::Infallible>(piece), watcher))
    });
    let headers = [
        (CONTENT_TYPE, EVENT_STREAM),
        (CACHE_CONTROL, "no-cache"),
        // Proxies that gather an answer before they hand it on would hold back what is live.
        (HeaderName::from_static("x-accel-buffering"), "no"),
    ];
    Ok((headers, Body::from_stream(pieces)).into_response())
}

fn place_in(headers: &HeaderMap) -> Result<Option<Place>, ApiError> {
    let Some(id) = headers.get(LAST_EVENT_ID) else {
        return Ok(None);
    };
    let text = id.to_str().unwrap_or("?");
    if text.is_empty() {
        return Ok(None);
    }
    match text.parse() {
        Ok(place) => Ok(Some(place)),
        Err(_) => Err(ApiError::invalid(format!(
            "last-event-id is {:?}, which is no id of an event of this server: send the id of the last event that you got, or none",
            text.chars().take(80).collect::<String>()
        ))),
    }
}
