//! The order and the guides in which the spans of a trace are shown as a tree.
//!
//! Stored data may lack parents, contain an id twice, or have cycles. Every span is still shown
//! exactly once, and nothing here recurses, so that a chain of any depth is harmless.

use std::collections::HashMap;

use spanscope_model::{Span, SpanId};

/// Guides wider than this are replaced by the number of the level.
const MAX_GUIDE_LEVELS: u32 = 24;

/// One line of a tree.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Line {
    /// The contents of the line.
    pub(crate) node: Node,
    /// 1 for a root.
    pub(crate) depth: u32,
    /// `│  ├─ ` and the like.
    pub(crate) guide: String,
}

/// What a line shows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Node {
    /// The span at this place of the list.
    Span(usize),
    /// A parent that is not stored.
    Missing(SpanId),
    /// The number of children that the depth limit omits.
    Below(usize),
}

/// Returns spans in tree order, siblings by their start. With a `top`, returns only the spans with
/// this id, as roots, and their descendants.
pub(crate) fn lines(spans: &[Span], top: Option<SpanId>, max_depth: Option<u32>) -> Vec<Line> {
    Forest::new(spans, top).walk(max_depth.unwrap_or(u32::MAX))
}

/// Returns the spans of these lines.
pub(crate) fn spans_of<'a>(lines: &[Line], spans: &'a [Span]) -> impl Iterator<Item = &'a Span> {
    lines.iter().filter_map(|line| match line.node {
        Node::Span(at) => spans.get(at),
        Node::Missing(_) | Node::Below(_) => None,
    })
}

/// Returns the row of each span, in the order of `spans`: its number, from 1, in the whole tree.
pub(crate) fn rows(spans: &[Span]) -> Vec<usize> {
    let mut rows = vec![0; spans.len()];
    let mut next = 1;
    for line in lines(spans, None, None) {
        if let Node::Span(at) = line.node {
            rows[at] = next;
            next += 1;
        }
    }
    rows
}

struct Forest<'a> {
    spans: &'a [Span],
    top: Option<SpanId>,
    by_start: Vec<usize>,
    children: Vec<Vec<usize>>,
    /// The roots by start: spans, and missing parents with the indices of their children.
    tops: Vec<(Node, Vec<usize>)>,
}

impl<'a> Forest<'a> {
    fn new(spans: &'a [Span], top: Option<SpanId>) -> Self {
        let mut places: HashMap<SpanId, usize> = HashMap::with_capacity(spans.len());
        for (at, span) in spans.iter().enumerate() {
            places.entry(span.span_id).or_insert(at);
        }
        let mut by_start: Vec<usize> = (0..spans.len()).collect();
        by_start.sort_by_key(|&at| (spans[at].start_time, at));

        let mut children = vec![Vec::new(); spans.len()];
        let mut tops: Vec<(Node, Vec<usize>)> = Vec::new();
        let mut missing: HashMap<SpanId, usize> = HashMap::new();
        for &at in &by_start {
            let span = &spans[at];
            match span.parent_span_id {
                _ if Some(span.span_id) == top => tops.push((Node::Span(at), Vec::new())),
                None if top.is_none() => tops.push((Node::Span(at), Vec::new())),
                None => {}
                Some(parent) => match places.get(&parent) {
                    Some(&parent) => children[parent].push(at),
                    None if top.is_some() => {}
                    None => {
                        let place = *missing.entry(parent).or_insert_with(|| {
                            tops.push((Node::Missing(parent), Vec::new()));
                            tops.len() - 1
                        });
                        tops[place].1.push(at);
                    }
                },
            }
        }
        Self {
            spans,
            top,
            by_start,
            children,
            tops,
        }
    }

    fn walk(mut self, max_depth: u32) -> Vec<Line> {
        let mut seen = vec![false; self.spans.len()];
        let mut lines = Vec::with_capacity(self.spans.len());
        let tops = std::mem::take(&mut self.tops);
        for (node, orphans) in &tops {
            match *node {
                Node::Span(at) => self.add_subtree(at, "", "", max_depth, &mut seen, &mut lines),
                node => {
                    lines.push(Line {
                        node,
                        depth: 1,
                        guide: String::new(),
                    });
                    let last = orphans.len().saturating_sub(1);
                    for (place, &at) in orphans.iter().enumerate() {
                        let (own, inherited) = guides("", place == last);
                        self.add_subtree(at, &own, &inherited, max_depth, &mut seen, &mut lines);
                    }
                }
            }
        }
        if self.top.is_none() {
            self.add_cycles(&tops, max_depth, &mut seen, &mut lines);
        }
        lines
    }

