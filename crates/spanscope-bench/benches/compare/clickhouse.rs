//! A server over the tables that a collector writes to ClickHouse, queried over HTTP: the list, a
//! trace, a text attribute, runs; and the usage of a day, which no route returns.
//!
//! The engine is a process on the same cores. One statement generates its rows: traces of ten spans
//! over seven days. Every tenth trace is the run of an agent that calls a model three times. The
//! tables are the collector's own, without the columns that would speed up some of the queries.
//! Without an engine nothing is measured.

use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use spanscope_bench::sample::Sample;
use spanscope_bench::table::{Goal, Table, nanos, thousands};
use spanscope_clickhouse::{ClickHouseStore, StoreAddress};
use spanscope_model::{Timestamp, TraceStore as _, UsageBy, UsageQuery, block_on};
use spanscope_tests::clickhouse::Database;

use crate::serving::Running;
use crate::sizes::Sizes;

/// The number of spans of a trace.
const TRACE: u64 = 10;
/// Spans that one statement inserts.
const PIECE: usize = 500_000;
/// The time range of the spans, in milliseconds.
const RANGE_MS: u64 = 7 * 24 * 60 * 60 * 1000;

pub(crate) fn report(table: &mut Table, sizes: &Sizes) -> Result<()> {
    let Some(database) = Database::new() else {
        table.plain("a server over ClickHouse", "not measured: no engine", "");
        return Ok(());
    };
    fill(&database, sizes.collected_spans);
    let mut address: StoreAddress = database.url("").parse()?;
    if let Some(password) = database.password() {
        address = address.password(password);
    }
    let store = ClickHouseStore::open(address)?;
    let server = Running::start(&store)?;
    let mut client = server.client()?;
    let spans = sizes.collected_spans;
    let before = format!("{} spans in a collector's tables", thousands(float(spans)));

    let bytes: u64 = database
        .run(
            "SELECT sum(bytes_on_disk) FROM system.parts WHERE active AND database = currentDatabase()
             AND table LIKE 'otel_traces%'",
        )
        .trim()
        .parse()
        .context("the size of the tables")?;
    table.plain(
        &format!("{before}: bytes a span on disk"),
        format!("{:.1} B", float(bytes) / float(spans)),
        format!("{} B", thousands(float(bytes))),
    );

    // A trace in the middle of the time range: its rows are in no cache yet.
    let trace = hash(&database, "TraceId", spans / TRACE / 2);
    let agent_trace = spans / TRACE / 20 * 10;
    for (what, path, goal) in [
        (
            "the newest 100 traces",
            "/ui/api/traces?limit=100".to_owned(),
            Some(200.0),
        ),
        (
            "a trace of 10 spans",
            format!("/ui/api/traces/{trace}"),
            Some(60.0),
        ),
        (
            "the newest 100 traces with an attribute's text",
            format!(
                "/ui/api/traces?limit=100&q=user.id%3Duser-{}",
                agent_trace % USERS
            ),
            None,
        ),
        (
            "the newest 20 runs",
            "/api/v1/traces?page_size=20".to_owned(),
            None,
        ),
        (
            "the newest 20 runs of an agent",
            "/api/v1/agents/agent-7/traces?page_size=20".to_owned(),
            None,
        ),
    ] {
        let mut length = 0;
        let sample = times(sizes.collected_questions, || {
            length = client.get(&path)?;
            Ok(())
        })?;
        add(
            table,
            &format!("{before}: {what} over HTTP, p99 ({length} B)"),
            &sample,
            goal,
        );
    }
    let day = Timestamp::now().before(Duration::from_secs(24 * 60 * 60));
    let sample = times(sizes.questions, || {
        let usage = block_on(store.usage(UsageQuery::new(UsageBy::Model).since(day)))?;
        anyhow::ensure!(!usage.is_empty(), "no usage");
        Ok(())
    })?;
    add(
        table,
        &format!("{before}: usage of the last day by model, p99"),
        &sample,
        None,
    );
    Ok(())
}

fn add(table: &mut Table, what: &str, sample: &Sample, goal: Option<f64>) {
    let p99 = sample.quantile(0.99);
    let median = format!("median {}", nanos(sample.median()));
    match goal {
        Some(goal) => table.judged(
            what,
            nanos(p99),
            median,
            p99 / 1e6,
            Goal::AtMost(goal),
            &format!("<= {goal} ms"),
        ),
        None => table.plain(what, nanos(p99), median),
    }
}

