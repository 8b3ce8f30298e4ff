//! Invalid records are left out and described; the others are stored.

use opentelemetry_proto::tonic::trace::v1::{Span, Status};
use serde_json::{Value, json};
use spanscope_model::{Span as Stored, SpanKind, SpanState, SpanStatus, block_on};

use super::{JSON, TRACES, rejected, send, send_json, span, traces};
use crate::running::{Open, open};
use crate::wire::Ask;
use spanscope_model::TraceStore as _;

const AFTER_2262: u64 = 1 << 63;

#[test]
fn invalid_spans_are_left_out_and_the_others_are_stored() {
    let changed = |change: fn(&mut Span)| {
        let mut wrong = span("wrong");
        change(&mut wrong);
        wrong
    };
    let cases = [
        (
            "its trace id has 15 bytes: give 16",
            changed(|span| span.trace_id = vec![1; 15]),
        ),
        (
            "its trace id has 17 bytes: give 16",
            changed(|span| span.trace_id = vec![1; 17]),
        ),
        (
            "its span id has 16 bytes: give 8",
            changed(|span| span.span_id = vec![1; 16]),
        ),
        ("its span id has 1 bytes", changed(|span| span.span_id = vec![1])),
        ("it has no trace id", changed(|span| span.trace_id = vec![0; 16])),
        ("it has no trace id", changed(|span| span.trace_id.clear())),
        ("it has no span id", changed(|span| span.span_id = vec![0; 8])),
        ("it has no span id", changed(|span| span.span_id.clear())),
        ("it has no start", changed(|span| span.start_time_unix_nano = 0)),
        (
            "its start is after the year 2262",
            changed(|span| span.start_time_unix_nano = AFTER_2262),
        ),
        (
            "its end is after the year 2262",
            changed(|span| span.end_time_unix_nano = u64::MAX),
        ),
    ];
    for (why, wrong) in cases {
        let open = open();
        let request = traces(vec![span("first"), wrong.clone(), wrong, span("last")]);
        for ask in [send(&request), send_json(&request)] {
            let (count, message) = rejected(&ask.to(open.address));
            assert_eq!(count, 2, "{why}");
            assert!(
                message.contains("\"wrong\"") && message.contains(why),
                "{why}: {message}"
            );
        }
        assert_eq!(open.span_names(), ["first", "last"], "{why}");
    }
}

/// As JSON, with one field changed as no protobuf could have it.
fn with_field(field: &str, value: Value) -> Ask {
    let mut body = serde_json::to_value(traces(vec![span("wrong"), span("right")])).unwrap();
    body["resourceSpans"][0]["scopeSpans"][0]["spans"][0][field] = value;
    Ask::json(TRACES, &body)
}

#[test]
fn ids_and_times_that_only_json_can_get_wrong_reject_only_their_span() {
    let cases = [
        ("traceId", json!("not hexadecimal, but just as lo"), "not an id"),
        (
            "traceId",
            json!("0x07070707070707070707070707070707"),
            "not an id",
        ),
        ("traceId", json!("070707070707070707070707070707é"), "not an id"),
        ("traceId", json!("070"), "not an id"),
        (
            "traceId",
            json!("4bf92f3577b34da6"),
            "has 8 bytes: give 16, in JSON as 32 hexadecimal digits",
        ),
        // Base64 of other than 16 bytes.
        ("traceId", json!("BwcHBwcHBwcHBwcHBwcH"), "not an id"),
        ("traceId", json!(7), "not a text"),
        ("spanId", json!(["07"]), "not a text"),
        ("spanId", json!("0000000000000000"), "no span id"),
        ("spanId", Value::Null, "no span id"),
        ("startTimeUnixNano", json!(-1), "not a whole number"),
        (
            "startTimeUnixNano",
            json!("-1753000000000000000"),
            "not a whole number",
        ),
        (
            "startTimeUnixNano",
            json!("1826-01-01T00:00:00Z"),
            "not a whole number",
        ),
        ("startTimeUnixNano", json!(1.5), "not a whole number"),
        ("startTimeUnixNano", json!(1e300), "not a whole number"),
        (
            "endTimeUnixNano",
            json!("18446744073709551616"),
            "not a whole number",
        ),
    ];
    for (field, value, why) in cases {
        let open = open();
        let (count, message) = rejected(&with_field(field, value.clone()).to(open.address));
        assert_eq!(count, 1, "{field}: {value}");
        assert!(message.contains(why), "{field}: {value}: {message}");
        assert_eq!(open.span_names(), ["right"], "{field}: {value}");
    }
}

#[test]
fn an_invalid_optional_field_is_left_out_of_its_span() {
    for (field, value, why) in [
        ("kind", json!("SPAN_KIND_NONSENSE"), "not a whole number"),
        ("kind", json!(1e10), "not a whole number"),
        ("attributes", json!({"k": "v"}), "not a list"),
        ("name", json!({}), "not a text"),
    ] {
        let open = open();
        let (count, message) = rejected(&with_field(field, value.clone()).to(open.address));
        assert_eq!(count, 0, "{field}: {value}");
        assert!(message.contains(why), "{field}: {value}: {message}");
        assert_eq!(open.span_names().len(), 2, "{field}: {value}");
    }
}

#[test]
fn ids_are_the_same_in_any_case() {
    let open = open();
    let upper = with_field("spanId", json!("ABCDEF0123456789")).to(open.address);
    assert_eq!(rejected(&upper), (0, String::new()));
    let lower = with_field("spanId", json!("abcdef0123456789")).to(open.address);
    assert_eq!(rejected(&lower), (0, String::new()));
    assert_eq!(open.span_names(), ["right", "wrong"], "each once");
}

