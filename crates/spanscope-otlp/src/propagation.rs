//! Propagation of the trace between processes with OpenTelemetry's API: its context of a span, and
//! the propagators in use.
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
//! [`inject`], [`continue_from`] and the [`Carrier`]s are those of `spanscope_core::propagation`.
//! As soon as a layer of this crate is built or [`set_global`] is called, they use OpenTelemetry's
//! global propagator, as other crates do: the one of [`set_global`] or of the program; W3C trace
//! context and baggage if none was ever set. `spanscope::init` sets it from the environment or the
//! builder, even if it exports nothing.
//!
//! They need no [`OtlpLayer`](crate::OtlpLayer): if only the store, the console or the log file
//! receive a span, it is propagated with the ids that they show, the sampled flag and the received
//! `tracestate`. Such a program only lacks OpenTelemetry's own current span: `Context::current()`
//! does not contain a request there, [`context`] does.
//!
//! Every called service receives the baggage and can read it: put no secrets in it. It is not
//! recorded by itself; sinks show the fields of a span.

use std::sync::LazyLock;
use std::sync::atomic::{AtomicBool, Ordering};

use opentelemetry::Context;
use opentelemetry::baggage::{BaggageExt as _, KeyValueMetadata};
use opentelemetry::propagation::{Extractor, Injector, TextMapCompositePropagator, TextMapPropagator};
use opentelemetry::trace::{SpanContext, TraceContextExt as _, TraceState};
use opentelemetry_sdk::propagation::{BaggagePropagator, TraceContextPropagator};
use spanscope_core::SpanExt as _;
use spanscope_core::capture::SpanIds;
use spanscope_core::propagation::{
    self as core, Baggage, Continuation, MAX_READ, Propagator as CorePropagator, carried,
};
pub use spanscope_core::propagation::{Carrier, continue_from, inject};
use spanscope_model::TraceParent;
use tracing::Span;
use tracing_opentelemetry::{OpenTelemetrySpanExt as _, get_otel_context};
use tracing_subscriber::Registry;
use tracing_subscriber::registry::LookupSpan as _;

use crate::settings::Propagator;
use crate::tracer::{ids_of, span_context};

/// Returns the context of a carrier only: the current context is not included. Malformed values are
/// ignored, and so is a repeated `traceparent`.
#[must_use]
pub fn extract<C: Carrier>(carrier: &C) -> Context {
    extract_from(carrier)
}

fn extract_from(carrier: &dyn Carrier) -> Context {
    with_propagator(|propagator| {
        let incoming = Incoming::new(carrier, propagator);
        propagator.extract_with_context(&Context::new(), &incoming)
    })
}

/// The implementation of `spanscope_core::propagation` with OpenTelemetry.
struct Bridge;

impl CorePropagator for Bridge {
    fn inject(&self, span: &Span, carrier: &mut dyn Carrier) {
        let context = context(span);
        with_propagator(|propagator| propagator.inject_context(&context, &mut Outgoing(carrier)));
    }

    fn extract(&self, carrier: &dyn Carrier) -> core::Context {
        from_otel(&extract_from(carrier))
    }

    fn continue_from(&self, span: &Span, carrier: &dyn Carrier) -> Continuation {
        let received = extract_from(carrier);
        let parent = received.span().span_context().clone();
        if !parent.is_valid() && received.baggage().is_empty() {
            return Continuation::NoParent;
        }
        let continuation = core::continue_with(span, from_otel(&received));
        let for_otel = if parent.is_valid() {
            received
        } else {
            // OpenTelemetry's layer accepts baggage only with a parent, here the span's own.
            context_of_parent(span).with_baggage(entries(&received))
        };
        let is_otels = span.set_parent(for_otel).is_ok();
        // OpenTelemetry's layer also reports this for spans that its filter hides from it. A span
        // that a Spanscope layer receives has ids.
        if is_otels && continuation == Continuation::NotRecorded {
            Continuation::Continued
        } else {
            continuation
        }
    }

    fn context(&self, span: &Span) -> core::Context {
        from_otel(&context(span))
    }
}

/// Makes `spanscope_core::propagation` use OpenTelemetry's propagators and contexts.
pub(crate) fn install() {
    core::install(&Bridge);
}

/// Whether [`set_global`] was called, even with no propagators.
static IS_SET: AtomicBool = AtomicBool::new(false);

