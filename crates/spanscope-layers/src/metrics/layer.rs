//! [`TokenMetricsLayer`]: its settings and its callbacks.

use std::cell::Cell;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use tracing_core::span::{Attributes, Id, Record};
use tracing_core::{Dispatch, Event, Level, Subscriber};
use tracing_subscriber::Layer;
use tracing_subscriber::layer::Context;
use tracing_subscriber::registry::{LookupSpan, SpanRef};

use super::child_activity::{ChildActivity, SpanActivity};
use super::ended::{Counting, EndedSpan, ObservedSpan};
use super::names::GenAiNames;
use super::open::OpenSpans;
use super::outlet::{Outlet, SpanOutlet};
use super::plan::{Plan, is_usage_key, plan_of, values_of};
use super::responses::Responses;
use super::stats::{Counters, TokenMetricsStats};
use spanscope_core::capture::{
    Capture, DEFAULT_MAX_VALUE_LEN, FieldReader, MaskedTexts, SpanRecord, late_keys_were_set, watch_late_keys,
};
use spanscope_core::metrics::{Measurement, MetricSink};

/// The settings of a [`TokenMetricsLayer`]. Every setter names its default.
#[derive(Default)]
#[must_use = "a builder does nothing until `build`"]
pub struct TokenMetricsLayerBuilder {
    sinks: Vec<Arc<dyn MetricSink>>,
    prefix: String,
    names: GenAiNames,
    bare_names: bool,
    max_value_len: Option<usize>,
}

impl std::fmt::Debug for TokenMetricsLayerBuilder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("TokenMetricsLayerBuilder")
            .field("sinks", &self.sinks.len())
            .field("prefix", &self.prefix)
            .field("names", &self.names)
            .finish_non_exhaustive()
    }
}

impl TokenMetricsLayerBuilder {
    /// Adds a sink, which receives every measurement; an `Arc` of one is accepted too. Default:
    /// none.
    pub fn sink(mut self, sink: impl MetricSink + 'static) -> Self {
        self.sinks.push(Arc::new(sink));
        self
    }

    /// Sets the prefix of the names of the three counters, `prompt_tokens`, `completion_tokens` and
    /// `total_tokens`. Default: empty; a store uses these names, and writers of Prometheus text
    /// replace them by the documented ones.
    pub fn prefix(mut self, prefix: impl Into<String>) -> Self {
        self.prefix = prefix.into();
        self
    }

    /// Sets the names of the conventions' metrics. Default: [`GenAiNames::Classic`].
    pub fn genai_names(mut self, names: GenAiNames) -> Self {
        self.names = names;
        self
    }

    /// Sets whether `input_tokens` and `output_tokens` are token counts on every span. Default:
    /// only on spans that name a model or an operation, because other things have these names too.
    pub fn bare_names(mut self, read: bool) -> Self {
        self.bare_names = read;
        self
    }

    /// Sets the maximum length of a value in bytes, if this layer is the first Spanscope layer that
    /// sees a span and so stores its values for all of them. Default: [`DEFAULT_MAX_VALUE_LEN`].
    pub fn max_value_len(mut self, bytes: usize) -> Self {
        self.max_value_len = Some(bytes);
        self
    }

    /// Creates the layer.
    #[must_use]
    pub fn build(self) -> TokenMetricsLayer {
        watch_late_keys(is_usage_key);
        let counters = Arc::new(Counters::default());
        let counter = |name: &str| format!("{}{name}", self.prefix);
        TokenMetricsLayer {
            capture: Capture::new(self.max_value_len.unwrap_or(DEFAULT_MAX_VALUE_LEN)),
            others_create_records: AtomicBool::new(false),
            open: OpenSpans::new(),
            counting: Counting {
                bare_names: self.bare_names,
                names: self.names,
                prompt_tokens: counter("prompt_tokens"),
                completion_tokens: counter("completion_tokens"),
                total_tokens: counter("total_tokens"),
            },
            responses: Responses::default(),
            outlet: Outlet {
                sinks: self.sinks.into(),
                names: self.names,
                counters,
            },
        }
    }
}