/// Returns the one converted span, in both encodings.
fn kept(sent: Span) -> Stored {
    let request = traces(vec![sent]);
    let [protobuf, json] = [send(&request), send_json(&request)].map(|ask| {
        let open = open();
        assert_eq!(rejected(&ask.to(open.address)), (0, String::new()));
        the_span(&open)
    });
    assert_eq!(protobuf, json);
    json
}

fn the_span(open: &Open) -> Stored {
    let mut spans = block_on(open.store.list_spans(spanscope_model::SpanFilter::default())).unwrap();
    assert_eq!(spans.len(), 1);
    spans.remove(0)
}

#[test]
fn an_end_before_the_start_is_kept_as_a_note() {
    let mut backwards = span("backwards");
    backwards.end_time_unix_nano = backwards.start_time_unix_nano - 1_500;
    let kept = kept(backwards);
    assert_eq!(kept.end_time, Some(kept.start_time));
    assert_eq!(kept.state, SpanState::Ended);
    let note = kept.attributes.get("spanscope.end_before_start_ns");
    assert_eq!(note, Some(&1_500.into()));
}

#[test]
fn unknown_enum_values_are_kept_as_the_nearest() {
    for number in [6, 1_000, -1, i32::MIN] {
        let kept = kept(Span {
            kind: number,
            status: Some(Status {
                code: number,
                message: "said".to_owned(),
            }),
            ..span("of tomorrow")
        });
        assert_eq!(
            (kept.kind, kept.status),
            (SpanKind::Internal, Some(SpanStatus::Ok))
        );
        assert_eq!(kept.attributes.get("otel.kind"), Some(&i64::from(number).into()));
        assert_eq!(kept.status_message.as_deref(), Some("said"));
    }
}

#[test]
fn the_last_representable_time_is_kept() {
    let last = (AFTER_2262 - 1).cast_signed();
    let kept = kept(Span {
        start_time_unix_nano: 1,
        end_time_unix_nano: AFTER_2262 - 1,
        ..span("long")
    });
    assert_eq!(kept.start_time.as_nanos(), 1);
    assert_eq!(kept.end_time.map(|end| end.as_nanos()), Some(last));
}

#[test]
fn strings_with_any_characters_are_stored() {
    let name = "\0\u{7}\u{1b}[31m'; DROP TABLE _span; --\u{202e}\u{ffff}🦀";
    let kept = kept(Span {
        attributes: vec![super::text(name, name), super::text("", "")],
        ..span(name)
    });
    // SQL ends a text at NUL.
    let expected = name.replace('\0', "\u{fffd}");
    assert_eq!(kept.name, expected);
    assert_eq!(kept.attributes.get(&expected), Some(&expected.as_str().into()));
}

#[test]
fn invalid_points_and_log_records_are_left_out() {
    let time = "1753000000000000000";
    let point = |value: Value| {
        let mut point = json!({"timeUnixNano": time});
        point
            .as_object_mut()
            .unwrap()
            .extend(value.as_object().unwrap().clone());
        point
    };
    let points = [
        (json!({"asInt": "4"}), None),
        (json!({"asDouble": 1.5}), None),
        (json!({}), Some("it has no number")),
        (json!({"asDouble": "NaN"}), Some("finite")),
        (json!({"asDouble": "-Infinity"}), Some("finite")),
        (json!({"asInt": "x"}), Some("whole number")),
        (json!({"asInt": "1", "timeUnixNano": "0"}), Some("it has no time")),
        (
            json!({"asInt": "1", "timeUnixNano": AFTER_2262.to_string()}),
            Some("after the year 2262"),
        ),
    ];
    for (value, why) in points {
        let open = open();
        let metric = json!({"name": "jobs", "gauge": {"dataPoints": [point(json!({"asInt": "7"})), point(value.clone())]}});
        let body = json!({"resourceMetrics": [{"scopeMetrics": [{"metrics": [metric]}]}]});
        let answer = Ask::json("/v1/metrics", &body).to(open.address);
        part_of(&answer.json(), "rejectedDataPoints", why, &value);
        assert_eq!(
            open.counts(),
            (0, 0, if why.is_some() { 1 } else { 2 }),
            "{value}"
        );
    }
    let records = [
        (
            json!({"severityNumber": 99, "body": {"stringValue": "kept"}}),
            None,
        ),
        (
            json!({"timeUnixNano": "0", "body": {"stringValue": "kept"}}),
            None,
        ),
        (
            json!({"timeUnixNano": AFTER_2262.to_string()}),
            Some("after the year 2262"),
        ),
        (json!({"observedTimeUnixNano": "x"}), Some("whole number")),
    ];
    for (record, why) in records {
        let open = open();
        let right = json!({"timeUnixNano": time, "body": {"stringValue": "right"}});
        let body = json!({"resourceLogs": [{"scopeLogs": [{"logRecords": [record.clone(), right]}]}]});
        let answer = Ask::post("/v1/logs", JSON, body.to_string()).to(open.address);
        part_of(&answer.json(), "rejectedLogRecords", why, &record);
        assert_eq!(open.counts().1, if why.is_some() { 1 } else { 2 }, "{record}");
    }
}

/// Checks that the response reports one rejected record and the reason, or nothing.
fn part_of(answer: &Value, field: &str, why: Option<&str>, sent: &Value) {
    let Some(why) = why else {
        assert_eq!(*answer, json!({}), "{sent}");
        return;
    };
    let part = &answer["partialSuccess"];
    assert_eq!(part[field], "1", "{sent}: {answer}");
    let message = part["errorMessage"].as_str().unwrap();
    assert!(message.contains(why), "{sent}: {message}");
}
