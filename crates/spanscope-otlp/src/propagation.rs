//! The trace over process borders: W3C trace context and baggage, out of and into HTTP headers.
//!
//! ```
//! use spanscope_otlp::propagation;
//!
//! // A client, before it sends:
//! let mut headers = http::HeaderMap::new();
//! propagation::inject(&tracing::Span::current(), &mut headers);
//! // A server, before the span is entered:
//! let span = tracing::info_span!("request", otel.kind = "server");
//! propagation::continue_from(&span, &headers);
//! ```
//!
//! `spanscope-tower`'s middleware continues a `traceparent` by itself. These are for other frameworks, for clients, and for
//! baggage. They use OpenTelemetry's global propagator, as other crates do; [`set_global`] sets it to what the environment
//! or the builder says, and `spanscope::init` calls it.

use http::HeaderMap;
use opentelemetry::Context;
use opentelemetry::propagation::{TextMapCompositePropagator, TextMapPropagator};
use opentelemetry::trace::TraceContextExt as _;
use opentelemetry_http::{HeaderExtractor, HeaderInjector};
use opentelemetry_sdk::propagation::{BaggagePropagator, TraceContextPropagator};
use tracing::Span;
use tracing_opentelemetry::OpenTelemetrySpanExt as _;

use crate::settings::Propagator;

/// Writes the span's context, and the current baggage, into the headers of a request. A span that no
/// [`OtlpLayer`](crate::OtlpLayer) sees writes nothing.
pub fn inject(span: &Span, headers: &mut HeaderMap) {
    let context = span.context();
    let context = if context.span().span_context().is_valid() {
        context
    } else {
        Context::current()
    };
    opentelemetry::global::get_text_map_propagator(|propagator| {
        propagator.inject_context(&context, &mut HeaderInjector(headers));
    });
}

/// What the headers of a request say of its trace and baggage. Malformed headers say nothing.
#[must_use]
pub fn extract(headers: &HeaderMap) -> Context {
    opentelemetry::global::get_text_map_propagator(|propagator| propagator.extract(&HeaderExtractor(headers)))
}

/// Makes the span a child of the span that the headers name, and gives it their baggage. Answers whether it did: not where the
/// headers name none, and not once the span has been entered or its ids have been used otherwise.
pub fn continue_from(span: &Span, headers: &HeaderMap) -> bool {
    let context = extract(headers);
    let names_a_span = context.span().span_context().is_valid();
    span.set_parent(context).is_ok() && names_a_span
}

/// Makes these the program's propagators; none writes and reads nothing.
pub fn set_global(propagators: &[Propagator]) {
    let propagators = propagators
        .iter()
        .map(|propagator| -> Box<dyn TextMapPropagator + Send + Sync> {
            match propagator {
                Propagator::TraceContext => Box::new(TraceContextPropagator::new()),
                Propagator::Baggage => Box::new(BaggagePropagator::new()),
            }
        });
    opentelemetry::global::set_text_map_propagator(TextMapCompositePropagator::new(propagators.collect()));
}
