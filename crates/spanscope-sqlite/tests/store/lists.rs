use serde_json::json;
use spanscope_model::{
    Cursor, LogFilter, Severity, SpanFilter, SpanState, SpanStatus, Timestamp, TraceFilter, TraceStore,
    block_on,
};

use crate::support::{MIDNIGHT, Row, SECOND, StoreFile, span_id, trace_id};

#[test]
fn traces_are_summed_up_and_filtered() {
    let file = StoreFile::new();
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
    file.add_with(
        &Row {
            id: 3,
            trace: 2,
            start: MIDNIGHT + SECOND,
            ..Row::default()
        },
        2,
    );
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
            ("work", None, SpanState::Abandoned, 1, None),
            ("work", Some(SpanStatus::Ok), SpanState::Ended, 1, Some(100.0)),
            ("ask", Some(SpanStatus::Error), SpanState::Ended, 2, Some(1000.0)),
        ]
    );
    assert_eq!(all[2].trace.root_span_id, span_id(1));
    assert_eq!(
        list(TraceFilter {
            errors: true,
            ..TraceFilter::default()
        })
        .len(),
        1
    );
    let bank = list(TraceFilter {
        service: Some("bank".into()),
        ..TraceFilter::default()
    });
    assert_eq!(
        bank.iter().map(|t| t.service_name.as_str()).collect::<Vec<_>>(),
        ["bank"]
    );
    let time = |seconds| Some(Timestamp::from_nanos(MIDNIGHT + seconds * SECOND));
    let between = list(TraceFilter {
        since: time(1),
        until: time(2),
        ..TraceFilter::default()
    });
    assert_eq!(
        between.iter().map(|t| t.trace.trace_id).collect::<Vec<_>>(),
        [trace_id(2)]
    );
    let now = Timestamp::now().as_nanos();
    file.db
        .execute("UPDATE _process SET ended_at = NULL, seen_at = ?1", [now])
        .unwrap();
    assert_eq!(list(TraceFilter::default())[0].state, SpanState::Running);
    file.db
        .execute("UPDATE _process SET seen_at = ?1", [now - 16 * SECOND])
        .unwrap();
    assert_eq!(list(TraceFilter::default())[0].state, SpanState::Abandoned);
}

#[test]
fn marks_only_shorten_the_way_to_spans_since_a_moment() {
    let file = StoreFile::new();
    for id in 1..=30 {
        file.add(&Row {
            id,
            start: MIDNIGHT + id * SECOND,
            ..Row::default()
        });
        file.add_event(None, None, MIDNIGHT + id * SECOND, &format!("event {id}"), 9);
        if id % 10 == 0 {
            file.db
                .execute(
                    "INSERT INTO _mark (time, span, event) VALUES (?1, (SELECT max(id) + 1 FROM _span), (SELECT max(id) + 1 FROM _event))",
                    [MIDNIGHT + id * SECOND],
                )
                .unwrap();
        }
    }
    let store = file.store();
    for since in [0, 9, 10, 11, 20, 25, 30, 31] {
        let nanos = MIDNIGHT + since * SECOND;
        let since = Some(Timestamp::from_nanos(nanos));
        let spans = block_on(store.list_spans(SpanFilter {
            since,
            ..SpanFilter::default()
        }))
        .unwrap();
        assert!(spans.iter().all(|span| Some(span.start_time) >= since));
        let expected = file.number(&format!("SELECT count(*) FROM _span WHERE start >= {}", nanos));
        assert_eq!(i64::try_from(spans.len()).unwrap(), expected);
        let logs = block_on(store.list_logs(LogFilter {
            since,
            ..LogFilter::default()
        }))
        .unwrap();
        assert_eq!(i64::try_from(logs.len()).unwrap(), expected);
    }
}

