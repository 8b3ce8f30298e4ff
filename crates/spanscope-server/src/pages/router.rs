//! The routes below `/ui`.

use std::sync::Arc;

use axum::Router;
use axum::extract::{DefaultBodyLimit, FromRef, Request};
use axum::http::header::CACHE_CONTROL;
use axum::middleware::{from_fn, from_fn_with_state};
use axum::response::{IntoResponse, Response};
use axum::routing::{MethodFilter, get};
use spanscope_model::{PriceTable, TraceStore};

use super::assets::Assets;
use super::session::{self, Sessions, SignIn};
use super::stats::StatsCache;
use super::{
    PageSettings, around, assets, complete, compression, filter, headers, live, logs, shape, shell, span,
    spans, stats, status, traces,
};
use crate::answer::ApiError;
use crate::api::{Api, Content, Parameter, Route};
use crate::body::MAX_BODY;
use crate::capability::Needs;
use crate::permits::Permits;

/// The path below which the JSON is.
pub(crate) const API: &str = "/ui/api";

/// Maximum number of concurrent streams, of all callers and of one tenant.
const STREAMS: usize = 256;
const TENANT_STREAMS: usize = 128;

/// The state that the handlers share.
#[derive(Clone)]
pub(crate) struct Pages {
    store: Arc<dyn TraceStore>,
    shared: Arc<Shared>,
}

struct Shared {
    settings: PageSettings,
    assets: Assets,
    sessions: Sessions,
    streams: Arc<Permits>,
    stats: StatsCache,
    /// Distinguishes the responses of this process from those of an earlier one.
    started: u64,
}

impl FromRef<Pages> for Arc<dyn TraceStore> {
    fn from_ref(pages: &Pages) -> Self {
        Arc::clone(&pages.store)
    }
}

impl Pages {
    fn new(store: Arc<dyn TraceStore>, settings: PageSettings) -> Self {
        let now = spanscope_model::Timestamp::now().as_nanos();
        Self {
            store,
            shared: Arc::new(Shared {
                assets: Assets::new(settings.folder.clone()),
                sessions: Sessions::new(settings.tokens.clone()),
                streams: Permits::new(STREAMS, TENANT_STREAMS),
                stats: StatsCache::default(),
                started: u64::try_from(now).unwrap_or(0),
                settings,
            }),
        }
    }

    pub(super) fn assets(&self) -> &Assets {
        &self.shared.assets
    }

    pub(super) fn sessions(&self) -> &Sessions {
        &self.shared.sessions
    }

    pub(super) fn streams(&self) -> &Arc<Permits> {
        &self.shared.streams
    }

    pub(super) fn stats(&self) -> &StatsCache {
        &self.shared.stats
    }

    pub(super) fn started(&self) -> u64 {
        self.shared.started
    }

    pub(super) fn prices(&self) -> Option<&PriceTable> {
        self.shared.settings.prices.as_deref()
    }

    pub(super) fn store_name(&self) -> Option<&str> {
        self.shared.settings.store_name.as_deref()
    }

    pub(super) fn command_options(&self) -> &str {
        &self.shared.settings.command_options
    }
}

/// Serves web pages that show a store, below `/ui`; `/` redirects there. Your axum server may nest
/// them below any path.
///
/// As with the other routers, a request is handled for its [`Caller`](crate::Caller); without one,
/// every client sees everything. A server on this machine adds [`local_only`](crate::local_only);
/// one that other machines reach sets [`PageSettings::tokens`] or checks requests itself.
///
/// ```
/// use std::sync::Arc;
/// use spanscope_server::{PageSettings, local_only, pages_router};
/// use spanscope_sqlite::SqliteStore;
///
/// # fn serve(path: &std::path::Path) -> Result<axum::Router, spanscope_model::StoreError> {
/// let store = SqliteStore::open(path)?;
/// let pages = pages_router(Arc::new(store), PageSettings::default());
/// Ok(local_only(axum::Router::new().nest("/telemetry", pages))) // at /telemetry/ui/
/// # }
/// ```
pub fn pages_router(store: Arc<dyn TraceStore>, settings: PageSettings) -> Router {
    served(store, settings, |routes| routes)
}

