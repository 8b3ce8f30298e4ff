//! The sources of records: the resource and the scopes of a request, common to all three signals.

use opentelemetry_proto::tonic::common::v1::InstrumentationScope;
use opentelemetry_proto::tonic::resource::v1::Resource;
use spanscope_model::wire::{COUNTS_TOKENS, DROPPED_ATTRIBUTES, LOGS_EVENTS, SCHEMA_URL};
use spanscope_model::{Attributes, Scope, Source, SourceRecords, Value};

use super::attributes::{attributes, set_dropped, weight};
use super::tally::RequestTally;

/// The records of one resource.
pub(super) struct ResourceRecords<R> {
    pub(super) resource: Option<Resource>,
    pub(super) schema_url: String,
    pub(super) scopes: Vec<ScopeRecords<R>>,
}

/// The records of one of its scopes.
pub(super) struct ScopeRecords<R> {
    pub(super) scope: Option<InstrumentationScope>,
    pub(super) schema_url: String,
    pub(super) sent: Vec<R>,
}

/// Converts the sent items to records by source.
///
/// `count` returns the number of records in an item, `take` adds or rejects them.
pub(super) fn by_source<R>(
    sent: impl Iterator<Item = ResourceRecords<R>>,
    tally: &mut RequestTally,
    count: impl Fn(&R) -> u64,
    mut take: impl FnMut(R, &mut SourceRecords, &mut RequestTally),
) -> Vec<SourceRecords> {
    let mut sources = Vec::new();
    for of_resource in sent {
        let (service_name, resource) = resource_of(of_resource.resource, of_resource.schema_url);
        let size = service_name.len() + weight(&resource);
        let mut is_first = true;
        for of_scope in of_resource.scopes {
            if of_scope.sent.is_empty() {
                continue; // a scope without records costs no copy of the resource
            }
            if !is_first && let Err(why) = tally.copy(size) {
                tally.reject(of_scope.sent.iter().map(&count).sum(), why);
                continue;
            }
            is_first = false;
            let (scope, [counts_tokens, logs_events]) = scope(of_scope.scope, of_scope.schema_url);
            let mut records = SourceRecords::default().source(
                Source::default()
                    .service_name(service_name.clone())
                    .resource(resource.clone())
                    .scope(scope)
                    .counts_tokens(counts_tokens)
                    .logs_events(logs_events),
            );
            for sent in of_scope.sent {
                take(sent, &mut records, tally);
            }
            if !(records.spans.is_empty() && records.events.is_empty() && records.points.is_empty()) {
                sources.push(records);
            }
        }
    }
    sources
}

/// Returns the service name, and the resource's attributes.
fn resource_of(resource: Option<Resource>, schema_url: String) -> (String, Attributes) {
    let resource = resource.unwrap_or_default();
    let mut attributes = attributes(resource.attributes);
    let service_name = attributes.get("service.name").and_then(Value::as_str);
    let service_name = service_name.unwrap_or_default().to_owned();
    set_schema_url(&mut attributes, schema_url);
    set_dropped(
        &mut attributes,
        DROPPED_ATTRIBUTES,
        resource.dropped_attributes_count,
    );
    (service_name, attributes)
}

/// Returns the scope, whether its program counts the tokens itself, and whether it sends its events
/// as log records.
fn scope(scope: Option<InstrumentationScope>, schema_url: String) -> (Scope, [bool; 2]) {
    let scope = scope.unwrap_or_default();
    let mut attributes = attributes(scope.attributes);
    let marks = [COUNTS_TOKENS, LOGS_EVENTS].map(|mark| {
        let is_set = attributes.get(mark) == Some(&Value::Bool(true));
        if is_set {
            attributes.retain(|key, _| key != mark);
        }
        is_set
    });
    set_schema_url(&mut attributes, schema_url);
    set_dropped(
        &mut attributes,
        DROPPED_ATTRIBUTES,
        scope.dropped_attributes_count,
    );
    let scope = Scope::default()
        .name(scope.name)
        .version(scope.version)
        .attributes(attributes);
    (scope, marks)
}

fn set_schema_url(attributes: &mut Attributes, schema_url: String) {
    if !schema_url.is_empty() {
        attributes.set(SCHEMA_URL, schema_url);
    }
}
