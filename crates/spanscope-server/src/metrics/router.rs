//! `GET /metrics`, to be merged into an axum server.

use axum::Router;
use axum::extract::State;
use axum::http::header::{ACCEPT, CONTENT_TYPE};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::MethodFilter;

use super::sink::PrometheusSink;
use crate::api::{Api, Content, Route};

/// Serves `GET /metrics` (and `HEAD`; other methods get 405), in the format that the scraper
/// accepts.
///
/// It has no access control: a server that others can reach must add its own.
///
/// ```
/// use spanscope_server::{PrometheusSink, metrics_router};
///
/// let sink = PrometheusSink::new();
/// let app: axum::Router = axum::Router::new().merge(metrics_router(sink.clone()));
/// ```
pub fn metrics_router(sink: PrometheusSink) -> Router {
    api().into_router().with_state(sink)
}

/// The route.
pub(crate) fn api() -> Api<PrometheusSink> {
    let route = Route {
        method: MethodFilter::GET,
        path: "/metrics",
        summary: "The server's metrics, for Prometheus.",
        parameters: &[],
        reads: Content::None,
        answers: Content::Other(
            &["text/plain", "application/openmetrics-text"],
            "The metrics, in the format that `accept` requests.",
        ),
        needs: None,
    };
    Api::new().route(route, async |State(sink), headers| answer(sink, headers).await)
}

async fn answer(sink: PrometheusSink, headers: HeaderMap) -> Response {
    // The header may be repeated, which means the same as one list.
    let accept = headers
        .get_all(ACCEPT)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .collect::<Vec<_>>()
        .join(",");
    // A full table is megabytes of text, which would hold up the other requests of this thread.
    let written = tokio::task::spawn_blocking(move || sink.encode(&accept)).await;
    match written {
        Ok((content_type, text)) => ([(CONTENT_TYPE, content_type)], text).into_response(),
        Err(_) => StatusCode::SERVICE_UNAVAILABLE.into_response(), // the runtime is being shut down
    }
}
