//! Trees of spans. Each span gets one depth, at its first visit from above; so a cycle ends where
//! it started.

use std::collections::{BTreeMap, HashMap, HashSet};

use spanscope_model::{Span, SpanId, SpanNode, StoreError};

/// Returns a span and everything below it in its trace.
pub(crate) fn below(
    spans: Vec<Span>,
    top: SpanId,
    attributes: Option<&[String]>,
    max_depth: Option<u32>,
) -> BTreeMap<SpanId, SpanNode> {
    let depths = depths(&spans, &[top], max_depth);
    let mut tree = BTreeMap::new();
    for (place, mut span) in spans.into_iter().enumerate() {
        let Some(depth) = depths.get(&place) else { continue };
        if let Some(keys) = attributes {
            span.attributes
                .retain(|key, _| keys.iter().any(|wanted| wanted == key));
        }
        tree.insert(span.span_id, SpanNode::new(span, *depth));
    }
    tree
}

/// Returns the spans of one trace that carry all these attributes, down to a depth below their
/// root. A span whose parent is not stored counts as a root.
pub(crate) fn of_trace(spans: Vec<Span>, attributes: &[String], max_depth: Option<u32>) -> Vec<Span> {
    let depths = max_depth.map(|_| {
        let known: HashSet<SpanId> = spans.iter().map(|span| span.span_id).collect();
        let is_root = |span: &&Span| span.parent_span_id.is_none_or(|parent| !known.contains(&parent));
        let roots: Vec<SpanId> = spans.iter().filter(is_root).map(|span| span.span_id).collect();
        depths(&spans, &roots, max_depth)
    });
    let mut found = Vec::new();
    for (place, mut span) in spans.into_iter().enumerate() {
        let is_near = depths.as_ref().is_none_or(|depths| depths.contains_key(&place));
        if !is_near || !attributes.iter().all(|key| span.attributes.get(key).is_some()) {
            continue;
        }
        if !attributes.is_empty() {
            span.attributes
                .retain(|key, _| attributes.iter().any(|wanted| wanted == key));
        }
        found.push(span);
    }
    found
}

/// # Errors
/// Invalid input for a depth of 0.
pub(crate) fn check_depth(max_depth: Option<u32>) -> Result<(), StoreError> {
    match max_depth {
        Some(0) => Err(StoreError::invalid(
            "max_depth is 0: it counts from 1, the span itself",
        )),
        _ => Ok(()),
    }
}

/// The depth of all spans at or below the tops, by index, breadth first.
fn depths(spans: &[Span], tops: &[SpanId], max_depth: Option<u32>) -> HashMap<usize, u32> {
    let places: HashMap<SpanId, usize> = spans.iter().map(|span| span.span_id).zip(0..).collect();
    let mut children: HashMap<SpanId, Vec<SpanId>> = HashMap::new();
    for span in spans {
        if let Some(parent) = span.parent_span_id {
            children.entry(parent).or_default().push(span.span_id);
        }
    }
    let mut found = HashMap::new();
    let mut level = tops.to_vec();
    let mut depth = 1;
    while !level.is_empty() && max_depth.is_none_or(|max| depth <= max) {
        let mut next = Vec::new();
        for id in level {
            let Some(place) = places.get(&id) else { continue };
            if found.contains_key(place) {
                continue;
            }
            found.insert(*place, depth);
            next.extend(children.get(&id).into_iter().flatten());
        }
        level = next;
        depth += 1;
    }
    found
}
