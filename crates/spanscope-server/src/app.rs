//! [`app`]: everything that this crate answers, behind one check of who asks.

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
use crate::caller::Caller;
use crate::health::health_router;
use crate::limits::{Limits, counted};
use crate::local::local_only;
use crate::metrics::{PrometheusSink, metrics_router};
use crate::receive::otlp_router;
use crate::runs::RunSettings;
use crate::telemetry::telemetry_router;
use crate::tokens::{Tokens, with_tokens};
use crate::{health, metrics, receive, runs, telemetry};

/// Who may ask.
#[derive(Debug, Clone)]
pub enum Access {
    /// Programs of this machine, without a token. For a loopback address only.
    Local,
    /// Whoever brings one of these tokens.
    Tokens(Tokens),
}

/// The telemetry API, agent traces, the OTLP receiver, health and metrics, as `spanscope serve` has them.
///
/// Health and the document need no token; metrics, which are of all tenants, need an administrator's. What is measured of the server itself is what `sink` is given.
pub fn app(
    store: &Arc<dyn TraceStore>,
    sink: PrometheusSink,
    access: Access,
    limits: Limits,
    runs: RunSettings,
) -> Router {
    let questions = telemetry_router(Arc::clone(store)).merge(runs::questions(Arc::clone(store), runs));
    let routes = counted(questions, limits.questions)
        .merge(runs::streams(Arc::clone(store), runs))
        .merge(otlp_router(Arc::clone(store), limits))
        .merge(for_administrators(metrics_router(sink)));
    let health = health_router(Arc::clone(store)).merge(document());
    match access {
        Access::Local => local_only(routes.merge(health)),
        Access::Tokens(tokens) => with_tokens(routes, tokens).merge(health),
    }
}

/// What [`app`] answers, as an OpenAPI 3.1 document. `GET /openapi.json` is this.
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
