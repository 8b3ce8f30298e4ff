//! The conversion of log records.

use opentelemetry_proto::tonic::common::v1::any_value::Value as Sent;
use opentelemetry_proto::tonic::common::v1::{AnyValue, KeyValueList};
use opentelemetry_proto::tonic::logs::v1::LogRecord;
use prost::Message as _;
use spanscope_model::{LogEvent, Severity, Timestamp};

use super::{SPAN, TRACE, any, at, both, logs, pair, shown, text, texts};
use crate::otlp::{Encoding, Signal, convert};

fn record() -> LogRecord {
    LogRecord {
        time_unix_nano: 1_000,
        observed_time_unix_nano: 2_000,
        body: Some(any(text("hello"))),
        ..LogRecord::default()
    }
}

fn kept(record: LogRecord) -> LogEvent {
    let mut converted = both(Signal::Logs, &logs(vec![record]));
    assert_eq!((converted.rejected, converted.message.as_str()), (0, ""));
    converted.records.sources[0].events.remove(0).event
}

#[test]
fn a_log_record_is_converted_completely() {
    let event = kept(LogRecord {
        severity_number: 14,
        severity_text: "WARN".to_owned(),
        trace_id: TRACE.to_vec(),
        span_id: SPAN.to_vec(),
        event_name: "greeting".to_owned(),
        attributes: texts(&[("category", "agents"), ("k", "v")]),
        dropped_attributes_count: 1,
        flags: 1,
        ..record()
    });
    assert_eq!(
        event,
        LogEvent::new(at(1_000), Severity::Warn, "hello")
            .trace_id(spanscope_model::TraceId::from_bytes(TRACE).unwrap())
            .span_id(spanscope_model::SpanId::from_bytes(SPAN).unwrap())
            .name("greeting")
            .target("lib")
            .category("agents")
            .attributes(event.attributes.clone())
    );
    assert_eq!(
        shown(&event.attributes),
        r#"{"k":"v","otel.dropped_attributes_count":1}"#
    );
}

#[test]
fn ids_may_be_missing() {
    let none = kept(record());
    assert_eq!((none.trace_id, none.span_id), (None, None));
    let zeros = kept(LogRecord {
        trace_id: vec![0; 16],
        span_id: vec![0; 8],
        ..record()
    });
    assert_eq!((zeros.trace_id, zeros.span_id), (None, None));
    let trace = kept(LogRecord {
        trace_id: TRACE.to_vec(),
        ..record()
    });
    assert_eq!(
        (trace.trace_id.map(|id| id.to_bytes()), trace.span_id),
        (Some(TRACE), None)
    );
}

#[test]
fn the_time_is_the_first_one_set() {
    let observed = kept(LogRecord {
        time_unix_nano: 0,
        ..record()
    });
    assert_eq!(observed.timestamp, at(2_000));
}

#[test]
fn a_record_without_a_time_gets_its_arrival_time_and_is_never_a_repetition() {
    let request = logs(vec![LogRecord {
        time_unix_nano: 0,
        observed_time_unix_nano: 0,
        ..record()
    }]);
    let before = Timestamp::now();
    let converted = convert(Signal::Logs, Encoding::Protobuf, &request.encode_to_vec(), None).unwrap();
    let time = converted.records.sources[0].events[0].event.timestamp;
    assert!(before <= time && time <= Timestamp::now());
    assert_eq!(converted.records.batch, None);
}

