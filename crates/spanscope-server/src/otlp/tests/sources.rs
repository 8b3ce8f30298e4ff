//! The conversion of resources and scopes.

use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::InstrumentationScope;
use opentelemetry_proto::tonic::common::v1::any_value::Value as Sent;
use opentelemetry_proto::tonic::resource::v1::Resource;
use opentelemetry_proto::tonic::trace::v1::span::Event;
use opentelemetry_proto::tonic::trace::v1::{ResourceSpans, ScopeSpans, Span};
use prost::Message as _;
use spanscope_model::Source;

use super::{both, pair, scope, shown, span, texts, traces};
use crate::otlp::{Converted, Encoding, Signal, convert};

fn source(resource: Option<Resource>, scope: Option<InstrumentationScope>, schema_url: &str) -> Source {
    let mut request = traces(vec![span()]);
    let of_resource = &mut request.resource_spans[0];
    of_resource.resource = resource;
    of_resource.schema_url = schema_url.to_owned();
    of_resource.scope_spans[0].scope = scope;
    of_resource.scope_spans[0].schema_url = schema_url.to_owned();
    both(Signal::Traces, &request).records.sources.remove(0).source
}

#[test]
fn an_empty_resource_is_a_source_without_a_name() {
    assert_eq!(source(None, None, ""), Source::default());
}

#[test]
fn resource_and_scope_are_converted_completely() {
    let mut of_scope = scope("lib").unwrap();
    of_scope.version = "1.2".to_owned();
    of_scope.attributes = vec![
        pair("spanscope.counts_tokens", Sent::BoolValue(true)),
        pair("a", Sent::IntValue(1)),
    ];
    of_scope.dropped_attributes_count = 2;
    let resource = Resource {
        attributes: texts(&[("service.name", "shop"), ("host.name", "h")]),
        dropped_attributes_count: 1,
        ..Resource::default()
    };
    let source = source(Some(resource), Some(of_scope), "https://x/1");
    assert_eq!(source.service_name, "shop");
    assert_eq!(
        shown(&source.resource),
        r#"{"service.name":"shop","host.name":"h","otel.schema_url":"https://x/1","otel.dropped_attributes_count":1}"#
    );
    assert_eq!(
        (source.scope.name.as_str(), source.scope.version.as_str()),
        ("lib", "1.2")
    );
    assert_eq!(
        shown(&source.scope.attributes),
        r#"{"a":1,"otel.schema_url":"https://x/1","otel.dropped_attributes_count":2}"#
    );
    assert!(source.counts_tokens);
}

#[test]
fn only_the_value_true_counts_tokens_and_only_a_string_names_a_service() {
    for value in [Sent::BoolValue(false), Sent::StringValue("true".to_owned())] {
        let mut of_scope = scope("lib").unwrap();
        of_scope.attributes = vec![pair("spanscope.counts_tokens", value)];
        let source = source(None, Some(of_scope), "");
        assert!(!source.counts_tokens);
        assert_eq!(source.scope.attributes.len(), 1);
    }
    let resource = Resource {
        attributes: vec![pair("service.name", Sent::IntValue(5))],
        ..Resource::default()
    };
    assert_eq!(source(Some(resource), None, "").service_name, "");
}

/// Resources with scopes, each with this number of spans.
fn of_scopes(attribute: &str, scopes: &[usize]) -> ExportTraceServiceRequest {
    let scope_spans = scopes
        .iter()
        .enumerate()
        .map(|(index, spans)| ScopeSpans {
            scope: scope(&format!("lib{index}")),
            spans: vec![span(); *spans],
            ..ScopeSpans::default()
        })
        .collect();
    ExportTraceServiceRequest {
        resource_spans: vec![ResourceSpans {
            resource: Some(Resource {
                attributes: texts(&[("service.name", "shop"), ("a", attribute)]),
                ..Resource::default()
            }),
            scope_spans,
            ..ResourceSpans::default()
        }],
    }
}

#[test]
fn each_scope_with_records_is_a_source() {
    let records = both(Signal::Traces, &of_scopes("x", &[2, 0, 1])).records;
    let of: Vec<(&str, &str, usize)> = records
        .sources
        .iter()
        .map(|of| {
            (
                of.source.service_name.as_str(),
                of.source.scope.name.as_str(),
                of.spans.len(),
            )
        })
        .collect();
    assert_eq!(of, [("shop", "lib0", 2), ("shop", "lib2", 1)]);
}

fn in_protobuf(request: &ExportTraceServiceRequest) -> Converted {
    convert(Signal::Traces, Encoding::Protobuf, &request.encode_to_vec(), None).unwrap()
}

#[test]
fn copies_of_a_resource_to_its_scopes_are_limited() {
    // A megabyte for each of 200 scopes; the budget allows about 68.
    let converted = in_protobuf(&of_scopes(&"x".repeat(1024 * 1024), &[1; 200]));
    let kept = converted.records.len();
    assert!((60..80).contains(&kept), "{kept}");
    assert_eq!(converted.rejected, 200 - kept);
    assert!(
        converted.message.contains("send shorter names"),
        "{}",
        converted.message
    );
    // Scopes without spans cost nothing.
    let mut scopes = [0; 200];
    scopes[199] = 1;
    let converted = in_protobuf(&of_scopes(&"x".repeat(1024 * 1024), &scopes));
    assert_eq!((converted.records.len(), converted.rejected), (1, 0));
}

#[test]
fn copies_of_a_scopes_name_to_its_records_are_limited() {
    let mut request = traces(vec![
        Span {
            events: vec![Event::default(); 100],
            ..span()
        };
        10
    ]);
    request.resource_spans[0].scope_spans[0].scope = scope(&"x".repeat(200_000));
    // 20 MB for each span with its events.
    let converted = in_protobuf(&request);
    assert_eq!((converted.records.len(), converted.rejected), (3 * 101, 7));
}
