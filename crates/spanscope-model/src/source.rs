//! The source of records: a program and one of its parts, which OpenTelemetry calls resource and
//! scope. A store keeps both once for all records of a source.

use serde::{Deserialize, Serialize};

use crate::{Attributes, setters};

/// The part of a program that made records: a library and its version, OpenTelemetry's
/// instrumentation scope.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[non_exhaustive]
pub struct Scope {
    /// Its name; the `target` of its spans and events.
    pub name: String,
    /// Its version; empty if it has none.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub version: String,
    /// Its attributes.
    #[serde(default, skip_serializing_if = "Attributes::is_empty")]
    pub attributes: Attributes,
}

setters!(Scope {
    name: into[String],
    version: into[String],
    attributes: [Attributes],
});

/// The source of records.
#[derive(Debug, Clone, PartialEq, Default)]
#[non_exhaustive]
pub struct Source {
    /// The service name; empty if it has none.
    pub service_name: String,
    /// Attributes of the program and its environment, OpenTelemetry's resource.
    pub resource: Attributes,
    /// The part of the program.
    pub scope: Scope,
    /// Whether the program counts the tokens of its model calls itself and sends them as
    /// measurements. The store then does not count them again from its spans.
    pub counts_tokens: bool,
    /// Whether the program also sends the events of its spans as log records. The receiver then
    /// leaves out the copies in [`NewSpan`](crate::NewSpan)s.
    pub logs_events: bool,
}

setters!(Source {
    service_name: into[String],
    resource: [Attributes],
    scope: [Scope],
    counts_tokens: [bool],
    logs_events: [bool],
});

impl Source {
    /// Returns the resource with the service name, as the first attribute if the resource lacks it.
    #[must_use]
    pub fn named_resource(&self) -> Attributes {
        if self.service_name.is_empty() || self.resource.get("service.name").is_some() {
            return self.resource.clone();
        }
        let mut named = Attributes::new();
        named.set("service.name", self.service_name.clone());
        for (key, value) in self.resource.iter() {
            named.set(key, value.clone());
        }
        named
    }

    /// Returns the scope of a record with this target. A program that writes its file itself has no
    /// scopes; its targets serve as scopes.
    #[must_use]
    pub fn scope_of(&self, target: &str) -> Scope {
        let mut scope = self.scope.clone();
        if scope.name.is_empty() {
            target.clone_into(&mut scope.name);
        }
        scope
    }
}
