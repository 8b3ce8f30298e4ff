//! The request span, with the names of OpenTelemetry's HTTP conventions.
//!
//! It never contains the query string, headers other than those here, or bodies, because they may
//! contain secrets. A value from a header is kept only if it is visible ASCII, up to a limit.

use std::fmt;
use std::net::SocketAddr;

use http::{HeaderMap, HeaderName, Request};
use spanscope_core::propagation;
use spanscope_model::text::cut;
use tracing::field::{Empty, display};
use tracing::{Span, info_span};

use crate::grpc::service_of;
use crate::request::RequestLabels;

/// Longer header values are cut to this number of bytes.
const MAX_HEADER_LEN: usize = 512;

static TELEMETRY_SERVICE: HeaderName = HeaderName::from_static("x-telemetry-service");
static TELEMETRY_VERSION: HeaderName = HeaderName::from_static("x-telemetry-version");

/// The span's name: `GET /v1/models/{id}` if the route is known, `GET models` if only the API is,
/// `GET` else; `library.Books/Find` for a gRPC call.
pub(crate) struct Name<'a> {
    pub(crate) labels: RequestLabels,
    /// Route or API.
    pub(crate) target: Option<&'a str>,
    /// The method of a gRPC call, which is the whole name.
    pub(crate) grpc: Option<&'a str>,
}

impl fmt::Display for Name<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(method) = self.grpc {
            return f.write_str(method);
        }
        f.write_str(self.labels.name())?;
        match self.target {
            Some(target) => write!(f, " {target}"),
            None => Ok(()),
        }
    }
}

/// Opens the span. `client` is called only if the span is enabled.
pub(crate) fn open<B>(
    request: &Request<B>,
    name: &Name<'_>,
    route: Option<&str>,
    client: impl Fn() -> Option<SocketAddr>,
) -> Span {
    let labels = name.labels;
    let headers = request.headers();
    // The first segment of the target is its category.
    let span = info_span!(
        target: "server::request",
        "request",
        otel.name = display(name),
        otel.kind = "server",
        otel.status_code = Empty,
        otel.status_description = Empty,
        http.request.method = labels.method(),
        http.request.method_original =
            (!labels.is_known_method()).then(|| cut(request.method().as_str(), 64)),
        http.route = route,
        http.response.status_code = Empty,
        url.path = request.uri().path(),
        url.scheme = labels.scheme(),
        network.protocol.version = (!labels.version.is_empty()).then_some(labels.version),
        user_agent.original = header(headers, &http::header::USER_AGENT),
        client.address = Empty,
        client.port = Empty,
        error.type = Empty,
        rpc.system.name = name.grpc.map(|_| "grpc"),
        rpc.system = name.grpc.map(|_| "grpc"),
        rpc.service = name.grpc.map(service_of),
        rpc.method = name.grpc,
        rpc.response.status_code = Empty,
        rpc.grpc.status_code = Empty,
        telemetry.service = header(headers, &TELEMETRY_SERVICE),
        telemetry.version = header(headers, &TELEMETRY_VERSION),
        tracestate = Empty,
    );
    if span.is_disabled() {
        return span;
    }
    if let Some(client) = client() {
        span.record("client.address", display(client.ip()));
        span.record("client.port", client.port());
    }
    if propagation::continue_from(&span, headers).is_continued() {
        let received = propagation::carried(&span).received;
        let trace_state = received.map(|received| received.trace_state);
        if let Some(trace_state) = trace_state.filter(|text| !text.is_empty()) {
            span.record("tracestate", trace_state);
        }
    }
    span
}

fn header<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Option<&'a str> {
    let text = headers.get(name)?.to_str().ok()?;
    (!text.is_empty()).then(|| cut(text, MAX_HEADER_LEN))
}
