//! JSON of other writers, with which `opentelemetry-proto` would fail or drop data silently.

use serde_json::json;
use spanscope_model::{NewPoint, Severity, Span, SpanKind, SpanStatus, Value};

use super::{SPAN, TRACE, at, of_json};
use crate::otlp::{Converted, Signal};

pub(super) const IDS: &str = r#""traceId":"07070707070707070707070707070707","spanId":"0909090909090909""#;
pub(super) const TIMES: &str = r#""startTimeUnixNano":"1000","endTimeUnixNano":"3000""#;

pub(super) fn traces(spans: &str) -> Converted {
    of_json(
        Signal::Traces,
        &format!(r#"{{"resourceSpans":[{{"scopeSpans":[{{"spans":[{spans}]}}]}}]}}"#),
    )
}

fn metrics(metrics: &str) -> Converted {
    of_json(
        Signal::Metrics,
        &format!(r#"{{"resourceMetrics":[{{"scopeMetrics":[{{"metrics":[{metrics}]}}]}}]}}"#),
    )
}

/// A span with these fields in addition to its ids and times.
pub(super) fn kept(fields: &str) -> Span {
    let comma = if fields.is_empty() { "" } else { "," };
    let mut converted = traces(&format!("{{{IDS},{TIMES}{comma}{fields}}}"));
    assert_eq!(
        (converted.rejected, converted.message.as_str()),
        (0, ""),
        "{fields}"
    );
    converted.records.sources.remove(0).spans.remove(0).span
}

fn point(metric: &str) -> NewPoint {
    let mut converted = metrics(metric);
    assert_eq!(
        (converted.rejected, converted.message.as_str()),
        (0, ""),
        "{metric}"
    );
    converted.records.sources.remove(0).points.remove(0)
}

/// A request of Node's `@opentelemetry/exporter-trace-otlp-http`.
#[test]
fn a_request_of_nodes_sdk_is_read() {
    let body = r#"{"resourceSpans":[{"resource":{"attributes":[
        {"key":"service.name","value":{"stringValue":"shop"}},
        {"key":"process.pid","value":{"intValue":4242}},
        {"key":"process.command_args","value":{"arrayValue":{"values":[{"stringValue":"node"},{"stringValue":"a.js"}]}}}
    ],"droppedAttributesCount":0},"scopeSpans":[{"scope":{"name":"@opentelemetry/instrumentation-http","version":"0.57.0"},
    "spans":[{"traceId":"5b8efff798038103d269b633813fc60c","spanId":"eee19b7ec3c1b174","parentSpanId":"eee19b7ec3c1b173",
        "name":"GET /","kind":3,"startTimeUnixNano":"1640715557342725388","endTimeUnixNano":"1640715557342725400",
        "attributes":[{"key":"http.response.status_code","value":{"intValue":500}},{"key":"ratio","value":{"doubleValue":0.5}}],
        "droppedAttributesCount":0,
        "events":[{"attributes":[{"key":"exception.message","value":{"stringValue":"no"}}],"name":"exception","timeUnixNano":"1640715557342725390","droppedAttributesCount":0}],
        "droppedEventsCount":0,"status":{"code":2,"message":"no"},"links":[],"droppedLinksCount":0,"flags":257}]}]}]}"#;
    let converted = of_json(Signal::Traces, body);
    assert_eq!((converted.rejected, converted.message.as_str()), (0, ""));
    let of = &converted.records.sources[0];
    assert_eq!(of.source.service_name, "shop");
    assert_eq!(of.source.resource.get("process.pid"), Some(&Value::I64(4242)));
    let new = &of.spans[0];
    assert_eq!(
        (new.span.kind, new.span.status),
        (SpanKind::Client, Some(SpanStatus::Error))
    );
    assert_eq!(new.span.start_time, at(1_640_715_557_342_725_388));
    assert_eq!(new.events[0].event.severity, Severity::Error);
}

