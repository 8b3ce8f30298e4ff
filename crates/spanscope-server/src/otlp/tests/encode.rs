//! The export of records is the inverse of their import: stored records are read back unchanged.

use prost::Message as _;
use serde_json::json;
use spanscope_model::{
    LogEvent, MetricKind, NewEvent, NewPoint, NewSpan, Severity, Source, SourceRecords, Span, SpanId,
    SpanKind, SpanState, SpanStatus, Temporality, Timestamp, TraceId, Value, wire,
};

use super::property::Chance;
use super::{SPAN, TRACE, at};
use crate::otlp::{Encoding, Signal, convert, encode, otlp_json};

/// A span that ended well.
fn ended(name: &str) -> Span {
    let (trace, span) = (TraceId::from_bytes(TRACE), SpanId::from_bytes(SPAN));
    Span::new(trace.unwrap(), span.unwrap(), name, at(1_000))
        .end_time(at(3_000))
        .status(SpanStatus::Ok)
        .state(SpanState::Ended)
        .service_name("shop")
        .target("shop::orders".to_owned())
}

fn event_at(timestamp: Timestamp) -> LogEvent {
    LogEvent::new(timestamp, Severity::Info, String::new())
}

/// The span as the only record of its source.
fn alone(new: &NewSpan) -> [SourceRecords; 1] {
    let source = Source::default().service_name(new.span.service_name.clone());
    [SourceRecords::default().source(source).spans(vec![new.clone()])]
}

/// Returns the records, read from both written forms.
fn all_read_again(signal: Signal, records: &[SourceRecords]) -> Vec<SourceRecords> {
    let (message, field) = match signal {
        Signal::Traces => (encode::traces(records).encode_to_vec(), "resourceSpans"),
        Signal::Metrics => (encode::metrics(records).encode_to_vec(), "resourceMetrics"),
        Signal::Logs => (encode::logs(records).encode_to_vec(), "resourceLogs"),
    };
    let json = otlp_json(records)
        .into_iter()
        .find(|request| request.get(field).is_some());
    let [from_protobuf, from_json] = [
        (Encoding::Protobuf, message),
        (Encoding::Json, json.unwrap().to_string().into_bytes()),
    ]
    .map(|(encoding, body)| {
        let converted = convert(signal, encoding, &body, None).unwrap();
        assert_eq!(converted.rejected, 0, "{}", converted.message);
        converted.records.sources
    });
    assert_eq!(from_protobuf, from_json);
    from_json
}

/// Returns the span and its events, written and read again.
fn read_again(new: &NewSpan) -> NewSpan {
    all_read_again(Signal::Traces, &alone(new))
        .remove(0)
        .spans
        .remove(0)
}

#[test]
fn exported_logs_and_measurements_are_read_back_unchanged() {
    let mut chance = Chance::new(0xfeed);
    let mut compared = [0; 2];
    for _ in 0..600 {
        let logs = (Signal::Logs, chance.logs().encode_to_vec());
        let metrics = (Signal::Metrics, chance.metrics().encode_to_vec());
        for (index, (signal, request)) in [logs, metrics].into_iter().enumerate() {
            let converted = convert(signal, Encoding::Protobuf, &request, None).unwrap();
            let mut sources = converted.records.sources;
            // Records at time zero have no time in OTLP, and get that of their arrival.
            for source in &mut sources {
                source.spans.clear();
                source.events.retain(|new| new.event.timestamp.as_nanos() != 0);
                source.points.retain(|point| point.timestamp.as_nanos() != 0);
            }
            sources.retain(|source| !(source.events.is_empty() && source.points.is_empty()));
            if sources.is_empty() {
                continue;
            }
            let again = all_read_again(signal, &sources);
            // Equal sources become one, so records are compared together with their source.
            let all = |sources: &[SourceRecords]| {
                let mut all: Vec<String> = sources
                    .iter()
                    .flat_map(|of| {
                        let source = (&of.source.resource, &of.source.scope);
                        let events = of.events.iter().map(move |new| format!("{source:?} {new:?}"));
                        let points = of.points.iter().map(move |point| {
                            let stored = (&point.metric, &point.value, &point.detail, &point.labels);
                            let context = (point.timestamp, point.trace_id, point.span_id, point.kind);
                            format!("{source:?} {stored:?} {context:?}")
                        });
                        events.chain(points).collect::<Vec<_>>()
                    })
                    .collect();
                all.sort();
                all
            };
            assert_eq!(all(&again), all(&sources));
            compared[index] += 1;
        }
    }
    assert!(compared.iter().all(|compared| *compared > 200), "{compared:?}");
}