/// Calls `work` with the global propagator, or with W3C's if the program has set none.
fn with_propagator<T>(mut work: impl FnMut(&dyn TextMapPropagator) -> T) -> T {
    static W3C: LazyLock<TextMapCompositePropagator> =
        LazyLock::new(|| composite(&[Propagator::TraceContext, Propagator::Baggage]));
    opentelemetry::global::get_text_map_propagator(|global| {
        // OpenTelemetry's default propagator writes and reads nothing.
        if IS_SET.load(Ordering::Relaxed) || global.fields().next().is_some() {
            work(global)
        } else {
            work(&*W3C)
        }
    })
}

/// Returns the span as OpenTelemetry's context, with its baggage: that of its request, and members
/// that were attached or added since. For a disabled span it is the context of the current span; if
/// no span is known, it is the current context.
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
    let carried = carried(span);
    let added = || members(&carried.added);
    let known = span.context();
    if known.span().span_context().is_valid() {
        // In the same trace the current baggage is the newer one.
        let is_inside = known.span().span_context().trace_id() == current.span().span_context().trace_id();
        return match (is_inside, carried.added.is_empty()) {
            (true, _) => known.with_baggage(entries(&current).chain(added())),
            (false, true) => known,
            (false, false) => known.with_baggage(entries(&known).chain(added())),
        };
    }
    let Some((trace_id, span_id)) = span.ids() else {
        // No sink receives the span: the nearest one that a sink receives is the caller's.
        let received = carried.received.as_ref();
        let baggage = received.map(|received| &received.baggage).into_iter();
        let baggage = baggage.flat_map(members).chain(entries(&current)).chain(added());
        let context = current.with_baggage(baggage);
        return match received.and_then(|received| Some((received.parent?, received))) {
            Some((parent, received)) if !current.span().span_context().is_valid() => {
                context.with_remote_span_context(remote(parent, &received.trace_state))
            }
            _ => context,
        };
    };
    let ids = SpanIds { trace_id, span_id };
    let received = carried.received.unwrap_or_default();
    let is_same_trace = received.parent.is_some_and(|parent| parent.trace_id == trace_id);
    let state = if is_same_trace {
        received.trace_state.parse().unwrap_or_default()
    } else {
        TraceState::NONE
    };
    let baggage = members(&received.baggage)
        .chain(entries(&current))
        .chain(members(&carried.added));
    current
        .with_baggage(baggage)
        .with_remote_span_context(span_context(ids, carried.is_sampled, false, state))
}

/// Returns the context with more baggage; existing members stay, except for the given keys.
/// OpenTelemetry's `with_baggage` replaces all of it. To add to the baggage of a span without a
/// context, use `spanscope_core::propagation::add_baggage`.
///
/// ```
/// use spanscope_otlp::opentelemetry::KeyValue;
/// use spanscope_otlp::propagation;
///
/// let context = propagation::context(&tracing::Span::current());
/// let _attached = propagation::add_baggage(&context, [KeyValue::new("tenant", "acme")]).attach();
/// // Spans and requests that are created meanwhile have it. Async code uses OpenTelemetry's
/// // `FutureExt::with_context`.
/// ```
#[must_use]
pub fn add_baggage<I>(context: &Context, more: I) -> Context
where
    I: IntoIterator<Item: Into<KeyValueMetadata>>,
{
    context.with_baggage(entries(context).chain(more.into_iter().map(Into::into)))
}

/// Sets the program's propagators; without any, contexts are neither written nor read.
pub fn set_global(propagators: &[Propagator]) {
    IS_SET.store(true, Ordering::Relaxed);
    opentelemetry::global::set_text_map_propagator(composite(propagators));
    install();
}

fn composite(propagators: &[Propagator]) -> TextMapCompositePropagator {
    let propagators = propagators
        .iter()
        .map(|propagator| -> Box<dyn TextMapPropagator + Send + Sync> {
            match propagator {
                Propagator::TraceContext => Box::new(TraceContextPropagator::new()),
                Propagator::Baggage => Box::new(BaggagePropagator::new()),
            }
        });
    TextMapCompositePropagator::new(propagators.collect())
}

