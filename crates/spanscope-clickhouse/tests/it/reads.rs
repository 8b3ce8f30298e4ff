//! What is special about the tables of a collector: texts in place of types, copies, states that
//! a store derives, totals in place of increases.

use std::collections::BTreeSet;

use serde_json::json;
use spanscope_clickhouse::ClickHouseStore;
use spanscope_model::filter::Filter;
use spanscope_model::{
    Attributes, LogFilter, MetricKind, MetricQuery, MetricQueryType, NewPoint, NewRecords, NewSpan,
    RunFilter, Source, SourceRecords, Span, SpanFilter, SpanId, SpanState, SpanStatus, Temporality, Tenant,
    Timestamp, TraceFilter, TraceId, TraceStore, UsageBy, UsageQuery, Value, block_on,
};

use crate::collector::{self, Generation, JSON, MAP, OLD, TENANT, TEXT};
use crate::engine::{self, Database};

const SECOND: i64 = 1_000_000_000;
/// 2026-11-21T00:00:00Z
const MIDNIGHT: i64 = 1_795_219_200 * SECOND;

fn trace(number: u128) -> TraceId {
    TraceId::from_bytes(number.to_be_bytes()).unwrap()
}

fn id(number: u64) -> SpanId {
    SpanId::from_bytes(number.to_be_bytes()).unwrap()
}

/// A span of a second that begins some seconds after midnight.
fn span(of: u128, number: u64, parent: u64, at: i64, attributes: serde_json::Value) -> Span {
    let start = MIDNIGHT + at * SECOND;
    let mut span = Span::new(
        trace(of),
        id(number),
        format!("step {number}"),
        Timestamp::from_nanos(start),
    );
    span.parent_span_id = (parent > 0).then(|| id(parent));
    span.end_time = Some(Timestamp::from_nanos(start + SECOND));
    span.status = Some(SpanStatus::Ok);
    span.state = SpanState::Ended;
    span.attributes = serde_json::from_value(attributes).unwrap();
    span
}

fn records(spans: Vec<Span>) -> NewRecords {
    let new = |span| NewSpan::new(span);
    let source = Source::default().service_name("shop".to_owned());
    NewRecords::default().sources(vec![
        SourceRecords::default()
            .source(source)
            .spans(spans.into_iter().map(new).collect()),
    ])
}

struct Filled {
    database: Database,
    generation: Generation,
}

impl Filled {
    fn new(generation: Generation) -> Option<Self> {
        if !engine::is_available() {
            eprintln!("skipped: there is no ClickHouse");
            return None;
        }
        let database = Database::new(generation.sql);
        Some(Self { database, generation })
    }

    fn add(&self, tenant: Option<&Tenant>, records: &NewRecords) {
        collector::write(&self.database, self.generation, tenant, records);
    }

    fn store(&self, options: &str) -> ClickHouseStore {
        ClickHouseStore::open(self.database.address(options)).unwrap()
    }
}

fn ids(store: &dyn TraceStore, filter: &str) -> Vec<SpanId> {
    let filter = SpanFilter::default().filter(filter.parse::<Filter>().unwrap());
    let mut ids: Vec<SpanId> = block_on(store.list_spans(filter))
        .unwrap()
        .iter()
        .map(|span| span.span_id)
        .collect();
    ids.sort_unstable();
    ids
}

