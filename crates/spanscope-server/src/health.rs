//! Health checks: whether the server is alive, and whether it can work.

use std::sync::Arc;

use axum::Router;
use axum::extract::State;
use axum::response::Response;
use axum::routing::MethodFilter;
use serde::Serialize;
use spanscope_model::TraceStore;

use crate::answer::{ApiError, json};
use crate::api::{Api, Content, Route};
use crate::store_log::logged;

#[derive(Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
struct Health {
    status: &'static str,
}

/// Responds to `GET /health` with 200 while the process is alive, and to `GET /ready` with 200 if
/// the store can be read, and written unless it only reads, otherwise with the store's error. The
/// responses reveal no stored data, so they need no token.
pub fn health_router(store: Arc<dyn TraceStore>) -> Router {
    logged(api().into_router().with_state(store))
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
        needs: None,
    };
    Api::new()
        .route(route("/health", "Whether the server is alive."), async || {
            json(Health { status: "ok" }).await
        })
        .route(
            route(
                "/ready",
                "Whether its store can be read, and written unless it only reads.",
            ),
            ready,
        )
}

async fn ready(State(store): State<Arc<dyn TraceStore>>) -> Result<Response, ApiError> {
    store.check().await?;
    json(Health { status: "ready" }).await
}
