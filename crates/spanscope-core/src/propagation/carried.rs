//! The context that a span has received, and the baggage that was added to it.
//!
//! It is kept in the extensions of its span. The spans below find it by walking up, so a span
//! without it costs nothing. It is sent on and not recorded.

use spanscope_model::TraceParent;
use tracing::Span;
use tracing_subscriber::Registry;
use tracing_subscriber::registry::{LookupSpan as _, SpanData as _, SpanRef};

use super::baggage::{Baggage, BaggageError};
use super::{Context, Continuation};
use crate::capture::{SpanIds, SpanRecord, ids_of, is_suppressed};
use crate::{SetParentError, SpanExt as _};

/// The received or added context of a span, in its extensions.
#[derive(Debug, Default)]
struct Kept {
    received: Option<Context>,
    added: Baggage,
}

/// The context of a span, its own or inherited. For a [`Propagator`](super::Propagator).
#[derive(Debug, Clone, Default)]
#[non_exhaustive]
pub struct Carried {
    /// The context that the nearest span above received and continued.
    pub received: Option<Context>,
    /// The baggage that was added since, by [`add_baggage`](super::add_baggage).
    pub added: Baggage,
    /// Whether the caller of this process sampled the trace; traces that begin here are sampled.
    pub is_sampled: bool,
}

/// Returns the context of a span.
#[must_use]
pub fn carried(span: &Span) -> Carried {
    let mut carried = Carried {
        received: None,
        added: Baggage::default(),
        is_sampled: true,
    };
    in_registry(span, |span| {
        for span in span.scope() {
            let extensions = span.extensions();
            if carried.received.is_none()
                && let Some(kept) = extensions.get::<Kept>()
            {
                // Baggage that was added nearer to the request has precedence.
                let mut added = kept.added.clone();
                added.extend(&carried.added);
                carried.added = added;
                carried.received.clone_from(&kept.received);
            }
            if let Some(remote) = extensions.get().and_then(SpanRecord::remote_parent) {
                carried.is_sampled = remote.is_sampled;
                break;
            }
        }
    });
    carried
}

/// Returns the context of requests that are made in a span.
pub(super) fn outgoing(span: &Span) -> Context {
    if is_suppressed() {
        return Context::default();
    }
    if span.is_disabled() {
        let around = Span::current();
        return if around.is_disabled() {
            Context::default()
        } else {
            outgoing(&around)
        };
    }
    let carried = carried(span);
    let received = carried.received.unwrap_or_default();
    let parent = match nearest_ids(span) {
        Some(ids) => Some(TraceParent::new(ids.trace_id, ids.span_id, carried.is_sampled)),
        // No sink sees the span or an ancestor in this process: the caller's span is the nearest
        // visible one.
        None => received.parent,
    };
    let is_same_trace = parent.map(|parent| parent.trace_id) == received.parent.map(|parent| parent.trace_id);
    let mut baggage = received.baggage;
    baggage.extend(&carried.added);
    Context {
        parent,
        trace_state: if is_same_trace {
            received.trace_state
        } else {
            String::new()
        },
        baggage,
    }
}

/// Returns the ids of the span, or of the nearest ancestor that a sink sees and that belongs to the
/// same request.
fn nearest_ids(span: &Span) -> Option<SpanIds> {
    span.with_subscriber(|(id, dispatch)| {
        let registry = dispatch.downcast_ref::<Registry>()?;
        let mut next = Some(id.clone());
        while let Some(id) = next {
            let data = registry.span_data(&id)?;
            if let Some(ids) = ids_of(&data, dispatch, &id) {
                return Some(ids);
            }
            let extensions = data.extensions();
            let kept = extensions.get::<Kept>();
            if kept.is_some_and(|kept| kept.received.as_ref().is_some_and(|it| it.parent.is_some())) {
                return None;
            }
            next = data.parent().cloned();
        }
        None
    })
    .flatten()
}

pub(super) fn continue_with(span: &Span, context: Context) -> Continuation {
    if context.is_empty() {
        return Continuation::NoParent;
    }
    let continuation = match context.parent {
        None => Continuation::NoParent,
        Some(parent) => match span.set_remote_parent_with(parent.trace_id, parent.span_id, parent.is_sampled)
        {
            Ok(()) => Continuation::Continued,
            Err(SetParentError::NotRecorded) => Continuation::NotRecorded,
            Err(SetParentError::IdsUsed) => Continuation::TooLate,
        },
    };
    // A span that is already part of another trace does not belong to the received one.
    if continuation != Continuation::TooLate {
        keep(span, |kept| kept.received = Some(context));
    }
    continuation
}

pub(super) fn add_baggage(span: &Span, key: &str, value: &str) -> Result<(), BaggageError> {
    // The received baggage counts towards the limits. The ids are not read here: that would fix
    // them.
    let carried = carried(span);
    let mut all = carried.received.unwrap_or_default().baggage;
    all.extend(&carried.added);
    all.insert(key, value)?;
    let is_kept = keep(span, |kept| kept.added.insert(key, value));
    is_kept.unwrap_or_else(|| Err(BaggageError::not_recorded(key)))
}

fn keep<T>(span: &Span, change: impl FnOnce(&mut Kept) -> T) -> Option<T> {
    in_registry(span, |span| {
        let mut extensions = span.extensions_mut();
        if extensions.get_mut::<Kept>().is_none() {
            extensions.insert(Kept::default());
        }
        extensions.get_mut().map(change)
    })
    .flatten()
}

fn in_registry<T>(span: &Span, work: impl FnOnce(SpanRef<'_, Registry>) -> T) -> Option<T> {
    span.with_subscriber(|(id, dispatch)| {
        let span = dispatch.downcast_ref::<Registry>()?.span(id)?;
        Some(work(span))
    })
    .flatten()
}
