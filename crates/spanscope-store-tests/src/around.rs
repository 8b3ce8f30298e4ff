//! Neighbours of spans, pages of spans by cursor, links, nearest ids, the oldest record.

use spanscope_model::{Link, SourceRecords, SpanFilter, SpanNeighbours, Timestamp, TraceFilter, block_on};

use crate::made::{
    MS, ago, failed, log_event_of, of, records, running, span, span_id, store, trace_id, with,
};
use crate::pages::answer;
use crate::tenants::give_two_tenants;
use crate::{Fixture, Open};

pub fn pages_of_spans_by_cursor_are_the_list<F: Fixture>() {
    let Some(open) = Open::<F>::that(|_| true) else {
        return;
    };
    // Stored in several batches, and not in the order of their starts.
    for batch in 0..5_i64 {
        let spans = (1..=6).map(|number| {
            let mut one = span(
                1 + batch.unsigned_abs() as u128 % 2,
                batch * 10 + number,
                0,
                "step",
            );
            one.start_time = ago(10_000 + (number * 7 + batch) % 5);
            one.attributes.set("odd", number % 2);
            one
        });
        store::<F>(open.store(), records(spans.collect()));
    }
    let ids = |filter: SpanFilter| -> Vec<_> {
        let found = block_on(open.store().list_spans(filter)).unwrap();
        found
            .into_iter()
            .map(|span| (span.trace_id, span.span_id))
            .collect()
    };
    for filter in ["", "odd=1"] {
        let of_filter = SpanFilter::default().filter(filter.parse().unwrap());
        let whole = ids(of_filter.clone());
        assert_eq!(whole.len(), if filter.is_empty() { 30 } else { 15 });
        for limit in [1, 4, 30] {
            let mut paged = Vec::new();
            loop {
                let page = ids(of_filter.clone().before(paged.last().copied()).limit(limit));
                if page.is_empty() {
                    break;
                }
                paged.extend(page);
            }
            assert_eq!(paged, whole, "pages of {limit} of {filter:?}");
        }
    }
    let unknown = SpanFilter::default().before((trace_id(1), span_id(404)));
    assert_eq!(ids(unknown), []);
}

pub fn the_errors_and_calls_next_to_a_span_are_found<F: Fixture>() {
    let Some(open) = Open::<F>::that(|_| true) else {
        return;
    };
    let call = |id| {
        let mut call = with(
            span(1, id, 1, "chat"),
            &[
                ("gen_ai.operation.name", "chat"),
                ("gen_ai.request.model", "tiny"),
            ],
        );
        call.attributes.set("gen_ai.usage.input_tokens", 3);
        call.attributes.set("gen_ai.usage.output_tokens", 4);
        call
    };
    // Ids are in the order of starts; the spans are stored in another order.
    let mut failed_call = failed(call(6));
    failed_call.status_message = Some("no answer".to_owned());
    let spans = vec![
        failed_call,
        call(2),
        span(1, 1, 0, "root"),
        failed(span(1, 5, 1, "second error")),
        failed(span(1, 3, 1, "first error")),
        span(1, 4, 1, "plain"),
        failed(span(2, 9, 0, "error of another trace")),
        span(3, 1, 0, "alone"),
    ];
    store::<F>(open.store(), records(spans));
    let around = |trace, id| answer(open.store().span_neighbours(trace_id(trace), span_id(id)));
    let expected = |numbers: [i64; 4]| {
        let [previous_error, next_error, previous_call, next_call] =
            numbers.map(|number| (number != 0).then(|| span_id(number)));
        SpanNeighbours::default()
            .previous_error(previous_error)
            .next_error(next_error)
            .previous_call(previous_call)
            .next_call(next_call)
    };
    let Some(found) = around(1, 4) else { return };
    assert_eq!(found.unwrap(), expected([3, 5, 2, 6]));
    for (trace, id, numbers) in [
        (1, 1, [0, 3, 0, 2]),
        (1, 3, [0, 5, 2, 6]),
        (1, 6, [5, 0, 2, 0]),
        (2, 9, [0; 4]),
        (3, 1, [0; 4]),
    ] {
        let found = around(trace, id).unwrap().unwrap();
        assert_eq!(found, expected(numbers), "span {id} of trace {trace}");
    }
    for (trace, id) in [(1, 9), (404, 1)] {
        assert!(around(trace, id).unwrap().unwrap_err().is_not_found());
    }
}

