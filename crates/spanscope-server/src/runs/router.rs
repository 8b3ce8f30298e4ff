//! The routes of agent traces.

use std::sync::Arc;

use axum::Router;
use axum::extract::DefaultBodyLimit;
use axum::routing::MethodFilter;
use spanscope_model::TraceStore;
use spanscope_runs::{Analysis, Summary};

use super::RunSettings;
use super::handlers::{
    Cleaned, Cleanup, DeletedRun, EventPage, Page, clean_up, delete_run, get_analysis, get_events, get_run,
    get_summary, list, list_of_agent, list_of_session,
};
use super::query_params::{EVENTS, ONLY_LEVEL, RUNS, SHAPE};
use super::state::Runs;
use super::stream::{LAST_EVENT, stream_run};
use crate::api::{Api, Content, Parameter, Route};
use crate::body::MAX_BODY;
use crate::capability::Needs;
use crate::store_log::logged;

/// The prefixes of each route.
#[cfg(feature = "schema")]
pub(crate) const PREFIXES: [&str; 2] = ["/api/v1", ""];

/// Serves agent traces in RAGFlow's format, each route at the root and under `/api/v1`:
///
/// | route | response |
/// |---|---|
/// | `GET /traces?agent_id&user_id&session_id&status&start_time&end_time&page&page_size` | a page of runs, and how many there are |
/// | `GET /traces/{task_id}?format&level` | the run: `streaming` (default), `compact`, `detailed` |
/// | `GET /traces/{task_id}/events?event_types&component_id&limit&offset&format&level` | events |
/// | `GET /traces/{task_id}/summary` | counts |
/// | `GET /traces/{task_id}/analysis` | time per component, critical path, bottlenecks, errors, recommendations |
/// | `GET /traces/{task_id}/stream?format&level` | server-sent events: past ones, new ones, then `[DONE]` |
/// | `DELETE /traces/{task_id}` | deletes the run |
/// | `POST /traces/cleanup` `{"days": 7}` | deletes the runs that ended at least this many days ago |
/// | `GET /agents/{agent_id}/traces`, `GET /sessions/{session_id}/traces` | the runs of one agent, of one conversation |
///
/// Levels are `minimal`, `standard` (default, unless the run names one in `trace_level`),
/// `detailed` and `debug`. Failures have the format of
/// [`telemetry_router`](crate::telemetry_router); an expired run is `not_found` (404) or, if only
/// its events have expired, `expired` (410). As with Llama Stack, a request is handled for its
/// [`Caller`](crate::Caller).
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
    logged(queries(Arc::clone(&store), settings).merge(streams(store, settings)))
}

/// The routes with finite responses.
pub(crate) fn queries(store: Arc<dyn TraceStore>, settings: RunSettings) -> Router {
    under_prefixes(
        query_routes()
            .into_router()
            .with_state(Runs::new(store, settings)),
    )
}

/// The routes whose responses last as long as a run.
pub(crate) fn streams(store: Arc<dyn TraceStore>, settings: RunSettings) -> Router {
    under_prefixes(
        stream_routes()
            .into_router()
            .with_state(Runs::new(store, settings)),
    )
}

fn under_prefixes(routes: Router) -> Router {
    let routes = routes.layer(DefaultBodyLimit::max(MAX_BODY));
    Router::new().nest("/api/v1", routes.clone()).merge(routes)
}

/// Returns the descriptions of all routes.
#[cfg(feature = "schema")]
pub(crate) fn api() -> [Api<Runs>; 2] {
    [query_routes(), stream_routes()]
}

fn route(method: MethodFilter, path: &'static str, summary: &'static str, answers: Content) -> Route {
    Route {
        method,
        path,
        summary,
        parameters: &[],
        reads: Content::None,
        answers,
        needs: None,
    }
}

fn query_routes() -> Api<Runs> {
    let get = |path, summary, answers| route(MethodFilter::GET, path, summary, answers);
    let json_object = || Content::Other(&["application/json"], "The run in the requested format.");
    let cleanup = Route {
        reads: Content::json::<Cleanup>(),
        ..route(
            MethodFilter::POST,
            "/traces/cleanup",
            "Deletes the runs that ended at least `days` days ago.",
            Content::json::<Cleaned>(),
        )
    };
    let with = |parameters, route: Route| Route { parameters, ..route };
    Api::new()
        .route(
            with(
                &RUNS,
                get(
                    "/traces",
                    "Runs of agents, newest first.",
                    Content::json::<Page>(),
                ),
            ),
            list,
        )
        .route(cleanup.needing(Needs::Deletes), clean_up)
        .route(
            with(&SHAPE, get("/traces/{task_id}", "One run.", json_object())),
            get_run,
        )
        .route(
            route(
                MethodFilter::DELETE,
                "/traces/{task_id}",
                "Deletes a run.",
                Content::json::<DeletedRun>(),
            )
            .needing(Needs::Deletes),
            delete_run,
        )
        .route(
            with(
                &EVENTS,
                get(
                    "/traces/{task_id}/events",
                    "Events of a run.",
                    Content::json::<EventPage>(),
                ),
            ),
            get_events,
        )
        .route(
            with(
                &ONLY_LEVEL,
                get(
                    "/traces/{task_id}/summary",
                    "Counts of a run.",
                    Content::json::<Summary>(),
                ),
            ),
            get_summary,
        )
        .route(
            get(
                "/traces/{task_id}/analysis",
                "Where a run spent its time, and its errors.",
                Content::json::<Analysis>(),
            ),
            get_analysis,
        )
        .route(
            with(
                &RUNS,
                get(
                    "/agents/{agent_id}/traces",
                    "Runs of one agent.",
                    Content::json::<Page>(),
                ),
            ),
            list_of_agent,
        )
        .route(
            with(
                &RUNS,
                get(
                    "/sessions/{session_id}/traces",
                    "Runs of one session: a conversation.",
                    Content::json::<Page>(),
                ),
            ),
            list_of_session,
        )
}

fn stream_routes() -> Api<Runs> {
    const PARAMETERS: [Parameter; 3] = {
        let [format, level] = SHAPE;
        [format, level, LAST_EVENT]
    };
    Api::new().route(
        Route {
            parameters: &PARAMETERS,
            ..route(
                MethodFilter::GET,
                "/traces/{task_id}/stream",
                "A run's events as server-sent events, until it is over.",
                Content::Other(&["text/event-stream"], "Events; the last one's data is [DONE]."),
            )
        },
        stream_run,
    )
}
