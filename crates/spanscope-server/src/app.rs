//! [`app`]: everything that this crate answers, behind one check of who asks.

use std::sync::Arc;

use axum::Router;
use axum::extract::Request;
use axum::http::StatusCode;
use axum::middleware::{Next, from_fn};
use axum::response::IntoResponse;
use spanscope_model::TraceStore;

use crate::answer::ApiError;
use crate::caller::Caller;
use crate::health::health_router;
use crate::limits::{Limits, counted};
use crate::local::local_only;
use crate::metrics::{PrometheusSink, metrics_router};
use crate::receive::otlp_router;
use crate::telemetry::telemetry_router;
use crate::tokens::{Tokens, with_tokens};

/// Who may ask.
#[derive(Debug, Clone)]
pub enum Access {
    /// Programs of this machine, without a token. For a loopback address only.
    Local,
    /// Whoever brings one of these tokens.
    Tokens(Tokens),
}

/// The telemetry API, the OTLP receiver, health and metrics, as `spanscope serve` has them.
///
/// Health needs no token; metrics, which are of all tenants, need an administrator's. What is measured of the server itself is what `metrics` is given.
pub fn app(store: &Arc<dyn TraceStore>, metrics: PrometheusSink, access: Access, limits: Limits) -> Router {
    let routes = counted(telemetry_router(Arc::clone(store)), limits.questions)
        .merge(otlp_router(Arc::clone(store), limits))
        .merge(for_administrators(metrics_router(metrics)));
    let health = health_router(Arc::clone(store));
    match access {
        Access::Local => local_only(routes.merge(health)),
        Access::Tokens(tokens) => with_tokens(routes, tokens).merge(health),
    }
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
