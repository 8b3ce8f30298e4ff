//! One request of a client: counted when it begins, measured when it is dropped.

use std::cell::Cell;
use std::fmt::Display;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use bytes::Buf;
use http::header::RETRY_AFTER;
use http::{HeaderMap, Response, StatusCode};
use http_body::{Body, Frame};
use spanscope_core::capture::{Clock, SpanIds, Ticks};
use spanscope_core::{SpanExt as _, propagation};
use tracing::{Span, record_all};

use super::failure::Failure;
use super::hosts::Host;
use super::measure::{self, Finished};
#[cfg(feature = "model-calls")]
use super::model_calls::CallInProgress;
use super::request::{ClientRequest, ResendCount, UrlTemplate};
use super::shared::Shared;
use super::span::{self, Details};
use crate::exchange::{End, Exchange, NoteError, ends_with_head};
use crate::grpc::{self, GrpcCode};
use crate::request::{RequestLabels, version_text};

thread_local! {
    /// The request that this thread is sending inside a layer. See [`ClientExchange::mark`].
    static SENDING: Cell<Option<u64>> = const { Cell::new(None) };
}

/// The mark in the extensions of a request that a layer has seen, so that a second layer passes it
/// on.
#[derive(Debug, Clone)]
pub(crate) struct Seen;

/// A request in progress.
#[derive(Debug)]
pub(crate) struct ClientExchange {
    shared: Arc<Shared>,
    host: Arc<Host>,
    labels: RequestLabels,
    started: Ticks,
    status: Option<StatusCode>,
    /// The version of the response; empty before it.
    version: &'static str,
    end: End,
    failure: Option<Box<Failure>>,
    is_grpc: bool,
    grpc: Option<GrpcCode>,
    /// Whether the trace is propagated with it.
    is_propagated: bool,
    /// If requests have no extensions for a mark: the value of [`SENDING`] while it is sent.
    mark: Option<u64>,
    /// How often the request was built, if the layer is outside its retries.
    attempts: Option<Arc<AtomicU32>>,
    /// The call of a model that the request may be.
    #[cfg(feature = "model-calls")]
    model_call: Option<Box<CallInProgress>>,
    span: Span,
    /// The ids of the span, for measurements.
    ids: Option<SpanIds>,
}

impl ClientExchange {
    /// Reads the request and opens its span. [`inject`](Self::inject) and [`begin`](Self::begin)
    /// have to follow.
    pub(crate) fn start(shared: &Arc<Shared>, request: &ClientRequest<'_>, resend: Option<u32>) -> Box<Self> {
        let started = Clock::global().now();
        let labels = RequestLabels::new(request.method, request.scheme, request.version, shared.is_https());
        let port = request.port.unwrap_or_else(|| labels.default_port());
        let host = shared.hosts.find(request.host, port);
        let grpc = grpc::method_of(request.headers, request.path);
        let span = if shared.opens_span {
            let extension = request.extensions.and_then(|all| all.get::<UrlTemplate>());
            let of_user;
            let template = match (&shared.template_of, extension) {
                (_, Some(template)) => Some(template.as_str()),
                (Some(template_of), None) => {
                    of_user = template_of(request);
                    of_user.as_deref()
                }
                (None, None) => None,
            };
            let of_extension = || request.extensions.and_then(|all| all.get::<ResendCount>());
            let details = Details {
                labels,
                port,
                template,
                grpc,
                resend: resend.or_else(|| of_extension().map(|count| count.0)),
            };
            span::open(request, &details)
        } else {
            Span::none()
        };
        Box::new(Self {
            shared: Arc::clone(shared),
            host,
            labels,
            started,
            status: None,
            version: "",
            end: End::Cancelled,
            failure: None,
            is_grpc: grpc.is_some(),
            grpc: None,
            is_propagated: shared.propagation.covers(request.host),
            mark: None,
            attempts: None,
            ids: span
                .ids()
                .map(|(trace_id, span_id)| SpanIds { trace_id, span_id }),
            #[cfg(feature = "model-calls")]
            model_call: None,
            span,
        })
    }

    /// Writes the trace into the request's headers, if the host may see it.
    pub(crate) fn inject(&self, headers: &mut HeaderMap) {
        if self.is_propagated {
            propagation::inject(&self.span, headers);
        }
    }

