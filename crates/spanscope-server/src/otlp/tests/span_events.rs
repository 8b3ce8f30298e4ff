//! The conversion of the events of spans.

use opentelemetry_proto::tonic::common::v1::KeyValue;
use opentelemetry_proto::tonic::common::v1::any_value::Value as Sent;
use opentelemetry_proto::tonic::trace::v1::Span;
use opentelemetry_proto::tonic::trace::v1::span::Event;
use spanscope_model::{LogEvent, Severity};

use super::{SPAN, TRACE, at, both, pair, shown, span, text, texts, traces};
use crate::otlp::Signal;

fn kept(name: &str, attributes: Vec<KeyValue>) -> LogEvent {
    kept_event(Event {
        time_unix_nano: 2_000,
        name: name.to_owned(),
        attributes,
        ..Event::default()
    })
}

fn kept_event(event: Event) -> LogEvent {
    let request = traces(vec![Span {
        events: vec![event],
        ..span()
    }]);
    let mut converted = both(Signal::Traces, &request);
    assert_eq!((converted.rejected, converted.message.as_str()), (0, ""));
    converted.records.sources[0].spans[0].events.remove(0).event
}

/// Severity, target, name, message, category, attributes.
fn fields_of(event: &LogEvent) -> (Severity, &str, &str, &str, &str, String) {
    (
        event.severity,
        &event.target,
        &event.name,
        &event.message,
        &event.category,
        shown(&event.attributes),
    )
}

#[test]
fn an_event_has_the_ids_of_its_span_and_a_time_in_it() {
    let event = kept("e", Vec::new());
    assert_eq!(event.id, "");
    assert_eq!(event.trace_id.unwrap().to_bytes(), TRACE);
    assert_eq!(event.span_id.unwrap().to_bytes(), SPAN);
    assert_eq!(event.timestamp, at(2_000));
    assert_eq!(event.service_name, "");
    let timeless = kept_event(Event {
        dropped_attributes_count: 3,
        ..Event::default()
    });
    assert_eq!(timeless.timestamp, at(1_000), "the start of its span");
    assert_eq!(
        shown(&timeless.attributes),
        r#"{"otel.dropped_attributes_count":3}"#
    );
}

#[test]
fn an_event_of_spanscopes_exporter_has_its_message_in_place_of_a_name() {
    let event = kept(
        "it went wrong",
        texts(&[("severity", "warn"), ("target", "app::db"), ("rows", "3")]),
    );
    assert_eq!(
        fields_of(&event),
        (
            Severity::Warn,
            "app::db",
            "",
            "it went wrong",
            "uncategorized",
            r#"{"rows":"3"}"#.to_owned()
        )
    );
}

#[test]
fn an_event_of_spanscopes_exporter_has_the_category_of_its_target() {
    for (target, named, category) in [
        ("agents::turn", None, "agents::turn"),
        ("agents::turn", Some("tools"), "tools"),
        ("app", None, "uncategorized"),
    ] {
        let mut attributes = texts(&[("severity", "info"), ("target", target)]);
        attributes.extend(named.map(|named| pair("category", text(named))));
        assert_eq!(kept("e", attributes).category, category);
    }
}

#[test]
fn a_named_event_of_spanscopes_exporter_keeps_its_name_and_its_message() {
    let event = kept(
        "exception",
        texts(&[
            ("severity", "critical"),
            ("target", "app"),
            ("message", "disk full"),
            ("exception.message", "disk full"),
            ("category", "files"),
        ]),
    );
    assert_eq!(
        fields_of(&event),
        (
            Severity::Critical,
            "app",
            "exception",
            "disk full",
            "files",
            r#"{"exception.message":"disk full"}"#.to_owned()
        )
    );
}

#[test]
fn an_event_of_another_sender_keeps_its_name() {
    let event = kept("cache.miss", texts(&[("key", "a")]));
    assert_eq!(
        fields_of(&event),
        (
            Severity::Info,
            "lib",
            "cache.miss",
            "cache.miss",
            "uncategorized",
            r#"{"key":"a"}"#.to_owned()
        )
    );
    let event = kept("message", texts(&[("message", "hello"), ("category", "")]));
    assert_eq!(
        fields_of(&event),
        (
            Severity::Info,
            "lib",
            "message",
            "hello",
            "uncategorized",
            "{}".to_owned()
        )
    );
    let event = kept(
        "exception",
        texts(&[("exception.type", "E"), ("exception.message", "bad")]),
    );
    assert_eq!(
        fields_of(&event),
        (
            Severity::Error,
            "lib",
            "exception",
            "bad",
            "uncategorized",
            r#"{"exception.type":"E","exception.message":"bad"}"#.to_owned()
        )
    );
}

#[test]
fn only_events_with_a_target_and_a_known_severity_are_of_spanscopes_exporter() {
    for attributes in [
        texts(&[("severity", "warn")]),
        texts(&[("target", "app")]),
        texts(&[("severity", "loud"), ("target", "app")]),
        vec![
            pair("severity", Sent::IntValue(1)),
            pair("target", Sent::StringValue("app".to_owned())),
        ],
        vec![
            pair("severity", Sent::StringValue("warn".to_owned())),
            pair("target", Sent::IntValue(1)),
        ],
    ] {
        let count = attributes.len();
        let event = kept("e", attributes);
        assert_eq!((event.severity, event.target.as_str()), (Severity::Info, "lib"));
        assert_eq!(event.attributes.len(), count, "nothing is taken out");
    }
}
