//! Lists of traces, spans and log events: filters, orders and pages.

use spanscope_model::{
    Condition, ConditionOp, IdMatch, LogFilter, NewEvent, Severity, SourceRecords, SpanFilter, SpanState,
    SpanStatus, StoreOrder, Timestamp, TraceFilter, TraceQuery, block_on,
};

use crate::Fixture;
use crate::made::{event, of, span_id, store, trace_id};
use crate::rows::{MIDNIGHT, MILLISECOND, Row, Rows, SECOND};

fn hundred<F: Fixture>() -> Option<Rows<F>> {
    let file = Rows::<F>::that(|_| true)?;
    for trace in 1..=100_i64 {
        file.add(&Row {
            trace: trace.unsigned_abs().into(),
            id: trace,
            // Ten traces per moment, so that ties are common.
            start: MIDNIGHT + trace / 10 * SECOND,
            duration: Some(trace % 7 * MILLISECOND),
            ..Row::default()
        });
    }
    Some(file)
}

pub fn pages_neither_overlap_nor_skip_in_any_order<F: Fixture>() {
    let Some(file) = hundred::<F>() else {
        return;
    };
    let store = file.store();
    for order in [
        "",
        "start_time",
        "-start_time",
        "-duration_ms",
        "duration_ms",
        "end_time",
        "span_count",
        "-trace_id",
    ] {
        let mut seen = Vec::new();
        for page in 0.. {
            let query = TraceQuery::default()
                .limit(Some(7))
                .offset(Some(page * 7))
                .order_by((!order.is_empty()).then(|| vec![order.to_owned()]));
            let found = block_on(store.query_traces(query)).unwrap();
            if found.is_empty() {
                break;
            }
            seen.extend(found.into_iter().map(|trace| trace.trace_id));
        }
        assert_eq!(seen.len(), 100, "{order}");
        let first = seen[0];
        seen.sort_unstable();
        seen.dedup();
        assert_eq!(seen.len(), 100, "{order}");
        if order.is_empty() || order == "-trace_id" {
            assert_eq!(first, trace_id(100), "newest first");
        }
    }
}

pub fn wrong_orders_limits_and_offsets_are_refused<F: Fixture>() {
    let Some(file) = hundred::<F>() else {
        return;
    };
    let store = file.store();
    let ask = |query| block_on(store.query_traces(query)).unwrap_err();
    for order in ["name", "-", "", "start_time; drop table _span", "--start_time"] {
        let error = ask(TraceQuery::default().order_by(vec![order.to_owned()]));
        assert!(error.is_invalid_input());
        assert!(
            error
                .to_string()
                .contains("start_time end_time duration_ms trace_id span_count"),
            "{error}"
        );
    }
    assert!(ask(TraceQuery::default().limit(Some(-1))).is_invalid_input());
    assert!(ask(TraceQuery::default().offset(Some(-1))).is_invalid_input());
    assert_eq!(
        block_on(store.query_traces(TraceQuery::default().limit(Some(0)))).unwrap(),
        []
    );
    let none = TraceQuery::default().limit(None).offset(None);
    assert_eq!(block_on(store.query_traces(none)).unwrap().len(), 100);
}

