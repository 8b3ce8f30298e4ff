//! A sink of ours behind a filter of its own, without the thread's memory that `.with_filter` needs.

use tracing_core::span::{Attributes, Id, Record};
use tracing_core::{Dispatch, Event, LevelFilter, Subscriber};
use tracing_subscriber::layer::{Context, Layer};
use tracing_subscriber::registry::LookupSpan;

use super::category_filter::CategoryFilter;

/// A layer of ours that shows what a [`CategoryFilter`] lets through.
///
/// In place of `.with_filter`, which keeps a filter's answer for the thread until the record arrives:
/// what the program records or asks while the record's values are worked out takes that answer for its
/// own, or leaves another one behind (tokio-rs/tracing#2519). This one is asked when the record is
/// there, so it holds whatever happens meanwhile. It does not keep `tracing` from making records: add
/// [`CategoryFilter::any_of`] all sinks' filters to the subscriber for that.
///
/// For one sink of ours only. Another crate's layer would see the spans that the filter holds back, and
/// `OtlpLayer` and `TokenMetricsLayer` are not found behind it by what looks for them in the
/// dispatcher; the former has filters of its own.
///
/// ```
/// use spanscope_layers::{Categories, CategoryFilter, ConsoleLayer, Levels, Threshold};
/// use tracing_subscriber::prelude::*;
///
/// let mut levels = Levels::new();
/// levels.set_root(Threshold::Error);
/// let filter = CategoryFilter::new(Categories::of_caller(), levels);
/// let (console, guard) = ConsoleLayer::builder().build()?;
/// let subscriber = tracing_subscriber::registry().with(filter.for_sink(console));
/// # drop((subscriber, guard));
/// # Ok::<(), std::io::Error>(())
/// ```
#[derive(Debug)]
pub struct FilteredSink<L> {
    sink: L,
    filter: CategoryFilter,
}

impl CategoryFilter {
    /// Puts a sink of ours behind this filter.
    pub fn for_sink<L>(self, sink: L) -> FilteredSink<L> {
        FilteredSink { sink, filter: self }
    }
}

impl<S, L> Layer<S> for FilteredSink<L>
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    L: Layer<S>,
{
    fn on_register_dispatch(&self, dispatch: &Dispatch) {
        self.sink.on_register_dispatch(dispatch);
    }

    fn on_layer(&mut self, subscriber: &mut S) {
        self.sink.on_layer(subscriber);
    }

    fn max_level_hint(&self) -> Option<LevelFilter> {
        self.sink.max_level_hint()
    }

    fn on_new_span(&self, attributes: &Attributes<'_>, id: &Id, context: Context<'_, S>) {
        self.filter.note_span(attributes, id);
        self.sink.on_new_span(attributes, id, context);
    }

    fn on_record(&self, id: &Id, values: &Record<'_>, context: Context<'_, S>) {
        self.sink.on_record(id, values, context);
    }

    fn on_follows_from(&self, id: &Id, follows: &Id, context: Context<'_, S>) {
        self.sink.on_follows_from(id, follows, context);
    }

    fn on_enter(&self, id: &Id, context: Context<'_, S>) {
        self.sink.on_enter(id, context);
    }

    fn on_exit(&self, id: &Id, context: Context<'_, S>) {
        self.sink.on_exit(id, context);
    }

    fn on_event(&self, event: &Event<'_>, context: Context<'_, S>) {
        if self.filter.shows_event(event) {
            self.sink.on_event(event, context);
        }
    }

    fn on_close(&self, id: Id, context: Context<'_, S>) {
        self.sink.on_close(id, context);
    }
}