/// A total is stored as its increase, and a program's own observation without any detail.
#[test]
fn an_exported_measurement_keeps_its_stored_form() {
    let total = json!({"total": 900, "start": "1970-01-01T00:00:00Z"});
    let buckets = json!({
        "count": 4, "sum": 10.5, "bucket_counts": [1, 3], "explicit_bounds": [2.5], "temporality": "cumulative"
    });
    for (kind, value, detail) in [
        (MetricKind::Counter, Value::I64(5), None),
        (MetricKind::Counter, Value::I64(5), Some(total.clone())),
        (MetricKind::Gauge, Value::F64(-0.5), Some(total)),
        (MetricKind::Histogram, Value::I64(7), None),
        (MetricKind::Histogram, Value::F64(2.5), Some(buckets)),
        (
            MetricKind::Histogram,
            Value::F64(1.0),
            Some(json!({"read_from": "span"})),
        ),
    ] {
        let point = NewPoint::new("m", value, kind, at(5))
            .temporality(Temporality::Delta)
            .unit("1")
            .labels(vec![("model".to_owned(), "a".to_owned())])
            .trace_id(TraceId::from_bytes(TRACE))
            .span_id(SpanId::from_bytes(SPAN))
            .detail(detail);
        let records = [SourceRecords::default().points(vec![point.clone()])];
        let again = all_read_again(Signal::Metrics, &records);
        assert_eq!(again[0].points, [point]);
    }
}

/// A self-contained data point is not written twice.
#[test]
fn metadata_is_written_only_where_it_is_needed() {
    let point = |kind, value, detail| {
        NewPoint::new("m", value, kind, at(5))
            .temporality(Temporality::Delta)
            .detail(detail)
    };
    let buckets = json!({
        "count": 4, "sum": 10.5, "bucket_counts": [1, 3], "explicit_bounds": [2.5], "temporality": "delta"
    });
    for (point, is_needed) in [
        (point(MetricKind::Counter, Value::I64(5), None), false),
        (point(MetricKind::Gauge, Value::F64(0.5), None), false),
        (
            point(MetricKind::Histogram, Value::F64(10.5), Some(buckets)),
            false,
        ),
        (point(MetricKind::Histogram, Value::F64(10.5), None), true),
    ] {
        let records = SourceRecords::default().points(vec![point]);
        let written = encode::metrics(&[records]);
        let metric = &written.resource_metrics[0].scope_metrics[0].metrics[0];
        assert_eq!(!metric.metadata.is_empty(), is_needed, "{metric:?}");
    }
}

#[test]
fn exported_spans_are_read_back_unchanged() {
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

/// Names that carry an event's fields are attributes of it at the same time.
#[test]
fn an_events_own_attributes_are_sent_with_its_fields() {
    for name in ["", "given"] {
        let mut event = event_at(at(2_000))
            .trace_id(TraceId::from_bytes(TRACE))
            .span_id(SpanId::from_bytes(SPAN))
            .severity(Severity::Warn)
            .name(name)
            .message("said")
            .target("core::routers")
            .category("core");
        for key in [wire::SEVERITY, wire::TARGET, wire::MESSAGE, wire::CATEGORY] {
            event.attributes.set(key, "mine");
        }
        let span = NewSpan::new(ended("chat").service_name(String::new())).events(vec![NewEvent::new(event)]);
        let again = read_again(&span);
        assert_eq!(again, span);
        let sent = otlp_json(&alone(&span));
        let sent = &sent[0]["resourceSpans"][0]["scopeSpans"][0]["spans"][0]["events"][0]["attributes"];
        let keys: Vec<_> = sent.as_array().unwrap().iter().map(|pair| &pair["key"]).collect();
        let distinct: std::collections::HashSet<_> = keys.iter().collect();
        assert_eq!(keys.len(), distinct.len(), "{keys:?}");
    }
}

#[test]
fn the_state_of_a_span_without_an_end_is_exported() {
    let mut open = NewSpan::new(
        ended("open")
            .end_time(None::<Timestamp>)
            .status(None::<SpanStatus>)
            .state(SpanState::Running)
            .service_name(String::new()),
    );
    let written = otlp_json(&alone(&open));
    let attributes = &written[0]["resourceSpans"][0]["scopeSpans"][0]["spans"][0]["attributes"];
    assert_eq!(attributes[0]["value"]["stringValue"], "running");
    assert_eq!(read_again(&open), open);
    // A received record can only be running or ended, so the exported word stays as an attribute.
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
    let [mut records] = alone(&NewSpan::new(first));
    records.spans.push(NewSpan::new(second));
    let requests = otlp_json(&[records]);
    let resource = &requests[0]["resourceSpans"][0];
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