pub fn traces_are_summed_up_and_filtered<F: Fixture>() {
    let Some(file) = Rows::<F>::that(|can| can.running_spans) else {
        return;
    };
    file.add(&Row {
        id: 1,
        name: "ask",
        duration: Some(SECOND),
        ..Row::default()
    });
    file.add(&Row {
        id: 2,
        parent: Some(1),
        is_error: true,
        ..Row::default()
    });
    file.add(&Row {
        id: 3,
        trace: 2,
        service: "bank",
        start: MIDNIGHT + SECOND,
        ..Row::default()
    });
    file.add(&Row {
        id: 4,
        trace: 3,
        start: MIDNIGHT + 2 * SECOND,
        duration: None,
        ..Row::default()
    });
    let store = file.store();
    let list = |filter| block_on(store.list_traces(filter)).unwrap();
    let all = list(TraceFilter::default());
    let shown: Vec<_> = all
        .iter()
        .map(|t| {
            (
                t.root_name.as_str(),
                t.status,
                t.state,
                t.span_count,
                t.duration_ms,
            )
        })
        .collect();
    assert_eq!(
        shown,
        [
            ("work", None, SpanState::Running, 1, None),
            ("work", Some(SpanStatus::Ok), SpanState::Ended, 1, Some(100.0)),
            ("ask", Some(SpanStatus::Error), SpanState::Ended, 2, Some(1000.0)),
        ]
    );
    assert_eq!(all[2].trace.root_span_id, span_id(1));
    assert_eq!(list(TraceFilter::default().errors(true)).len(), 1);
    let bank = list(TraceFilter::default().service(Some("bank".into())));
    assert_eq!(
        bank.iter().map(|t| t.service_name.as_str()).collect::<Vec<_>>(),
        ["bank"]
    );
    let time = |seconds| Some(Timestamp::from_nanos(MIDNIGHT + seconds * SECOND));
    let between = list(TraceFilter::default().since(time(1)).until(time(2)));
    assert_eq!(
        between.iter().map(|t| t.trace.trace_id).collect::<Vec<_>>(),
        [trace_id(2)]
    );
}

pub fn a_trace_continued_from_elsewhere_has_its_first_span_as_root<F: Fixture>() {
    let Some(file) = Rows::<F>::that(|_| true) else {
        return;
    };
    file.add(&Row {
        id: 2,
        parent: Some(77),
        start: MIDNIGHT + 5,
        ..Row::default()
    });
    file.add(&Row {
        id: 3,
        parent: Some(2),
        start: MIDNIGHT + 9,
        ..Row::default()
    });
    let trace = block_on(file.store().get_trace(trace_id(1))).unwrap();
    assert_eq!(trace.root_span_id, span_id(2));
    assert!(
        block_on(file.store().get_trace(trace_id(9)))
            .unwrap_err()
            .is_not_found()
    );
}

pub fn spans_come_newest_stored_first_or_in_the_order_asked_for<F: Fixture>() {
    let Some(file) = Rows::<F>::that(|_| true) else {
        return;
    };
    for (id, ms) in [(1, 1500), (2, 20), (3, 3000), (4, 10)] {
        file.add(&Row {
            id,
            duration: Some(ms * MILLISECOND),
            is_error: id == 2,
            ..Row::default()
        });
    }
    let store = file.store();
    let ids = |filter| {
        let spans = block_on(store.list_spans(filter)).unwrap();
        spans
            .iter()
            .map(|span| i64::from_be_bytes(span.span_id.to_bytes()))
            .collect::<Vec<_>>()
    };
    let ordered = |order: &str, limit| {
        SpanFilter::default()
            .order_by(vec![order.parse().unwrap()])
            .limit(limit)
    };
    assert_eq!(ids(SpanFilter::default()), [4, 3, 2, 1]);
    assert_eq!(ids(ordered("-duration_ms", 2)), [3, 1]);
    assert_eq!(ids(ordered("-duration_ms", 3)), [3, 1, 2]);
    assert_eq!(ids(ordered("duration_ms", 9)), [4, 2, 1, 3]);
    assert_eq!(ids(SpanFilter::default().errors(true)), [2]);
    assert_eq!(ids(SpanFilter::default().limit(1).offset(1)), [3]);
    assert!(
        block_on(store.list_spans(ordered("span_count", 1)))
            .unwrap_err()
            .is_invalid_input()
    );
}