#[test]
fn the_body_is_the_message() {
    let map = Sent::KvlistValue(KeyValueList {
        values: vec![pair("a", Sent::IntValue(1))],
    });
    for (body, message) in [
        (Some(any(text("hello"))), "hello"),
        (Some(any(text(""))), ""),
        (Some(any(Sent::IntValue(5))), "5"),
        (Some(any(Sent::BoolValue(true))), "true"),
        (Some(any(map)), r#"{"a":1}"#),
        (Some(any(Sent::BytesValue(vec![1]))), "AQ=="),
        (Some(AnyValue { value: None }), "named"),
        (None, "named"),
    ] {
        let event = kept(LogRecord {
            body,
            event_name: "named".to_owned(),
            ..record()
        });
        assert_eq!((event.name.as_str(), event.message.as_str()), ("named", message));
    }
    let empty = kept(LogRecord {
        body: None,
        ..record()
    });
    assert_eq!((empty.name.as_str(), empty.message.as_str()), ("", ""));
}

#[test]
fn the_severity_is_that_of_the_number_or_of_the_word() {
    use Severity::{Critical, Debug, Error, Info, Verbose, Warn};
    for (number, word, severity, kept_word) in [
        (1, "", Verbose, None),
        (8, "", Debug, None),
        (9, "info", Info, None),
        (9, "INFO", Info, None),
        (9, "notice", Info, Some("notice")),
        (16, "WARNING", Warn, Some("WARNING")),
        (17, "fatal", Error, Some("fatal")),
        (24, "critical", Critical, None),
        (0, "", Info, None),
        (0, "warning", Warn, Some("warning")),
        (0, "Warn", Warn, None),
        (0, "TRACE", Verbose, Some("TRACE")),
        (0, "FATAL", Critical, Some("FATAL")),
        (0, "err", Error, Some("err")),
        (0, "ERROR2", Error, Some("ERROR2")),
        (0, "WARN3", Warn, Some("WARN3")),
        (0, "50", Error, Some("50")),
        (0, "400", Info, Some("400")),
        (0, "what?", Info, Some("what?")),
        (25, "error", Error, None),
        (-3, "", Info, Some("-3")),
        (257, "", Info, Some("257")),
        (50, "", Error, Some("50")),
        (50, "debug", Debug, None),
    ] {
        let event = kept(LogRecord {
            severity_number: number,
            severity_text: word.to_owned(),
            ..record()
        });
        assert_eq!(event.severity, severity, "{number} {word}");
        let word_of = event.attributes.get("otel.severity_text");
        assert_eq!(
            word_of.and_then(|word| word.as_str()),
            kept_word,
            "{number} {word}"
        );
    }
}

type Spoil = fn(&mut LogRecord);

#[test]
fn a_log_record_with_a_broken_id_is_kept_and_reported() {
    let table: [(&str, Spoil); 4] = [
        ("its trace id has 15 bytes", |record| {
            record.trace_id = vec![1; 15]
        }),
        ("its span id has 4 bytes", |record| {
            record.trace_id = TRACE.to_vec();
            record.span_id = vec![1; 4];
        }),
        ("its trace id has 2 bytes", |record| {
            record.trace_id = vec![1; 2];
            record.span_id = SPAN.to_vec();
        }),
        (
            "it has a span id without a trace id: give both, or neither",
            |record| record.span_id = SPAN.to_vec(),
        ),
    ];
    for (reason, spoil) in table {
        let mut spoilt = record();
        spoil(&mut spoilt);
        let has_trace = spoilt.trace_id == TRACE;
        let converted = both(Signal::Logs, &logs(vec![record(), spoilt]));
        assert_eq!((converted.rejected, converted.repaired), (0, 1), "{reason}");
        let expected =
            "1 log record was stored without ids that can't be used; the first: log record \"hello\": ";
        let message = &converted.message;
        assert!(message.starts_with(&format!("{expected}{reason}")), "{message}");
        let event = &converted.records.sources[0].events[1].event;
        assert_eq!(
            (event.trace_id.is_some(), event.span_id),
            (has_trace, None),
            "{reason}"
        );
    }
}

#[test]
fn an_event_is_named_by_its_field_or_by_the_older_attribute() {
    let named = |name: &str, attributes: &[(&str, &str)]| {
        kept(LogRecord {
            event_name: name.to_owned(),
            attributes: texts(attributes),
            ..record()
        })
        .name
    };
    assert_eq!(named("field", &[("event.name", "attribute")]), "field");
    assert_eq!(named("", &[("event.name", "attribute")]), "attribute");
    assert_eq!(named("", &[("otel.event.name", "attribute")]), "attribute");
    assert_eq!(named("", &[]), "");
}

#[test]
fn invalid_records_are_rejected_with_the_reason_and_the_others_are_kept() {
    let table: [(&str, Spoil); 2] = [
        ("its time is after the year 2262", |record| {
            record.time_unix_nano = u64::MAX;
        }),
        ("its observed time is after the year 2262", |record| {
            record.time_unix_nano = 0;
            record.observed_time_unix_nano = u64::MAX;
        }),
    ];
    for (reason, spoil) in table {
        let mut spoilt = record();
        spoil(&mut spoilt);
        let converted = both(Signal::Logs, &logs(vec![record(), spoilt]));
        assert_eq!(converted.rejected, 1, "{reason}");
        assert!(
            converted
                .message
                .starts_with(&format!("log record \"hello\": {reason}")),
            "{}",
            converted.message
        );
        assert_eq!(converted.records.len(), 1);
    }
}
