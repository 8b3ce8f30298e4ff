//! The neighbours of a span: errors and model calls of its trace, and spans of any trace that link
//! to it.

use axum::response::Response;
use serde::Serialize;
use spanscope_model::{SpanId, TraceId};

use super::span::{Ids, ids};
use crate::answer::{ApiError, json};
use crate::caller::ScopedStore;
use crate::runs::QueryParams;

/// Maximum number of spans that link to a span; further ones are left out.
const MAX_LINKING: u64 = 50;

#[derive(Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[cfg_attr(feature = "schema", schemars(rename = "SpanAround"))]
pub(super) struct Around {
    /// The last failed span that began before it.
    previous_error: Option<SpanId>,
    next_error: Option<SpanId>,
    /// The last call of a model that began before it.
    previous_call: Option<SpanId>,
    next_call: Option<SpanId>,
    /// The spans that link to it, the most recently stored first.
    linked_by: Vec<Linking>,
    /// Whether there are more.
    linked_by_more: bool,
}

#[derive(Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[cfg_attr(feature = "schema", schemars(rename = "LinkingSpan"))]
struct Linking {
    trace_id: TraceId,
    span_id: SpanId,
    name: String,
    service: String,
}

pub(super) async fn get(
    ScopedStore(store): ScopedStore,
    path: Ids,
    params: QueryParams,
) -> Result<Response, ApiError> {
    params.nothing()?;
    let (trace_id, span_id) = ids(path)?;
    let near = store.span_neighbours(trace_id, span_id).await?;
    let mut linking = store.spans_linking_to(trace_id, span_id, MAX_LINKING + 1).await?;
    let kept = usize::try_from(MAX_LINKING).unwrap_or(usize::MAX);
    let linked_by_more = linking.len() > kept;
    linking.truncate(kept);
    json(Around {
        previous_error: near.previous_error,
        next_error: near.next_error,
        previous_call: near.previous_call,
        next_call: near.next_call,
        linked_by: linking
            .into_iter()
            .map(|span| Linking {
                trace_id: span.trace_id,
                span_id: span.span_id,
                name: span.name,
                service: span.service_name,
            })
            .collect(),
        linked_by_more,
    })
    .await
}
