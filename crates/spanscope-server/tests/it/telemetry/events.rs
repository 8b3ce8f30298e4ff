//! `log_event`: events of all kinds, in any order, and those that make no sense.

use serde_json::{Value, json};
use spanscope_model::{
    LogFilter, MetricQuery, MetricQueryType, Span, SpanState, SpanStatus, TraceStore as _, block_on,
};

use crate::running::{Open, open};
use crate::wire::Ask;

const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";
const SPAN: &str = "00f067aa0ba902b7";
const EVENTS: [&str; 2] = ["/v1/telemetry/events", "/telemetry/events"];

/// An event of the span above, with these fields in addition to the common ones.
fn event(fields: &Value) -> Value {
    let mut event = json!({"trace_id": TRACE, "span_id": SPAN, "timestamp": "2025-07-20T08:26:40.5Z"});
    let fields = fields.as_object().unwrap().clone();
    event.as_object_mut().unwrap().extend(fields);
    event
}

fn log() -> Value {
    event(&json!({"type": "unstructured_log", "message": "it went on", "severity": "warn"}))
}

fn metric() -> Value {
    event(
        &json!({"type": "metric", "metric": "jobs", "value": 7, "unit": "jobs", "attributes": {"queue": "a"}}),
    )
}

fn start() -> Value {
    let payload = json!({"type": "span_start", "name": "ask", "parent_span_id": null});
    event(&json!({"type": "structured_log", "payload": payload, "attributes": {"said": "at start"}}))
}

fn end() -> Value {
    let payload = json!({"type": "span_end", "status": "error"});
    let mut end =
        event(&json!({"type": "structured_log", "payload": payload, "attributes": {"said_too": "at end"}}));
    end["timestamp"] = json!("2025-07-20T08:26:42Z");
    end
}

impl Open {
    fn log_event(&self, path: &str, event: &Value) {
        let answer = Ask::json(path, &json!({"event": event})).to(self.address);
        assert_eq!(
            (answer.status, answer.body.len()),
            (204, 0),
            "{event}: {}",
            answer.text()
        );
    }

    fn span(&self) -> Span {
        block_on(self.store.get_span(TRACE.parse().unwrap(), SPAN.parse().unwrap())).unwrap()
    }
}

#[test]
fn events_have_the_same_result_in_any_order() {
    let events = [start(), log(), metric(), end()];
    // All orders of four: each is a number of four digits in base four, no digit twice.
    let orders = (0..256).map(|number| [0, 2, 4, 6].map(|shift| number >> shift & 3));
    let orders = orders.filter(|order: &[usize; 4]| (0..4).all(|digit| order.contains(&digit)));
    for (number, order) in orders.enumerate() {
        let open = open();
        for index in order {
            open.log_event(EVENTS[number % 2], &events[index]);
        }
        let span = open.span();
        assert_eq!(
            (span.name.as_str(), span.state),
            ("ask", SpanState::Ended),
            "{order:?}"
        );
        assert_eq!(span.status, Some(SpanStatus::Error), "{order:?}");
        assert_eq!(span.start_time.to_string(), "2025-07-20T08:26:40.5Z", "{order:?}");
        assert_eq!(
            span.end_time.unwrap().to_string(),
            "2025-07-20T08:26:42Z",
            "{order:?}"
        );
        for (key, value) in [("said", "at start"), ("said_too", "at end")] {
            assert_eq!(span.attributes.get(key), Some(&value.into()), "{order:?}");
        }
        assert_eq!(open.counts(), (1, 1, 1), "{order:?}");
        let logs = block_on(open.store.list_logs(LogFilter::default())).unwrap();
        assert_eq!(
            (logs[0].message.as_str(), logs[0].severity.as_str()),
            ("it went on", "warn")
        );
        assert_eq!(logs[0].span_id, Some(SPAN.parse().unwrap()));
        let mut query = MetricQuery::range("jobs", "2025-07-20T00:00:00Z".parse().unwrap());
        query.query_type = MetricQueryType::Instant;
        let series = block_on(open.store.query_metrics(query)).unwrap();
        assert_eq!(series[0].values[0].value, 7.into(), "{order:?}");
    }
}

#[test]
fn repeats_are_stored_twice_only_if_unrecognizable() {
    let open = open();
    for _ in 0..2 {
        for event in [start(), end(), log(), metric()] {
            open.log_event(EVENTS[0], &event);
        }
    }
    // A span has an id; the same text and the same number may well occur twice.
    assert_eq!(open.counts(), (1, 2, 2));
}

