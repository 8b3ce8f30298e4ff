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
//! // Anywhere inside:
//! use spanscope_otlp::opentelemetry::baggage::BaggageExt as _;
//! let tenant = propagation::context(&span).baggage().get("tenant").cloned();
//! ```
//!
//! They need no [`OtlpLayer`](crate::OtlpLayer): where only the store, the console or the log file see a span, it goes on under
//! the ids that they show, with the sampled flag and the `tracestate` that came in. What such a program lacks is
//! OpenTelemetry's own idea of the current span: `Context::current()` knows nothing of a request there, [`context`] does.
//!
//! `spanscope-tower`'s middleware continues a `traceparent` by itself. These are for other frameworks, for clients, and for
//! baggage. They use OpenTelemetry's global propagator, as other crates do; [`set_global`] sets it to what the environment
//! or the builder says, and `spanscope::init` calls it, also where it sends nothing.
//!
//! Baggage is sent to whoever is asked next, in the clear: put no secrets in it. It is not recorded by itself; a field of a
//! span is what the sinks show.

use std::borrow::Cow;

use http::header::{HeaderMap, HeaderName, HeaderValue};
use opentelemetry::Context;
use opentelemetry::baggage::{BaggageExt as _, KeyValueMetadata};
use opentelemetry::propagation::{Extractor, Injector, TextMapCompositePropagator, TextMapPropagator};
use opentelemetry::trace::{TraceContextExt as _, TraceState};
use opentelemetry_sdk::propagation::{BaggagePropagator, TraceContextPropagator};
use spanscope_core::SpanExt as _;
use spanscope_core::capture::{SpanIds, SpanRecord};
use spanscope_model::TraceParent;
use tracing::Span;
use tracing_opentelemetry::{OpenTelemetrySpanExt as _, get_otel_context};
use tracing_subscriber::Registry;
use tracing_subscriber::registry::{LookupSpan as _, SpanRef};

use crate::settings::Propagator;
use crate::tracer::{ids_of, span_context};

/// Writes the span's [`context`] into the headers of a request, in place of what they said before.
pub fn inject(span: &Span, headers: &mut HeaderMap) {
    let context = context(span);
    opentelemetry::global::get_text_map_propagator(|propagator| {
        propagator.inject_context(&context, &mut Outgoing(headers));
    });
}

/// What the headers of a request say of its trace and baggage, and nothing else: the current context is not in it. Malformed
/// headers say nothing, nor does a `traceparent` that comes twice.
#[must_use]
pub fn extract(headers: &HeaderMap) -> Context {
    let incoming = Incoming::new(headers);
    opentelemetry::global::get_text_map_propagator(|propagator| {
        propagator.extract_with_context(&Context::new(), &incoming)
    })
}

/// Makes the span a child of the span that the headers name, and gives it and what is below it their baggage. Answers whether
/// it has that parent now: not where the headers name none, and not once the span has been entered or its ids have been used
/// otherwise.
pub fn continue_from(span: &Span, headers: &HeaderMap) -> bool {
    let said = extract(headers);
    let parent = said.span().span_context().clone();
    if !parent.is_valid() && said.baggage().is_empty() {
        return false;
    }
    let is_ours = ids_of(&parent)
        .is_some_and(|ids| span.set_remote_parent_with(ids.trace_id, ids.span_id, parent.is_sampled()));
    let for_otel = if parent.is_valid() {
        said.clone()
    } else {
        // OpenTelemetry's layer takes baggage only with a parent: the one that the span has.
        context_of_parent(span).with_baggage(entries(&said))
    };
    let is_otels = span.set_parent(for_otel).is_ok();
    keep(span, Received(said));
    // OpenTelemetry's layer says so of spans too that its filter keeps from it. A span that one of ours sees has ids.
    parent.is_valid() && (is_ours || is_otels && span.ids().is_none())
}

/// The span as OpenTelemetry's context, with the baggage that goes with it: what the request brought along that it belongs to,
/// or what was attached since. A span that is switched off stands for the one around it; where nobody knows of any, it is
/// the current context.
#[must_use]
pub fn context(span: &Span) -> Context {
    let current = Context::current();
    if span.is_disabled() {
        let around = Span::current();
        return if around.is_disabled() {
            current
        } else {
            context(&around)
        };
    }
    let known = span.context();
    if known.span().span_context().is_valid() {
        // Inside of the same trace the current baggage is the newer one.
        let is_inside = known.span().span_context().trace_id() == current.span().span_context().trace_id();
        return if is_inside {
            known.with_baggage(entries(&current))
        } else {
            known
        };
    }
    let Some((trace_id, span_id)) = span.ids() else {
        return current;
    };
    let ids = SpanIds { trace_id, span_id };
    let inherited = Inherited::of(span);
    let received = inherited.received.unwrap_or_default();
    let state = match ids_of(received.span().span_context()) {
        Some(parent) if parent.trace_id == trace_id => received.span().span_context().trace_state().clone(),
        _ => TraceState::NONE,
    };
    current
        .with_baggage(entries(&received).chain(entries(&current)))
        .with_remote_span_context(span_context(ids, inherited.is_sampled, false, state))
}