/// Does the same as [`pages_router`], with `limited` around the routes with finite responses.
pub(crate) fn served(
    store: Arc<dyn TraceStore>,
    settings: PageSettings,
    limited: impl FnOnce(Router) -> Router,
) -> Router {
    let pages = Pages::new(store, settings);
    let queries = query_routes()
        .into_router()
        .layer(from_fn(compression::compress))
        .with_state(pages.clone());
    let streams = stream_routes().into_router().with_state(pages.clone());
    let id = Router::new()
        .route("/ui/id/{prefix}", get(status::to_id))
        .with_state(pages.clone());
    let checked = Router::new()
        .nest(API, limited(queries).merge(streams))
        .merge(id)
        .layer(from_fn_with_state(pages.clone(), session::check));
    // Files, the HTML of the pages and the sign-in contain no stored data.
    let open = Router::new()
        .nest(API, session_routes().into_router().with_state(pages.clone()))
        .route("/", root())
        .route("/ui", get(shell::to_pages))
        .route("/ui/", get(shell::home))
        .route("/ui/assets/{digest}/{*path}", get(assets::get))
        .route("/ui/{*path}", get(shell::page))
        .with_state(pages)
        .layer(DefaultBodyLimit::max(MAX_BODY));
    checked.merge(open).layer(from_fn(headers::add))
}

/// Redirects `GET /` to the pages. An exporter that sends data there gets the same error as without
/// pages.
fn root() -> axum::routing::MethodRouter<Pages> {
    get(shell::to_pages).fallback(async |request: Request| {
        ApiError::no_such_path(request.method(), request.uri().path()).into_response()
    })
}

/// The routes, for the document.
#[cfg(feature = "schema")]
pub(crate) fn api() -> [Api<Pages>; 3] {
    [query_routes(), stream_routes(), session_routes()]
}

fn route(
    path: &'static str,
    summary: &'static str,
    parameters: &'static [Parameter],
    answers: Content,
) -> Route {
    Route {
        method: MethodFilter::GET,
        path,
        summary,
        parameters,
        reads: Content::None,
        answers,
        needs: None,
    }
}

