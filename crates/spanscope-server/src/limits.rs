//! [`Limits`]: how much of this machine requests may use, and what enforces it.
//!
//! The timeouts are implemented here and not by `tower-http`: its request timeout responds without
//! a body, where clients of this API read the reason, and its body timeout restarts with each
//! piece, so a client that sends a byte at a time never exceeds it.

use std::error::Error;
use std::fmt;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::{Request, State};
use axum::http::StatusCode;
use axum::middleware::{Next, from_fn_with_state};
use axum::response::{IntoResponse, Response};
use http_body::{Body as HttpBody, Frame, SizeHint};
use tokio::time::{Sleep, sleep, timeout};

use crate::answer::ApiError;
use crate::budget::Budget;
use crate::caller::Caller;
use crate::held_body::HeldBody;
use crate::permits::{NoPermit, Permits};
use crate::response_memory::{HeldAnswer, counting};
use spanscope_model::setters;

/// How much requests may take. Every field names its default and has a setter.
///
/// ```
/// let limits = spanscope_server::Limits::default().body_bytes(1 << 20).connections(100);
/// assert_eq!(limits.body_bytes, 1 << 20);
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Limits {
    /// Maximum body of an OTLP request as it is sent, in bytes. Default: 16 MiB.
    pub body_bytes: usize,
    /// Maximum size of such a body once it is decompressed, in bytes. Default: 64 MiB.
    pub decompressed_bytes: usize,
    /// Maximum memory of all such bodies, in bytes; further ones get 429. Default: 128 MiB.
    pub buffered_bytes: usize,
    /// Approximate maximum memory of all such bodies once decoded, in bytes. It is computed before
    /// decoding: a body that alone exceeds it gets 413, further ones get 429. Default: 512 MiB.
    pub decoded_bytes: usize,
    /// Maximum number of concurrent queries; further ones get 429. Default: 64.
    pub queries: usize,
    /// Maximum number of concurrent queries of one tenant. Default: 32.
    pub tenant_queries: usize,
    /// Maximum memory of all responses to queries until their clients have read them, in bytes;
    /// further ones get 429. Responses up to 64 KiB are not counted. Default: 256 MiB.
    pub response_bytes: usize,
    /// Maximum time until a body has arrived. Default: 20 s.
    pub body_time: Duration,
    /// Maximum time from the head of a request to the head of its response. Default: 30 s.
    pub request_time: Duration,
    /// Maximum time until the head of a request, or the next request on a connection, has arrived.
    /// Default: 30 s.
    pub head_time: Duration,
    /// Maximum time in which a client reads nothing of its response. Default: 30 s.
    pub write_time: Duration,
    /// Maximum number of connections; further ones wait until one ends. If all are in use, a client
    /// with more than its share of them loses connections to clients with less, and a waiting
    /// client loses those of its connections that had no request for 250 ms. Default: 640, so that
    /// streams leave some.
    pub connections: usize,
    /// How long a shutdown waits for requests that have begun. Default: 10 s.
    pub shutdown_time: Duration,
}

setters!(Limits {
    body_bytes: [usize],
    decompressed_bytes: [usize],
    buffered_bytes: [usize],
    decoded_bytes: [usize],
    queries: [usize],
    tenant_queries: [usize],
    response_bytes: [usize],
    body_time: [Duration],
    request_time: [Duration],
    head_time: [Duration],
    write_time: [Duration],
    connections: [usize],
    shutdown_time: [Duration],
});

impl Default for Limits {
    fn default() -> Self {
        Self {
            body_bytes: 16 << 20,
            decompressed_bytes: 64 << 20,
            buffered_bytes: 128 << 20,
            decoded_bytes: 512 << 20,
            queries: 64,
            tenant_queries: 32,
            response_bytes: 256 << 20,
            body_time: Duration::from_secs(20),
            request_time: Duration::from_secs(30),
            head_time: Duration::from_secs(30),
            write_time: Duration::from_secs(30),
            connections: 640,
            shutdown_time: Duration::from_secs(10),
        }
    }
}

/// Enforces the timeouts of requests: 408 for a late body, 503 for a late response.
pub(crate) fn timed(router: Router, limits: Limits) -> Router {
    router.layer(from_fn_with_state(limits, keep_time))
}

async fn keep_time(State(limits): State<Limits>, request: Request, next: Next) -> Response {
    let request = request.map(|body| {
        Body::new(TimedBody {
            body,
            until: Box::pin(sleep(limits.body_time)),
        })
    });
    match timeout(limits.request_time, next.run(request)).await {
        Ok(response) => response,
        Err(_) => ApiError::new(
            StatusCode::SERVICE_UNAVAILABLE,
            "timed_out",
            format!("there was no response within {} s", limits.request_time.as_secs()),
            "request less, or retry later",
        )
        .into_response(),
    }
}

/// Limits concurrent queries, of all callers and of each tenant, and the memory of their responses.
/// A permit is held until the response is sent, because the response is what uses the memory.
pub(crate) fn counted(router: Router, queries: QueryLimits) -> Router {
    router.layer(from_fn_with_state(queries, take_permit))
}

/// The permits and the memory that all queries share.
#[derive(Clone)]
pub(crate) struct QueryLimits {
    permits: Arc<Permits>,
    answers: Budget,
}

impl QueryLimits {
    pub(crate) fn new(limits: Limits) -> Self {
        Self {
            permits: Permits::new(limits.queries, limits.tenant_queries),
            answers: Budget::new(limits.response_bytes),
        }
    }
}

async fn take_permit(State(queries): State<QueryLimits>, request: Request, next: Next) -> Response {
    let tenant = match request.extensions().get::<Caller>() {
        Some(Caller::Tenant(tenant)) => Some(tenant.clone()),
        Some(Caller::Administrator) | None => None,
    };
    match queries.permits.take(tenant) {
        Ok(permit) => {
            let mut response = counting(queries.answers, request, next).await;
            let memory = response.extensions_mut().remove::<HeldAnswer>();
            response.map(|body| Body::new(HeldBody::new(body, (permit, memory))))
        }
        Err(NoPermit::All) => ApiError::overloaded("too many concurrent queries").into_response(),
        Err(NoPermit::Share) => {
            ApiError::overloaded("too many concurrent queries of this tenant").into_response()
        }
    }
}

/// A body with a timeout.
struct TimedBody {
    body: Body,
    until: Pin<Box<Sleep>>,
}

/// The error of a body that did not arrive in time.
#[derive(Debug)]
pub(crate) struct SlowBody;

impl fmt::Display for SlowBody {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the body did not arrive in time")
    }
}

impl Error for SlowBody {}

/// Whether a body failed because it was slow.
pub(crate) fn is_slow(error: &(dyn Error + 'static)) -> bool {
    let mut next = Some(error);
    while let Some(error) = next {
        if error.is::<SlowBody>() {
            return true;
        }
        next = error.source();
    }
    false
}

impl HttpBody for TimedBody {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        match Pin::new(&mut self.body).poll_frame(context) {
            Poll::Pending => match self.until.as_mut().poll(context) {
                Poll::Ready(()) => Poll::Ready(Some(Err(axum::Error::new(SlowBody)))),
                Poll::Pending => Poll::Pending,
            },
            // A body that keeps arriving in small pieces is late too.
            Poll::Ready(Some(_)) if self.until.is_elapsed() => {
                Poll::Ready(Some(Err(axum::Error::new(SlowBody))))
            }
            ready => ready,
        }
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
