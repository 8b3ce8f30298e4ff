//! Span trees.
//!
//! The shape is read first, as numbers only, then the spans of the result. So a small tree in a
//! huge trace needs little memory, and the depth limit is applied before a span is decoded. Each
//! span gets one depth, when it is first reached, so that a cycle ends.

use std::collections::{BTreeMap, HashMap};

use rusqlite::Connection;
use spanscope_model::{Span, SpanId, SpanNode, StoreError};

use super::Failure;
use super::builder::Sql;
use super::rows::{Reader, SPAN_COLUMNS};
use super::scope::Scope;
use super::spans;

/// If more than one in this number of a trace's spans is wanted, reading all of them in one query
/// is faster than reading the wanted ones one by one.
const SCAN_SHARE: usize = 4;

/// A span of the shape: its row id, its span id and its parent's as numbers.
#[derive(Debug, Clone, Copy)]
struct TreeSpan {
    row: i64,
    id: i64,
    parent: Option<i64>,
}

/// Returns a span and its descendants.
pub(super) fn below(
    db: &Connection,
    scope: Scope,
    span_id: SpanId,
    attributes: Option<&[String]>,
    max_depth: Option<u32>,
) -> Result<BTreeMap<SpanId, SpanNode>, Failure> {
    check_depth(max_depth)?;
    let Some((trace, top)) = spans::newest(db, scope, span_id)? else {
        return Err(StoreError::not_found(format!("no span {span_id} is stored here")).into());
    };
    let shape = shape(db, trace)?;
    let depths = depths(&shape, &[top], max_depth);
    let mut tree = BTreeMap::new();
    read(db, scope, trace, shape.len(), &depths, |mut span, depth| {
        if let Some(keys) = attributes {
            span.attributes
                .retain(|key, _| keys.iter().any(|wanted| wanted == key));
        }
        tree.insert(span.span_id, SpanNode::new(span, depth));
    })?;
    Ok(tree)
}

/// Returns the spans of one trace that have all these attributes, down to a depth below their root.
///
/// Without a depth, all spans of the trace are read; with one, a span whose parent is not stored
/// counts as a root.
pub(super) fn of_trace(
    db: &Connection,
    scope: Scope,
    trace: i64,
    attributes: &[String],
    max_depth: Option<u32>,
) -> Result<Vec<Span>, Failure> {
    check_depth(max_depth)?;
    let shape = shape(db, trace)?;
    let depths = match max_depth {
        None => shape.iter().map(|span| (span.row, 0)).collect(),
        Some(_) => depths(&shape, &roots(&shape), max_depth),
    };
    let mut found = Vec::new();
    read(db, scope, trace, shape.len(), &depths, |mut span, _| {
        if attributes.iter().all(|key| span.attributes.get(key).is_some()) {
            if !attributes.is_empty() {
                span.attributes
                    .retain(|key, _| attributes.iter().any(|wanted| wanted == key));
            }
            found.push(span);
        }
    })?;
    found.sort_by_key(|span| span.start_time);
    Ok(found)
}

fn check_depth(max_depth: Option<u32>) -> Result<(), StoreError> {
    match max_depth {
        Some(0) => Err(StoreError::invalid(
            "max_depth is 0: it counts from 1, the span itself",
        )),
        _ => Ok(()),
    }
}

fn shape(db: &Connection, trace: i64) -> rusqlite::Result<Vec<TreeSpan>> {
    Sql::new("SELECT id, span_id, parent FROM _span WHERE trace = ")
        .bind(trace)
        .rows(db, |row| {
            Ok(TreeSpan {
                row: row.get(0)?,
                id: row.get(1)?,
                parent: row.get(2)?,
            })
        })
}

fn roots(shape: &[TreeSpan]) -> Vec<i64> {
    let known: std::collections::HashSet<i64> = shape.iter().map(|span| span.id).collect();
    shape
        .iter()
        .filter(|span| span.parent.is_none_or(|parent| !known.contains(&parent)))
        .map(|span| span.id)
        .collect()
}

/// Returns the depths, by row id, of the spans `tops` and their descendants, breadth first.
fn depths(shape: &[TreeSpan], tops: &[i64], max_depth: Option<u32>) -> HashMap<i64, u32> {
    // If a span id is stored twice, the last row counts.
    let rows: HashMap<i64, i64> = shape.iter().map(|span| (span.id, span.row)).collect();
    let mut children: HashMap<i64, Vec<i64>> = HashMap::new();
    for span in shape {
        if let Some(parent) = span.parent {
            children.entry(parent).or_default().push(span.id);
        }
    }
    let mut found = HashMap::new();
    let mut level = tops.to_vec();
    let mut depth = 1;
    while !level.is_empty() && max_depth.is_none_or(|max| depth <= max) {
        let mut next = Vec::new();
        for id in level {
            let Some(row) = rows.get(&id) else { continue };
            if found.contains_key(row) {
                continue;
            }
            found.insert(*row, depth);
            next.extend(children.get(&id).into_iter().flatten());
        }
        level = next;
        depth += 1;
    }
    found
}

fn read(
    db: &Connection,
    scope: Scope,
    trace: i64,
    of: usize,
    wanted: &HashMap<i64, u32>,
    mut each: impl FnMut(Span, u32),
) -> Result<(), Failure> {
    let mut reader = Reader::new(db, scope)?;
    if wanted.len() * SCAN_SHARE > of {
        let all = Sql::new("SELECT ")
            .push(SPAN_COLUMNS)
            .push(" FROM _span s WHERE s.trace = ")
            .bind(trace);
        return all.for_each(db, |row| {
            if let Some(depth) = wanted.get(&row.get(0)?)
                && let Some(span) = reader.span(row)?
            {
                each(span, *depth);
            }
            Ok(())
        });
    }
    let mut one = db.prepare(&format!("SELECT {SPAN_COLUMNS} FROM _span s WHERE s.id = ?1"))?;
    for (id, depth) in wanted {
        let mut rows = one.query([id])?;
        if let Some(row) = rows.next()?
            && let Some(span) = reader.span(row)?
        {
            each(span, *depth);
        }
    }
    Ok(())
}
