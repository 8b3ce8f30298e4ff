//! Whether the server lives, and whether it can do its work: for whoever starts and watches it.

use std::sync::Arc;

use axum::Router;
use axum::extract::State;
use axum::response::Response;
use axum::routing::MethodFilter;
use schemars::JsonSchema;
use serde::Serialize;
use spanscope_model::TraceStore;

use crate::answer::{ApiError, json};
use crate::api::{Api, Content, Route};

#[derive(Serialize, JsonSchema)]
struct Health {
    status: &'static str,
}

/// Answers `GET /health` with 200 as long as the process answers at all, and `GET /ready` with 200 if the store can read and
/// write, else with the store's failure. They tell nothing of what is stored, so they need no token.
pub fn health_router(store: Arc<dyn TraceStore>) -> Router {
    api().into_router().with_state(store)
}

/// The routes.
pub(crate) fn api() -> Api<Arc<dyn TraceStore>> {
    let route = |path, summary| Route {
        method: MethodFilter::GET,
        path,
        summary,
        parameters: &[],
        reads: Content::None,
        answers: Content::json::<Health>(),
    };
    Api::new()
        .route(route("/health", "Whether the server answers."), async || {
            json(Health { status: "ok" }).await
        })
        .route(route("/ready", "Whether its store can read and write."), ready)
}

async fn ready(State(store): State<Arc<dyn TraceStore>>) -> Result<Response, ApiError> {
    store.check().await?;
    json(Health { status: "ready" }).await
}
