//! Followers of a store read each record once, in its state at the cursor.

use std::collections::BTreeSet;

use spanscope_model::{
    Cursor, NewEvent, NewRecords, NewSpan, Severity, SourceRecords, SpanState, StoreOrder, Stored,
    StoredFilter, Tenant, Timestamp, TraceStore, block_on,
};

use crate::made::{MS, ago, event, of, records, running, span, span_id, store, trace_id};
use crate::{Fixture, Open};

fn events(messages: &[&str]) -> NewRecords {
    of(SourceRecords::default().events(messages.iter().map(|message| event(None, message)).collect()))
}

fn after(store: &dyn TraceStore, cursor: Cursor, limit: u64) -> Stored {
    block_on(store.stored_after(cursor, StoredFilter::default(), limit)).unwrap()
}

/// Reads everything after a cursor, in pages, and returns the cursor at the end.
fn follow(store: &dyn TraceStore, mut cursor: Cursor, limit: u64) -> (Vec<Stored>, Cursor) {
    let mut pages = Vec::new();
    loop {
        let page = after(store, cursor, limit);
        assert!(page.upto.covers(&cursor), "a cursor never goes back");
        cursor = page.upto;
        let more = page.more;
        pages.push(page);
        if !more {
            return (pages, cursor);
        }
    }
}

/// Returns the ids of spans and whether they have an end, as they were read.
fn seen(pages: &[Stored]) -> Vec<(i64, bool)> {
    let spans = pages.iter().flat_map(|page| page.spans.iter().chain(&page.ended));
    spans
        .map(|span| {
            assert_eq!(span.end_time.is_some(), span.state == SpanState::Ended);
            assert_eq!(span.end_time.is_some(), span.status.is_some());
            (
                i64::from_be_bytes(span.span_id.to_bytes()),
                span.end_time.is_some(),
            )
        })
        .collect()
}

fn messages(pages: &[Stored]) -> Vec<&str> {
    let events = pages.iter().flat_map(|page| &page.events);
    events.map(|event| event.message.as_str()).collect()
}

pub fn a_follower_sees_each_record_once_and_the_end_of_a_span_when_it_is_stored<F: Fixture>() {
    let Some(open) = Open::<F>::that(|can| can.running_spans) else {
        return;
    };
    let db = open.store();
    assert_eq!(block_on(db.latest()).unwrap(), Cursor::START);
    assert_eq!(
        after(db, Cursor::START, 10),
        Stored::default(),
        "nothing is stored"
    );
    store::<F>(
        db,
        records(vec![span(1, 1, 0, "done"), running(span(1, 2, 1, "goes on"))]),
    );
    store::<F>(db, events(&["first", "second"]));
    let (first, cursor) = follow(db, Cursor::START, 10);
    assert_eq!(seen(&first), [(1, true), (2, false)]);
    assert_eq!(messages(&first), ["first", "second"]);
    assert_eq!(block_on(db.latest()).unwrap(), cursor);

    store::<F>(db, records(vec![running(span(1, 3, 1, "short"))]));
    store::<F>(
        db,
        records(vec![span(1, 2, 1, "goes on"), span(1, 3, 1, "short")]),
    );
    store::<F>(db, events(&["third"]));
    let (second, latest) = follow(db, cursor, 10);
    assert_eq!(second.len(), 1);
    assert_eq!(seen(&second), [(3, true), (2, true)]);
    assert_eq!(second[0].ended.len(), 1, "the other one is new to this follower");
    assert_eq!(messages(&second), ["third"]);
    let nothing = Stored::default().upto(latest);
    assert_eq!(after(db, latest, 10), nothing);
    assert_eq!(block_on(db.latest()).unwrap(), latest);
}

