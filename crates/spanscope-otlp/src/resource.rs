//! OpenTelemetry's resource.

use opentelemetry::KeyValue;
use opentelemetry_sdk::Resource;
use spanscope_core::ProcessResource;
use spanscope_model::Value;

use crate::settings::Settings;

/// Returns the resource of this process, as [`ProcessResource`] describes it.
pub(crate) fn resource(settings: &Settings) -> Resource {
    let mut resource = ProcessResource::default();
    resource.detect(settings.detects_resource);
    for (key, value) in &settings.resource {
        resource.set(key, value);
    }
    if let Some(name) = &settings.service_name {
        resource.set_service_name(name);
    }
    let attributes = resource.attributes();
    let attributes = attributes.iter().map(|(key, value)| match value {
        Value::I64(number) => KeyValue::new(key.to_owned(), *number),
        value => KeyValue::new(key.to_owned(), value.to_string()),
    });
    Resource::builder_empty().with_attributes(attributes).build()
}
