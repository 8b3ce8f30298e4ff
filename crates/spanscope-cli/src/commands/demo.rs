//! `spanscope demo`: something real to look at, and how to look at it.

use anyhow::Result;
use spanscope_model::{SpanStatus, TraceStore};
use spanscope_sqlite::wait;

use super::{StoreFile, short_id_digits};
use crate::args::{DemoArgs, Format, OutputArgs};
use crate::output::Output;
use crate::render::colour::Paint;
use crate::render::table::{Column, table};
use crate::render::text::grouped;
use crate::render::tree::{Choice, tree};
use crate::tokens::{self, ModelUsage};

pub(super) fn run(file: &StoreFile, args: &DemoArgs) -> Result<()> {
    let out = Output::new(&OutputArgs {
        format: Format::Table,
        json: false,
        utc: args.utc,
    });
    let path = file.path()?;
    eprintln!(
        "spanscope: running the demo agent, recording into {}",
        path.display()
    );
    let trace_id = crate::demo::run(&path)?;
    let store = file.open()?;
    let spans = wait(store.trace_spans(trace_id))?;

    let mut text = tree(&out, &spans, Choice::default());
    text.push('\n');
    text.push_str(&token_table(&out, &tokens::by_model(&spans)));
    let failed = spans.iter().find(|span| span.status == Some(SpanStatus::Error));
    let flag = file.flag();
    let short = &trace_id.to_string()[..short_id_digits(&store, &[trace_id])];
    let mut next = vec![
        (
            "spanscope tree",
            format!(" {short} --attributes gen_ai.request.model"),
            "this tree, with models",
        ),
        ("spanscope traces", " --since 1h".to_owned(), "all recent traces"),
        ("spanscope logs", " --severity warn".to_owned(), "what went wrong"),
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
    if let Some(span) = failed {
        let words = format!(" {}", span.span_id);
        next.insert(0, ("spanscope span", words, "the failed step, with its error"));
    }
    text.push_str(&format!(
        "\n{}\n",
        Paint::Title.on(out.colour, "What to type next")
    ));
    for (command, words, what) in next {
        let what = Paint::Dim.on(out.colour, what);
        text.push_str(&format!("  {what}\n    {command}{flag}{words}\n"));
    }
    out.print(&text)
}

fn token_table(out: &Output, usage: &[ModelUsage]) -> String {
    let columns = [
        ("model", Column::Text),
        ("provider", Column::Text),
        ("calls", Column::Number),
        ("input", Column::Number),
        ("output", Column::Number),
        ("total tokens", Column::Number),
    ];
    let rows = usage.iter().map(|usage| {
        vec![
            usage.model.as_str().into(),
            usage.provider.as_str().into(),
            grouped(usage.calls).into(),
            grouped(usage.input).into(),
            grouped(usage.output).into(),
            grouped(usage.input.saturating_add(usage.output)).into(),
        ]
    });
    table(out, &columns, rows.collect())
}
