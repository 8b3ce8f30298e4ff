//! [`OtlpLayer`]: the bridge's part on the calling threads.
//!
//! Spanscope's record and OpenTelemetry's context exist side by side in each span. The record has
//! the fields, the times and the events; OpenTelemetry's half is `tracing-opentelemetry`'s layer,
//! which is notified when spans are created, entered, exited and closed, but gets no fields and no
//! events. Exports are created from the record, so that they equal those of other sinks. What other
//! crates do through `OpenTelemetrySpanExt` or the current context works as usual.
//!
//! The layer is wrapped and not added to the subscriber, because there it would read every field
//! and every event a second time. Alone it takes 2.6 µs for a span with an event; the whole bridge,
//! with the wrapped layer, takes 0.7 of that (`cargo bench -p spanscope-bench -- sending`).

use std::any::TypeId;
use std::cell::Cell;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use opentelemetry::Context as OtelContext;
use opentelemetry::trace::Status;
use spanscope_core::capture::{Capture, SpanRecord, is_suppressed};
use spanscope_layers::CategoryFilter;
use tracing_core::callsite::Callsite;
use tracing_core::field::FieldSet;
use tracing_core::span::{Attributes, Id, Record};
use tracing_core::subscriber::Interest;
use tracing_core::{Dispatch, Event, Metadata, Subscriber, identify_callsite};
use tracing_opentelemetry::{OpenTelemetryLayer, get_otel_context};
use tracing_subscriber::Layer;
use tracing_subscriber::layer::Context;
use tracing_subscriber::registry::{LookupSpan, SpanRef};

use crate::builder::OtlpLayerBuilder;
use crate::convert::model_value;
use crate::metrics::OtlpMetricSink;
use crate::shared::Queues;
use crate::tracer::{self, Additions, BridgeTracer, Creating};

/// A `tracing` layer that sends spans, events and measurements to an OpenTelemetry collector.
///
/// On the calling thread a span costs its record, OpenTelemetry's context, and one uncontended
/// lock; separate threads convert it to OTLP and send it. The caller never waits for the network. A
/// span has the ids that every other Spanscope layer shows, in whatever order they were added;
/// `OpenTelemetrySpanExt` and [`SpanExt`](spanscope_core::SpanExt) both work. Several may send to
/// several collectors. Don't put it into a `reload::Layer`, which hides it from
/// `OpenTelemetrySpanExt`.
///
/// Add it in place of `tracing-opentelemetry`'s own layer, which is part of it. If the program also
/// adds that layer with another tracer, the ids differ from those that it sends: such a tracer
/// creates new ids and can't accept Spanscope's. To send to the collector of that tracer too, add a
/// second `OtlpLayer` with its endpoint.
///
/// Add it before other layers, so that they show what `OpenTelemetrySpanExt` sets on a span.
///
/// ```
/// use spanscope_otlp::OtlpLayer;
/// use tracing_subscriber::prelude::*;
///
/// let (layer, guard) = OtlpLayer::builder()
///     .endpoint("http://localhost:4318")
///     .service_name("my-agent")
///     .build()?;
/// let subscriber = tracing_subscriber::registry().with(layer);
/// tracing::subscriber::with_default(subscriber, || {
///     tracing::info_span!("chat").in_scope(|| tracing::info!("hello"));
/// });
/// assert_eq!(guard.stats().spans.offered, 1);
/// # Ok::<(), spanscope_otlp::OtlpError>(())
/// ```
pub struct OtlpLayer<S> {
    otel: OpenTelemetryLayer<S, BridgeTracer>,
    capture: Arc<Capture>,
    queues: Arc<Queues>,
    metric_sink: OtlpMetricSink,
    filters: SignalFilters,
    bridge: Bridge,
}

/// The filters of spans with their events, and of log records. Without a filter all pass.
#[derive(Debug, Clone, Default)]
pub(crate) struct SignalFilters {
    pub(crate) spans: Option<CategoryFilter>,
    pub(crate) logs: Option<CategoryFilter>,
}

