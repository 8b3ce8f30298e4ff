//! How long the store's queries take on the file of the sustained run, to which slow spans and one
//! large tree were added. The size of every result is checked, so that a quick wrong result does
//! not pass.

use std::path::Path;
use std::time::Instant;

use anyhow::{Context, Result, ensure};
use serde_json::Value;
use spanscope_bench::sample::Sample;
use spanscope_bench::table::{Goal, Table, nanos};
use spanscope_model::{Condition, ConditionOp, SpanFilter, TraceFilter, TraceStore, block_on};
use spanscope_sqlite::SqliteStore;

use crate::sizes::Sizes;
use crate::sustained::{self, TREE_ROOT};

/// Runs all queries and adds their rows to the table.
pub(crate) fn report(table: &mut Table, folder: &Path, sizes: &Sizes) -> Result<()> {
    let store = SqliteStore::open(sustained::file(folder))?;
    let stats = block_on(store.statistics())?;
    let mut ask = |measure: &str, most_ms: f64, question: &dyn Fn() -> Result<usize>| {
        let mut took = Vec::new();
        let mut found = 0;
        for _ in 0..sizes.questions {
            let start = Instant::now();
            found = question()?;
            took.push(start.elapsed().as_secs_f64() * 1e9);
        }
        let sample = Sample::new(took);
        let most = format!("<= {most_ms} ms");
        table.judged(
            &format!("{} spans stored: {measure} ({found} found)", stats.spans),
            nanos(sample.median()),
            format!("slowest of {} {}", sizes.questions, nanos(sample.quantile(1.0))),
            sample.median() / 1e6,
            Goal::AtMost(most_ms),
            &most,
        );
        anyhow::Ok(found)
    };

    let found = ask("newest 100 traces", 10.0, &|| {
        Ok(block_on(store.list_traces(TraceFilter::default()))?.len())
    })?;
    ensure!(found == 100, "100 traces were expected");
    let found = ask("spans over 1 s, slowest first, 100 of them", 100.0, &|| {
        let filter = SpanFilter::default()
            .conditions(vec![Condition::new("duration_ms", ConditionOp::Gt, 1_000)])
            .order_by(vec!["-duration_ms".parse()?]);
        Ok(block_on(store.list_spans(filter))?.len())
    })?;
    ensure!(found == 100, "100 slow spans were expected");
    let found = ask(
        "traces by a configured key (`session.id`), 100 of them",
        50.0,
        &|| traces_with(&store, "session.id", "session-00042".into()),
    )?;
    ensure!(found > 0, "the session has traces");
    let found = ask(
        "spans by a configured key (`session.id`), 100 of them",
        50.0,
        &|| spans_with(&store, "session.id", "session-00042".into()),
    )?;
    ensure!(found > 0, "the session has spans");
    let found = ask(
        "traces by any other key (`document`), 100 of them",
        400.0,
        &|| traces_with(&store, "document", "doc-00042".into()),
    )?;
    ensure!(found > 0, "the document has traces");
    let found = ask(
        "spans by any other key, the one there is (`bytes`)",
        400.0,
        &|| spans_with(&store, "bytes", 42.into()),
    )?;
    ensure!(found == 1, "the number is in one span");
    let found = ask("spans by any other key, none there is", 400.0, &|| {
        spans_with(&store, "document", "nowhere".into())
    })?;
    ensure!(found == 0, "nothing was expected");
    let found = ask("count, errors, p50, p95, p99 by name", 200.0, &|| {
        Ok(block_on(store.name_statistics(None, None))?.len())
    })?;
    ensure!(found >= 5, "all names were expected");

    let filter = SpanFilter::default().conditions(vec![Condition::new("name", ConditionOp::Eq, TREE_ROOT)]);
    let root = block_on(store.list_spans(filter))?
        .pop()
        .context("the large tree has a root")?;
    let found = ask("a tree", 30.0, &|| {
        Ok(block_on(store.get_span_tree(root.span_id, None, None))?.len())
    })?;
    ensure!(found == sizes.tree_spans, "the whole tree was expected");
    Ok(())
}

fn traces_with(store: &SqliteStore, key: &str, value: Value) -> Result<usize> {
    let filter = TraceFilter::default().conditions(vec![Condition::new(key, ConditionOp::Eq, value)]);
    Ok(block_on(store.list_traces(filter))?.len())
}

fn spans_with(store: &SqliteStore, key: &str, value: Value) -> Result<usize> {
    let filter = SpanFilter::default().conditions(vec![Condition::new(key, ConditionOp::Eq, value)]);
    Ok(block_on(store.list_spans(filter))?.len())
}