#[test]
fn events_outside_of_spans_and_of_other_times_are_kept() {
    let open = open();
    for (time, stored) in [
        ("1969-07-20T20:17:40Z", "1969-07-20T20:17:40Z"),
        ("1700-01-01T00:00:00Z", "1700-01-01T00:00:00Z"),
        ("2262-04-11T23:47:16Z", "2262-04-11T23:47:16Z"),
        ("2025-07-20T10:26:40+02:00", "2025-07-20T08:26:40Z"),
    ] {
        let mut event = log();
        for (key, value) in [
            ("trace_id", Value::Null),
            ("span_id", Value::Null),
            ("timestamp", json!(time)),
        ] {
            event[key] = value;
        }
        event["message"] = json!(stored);
        open.log_event(EVENTS[0], &event);
    }
    let logs = block_on(open.store.list_logs(LogFilter::default())).unwrap();
    assert_eq!(logs.len(), 4);
    for log in logs {
        assert_eq!(log.timestamp.to_string(), log.message);
        assert_eq!(log.trace_id, None);
    }
    // A span from before 1970 as well.
    for mut event in [start(), end()] {
        event["timestamp"] = json!("1969-07-20T20:17:40Z");
        open.log_event(EVENTS[0], &event);
    }
    assert_eq!(open.span().start_time.to_string(), "1969-07-20T20:17:40Z");
}

#[test]
fn optional_fields_may_be_null() {
    let open = open();
    let nothing =
        json!({"trace_id": null, "span_id": null, "attributes": null, "payload": null, "extra": [1]});
    let mut event = log();
    event
        .as_object_mut()
        .unwrap()
        .extend(nothing.as_object().unwrap().clone());
    event["timestamp"] = json!("2025-07-20T08:26:40.123456"); // as Python writes a time of no zone
    open.log_event(EVENTS[0], &event);
    let logs = block_on(open.store.list_logs(LogFilter::default())).unwrap();
    assert_eq!(logs[0].timestamp.to_string(), "2025-07-20T08:26:40.123456Z");
    assert_eq!((logs[0].trace_id, logs[0].attributes.len()), (None, 0));
}

#[test]
fn an_end_before_its_start_still_ends_the_span() {
    let open = open();
    open.log_event(EVENTS[0], &start());
    let mut early = end();
    early["timestamp"] = json!("2025-07-20T08:26:39Z");
    open.log_event(EVENTS[0], &early);
    let span = open.span();
    assert_eq!(span.state, SpanState::Ended);
    assert!(span.end_time.unwrap() >= span.start_time, "{span:?}");
}

/// Returns it with one field set, or removed if it is null.
fn with(mut event: Value, path: &str, value: Value) -> Value {
    let (parent, field) = path.rsplit_once('/').unwrap();
    let parent = event.pointer_mut(parent).unwrap().as_object_mut().unwrap();
    match value {
        Value::Null => drop(parent.remove(field)),
        value => drop(parent.insert(field.to_owned(), value)),
    }
    event
}

#[test]
fn invalid_fields_are_refused_by_name() {
    let open = open();
    let cases: &[(Value, &[&str])] = &[
        (
            with(log(), "/trace_id", json!("xyz")),
            &["event.trace_id", "xyz", "32"],
        ),
        (
            with(log(), "/trace_id", json!("0".repeat(32))),
            &["event.trace_id", "zero"],
        ),
        (with(log(), "/span_id", json!(&TRACE)), &["event.span_id", "16"]),
        (with(log(), "/span_id", json!(7)), &["event.span_id", "7"]),
        (
            with(log(), "/span_id", json!("../../x")),
            &["event.span_id", "../../x"],
        ),
        (with(log(), "/timestamp", Value::Null), &["timestamp"]),
        (
            with(log(), "/timestamp", json!("yesterday")),
            &["event.timestamp", "yesterday"],
        ),
        (
            with(log(), "/timestamp", json!(1_753_000_000)),
            &["event.timestamp"],
        ),
        (
            with(log(), "/timestamp", json!("2263-01-01T00:00:00Z")),
            &["event.timestamp", "2262"],
        ),
        (
            with(log(), "/timestamp", json!("1600-01-01T00:00:00Z")),
            &["event.timestamp", "1677"],
        ),
        (with(log(), "/attributes", json!([1])), &["event.attributes"]),
        (with(log(), "/type", Value::Null), &["type"]),
        (
            with(log(), "/type", json!("nonsense")),
            &["event.type", "nonsense", "unstructured_log", "metric"],
        ),
        (with(log(), "/message", Value::Null), &["message"]),
        (with(log(), "/message", json!(5)), &["event.message"]),
        (with(log(), "/severity", Value::Null), &["severity"]),
        (
            with(log(), "/severity", json!("loud")),
            &["event.severity", "loud", "warn"],
        ),
        (with(metric(), "/metric", Value::Null), &["metric"]),
        (with(metric(), "/unit", Value::Null), &["unit"]),
        (with(metric(), "/value", Value::Null), &["value"]),
        (
            with(metric(), "/value", json!("many")),
            &["value", "many", "number"],
        ),
        (with(metric(), "/value", json!([1])), &["value", "number"]),
        (with(metric(), "/unit", json!({})), &["event.unit"]),
        (with(start(), "/payload", Value::Null), &["payload"]),
        (with(start(), "/payload/name", Value::Null), &["payload.name"]),
        (
            with(start(), "/payload/type", json!("span_stop")),
            &["event.payload.type", "span_stop", "span_start"],
        ),
        (
            with(start(), "/payload/parent_span_id", json!("x")),
            &["event.payload.parent_span_id", "span id", "16"],
        ),
        (
            with(start(), "/payload/parent_span_id", json!(SPAN)),
            &["own parent"],
        ),
        (
            with(end(), "/payload/status", json!("fine")),
            &["event.payload.status", "fine"],
        ),
        (with(end(), "/payload/status", Value::Null), &["payload.status"]),
        (with(start(), "/trace_id", Value::Null), &["trace_id"]),
        (with(end(), "/span_id", Value::Null), &["span_id"]),
        (json!([]), &["event", "an object"]),
        (json!("text"), &["event", "an object"]),
        (Value::Null, &["event"]),
    ];
    for (event, words) in cases {
        refused(&open, &json!({"event": event}), words);
    }
    for (body, words) in [
        (json!({}), &["event"][..]),
        (json!([]), &["list", "object"]),
        (json!([log(), 7]), &["list", "object"]),
        (json!({"event": log(), "ttl_seconds": -1}), &["ttl_seconds is -1"]),
        (json!({"event": log(), "ttl_seconds": i64::MIN}), &["ttl_seconds"]),
        (json!({"event": log(), "ttl_seconds": 1e30}), &["ttl_seconds"]),
        (json!({"event": log(), "ttl_seconds": 1.5}), &["ttl_seconds"]),
        (json!({"event": log(), "ttl_seconds": "7"}), &["ttl_seconds"]),
        (
            json!({"event": log(), "ttl_second": 7}),
            &["ttl_second", "ttl_seconds"],
        ),
    ] {
        refused(&open, &body, words);
    }
    assert_eq!(open.counts(), (0, 0, 0));
}