pub fn spans_that_link_to_a_span_are_found<F: Fixture>() {
    let Some(open) = Open::<F>::that(|_| true) else {
        return;
    };
    let linked = |trace, id, to: &[(u128, i64)]| {
        let mut from = span(trace, id, 0, "follows");
        from.links = to
            .iter()
            .map(|(trace, span)| Link::new(trace_id(*trace), span_id(*span)))
            .collect();
        from
    };
    let mut mentions = failed(span(5, 1, 0, "mentions it"));
    mentions.status_message = Some(format!("{} was slow", span_id(7)));
    let spans = vec![
        span(1, 7, 0, "target"),
        linked(2, 1, &[(1, 7)]),
        linked(3, 1, &[(1, 8), (1, 7)]),
        linked(4, 1, &[(9, 7)]),
        mentions,
    ];
    store::<F>(open.store(), records(spans));
    let find = |trace, id, limit| {
        let found = answer(open.store().spans_linking_to(trace_id(trace), span_id(id), limit))?;
        let found = found.map(|spans| spans.into_iter().map(|span| span.trace_id).collect::<Vec<_>>());
        Some(found)
    };
    let Some(found) = find(1, 7, 10) else { return };
    assert_eq!(found.unwrap(), [trace_id(3), trace_id(2)]);
    assert_eq!(find(1, 7, 1).unwrap().unwrap(), [trace_id(3)]);
    assert_eq!(find(2, 1, 10).unwrap().unwrap(), []);
    assert!(find(404, 1, 10).unwrap().unwrap_err().is_not_found());
}

pub fn an_id_that_is_not_stored_has_those_that_begin_like_it<F: Fixture>() {
    let Some(open) = Open::<F>::that(|_| true) else {
        return;
    };
    let spans = [0x4bf9_2f35 << 96, 0x4bf9_3000 << 96, 0x5000_0000 << 96];
    let spans = spans
        .into_iter()
        .zip(1..)
        .map(|(trace, id)| span(trace, id, 0, "root"));
    store::<F>(open.store(), records(spans.collect()));
    let near = |prefix: &str| {
        let error = block_on(open.store().resolve_id(prefix.to_owned())).unwrap_err();
        assert!(error.is_not_found());
        error.nearest().to_vec()
    };
    let found = near("4bf92f36");
    if found.is_empty() {
        eprintln!("skipped: the store names no nearest ids");
        return;
    }
    let (first, second) = (trace_id(0x4bf9_2f35 << 96), trace_id(0x4bf9_3000 << 96));
    assert_eq!(found, [first.to_string(), second.to_string()]);
    assert_eq!(near("7777"), [""; 0]);
    let missing = trace_id((0x4bf9_3000 << 96) + 1);
    let error = answer(open.store().trace_shape(missing, 1));
    assert!(error.unwrap().unwrap_err().nearest()[0] == second.to_string());
}

pub fn the_oldest_record_is_known<F: Fixture>() {
    let Some(open) = Open::<F>::that(|_| true) else {
        return;
    };
    let oldest = || block_on(open.store().oldest()).unwrap();
    assert_eq!(oldest(), None);
    let newer = span(1, 1, 0, "newer");
    store::<F>(open.store(), records(vec![newer.clone()]));
    assert_eq!(oldest(), Some(newer.start_time));
    let mut older = span(2, 2, 0, "older");
    if open.store().capabilities().running_spans {
        older = running(older);
    }
    older.start_time = Timestamp::from_nanos(newer.start_time.as_nanos() - 5_000 * MS);
    let mut alone = records(vec![older.clone()]);
    let mut event = log_event_of(1);
    event.event.timestamp = ago(1_000);
    alone.sources[0].events = vec![event];
    store::<F>(open.store(), alone);
    assert_eq!(oldest(), Some(older.start_time));
    let mut first = log_event_of(2);
    first.event.timestamp = Timestamp::from_nanos(older.start_time.as_nanos() - 1000 * MS);
    let time = first.event.timestamp;
    store::<F>(open.store(), of(SourceRecords::default().events(vec![first])));
    assert_eq!(oldest(), Some(time), "an event that belongs to no span");
}

pub fn neighbours_are_those_of_one_tenant<F: Fixture>() {
    let Some(open) = Open::<F>::that(|can| can.tenants) else {
        return;
    };
    let [acme, other] = give_two_tenants::<F>(open.store());
    let secret = answer(acme.span_neighbours(trace_id(9), span_id(9)));
    let Some(secret) = secret else { return };
    assert!(secret.unwrap_err().is_not_found());
    assert!(
        block_on(acme.spans_linking_to(trace_id(9), span_id(9), 1))
            .unwrap_err()
            .is_not_found()
    );
    let mut linked = span(8, 8, 0, "links");
    linked.links = vec![Link::new(trace_id(1), span_id(2))];
    store::<F>(&*other, of(records(vec![linked]).sources.remove(0)));
    let links = |tenant: &dyn spanscope_model::TraceStore| {
        let found = block_on(tenant.spans_linking_to(trace_id(1), span_id(2), 10));
        found.unwrap().len()
    };
    assert_eq!((links(&*acme), links(&*other)), (0, 1));
    let hidden = trace_id(9).to_string()[..31].to_owned() + "8";
    let error = block_on(acme.resolve_id(hidden)).unwrap_err();
    assert!(
        error
            .nearest()
            .iter()
            .all(|near| *near != trace_id(9).to_string())
    );
    let traces = block_on(acme.list_traces(TraceFilter::default())).unwrap();
    let oldest = traces.iter().map(|trace| trace.trace.start_time).min();
    assert!(block_on(acme.oldest()).unwrap() <= oldest);
    let stranger = open.store().for_tenant(&"stranger".parse().unwrap());
    assert_eq!(block_on(stranger.oldest()).unwrap(), None);
}
