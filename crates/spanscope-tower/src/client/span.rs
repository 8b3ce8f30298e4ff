//! The span of a client's request, with the names of OpenTelemetry's HTTP and RPC conventions.
//!
//! It never contains credentials of the URL, values of secrets in its query, headers other than
//! `retry-after`, or bodies.

use std::borrow::Cow;

use spanscope_model::text::cut;
use tracing::field::Empty;
use tracing::{Span, info_span};

use super::request::ClientRequest;
use crate::grpc::service_of;
use crate::request::RequestLabels;

/// Data about a request in addition to the request itself.
pub(crate) struct Details<'a> {
    pub(crate) labels: RequestLabels,
    pub(crate) port: u16,
    pub(crate) template: Option<&'a str>,
    /// The method of a gRPC call.
    pub(crate) grpc: Option<&'a str>,
    pub(crate) resend: Option<u32>,
}

impl Details<'_> {
    /// Returns `GET /users/{id}` with a template, `GET` without, `library.Books/Find` for a gRPC
    /// call.
    fn name(&self) -> Cow<'_, str> {
        match (self.grpc, self.template) {
            (Some(method), _) => method.into(),
            (None, Some(template)) => [self.labels.name(), " ", template].concat().into(),
            (None, None) => self.labels.name().into(),
        }
    }
}

pub(crate) fn open(request: &ClientRequest<'_>, details: &Details<'_>) -> Span {
    let labels = details.labels;
    // The first segment of the target is its category.
    info_span!(
        target: "client::request",
        "request",
        otel.name = &*details.name(),
        otel.kind = "client",
        otel.status_code = Empty,
        otel.status_description = Empty,
        http.request.method = labels.method(),
        http.request.method_original =
            (!labels.is_known_method()).then(|| cut(request.method.as_str(), 64)),
        http.request.resend_count = details.resend,
        http.response.status_code = Empty,
        "http.response.header.retry-after" = Empty,
        url.full = request.full_url().as_deref(),
        url.template = details.template,
        server.address = request.host,
        server.port = request.host.map(|_| details.port),
        network.protocol.version = Empty,
        error.type = Empty,
        spanscope.body_dropped = Empty,
        rpc.system.name = details.grpc.map(|_| "grpc"),
        rpc.system = details.grpc.map(|_| "grpc"),
        rpc.service = details.grpc.map(service_of),
        rpc.method = details.grpc,
        rpc.response.status_code = Empty,
        rpc.grpc.status_code = Empty,
    )
}
