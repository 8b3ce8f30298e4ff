//! Extensions of `tracing`'s `Span`: attributes under any key, remote parents, links, and access to
//! ids.
//!
//! `Span::record` on a field that the span did not declare reaches no layer, so these methods use
//! the dispatcher to reach the registry. They do nothing if no Spanscope layer sees the span, or if
//! the subscriber is not built on [`Registry`].

use std::fmt;

use spanscope_model::{SpanId, TraceId, Value};
use tracing::Span;
use tracing_subscriber::Registry;
use tracing_subscriber::registry::{LookupSpan, SpanData};

use super::clock::Clock;
use super::fields::FieldWriter;
use super::ids::SpanIds;
use super::late_keys::note_late_key;
use super::listener::ids_of;
use super::record::SpanRecord;
use super::{DEFAULT_MAX_VALUE_LEN, is_suppressed};

/// Further methods for `tracing`'s spans.
///
/// ```
/// use spanscope_core::SpanExt;
/// let span = tracing::info_span!("chat");
/// span.record_attribute("user.tier", "gold"); // no field of that name was declared
/// span.record_attribute("gen_ai.usage.output_tokens", 17_u64);
/// ```
pub trait SpanExt {
    /// Sets an attribute under any key, declared or not; a later value for the same key replaces
    /// it. Strings are truncated to 16 KiB.
    ///
    /// It is not called `set_attribute`, because `tracing_opentelemetry::OpenTelemetrySpanExt` has
    /// a method of that name: a file that imports both traits could call neither.
    fn record_attribute(&self, key: &str, value: impl Into<Value>);

    /// Makes the span a child of a span in another process that has sampled its trace.
    ///
    /// Set it before anything uses the ids of the span: a child, an event, a link, a call of
    /// [`ids`](Self::ids), or, if a sink reports starts, the first entry.
    ///
    /// # Errors
    /// No Spanscope layer records the span, or its ids were used already. The span is unchanged.
    fn set_remote_parent(&self, trace_id: TraceId, span_id: SpanId) -> Result<(), SetParentError> {
        self.set_remote_parent_with(trace_id, span_id, true)
    }

    /// Makes the span a child of a span in another process, with the sampled flag of that process
    /// (the flag of a `traceparent`). An exporter follows the flag unless its sampler decides
    /// otherwise; the store and the console ignore it.
    ///
    /// # Errors
    /// The same as [`set_remote_parent`](Self::set_remote_parent).
    fn set_remote_parent_with(
        &self,
        trace_id: TraceId,
        span_id: SpanId,
        is_sampled: bool,
    ) -> Result<(), SetParentError>;

    /// Adds a link to another span, in this process or another one.
    fn add_link_to(&self, trace_id: TraceId, span_id: SpanId);

    /// Ends the span now: every sink, the metrics and exports use this end, however long other work
    /// keeps clones of the span. The first of several calls counts.
    ///
    /// For code that knows when the work is over: a response whose body was sent, a run that has
    /// its result. Without a call a span ends when it was last exited, or, if it was never entered,
    /// when it closes. Later events in it and spans below it are recorded with their own times, and
    /// until the last handle is dropped, the span is shown as running.
    fn end_now(&self);

    /// Returns the ids that every sink shows for this span; `None` if no Spanscope layer sees it.
    fn ids(&self) -> Option<(TraceId, SpanId)>;
}

/// Why [`SpanExt::set_remote_parent`] did not change a span.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum SetParentError {
    /// No Spanscope layer records the span: a filter hides it, or the subscriber has no such layer.
    NotRecorded,
    /// A child, an event or another use has shown the ids of the span, so they can't change any
    /// more.
    IdsUsed,
}

impl fmt::Display for SetParentError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NotRecorded => "no Spanscope layer records the span",
            Self::IdsUsed => {
                "the ids of the span were used already; set the parent right after the span is made"
            }
        })
    }
}

impl std::error::Error for SetParentError {}

impl SpanExt for Span {
    fn record_attribute(&self, key: &str, value: impl Into<Value>) {
        let mut fields = Vec::new();
        FieldWriter {
            bytes: &mut fields,
            max_len: DEFAULT_MAX_VALUE_LEN,
            only: None,
        }
        .own(key, &value.into());
        let is_watched = note_late_key(key);
        with_record(self, |record| {
            record.has_watched_key |= is_watched;
            record.add_fields(&fields);
        });
    }

    fn set_remote_parent_with(
        &self,
        trace_id: TraceId,
        span_id: SpanId,
        is_sampled: bool,
    ) -> Result<(), SetParentError> {
        with_record(self, |record| {
            if !record.set_remote_parent(SpanIds { trace_id, span_id }) {
                return Err(SetParentError::IdsUsed);
            }
            record.set_sampled(is_sampled);
            Ok(())
        })
        .unwrap_or(Err(SetParentError::NotRecorded))
    }

    fn add_link_to(&self, trace_id: TraceId, span_id: SpanId) {
        with_record(self, |record| record.add_link(SpanIds { trace_id, span_id }));
    }

    fn end_now(&self) {
        let now = Clock::global().now();
        // On a suppressed thread too: the span is not part of the work that is suppressed.
        self.with_subscriber(|(id, dispatch)| {
            let data = dispatch.downcast_ref::<Registry>()?.span_data(id)?;
            data.extensions()
                .get::<SpanRecord>()
                .map(|record| record.end_at(now))
        });
    }

    fn ids(&self) -> Option<(TraceId, SpanId)> {
        if is_suppressed() {
            return None;
        }
        self.with_subscriber(|(id, dispatch)| {
            let data = dispatch.downcast_ref::<Registry>()?.span_data(id)?;
            let ids = ids_of(&data, dispatch, id)?;
            Some((ids.trace_id, ids.span_id))
        })
        .flatten()
    }
}

fn with_record<T>(span: &Span, work: impl FnOnce(&mut SpanRecord) -> T) -> Option<T> {
    if is_suppressed() {
        return None;
    }
    span.with_subscriber(|(id, dispatch)| {
        let data = dispatch.downcast_ref::<Registry>()?.span_data(id)?;
        data.extensions_mut().get_mut::<SpanRecord>().map(work)
    })
    .flatten()
}
