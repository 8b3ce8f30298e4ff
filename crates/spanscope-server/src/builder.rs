//! [`ServerBuilder`]: puts all routes of this crate behind one authentication.
//!
//! It contains no handler and no socket, and does not read the environment.

use std::fmt;
use std::sync::Arc;

use axum::Router;
use axum::extract::Request;
use axum::http::StatusCode;
use axum::middleware::{Next, from_fn};
use axum::response::IntoResponse;
use axum::routing::MethodFilter;
use serde_json::Value;
use spanscope_model::TraceStore;

use crate::answer::{ApiError, json};
#[cfg(feature = "schema")]
use crate::api::Document;
use crate::api::{Api, Content, Route};
use crate::bearer::{BearerTokens, with_tokens};
use crate::caller::Caller;
use crate::cross_origin::{AllowedHost, AllowedOrigin, Guests, with_guests};
use crate::datasets::Datasets;
use crate::health::health_router;
use crate::limits::{Limits, QueryLimits, counted};
use crate::local::local_and;
use crate::metrics::{PrometheusSink, metrics_router};
#[cfg(feature = "pages")]
use crate::pages::{self, PageSettings};
use crate::receive::otlp_router;
use crate::runs;
use crate::runs::RunSettings;
use crate::serve::Server;
use crate::store_log::logged;
use crate::telemetry::{telemetry_router, telemetry_router_with};
#[cfg(feature = "schema")]
use crate::{health, metrics, receive, telemetry};

/// Which requests a server accepts.
#[derive(Debug, Clone, Default)]
#[non_exhaustive]
pub enum AuthMode {
    /// Requests of programs on this machine, without a token. For a loopback address only. The
    /// default.
    #[default]
    Local,
    /// Requests that bring one of these tokens.
    Tokens(BearerTokens),
}

/// Configures a [`Server`]: the telemetry API, agent traces, the OTLP receiver, health and metrics,
/// as `spanscope serve` has them. Created by [`Server::builder`].
///
/// Health and the OpenAPI document need no token. Metrics cover all tenants, so they need an
/// administrator's token.
#[must_use = "a builder does nothing until `build` or `router` is called"]
pub struct ServerBuilder {
    store: Arc<dyn TraceStore>,
    limits: Limits,
    auth: AuthMode,
    metrics: PrometheusSink,
    runs: RunSettings,
    datasets: Option<Datasets>,
    guests: Guests,
    #[cfg(feature = "pages")]
    pages: Option<PageSettings>,
}

impl fmt::Debug for ServerBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ServerBuilder")
            .field("limits", &self.limits)
            .field("auth", &self.auth)
            .field("runs", &self.runs)
            .field("datasets", &self.datasets)
            .field("guests", &self.guests)
            .finish_non_exhaustive()
    }
}

impl ServerBuilder {
    pub(crate) fn new(store: Arc<dyn TraceStore>) -> Self {
        Self {
            store,
            limits: Limits::default(),
            auth: AuthMode::default(),
            metrics: PrometheusSink::new(),
            runs: RunSettings::default(),
            datasets: None,
            guests: Guests::default(),
            #[cfg(feature = "pages")]
            pages: Some(PageSettings::default()),
        }
    }

    /// Sets how much memory, time and how many connections requests may use. Default:
    /// [`Limits::default`].
    pub fn limits(mut self, limits: Limits) -> Self {
        self.limits = limits;
        self
    }

    /// Sets which requests are accepted. Default: [`AuthMode::Local`].
    pub fn auth(mut self, auth: AuthMode) -> Self {
        self.auth = auth;
        self
    }

    /// Sets the sink whose metrics `GET /metrics` returns. Default: an empty one.
    pub fn metrics(mut self, sink: PrometheusSink) -> Self {
        self.metrics = sink;
        self
    }

    /// Sets how agent traces are served. Default: [`RunSettings::default`].
    pub fn runs(mut self, runs: RunSettings) -> Self {
        self.runs = runs;
        self
    }

    /// Sets the folder for exports of spans as datasets. Default: none, and exports are refused as
    /// `unsupported` (501).
    pub fn datasets(mut self, datasets: Datasets) -> Self {
        self.datasets = Some(datasets);
        self
    }

    /// Sets origins of other web pages that may send requests (CORS); with tokens they need one
    /// like every caller. Default: none.
    pub fn allow_origins(mut self, origins: impl IntoIterator<Item = AllowedOrigin>) -> Self {
        self.guests.origins = origins.into_iter().collect();
        self
    }

    /// Sets host names besides this machine's own by which the server may be reached without a
    /// token, such as `host.docker.internal`. The owner of such a name can point it to this
    /// machine, and pages of that owner could then read from the server. Default: none.
    pub fn allow_hosts(mut self, hosts: impl IntoIterator<Item = AllowedHost>) -> Self {
        self.guests.hosts = hosts.into_iter().collect();
        self
    }

