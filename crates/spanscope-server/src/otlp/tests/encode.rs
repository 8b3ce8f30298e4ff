//! Export and intake are inverse: what is written from stored records is read as the same records.

use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use prost::Message as _;
use serde_json::json;
use spanscope_model::{
    Attributes, LogEvent, NewEvent, NewSpan, Severity, Span, SpanId, SpanKind, SpanState, SpanStatus,
    Timestamp, TraceId, wire,
};

use super::property::Chance;
use super::{SPAN, TRACE, at};
use crate::otlp::{Encoding, Signal, convert, encode, otlp_json};

/// A span that ended well.
fn ended(name: &str) -> Span {
    let (trace, span) = (TraceId::from_bytes(TRACE), SpanId::from_bytes(SPAN));
    Span {
        end_time: Some(at(3_000)),
        status: Some(SpanStatus::Ok),
        state: SpanState::Ended,
        service_name: "shop".to_owned(),
        target: Some("shop::orders".to_owned()),
        ..Span::new(trace.unwrap(), span.unwrap(), name, at(1_000))
    }
}

fn event_at(timestamp: Timestamp) -> LogEvent {
    LogEvent {
        id: String::new(),
        trace_id: None,
        span_id: None,
        timestamp,
        severity: Severity::Info,
        name: String::new(),
        message: String::new(),
        target: String::new(),
        category: String::new(),
        service_name: String::new(),
        attributes: Attributes::new(),
    }
}

/// The spans and their events, read from both forms of what is written of them.
fn read_again(new: &NewSpan) -> NewSpan {
    let spans = std::slice::from_ref(&new.span);
    let events: Vec<_> = new.events.iter().map(|new| new.event.clone()).collect();
    let request = ExportTraceServiceRequest {
        resource_spans: encode::traces(spans, &events).resource_spans,
    };
    let json = otlp_json(spans, &events).to_string();
    let [from_protobuf, from_json] = [
        (Encoding::Protobuf, request.encode_to_vec()),
        (Encoding::Json, json.into_bytes()),
    ]
    .map(|(encoding, body)| {
        let mut converted = convert(Signal::Traces, encoding, &body, None).unwrap();
        assert_eq!(converted.rejected, 0, "{}", converted.message);
        converted.records.sources.remove(0).spans.remove(0)
    });
    assert_eq!(from_protobuf, from_json);
    from_json
}

#[test]
fn what_is_written_is_read_as_what_it_was() {
    let mut chance = Chance::new(0xc0dec);
    let mut compared = 0;
    for _ in 0..1_500 {
        let request = chance.traces().encode_to_vec();
        let converted = convert(Signal::Traces, Encoding::Protobuf, &request, None).unwrap();
        for source in converted.records.sources {
            for new in source.spans {
                assert_eq!(read_again(&new), new);
                compared += 1;
            }
        }
    }
    assert!(compared > 400, "{compared} compared");
}

/// Names by which the fields of an event travel are attributes of it at the same time.
#[test]
fn an_events_own_attributes_stand_beside_its_fields() {
    for name in ["", "given"] {
        let mut event = LogEvent {
            trace_id: TraceId::from_bytes(TRACE),
            span_id: SpanId::from_bytes(SPAN),
            severity: Severity::Warn,
            name: name.to_owned(),
            message: "said".to_owned(),
            target: "core::routers".to_owned(),
            category: "core".to_owned(),
            ..event_at(at(2_000))
        };
        for key in [wire::SEVERITY, wire::TARGET, wire::MESSAGE, wire::CATEGORY] {
            event.attributes.set(key, "mine");
        }
        let span = NewSpan {
            span: Span {
                service_name: String::new(),
                ..ended("chat")
            },
            events: vec![NewEvent { event, expires: None }],
            expires: None,
        };
        let again = read_again(&span);
        assert_eq!(again, span);
        let sent = otlp_json(&[span.span], &[span.events[0].event.clone()]);
        let sent = &sent["resourceSpans"][0]["scopeSpans"][0]["spans"][0]["events"][0]["attributes"];
        let keys: Vec<_> = sent.as_array().unwrap().iter().map(|pair| &pair["key"]).collect();
        let distinct: std::collections::HashSet<_> = keys.iter().collect();
        assert_eq!(keys.len(), distinct.len(), "{keys:?}");
    }
}

#[test]
fn a_span_that_has_not_ended_says_whether_it_still_runs() {
    let mut open = NewSpan {
        span: Span {
            end_time: None,
            status: None,
            state: SpanState::Running,
            service_name: String::new(),
            ..ended("open")
        },
        events: Vec::new(),
        expires: None,
    };
    let written = otlp_json(std::slice::from_ref(&open.span), &[]);
    let attributes = &written["resourceSpans"][0]["scopeSpans"][0]["spans"][0]["attributes"];
    assert_eq!(attributes[0]["value"]["stringValue"], "running");
    assert_eq!(read_again(&open), open);
    // A record that is sent can only be running or ended, so the word stays beside it.
    open.span.state = SpanState::Abandoned;
    let again = read_again(&open).span;
    assert_eq!(again.state, SpanState::Running);
    let word = again.attributes.get(wire::STATE);
    assert_eq!(word.and_then(|word| word.as_str()), Some("abandoned"));
}

#[test]
fn a_span_has_the_types_of_the_protocol() {
    let mut first = ended("chat");
    first.kind = SpanKind::Client;
    first.status = Some(SpanStatus::Error);
    first.status_message = Some("no".to_owned());
    first.attributes.set("n", 7);
    first.attributes.set("x", f64::NAN);
    first.attributes.set("list", json!(["a", 1, null]));
    let mut second = ended("inner");
    second.span_id = SpanId::from_bytes([1; 8]).unwrap();
    second.parent_span_id = Some(first.span_id);
    let data = otlp_json(&[first, second], &[]);
    let resource = &data["resourceSpans"][0];
    assert_eq!(
        resource["resource"]["attributes"][0]["value"]["stringValue"],
        "shop"
    );
    assert_eq!(resource["scopeSpans"].as_array().unwrap().len(), 1);
    let span = &resource["scopeSpans"][0]["spans"][0];
    assert_eq!(span["traceId"], "07070707070707070707070707070707");
    assert_eq!(span["startTimeUnixNano"], "1000");
    assert_eq!(span["kind"], 3);
    assert_eq!(span["status"], json!({"message": "no", "code": 2}));
    assert_eq!(
        span["attributes"][0],
        json!({"key": "n", "value": {"intValue": "7"}})
    );
    assert_eq!(span["attributes"][1]["value"]["doubleValue"], "NaN");
    let list = &span["attributes"][2]["value"]["arrayValue"]["values"];
    assert_eq!(*list, json!([{"stringValue": "a"}, {"intValue": "1"}, {}]));
    assert_eq!(
        resource["scopeSpans"][0]["spans"][1]["parentSpanId"],
        "0909090909090909"
    );
}
