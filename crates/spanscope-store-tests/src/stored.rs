//! Stored records equal the given ones, and are stored once.

use serde_json::json;
use spanscope_model::{
    Attributes, Condition, ConditionOp, IngestReceipt, Link, LogFilter, NewEvent, NewSpan, Scope, Severity,
    Source, SourceRecords, SpanFilter, SpanKind, SpanStatus, Temporality, TraceFilter, Value, block_on,
};

use crate::made::{ago, event, failed, of, point, records, running, span, span_id, store, total, trace_id};
use crate::{Fixture, Open};

pub fn what_is_stored_is_what_was_given<F: Fixture>() {
    let Some(open) = Open::<F>::that(|can| can.writes) else {
        return;
    };
    let mut attributes = Attributes::new();
    attributes.set("text", "xy\"\\\u{7f}é");
    attributes.set("int", -7);
    attributes.set("large", u64::MAX);
    attributes.set("real", 2.0);
    attributes.set("nan", f64::NAN);
    attributes.set("bool", false);
    attributes.set("list", json!(["a", 1, null, {"k": 2.5}]));
    attributes.set("session.id", "s-1");
    attributes.set("password", "hunter2");
    let mut given = span(1, 1, 9, "GET /things");
    given.attributes = attributes;
    given.kind = SpanKind::Client;
    given.status = Some(SpanStatus::Error);
    given.status_message = Some("no".to_owned());
    given.target = Some("their.tracer".to_owned());
    given.category = Some("inference".to_owned());
    given.trace_state = Some("vendor=1".to_owned());
    given.links = vec![
        Link::new(trace_id(2), span_id(3)).attributes([("why", Value::from("retry"))].into_iter().collect()),
    ];
    let resource: Attributes = [
        ("service.name", Value::from("shop")),
        ("host.cpus", Value::from(8)),
    ]
    .into_iter()
    .collect();
    let scope = Scope::default()
        .name("their.tracer")
        .version("1.2")
        .attributes([("beta", Value::from(true))].into_iter().collect());
    let inner = NewEvent::new(
        (event(Some(1), "it broke").event)
            .name("exception")
            .span_id(span_id(1)),
    );
    let taken = store::<F>(
        open.store(),
        of(SourceRecords::default()
            .source(
                Source::default()
                    .service_name("shop")
                    .resource(resource.clone())
                    .scope(scope.clone()),
            )
            .spans(vec![NewSpan::new(given.clone()).events(vec![inner])])
            .events(vec![event(None, "outside")])),
    );
    assert_eq!((taken.stored, taken.known), (3, 0));
    let found = block_on(open.store().get_span(trace_id(1), span_id(1))).unwrap();
    let mut expected = given;
    // JSON has no NaN, and secrets are masked.
    expected.attributes.set("nan", "NaN");
    expected.attributes.set("password", "[masked: 7 characters]");
    expected.service_name = "shop".to_owned();
    expected.level = Some(Severity::Info);
    expected.resource = Some(resource);
    expected.scope = Some(scope);
    assert_eq!(found, expected);
    let logs = block_on(open.store().list_logs(LogFilter::default())).unwrap();
    let logs: Vec<_> = logs
        .iter()
        .map(|log| (log.name.as_str(), log.message.as_str(), log.trace_id.is_some()))
        .collect();
    assert!(logs.contains(&("exception", "it broke", true)), "{logs:?}");
    assert!(logs.contains(&("", "outside", false)), "{logs:?}");
    // A received span is found like a span that a local program wrote.
    let by_session =
        SpanFilter::default().conditions(vec![Condition::new("session.id", ConditionOp::Eq, "s-1")]);
    assert_eq!(block_on(open.store().list_spans(by_session)).unwrap().len(), 1);
    open.check_account((3, 3));
}