/// A layer that derives measurements of model calls from their spans, in any convention and from
/// any crate. It also passes on the measurements in `tracing` events, and
/// [`record`](super::record)ed ones.
///
/// When a span with token usage ends, three counters are measured, with the labels `model_id` (the
/// requested model, or else the one that responded) and `provider_id`. Usage counts once: a span
/// does not count if one below it did, and the total of an agent or a workflow never does. A span
/// that ends before its descendants does not know of them. [`semconv`](spanscope_model::semconv)
/// has the names that are read. In addition the metrics of the GenAI conventions are measured, see
/// [`GenAiNames`].
///
/// Sinks are called on the thread that ends the span, without locks. [`stats`](Self::stats) counts
/// omitted measurements. One such layer per subscriber is enough; if there are two,
/// [`record`](super::record) uses one of them.
///
/// ```
/// use spanscope_layers::TokenMetricsLayer;
/// use spanscope_layers::metrics::{Measurement, MetricSink};
/// use tracing_subscriber::prelude::*;
///
/// struct Printed;
/// impl MetricSink for Printed {
///     fn record(&self, measurement: &Measurement<'_>) {
///         println!("{} = {:?} {}", measurement.name, measurement.value, measurement.unit);
///     }
/// }
///
/// let layer = TokenMetricsLayer::builder().sink(Printed).build();
/// let subscriber = tracing_subscriber::registry().with(layer);
/// tracing::subscriber::with_default(subscriber, || {
///     let call = tracing::info_span!("chat", model_id = "llama-3", prompt_tokens = 12, completion_tokens = tracing::field::Empty);
///     call.record("completion_tokens", 5); // prints prompt_tokens, completion_tokens and total_tokens
/// });
/// ```
#[derive(Debug)]
pub struct TokenMetricsLayer {
    capture: Capture,
    /// Whether another layer creates the records of spans.
    others_create_records: AtomicBool,
    open: OpenSpans,
    counting: Counting,
    responses: Responses,
    pub(super) outlet: Outlet,
}

/// A handle to a layer's statistics, for use after the layer has become part of a subscriber.
#[derive(Debug, Clone)]
pub struct TokenMetricsHandle {
    counters: Arc<Counters>,
}

impl TokenMetricsHandle {
    /// Returns the current statistics.
    #[must_use]
    pub fn stats(&self) -> TokenMetricsStats {
        self.counters.snapshot()
    }
}

thread_local! {
    /// The buffer for the fields of a span, so that no lock is held while they are read. Taken out
    /// while in use.
    static SCRATCH: Cell<Vec<u8>> = const { Cell::new(Vec::new()) };
}

/// Up to this number of bytes all fields are copied: that is cheaper than selecting. Prompts and
/// responses are longer.
const MAX_COPIED_WHOLE: usize = 1024;

/// A larger buffer is returned to the allocator.
const MAX_SCRATCH_LEN: usize = 64 * 1024;

impl TokenMetricsLayer {
    /// Returns a builder; call [`build`](TokenMetricsLayerBuilder::build) at the end.
    pub fn builder() -> TokenMetricsLayerBuilder {
        TokenMetricsLayerBuilder::default()
    }

    /// Returns the numbers of omitted measurements.
    #[must_use]
    pub fn stats(&self) -> TokenMetricsStats {
        self.outlet.counters.snapshot()
    }

    /// Returns a handle to read the statistics later.
    #[must_use]
    pub fn handle(&self) -> TokenMetricsHandle {
        TokenMetricsHandle {
            counters: Arc::clone(&self.outlet.counters),
        }
    }

