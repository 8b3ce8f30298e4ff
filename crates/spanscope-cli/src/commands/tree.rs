//! `spanscope tree ID`: how a trace went.

use anyhow::Result;
use spanscope_model::{IdMatch, Span, SpanNode, TraceStore, block_on};

use super::store::{StoreFile, resolve_id};
use crate::args::{Format, TreeArgs};
use crate::output::{Output, json_line};
use crate::render::forest;
use crate::render::tree::{Choice, tree};

pub(super) fn run(file: &StoreFile, args: &TreeArgs) -> Result<()> {
    let out = Output::new(&args.output);
    let store = file.open()?;
    let id = resolve_id(&*store, &args.id)?;
    let spans = spans(&*store, id)?;
    if out.format == Format::Table {
        let choice = Choice {
            top: match id {
                IdMatch::Trace(_) => None,
                IdMatch::Span(_, span) => Some(span),
            },
            max_depth: args.max_depth,
            attributes: args.attributes.as_deref().unwrap_or_default(),
        };
        return out.print(&tree(&out, &spans, choice));
    }
    let mut nodes = forest::nodes(spans, args.max_depth);
    if let Some(keys) = &args.attributes {
        for node in nodes.values_mut() {
            node.span
                .attributes
                .retain(|key, _| keys.iter().any(|wanted| wanted == key));
        }
    }
    if out.format == Format::Json {
        return out.one(&nodes, String::new);
    }
    let mut nodes: Vec<SpanNode> = nodes.into_values().collect();
    nodes.sort_by_key(|node| (node.span.start_time, node.depth));
    let lines: Result<String> = nodes.iter().map(json_line).collect();
    out.print(&lines?)
}

/// All spans that belong to the id; the depth is cut later, so that what is left out can be counted.
fn spans(store: &dyn TraceStore, id: IdMatch) -> Result<Vec<Span>> {
    Ok(match id {
        IdMatch::Trace(trace) => block_on(store.trace_spans(trace))?,
        IdMatch::Span(_, span) => {
            let nodes = block_on(store.get_span_tree(span, None, None))?;
            nodes.into_values().map(|node| node.span).collect()
        }
    })
}