impl SignalFilters {
    pub(crate) fn are_open(&self) -> bool {
        self.spans.is_none() && self.logs.is_none()
    }
}

impl<S> Drop for OtlpLayer<S> {
    fn drop(&mut self) {
        // The sink's thread keeps the capture.
        self.capture.retire();
    }
}

impl<S> std::fmt::Debug for OtlpLayer<S> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("OtlpLayer").finish_non_exhaustive()
    }
}

impl OtlpLayer<()> {
    /// Returns a builder. The package with the calling line counts as the application, whose
    /// modules are categories.
    #[track_caller]
    pub fn builder() -> OtlpLayerBuilder {
        OtlpLayerBuilder::new()
    }
}

impl<S> OtlpLayer<S>
where
    S: Subscriber + for<'a> LookupSpan<'a>,
{
    pub(crate) fn new(
        capture: Arc<Capture>,
        queues: Arc<Queues>,
        tracer: BridgeTracer,
        metric_sink: OtlpMetricSink,
        filters: SignalFilters,
    ) -> Self {
        let otel = OpenTelemetryLayer::new(tracer)
            .with_location(false)
            .with_threads(false)
            .with_target(false)
            .with_tracked_inactivity(false);
        Self {
            otel,
            capture,
            queues,
            metric_sink,
            filters,
            bridge: Bridge::default(),
        }
    }

    /// Returns whether another bridge on the same subscriber creates OpenTelemetry's part of spans.
    /// This one then only sends them.
    fn is_second(&self) -> bool {
        self.bridge.is_second.load(Ordering::Relaxed)
    }

    /// Creates OpenTelemetry's part of a span, without its fields.
    fn create_otel_span(
        &self,
        attributes: &Attributes<'_>,
        id: &Id,
        span: &SpanRef<'_, S>,
        context: &Context<'_, S>,
    ) {
        let no_values: [(&tracing_core::Field, Option<&dyn tracing_core::field::Value>); 0] = [];
        let no_values = NO_FIELDS_METADATA.fields().value_set(&no_values);
        let metadata = attributes.metadata();
        let dispatch = self.capture.dispatch();
        // An explicit parent is looked up here, with no lock held, and attached as the current
        // span: OpenTelemetry's layer would start it while holding a lock that the start needs.
        let explicit = attributes
            .parent()
            .filter(|parent| context.span(parent).is_some());
        let explicit = explicit
            .zip(dispatch.as_ref())
            .and_then(|(parent, dispatch)| get_otel_context(parent, dispatch));
        let is_root = attributes.is_root() || (attributes.parent().is_some() && explicit.is_none());
        let without_fields = if is_root {
            Attributes::new_root(metadata, &no_values)
        } else {
            Attributes::new(metadata, &no_values)
        };
        let parent = explicit.map(OtelContext::attach);
        let ids = if dispatch.is_none() {
            span.extensions().get::<SpanRecord>().map(SpanRecord::ids)
        } else {
            None
        };
        let number = id.into_u64();
        tracer::while_creating(Creating { number, ids }, || {
            self.otel.on_new_span(&without_fields, id, context.clone());
        });
        drop(parent);
        if let Some(record) = span.extensions_mut().get_mut::<SpanRecord>() {
            record.set_id_resolver(resolve_ids);
        }
    }

    /// Returns the sink that exports measurements, for layers that measure events, spans or
    /// requests, such as [`TokenMetricsLayer`](spanscope_layers::TokenMetricsLayer). It ignores
    /// them if metrics are not sent.
    #[must_use]
    pub fn metric_sink(&self) -> OtlpMetricSink {
        self.metric_sink.clone()
    }
}

/// Makes OpenTelemetry start its part of a span, so that [`BridgeTracer`] resolves its ids.
fn resolve_ids(dispatch: &Dispatch, id: &Id) {
    get_otel_context(id, dispatch);
}

/// A callsite without fields: OpenTelemetry's layer reserves memory for all fields that a callsite
/// declares.
struct NoFields;

