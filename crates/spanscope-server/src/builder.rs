//! [`ServerBuilder`]: puts everything that this crate serves behind one check of the caller.
//!
//! Never here: a handler, a socket, the environment.

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
use crate::api::{Api, Content, Document, Route};
use crate::bearer::{BearerTokens, with_tokens};
use crate::caller::Caller;
use crate::datasets::Datasets;
use crate::guests::{AllowedHost, AllowedOrigin, Guests, with_guests};
use crate::health::health_router;
use crate::limits::{Limits, counted};
use crate::local::local_and;
use crate::metrics::{PrometheusSink, metrics_router};
use crate::receive::otlp_router;
use crate::runs::RunSettings;
use crate::serve::Server;
use crate::telemetry::{telemetry_router, telemetry_router_with};
use crate::{health, metrics, receive, runs, telemetry};

/// Which requests a server accepts.
#[derive(Debug, Clone, Default)]
#[non_exhaustive]
pub enum AuthMode {
    /// Requests of programs on this machine, without a token. For a loopback address only. The default.
    #[default]
    Local,
    /// Requests that bring one of these tokens.
    Tokens(BearerTokens),
}

/// Configures a [`Server`]: the telemetry API, agent traces, the OTLP receiver, health and metrics, as `spanscope serve` has
/// them. Made by [`Server::builder`].
///
/// Health and the OpenAPI document need no token. Metrics, which are of all tenants, need an administrator's.
#[must_use = "a builder does nothing until `build` or `router` is called"]
pub struct ServerBuilder {
    store: Arc<dyn TraceStore>,
    limits: Limits,
    auth: AuthMode,
    metrics: PrometheusSink,
    runs: RunSettings,
    datasets: Option<Datasets>,
    guests: Guests,
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
        }
    }

    /// Sets how much of this machine requests may take. Default: [`Limits::default`].
    pub fn limits(mut self, limits: Limits) -> Self {
        self.limits = limits;
        self
    }

    /// Sets which requests are accepted. Default: [`AuthMode::Local`].
    pub fn auth(mut self, auth: AuthMode) -> Self {
        self.auth = auth;
        self
    }

    /// Sets the measurements that `GET /metrics` returns. Default: a sink that nothing is recorded into.
    pub fn metrics(mut self, sink: PrometheusSink) -> Self {
        self.metrics = sink;
        self
    }

    /// Sets how agent traces are served. Default: [`RunSettings::default`].
    pub fn runs(mut self, runs: RunSettings) -> Self {
        self.runs = runs;
        self
    }

    /// Sets the folder that spans are exported into as datasets. Default: none, and exports are refused
    /// as `unsupported` (501).
    pub fn datasets(mut self, datasets: Datasets) -> Self {
        self.datasets = Some(datasets);
        self
    }

    /// Sets web pages of other origins that may ask and send (CORS); with tokens they need one like everybody.
    /// Default: none.
    pub fn allow_origins(mut self, origins: impl IntoIterator<Item = AllowedOrigin>) -> Self {
        self.guests.origins = origins.into_iter().collect();
        self
    }

    /// Sets names other than this machine's own by which the server may be asked for without a token, such as
    /// `host.docker.internal`. Whoever owns such a name can have it point to this machine, and their pages could
    /// then ask the server. Default: none.
    pub fn allow_hosts(mut self, hosts: impl IntoIterator<Item = AllowedHost>) -> Self {
        self.guests.hosts = hosts.into_iter().collect();
        self
    }

    /// Builds the server, which [`Server::bind`] gives a socket.
    pub fn build(self) -> Server {
        let limits = self.limits;
        let is_local = matches!(self.auth, AuthMode::Local);
        Server::from_router(self.router(), limits).loopback_only(is_local)
    }

    /// Builds the routes alone, for an axum server that has a socket already.
    ///
    /// Of the [`Limits`], those of connections and times are then that server's task.
    pub fn router(self) -> Router {
        let Self {
            store,
            limits,
            auth,
            metrics,
            runs,
            datasets,
            guests,
        } = self;
        let telemetry = match datasets {
            Some(datasets) => telemetry_router_with(Arc::clone(&store), datasets),
            None => telemetry_router(Arc::clone(&store)),
        };
        let questions = telemetry.merge(runs::questions(Arc::clone(&store), runs));
        let routes = counted(questions, limits)
            .merge(runs::streams(Arc::clone(&store), runs))
            .merge(otlp_router(Arc::clone(&store), limits))
            .merge(for_administrators(metrics_router(metrics)));
        let health = health_router(store).merge(document());
        let router = match auth {
            AuthMode::Local => local_and(routes.merge(health), guests.clone()),
            AuthMode::Tokens(tokens) => with_tokens(routes, tokens).merge(health),
        };
        let router = with_guests(router, guests);
        #[cfg(feature = "grpc")]
        let router = crate::grpc::translated(router);
        router
    }
}

/// The routes of a [`Server`] as an OpenAPI 3.1 document. `GET /openapi.json` is this.
///
/// ```
/// let document = spanscope_server::openapi();
/// assert!(document["paths"]["/v1/telemetry/traces"]["post"].is_object());
/// ```
#[must_use]
pub fn openapi() -> Value {
    let [questions, streams] = runs::api();
    Document::default()
        .with(telemetry::api(), &["/v1", ""])
        .with(questions, &runs::PREFIXES)
        .with(streams, &runs::PREFIXES)
        .with(receive::api(), &[""])
        .with(metrics::api(), &[""])
        .with(health::api(), &[""])
        .with(of_document(), &[""])
        .finish()
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
    };
    Api::new().route(route, async || json(openapi()).await)
}

/// Answers 403 to tenants.
fn for_administrators(router: Router) -> Router {
    router.layer(from_fn(async |request: Request, next: Next| {
        match request.extensions().get::<Caller>() {
            Some(Caller::Tenant(_)) => ApiError::new(
                StatusCode::FORBIDDEN,
                "forbidden",
                "this is about all tenants",
                "ask with a token of the tenant *",
            )
            .into_response(),
            Some(Caller::Administrator) | None => next.run(request).await,
        }
    }))
}