fn times(questions: usize, mut ask: impl FnMut() -> Result<()>) -> Result<Sample> {
    let mut took = Vec::new();
    for _ in 0..questions {
        let begin = Instant::now();
        ask()?;
        took.push(begin.elapsed().as_secs_f64() * 1e9);
    }
    Ok(Sample::new(took))
}

/// The number of values of the attribute `user.id`.
const USERS: u64 = 100_000;

/// Fills the tables of spans. All values of a span are derived from its number; its trace is the
/// number divided by [`TRACE`].
fn fill(database: &Database, spans: u64) {
    let traces = spans / TRACE;
    let step = RANGE_MS / traces.max(1);
    // In pieces, because a statement that takes longer than the client waits is an error.
    for first in (0..traces * TRACE).step_by(PIECE) {
        let count = (traces * TRACE - first).min(PIECE as u64);
        database.run(&rows(traces, step, first, count));
    }
}

/// Returns the statement that inserts the spans from the number `first` on.
fn rows(traces: u64, step: u64, first: u64, count: u64) -> String {
    format!(
        "INSERT INTO otel_traces (Timestamp, TraceId, SpanId, ParentSpanId, SpanName, SpanKind, ServiceName,
             ResourceAttributes, ScopeName, SpanAttributes, Duration, StatusCode, StatusMessage)
         SELECT
             now64(9) - toIntervalMillisecond(({traces} - intDiv(number, {TRACE})) * {step}) + toIntervalMillisecond(
                 number % {TRACE}),
             lower(hex(MD5(concat('TraceId', toString(intDiv(number, {TRACE})))))),
             lower(hex(substring(MD5(concat('SpanId', toString(number))), 1, 8))),
             number % {TRACE} = 0 ? '' : lower(hex(substring(MD5(concat('SpanId', toString(number - number % {TRACE}))), 1,
                 8))),
             multiIf(intDiv(number, {TRACE}) % 10 != 0, concat(number % {TRACE} = 0 ? 'GET /things/' : 'SELECT things ',
                 toString(number % 40)), number % {TRACE} = 0, 'invoke_agent', number % {TRACE} < 4, 'chat', 'execute_tool'),
             number % {TRACE} = 0 ? 'Server' : 'Client',
             concat('service-', toString(intDiv(number, {TRACE}) % 12)),
             map('service.name', concat('service-', toString(intDiv(number, {TRACE}) % 12)), 'host.name',
                 concat('host-', toString(number % 7))),
             'benchmark',
             multiIf(
                 intDiv(number, {TRACE}) % 10 != 0,
                 map('http.request.method', 'GET', 'user.id', concat('user-', toString(intDiv(number, {TRACE}) % {USERS})),
                     'http.response.status_code', number % 97 = 0 ? '500' : '200'),
                 number % {TRACE} = 0,
                 map('gen_ai.operation.name', 'invoke_agent', 'gen_ai.agent.name', concat('agent-',
                     toString(intDiv(number, {TRACE} * 10) % 50)), 'user.id', concat('user-',
                     toString(intDiv(number, {TRACE}) % {USERS}))),
                 number % {TRACE} < 4,
                 map('gen_ai.operation.name', 'chat', 'gen_ai.provider.name', 'meta', 'gen_ai.request.model',
                     concat('model-', toString(number % 5)), 'gen_ai.usage.input_tokens', toString(100 + number % 900),
                     'gen_ai.usage.output_tokens', toString(number % 300)),
                 map('gen_ai.operation.name', 'execute_tool', 'gen_ai.tool.name', concat('tool-', toString(number % 9)))
             ),
             1000000 * (1 + cityHash64(number) % 2000),
             number % 97 = 0 ? 'Error' : 'Unset',
             number % 97 = 0 ? 'it failed' : ''
         FROM numbers({first}, {count})"
    )
}

/// Returns the id of a trace, as [`fill`] computes it.
fn hash(database: &Database, kind: &str, number: u64) -> String {
    let text = database.run(&format!(
        "SELECT lower(hex(MD5(concat('{kind}', toString({number})))))"
    ));
    text.trim().trim_matches('"').to_owned()
}

#[expect(clippy::cast_precision_loss, reason = "spans and bytes are few")]
fn float(number: u64) -> f64 {
    number as f64
}