static NO_FIELDS: NoFields = NoFields;
static NO_FIELDS_METADATA: Metadata<'static> = Metadata::new(
    "spanscope",
    "spanscope",
    tracing_core::Level::TRACE,
    None,
    None,
    None,
    FieldSet::new(&[], identify_callsite!(&NO_FIELDS)),
    tracing_core::metadata::Kind::SPAN,
);

impl Callsite for NoFields {
    fn set_interest(&self, _: Interest) {}

    fn metadata(&self) -> &Metadata<'_> {
        &NO_FIELDS_METADATA
    }
}

thread_local! {
    /// Destroyed at the end of a thread before OpenTelemetry's current context, because it is
    /// created after it. A use of that context would then panic.
    static HAS_CONTEXT: Alive = const { Alive };
    /// The equivalent for the stack of `tracing-opentelemetry`, which is created when a span is
    /// first entered.
    static HAS_STACK: Alive = const { Alive };
    static KNOWS_CONTEXT: Cell<bool> = const { Cell::new(false) };
    static KNOWS_STACK: Cell<bool> = const { Cell::new(false) };
}

/// Its empty destructor makes the thread-local unavailable at the end of the thread.
struct Alive;

impl Drop for Alive {
    fn drop(&mut self) {}
}

/// Returns whether OpenTelemetry's current context is still available on this thread. Thread-locals
/// are destroyed in the reverse order of their creation, so this one is created after that one.
fn context_is_alive() -> bool {
    if !KNOWS_CONTEXT.get() {
        drop(OtelContext::new().attach());
        KNOWS_CONTEXT.set(true);
    }
    HAS_CONTEXT.try_with(|_| ()).is_ok()
}

/// Returns whether spans may still be entered and exited on this thread.
fn stack_is_alive() -> bool {
    !KNOWS_STACK.get() || HAS_STACK.try_with(|_| ()).is_ok()
}

/// A type by which a bridge finds another one in the dispatcher. Of several bridges, the one that
/// is found provides the context.
#[derive(Debug, Default)]
struct Bridge {
    is_second: AtomicBool,
}

