//! What `tracing`'s own `Span` can't do: attributes under any key, remote parents, links, and asking for ids.
//!
//! `Span::record` on a field that the span did not declare reaches no layer, so these go through the dispatcher to the
//! registry. They do nothing where no layer of ours sees the span, or where the subscriber is not built on
//! [`Registry`].

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

/// More for `tracing`'s spans.
///
/// ```
/// use spanscope_core::SpanExt;
/// let span = tracing::info_span!("chat");
/// span.record_attribute("user.tier", "gold"); // no field of that name was declared
/// span.record_attribute("gen_ai.usage.output_tokens", 17_u64);
/// ```
pub trait SpanExt {
    /// Sets an attribute under any key, declared or not; a later value for the same key wins. Texts
    /// are cut at 16 KiB.
    ///
    /// It is not called `set_attribute`, because `tracing_opentelemetry::OpenTelemetrySpanExt` has a
    /// method of that name: a file that imports both traits could call neither.
    fn record_attribute(&self, key: &str, value: impl Into<Value>);

    /// Makes the span a child of a span in another process, which has its trace sampled. Works until the ids have been
    /// used: by a child, an event, a link, by entering it where a sink tells starts, or by asking for them. Answers whether
    /// it worked.
    fn set_remote_parent(&self, trace_id: TraceId, span_id: SpanId) -> bool {
        self.set_remote_parent_with(trace_id, span_id, true)
    }

    /// The same where the other process says whether it has the trace sampled (the flag of a `traceparent`). An exporter
    /// goes by it unless its sampler says otherwise; what stays on this machine does not.
    fn set_remote_parent_with(&self, trace_id: TraceId, span_id: SpanId, is_sampled: bool) -> bool;

    /// Links to another span, in this process or not.
    fn add_link_to(&self, trace_id: TraceId, span_id: SpanId);

    /// Ends the span now: that is its end on every sink, in the metrics and in what is sent, however
    /// long clones of it are kept by work that goes on. Of several calls the first one counts.
    ///
    /// For whoever knows when the work is over: a response whose body was sent, a run that has its
    /// result. Without a call a span ends when it was last left, or, where nobody has entered it,
    /// when it closes. What still happens in the span or below it is recorded with its own time, and
    /// until the last handle is gone, the span is shown as running.
    fn end_now(&self);

    /// The ids that every sink shows for this span; `None` where no layer of ours sees it.
    fn ids(&self) -> Option<(TraceId, SpanId)>;
}

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

    fn set_remote_parent_with(&self, trace_id: TraceId, span_id: SpanId, is_sampled: bool) -> bool {
        with_record(self, |record| {
            let is_set = record.set_remote_parent(SpanIds { trace_id, span_id });
            if is_set {
                record.set_sampled(is_sampled);
            }
            is_set
        })
        .unwrap_or(false)
    }

    fn add_link_to(&self, trace_id: TraceId, span_id: SpanId) {
        with_record(self, |record| record.add_link(SpanIds { trace_id, span_id }));
    }

    fn end_now(&self) {
        let now = Clock::global().now();
        // On a marked thread too: the span is not a part of the work that the mark hides.
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