#[test]
fn what_a_question_compares_decides_how_a_value_is_read_in_each_generation() {
    for generation in [OLD, MAP, TEXT, JSON] {
        let Some(filled) = Filled::new(generation) else {
            return;
        };
        let attributes = json!({
            "n": 7, "f": 0.5, "b": true, "t": "seven", "quoted": "it's \"7\"", "list": ["a", "b"],
            "gen_ai.usage.input_tokens": 12, "a.b": 1, "": "empty"
        });
        filled.add(
            None,
            &records(vec![span(1, 1, 0, 0, attributes), span(2, 2, 0, 1, json!({}))]),
        );
        let store = filled.store("");
        for filter in [
            "n=7",
            "n>6.5",
            "n!=8",
            "f<1",
            "b=true",
            "b!=false",
            "t=sev*",
            "t~EVEN",
            "quoted~\"it's\"",
            "list~a",
            "gen_ai.usage.input_tokens>=12",
            "a.b=1",
            "n=*",
            "step t=seven",
            "service=shop n=7",
            "trace.spans=1 n=7",
        ] {
            assert_eq!(ids(&store, filter), [id(1)], "{filter} in {generation:?}");
        }
        assert_eq!(ids(&store, "-n=7"), [id(2)]);
        assert_eq!(ids(&store, "n>7"), []);
        let found = block_on(store.get_span(trace(1), id(1))).unwrap();
        let tokens = found.attributes.get("gen_ai.usage.input_tokens");
        assert_eq!(tokens, Some(&Value::I64(12)), "{generation:?}");
        assert_eq!(
            found.resource.unwrap().get("service.name"),
            Some(&Value::from("shop"))
        );
    }
}

#[test]
fn a_batch_that_a_collector_repeats_is_shown_once() {
    let Some(filled) = Filled::new(MAP) else { return };
    let batch = records(vec![
        span(1, 1, 0, 0, json!({"task_id": "t-1"})),
        span(
            1,
            2,
            1,
            0,
            json!({"gen_ai.operation.name": "chat", "gen_ai.usage.input_tokens": 5}),
        ),
    ]);
    filled.add(None, &batch);
    filled.add(None, &batch);
    let store = filled.store("?lag=0s");
    let traces = block_on(store.list_traces(TraceFilter::default())).unwrap();
    assert_eq!((traces.len(), traces[0].span_count), (1, 2));
    assert_eq!(block_on(store.trace_spans(trace(1))).unwrap().len(), 2);
    assert_eq!(
        block_on(store.list_spans(SpanFilter::default())).unwrap().len(),
        2
    );
    let usage = UsageQuery::new(UsageBy::Model);
    let usage = block_on(store.usage(usage)).unwrap();
    assert_eq!((usage[0].calls, usage[0].input), (1, 5));
    let runs = block_on(store.list_runs(RunFilter::default())).unwrap();
    assert_eq!(
        (runs.total, runs.runs[0].task_id.as_str(), runs.runs[0].span_count),
        (1, "t-1", 2)
    );
}

#[test]
fn a_span_without_a_status_failed_if_it_names_its_failure() {
    for generation in [MAP, JSON] {
        let Some(filled) = Filled::new(generation) else {
            return;
        };
        let mut spans: Vec<Span> = [
            json!({"error.type": "timeout"}),
            json!({"error.type": ""}),
            json!({}),
        ]
        .into_iter()
        .zip(1..)
        .map(|(attributes, number)| span(number.into(), number, 0, 0, attributes))
        .collect();
        for span in &mut spans {
            span.status = None;
        }
        filled.add(None, &records(spans));
        let store = filled.store("");
        assert_eq!(ids(&store, "status=error"), [id(1)], "{generation:?}");
        let errors = TraceFilter::default().errors(true);
        assert_eq!(block_on(store.list_traces(errors)).unwrap().len(), 1);
        let shown = block_on(store.get_span(trace(1), id(1))).unwrap().status;
        assert_eq!(shown, Some(SpanStatus::Error));
    }
}

#[test]
fn pages_go_back_through_windows_and_a_trace_that_paused_is_listed_by_its_start() {
    let Some(filled) = Filled::new(MAP) else { return };
    let hours = |hours: i64| hours * 3600;
    let mut spans: Vec<Span> = (0..40)
        .map(|day| {
            span(
                100 + day,
                100 + day as u64,
                0,
                -hours(24) * day as i64,
                json!({"day": day as u64}),
            )
        })
        .collect();
    // It began five hours before the newest window, and goes on in it.
    spans.push(span(1, 1, 0, -hours(5), json!({})));
    spans.push(span(1, 2, 1, 0, json!({})));
    filled.add(None, &records(spans));
    let store = filled.store("");
    let mut seen = Vec::new();
    for page in 0..9 {
        let filter = TraceFilter::default().limit(5).offset(page * 5);
        seen.extend(block_on(store.list_traces(filter)).unwrap());
    }
    assert_eq!(seen.len(), 41);
    assert!(
        seen.windows(2)
            .all(|pair| pair[0].trace.start_time >= pair[1].trace.start_time)
    );
    assert_eq!((seen[1].trace.trace_id, seen[1].span_count), (trace(1), 2));
    assert_eq!(ids(&store, "day=39"), [id(139)]);
}