pub fn in_pages_of_any_size_a_follower_reads_the_same<F: Fixture>() {
    let Some(open) = Open::<F>::that(|can| can.running_spans) else {
        return;
    };
    let db = open.store();
    for id in 1..=6 {
        store::<F>(db, records(vec![running(span(1, id, 0, "step"))]));
    }
    store::<F>(db, events(&["a", "b", "c", "d"]));
    let middle = block_on(db.latest()).unwrap();
    for id in [5, 2, 3] {
        store::<F>(db, records(vec![span(1, id, 0, "step")]));
    }
    store::<F>(
        db,
        records(vec![running(span(1, 7, 0, "new")), span(1, 8, 0, "new")]),
    );
    for id in [6, 7, 1] {
        store::<F>(db, records(vec![span(1, id, 0, "step")]));
    }
    store::<F>(db, events(&["e"]));
    for limit in 1..8 {
        // A span that is read while it is running is read again with its end, and never a third
        // time.
        let (pages, _) = follow(db, Cursor::START, limit);
        let mut seen = seen(&pages);
        seen.sort_unstable();
        let mut known = seen.clone();
        known.dedup();
        assert_eq!(known, seen, "limit {limit}");
        for id in 1..=8 {
            let is_last = seen.iter().rev().find(|(of, _)| *of == id).unwrap();
            assert_eq!(is_last.1, id != 4, "limit {limit}, span {id}");
        }
        assert_eq!(messages(&pages), ["a", "b", "c", "d", "e"], "limit {limit}");
        assert!(pages.iter().all(|page| page.spans.len() as u64 <= limit
            && page.ended.len() as u64 <= limit
            && page.events.len() as u64 <= limit));

        // From a cursor in between, an earlier span is returned only for its end.
        let (pages, _) = follow(db, middle, limit);
        let ended = pages.iter().flat_map(|page| &page.ended);
        let before = ended.filter(|span| span.span_id < span_id(7));
        let mut before: Vec<_> = before.map(|span| span.span_id).collect();
        before.sort_unstable();
        assert_eq!(before, [1, 2, 3, 5, 6].map(span_id), "limit {limit}");
        assert_eq!(messages(&pages), ["e"], "limit {limit}");
    }
}

pub fn a_page_shows_a_span_as_it_was_known_where_the_page_ends<F: Fixture>() {
    let Some(open) = Open::<F>::that(|can| can.running_spans) else {
        return;
    };
    let db = open.store();
    store::<F>(
        db,
        records(vec![running(span(1, 1, 0, "a")), running(span(1, 2, 0, "b"))]),
    );
    let cursor = block_on(db.latest()).unwrap();
    store::<F>(db, records(vec![span(1, 1, 0, "a"), span(1, 2, 0, "b")]));
    store::<F>(db, records(vec![running(span(1, 3, 0, "c"))]));
    store::<F>(db, records(vec![span(1, 3, 0, "c")]));
    // The end of span 3 is the third end, and this page has room for one.
    let page = after(db, cursor, 1);
    assert_eq!((page.ended.len(), page.more), (1, true));
    assert_eq!(page.spans[0].state, SpanState::Running);
    let (pages, _) = follow(db, page.upto, 1);
    assert_eq!(seen(&pages), [(2, true), (3, true)]);
}

pub fn a_follower_may_ask_for_one_trace_and_for_serious_events<F: Fixture>() {
    let Some(open) = Open::<F>::that(|_| true) else {
        return;
    };
    let db = open.store();
    store::<F>(
        db,
        records(vec![span(1, 1, 0, "of one"), span(2, 2, 0, "of another")]),
    );
    let of_one = |message: &str, severity| NewEvent::new((event(Some(1), message).event).severity(severity));
    store::<F>(
        db,
        of(SourceRecords::default().events(vec![
            of_one("chatter", Severity::Debug),
            of_one("trouble", Severity::Error),
            event(None, "elsewhere"),
        ])),
    );
    let ask = |filter| block_on(db.stored_after(Cursor::START, filter, 10)).unwrap();
    let found = ask(StoredFilter::default().trace_id(trace_id(1)));
    assert_eq!(seen(std::slice::from_ref(&found)), [(1, true)]);
    assert_eq!(messages(std::slice::from_ref(&found)), ["chatter", "trouble"]);
    if db.capabilities().order == StoreOrder::Exact {
        assert_eq!(found.upto, block_on(db.latest()).unwrap());
    }
    let found = ask(StoredFilter::default().min_severity(Severity::Warn));
    assert_eq!(seen(std::slice::from_ref(&found)), [(1, true), (2, true)]);
    assert_eq!(messages(&[found]), ["trouble", "elsewhere"]);
    let found = ask(StoredFilter::default().trace_id(trace_id(3)));
    assert_eq!((found.spans.len(), found.events.len(), found.more), (0, 0, false));
}

