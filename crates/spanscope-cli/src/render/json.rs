//! Records as the command prints them in JSON: the model's format, with durations.

use serde::Serialize;
use serde_json::{Map, Value};
use spanscope_model::{RunInfo, Span, SpanId, Timestamp};

use super::forest::{Line, Node};

/// Maximum number of nested levels of a tree. JSON parsers limit the depth, `serde_json` to 128
/// brackets.
const MAX_NESTED: u32 = 50;

/// A span and how long it took.
#[derive(Debug, Serialize)]
pub(crate) struct SpanJson<'a> {
    #[serde(flatten)]
    span: &'a Span,
    /// Null while the span runs, and where its program died.
    duration_ms: Option<f64>,
}

impl<'a> SpanJson<'a> {
    pub(crate) fn of(span: &'a Span) -> Self {
        Self {
            span,
            duration_ms: span.duration_ms(),
        }
    }
}

/// A run and how long it took.
#[derive(Debug, Serialize)]
pub(crate) struct RunJson<'a> {
    #[serde(flatten)]
    run: &'a RunInfo,
    /// Null while the run is running.
    duration_ms: Option<f64>,
}

impl<'a> RunJson<'a> {
    pub(crate) fn of(run: &'a RunInfo) -> Self {
        Self {
            run,
            duration_ms: run.completed_at.map(|end| millis(run.created_at, end)),
        }
    }
}

/// Returns the milliseconds from one time to another.
#[expect(
    clippy::cast_precision_loss,
    reason = "all durations are floats of milliseconds"
)]
pub(crate) fn millis(from: Timestamp, to: Timestamp) -> f64 {
    to.as_nanos().saturating_sub(from.as_nanos()) as f64 / 1e6
}

/// A span with its place in the tree of its trace.
#[derive(Debug, Serialize)]
pub(crate) struct PlacedSpan<'a> {
    #[serde(flatten)]
    span: SpanJson<'a>,
    /// Its row number in `tree`, independent of filters.
    row: usize,
    /// 1 for a root.
    depth: u32,
}

impl<'a> PlacedSpan<'a> {
    /// Returns the span of a line; `None` if the line shows no span.
    pub(crate) fn of(line: &Line, spans: &'a [Span], rows: &[usize]) -> Option<Self> {
        let Node::Span(at) = line.node else {
            return None;
        };
        Some(Self {
            span: SpanJson::of(spans.get(at)?),
            row: rows.get(at).copied().unwrap_or_default(),
            depth: line.depth,
        })
    }
}

/// Returns the lines of a tree as nested objects: each span has its `children`, and the number that
/// a depth limit omits (`omitted_children`). Spans below the 50th level follow in the list of that
/// level.
///
/// # Errors
/// Fails if a value can't be serialized.
pub(crate) fn nested(lines: &[Line], spans: &[Span], rows: &[usize]) -> serde_json::Result<Vec<Value>> {
    let mut roots = Vec::new();
    // The spans whose children are not complete yet, each a descendant of the previous one.
    let mut open: Vec<Open> = Vec::new();
    for line in lines {
        match line.node {
            Node::Span(_) => {
                let depth = line.depth.min(MAX_NESTED);
                close(&mut open, &mut roots, depth);
                if let Some(placed) = PlacedSpan::of(line, spans, rows) {
                    let Value::Object(span) = serde_json::to_value(placed)? else {
                        continue;
                    };
                    open.push(Open {
                        depth,
                        span,
                        children: Vec::new(),
                        omitted: 0,
                    });
                }
            }
            Node::Below(omitted) => {
                if let Some(parent) = open.last_mut() {
                    parent.omitted = omitted;
                }
            }
            // Its children have its id as that of their parent.
            Node::Missing(_) => close(&mut open, &mut roots, 1),
        }
    }
    close(&mut open, &mut roots, 1);
    Ok(roots)
}

struct Open {
    depth: u32,
    span: Map<String, Value>,
    children: Vec<Value>,
    omitted: usize,
}

