//! Whether the server lives, and whether it can do its work: for whoever starts and watches it.

use std::sync::Arc;

use axum::Router;
use axum::extract::State;
use axum::response::Response;
use axum::routing::get;
use serde::Serialize;
use spanscope_model::{TraceQuery, TraceStore};

use crate::answer::{ApiError, json};

#[derive(Serialize)]
struct Health {
    status: &'static str,
}

/// Answers `GET /health` with 200 as long as the process answers at all, and `GET /ready` with 200 if the store answers, else
/// with the store's failure. They tell nothing of what is stored, so they need no token.
pub fn health_router(store: Arc<dyn TraceStore>) -> Router {
    Router::new()
        .route("/health", get(async || json(Health { status: "ok" }).await))
        .route("/ready", get(ready))
        .method_not_allowed_fallback(async || ApiError::method_not_allowed())
        .with_state(store)
}

async fn ready(State(store): State<Arc<dyn TraceStore>>) -> Result<Response, ApiError> {
    let newest = TraceQuery {
        limit: Some(1),
        ..TraceQuery::default()
    };
    store.query_traces(newest).await?;
    json(Health { status: "ready" }).await
}