pub fn a_tenant_follows_its_own_records_only<F: Fixture>() {
    let Some(open) = Open::<F>::that(|can| can.tenants && can.running_spans) else {
        return;
    };
    let db = open.store();
    let tenant = |name: &str| db.for_tenant(&name.parse::<Tenant>().unwrap());
    let (acme, other) = (tenant("acme"), tenant("other"));
    store::<F>(&*acme, records(vec![running(span(1, 1, 0, "ours"))]));
    store::<F>(&*other, records(vec![running(span(2, 2, 0, "theirs"))]));
    store::<F>(&*other, events(&["theirs"]));
    let (first, cursor) = follow(&*acme, Cursor::START, 1);
    assert_eq!((seen(&first), messages(&first)), (vec![(1, false)], vec![]));
    store::<F>(&*other, records(vec![span(2, 2, 0, "theirs")]));
    store::<F>(&*acme, records(vec![span(1, 1, 0, "ours")]));
    let (second, _) = follow(&*acme, cursor, 1);
    assert_eq!(seen(&second), [(1, true)]);
    let absent = tenant("absent");
    assert_eq!(seen(&follow(&*absent, Cursor::START, 1).0), []);
}

pub fn a_follower_misses_nothing_that_is_stored_after_a_deletion<F: Fixture>() {
    let Some(open) = Open::<F>::that(|can| can.running_spans && can.deletes) else {
        return;
    };
    let db = open.store();
    store::<F>(db, records(vec![running(span(1, 1, 0, "job"))]));
    store::<F>(db, records(vec![span(1, 1, 0, "job")]));
    let (_, cursor) = follow(db, Cursor::START, 10);
    block_on(db.delete_run(trace_id(1).to_string())).unwrap();
    let (pages, same) = follow(db, cursor, 10);
    assert_eq!((seen(&pages), same), (vec![], cursor));
    store::<F>(db, records(vec![running(span(2, 2, 0, "next"))]));
    store::<F>(db, records(vec![span(2, 2, 0, "next")]));
    let (pages, _) = follow(db, cursor, 10);
    assert_eq!(seen(&pages), [(2, true)]);
}

pub fn a_wait_for_a_change_ends_though_nothing_is_stored<F: Fixture>() {
    let Some(open) = Open::<F>::that(|_| true) else {
        return;
    };
    let db = open.store();
    let mut seen = block_on(db.wait_for_change(0)).unwrap();
    loop {
        let next = block_on(db.wait_for_change(seen)).unwrap();
        if next == seen {
            return; // the interval of the store has passed
        }
        seen = next;
    }
}

pub fn a_follower_that_knows_what_it_had_misses_nothing_that_comes_late<F: Fixture>() {
    let Some(open) = Open::<F>::that(|_| true) else {
        return;
    };
    let db = open.store();
    let is_exact = db.capabilities().order == StoreOrder::Exact;
    for limit in [1, 100] {
        let mut cursor = block_on(db.latest()).unwrap();
        let (mut expected, mut known) = (BTreeSet::new(), BTreeSet::new());
        // Ids, and how many seconds ago a span ended and an event was.
        let batches: [&[(i64, i64)]; 4] = [
            &[(1, 60), (2, 50), (3, 50)],
            &[(4, 55)],
            &[(5, 20), (6, 59)],
            &[(7, 10)],
        ];
        for batch in batches {
            let mut of_batch = SourceRecords::default();
            for (number, seconds) in batch {
                let id = number + 10 * i64::try_from(limit).unwrap();
                let end = ago(seconds * 1000);
                let start = Timestamp::from_nanos(end.as_nanos() - 5 * MS);
                let step = span(1, id, 0, "step").start_time(start).end_time(end);
                of_batch.spans.push(NewSpan::new(step));
                let logged = event(Some(1), &id.to_string()).event.timestamp(end);
                of_batch.events.push(NewEvent::new(logged));
                expected.extend([format!("span {id}"), format!("event {id}")]);
            }
            store::<F>(db, of(of_batch));
            let (pages, upto) = follow(db, cursor, limit);
            cursor = upto;
            let mut read: Vec<String> = Vec::new();
            read.extend(seen(&pages).iter().map(|(id, _)| format!("span {id}")));
            read.extend(messages(&pages).iter().map(|message| format!("event {message}")));
            if is_exact {
                assert!(read.iter().all(|record| !known.contains(record)), "{read:?}");
            }
            known.extend(read);
            assert_eq!(
                known.intersection(&expected).count(),
                expected.len(),
                "limit {limit}"
            );
        }
    }
}
