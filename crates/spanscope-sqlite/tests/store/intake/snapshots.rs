//! Spans that are sent while they run, and halves of calls that share an id.

use spanscope_model::{
    LogFilter, NewEvent, NewRecords, NewSpan, SourceRecords, Span, SpanKind, SpanStatus, Timestamp,
    TraceFilter, TraceStore as _, block_on,
};
use spanscope_store_tests::made::{running, span_id, trace_id, with};

use super::{MS, Open, event, of, open, records, span, store};

fn with_events(span: Span, events: &[NewEvent]) -> NewRecords {
    of(SourceRecords::default().spans(vec![NewSpan::new(span).events(events.to_vec())]))
}

fn events(open: &Open) -> Vec<String> {
    let logs = block_on(open.store.list_logs(LogFilter::default())).unwrap();
    let mut messages: Vec<String> = logs.into_iter().map(|log| log.message).collect();
    messages.sort();
    messages
}

fn errors(open: &Open) -> u64 {
    block_on(open.store.list_traces(TraceFilter::default())).unwrap()[0].error_count
}

#[test]
fn equal_events_of_one_request_are_all_kept() {
    let open = open();
    let job = running(span(1, 2, 0, "job"));
    let tick = event(None, "tick");
    let mut tock = event(None, "tock");
    tock.event.timestamp = Timestamp::from_nanos(tick.event.timestamp.as_nanos() + MS);
    let first = store(
        &open.store,
        with_events(job.clone(), &[tick.clone(), tick.clone()]),
    );
    assert_eq!((first.stored, first.known), (3, 0));
    let all = [tick.clone(), tick.clone(), tick, tock];
    // The span has something new as well, as the sender doesn't know whether it does.
    let second = store(&open.store, with_events(with(job.clone(), &[("at", "2")]), &all));
    assert_eq!((second.stored, second.known), (3, 2));
    assert_eq!(events(&open), ["tick", "tick", "tick", "tock"]);
    let ended = with_events(span(1, 2, 0, "job"), &all);
    let end = store(&open.store, ended);
    assert_eq!((end.stored, end.known), (1, 4));
    assert_eq!(events(&open).len(), 4);
    assert_eq!(store(&open.store, with_events(job, &all)).known, 5);
}

#[test]
fn a_failure_counts_by_the_last_snapshot() {
    let open = open();
    let job = running(span(1, 2, 0, "job"));
    let failing = job.clone().status(SpanStatus::Error);
    for (sent, expected) in [(&job, 0), (&failing, 1), (&failing, 1), (&job, 0), (&failing, 1)] {
        store(&open.store, records(vec![sent.clone()]));
        assert_eq!(errors(&open), expected);
    }
    store(&open.store, records(vec![span(1, 2, 0, "job")]));
    assert_eq!(errors(&open), 0);
}

#[test]
fn the_halves_of_a_call_are_distinguished_with_their_events_in_any_order() {
    let half = |kind, name: &str| span(1, 2, 0, name).kind(kind);
    let [client, server] = [half(SpanKind::Client, "ask"), half(SpanKind::Server, "answer")];
    let below = span(1, 3, 2, "below");
    let at_server = event(None, "at the server");
    for client_first in [true, false] {
        let open = open();
        let of_client = records(vec![client.clone()]);
        let of_server = with_events(server.clone(), std::slice::from_ref(&at_server));
        let order = match client_first {
            true => [of_client, of_server],
            false => [of_server, of_client],
        };
        for sent in &order {
            store(&open.store, sent.clone());
        }
        store(&open.store, records(vec![below.clone()]));
        // Once more: both are known.
        for sent in &order {
            assert_eq!(store(&open.store, sent.clone()).stored, 0);
        }
        let found = block_on(open.store.get_span(trace_id(1), span_id(2))).unwrap();
        assert_eq!(found.name, "ask");
        let tree = block_on(open.store.get_span_tree(span_id(2), None, None)).unwrap();
        let mut names: Vec<(&str, u32)> = tree
            .values()
            .map(|node| (node.span.name.as_str(), node.depth))
            .collect();
        names.sort_unstable();
        assert_eq!(names, [("answer", 2), ("ask", 1), ("below", 2)]);
        let server_id = tree.values().find(|node| node.span.name == "answer").unwrap();
        let logs = block_on(open.store.list_logs(LogFilter::default())).unwrap();
        assert_eq!(logs[0].span_id, Some(server_id.span.span_id));
        let traces = block_on(open.store.list_traces(TraceFilter::default())).unwrap();
        let trace = &traces[0];
        assert_eq!((trace.span_count, trace.trace.root_span_id), (3, span_id(2)));
    }
}

#[test]
fn spans_of_other_kinds_with_one_id_are_one_span_sent_twice() {
    let open = open();
    for kind in [SpanKind::Internal, SpanKind::Server, SpanKind::Producer] {
        let again = span(1, 2, 0, "job").kind(kind);
        store(&open.store, records(vec![again]));
    }
    assert_eq!(open.sql("SELECT count(*) FROM spans"), [[serde_json::json!(1)]]);
}

#[test]
fn a_delayed_snapshot_changes_nothing_but_its_missing_events_are_stored() {
    let open = open();
    let job = running(span(1, 2, 0, "job"));
    let at = |session| with(job.clone(), &[("session.id", session)]);
    let [early, mut late] = [event(None, "early"), event(None, "late")];
    late.event.timestamp = Timestamp::from_nanos(early.event.timestamp.as_nanos() + MS);
    let newer = with_events(at("b"), std::slice::from_ref(&late));
    assert_eq!(store(&open.store, newer).stored, 2);
    let older = with_events(at("a"), std::slice::from_ref(&early));
    let receipt = store(&open.store, older.clone());
    assert_eq!((receipt.stored, receipt.known), (1, 1));
    assert_eq!(store(&open.store, older).known, 2);
    assert_eq!(events(&open), ["early", "late"]);
    let sessions = open.sql(
        "SELECT json_extract(attributes, '$.\"session.id\"') FROM spans UNION ALL SELECT value FROM _attr",
    );
    assert_eq!(sessions, [["b"], ["b"]]);
}