#[test]
fn a_span_comes_back_as_it_was_stored() {
    let file = StoreFile::new();
    file.add(&Row {
        id: -7,
        parent: Some(5),
        attributes: json!({"b": true, "n": 1.5, "a": "x"}),
        ..Row::default()
    });
    file.db
        .execute_batch(&format!(
            "UPDATE _span SET extra = '{{\"status_message\":\"no\",\"links\":[{{\"trace_id\":\"{}\",\"span_id\":\"{}\"}}]}}'",
            trace_id(9),
            span_id(8)
        ))
        .unwrap();
    let span = block_on(file.store().get_span(trace_id(1), span_id(-7))).unwrap();
    assert_eq!(span.span_id.to_string(), "fffffffffffffff9");
    assert_eq!(span.parent_span_id, Some(span_id(5)));
    assert_eq!(
        serde_json::to_string(&span.attributes).unwrap(),
        r#"{"b":true,"n":1.5,"a":"x"}"#
    );
    assert_eq!(
        (span.status_message.as_deref(), span.links.len()),
        (Some("no"), 1)
    );
    assert_eq!(
        (span.service_name.as_str(), span.category.as_deref()),
        ("shop", Some("core"))
    );
    assert_eq!(span.duration_ms(), Some(100.0));
    assert!(
        block_on(file.store().get_span(trace_id(2), span_id(-7)))
            .unwrap_err()
            .is_not_found()
    );
    assert_eq!(block_on(file.store().trace_spans(trace_id(1))).unwrap(), [span]);
    assert!(
        block_on(file.store().trace_spans(trace_id(2)))
            .unwrap_err()
            .is_not_found()
    );
}

#[test]
fn logs_are_the_newest_in_the_order_of_their_times() {
    let file = StoreFile::new();
    file.add(&Row {
        id: 5,
        ..Row::default()
    });
    file.add_event(Some(1), Some(5), MIDNIGHT + 3, "third: 100% \0 done", 17);
    file.add_event(Some(1), Some(6), MIDNIGHT + 1, "first", 5);
    file.add_event(None, None, MIDNIGHT + 2, "Second", 13);
    let store = file.store();
    let messages = |filter| {
        let logs = block_on(store.list_logs(filter)).unwrap();
        logs.into_iter().map(|log| log.message).collect::<Vec<_>>()
    };
    let third = "third: 100% \0 done";
    assert_eq!(messages(LogFilter::default()), ["first", "Second", third]);
    assert_eq!(
        messages(LogFilter {
            limit: 1,
            ..LogFilter::default()
        }),
        [third]
    );
    assert_eq!(
        messages(LogFilter {
            min_severity: Some(Severity::Warn),
            ..LogFilter::default()
        }),
        ["Second", third]
    );
    assert_eq!(
        messages(LogFilter {
            grep: Some("SECOND".into()),
            ..LogFilter::default()
        }),
        ["Second"]
    );
    assert_eq!(
        messages(LogFilter {
            grep: Some("100%".into()),
            ..LogFilter::default()
        }),
        [third]
    );
    assert_eq!(
        messages(LogFilter {
            grep: Some("\0 done".into()),
            ..LogFilter::default()
        }),
        [third]
    );
    assert_eq!(
        messages(LogFilter {
            grep: Some("%".into()),
            ..LogFilter::default()
        }),
        [third]
    );
    assert_eq!(
        messages(LogFilter {
            trace_id: Some(trace_id(1)),
            ..LogFilter::default()
        }),
        ["first", third]
    );
    assert_eq!(
        messages(LogFilter {
            span_id: Some(span_id(5)),
            ..LogFilter::default()
        }),
        [third]
    );
    assert_eq!(
        messages(LogFilter {
            span_id: Some(span_id(6)),
            ..LogFilter::default()
        }),
        ["first"],
        "span not stored"
    );
    assert_eq!(
        messages(LogFilter {
            after: Some(Cursor::new([0, 0, 1])),
            ..LogFilter::default()
        }),
        ["first", "Second"]
    );
    assert_eq!(block_on(store.latest()).unwrap(), Cursor::new([1, 0, 3]));
}

#[test]
fn recent_logs_are_exact_although_the_end_of_the_file_is_looked_at_first() {
    let file = StoreFile::new();
    // A late one, stored long after its time, and one of the future, stored early.
    file.add_event(None, None, MIDNIGHT + 5000 * SECOND, "from the future", 9);
    for id in 1..=200 {
        file.add_event(None, None, MIDNIGHT + id * SECOND, &id.to_string(), 9);
        file.db
            .execute(
                "INSERT OR IGNORE INTO _mark (time, span, event) VALUES ((SELECT max(time) FROM _event), 1, (SELECT max(id) + 1 FROM _event))",
                [],
            )
            .unwrap();
    }
    let logs = block_on(file.store().list_logs(LogFilter {
        limit: 2,
        ..LogFilter::default()
    }))
    .unwrap();
    assert_eq!(
        logs.iter().map(|log| log.message.as_str()).collect::<Vec<_>>(),
        ["200", "from the future"]
    );
}
