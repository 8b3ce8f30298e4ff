//! Records by source: a resource for each program, a scope for each part of it.

use opentelemetry_proto::tonic::common::v1::InstrumentationScope;
use opentelemetry_proto::tonic::resource::v1::Resource;
use spanscope_model::wire::{COUNTS_TOKENS, DROPPED_ATTRIBUTES, SCHEMA_URL};
use spanscope_model::{Attributes, Scope, Source, Value};

use super::pairs;

/// Records by resource and scope, in the order of their first ones. There are few of both, so that
/// a linear search is cheap.
pub(super) struct Groups<T>(Vec<ResourceGroup<T>>);

/// The records of one program.
pub(super) struct ResourceGroup<T> {
    attributes: Attributes,
    pub(super) scopes: Vec<ScopeGroup<T>>,
}

/// The records of one part of it.
pub(super) struct ScopeGroup<T> {
    scope: Scope,
    /// Whether the exported measurements already include the tokens of its spans.
    pub(super) counts_tokens: bool,
    pub(super) sent: Vec<T>,
}

impl<T> Default for Groups<T> {
    fn default() -> Self {
        Self(Vec::new())
    }
}

impl<T> Groups<T> {
    /// Returns the records of a source's program.
    pub(super) fn program(&mut self, source: &Source) -> &mut ResourceGroup<T> {
        let attributes = source.named_resource();
        let is_it = |of: &ResourceGroup<T>| of.attributes == attributes;
        let at = self.0.iter().position(is_it).unwrap_or_else(|| {
            self.0.push(ResourceGroup {
                attributes,
                scopes: Vec::new(),
            });
            self.0.len() - 1
        });
        &mut self.0[at]
    }

    pub(super) fn into_iter(self) -> impl Iterator<Item = ResourceGroup<T>> {
        self.0.into_iter()
    }
}

impl<T> ResourceGroup<T> {
    /// Returns the records of the scope that the source has for this target.
    pub(super) fn scope(&mut self, source: &Source, target: &str) -> &mut ScopeGroup<T> {
        let scope = source.scope_of(target);
        let at = self
            .scopes
            .iter()
            .position(|of| of.scope == scope)
            .unwrap_or_else(|| {
                self.scopes.push(ScopeGroup {
                    scope,
                    counts_tokens: false,
                    sent: Vec::new(),
                });
                self.scopes.len() - 1
            });
        &mut self.scopes[at]
    }

    pub(super) fn resource(&self) -> Resource {
        Resource {
            attributes: pairs(&without_fields(&self.attributes)),
            dropped_attributes_count: dropped(&self.attributes),
            ..Resource::default()
        }
    }

    pub(super) fn schema_url(&self) -> String {
        schema_url(&self.attributes)
    }
}

impl<T> ScopeGroup<T> {
    pub(super) fn scope(&self) -> InstrumentationScope {
        let mut attributes = without_fields(&self.scope.attributes);
        if self.counts_tokens {
            attributes.set(COUNTS_TOKENS, true);
        }
        InstrumentationScope {
            name: self.scope.name.clone(),
            version: self.scope.version.clone(),
            attributes: pairs(&attributes),
            dropped_attributes_count: dropped(&self.scope.attributes),
        }
    }

    pub(super) fn schema_url(&self) -> String {
        schema_url(&self.scope.attributes)
    }
}

/// Returns the attributes without those that OTLP has fields for.
fn without_fields(all: &Attributes) -> Attributes {
    let mut attributes = all.clone();
    let (has_url, has_dropped) = (!schema_url(all).is_empty(), dropped(all) > 0);
    let is_field = |key: &str| match key {
        SCHEMA_URL => has_url,
        DROPPED_ATTRIBUTES => has_dropped,
        _ => false,
    };
    attributes.retain(|key, _| !is_field(key));
    attributes
}

fn schema_url(attributes: &Attributes) -> String {
    let url = attributes.get(SCHEMA_URL).and_then(Value::as_str);
    url.unwrap_or_default().to_owned()
}

fn dropped(attributes: &Attributes) -> u32 {
    let count = attributes.get(DROPPED_ATTRIBUTES).and_then(Value::as_i64);
    count.and_then(|count| count.try_into().ok()).unwrap_or(0)
}
