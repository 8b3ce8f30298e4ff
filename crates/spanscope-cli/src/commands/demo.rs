//! `spanscope demo`: runs the demo agent, shows its trace, and suggests further commands.

use anyhow::Result;
use spanscope_model::{Span, SpanStatus, UsageBy, UsageQuery, block_on};

use super::ids::short_id_digits;
use super::store::Location;
use super::usage;
use crate::args::{DemoArgs, Format, OutputArgs};
use crate::output::Output;
use crate::remark::remark;
use crate::render::colour::Paint;
use crate::render::forest;
use crate::render::tree::{TreeOptions, tree};

pub(super) fn run(location: &Location, args: &DemoArgs) -> Result<()> {
    if args.serve_model {
        return crate::demo::serve_model();
    }
    let out = Output::new(&OutputArgs {
        format: Format::Table,
        json: false,
        utc: args.utc,
    });
    let path = location.path()?;
    remark(format_args!(
        "running the demo agent, recording into {}",
        path.display()
    ));
    let trace_id = crate::demo::run(&path)?;
    let store = location.open()?;
    let spans = block_on(store.trace_spans(trace_id))?;

    let mut text = tree(&out, &spans, TreeOptions::default());
    text.push('\n');
    let usage = block_on(store.usage(UsageQuery::new(UsageBy::Model).trace_id(trace_id)))?;
    text.push_str(&usage::demo_table(&out, &usage));
    let is_failed = |span: &Span| span.status == Some(SpanStatus::Error);
    let mut failed: Vec<usize> = spans
        .iter()
        .zip(forest::rows(&spans))
        .filter_map(|(span, row)| is_failed(span).then_some(row))
        .collect();
    failed.sort_unstable();
    let flag = location.flag();
    let short = &trace_id.to_string()[..short_id_digits(&*store, &[trace_id])];
    let mut next = vec![
        (
            "spanscope tree",
            format!(" {short} --attributes gen_ai.request.model"),
            "this tree, with models",
        ),
        (
            "spanscope run",
            format!(" {short}"),
            "the same as an agent's run: timeline, summary, analysis",
        ),
        ("spanscope traces", " --since 1h".to_owned(), "all recent traces"),
        ("spanscope logs", " --severity warn".to_owned(), "what went wrong"),
        ("spanscope usage", " --by agent".to_owned(), "tokens by agent"),
        (
            "spanscope stats",
            " --by name".to_owned(),
            "durations by span name",
        ),
        (
            "spanscope export",
            format!(" {short} --to chrome -o trace.json"),
            "a timeline for ui.perfetto.dev",
        ),
    ];
    if let Some(row) = failed.first() {
        let arguments = format!(" {short}:{row}");
        next.insert(
            0,
            ("spanscope span", arguments, "the failed step, with its error"),
        );
    }
    text.push_str(&format!(
        "\n{}\n",
        Paint::Title.on(out.colour, "What to type next")
    ));
    for (command, arguments, purpose) in next {
        let purpose = Paint::Dim.on(out.colour, purpose);
        text.push_str(&format!("  {purpose}\n    {command}{flag}{arguments}\n"));
    }
    out.print(&text)
}