/// Returns the part of a context that every Spanscope crate knows.
fn from_otel(context: &Context) -> core::Context {
    let span = context.span();
    let span = span.span_context();
    let parent = ids_of(span).map(|ids| TraceParent::new(ids.trace_id, ids.span_id, span.is_sampled()));
    let mut baggage = Baggage::default();
    for (key, (value, metadata)) in context.baggage() {
        // OpenTelemetry has validated its members; members that W3C can't carry are left out.
        let _ = baggage.insert_with(key.as_str(), value.as_str(), metadata.as_str());
    }
    core::Context::new(parent, span.trace_state().header(), baggage)
}

fn remote(parent: TraceParent, trace_state: &str) -> SpanContext {
    let ids = SpanIds {
        trace_id: parent.trace_id,
        span_id: parent.span_id,
    };
    span_context(
        ids,
        parent.is_sampled,
        true,
        trace_state.parse().unwrap_or_default(),
    )
}

/// Returns the context of the span around this one from OpenTelemetry's layer; an empty one if it
/// has none.
fn context_of_parent(span: &Span) -> Context {
    span.with_subscriber(|(id, dispatch)| {
        let parent = dispatch.downcast_ref::<Registry>()?.span(id)?.parent()?.id();
        get_otel_context(&parent, dispatch)
    })
    .flatten()
    .unwrap_or_default()
}

fn entries(context: &Context) -> impl Iterator<Item = KeyValueMetadata> {
    let entries = context.baggage().iter();
    entries
        .map(|(key, (value, metadata))| KeyValueMetadata::new(key.clone(), value.clone(), metadata.clone()))
}

fn members(baggage: &Baggage) -> impl Iterator<Item = KeyValueMetadata> {
    baggage.iter().map(|member| {
        KeyValueMetadata::new(
            member.key().to_owned(),
            member.value().into_owned(),
            member.properties(),
        )
    })
}

/// Writes into a carrier. Unlike OpenTelemetry's own carriers, it omits an empty `tracestate`.
struct Outgoing<'a>(&'a mut dyn Carrier);

impl Injector for Outgoing<'_> {
    fn set(&mut self, key: &str, value: String) {
        let name = key.to_ascii_lowercase();
        if value.is_empty() {
            self.0.remove(&name);
        } else {
            self.0.set(&name, &value);
        }
    }
}

/// The values that a propagator may read. `spanscope_core` reads W3C's headers, because
/// OpenTelemetry's own reader takes the first of several headers and has no limits, and its parser
/// of `traceparent` does not check the lengths of the parts.
struct Incoming(Vec<(String, String)>);

/// Maximum number of names of other formats that are read.
const MAX_NAMES: usize = 256;

impl Incoming {
    fn new(carrier: &dyn Carrier, propagator: &dyn TextMapPropagator) -> Self {
        let w3c = core::Context::from_w3c(carrier);
        let traceparent = w3c.parent.map(|parent| parent.to_string()).unwrap_or_default();
        let known = [
            ("traceparent", traceparent),
            ("tracestate", w3c.trace_state),
            ("baggage", w3c.baggage.to_string()),
        ];
        let mut values: Vec<_> = known
            .into_iter()
            .filter(|(_, value)| !value.is_empty())
            .map(|(name, value)| (name.to_owned(), value))
            .collect();
        let is_other = |name: &str| !["traceparent", "tracestate", "baggage"].contains(&name);
        let fields: Vec<_> = propagator.fields().map(str::to_ascii_lowercase).collect();
        if fields.iter().any(|field| is_other(field)) {
            let mut names = fields;
            names.extend(carrier.names().into_iter().map(str::to_ascii_lowercase));
            names.retain(|name| is_other(name));
            names.sort_unstable();
            names.dedup();
            for name in names.into_iter().take(MAX_NAMES) {
                let mut first = None;
                carrier.read(&name, &mut |value| {
                    if first.is_none() && value.len() <= MAX_READ {
                        first = std::str::from_utf8(value).ok().map(str::to_owned);
                    }
                });
                values.extend(first.map(|value| (name, value)));
            }
        }
        Self(values)
    }
}

impl Extractor for Incoming {
    fn get(&self, key: &str) -> Option<&str> {
        let mut values = self.0.iter();
        let (_, value) = values.find(|(name, _)| name.eq_ignore_ascii_case(key))?;
        Some(value)
    }

    fn keys(&self) -> Vec<&str> {
        self.0.iter().map(|(name, _)| name.as_str()).collect()
    }
}