#[test]
fn pages_of_spans_by_cursor_are_the_list_in_each_generation() {
    for generation in [OLD, MAP, TEXT, JSON] {
        let Some(filled) = Filled::new(generation) else {
            return;
        };
        // Eight begin at each time, in two traces that use the same span ids, over several windows.
        let spans: Vec<Span> = (0..40_u64)
            .map(|number| {
                let at = -3600 * i64::try_from(number / 8).unwrap();
                span(
                    1 + u128::from(number % 2),
                    1 + number / 2,
                    0,
                    at,
                    json!({"n": number % 2}),
                )
            })
            .collect();
        filled.add(None, &records(spans));
        let store = filled.store(&format!("?tenant_attribute={TENANT}"));
        let page = |filter: SpanFilter| -> Vec<(TraceId, SpanId)> {
            let found = block_on(store.list_spans(filter)).unwrap();
            found.iter().map(|span| (span.trace_id, span.span_id)).collect()
        };
        for (text, count) in [("", 40), ("n=1", 20)] {
            let filter = SpanFilter::default().filter(text.parse::<Filter>().unwrap());
            let whole = page(filter.clone());
            assert_eq!(whole.len(), count, "{text:?} in {generation:?}");
            for limit in [3, 7] {
                let mut paged = Vec::new();
                loop {
                    let next = page(filter.clone().before(paged.last().copied()).limit(limit));
                    if next.is_empty() {
                        break;
                    }
                    paged.extend(next);
                    assert!(paged.len() <= whole.len(), "a page came again in {generation:?}");
                }
                assert_eq!(paged, whole, "pages of {limit} of {text:?} in {generation:?}");
            }
        }
        // A time, an offset and another order count in what is behind the cursor.
        let whole = page(SpanFilter::default());
        let behind = || SpanFilter::default().before(whole[9]);
        assert_eq!(page(behind().offset(2).limit(3)), whole[12..15]);
        let hour = Timestamp::from_nanos(MIDNIGHT - 2 * 3600 * SECOND);
        assert_eq!(page(behind().until(hour)), whole[24..]);
        assert_eq!(page(behind().since(hour)), whole[10..24]);
        let oldest_first = behind().order_by(vec!["start_time".parse().unwrap()]).limit(8);
        let expected: BTreeSet<_> = whole[32..].iter().copied().collect();
        assert_eq!(page(oldest_first).into_iter().collect::<BTreeSet<_>>(), expected);
        // A span that is not stored, or not this tenant's, has nothing behind it.
        assert_eq!(page(SpanFilter::default().before((trace(1), id(404)))), []);
        let other = store.for_tenant(&"other".parse().unwrap());
        assert_eq!(block_on(other.list_spans(behind())).unwrap(), []);
    }
}

