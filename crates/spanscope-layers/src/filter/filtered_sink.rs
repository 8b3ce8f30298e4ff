//! A Spanscope sink with its own filter, without the thread-local that `.with_filter` needs.

use tracing_core::span::{Attributes, Id, Record};
use tracing_core::{Dispatch, Event, LevelFilter as TracingFilter, Subscriber};
use tracing_subscriber::layer::{Context, Layer};
use tracing_subscriber::registry::LookupSpan;

use super::category_filter::CategoryFilter;

/// A Spanscope layer that shows what a [`CategoryFilter`] passes.
///
/// Use it in place of `.with_filter`, which keeps a filter's result for the thread until the record
/// arrives: records that the program makes while the record's values are computed use that result,
/// or leave another one behind (tokio-rs/tracing#2519). This filter is evaluated when the record
/// arrives, so nothing can interfere. It does not keep `tracing` from creating records: for that,
/// add [`CategoryFilter::any_of`] all sinks' filters to the subscriber.
///
/// For one Spanscope sink only. Another crate's layer would see the spans that the filter hides,
/// and lookups in the dispatcher do not find `OtlpLayer` and `TokenMetricsLayer` behind it; the
/// former has its own filters.
///
/// ```
/// use spanscope_layers::{Categories, CategoryFilter, ConsoleLayer, Levels, LevelFilter};
/// use tracing_subscriber::prelude::*;
///
/// let mut levels = Levels::new();
/// levels.set_root(LevelFilter::Error);
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
    /// Wraps a Spanscope sink with this filter.
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

    fn max_level_hint(&self) -> Option<TracingFilter> {
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