    fn end<S>(&self, span: &SpanRef<'_, S>, plan: &Plan)
    where
        S: for<'a> LookupSpan<'a>,
    {
        let mut fields = SCRATCH.try_with(Cell::take).unwrap_or_default();
        fields.clear();
        let mut below = ChildActivity::default();
        if let Some(seen) = self.copy(span, plan, &mut fields, &mut below) {
            let values = values_of(FieldReader::new(&fields).select(|key| plan.row(key)));
            let parent = span.parent();
            let ended = EndedSpan::new(
                &values,
                seen,
                &below,
                parent.is_none(),
                &self.counting,
                &self.responses,
                &self.outlet.counters,
            );
            // The spans above get the report before any sink is called.
            ended.report().report_to_ancestors(parent, self.capture.owner());
            ended.measure(
                &self.counting,
                &SpanOutlet {
                    outlet: &self.outlet,
                    span: ended.seen.ids,
                    time: ended.seen.end,
                },
            );
        }
        if fields.capacity() <= MAX_SCRATCH_LEN {
            let _ = SCRATCH.try_with(|scratch| scratch.set(fields));
        }
    }

    /// Copies the fields that are read from the span's record, under its lock.
    fn copy<S>(
        &self,
        span: &SpanRef<'_, S>,
        plan: &Plan,
        fields: &mut Vec<u8>,
        below: &mut ChildActivity,
    ) -> Option<ObservedSpan>
    where
        S: for<'a> LookupSpan<'a>,
    {
        let panicking = std::thread::panicking();
        let mut extensions = span.extensions();
        let mut record = extensions.get::<SpanRecord>()?;
        if self.capture.is_hidden(record) || !(plan.triggers || record.has_watched_key()) {
            return None;
        }
        if record.pending_resolver().is_some() {
            drop(extensions);
            self.capture.fix_ids(span);
            extensions = span.extensions();
            record = extensions.get::<SpanRecord>()?;
        }
        match record.fields() {
            all if all.len() <= MAX_COPIED_WHOLE => fields.extend_from_slice(all),
            all => FieldReader::new(all).copy_selected(|key| plan.row(key).is_some(), fields),
        }
        if let Some(known) = extensions
            .get::<SpanActivity>()
            .and_then(|known| known.of(self.capture.owner()))
        {
            *below = *known;
        }
        Some(ObservedSpan {
            ids: record.ids(),
            start: record.start(),
            end: record.close(|| self.capture.clock().now()),
            failed: self.capture.has_failed(record, panicking),
        })
    }
}

impl<S> Layer<S> for TokenMetricsLayer
where
    S: Subscriber + for<'a> LookupSpan<'a>,
{
    fn on_register_dispatch(&self, dispatch: &Dispatch) {
        self.capture.on_register_dispatch(dispatch);
    }

    fn on_new_span(&self, attributes: &Attributes<'_>, id: &Id, context: Context<'_, S>) {
        if plan_of(attributes.metadata()).triggers {
            self.open.add(id);
        } else if self.others_create_records.load(Ordering::Relaxed) {
            return; // another layer creates the records, and nothing here reads this one
        }
        if self.capture.is_recorded(id) {
            return;
        }
        let seen = self.capture.on_new_span(attributes, id, &context);
        if seen && !self.capture.creates_records() && !self.others_create_records.load(Ordering::Relaxed) {
            self.others_create_records.store(true, Ordering::Relaxed);
        }
    }

    fn on_record(&self, id: &Id, values: &Record<'_>, context: Context<'_, S>) {
        self.capture.on_record(id, values, &context);
    }

    fn on_follows_from(&self, id: &Id, follows: &Id, context: Context<'_, S>) {
        self.capture.on_follows_from(id, follows, &context);
    }

    // Enters are skipped: few events are measurements or errors, and looking up their spans is
    // cheaper than following all spans, which takes 13 ns each. Exits are the ends of spans, which
    // another Spanscope layer records if there is one.

    fn on_exit(&self, id: &Id, context: Context<'_, S>) {
        if self.capture.creates_records() && self.open.may_hold(id) {
            self.capture.note_exit(id, &context);
        }
    }

    fn on_event(&self, event: &Event<'_>, context: Context<'_, S>) {
        if let Some(info) = &plan_of(event.metadata()).measures {
            self.capture.on_event(event, &context, |span, time, fields| {
                let texts = MaskedTexts::new();
                let fields = info.resolve(FieldReader::new(fields), &texts);
                if let Some(measurement) = Measurement::read(&fields, span, time, &mut Vec::new()) {
                    self.outlet.send(&measurement);
                }
            });
        } else if *event.metadata().level() == Level::ERROR {
            self.capture.on_failure(event, &context);
        }
    }

    fn on_close(&self, id: Id, context: Context<'_, S>) {
        if !self.open.may_hold(&id) && !late_keys_were_set() {
            return;
        }
        let Some(span) = context.span(&id) else { return };
        let plan = plan_of(span.metadata());
        if plan.triggers {
            self.open.remove(&id);
        }
        if plan.triggers || late_keys_were_set() {
            self.end(&span, plan);
        }
    }
}