    /// Adds spans that no root reaches: they are in a cycle, or below one. The earliest unreached
    /// span becomes a root, and so on.
    fn add_cycles(
        &self,
        tops: &[(Node, Vec<usize>)],
        max_depth: u32,
        seen: &mut [bool],
        lines: &mut Vec<Line>,
    ) {
        // Spans that a depth limit omits are still reachable from a root.
        let mut reachable = vec![false; self.spans.len()];
        for (node, orphans) in tops {
            if let Node::Span(at) = node {
                self.reach(*at, &mut reachable);
            }
            for at in orphans {
                self.reach(*at, &mut reachable);
            }
        }
        for &at in &self.by_start {
            if !reachable[at] {
                self.reach(at, &mut reachable);
                self.add_subtree(at, "", "", max_depth, seen, lines);
            }
        }
    }

    /// Marks a span and its descendants.
    fn reach(&self, top: usize, reached: &mut [bool]) {
        let mut stack = vec![top];
        while let Some(at) = stack.pop() {
            if !std::mem::replace(&mut reached[at], true) {
                stack.extend(&self.children[at]);
            }
        }
    }

    /// Adds the lines of a span and its descendants. `own` is the guide of its line, `inherited`
    /// the beginning of the guides below it.
    fn add_subtree(
        &self,
        top: usize,
        own: &str,
        inherited: &str,
        max_depth: u32,
        seen: &mut [bool],
        lines: &mut Vec<Line>,
    ) {
        let mut stack = vec![(Node::Span(top), 1_u32, own.to_owned(), inherited.to_owned())];
        while let Some((node, depth, own, inherited)) = stack.pop() {
            if let Node::Span(at) = node {
                if std::mem::replace(&mut seen[at], true) {
                    continue;
                }
                let children = &self.children[at];
                if depth >= max_depth {
                    if !children.is_empty() {
                        let (own, _) = guides(&inherited, true);
                        stack.push((Node::Below(children.len()), depth + 1, own, String::new()));
                    }
                } else {
                    for (place, &child) in children.iter().enumerate().rev() {
                        let last = place + 1 == children.len();
                        let (own, inherited) = if depth < MAX_GUIDE_LEVELS {
                            guides(&inherited, last)
                        } else {
                            (format!("⋯{} ", depth + 1), String::new())
                        };
                        stack.push((Node::Span(child), depth + 1, own, inherited));
                    }
                }
            }
            lines.push(Line {
                node,
                depth,
                guide: own,
            });
        }
    }
}

/// Returns the guide of a line, and the prefix of the lines below it.
fn guides(inherited: &str, last: bool) -> (String, String) {
    let (own, below) = if last {
        ("└─ ", "   ")
    } else {
        ("├─ ", "│  ")
    };
    (format!("{inherited}{own}"), format!("{inherited}{below}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::render::fixtures::{id, span};

    fn drawn(spans: &[Span], max_depth: Option<u32>) -> Vec<String> {
        let lines = lines(spans, None, max_depth);
        let text = |line: &Line| match line.node {
            Node::Span(at) => format!("{}{}", line.guide, spans[at].name),
            Node::Missing(_) => "?".to_owned(),
            Node::Below(count) => format!("{}+{count}", line.guide),
        };
        lines.iter().map(text).collect()
    }

    #[test]
    fn siblings_are_ordered_by_their_start() {
        let spans = [
            span(4, 2, "d", 4, 1),
            span(3, 1, "c", 9, 1),
            span(1, 0, "a", 0, 20),
            span(2, 1, "b", 3, 5),
        ];
        assert_eq!(drawn(&spans, None), ["a", "├─ b", "│  └─ d", "└─ c"]);
        assert_eq!(drawn(&spans, Some(2)), ["a", "├─ b", "│  └─ +1", "└─ c"]);
    }

    #[test]
    fn orphans_cycles_and_duplicate_ids_are_shown_once_each() {
        let spans = [
            span(1, 0, "root", 0, 9),
            span(2, 99, "orphan", 1, 1),
            span(3, 99, "orphan too", 2, 1),
            span(4, 5, "egg", 3, 1),
            span(5, 4, "hen", 4, 1),
            span(6, 6, "myself", 5, 1),
            span(1, 0, "root again", 6, 1),
        ];
        assert_eq!(
            drawn(&spans, None),
            [
                "root",
                "?",
                "├─ orphan",
                "└─ orphan too",
                "root again",
                "egg",
                "└─ hen",
                "myself"
            ]
        );
        assert_eq!(rows(&spans), [1, 2, 3, 5, 6, 7, 4]);
        let hen = lines(&spans, Some(id(5)), None);
        let hen: Vec<&Node> = hen.iter().map(|line| &line.node).collect();
        assert_eq!(hen, [&Node::Span(4), &Node::Span(3)]);
    }

    #[test]
    fn a_deep_chain_is_shown_with_short_guides() {
        let spans: Vec<Span> = (1..=20_000).map(|n| span(n, n - 1, "deep", 0, 1)).collect();
        let lines = lines(&spans, None, None);
        assert_eq!(lines.len(), 20_000);
        assert!(lines.iter().all(|line| line.guide.len() < 100));
        assert_eq!(lines[19_999].depth, 20_000);
    }
}
