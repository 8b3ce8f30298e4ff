//! The request span, with the names of OpenTelemetry's HTTP conventions.
//!
//! Never in it: the query string, headers beside the four named here, bodies. They may hold secrets. What comes from a
//! header is kept only if it is visible ASCII, and cut to a bound.

use std::fmt;
use std::net::SocketAddr;

use http::{HeaderMap, HeaderName, Request};
use spanscope_core::SpanExt;
use spanscope_model::text::cut;
use tracing::field::{Empty, display};
use tracing::{Span, info_span};

use crate::request::RequestLabels;
use crate::traceparent::remote_parent;

/// Longer header values are cut to so many bytes. The recommendation asks to keep at least so much of a `tracestate`.
const MAX_HEADER_LEN: usize = 512;

static TRACESTATE: HeaderName = HeaderName::from_static("tracestate");
static TELEMETRY_SERVICE: HeaderName = HeaderName::from_static("x-telemetry-service");
static TELEMETRY_VERSION: HeaderName = HeaderName::from_static("x-telemetry-version");

/// `GET /v1/models/{id}` where the route is known, `GET models` where only the API is, `GET` else.
pub(crate) struct Name<'a> {
    pub(crate) traits: RequestLabels,
    /// Route or API.
    pub(crate) target: Option<&'a str>,
}

impl fmt::Display for Name<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // The conventions want HTTP in place of a method that is none.
        f.write_str(if self.traits.is_known_method() {
            self.traits.method()
        } else {
            "HTTP"
        })?;
        match self.target {
            Some(target) => write!(f, " {target}"),
            None => Ok(()),
        }
    }
}

/// Opens it. `client` is asked only if somebody sees the span.
pub(crate) fn open<B>(
    request: &Request<B>,
    name: &Name<'_>,
    route: Option<&str>,
    client: impl Fn() -> Option<SocketAddr>,
) -> Span {
    let traits = name.traits;
    let headers = request.headers();
    // The first segment of the target is its category.
    let span = info_span!(
        target: "server::request",
        "request",
        otel.name = display(name),
        otel.kind = "server",
        otel.status_code = Empty,
        otel.status_description = Empty,
        http.request.method = traits.method(),
        http.request.method_original =
            (!traits.is_known_method()).then(|| cut(request.method().as_str(), 64)),
        http.route = route,
        http.response.status_code = Empty,
        url.path = request.uri().path(),
        url.scheme = traits.scheme(),
        network.protocol.version = (!traits.version.is_empty()).then_some(traits.version),
        user_agent.original = header(headers, &http::header::USER_AGENT),
        client.address = Empty,
        client.port = Empty,
        error.type = Empty,
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
    if let Some(parent) = remote_parent(headers) {
        span.set_remote_parent_with(parent.trace_id, parent.span_id, parent.is_sampled);
        note_tracestate(&span, headers);
    }
    span
}

/// It may come in several headers, and means nothing without a proper `traceparent`.
fn note_tracestate(span: &Span, headers: &HeaderMap) {
    let mut values = headers.get_all(&TRACESTATE).iter();
    let Some(first) = values.next().and_then(|value| value.to_str().ok()) else {
        return;
    };
    let mut all = std::borrow::Cow::Borrowed(first);
    for more in values.filter_map(|value| value.to_str().ok()) {
        let all = all.to_mut();
        all.push(',');
        all.push_str(more);
    }
    span.record("tracestate", cut(&all, MAX_HEADER_LEN));
}

fn header<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Option<&'a str> {
    let text = headers.get(name)?.to_str().ok()?;
    (!text.is_empty()).then(|| cut(text, MAX_HEADER_LEN))
}