fn query_routes() -> Api<Pages> {
    Api::new()
        .route(
            route(
                "/status",
                "For the pages, may change in any release: the server's version and settings, and the size of the store.",
                &[],
                Content::json::<status::Status>(),
            ),
            status::get,
        )
        .route(
            route(
                "/id/{prefix}",
                "For the pages: the trace or span whose id has this prefix, or the trace of the task with this id.",
                &[],
                Content::json::<status::Found>(),
            ),
            status::find_id,
        )
        .route(
            route(
                "/filter",
                "For the pages: the terms of a filter, and those of its keys that no recent span has.",
                &filter::PARAMETERS,
                Content::json::<filter::Parsed>(),
            ),
            filter::get,
        )
        .route(
            route(
                "/complete",
                "For the pages: stored texts, to complete the user's input.",
                &complete::PARAMETERS,
                Content::json::<complete::Completions>(),
            )
            .needing(Needs::PageQueries),
            complete::get,
        )
        .route(
            route(
                "/traces",
                "For the pages: traces with their usage and first error, newest first.",
                &traces::LIST,
                Content::json::<traces::Page>(),
            )
            .needing(Needs::PageQueries),
            traces::list,
        )
        .route(
            route(
                "/traces/histogram",
                "For the pages: the number of traces over time.",
                &traces::HISTOGRAM,
                Content::json::<traces::Histogram>(),
            )
            .needing(Needs::PageQueries),
            traces::histogram,
        )
        .route(
            route(
                "/traces/without",
                "For the pages: for each term of a filter, the number of traces without that term.",
                &traces::WITHOUT,
                Content::json::<traces::Without>(),
            )
            .needing(Needs::PageQueries),
            traces::without,
        )
        .route(
            route(
                "/traces/{trace_id}",
                "For the pages: the spans of a trace as columns, without attributes.",
                &shape::PARAMETERS,
                Content::json::<shape::Shape>(),
            )
            .needing(Needs::PageQueries),
            shape::get,
        )
        .route(
            route(
                "/traces/{trace_id}/find",
                "For the pages: the spans of a trace that a filter matches.",
                &shape::FIND,
                Content::json::<shape::Found>(),
            )
            .needing(Needs::PageQueries),
            shape::find,
        )
        .route(
            route(
                "/traces/{trace_id}/export",
                "For the pages: the spans of a trace as OTLP in JSON.",
                &[],
                Content::Other(&["application/json"], "A TracesData of OTLP."),
            ),
            span::export,
        )
        .route(
            route(
                "/traces/{trace_id}/spans/{span_id}",
                "For the pages: one span with its events, links and errors.",
                &[],
                Content::json::<span::Details>(),
            )
            .needing(Needs::PageQueries),
            span::get,
        )
        .route(
            route(
                "/traces/{trace_id}/spans/{span_id}/among",
                "For the pages: the span's duration, compared with spans of the same name.",
                &[],
                Content::json::<span::Among>(),
            )
            .needing(Needs::PageQueries),
            span::among,
        )
        .route(
            route(
                "/traces/{trace_id}/spans/{span_id}/around",
                "For the pages: the errors and model calls next to the span, and the spans that link to it.",
                &[],
                Content::json::<around::Around>(),
            )
            .needing(Needs::PageQueries),
            around::get,
        )
        .route(
            route(
                "/traces/{trace_id}/spans/{span_id}/value",
                "For the pages: the whole value of one attribute.",
                &span::VALUE,
                Content::Other(&["text/plain"], "The value."),
            ),
            span::value,
        )
        .route(
            route(
                "/spans",
                "For the pages: spans across traces.",
                &spans::PARAMETERS,
                Content::json::<spans::Page>(),
            ),
            spans::list,
        )
        .route(
            route(
                "/logs",
                "For the pages: log events, newest first.",
                &logs::LIST,
                Content::json::<logs::Page>(),
            ),
            logs::list,
        )
        .route(
            route(
                "/logs/context",
                "For the pages: the log events before and after one of the same service.",
                &logs::CONTEXT,
                Content::json::<logs::Context>(),
            ),
            logs::context,
        )
        .route(
            route(
                "/logs/histogram",
                "For the pages: the number of log events over time, by severity.",
                &logs::HISTOGRAM,
                Content::json::<traces::Histogram>(),
            )
            .needing(Needs::PageQueries),
            logs::histogram,
        )
        .route(
            route(
                "/store",
                "For the pages: sizes, counts and losses of the store.",
                &[],
                Content::json::<stats::Store>(),
            ),
            stats::get,
        )
        .route(
            route(
                "/store/names",
                "For the pages: durations by the name of the span.",
                &stats::NAMES,
                Content::json::<stats::Names>(),
            ),
            stats::names,
        )
}

fn stream_routes() -> Api<Pages> {
    let stream = || Content::Other(&["text/event-stream"], "Events, until the client leaves.");
    Api::new()
        .route(
            route(
                "/changes",
                "For the pages: notices of changes of the store, as server-sent events.",
                &[],
                stream(),
            ),
            live::changes,
        )
        .route(
            route(
                "/traces/{trace_id}/live",
                "For the pages: new records of a trace, as server-sent events.",
                &live::PARAMETERS,
                stream(),
            ),
            live::trace,
        )
}

fn session_routes() -> Api<Pages> {
    let session = |method, summary, reads| Route {
        method,
        reads,
        ..route("/session", summary, &[], Content::None)
    };
    Api::new()
        .route(
            session(
                MethodFilter::POST,
                "For the pages: starts a browser session with a token.",
                Content::json::<SignIn>(),
            ),
            session::begin,
        )
        .route(
            session(
                MethodFilter::DELETE,
                "For the pages: ends the browser session.",
                Content::None,
            ),
            session::end,
        )
}

/// Returns the response 304: the client already has this version.
pub(super) fn not_modified(etag: &str) -> Response {
    let headers = [
        (axum::http::header::ETAG, etag.to_owned()),
        (CACHE_CONTROL, "no-store".to_owned()),
    ];
    (axum::http::StatusCode::NOT_MODIFIED, headers).into_response()
}
