//! The conversion of spans.

use opentelemetry_proto::tonic::common::v1::any_value::Value as Sent;
use opentelemetry_proto::tonic::common::v1::{ArrayValue, KeyValue, KeyValueList};
use opentelemetry_proto::tonic::trace::v1::span::{Event, Link};
use opentelemetry_proto::tonic::trace::v1::{Span, Status};
use spanscope_model::{Attributes, NewSpan, SpanKind, SpanState, SpanStatus, Value};

use super::{SPAN, TRACE, any, at, both, pair, shown, span, text, texts, traces};
use crate::otlp::{Converted, Signal};

fn sent(spans: Vec<Span>) -> Converted {
    both(Signal::Traces, &traces(spans))
}

fn kept(span: Span) -> NewSpan {
    let mut converted = sent(vec![span]);
    assert_eq!((converted.rejected, converted.message.as_str()), (0, ""));
    converted.records.sources.remove(0).spans.remove(0)
}

fn attributes(attributes: Vec<KeyValue>) -> Attributes {
    kept(Span { attributes, ..span() }).span.attributes
}

#[test]
fn a_span_is_converted_completely() {
    let kept = kept(Span {
        parent_span_id: vec![1; 8],
        kind: 2,
        trace_state: "a=b".to_owned(),
        flags: 257,
        attributes: texts(&[("category", " tools "), ("k", "v")]),
        status: Some(Status {
            code: 2,
            message: "broke".to_owned(),
        }),
        ..span()
    });
    let span = &kept.span;
    assert_eq!(span.trace_id.to_bytes(), TRACE);
    assert_eq!(span.span_id.to_bytes(), SPAN);
    assert_eq!(span.parent_span_id.unwrap().to_bytes(), [1; 8]);
    assert_eq!(span.name, "ask");
    assert_eq!((span.start_time, span.end_time), (at(1_000), Some(at(3_000))));
    assert_eq!(span.kind, SpanKind::Server);
    assert_eq!(span.trace_state.as_deref(), Some("a=b"));
    assert_eq!(span.status, Some(SpanStatus::Error));
    assert_eq!(span.status_message.as_deref(), Some("broke"));
    assert_eq!(span.state, SpanState::Ended);
    assert_eq!(span.target.as_deref(), Some("lib"));
    assert_eq!(span.category.as_deref(), Some("tools"));
    assert_eq!(shown(&span.attributes), r#"{"k":"v"}"#);
    // From the source.
    assert_eq!((span.service_name.as_str(), span.level), ("", None));
    assert_eq!(
        (span.resource.as_ref(), span.scope.as_ref(), kept.expires),
        (None, None, None)
    );
}

#[test]
fn a_span_without_optional_fields_has_the_defaults() {
    let mut request = traces(vec![Span {
        attributes: vec![pair("category", Sent::IntValue(1))],
        ..span()
    }]);
    request.resource_spans[0].scope_spans[0].scope = None;
    let converted = both(Signal::Traces, &request);
    let span = &converted.records.sources[0].spans[0].span;
    assert_eq!((span.kind, span.parent_span_id), (SpanKind::Internal, None));
    assert_eq!((span.status, &span.status_message), (Some(SpanStatus::Ok), &None));
    assert_eq!(
        (&span.target, &span.category, &span.trace_state),
        (&None, &None, &None)
    );
    assert_eq!(
        shown(&span.attributes),
        r#"{"category":1}"#,
        "only a text is a category"
    );
}

#[test]
fn values_keep_their_types() {
    let of_all = attributes(vec![
        pair("text", text("t")),
        pair("truth", Sent::BoolValue(true)),
        pair("whole", Sent::IntValue(i64::MIN)),
        pair("float", Sent::DoubleValue(1.0)),
        pair("bytes", Sent::BytesValue(vec![251, 255])),
        pair(
            "list",
            Sent::ArrayValue(ArrayValue {
                values: vec![any(Sent::IntValue(1)), any(Sent::DoubleValue(2.0))],
            }),
        ),
        pair(
            "map",
            Sent::KvlistValue(KeyValueList {
                values: vec![pair("a", text("b")), pair("bytes", Sent::BytesValue(vec![1]))],
            }),
        ),
        KeyValue {
            key: "nothing".to_owned(),
            ..KeyValue::default()
        },
    ]);
    let value = |key| of_all.get(key).unwrap();
    assert_eq!(value("text"), &Value::Str("t".to_owned()));
    assert_eq!(value("truth"), &Value::Bool(true));
    assert_eq!(value("whole"), &Value::I64(i64::MIN));
    assert_eq!(value("float"), &Value::F64(1.0));
    assert_eq!(value("bytes"), &Value::Str("+/8=".to_owned()));
    assert_eq!(value("list"), &Value::Json(serde_json::json!([1, 2.0])));
    assert_eq!(
        value("map"),
        &Value::Json(serde_json::json!({"a": "b", "bytes": "AQ=="}))
    );
    assert_eq!(value("nothing"), &Value::Json(serde_json::Value::Null));
}

#[test]
fn a_repeated_key_keeps_its_first_position_and_its_last_value() {
    for keys in [1, 32, 33, 64, 65, 500] {
        let one = |key: usize, value: f64| pair(&format!("k{key}"), Sent::DoubleValue(value));
        let mut pairs: Vec<KeyValue> = (0..keys).map(|key| one(key, 0.0)).collect();
        pairs.extend((0..keys).map(|key| one(key, 1.0)));
        let expected: Attributes = (0..keys).map(|key| (format!("k{key}"), 1.0)).collect();
        assert_eq!(attributes(pairs), expected, "{keys} keys");
    }
}

#[test]
fn very_many_keys_are_not_compared_with_each_other() {
    const KEYS: usize = 400_000;
    let one = |key: usize| pair(&format!("k{key}"), Sent::IntValue(1));
    let began = std::time::Instant::now();
    assert_eq!(attributes((0..KEYS).map(one).collect()).len(), KEYS);
    // It takes well below a second, but minutes if every key is compared with every other one. The
    // bound leaves room for busy machines.
    assert!(began.elapsed().as_secs() < 60, "{:?}", began.elapsed());
}

#[test]
fn a_span_without_an_end_runs() {
    for (code, status) in [(0, None), (1, None), (2, Some(SpanStatus::Error)), (77, None)] {
        let running = kept(Span {
            end_time_unix_nano: 0,
            status: Some(Status {
                code,
                ..Status::default()
            }),
            ..span()
        });
        assert_eq!(
            (running.span.state, running.span.end_time),
            (SpanState::Running, None)
        );
        assert_eq!(running.span.status, status, "{code}");
    }
}

#[test]
fn a_span_without_an_error_is_ok() {
    for (code, status) in [
        (0, SpanStatus::Ok),
        (1, SpanStatus::Ok),
        (2, SpanStatus::Error),
        (77, SpanStatus::Ok),
    ] {
        let status_of = kept(Span {
            status: Some(Status {
                code,
                ..Status::default()
            }),
            ..span()
        });
        assert_eq!(status_of.span.status, Some(status), "{code}");
    }
}

#[test]
fn an_end_before_the_start_is_moved_and_reported() {
    let moved = kept(Span {
        start_time_unix_nano: 5_000,
        end_time_unix_nano: 4_500,
        ..span()
    });
    assert_eq!(moved.span.end_time, Some(at(5_000)));
    assert_eq!(
        shown(&moved.span.attributes),
        r#"{"spanscope.end_before_start_ns":500}"#
    );
}

#[test]
fn every_kind_is_known_and_a_later_one_is_kept_as_a_number() {
    for (number, kind) in [
        (0, SpanKind::Internal),
        (1, SpanKind::Internal),
        (2, SpanKind::Server),
        (3, SpanKind::Client),
        (4, SpanKind::Producer),
        (5, SpanKind::Consumer),
    ] {
        let of_kind = kept(Span {
            kind: number,
            ..span()
        });
        assert_eq!(of_kind.span.kind, kind);
        assert!(of_kind.span.attributes.is_empty());
    }
    for number in [6, -1, i32::MAX] {
        let of_kind = kept(Span {
            kind: number,
            ..span()
        });
        assert_eq!(of_kind.span.kind, SpanKind::Internal);
        assert_eq!(
            of_kind.span.attributes.get("otel.kind"),
            Some(&Value::I64(i64::from(number)))
        );
    }
}

#[test]
fn drops_of_the_sender_and_of_the_server_are_added_up() {
    let good = Link {
        trace_id: vec![3; 16],
        span_id: vec![4; 8],
        attributes: texts(&[("why", "retry")]),
        dropped_attributes_count: 2,
        ..Link::default()
    };
    let kept = kept(Span {
        dropped_attributes_count: 1,
        dropped_events_count: 2,
        dropped_links_count: 3,
        links: vec![
            Link {
                trace_id: vec![3; 15],
                ..good.clone()
            },
            good.clone(),
            Link {
                span_id: vec![0; 8],
                ..good
            },
        ],
        events: vec![Event {
            time_unix_nano: u64::MAX,
            ..Event::default()
        }],
        ..span()
    });
    assert_eq!(
        shown(&kept.span.attributes),
        r#"{"otel.dropped_attributes_count":1,"otel.dropped_events_count":3,"otel.dropped_links_count":5}"#
    );
    assert!(kept.events.is_empty());
    let [link] = &kept.span.links[..] else {
        panic!("{:?}", kept.span.links);
    };
    assert_eq!(
        (link.trace_id.to_bytes(), link.span_id.to_bytes()),
        ([3; 16], [4; 8])
    );
    assert_eq!(
        shown(&link.attributes),
        r#"{"why":"retry","otel.dropped_attributes_count":2}"#
    );
}

#[test]
fn a_parent_of_zeros_means_no_parent() {
    let root = kept(Span {
        parent_span_id: vec![0; 8],
        ..span()
    });
    assert_eq!(root.span.parent_span_id, None);
}

#[test]
fn a_span_with_an_impossible_parent_is_kept_without_it() {
    for (reason, parent) in [
        ("its parent's span id has 7 bytes: give 8", vec![1; 7]),
        ("it can't be its own parent", SPAN.to_vec()),
    ] {
        let converted = sent(vec![Span {
            parent_span_id: parent,
            ..span()
        }]);
        assert_eq!((converted.rejected, converted.repaired), (0, 1), "{reason}");
        let reason = format!(
            "1 span was stored without a parent because of an unusable id; the first: span \"ask\": {reason}"
        );
        assert!(converted.message.starts_with(&reason), "{}", converted.message);
        assert_eq!(converted.records.sources[0].spans[0].span.parent_span_id, None);
    }
}

/// As in <https://github.com/Logflare/logflare/issues/3683>.
#[test]
fn ids_that_are_sent_as_their_digits_are_read() {
    let digits = |bytes: &[u8]| const_hex::encode(bytes).into_bytes();
    let plain = span();
    let converted = sent(vec![Span {
        trace_id: digits(&plain.trace_id),
        span_id: digits(&plain.span_id),
        ..span()
    }]);
    assert_eq!(converted.rejected, 0, "{}", converted.message);
    assert!(
        converted
            .message
            .starts_with("1 id was read that OTLP writes otherwise"),
        "{}",
        converted.message
    );
    let stored = &converted.records.sources[0].spans[0].span;
    assert_eq!(stored.trace_id.to_bytes()[..], plain.trace_id[..]);
    assert_eq!(stored.span_id.to_bytes()[..], plain.span_id[..]);
}

type Spoil = fn(&mut Span);

#[test]
fn invalid_spans_are_rejected_with_the_reason_and_the_others_are_kept() {
    let table: [(&str, Spoil); 11] = [
        (
            "its trace id has 15 bytes: give 16, in JSON as 32 hexadecimal digits",
            |span| {
                span.trace_id = vec![1; 15];
            },
        ),
        ("its trace id has 17 bytes", |span| span.trace_id = vec![1; 17]),
        ("it has no trace id", |span| span.trace_id = Vec::new()),
        (
            "it has no trace id: give 16 bytes that are not all zero",
            |span| span.trace_id = vec![0; 16],
        ),
        ("its span id has 16 bytes", |span| span.span_id = vec![1; 16]),
        ("it has no span id", |span| span.span_id = Vec::new()),
        ("it has no span id: give 8 bytes that are not all zero", |span| {
            span.span_id = vec![0; 8]
        }),
        ("it has no start", |span| span.start_time_unix_nano = 0),
        ("its start is after the year 2262", |span| {
            span.start_time_unix_nano = 1 << 63
        }),
        ("its end is after the year 2262", |span| {
            span.end_time_unix_nano = 1 << 63
        }),
        ("its end is after the year 2262", |span| {
            span.end_time_unix_nano = u64::MAX
        }),
    ];
    for (reason, spoil) in table {
        let mut spoilt = span();
        spoil(&mut spoilt);
        let converted = sent(vec![span(), spoilt, span()]);
        assert_eq!(converted.rejected, 1, "{reason}");
        assert!(
            converted.message.starts_with(&format!("span \"ask\": {reason}")),
            "{}",
            converted.message
        );
        assert_eq!(converted.records.len(), 2);
    }
}

#[test]
fn the_last_possible_moment_is_kept() {
    let mut late = sent(vec![Span {
        start_time_unix_nano: i64::MAX as u64,
        end_time_unix_nano: i64::MAX as u64,
        ..span()
    }]);
    assert_eq!(late.rejected, 0);
    let late = late.records.sources.remove(0).spans.remove(0);
    assert_eq!(late.span.end_time, Some(at(i64::MAX)));
}

#[test]
fn the_first_three_reasons_are_listed_and_the_others_counted() {
    let bad = |name: &str| Span {
        name: name.to_owned(),
        trace_id: Vec::new(),
        ..span()
    };
    let converted = sent(vec![
        bad("a"),
        bad("a"),
        bad("b"),
        bad("c"),
        bad("d"),
        bad("a"),
        bad("e"),
    ]);
    let reason =
        |name: &str| format!("span {name:?}: it has no trace id: give 16 bytes that are not all zero");
    assert_eq!(converted.rejected, 7);
    assert_eq!(
        converted.message,
        format!("{}; {}; {}; and 2 more", reason("a"), reason("b"), reason("c"))
    );
    assert!(converted.records.is_empty() && converted.records.sources.is_empty());

    let long = sent(vec![bad(&"\n\"x".repeat(10_000))]);
    assert!(
        long.message.len() < 400 && !long.message.contains('\n'),
        "{}",
        long.message
    );
}
