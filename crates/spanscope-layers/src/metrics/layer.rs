//! [`TokenMetricsLayer`]: its settings, and what it does when `tracing` tells it something.

use std::cell::Cell;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use tracing_core::span::{Attributes, Id, Record};
use tracing_core::{Dispatch, Event, Level, Subscriber};
use tracing_subscriber::Layer;
use tracing_subscriber::layer::Context;
use tracing_subscriber::registry::{LookupSpan, SpanRef};

use super::below::BelowSpan;
use super::ended::{Counting, EndedSpan, Seen};
use super::names::GenAiNames;
use super::open::OpenSpans;
use super::outlet::{OfSpan, Outlet};
use super::plan::{Plan, is_usage_key, plan_of, values_of};
use super::responses::Responses;
use super::stats::{Counters, TokenMetricsStats};
use spanscope_core::capture::{
    Capture, DEFAULT_MAX_VALUE_LEN, FieldReader, MaskedTexts, SpanRecord, late_keys_were_set, watch_late_keys,
};
use spanscope_core::metrics::{Measurement, MetricSink};

/// How a [`TokenMetricsLayer`] measures. Every setter names its default.
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
    /// Adds a sink, which gets every measurement; an `Arc` of one will do too. Default: none.
    pub fn sink(mut self, sink: impl MetricSink + 'static) -> Self {
        self.sinks.push(Arc::new(sink));
        self
    }

    /// Goes before the names of the three counters, `prompt_tokens`, `completion_tokens` and `total_tokens`. Default:
    /// empty; a store knows them by these names, and who writes Prometheus text puts the documented ones in their place.
    pub fn prefix(mut self, prefix: impl Into<String>) -> Self {
        self.prefix = prefix.into();
        self
    }

    /// The names of the conventions' metrics. Default: [`GenAiNames::Classic`].
    pub fn genai_names(mut self, names: GenAiNames) -> Self {
        self.names = names;
        self
    }

    /// Whether `input_tokens` and `output_tokens` are token counts on every span. Default: only on spans that name a
    /// model or say what they do with one, because other things are called so too.
    pub fn bare_names(mut self, read: bool) -> Self {
        self.bare_names = read;
        self
    }

    /// Longer values are cut to this number of bytes, where this layer is the first of ours that sees a
    /// span and so keeps its values for all of them. Default: [`DEFAULT_MAX_VALUE_LEN`].
    pub fn max_value_len(mut self, bytes: usize) -> Self {
        self.max_value_len = Some(bytes);
        self
    }

    /// Makes the layer.
    #[must_use]
    pub fn build(self) -> TokenMetricsLayer {
        watch_late_keys(is_usage_key);
        let counters = Arc::new(Counters::default());
        let counter = |name: &str| format!("{}{name}", self.prefix);
        TokenMetricsLayer {
            capture: Capture::new(self.max_value_len.unwrap_or(DEFAULT_MAX_VALUE_LEN)),
            has_company: AtomicBool::new(false),
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

/// Measures model calls by the spans that describe them, in whatever convention and by whichever
/// crate these are written. Hands on the measurements that `tracing` events carry, and those that are
/// [`record`](super::record)ed.
///
/// When a span ends that reports token usage, three counters are measured, with the labels `model_id` (the model asked
/// for, or else the one that answered) and `provider_id`. Usage counts once: a span does not count if one below it did,
/// and an agent's or a workflow's total never does. A span that ends before the spans in it can't know of them.
/// [`semconv`](spanscope_model::semconv) has the names that are read. Beside the counters come the metrics of the GenAI
/// conventions, see [`GenAiNames`].
///
/// Sinks are called on the thread that ends the span, with no lock held. What is left out is counted in
/// [`stats`](Self::stats). One such layer a subscriber is enough; of two, [`record`](super::record) finds one.
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
    /// Another layer makes the records of spans.
    has_company: AtomicBool,
    open: OpenSpans,
    counting: Counting,
    responses: Responses,
    pub(super) outlet: Outlet,
}

/// Tells what a layer left out, after the layer has become part of a subscriber.
#[derive(Debug, Clone)]
pub struct TokenMetricsHandle {
    counters: Arc<Counters>,
}

impl TokenMetricsHandle {
    /// The account until now.
    #[must_use]
    pub fn stats(&self) -> TokenMetricsStats {
        self.counters.snapshot()
    }
}

thread_local! {
    /// Where what is read of a span's fields goes, so that no lock is held while it is read. Taken out while in use.
    static SCRATCH: Cell<Vec<u8>> = const { Cell::new(Vec::new()) };
}

/// Up to this number of bytes all fields are copied: that costs less than to look which are wanted.
/// Prompts and answers are beyond it.
const MAX_COPIED_WHOLE: usize = 1024;

/// A scratch that has grown beyond this goes back to the allocator.
const MAX_SCRATCH_LEN: usize = 64 * 1024;

impl TokenMetricsLayer {
    /// Settings to change before [`build`](TokenMetricsLayerBuilder::build).
    pub fn builder() -> TokenMetricsLayerBuilder {
        TokenMetricsLayerBuilder::default()
    }

    /// What was left out until now.
    #[must_use]
    pub fn stats(&self) -> TokenMetricsStats {
        self.outlet.counters.snapshot()
    }

    /// Tells it later.
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
        if let Some(seen) = self.copy(span, plan, &mut fields) {
            let values = values_of(FieldReader::new(&fields).wanted(|key| plan.row(key)));
            let counters = &self.outlet.counters;
            let ended = EndedSpan::new(&values, seen, &self.counting, &self.responses, counters);
            // The spans above come first, before anything that a sink does.
            ended.news().tell_those_above(span, self.capture.owner());
            ended.measure(
                &self.counting,
                &OfSpan {
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

    /// Copies what is read out of the span's record, under its lock.
    fn copy<S>(&self, span: &SpanRef<'_, S>, plan: &Plan, fields: &mut Vec<u8>) -> Option<Seen>
    where
        S: for<'a> LookupSpan<'a>,
    {
        let panicking = std::thread::panicking();
        let mut extensions = span.extensions();
        let mut record = extensions.get::<SpanRecord>()?;
        if self.capture.is_hidden(record) || !(plan.triggers || record.has_watched_key()) {
            return None;
        }
        if record.to_be_asked().is_some() {
            drop(extensions);
            self.capture.use_ids(span);
            extensions = span.extensions();
            record = extensions.get::<SpanRecord>()?;
        }
        match record.fields() {
            all if all.len() <= MAX_COPIED_WHOLE => fields.extend_from_slice(all),
            all => FieldReader::new(all).copy_wanted(|key| plan.row(key).is_some(), fields),
        }
        let below = extensions.get::<BelowSpan>();
        Some(Seen {
            ids: record.ids(),
            start: record.start(),
            end: record.close(|| self.capture.clock().now()),
            failed: self.capture.has_failed(record, panicking),
            below: below
                .and_then(|below| below.of(self.capture.owner()))
                .unwrap_or_default(),
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
        } else if self.has_company.load(Ordering::Relaxed) {
            return; // another layer makes the records, and nothing here reads this one
        }
        if self.capture.is_recorded(id) {
            return;
        }
        let seen = self.capture.on_new_span(attributes, id, &context);
        if seen && !self.capture.makes_records() && !self.has_company.load(Ordering::Relaxed) {
            self.has_company.store(true, Ordering::Relaxed);
        }
    }

    fn on_record(&self, id: &Id, values: &Record<'_>, context: Context<'_, S>) {
        self.capture.on_record(id, values, &context);
    }

    fn on_follows_from(&self, id: &Id, follows: &Id, context: Context<'_, S>) {
        self.capture.on_follows_from(id, follows, &context);
    }

    // Enters are left out: few events are measurements or errors, and to look up the span of those costs
    // less than to follow all spans, which takes 13 ns each. Exits are the ends of spans, which another
    // layer of ours notes where there is one.

    fn on_exit(&self, id: &Id, context: Context<'_, S>) {
        if self.capture.makes_records() && self.open.may_hold(id) {
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