    /// Reads the request's body, which may make it a call of a model. Has to precede
    /// [`begin`](Self::begin), so that the current span is still that of the caller.
    #[cfg(feature = "model-calls")]
    pub(crate) fn reading<B: 'static>(
        mut self: Box<Self>,
        request: &ClientRequest<'_>,
        body: Option<&B>,
    ) -> Box<Self> {
        let calls = self
            .shared
            .model_calls
            .as_ref()
            .filter(|_| self.shared.opens_span);
        self.model_call = calls.and_then(|calls| CallInProgress::of(calls, request, body?));
        self
    }

    #[cfg(not(feature = "model-calls"))]
    pub(crate) fn reading<B>(self: Box<Self>, _: &ClientRequest<'_>, _: Option<&B>) -> Box<Self> {
        self
    }

    /// Counts it as running, and calls the client.
    pub(crate) fn begin<T>(self: Box<Self>, call: impl FnOnce() -> T) -> (Box<Self>, T) {
        self.work(|request| {
            request.count(1, None);
            call()
        })
    }

    /// Lets an inner layer recognize the request by its mark, while it is sent on the same thread.
    #[cfg(feature = "reqwest")]
    pub(crate) fn marked(mut self: Box<Self>, mark: u64) -> Box<Self> {
        self.mark = Some(mark);
        self
    }

    /// Counts how often the request was built.
    #[cfg(feature = "async-openai")]
    pub(crate) fn counted(mut self: Box<Self>, attempts: Arc<AtomicU32>) -> Box<Self> {
        self.attempts = Some(attempts);
        self
    }

    /// Adds `by` to the number of running requests. A finished request is measured too.
    fn count(&self, by: i64, mut finished: Option<&Finished<'_>>) {
        self.host.running(self.labels).change(by, |running| {
            let finished = finished.take();
            measure::active_requests(&self.host, self.labels, running, self.ids, finished);
        });
        // Another thread reports the number, and not this request.
        if let Some(finished) = finished {
            finished.measure();
        }
    }

    /// Returns `error.type`. A response whose body the caller drops is not an error.
    fn error_type(&self) -> Option<&str> {
        let failed = self.status.as_ref();
        let failed = failed.filter(|status| status.is_client_error() || status.is_server_error());
        match (self.end, failed) {
            (End::Panicked, _) => Some("panic"),
            (_, Some(status)) => Some(status.as_str()),
            (End::ServiceError | End::BodyError, None) => {
                let failure = self.failure.as_ref();
                Some(failure.map_or("_OTHER", |failure| failure.error_type.as_ref()))
            }
            (End::Cancelled, None) if self.status.is_none() => Some("cancelled"),
            (End::Cancelled | End::Complete, None) => None,
        }
    }

    fn write_end_to_span(&self) {
        if let Some(code) = self.grpc {
            code.record(&self.span);
        }
        let attempts = self
            .attempts
            .as_ref()
            .map_or(0, |count| count.load(Ordering::Relaxed));
        if attempts > 1 {
            self.span.record("http.request.resend_count", attempts - 1);
        }
        if self.end == End::Cancelled && self.status.is_some() {
            self.span.record("spanscope.body_dropped", true);
        }
        let failed_call = self.grpc.filter(|code| code.is_client_error());
        let Some(error_type) = self.error_type().or(failed_call.map(GrpcCode::name)) else {
            return;
        };
        self.span.record("error.type", error_type);
        self.span.record("otel.status_code", "error");
        let description = match (self.end, &self.failure) {
            (End::Panicked, _) => "the client panicked",
            (End::Cancelled, _) if self.status.is_none() => "the request was dropped before its response",
            (_, Some(failure)) => failure.description.as_str(),
            // The status code is sufficient.
            _ => return,
        };
        self.span.record("otel.status_description", description);
    }
}

impl Exchange for ClientExchange {
    fn set_end(&mut self, end: End) {
        self.end = end;
    }

    fn in_scope<T>(&self, work: impl FnOnce() -> T) -> T {
        let _sending = self.mark.map(Sending::begin);
        self.span.in_scope(work)
    }

    /// Not in its span: the caller reads the body, frame by frame, and the caller's work in between
    /// is not the client's. Entering the span for each frame would cost more than reading it.
    fn in_body_scope<T>(&self, work: impl FnOnce() -> T) -> T {
        work()
    }

    fn head<B: Body>(&mut self, response: &Response<B>, announced: Option<u64>) -> bool {
        let status = response.status();
        self.status = Some(status);
        self.version = version_text(response.version());
        record_all!(
            self.span,
            http.response.status_code = status.as_u16(),
            network.protocol.version = (!self.version.is_empty()).then_some(self.version)
        );
        if let Some(wait) = response
            .headers()
            .get(RETRY_AFTER)
            .and_then(|wait| wait.to_str().ok())
        {
            self.span.record(
                "http.response.header.retry-after",
                spanscope_model::text::cut(wait, 64),
            );
        }
        if self.is_grpc {
            self.grpc = GrpcCode::of(response.headers());
        }
        #[cfg(feature = "model-calls")]
        if let Some(call) = &mut self.model_call {
            call.head(status, response.headers());
        }
        ends_with_head(self.labels, response, announced)
    }

    fn frame<D: Buf>(&mut self, frame: &Frame<D>) {
        if self.is_grpc
            && let Some(trailers) = frame.trailers_ref()
        {
            self.grpc = GrpcCode::of(trailers);
        }
        #[cfg(feature = "model-calls")]
        if let Some(call) = &mut self.model_call
            && !call.frame(frame, self.started, &self.span)
        {
            self.model_call = None;
        }
    }
}

impl<E: Display + 'static> NoteError<E> for ClientExchange {
    fn note_error(&mut self, error: &E) {
        self.failure = Some(Box::new(Failure::of(error, &self.shared.known_errors)));
    }
}

impl Drop for ClientExchange {
    fn drop(&mut self) {
        let nanos = Clock::global().nanos_between(self.started, Clock::global().now());
        let seconds = Duration::from_nanos(nanos).as_secs_f64();
        self.span.end_now();
        self.write_end_to_span();
        #[cfg(feature = "model-calls")]
        if let Some(call) = self.model_call.take() {
            call.finish(self.end == End::Complete, &self.span);
        }
        let finished = Finished {
            host: &self.host,
            request: self.labels,
            version: self.version,
            seconds,
            status: self.status,
            error_type: self.error_type(),
            ids: self.ids,
        };
        self.count(-1, Some(&finished));
    }
}

/// Returns whether this thread is sending the request with this mark inside a layer.
#[cfg(feature = "reqwest")]
pub(crate) fn is_sending(mark: u64) -> bool {
    SENDING.get() == Some(mark)
}

/// Marks the thread until it is dropped.
struct Sending(Option<u64>);

impl Sending {
    fn begin(mark: u64) -> Self {
        Self(SENDING.replace(Some(mark)))
    }
}

impl Drop for Sending {
    fn drop(&mut self) {
        SENDING.set(self.0);
    }
}
