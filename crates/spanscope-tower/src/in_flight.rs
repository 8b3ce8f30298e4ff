//! One request of the server: counted when it begins, measured when it is dropped.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Buf;
use http::{Request, Response, StatusCode};
use http_body::{Body, Frame};
use spanscope_core::SpanExt as _;
use spanscope_core::capture::{Clock, SpanIds, Ticks};
use tracing::Span;

use crate::apis::Api;
use crate::exchange::{End, Exchange, NoteError, ends_with_head};
use crate::grpc::{self, GrpcCode};
use crate::measure::{self, Finished};
use crate::request::RequestLabels;
use crate::shared::Shared;
use crate::span::{self, Name};

/// A request in progress.
#[derive(Debug)]
pub(crate) struct InFlight {
    shared: Arc<Shared>,
    api: Arc<Api>,
    labels: RequestLabels,
    route: Option<String>,
    started: Ticks,
    status: Option<StatusCode>,
    end: End,
    is_grpc: bool,
    grpc: Option<GrpcCode>,
    span: Span,
    /// The ids of the span, for measurements; `None` if no layer sees it.
    ids: Option<SpanIds>,
}

impl InFlight {
    /// Reads the request and opens its span, unless the path is excluded. [`begin`](Self::begin)
    /// has to follow.
    pub(crate) fn start<B>(shared: &Arc<Shared>, request: &Request<B>) -> Option<Box<Self>> {
        let path = request.uri().path();
        if shared.is_excluded(path) {
            return None;
        }
        let started = Clock::global().now();
        let labels = RequestLabels::of(request, shared.is_https);
        let route = shared.route(request.extensions());
        let api = shared.api(path, route.as_deref());
        let grpc = grpc::method_of(request.headers(), path);
        let span = if shared.opens_span {
            let name = Name {
                labels,
                target: route.as_deref().or_else(|| api.is_real().then_some(&*api.name)),
                grpc,
            };
            let client = || -> Option<SocketAddr> { shared.client(request.extensions()) };
            span::open(request, &name, route.as_deref(), client)
        } else {
            Span::none()
        };
        let ids = span
            .ids()
            .map(|(trace_id, span_id)| SpanIds { trace_id, span_id });
        Some(Box::new(Self {
            shared: Arc::clone(shared),
            api,
            labels,
            route,
            started,
            status: None,
            end: End::Cancelled,
            is_grpc: grpc.is_some(),
            grpc: None,
            span,
            ids,
        }))
    }

    /// Counts it as running, and calls the service.
    pub(crate) fn begin<T>(self: Box<Self>, call: impl FnOnce() -> T) -> (Box<Self>, T) {
        self.work(|request| {
            request.count(1);
            call()
        })
    }

    /// Counts it as a running request of another API, after its route became known.
    fn move_to(&mut self, api: Arc<Api>) {
        if Arc::ptr_eq(&self.api, &api) {
            return;
        }
        let before = std::mem::replace(&mut self.api, api);
        self.span.in_scope(|| {
            count_in(&before, -1, self.ids);
            count_in(&self.api, 1, self.ids);
        });
    }

    fn count(&self, by: i64) {
        count_in(&self.api, by, self.ids);
        self.shared.running(self.labels).change(by, |running| {
            measure::active_requests(self.labels, running, self.ids)
        });
    }

    /// Returns the label `status`: that of the response, if there was one.
    fn status_label(&self) -> &str {
        match (self.end, &self.status) {
            (End::Panicked | End::ServiceError | End::BodyError, _) => "500",
            (_, Some(status)) => status.as_str(),
            (_, None) => "499",
        }
    }

    fn error_type(&self) -> Option<&str> {
        let failed = self.status.as_ref().filter(|status| status.is_server_error());
        match (self.end, failed) {
            (End::Panicked, _) => Some("panic"),
            (End::ServiceError, _) => Some("service_error"),
            (_, Some(status)) => Some(status.as_str()),
            (End::BodyError, None) => Some("body_error"),
            (End::Cancelled, None) => Some("cancelled"),
            (End::Complete, None) => None,
        }
    }

    fn write_end_to_span(&self) {
        if let Some(code) = self.grpc {
            code.record(&self.span);
        }
        let failed_call = self.grpc.filter(|code| code.is_server_error());
        let Some(error_type) = self.error_type().or(failed_call.map(GrpcCode::name)) else {
            return;
        };
        self.span.record("error.type", error_type);
        let description = match self.end {
            End::Panicked => "the service panicked",
            End::ServiceError => "the service returned an error",
            End::BodyError => "the body ended with an error",
            End::Complete | End::Cancelled => "",
        };
        // A client that leaves is not an error of the server.
        if error_type != "cancelled" {
            self.span.record("otel.status_code", "error");
        }
        if !description.is_empty() {
            self.span.record("otel.status_description", description);
        }
    }
}

impl Exchange for InFlight {
    fn set_end(&mut self, end: End) {
        self.end = end;
    }

    fn head<B: Body>(&mut self, response: &Response<B>, announced: Option<u64>) -> bool {
        let status = response.status();
        self.status = Some(status);
        self.span.record("http.response.status_code", status.as_u16());
        if self.is_grpc {
            self.grpc = GrpcCode::of(response.headers());
        }
        if self.route.is_none() {
            self.route = self.shared.route(response.extensions());
            if let Some(route) = &self.route {
                self.span.record("http.route", route.as_str());
                if !self.is_grpc {
                    let name = Name {
                        labels: self.labels,
                        target: Some(route),
                        grpc: None,
                    };
                    self.span.record("otel.name", tracing::field::display(name));
                }
                // If routes can be known, the API is derived from the route only.
                let api = self.shared.api("", Some(route));
                self.move_to(api);
            }
        }
        ends_with_head(self.labels, response, announced)
    }

    fn frame<D: Buf>(&mut self, frame: &Frame<D>) {
        if self.is_grpc
            && let Some(trailers) = frame.trailers_ref()
        {
            self.grpc = GrpcCode::of(trailers);
        }
    }

    fn in_scope<T>(&self, work: impl FnOnce() -> T) -> T {
        self.span.in_scope(work)
    }

    fn in_body_scope<T>(&self, work: impl FnOnce() -> T) -> T {
        self.span.in_scope(work)
    }
}

/// The server may log the details of the service's errors itself.
impl<E> NoteError<E> for InFlight {
    fn note_error(&mut self, _: &E) {}
}

fn count_in(api: &Api, by: i64, ids: Option<SpanIds>) {
    let report = |running| measure::concurrent_requests(&api.name, running, ids);
    api.running.change(by, report);
}

impl Drop for InFlight {
    fn drop(&mut self) {
        let nanos = Clock::global().nanos_between(self.started, Clock::global().now());
        let seconds = Duration::from_nanos(nanos).as_secs_f64();
        // A task that the request leaves running may keep its span.
        self.span.end_now();
        self.write_end_to_span();
        // Measurements without ids belong to the current span, or the nearest one above it with
        // ids.
        let _entered = self.ids.is_none().then(|| self.span.enter());
        self.count(-1);
        Finished {
            api: &self.api.name,
            status: self.status_label(),
            seconds,
            labels: self.labels,
            sent: self.status,
            route: self.route.as_deref(),
            error_type: self.error_type(),
            ids: self.ids,
        }
        .measure();
    }
}