/// Adds the spans at this depth and below it to the lists of their parents.
fn close(open: &mut Vec<Open>, roots: &mut Vec<Value>, depth: u32) {
    while let Some(done) = open.pop_if(|last| last.depth >= depth) {
        let mut span = done.span;
        span.insert("children".to_owned(), done.children.into());
        if done.omitted > 0 {
            span.insert("omitted_children".to_owned(), done.omitted.into());
        }
        match open.last_mut() {
            Some(parent) => parent.children.push(span.into()),
            None => roots.push(span.into()),
        }
    }
}

/// The document of `tree`.
#[derive(Debug, Serialize)]
pub(crate) struct TreeJson {
    trace_id: spanscope_model::TraceId,
    /// The requested span; `None` for the whole trace.
    #[serde(skip_serializing_if = "Option::is_none")]
    span_id: Option<SpanId>,
    start_time: Timestamp,
    end_time: Option<Timestamp>,
    duration_ms: Option<f64>,
    /// The number of spans in the whole tree.
    span_count: usize,
    roots: Vec<Value>,
}

impl TreeJson {
    /// `whole` are all spans of the tree, including those omitted from `roots`; it is not empty.
    pub(crate) fn of(whole: &[&Span], top: Option<SpanId>, roots: Vec<Value>) -> Option<Self> {
        let first = whole.iter().min_by_key(|span| span.start_time)?;
        let ends: Option<Vec<Timestamp>> = whole.iter().map(|span| span.end_time).collect();
        let end_time = ends.and_then(|ends| ends.into_iter().max());
        Some(Self {
            trace_id: first.trace_id,
            span_id: top,
            start_time: first.start_time,
            end_time,
            duration_ms: end_time.map(|end| millis(first.start_time, end)),
            span_count: whole.len(),
            roots,
        })
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test may panic")]
    use serde_json::json;

    use super::*;
    use crate::render::fixtures::span;
    use crate::render::forest;

    /// The names as nested lists.
    fn names(nodes: &[Value]) -> Value {
        let one = |node: &Value| match node["children"].as_array() {
            Some(children) if !children.is_empty() => json!([node["name"], names(children)]),
            _ => node["name"].clone(),
        };
        nodes.iter().map(one).collect()
    }

    fn tree(spans: &[Span], max_depth: Option<u32>) -> Vec<Value> {
        let lines = forest::lines(spans, None, max_depth);
        nested(&lines, spans, &forest::rows(spans)).unwrap()
    }

    #[test]
    fn children_are_nested_in_their_parents_and_orphans_and_cycles_are_roots() {
        let spans = [
            span(1, 0, "root", 0, 9),
            span(2, 99, "orphan", 1, 1),
            span(3, 1, "child", 2, 1),
            span(4, 3, "grandchild", 3, 1),
            span(5, 6, "egg", 4, 1),
            span(6, 5, "hen", 5, 1),
        ];
        let roots = tree(&spans, None);
        assert_eq!(
            names(&roots),
            json!([["root", [["child", ["grandchild"]]]], "orphan", ["egg", ["hen"]]])
        );
        let child = &roots[0]["children"][0];
        assert_eq!((&child["row"], &child["depth"]), (&json!(2), &json!(2)));
        assert_eq!(child["duration_ms"], 1.0);
        let cut = tree(&spans, Some(1));
        assert_eq!(names(&cut), json!(["root", "orphan", "egg"]));
        assert_eq!(cut[0]["omitted_children"], 1);
        assert_eq!(cut[2]["row"], 5);
    }

    #[test]
    fn nodes_deeper_than_json_parsers_accept_are_listed_flat() {
        let spans: Vec<Span> = (1..=20_000).map(|n| span(n, n - 1, "deep", 0, 1)).collect();
        let text = serde_json::to_string(&tree(&spans, None)).unwrap();
        let mut node = &serde_json::from_str::<Value>(&text).unwrap()[0];
        for _ in 2..MAX_NESTED {
            node = &node["children"][0];
        }
        let flat = node["children"].as_array().unwrap();
        assert_eq!(flat.len(), 20_000 - 49);
        assert_eq!(flat.last().unwrap()["depth"], 20_000);
    }
}