pub fn ids_are_found_by_an_unambiguous_beginning<F: Fixture>() {
    let Some(file) = Rows::<F>::that(|_| true) else {
        return;
    };
    file.add(&Row {
        trace: 0xabcd_1111 << 96,
        id: 0x1234_5678_0000_0001,
        ..Row::default()
    });
    file.add(&Row {
        trace: 0xabcd_2222 << 96,
        id: 0x1234_9999_0000_0001,
        ..Row::default()
    });
    let store = file.store();
    let resolve = |prefix: &str| block_on(store.resolve_id(prefix.to_owned()));
    assert_eq!(
        resolve("ABCD1").unwrap(),
        IdMatch::Trace(trace_id(0xabcd_1111 << 96))
    );
    assert_eq!(
        resolve("12345").unwrap(),
        IdMatch::Span(trace_id(0xabcd_1111 << 96), span_id(0x1234_5678_0000_0001))
    );
    assert!(matches!(resolve("1234999900000001").unwrap(), IdMatch::Span(..)));
    for wrong in ["abcd", "abc", "", "xyzw", "1234", "abcd%", "ab'cd"] {
        assert!(resolve(wrong).unwrap_err().is_invalid_input(), "{wrong}");
    }
    assert!(resolve("ffff").unwrap_err().is_not_found());
}

pub fn logs_are_the_newest_in_the_order_of_their_times<F: Fixture>() {
    let Some(file) = Rows::<F>::that(|_| true) else {
        return;
    };
    file.add(&Row {
        id: 5,
        ..Row::default()
    });
    // A store may replace a zero byte: the text after it must be found.
    let third = "third: 100% \u{fffd} done";
    let add = |ids: Option<(u128, i64)>, at: i64, message: &str, severity| {
        let mut added = event(ids.map(|(trace, _)| trace), message).event;
        added.span_id = ids.map(|(_, span)| span_id(span));
        added.timestamp = Timestamp::from_nanos(MIDNIGHT + at);
        added.severity = severity;
        let added = NewEvent::new(added);
        store::<F>(file.store(), of(SourceRecords::default().events(vec![added])));
    };
    add(Some((1, 5)), 3, "third: 100% \0 done", Severity::Error);
    let after_third = block_on(file.store().latest()).unwrap();
    add(Some((1, 6)), 1, "first", Severity::Debug);
    add(None, 2, "Second", Severity::Warn);
    let store = file.store();
    let messages = |filter| {
        let logs = block_on(store.list_logs(filter)).unwrap();
        let messages = logs.into_iter().map(|log| log.message.replace('\0', "\u{fffd}"));
        messages.collect::<Vec<_>>()
    };
    assert_eq!(messages(LogFilter::default()), ["first", "Second", third]);
    assert_eq!(messages(LogFilter::default().limit(1)), [third]);
    assert_eq!(
        messages(LogFilter::default().min_severity(Severity::Warn)),
        ["Second", third]
    );
    assert_eq!(
        messages(LogFilter::default().grep(Some("SECOND".into()))),
        ["Second"]
    );
    assert_eq!(messages(LogFilter::default().grep(Some("100%".into()))), [third]);
    assert_eq!(
        messages(LogFilter::default().grep(Some("\0 done".into()))),
        [third]
    );
    assert_eq!(messages(LogFilter::default().grep(Some("%".into()))), [third]);
    assert_eq!(
        messages(LogFilter::default().trace_id(trace_id(1))),
        ["first", third]
    );
    assert_eq!(messages(LogFilter::default().span_id(span_id(5))), [third]);
    assert_eq!(
        messages(LogFilter::default().span_id(span_id(6))),
        ["first"],
        "span not stored"
    );
    if store.capabilities().order == StoreOrder::Exact {
        assert_eq!(
            messages(LogFilter::default().after(after_third)),
            ["first", "Second"]
        );
    }
}

pub fn conditions_and_pages_go_together<F: Fixture>() {
    let Some(file) = hundred::<F>() else {
        return;
    };
    let filter = TraceFilter::default()
        .conditions(vec![Condition::new("duration_ms", ConditionOp::Gt, 3)])
        .limit(5)
        .offset(3);
    let found = block_on(file.store().list_traces(filter)).unwrap();
    assert_eq!(found.len(), 5);
    assert!(found.iter().all(|trace| trace.duration_ms > Some(3.0)));
}