impl<S> Layer<S> for OtlpLayer<S>
where
    S: Subscriber + for<'a> LookupSpan<'a>,
{
    fn on_register_dispatch(&self, dispatch: &Dispatch) {
        self.capture.on_register_dispatch(dispatch);
        if let Some(first) = dispatch.downcast_ref::<Bridge>() {
            let is_second = !std::ptr::eq(first, &raw const self.bridge);
            self.bridge.is_second.store(is_second, Ordering::Relaxed);
        }
    }

    fn on_new_span(&self, attributes: &Attributes<'_>, id: &Id, context: Context<'_, S>) {
        if is_suppressed() {
            return;
        }
        let is_shown = self.capture.on_new_span(attributes, id, &context);
        let Some(span) = context.span(id) else { return };
        let filter = self.filters.spans.as_ref();
        let is_hidden = filter.is_some_and(|filter| !filter.shows_span(attributes));
        if is_hidden {
            self.capture.hide(&span);
        }
        if !self.is_second() && context_is_alive() {
            self.create_otel_span(attributes, id, &span, &context);
        }
        // Last, because the sink's thread reads the span from here on.
        if is_shown && !is_hidden && self.queues.watches_open {
            self.queues.spans.push_opened(id);
        }
    }

    fn on_record(&self, id: &Id, values: &Record<'_>, context: Context<'_, S>) {
        self.capture.on_record(id, values, &context);
    }

    fn on_follows_from(&self, id: &Id, follows: &Id, context: Context<'_, S>) {
        self.capture.on_follows_from(id, follows, &context);
    }

    fn on_enter(&self, id: &Id, context: Context<'_, S>) {
        self.capture.on_enter(id);
        if !self.is_second() && context_is_alive() && stack_is_alive() && context.span(id).is_some() {
            self.otel.on_enter(id, context);
            if !KNOWS_STACK.get() && HAS_STACK.try_with(|_| ()).is_ok() {
                KNOWS_STACK.set(true);
            }
        }
    }

    fn on_exit(&self, id: &Id, context: Context<'_, S>) {
        self.capture.on_exit(id, &context);
        let was_entered = !self.is_second() && KNOWS_STACK.get();
        if was_entered && context_is_alive() && stack_is_alive() && context.span(id).is_some() {
            self.otel.on_exit(id, context);
        }
    }

    fn on_event(&self, event: &Event<'_>, context: Context<'_, S>) {
        if !self.queues.takes_events {
            return;
        }
        let passes =
            |filter: &Option<CategoryFilter>| filter.as_ref().is_none_or(|filter| filter.shows_event(event));
        let logs = self
            .queues
            .own_logs
            .as_ref()
            .filter(|_| passes(&self.filters.logs));
        let events = passes(&self.filters.spans).then_some(&self.queues.events);
        if logs.is_some() || events.is_some() {
            self.capture.on_event(event, &context, |ids, time, fields| {
                for queue in [events, logs].into_iter().flatten() {
                    queue.push_event(ids, event.metadata(), time, fields);
                }
            });
        }
    }

    fn on_close(&self, id: Id, context: Context<'_, S>) {
        let Some(span) = context.span(&id) else { return };
        let Some(ids) = self.capture.fix_ids(&span) else {
            return; // created on a suppressed thread, or by another crate inside this layer's work
        };
        let additions = if self.is_second() {
            None
        } else {
            tracer::while_ending(|| self.otel.on_close(id.clone(), context.clone()))
        };
        if let Some(additions) = additions {
            let lost = additions.lost_events;
            let mut extensions = span.extensions_mut();
            let record = extensions.get_mut::<SpanRecord>();
            let events = record.map(|record| apply(record, *additions));
            drop(extensions);
            self.queues.add_late(ids, events.unwrap_or_default(), lost);
        }
        if !self.queues.takes_spans {
            return;
        }
        let push = |record: &SpanRecord, parent, failed, end| {
            self.queues.spans.try_push_span(&id, record, parent, failed, end)
        };
        self.capture
            .on_close(&id, &context, push, || self.queues.spans.wait_for_room());
    }

    #[expect(
        unsafe_code,
        reason = "a layer around another one has to let it be found: OpenTelemetrySpanExt and get_otel_context look for \
                  types of tracing-opentelemetry in the dispatcher. Composing without this costs what the head of this file says"
    )]
    // SAFETY: both pointers are to `self` or to a field of it, of the requested types, and live as
    // long as it.
    unsafe fn downcast_raw(&self, id: TypeId) -> Option<*const ()> {
        if id == TypeId::of::<Self>() {
            Some(std::ptr::from_ref(self).cast())
        } else if id == TypeId::of::<Bridge>() {
            Some((&raw const self.bridge).cast())
        } else {
            // SAFETY: the wrapped layer gives the same guarantee.
            unsafe { self.otel.downcast_raw(id) }
        }
    }
}

/// Adds the data that was set through OpenTelemetry's API to a span's record, for this sink and
/// later ones. Returns the events, which records don't contain.
fn apply(record: &mut SpanRecord, additions: Additions) -> Vec<opentelemetry::trace::Event> {
    for attribute in &additions.attributes {
        record.set_attribute(attribute.key.as_str(), &model_value(&attribute.value));
    }
    for link in additions.links.iter().filter_map(tracer::link_ids) {
        record.add_link(link);
    }
    let mut set = |key: &str, text: &str| record.set_attribute(key, &text.into());
    if let Some(name) = &additions.name {
        set("otel.name", name);
    }
    match &additions.status {
        Some(Status::Ok) => set("otel.status_code", "ok"),
        Some(Status::Error { description }) => {
            set("otel.status_code", "error");
            if !description.is_empty() {
                set("otel.status_description", description);
            }
        }
        Some(Status::Unset) | None => {}
    }
    additions.events
}
