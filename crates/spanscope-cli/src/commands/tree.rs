//! `spanscope tree ID`: shows a trace as a tree.

use anyhow::Result;
use spanscope_model::{IdMatch, Span, block_on};

use super::ids::resolve_id;
use super::store::Location;
use crate::args::{Format, TreeArgs};
use crate::output::{Output, json_line};
use crate::render::forest;
use crate::render::json::{PlacedSpan, TreeJson, nested};
use crate::render::tree::{TreeOptions, tree};

pub(super) fn run(location: &Location, args: &TreeArgs) -> Result<()> {
    let out = Output::new(&args.output);
    let store = location.open()?;
    let (trace, top) = match resolve_id(&*store, &args.id)? {
        IdMatch::Trace(trace) => (trace, None),
        IdMatch::Span(trace, span) => (trace, Some(span)),
    };
    // The whole trace at all depths: rows are numbered in the whole tree, and omitted ones are
    // counted.
    let mut spans = block_on(store.trace_spans(trace))?;
    if out.format == Format::Table {
        let options = TreeOptions {
            top,
            max_depth: args.max_depth,
            attributes: args.attributes.as_deref().unwrap_or_default(),
        };
        return out.print(&tree(&out, &spans, options));
    }
    if let Some(keys) = &args.attributes {
        for span in &mut spans {
            span.attributes
                .retain(|key, _| keys.iter().any(|wanted| wanted == key));
        }
    }
    let rows = forest::rows(&spans);
    let lines = forest::lines(&spans, top, args.max_depth);
    if out.format == Format::Json {
        let whole = forest::lines(&spans, top, None);
        let whole: Vec<&Span> = forest::spans_of(&whole, &spans).collect();
        let roots = nested(&lines, &spans, &rows)?;
        return out.one(&TreeJson::of(&whole, top, roots), String::new);
    }
    let placed = lines
        .iter()
        .filter_map(|line| PlacedSpan::of(line, &spans, &rows));
    let text: Result<String> = placed.map(|span| json_line(&span)).collect();
    out.print(&text?)
}