#[test]
fn without_an_attribute_that_names_tenants_only_the_default_one_sees_records() {
    let Some(filled) = Filled::new(MAP) else { return };
    let (acme, other): (Tenant, Tenant) = ("acme".parse().unwrap(), "other".parse().unwrap());
    filled.add(Some(&acme), &records(vec![span(1, 1, 0, 0, json!({}))]));
    filled.add(None, &records(vec![span(2, 2, 0, 0, json!({}))]));
    let count = |store: &dyn TraceStore| block_on(store.list_traces(TraceFilter::default())).unwrap().len();
    let logs = |store: &dyn TraceStore| block_on(store.list_logs(LogFilter::default())).unwrap().len();
    let plain = filled.store("");
    assert!(!plain.capabilities().tenants);
    for (tenant, seen) in [(Tenant::default(), 2), (acme.clone(), 0)] {
        let store = plain.for_tenant(&tenant);
        assert_eq!((count(&*store), logs(&*store)), (seen, 0), "{tenant}");
    }
    let with = filled.store(&format!("?tenant_attribute={TENANT}"));
    assert!(with.capabilities().tenants);
    assert_eq!(count(&with), 2);
    for (tenant, seen) in [(Tenant::default(), 1), (acme, 1), (other, 0)] {
        assert_eq!(count(&*with.for_tenant(&tenant)), seen, "{tenant}");
    }
}

#[test]
fn totals_become_the_increases_in_each_step() {
    for generation in [OLD, MAP] {
        let Some(filled) = Filled::new(generation) else {
            return;
        };
        let point = |value: i64, minute: i64, start: i64| {
            NewPoint::new(
                "jobs".to_owned(),
                Value::I64(value),
                MetricKind::Counter,
                Timestamp::from_nanos(MIDNIGHT + minute * 60 * SECOND),
            )
            .temporality(Temporality::Cumulative {
                start: Timestamp::from_nanos(MIDNIGHT + start * 60 * SECOND),
            })
            .unit("jobs".to_owned())
            .labels(vec![("queue".to_owned(), "a".to_owned())])
        };
        // A program that began before the range, and its successor after a restart.
        let points = vec![
            point(100, 55, -600),
            point(110, 61, -600),
            point(115, 90, -600),
            point(120, 130, -600),
            point(3, 150, 140),
            point(9, 170, 140),
        ];
        let records = NewRecords::default().sources(vec![SourceRecords::default().points(points)]);
        filled.add(None, &records);
        let store = filled.store("");
        let mut query = MetricQuery::range("jobs", Timestamp::from_nanos(MIDNIGHT + 3600 * SECOND));
        query.end = Some(Timestamp::from_nanos(MIDNIGHT + 4 * 3600 * SECOND));
        query.granularity = Some("1h".parse().unwrap());
        let series = block_on(store.query_metrics(query.clone())).unwrap();
        let values: Vec<Value> = series[0].values.iter().map(|point| point.value.clone()).collect();
        assert_eq!(values, [Value::I64(15), Value::I64(14)], "{generation:?}");
        query.query_type = MetricQueryType::Instant;
        let series = block_on(store.query_metrics(query)).unwrap();
        assert_eq!(series[0].values[0].value, Value::I64(29));
        let listed = block_on(store.list_metrics()).unwrap();
        assert_eq!((listed[0].kind, listed[0].points), (MetricKind::Counter, 6));
    }
}

#[test]
fn attributes_keep_their_order_and_their_strangest_texts() {
    let Some(filled) = Filled::new(MAP) else { return };
    let texts = [
        "it's",
        "a\\b",
        "tab\tline\nend\r",
        "\u{0}",
        "😀 ключ",
        "{\"a\":[1]}",
        "'); DROP TABLE x",
        "",
    ];
    let mut strange = span(1, 1, 0, 0, json!({}));
    for (number, text) in texts.iter().enumerate() {
        strange.attributes.set(format!("k{number} {text}"), *text);
    }
    let given = strange.attributes.clone();
    filled.add(None, &records(vec![strange]));
    let store = filled.store("");
    let found: Attributes = block_on(store.get_span(trace(1), id(1))).unwrap().attributes;
    assert_eq!(found, given);
    for (number, text) in texts.iter().enumerate() {
        let condition = spanscope_model::Condition::new(
            format!("k{number} {text}"),
            spanscope_model::ConditionOp::Eq,
            *text,
        );
        let filter = SpanFilter::default().conditions(vec![condition]);
        assert_eq!(block_on(store.list_spans(filter)).unwrap().len(), 1, "{text:?}");
    }
}
