//! One running request: counted when it begins, measured when it is dropped, whoever drops it and when.
//!
//! The value is handed from the call to the future to the body. Being owned it ends exactly once, and whoever holds it
//! says before each step what its end would mean ([`End`]): so a panic, a client that leaves and a timeout around the
//! service need no code of their own. A panic is known from the step that did not come back, not from
//! `std::thread::panicking`, which is also true of a healthy request that is dropped by somebody else's panic.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Instant;

use http::{Request, Response, StatusCode};
use http_body::Body;
use spanscope_core::SpanExt as _;
use tracing::Span;

use crate::apis::Api;
use crate::measure::{self, Finished};
use crate::request::RequestLabels;
use crate::shared::Shared;
use crate::span::{self, Name};

/// How a request ends if it is dropped now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum End {
    /// Everything was handed over.
    Complete,
    /// Nobody waits any more: the client left, or something around the service gave up.
    Cancelled,
    /// The service or its body panicked.
    Panicked,
    /// The service returned an error in place of an answer.
    ServiceError,
    /// The body ended with an error.
    BodyError,
}

/// A request that is not over.
#[derive(Debug)]
pub(crate) struct InFlight {
    shared: Arc<Shared>,
    api: Arc<Api>,
    traits: RequestLabels,
    route: Option<String>,
    started: Instant,
    status: Option<StatusCode>,
    end: End,
    span: Span,
}

impl InFlight {
    /// Reads the request and opens its span, unless the path is left out. [`begin`](Self::begin) has to follow.
    pub(crate) fn start<B>(shared: &Arc<Shared>, request: &Request<B>) -> Option<Self> {
        let path = request.uri().path();
        if shared.is_excluded(path) {
            return None;
        }
        let started = Instant::now();
        let traits = RequestLabels::of(request, shared.is_https);
        let route = shared.route(request.extensions());
        let api = shared.api(path, route.as_deref());
        let span = if shared.opens_span {
            let name = Name {
                traits,
                target: route.as_deref().or_else(|| api.is_real().then_some(&*api.name)),
            };
            let client = || -> Option<SocketAddr> { shared.client(request.extensions()) };
            span::open(request, &name, route.as_deref(), client)
        } else {
            Span::none()
        };
        Some(Self {
            shared: Arc::clone(shared),
            api,
            traits,
            route,
            started,
            status: None,
            end: End::Cancelled,
            span,
        })
    }

    /// Counts it as running, and calls the service.
    pub(crate) fn begin<T>(self, call: impl FnOnce() -> T) -> (Self, T) {
        self.work_and(|request| {
            request.count(1);
            call()
        })
    }

    /// Does a part of the request's work in its span. If the work panics, the request is over.
    pub(crate) fn work<T>(self, work: impl FnOnce() -> T) -> (Self, T) {
        self.work_and(|_| work())
    }

    fn work_and<T>(mut self, work: impl FnOnce(&Self) -> T) -> (Self, T) {
        self.end = End::Panicked;
        let done = self.span.in_scope(|| work(&self));
        self.end = End::Cancelled;
        (self, done)
    }

    /// Takes note of the answer's head, which may announce how many bytes follow. Gives back nothing if the request is over
    /// with it.
    pub(crate) fn head<B: Body>(mut self, response: &Response<B>, announced: Option<u64>) -> Option<Self> {
        let status = response.status();
        self.status = Some(status);
        self.span.record("http.response.status_code", status.as_u16());
        if self.route.is_none() {
            self.route = self.shared.route(response.extensions());
            if let Some(route) = &self.route {
                let name = Name {
                    traits: self.traits,
                    target: Some(route),
                };
                self.span.record("http.route", route.as_str());
                self.span.record("otel.name", tracing::field::display(name));
                // Routes can be known, so the path names nothing.
                let api = self.shared.api("", Some(route));
                self.move_to(api);
            }
        }
        let is_empty = announced == Some(0) || response.body().is_end_stream();
        if is_empty || self.traits.ends_with_head(status) {
            self.finish(End::Complete);
            return None;
        }
        Some(self)
    }

    /// It is over.
    pub(crate) fn finish(mut self, end: End) {
        self.end = end;
    }

    /// Counts it as a running request of another API from now on: its route became known.
    fn move_to(&mut self, api: Arc<Api>) {
        if Arc::ptr_eq(&self.api, &api) {
            return;
        }
        let before = std::mem::replace(&mut self.api, api);
        self.span.in_scope(|| {
            count_in(&before, -1);
            count_in(&self.api, 1);
        });
    }

    fn count(&self, by: i64) {
        count_in(&self.api, by);
        self.shared
            .running(self.traits)
            .change(by, |running| measure::active_requests(self.traits, running));
    }

    /// The label `status`: of the answer, if there was one.
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
        let Some(error_type) = self.error_type() else {
            return;
        };
        self.span.record("error.type", error_type);
        let description = match self.end {
            End::Panicked => "the service panicked",
            End::ServiceError => "the service returned an error",
            End::BodyError => "the body ended with an error",
            End::Complete | End::Cancelled => "",
        };
        // A client that leaves is no error of the server.
        if error_type != "cancelled" {
            self.span.record("otel.status_code", "error");
        }
        if !description.is_empty() {
            self.span.record("otel.status_description", description);
        }
    }
}

fn count_in(api: &Api, by: i64) {
    let tell = |running| measure::concurrent_requests(&api.name, running);
    api.running.change(by, tell);
}

impl Drop for InFlight {
    fn drop(&mut self) {
        let seconds = self.started.elapsed().as_secs_f64();
        // A task that the request leaves behind may keep its span.
        self.span.end_now();
        self.write_end_to_span();
        // In the span, so that its ids go with the measurements.
        let _entered = self.span.enter();
        self.count(-1);
        Finished {
            api: &self.api.name,
            status: self.status_label(),
            seconds,
            traits: self.traits,
            sent: self.status,
            route: self.route.as_deref(),
            error_type: self.error_type(),
        }
        .measure();
    }
}