fn refused(open: &Open, body: &Value, words: &[&str]) {
    for path in EVENTS {
        let answer = Ask::json(path, body).to(open.address);
        assert_eq!(answer.status, 400, "{body}: {}", answer.text());
        assert_eq!(answer.code(), "invalid_input");
        let message = answer.message();
        assert!(
            words.iter().all(|word| message.contains(word)),
            "{body}: {message}"
        );
    }
}

#[test]
fn repeated_keys_are_refused_except_in_attributes() {
    let open = open();
    let whole = json!({"event": log()}).to_string();
    for (key, twice) in [
        ("event", whole.replacen('{', r#"{"event": {}, "#, 1)),
        (
            "ttl_seconds",
            whole.replacen('{', r#"{"ttl_seconds": 1, "ttl_seconds": 2, "#, 1),
        ),
        (
            "trace_id",
            whole.replacen(
                r#""trace_id":"#,
                &format!(r#""trace_id": "{TRACE}", "trace_id":"#),
                1,
            ),
        ),
        (
            "severity",
            whole.replacen(r#""severity":"#, r#""severity": "info", "severity":"#, 1),
        ),
        (
            "type",
            whole.replacen(r#""type":"#, r#""type": "metric", "type":"#, 1),
        ),
    ] {
        assert_ne!(whole, twice);
        let answer = Ask::post(EVENTS[0], "application/json", twice.clone()).to(open.address);
        assert_eq!(answer.status, 400, "{twice}: {}", answer.text());
        assert!(answer.message().contains(key), "{}", answer.message());
    }
    assert_eq!(open.counts(), (0, 0, 0));
    // Of attributes the last one is meant, as everywhere.
    let twice = whole.replacen(
        r#""message":"#,
        r#""attributes": {"k": 1, "k": 2}, "message":"#,
        1,
    );
    assert_eq!(
        Ask::post(EVENTS[0], "application/json", twice)
            .to(open.address)
            .status,
        204
    );
    let logs = block_on(open.store.list_logs(LogFilter::default())).unwrap();
    assert_eq!(logs[0].attributes.get("k"), Some(&2.into()));
}

#[test]
fn strings_with_any_characters_are_kept() {
    let open = open();
    let text = "\0\u{7}\u{1b}[31m' OR 1=1; --\u{202e}🦀";
    let event = with(
        with(log(), "/message", json!(text)),
        "/attributes",
        json!({text: text}),
    );
    open.log_event(EVENTS[0], &event);
    let expected = text.replace('\0', "\u{fffd}"); // SQL would end a text there
    let logs = block_on(open.store.list_logs(LogFilter::default())).unwrap();
    assert_eq!(logs[0].message, expected);
    assert_eq!(logs[0].attributes.get(&expected), Some(&expected.as_str().into()));
}

#[test]
fn the_time_to_live_may_be_zero_or_the_maximum() {
    let open = open();
    for ttl in [json!(0), json!(1), json!(i64::MAX)] {
        let body = json!({"event": log(), "ttl_seconds": ttl});
        assert_eq!(Ask::json(EVENTS[0], &body).to(open.address).status, 204, "{ttl}");
    }
    // By default a week.
    open.log_event(EVENTS[0], &log());
    assert!(
        open.counts().1 >= 2,
        "events that expire at once may already be removed"
    );
}