    /// Sets how the web pages below `/ui` are served. Default: [`PageSettings::default`].
    #[cfg(feature = "pages")]
    pub fn pages(mut self, pages: PageSettings) -> Self {
        self.pages = Some(pages);
        self
    }

    /// Serves no web pages.
    #[cfg(feature = "pages")]
    pub fn without_pages(mut self) -> Self {
        self.pages = None;
        self
    }

    /// Builds the server, which [`Server::bind`] gives a socket.
    pub fn build(self) -> Server {
        let limits = self.limits;
        let is_local = matches!(self.auth, AuthMode::Local);
        Server::from_router(self.router(), limits).loopback_only(is_local)
    }

    /// Builds only the routes, for an axum server that already has a socket.
    ///
    /// The [`Limits`] on connections and times then do not apply: that server has to set its own.
    pub fn router(self) -> Router {
        let Self {
            store,
            limits,
            auth,
            metrics,
            runs,
            datasets,
            guests,
            #[cfg(feature = "pages")]
            pages,
        } = self;
        let telemetry = match datasets {
            Some(datasets) => telemetry_router_with(Arc::clone(&store), datasets),
            None => telemetry_router(Arc::clone(&store)),
        };
        let queries = telemetry.merge(runs::queries(Arc::clone(&store), runs));
        let shared = QueryLimits::new(limits);
        #[cfg(feature = "pages")]
        let pages = pages.map(|settings| {
            let settings = match &auth {
                AuthMode::Local => settings,
                AuthMode::Tokens(tokens) => settings.tokens(tokens.clone()),
            };
            pages::served(Arc::clone(&store), settings, |routes| {
                counted(routes, shared.clone())
            })
        });
        let routes = counted(queries, shared.clone())
            .merge(runs::streams(Arc::clone(&store), runs))
            .merge(otlp_router(Arc::clone(&store), limits))
            .merge(for_administrators(metrics_router(metrics)));
        // Routes that need no token, or look for one themselves.
        let health = health_router(store).merge(document());
        #[cfg(feature = "pages")]
        let health = health.merge(pages.unwrap_or_default());
        let router = match auth {
            AuthMode::Local => local_and(routes.merge(health), guests.clone()),
            AuthMode::Tokens(tokens) => with_tokens(routes, tokens).merge(health),
        };
        let router = with_guests(logged(router), guests);
        #[cfg(feature = "grpc")]
        let router = crate::grpc::translated(router);
        router
    }
}

/// The document of the routes, which a test compares with the code.
const OPENAPI: &str = include_str!("../openapi.json");

/// The routes of a [`Server`] as an OpenAPI 3.1 document. `GET /openapi.json` is this.
///
/// ```
/// let document = spanscope_server::openapi();
/// assert!(document["paths"]["/v1/telemetry/traces"]["post"].is_object());
/// ```
#[must_use]
pub fn openapi() -> Value {
    let document = serde_json::from_str(OPENAPI).unwrap_or_default(); // a test reads it
    #[cfg(not(feature = "pages"))]
    let document = without_pages(document);
    document
}

/// The document of a server that has no pages.
#[cfg(not(feature = "pages"))]
fn without_pages(mut document: Value) -> Value {
    if let Some(paths) = document.get_mut("paths").and_then(Value::as_object_mut) {
        paths.retain(|path, _| !path.starts_with("/ui/"));
    }
    document
}

/// Generates the document from the types and routes, for the test that compares the file with it.
#[cfg(feature = "schema")]
#[doc(hidden)]
#[must_use]
pub fn openapi_of_the_code() -> Value {
    let [queries, streams] = runs::api();
    let document = Document::default()
        .with(telemetry::api(), &["/v1", ""])
        .with(queries, &runs::PREFIXES)
        .with(streams, &runs::PREFIXES)
        .with(receive::api(), &[""])
        .with(metrics::api(), &[""])
        .with(health::api(), &[""])
        .with(of_document(), &[""]);
    #[cfg(feature = "pages")]
    let document = pages::api()
        .into_iter()
        .fold(document, |document, api| document.with(api, &[pages::API]));
    document.finish()
}

fn document() -> Router {
    of_document().into_router()
}

fn of_document() -> Api<()> {
    let route = Route {
        method: MethodFilter::GET,
        path: "/openapi.json",
        summary: "This document.",
        parameters: &[],
        reads: Content::None,
        answers: Content::Other(&["application/json"], "An OpenAPI 3.1 document."),
        needs: None,
    };
    Api::new().route(route, async || json(openapi()).await)
}

/// Responds 403 to tenants.
fn for_administrators(router: Router) -> Router {
    router.layer(from_fn(async |request: Request, next: Next| {
        match request.extensions().get::<Caller>() {
            Some(Caller::Tenant(_)) => ApiError::new(
                StatusCode::FORBIDDEN,
                "forbidden",
                "this is about all tenants",
                "use a token of the tenant *",
            )
            .into_response(),
            Some(Caller::Administrator) | None => next.run(request).await,
        }
    }))
}