#[test]
fn ids_are_hexadecimal_in_either_case() {
    let span = kept("");
    assert_eq!((span.trace_id.to_bytes(), span.span_id.to_bytes()), (TRACE, SPAN));
    let upper = traces(&format!(
        r#"{{"traceId":"5B8EFFF798038103D269B633813FC60C","spanId":"EEE19B7EC3C1B174","parentSpanId":"",{TIMES}}}"#
    ));
    let span = &upper.records.sources[0].spans[0].span;
    assert_eq!(span.trace_id.to_string(), "5b8efff798038103d269b633813fc60c");
    assert_eq!(span.parent_span_id, None);
}

#[test]
fn a_bad_id_rejects_only_its_own_span() {
    for (ids, why) in [
        (
            r#""traceId":"xyz","spanId":"0909090909090909""#,
            r#"spans[1].traceId: "xyz" is not an id: give an even number of hexadecimal digits"#,
        ),
        (
            r#""traceId":"0x07070707070707070707070707070707","spanId":"0909090909090909""#,
            "spans[1].traceId: \"0x07070707070707070707070707070707\" is not an id",
        ),
        (
            r#""traceId":"070","spanId":"0909090909090909""#,
            r#"spans[1].traceId: "070" is not an id"#,
        ),
        (
            r#""traceId":"0707","spanId":"0909090909090909""#,
            "span \"\": its trace id has 2 bytes",
        ),
        (
            r#""traceId":7,"spanId":"0909090909090909""#,
            "spans[1].traceId: 7 is not a text",
        ),
        (
            r#""traceId":"é7","spanId":"0909090909090909""#,
            "spans[1].traceId: \"é7\" is not an id",
        ),
        (r#""traceId":null"#, "span \"\": it has no trace id"),
        ("\"x\":0", "span \"\": it has no trace id"),
    ] {
        let good = format!("{{{IDS},{TIMES}}}");
        let converted = traces(&format!("{good},{{{ids},{TIMES}}},{good}"));
        assert_eq!((converted.rejected, converted.records.len()), (1, 2), "{ids}");
        assert!(converted.message.starts_with(why), "{}", converted.message);
    }
}

#[test]
fn a_bad_id_of_a_link_drops_only_the_link() {
    let span = kept(r#""links":[{"traceId":"xyz"},{"traceId":"0707","spanId":"0909090909090909"},{}]"#);
    assert!(span.links.is_empty());
    assert_eq!(
        span.attributes.get("otel.dropped_links_count"),
        Some(&Value::I64(3))
    );
}

#[test]
fn null_means_a_missing_field_and_unknown_fields_are_ignored() {
    let bare = kept("");
    let nulls = kept(
        r#""parentSpanId":null,"name":null,"kind":null,"attributes":null,"events":null,"links":null,"status":null,
           "traceState":null,"flags":null,"droppedAttributesCount":null,"futureField":{"a":[1,{"b":null}]},"trace_id":"zz""#,
    );
    assert_eq!(bare, nulls);
}

#[test]
fn whole_numbers_are_numbers_or_texts() {
    for time in ["5", "\"5\"", "5.0", "5e0"] {
        let span = kept(&format!(r#""startTimeUnixNano":{time}"#));
        assert_eq!(span.start_time, at(5), "{time}");
    }
    for (time, why) in [
        ("-5", "-5 is not a whole number that fits here"),
        ("5.5", "5.5 is not a whole number"),
        ("1e300", "1e+300 is not a whole number"),
        ("\"x\"", "\"x\" is not a whole number"),
        (
            "\"18446744073709551616\"",
            "\"18446744073709551616\" is not a whole number",
        ),
        ("true", "true is not a whole number"),
        ("{\"low\":1,\"high\":2}", "an object is not a whole number"),
    ] {
        let converted = traces(&format!(r#"{{{IDS},"startTimeUnixNano":{time}}}"#));
        assert_eq!(converted.rejected, 1);
        assert!(
            converted
                .message
                .starts_with(&format!("spans[0].startTimeUnixNano: {why}")),
            "{}",
            converted.message
        );
    }
    let counted = kept(r#""droppedLinksCount":"4","flags":"257""#);
    assert_eq!(
        counted.attributes.get("otel.dropped_links_count"),
        Some(&Value::I64(4))
    );
}

#[test]
fn enums_are_numbers_or_names() {
    for kind in ["2", "\"2\"", "\"SPAN_KIND_SERVER\""] {
        assert_eq!(
            kept(&format!(r#""kind":{kind}"#)).kind,
            SpanKind::Server,
            "{kind}"
        );
    }
    let status = kept(r#""status":{"code":"STATUS_CODE_ERROR"}"#).status;
    assert_eq!(status, Some(SpanStatus::Error));
    let converted = traces(&format!(r#"{{{IDS},{TIMES},"kind":"SPAN_KIND_QUANTUM"}}"#));
    assert_eq!(
        (converted.rejected, converted.repaired),
        (0, 1),
        "an unknown name of a kind"
    );
    let log = of_json(
        Signal::Logs,
        r#"{"resourceLogs":[{"scopeLogs":[{"logRecords":[{"timeUnixNano":1,"severityNumber":"SEVERITY_NUMBER_WARN2"}]}]}]}"#,
    );
    assert_eq!(log.records.sources[0].events[0].event.severity, Severity::Warn);
}

#[test]
fn a_span_that_is_not_an_object_is_rejected() {
    let converted = traces(&format!("null,5,{{{IDS},{TIMES}}}"));
    assert_eq!((converted.rejected, converted.records.len()), (2, 1));
    assert_eq!(
        converted.message,
        "spans[0]: null is not an object; spans[1]: 5 is not an object"
    );
}

#[test]
fn unpaired_surrogates_are_replaced() {
    for (sent, read) in [
        (r"cut \ud83d", "cut \u{fffd}"),
        (r"\uDE00 start", "\u{fffd} start"),
        (r"\ud83d\ud83d\ude00\ude00", "\u{fffd}\u{1f600}\u{fffd}"),
        (r"a\ud83dA", "a\u{fffd}A"),
        (r"\\ud83d\ud83d\n", "\\ud83d\u{fffd}\n"),
        (r#"\ud83d\"b"#, "\u{fffd}\"b"),
    ] {
        assert_eq!(kept(&format!(r#""name":"{sent}""#)).name, read, "{sent}");
    }
    for whole in [r"\ud83d\ude00", r"\\ud83d", "\u{1f600}"] {
        kept(&format!(r#""name":"{whole}""#));
    }
    let broken =
        format!(r#"{{"resourceSpans":[{{"scopeSpans":[{{"spans":[{{{IDS},"name":"\ud83d \q"}}]}}]}}]}}"#);
    for end in 0..broken.len() {
        let body = &broken.as_bytes()[..end];
        crate::otlp::convert(Signal::Traces, crate::otlp::Encoding::Json, body, None).unwrap_err();
    }
}

#[test]
fn a_metric_never_loses_its_points_silently() {
    let nan = metrics(
        r#"{"name":"a","gauge":{"dataPoints":[{"timeUnixNano":1,"asDouble":"NaN"},{"timeUnixNano":1,"asDouble":2}]}}"#,
    );
    assert_eq!((nan.rejected, nan.records.len()), (1, 1));
    let bad_time = metrics(
        r#"{"name":"a","gauge":{"dataPoints":[{"timeUnixNano":"x","asInt":1},{"timeUnixNano":1,"asInt":"2"}]}}"#,
    );
    assert_eq!((bad_time.rejected, bad_time.records.len()), (1, 1));
    assert!(
        bad_time
            .message
            .starts_with("dataPoints[0].timeUnixNano: \"x\" is not"),
        "{}",
        bad_time.message
    );
    // An error that makes a whole metric unreadable rejects all its points, and counts them.
    let bad_temporality = metrics(
        r#"{"name":"a","sum":{"aggregationTemporality":"SOON","dataPoints":[{"timeUnixNano":"x"},{},{}]}},
           {"name":"b","sum":5},{"name":7,"gauge":{"dataPoints":[{},{}]}}"#,
    );
    assert_eq!(bad_temporality.rejected, 3 + 1 + 2);
    assert_eq!(
        bad_temporality.message,
        "metrics[0].sum.aggregationTemporality: \"SOON\" is not a whole number that fits here; \
         metrics[1].sum: 5 is not an object; metrics[2].name: 7 is not a text"
    );
}

#[test]
fn all_kinds_of_metrics_are_read() {
    let point_of_sum = point(
        r#"{"name":"a","unit":"1","description":"d","metadata":[],"sum":{"aggregationTemporality":"AGGREGATION_TEMPORALITY_DELTA","isMonotonic":true,
            "dataPoints":[{"attributes":[{"key":"l","value":{"stringValue":"v"}}],"timeUnixNano":"2","asInt":"7"}]}}"#,
    );
    assert_eq!(
        (point_of_sum.value, point_of_sum.unit.as_str()),
        (Value::I64(7), "1")
    );
    let of_histogram = point(
        r#"{"name":"a","histogram":{"aggregationTemporality":2,"dataPoints":[{"timeUnixNano":2,"count":"3","sum":1,
            "bucketCounts":["1",2],"explicitBounds":[1,"Infinity"],"min":null,"max":2}]}}"#,
    );
    assert_eq!(
        of_histogram.detail,
        Some(
            json!({"count": 3, "sum": 1.0, "max": 2.0, "bucket_counts": [1, 2],
            "explicit_bounds": [1.0, "Infinity"], "temporality": "cumulative"})
        )
    );
    let exponential = point(
        r#"{"name":"a","exponentialHistogram":{"aggregationTemporality":1,"dataPoints":[{"timeUnixNano":2,"count":3,"scale":"-1",
            "zeroCount":"1","zeroThreshold":0,"positive":{"offset":1,"bucketCounts":["1",2]},"negative":{}}]}}"#,
    );
    assert_eq!(
        exponential.detail,
        Some(
            json!({"count": 3, "sum": null, "scale": -1, "zero_count": 1, "zero_threshold": 0.0,
            "positive": {"offset": 1, "bucket_counts": [1, 2]}, "negative": {"offset": 0, "bucket_counts": []},
            "temporality": "delta"})
        )
    );
    let summary = point(
        r#"{"name":"a","summary":{"dataPoints":[{"timeUnixNano":2,"count":3,"sum":"1.5","quantileValues":[{"quantile":1,"value":"NaN"}]}]}}"#,
    );
    assert_eq!(
        summary.detail,
        Some(json!({"count": 3, "sum": 1.5, "quantiles": [{"quantile": 1.0, "value": "NaN"}]}))
    );
    let gauge = point(
        r#"{"name":"a","gauge":{"dataPoints":[{"timeUnixNano":2,"asDouble":1,"exemplars":[{"asInt":"1","traceId":"zz","spanId":null}]}]}}"#,
    );
    assert_eq!(gauge.value, Value::F64(1.0));
    assert_eq!(gauge.detail, Some(json!({"exemplars": [{"value": 1}]})));
}

#[test]
fn a_log_record_is_read() {
    let converted = of_json(
        Signal::Logs,
        &format!(
            r#"{{"resourceLogs":[{{"scopeLogs":[{{"logRecords":[{{{IDS},"timeUnixNano":"1","severityNumber":17,"severityText":"Error",
            "body":{{"kvlistValue":{{"values":[{{"key":"a","value":{{"intValue":"1"}}}}]}}}},"eventName":"e","attributes":[]}}]}}]}}]}}"#
        ),
    );
    let event = &converted.records.sources[0].events[0].event;
    assert_eq!(
        (event.severity, event.message.as_str(), event.name.as_str()),
        (Severity::Error, r#"{"a":1}"#, "e")
    );
    assert_eq!(event.span_id.unwrap().to_bytes(), SPAN);
}
