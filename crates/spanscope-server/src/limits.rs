//! [`Limits`]: how much of this machine requests may take, and what keeps them to it.
//!
//! The times are kept here and not by `tower-http`: its timeout answers without a body, where clients
//! of this API read why, and its timeout of a body begins anew with each piece, which a client that
//! sends a byte at a time never exceeds.

use std::error::Error;
use std::fmt;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
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
use crate::answer_memory::{HeldAnswer, counting};
use crate::budget::Budget;
use crate::caller::Caller;
use crate::permits::{NoPermit, Permit, Permits};
use crate::setters::setters;

/// How much requests may take. Every field names its default and has a setter.
///
/// ```
/// let limits = spanscope_server::Limits::default().body_bytes(1 << 20).connections(100);
/// assert_eq!(limits.body_bytes, 1 << 20);
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Limits {
    /// Bytes of the body of an OTLP request, as it is sent. Default: 16 MiB.
    pub body_bytes: usize,
    /// Bytes of such a body once it is unpacked. Default: 64 MiB.
    pub unpacked_bytes: usize,
    /// Bytes of such bodies that are held at one time, of all requests; what comes beyond is answered 429. Default: 128 MiB.
    pub held_bytes: usize,
    /// Bytes of memory that such bodies take once they are decoded, about, of all requests. It is told before it is done: what would
    /// take more alone is answered 413, what comes beyond 429. Default: 512 MiB.
    pub decoded_bytes: usize,
    /// Questions that are answered at one time; further ones are answered 429. Default: 64.
    pub questions: usize,
    /// Of these, those of one tenant, so that none takes all of them. Default: 32.
    pub tenant_questions: usize,
    /// Bytes of the answers to questions that are held at one time, until their clients have taken them; what comes beyond is
    /// answered 429. Answers up to 64 KiB are not counted. Default: 256 MiB.
    pub answer_bytes: usize,
    /// How long a body may take to come. Default: 20 s.
    pub body_time: Duration,
    /// How long a request may take from its head to the head of its answer. Default: 30 s.
    pub request_time: Duration,
    /// How long the head of a request may take to come, or the next request on a connection. Default: 30 s.
    pub head_time: Duration,
    /// How long a client may take no part of its answer. Default: 30 s.
    pub write_time: Duration,
    /// Connections at one time; further ones wait until one ends. Where all are taken, a client that has more than its share of
    /// them loses connections to clients that have less. Default: 640, so that streams leave some.
    pub connections: usize,
    /// How long a shutdown waits for requests that have begun. Default: 10 s.
    pub shutdown_time: Duration,
}

setters!(Limits {
    body_bytes: usize,
    unpacked_bytes: usize,
    held_bytes: usize,
    decoded_bytes: usize,
    questions: usize,
    tenant_questions: usize,
    answer_bytes: usize,
    body_time: Duration,
    request_time: Duration,
    head_time: Duration,
    write_time: Duration,
    connections: usize,
    shutdown_time: Duration,
});

impl Default for Limits {
    fn default() -> Self {
        Self {
            body_bytes: 16 << 20,
            unpacked_bytes: 64 << 20,
            held_bytes: 128 << 20,
            decoded_bytes: 512 << 20,
            questions: 64,
            tenant_questions: 32,
            answer_bytes: 256 << 20,
            body_time: Duration::from_secs(20),
            request_time: Duration::from_secs(30),
            head_time: Duration::from_secs(30),
            write_time: Duration::from_secs(30),
            connections: 640,
            shutdown_time: Duration::from_secs(10),
        }
    }
}

/// Holds requests to their times: 408 where the body does not come, 503 where the answer does not.
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
            format!("there was no answer within {} s", limits.request_time.as_secs()),
            "ask for less, or again later",
        )
        .into_response(),
    }
}

/// Limits concurrent questions, of all callers and of each tenant, and the memory of their answers. A permit
/// is held until the answer is sent, because the answer is what uses the memory.
pub(crate) fn counted(router: Router, limits: Limits) -> Router {
    let questions = Questions {
        permits: Permits::new(limits.questions, limits.tenant_questions),
        answers: Budget::new(limits.answer_bytes),
    };
    router.layer(from_fn_with_state(questions, take_permit))
}

/// What questions share.
#[derive(Clone)]
struct Questions {
    permits: Arc<Permits>,
    answers: Budget,
}

async fn take_permit(State(questions): State<Questions>, request: Request, next: Next) -> Response {
    let tenant = match request.extensions().get::<Caller>() {
        Some(Caller::Tenant(tenant)) => Some(tenant.clone()),
        Some(Caller::Administrator) | None => None,
    };
    match questions.permits.take(tenant) {
        Ok(permit) => {
            let mut response = counting(questions.answers, request, next).await;
            let memory = response.extensions_mut().remove::<HeldAnswer>();
            response.map(|body| Body::new(CountedBody::new(body, permit, memory)))
        }
        Err(NoPermit::All) => ApiError::overloaded("too many questions are being answered").into_response(),
        Err(NoPermit::Share) => {
            ApiError::overloaded("too many questions of this tenant are being answered").into_response()
        }
    }
}

/// A body that has to come in time.
struct TimedBody {
    body: Body,
    until: Pin<Box<Sleep>>,
}

/// A body did not come in time.
#[derive(Debug)]
pub(crate) struct SlowBody;

impl fmt::Display for SlowBody {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the body did not come in time")
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
            // Drop by drop is slow too.
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

/// How much of an answer is handed to its connection at one time.
const ANSWER_PIECE: usize = 64 * 1024;

/// The body of an answer, with the permit that it holds until it is sent.
///
/// It is given away in pieces: a connection takes what it is given, however large, and keeps it for a client that reads nothing. Of
/// pieces it takes a few, and asks for the next ones when those are sent.
struct CountedBody {
    body: Body,
    /// What is left of the frame that came last.
    rest: Bytes,
    _permit: Permit,
    _memory: Option<HeldAnswer>,
}

impl CountedBody {
    fn new(body: Body, permit: Permit, memory: Option<HeldAnswer>) -> Self {
        Self {
            body,
            rest: Bytes::new(),
            _permit: permit,
            _memory: memory,
        }
    }
}

impl HttpBody for CountedBody {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        if self.rest.is_empty() {
            match ready!(Pin::new(&mut self.body).poll_frame(context)) {
                Some(Ok(frame)) => match frame.into_data() {
                    Ok(data) => self.rest = data,
                    Err(other) => return Poll::Ready(Some(Ok(other))),
                },
                end => return Poll::Ready(end),
            }
        }
        let length = self.rest.len().min(ANSWER_PIECE);
        Poll::Ready(Some(Ok(Frame::data(self.rest.split_to(length)))))
    }

    fn is_end_stream(&self) -> bool {
        self.rest.is_empty() && self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        let (of_body, rest) = (self.body.size_hint(), self.rest.len() as u64);
        let mut hint = SizeHint::new();
        if let Some(upper) = of_body.upper() {
            hint.set_upper(upper + rest);
        }
        hint.set_lower(of_body.lower() + rest);
        hint
    }
}
