//! The estimated size of the records in a body, before it is decoded.

use opentelemetry_proto::tonic::common::v1::any_value::Value as Sent;
use opentelemetry_proto::tonic::common::v1::{ArrayValue, KeyValueList};
use opentelemetry_proto::tonic::logs::v1::LogRecord;
use opentelemetry_proto::tonic::trace::v1::Span;
use opentelemetry_proto::tonic::trace::v1::span::{Event, Link};
use prost::Message as _;
use spanscope_model::{NewEvent, NewSpan};

use super::{any, logs, pair, span, text, texts, traces};
use crate::otlp::{Encoding, Signal, weight};

const MANY: usize = 1_000;

fn in_protobuf(signal: Signal, request: &impl prost::Message) -> usize {
    weight(signal, Encoding::Protobuf, &request.encode_to_vec())
}

fn in_json(signal: Signal, body: &str) -> usize {
    weight(signal, Encoding::Json, body.as_bytes())
}

/// Returns the weight of one more item.
fn each(with: impl Fn(usize) -> usize) -> usize {
    (with(2 * MANY) - with(MANY)) / MANY
}

#[test]
fn an_empty_record_weighs_as_much_as_its_decoded_form() {
    let spans = each(|count| in_protobuf(Signal::Traces, &traces(vec![Span::default(); count])));
    assert!(spans >= size_of::<Span>() + size_of::<NewSpan>(), "{spans}");
    let events = each(|count| {
        let events = vec![Event::default(); count];
        in_protobuf(Signal::Traces, &traces(vec![Span { events, ..span() }]))
    });
    assert!(events >= size_of::<Event>() + size_of::<NewEvent>(), "{events}");
    let links = each(|count| {
        let links = vec![Link::default(); count];
        in_protobuf(Signal::Traces, &traces(vec![Span { links, ..span() }]))
    });
    assert!(links >= size_of::<Link>(), "{links}");
    let records = each(|count| in_protobuf(Signal::Logs, &logs(vec![LogRecord::default(); count])));
    assert!(
        records >= size_of::<LogRecord>() + size_of::<NewEvent>(),
        "{records}"
    );
    let of_json = each(|count| {
        let records = vec!["{}"; count].join(",");
        in_json(
            Signal::Logs,
            &format!(r#"{{"resourceLogs":[{{"scopeLogs":[{{"logRecords":[{records}]}}]}}]}}"#),
        )
    });
    assert!(of_json >= records, "{of_json}, {records}");
}

#[test]
fn nested_values_weigh_as_much_as_others() {
    let items = |count| {
        Sent::ArrayValue(ArrayValue {
            values: vec![any(Sent::BoolValue(true)); count],
        })
    };
    let pairs = |count| {
        Sent::KvlistValue(KeyValueList {
            values: vec![pair("k", text("v")); count],
        })
    };
    for value in [&items as &dyn Fn(usize) -> Sent, &pairs] {
        let of_span = |attributes| traces(vec![Span { attributes, ..span() }]);
        let shallow = each(|count| in_protobuf(Signal::Traces, &of_span(vec![pair("k", value(count))])));
        let deep = each(|count| {
            let inside = Sent::ArrayValue(ArrayValue {
                values: vec![any(value(count))],
            });
            in_protobuf(Signal::Traces, &of_span(vec![pair("k", inside)]))
        });
        assert_eq!(shallow, deep);
        assert!(shallow >= size_of::<serde_json::Value>(), "{shallow}");
    }
}

#[test]
fn packed_and_unpacked_numbers_are_counted() {
    let histogram = |packed: bool, count: usize| {
        let mut point = Vec::new();
        if packed {
            prost::encoding::fixed64::encode_packed(6, &vec![7; count], &mut point);
        } else {
            prost::encoding::fixed64::encode_repeated(6, &vec![7; count], &mut point);
        }
        let wrap = |number: u32, inner: Vec<u8>| {
            let mut outer = Vec::new();
            prost::encoding::bytes::encode(number, &inner, &mut outer);
            outer
        };
        let body = wrap(1, wrap(2, wrap(2, wrap(9, wrap(1, point)))));
        weight(Signal::Metrics, Encoding::Protobuf, &body)
    };
    for packed in [true, false] {
        let number = each(|count| histogram(packed, count));
        assert!(number >= size_of::<serde_json::Value>(), "{number}");
    }
}

#[test]
fn real_requests_weigh_a_few_times_their_length() {
    let spans: Vec<Span> = (0..512_u64)
        .map(|number| Span {
            span_id: (number + 1).to_be_bytes().to_vec(),
            name: "GET /api/things/{id}".to_owned(),
            attributes: texts(&[
                ("http.request.method", "GET"),
                ("url.path", "/api/things/17"),
                ("server.address", "shop.example"),
                ("user_agent.original", "curl/8.5.0"),
            ]),
            events: vec![Event {
                name: "it went on".to_owned(),
                ..Event::default()
            }],
            ..span()
        })
        .collect();
    let request = traces(spans);
    let protobuf = request.encode_to_vec();
    let json = serde_json::to_string(&request).unwrap();
    for (weight, length) in [
        (in_protobuf(Signal::Traces, &request), protobuf.len()),
        (in_json(Signal::Traces, &json), json.len()),
    ] {
        assert!(
            (4 * length..24 * length).contains(&weight),
            "{weight} of {length}"
        );
    }
}

#[test]
fn a_field_name_with_escapes_weighs_no_less() {
    let body = |name: &str| {
        let spans = vec!["{}"; MANY].join(",");
        in_json(
            Signal::Traces,
            &format!(r#"{{"{name}":[{{"scopeSpans":[{{"spans":[{spans}]}}]}}]}}"#),
        )
    };
    assert!(body(r"res\u006furceSpans") >= body("resourceSpans"));
    assert!(
        body("something") < body("resourceSpans") / 2,
        "an unknown field becomes no record"
    );
}

#[test]
fn weighing_an_invalid_body_comes_to_an_end() {
    let whole = traces(vec![Span {
        events: vec![Event::default(); 3],
        ..span()
    }]);
    let mut bodies = vec![whole.encode_to_vec(), serde_json::to_vec(&whole).unwrap()];
    for body in bodies.clone() {
        bodies.extend((0..body.len()).map(|end| body[..end].to_vec()));
        bodies.extend((0..body.len()).map(|at| {
            let mut body = body.clone();
            body[at] ^= 0xff;
            body
        }));
    }
    bodies.extend([
        vec![0x0a; 100_000],
        vec![0x7b; 100_000],
        vec![b'['; 100_000],
        vec![b'"'; 100_001],
        vec![0xff; 1_000],
    ]);
    // A message in itself, to the maximum depth.
    let mut deep = Vec::new();
    for _ in 0..1_000 {
        let mut outer = Vec::new();
        prost::encoding::bytes::encode(5, &deep, &mut outer);
        prost::encoding::bytes::encode(1, &outer.clone(), &mut outer);
        deep = outer;
        deep.truncate(4_000);
    }
    bodies.push(deep);
    for body in bodies {
        for signal in [Signal::Traces, Signal::Metrics, Signal::Logs] {
            for encoding in [Encoding::Protobuf, Encoding::Json] {
                assert!(weight(signal, encoding, &body) >= body.len());
            }
        }
    }
}
