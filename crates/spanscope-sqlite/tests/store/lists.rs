//! Lists of spans and log events, which find rows by marks and from the end of the file.

use serde_json::json;
use spanscope_model::{LogFilter, SpanFilter, SpanState, Timestamp, TraceFilter, TraceStore, block_on};

use crate::support::{MIDNIGHT, Row, SECOND, StoreFile, span_id, trace_id};

#[test]
fn a_span_without_an_end_runs_for_as_long_as_its_process_is_seen() {
    let file = StoreFile::new();
    file.add(&Row {
        duration: None,
        ..Row::default()
    });
    let state = || {
        block_on(file.store().list_traces(TraceFilter::default()))
            .unwrap()
            .remove(0)
            .state
    };
    assert_eq!(state(), SpanState::Abandoned, "its process has ended");
    let now = Timestamp::now().as_nanos();
    file.db
        .execute("UPDATE _process SET ended_at = NULL, seen_at = ?1", [now])
        .unwrap();
    assert_eq!(state(), SpanState::Running);
    file.db
        .execute("UPDATE _process SET seen_at = ?1", [now - 16 * SECOND])
        .unwrap();
    assert_eq!(state(), SpanState::Abandoned, "its process is not seen any more");
}

#[test]
fn marks_change_no_result_of_a_query_since_a_time() {
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
        let spans = block_on(store.list_spans(SpanFilter::default().since(since))).unwrap();
        assert!(spans.iter().all(|span| Some(span.start_time) >= since));
        let expected = file.number(&format!("SELECT count(*) FROM _span WHERE start >= {}", nanos));
        assert_eq!(i64::try_from(spans.len()).unwrap(), expected);
        let logs = block_on(store.list_logs(LogFilter::default().since(since))).unwrap();
        assert_eq!(i64::try_from(logs.len()).unwrap(), expected);
    }
}

#[test]
fn a_span_is_returned_as_it_was_stored() {
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

/// Programs that send records lose zero bytes on the way; older builds and those that write the
/// file themselves did not.
#[test]
fn a_line_with_a_zero_byte_is_shown_and_found_whole() {
    let file = StoreFile::new();
    let line = "third: 100% \0 done";
    file.add_event(None, None, MIDNIGHT, line, 9);
    file.add_event(None, None, MIDNIGHT + 1, "another", 9);
    let store = file.store();
    for grep in ["THIRD", "100%", "\0 done", "%"] {
        let logs = block_on(store.list_logs(LogFilter::default().grep(Some(grep.into())))).unwrap();
        let messages: Vec<_> = logs.iter().map(|log| log.message.as_str()).collect();
        assert_eq!(messages, [line], "{grep:?}");
    }
}

#[test]
fn recent_logs_are_exact_although_the_end_of_the_file_is_searched_first() {
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
    let logs = block_on(file.store().list_logs(LogFilter::default().limit(2))).unwrap();
    assert_eq!(
        logs.iter().map(|log| log.message.as_str()).collect::<Vec<_>>(),
        ["200", "from the future"]
    );
}