pub fn a_span_is_stored_once_however_often_it_comes<F: Fixture>() {
    let Some(open) = Open::<F>::that(|can| can.writes) else {
        return;
    };
    let spans = || {
        vec![
            span(1, 1, 0, "root"),
            span(1, 2, 1, "child"),
            span(1, 2, 1, "child"),
        ]
    };
    assert_eq!(
        store::<F>(open.store(), records(spans())),
        IngestReceipt::default().stored(2).known(1)
    );
    assert_eq!(
        store::<F>(open.store(), records(spans())),
        IngestReceipt::default().stored(0).known(3)
    );
    let later = vec![span(1, 3, 1, "later")];
    assert_eq!(store::<F>(open.store(), records(later)).stored, 1);
    let traces = block_on(open.store().list_traces(TraceFilter::default())).unwrap();
    assert_eq!((traces.len(), traces[0].span_count), (1, 3));
    assert_eq!(traces[0].root_name, "root");
    open.check_account((3, 3));
}

pub fn log_events_outside_the_spans_don_t_make_a_trace_longer<F: Fixture>() {
    let outside = |at| NewEvent::new((event(Some(1), "late").event).timestamp(at));
    let early_and_late =
        || of(SourceRecords::default().events(vec![outside(ago(3_600_000)), outside(ago(-3_600_000))]));
    for spans_first in [true, false] {
        let Some(open) = Open::<F>::that(|_| true) else {
            return;
        };
        let mut batches = vec![records(vec![span(1, 1, 0, "root")]), early_and_late()];
        if !spans_first {
            batches.reverse();
        }
        for batch in batches {
            store::<F>(open.store(), batch);
        }
        let trace = block_on(open.store().list_traces(TraceFilter::default()))
            .unwrap()
            .remove(0);
        assert_eq!(trace.duration_ms, Some(100.0), "spans first: {spans_first}");
        assert_eq!(
            block_on(open.store().list_logs(LogFilter::default()))
                .unwrap()
                .len(),
            2
        );
    }
}

pub fn a_batch_is_known_by_its_name_for_each_tenant<F: Fixture>() {
    let Some(open) = Open::<F>::that(|can| can.writes && can.tenants) else {
        return;
    };
    let batch = || {
        of(SourceRecords::default()
            .events(vec![event(None, "once")])
            .points(vec![point("jobs_total", 3.into(), Temporality::Delta, ago(0))]))
        .batch(17)
    };
    let acme = open.store().for_tenant(&"acme".parse().unwrap());
    assert_eq!(store::<F>(open.store(), batch()).stored, 2);
    assert_eq!(
        store::<F>(open.store(), batch()),
        IngestReceipt::default().known(2)
    );
    assert_eq!(
        store::<F>(&*acme, batch()).stored,
        2,
        "another tenant's is another batch"
    );
    assert_eq!(total(&*acme, "jobs_total"), Some(Value::I64(3)));
}

pub fn a_span_that_failed_while_it_ran_counts_as_its_end_says<F: Fixture>() {
    for at_once in [true, false] {
        let Some(open) = Open::<F>::that(|can| can.running_spans) else {
            return;
        };
        let db = open.store();
        let begun = failed(running(span(1, 1, 0, "work")));
        let begun = begun.status(SpanStatus::Error);
        let recovered = span(1, 1, 0, "work");
        let still_failed = failed(span(2, 1, 0, "work"));
        let other = begun.clone().trace_id(trace_id(2));
        let batches = match at_once {
            true => vec![vec![begun, other, recovered, still_failed]],
            false => vec![vec![begun, other], vec![recovered, still_failed]],
        };
        for batch in batches {
            store::<F>(db, records(batch));
        }
        let listed = block_on(db.list_traces(TraceFilter::default())).unwrap();
        let of = |number: u128| {
            let trace = listed
                .iter()
                .find(|trace| trace.trace.trace_id == trace_id(number))
                .unwrap();
            (trace.status, trace.error_count, trace.span_count)
        };
        assert_eq!(of(1), (Some(SpanStatus::Ok), 0, 1));
        assert_eq!(of(2), (Some(SpanStatus::Error), 1, 1));
        let errors = TraceFilter::default().errors(true);
        assert_eq!(block_on(db.list_traces(errors)).unwrap().len(), 1);
    }
}