/// The context with more baggage; what it has stays, unless it is said anew. OpenTelemetry's `with_baggage` replaces all of it.
///
/// ```
/// use spanscope_otlp::opentelemetry::KeyValue;
/// use spanscope_otlp::propagation;
///
/// let context = propagation::context(&tracing::Span::current());
/// let _attached = propagation::add_baggage(&context, [KeyValue::new("tenant", "acme")]).attach();
/// // Spans that are made, and requests that are sent, take it along. Async code uses OpenTelemetry's `FutureExt::with_context`.
/// ```
#[must_use]
pub fn add_baggage<I>(context: &Context, more: I) -> Context
where
    I: IntoIterator<Item: Into<KeyValueMetadata>>,
{
    context.with_baggage(entries(context).chain(more.into_iter().map(Into::into)))
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

/// What came with a request, in the extensions of the span that continues it. Records have no place for it, and without
/// OpenTelemetry's layer nobody else keeps it.
struct Received(Context);

fn keep(span: &Span, received: Received) {
    in_registry(span, |span| span.extensions_mut().replace(received));
}

/// What a span has of those above it, where OpenTelemetry does not say.
struct Inherited {
    received: Option<Context>,
    /// What whoever called this process says; its own traces are all sampled.
    is_sampled: bool,
}

impl Inherited {
    fn of(span: &Span) -> Self {
        let mut inherited = Self {
            received: None,
            is_sampled: true,
        };
        in_registry(span, |span| {
            for span in span.scope() {
                let extensions = span.extensions();
                if inherited.received.is_none() {
                    inherited.received = extensions.get().map(|Received(context)| context.clone());
                }
                if let Some(remote) = extensions.get().and_then(SpanRecord::remote_parent) {
                    inherited.is_sampled = remote.is_sampled;
                    break;
                }
            }
        });
        inherited
    }
}

/// The context of the span around this one, as OpenTelemetry's layer has it; an empty one where it has none.
fn context_of_parent(span: &Span) -> Context {
    let parent = in_registry(span, |span| span.parent().map(|parent| parent.id())).flatten();
    parent
        .and_then(|parent| span.with_subscriber(|(_, dispatch)| get_otel_context(&parent, dispatch)))
        .flatten()
        .unwrap_or_default()
}

fn entries(context: &Context) -> impl Iterator<Item = KeyValueMetadata> {
    let entries = context.baggage().iter();
    entries
        .map(|(key, (value, metadata))| KeyValueMetadata::new(key.clone(), value.clone(), metadata.clone()))
}

fn in_registry<T>(span: &Span, work: impl FnOnce(SpanRef<'_, Registry>) -> T) -> Option<T> {
    span.with_subscriber(|(id, dispatch)| {
        let span = dispatch.downcast_ref::<Registry>()?.span(id)?;
        Some(work(span))
    })
    .flatten()
}

/// Writes into headers. OpenTelemetry's own also writes a `tracestate` that is empty.
struct Outgoing<'a>(&'a mut HeaderMap);

impl Injector for Outgoing<'_> {
    fn set(&mut self, key: &str, value: String) {
        let Ok(name) = HeaderName::try_from(key) else {
            return;
        };
        if value.is_empty() {
            self.0.remove(name);
        } else if let Ok(value) = HeaderValue::try_from(value) {
            self.0.insert(name, value);
        }
    }
}

/// Reads headers that may come several times. OpenTelemetry's own takes the first of them, and its parser of a `traceparent`
/// does not look at the lengths of the parts.
struct Incoming<'a> {
    headers: &'a HeaderMap,
    traceparent: Option<&'a str>,
    tracestate: Option<Cow<'a, str>>,
    baggage: Option<Cow<'a, str>>,
}

impl<'a> Incoming<'a> {
    fn new(headers: &'a HeaderMap) -> Self {
        let mut parents = headers.get_all("traceparent").iter();
        let traceparent = match (parents.next(), parents.next()) {
            (Some(only), None) => only
                .to_str()
                .ok()
                .filter(|text| text.parse::<TraceParent>().is_ok()),
            _ => None,
        };
        Self {
            headers,
            traceparent,
            tracestate: joined(headers, "tracestate"),
            baggage: joined(headers, "baggage"),
        }
    }
}

impl Extractor for Incoming<'_> {
    fn get(&self, key: &str) -> Option<&str> {
        match key {
            "traceparent" => self.traceparent,
            "tracestate" => self.tracestate.as_deref(),
            "baggage" => self.baggage.as_deref(),
            _ => self.headers.get(key)?.to_str().ok(),
        }
    }

    fn keys(&self) -> Vec<&str> {
        self.headers.keys().map(HeaderName::as_str).collect()
    }
}

/// As the recommendations have it of headers that are lists. One that is no text says nothing.
fn joined<'a>(headers: &'a HeaderMap, name: &str) -> Option<Cow<'a, str>> {
    let texts = headers.get_all(name).iter();
    texts
        .filter_map(|value| value.to_str().ok())
        .map(Cow::Borrowed)
        .reduce(|all, more| Cow::Owned(format!("{all},{more}")))
}
