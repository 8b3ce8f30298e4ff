//! What all three requests have in them: values, attributes, resources and scopes.

use base64::Engine as _;
use base64::alphabet::STANDARD;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use opentelemetry_proto::tonic::common::v1::any_value::Value as Sent;
use opentelemetry_proto::tonic::common::v1::{
    AnyValue, ArrayValue, InstrumentationScope, KeyValue, KeyValueList,
};
use opentelemetry_proto::tonic::resource::v1::Resource;

use super::node::Node;
use super::object::{Object, float, text, truth, whole};
use super::wrong::Wrong;
use crate::otlp::tally::RequestTally;

/// A reader of protobuf's JSON takes base64 with and without padding.
const BASE64: GeneralPurpose = GeneralPurpose::new(
    &STANDARD,
    GeneralPurposeConfig::new()
        .with_decode_padding_mode(DecodePaddingMode::Indifferent)
        .with_decode_allow_trailing_bits(true),
);

pub(super) fn resource(mut resource: Object<'_>, tally: &mut RequestTally) -> Result<Resource, Wrong> {
    let (attributes, lost) = readable_attributes(&mut resource, tally)?;
    Ok(Resource {
        attributes,
        dropped_attributes_count: resource
            .whole::<u32>("droppedAttributesCount")?
            .saturating_add(lost),
        // Which attributes name the resource: in development, and none of the records that come of this keeps it.
        entity_refs: Vec::new(),
    })
}

pub(super) fn scope(mut scope: Object<'_>, tally: &mut RequestTally) -> Result<InstrumentationScope, Wrong> {
    let (attributes, lost) = readable_attributes(&mut scope, tally)?;
    Ok(InstrumentationScope {
        name: scope.text("name")?,
        version: scope.text("version")?,
        attributes,
        dropped_attributes_count: scope.whole::<u32>("droppedAttributesCount")?.saturating_add(lost),
    })
}

/// Attributes that stand for many records. One that can't be read costs none of these.
fn readable_attributes(
    object: &mut Object<'_>,
    tally: &mut RequestTally,
) -> Result<(Vec<KeyValue>, u32), Wrong> {
    let mut lost = 0;
    let attributes = object.readable("attributes", key_value, |wrong| {
        lost += 1;
        tally.leave_out_attribute(|| wrong.to_string());
    })?;
    Ok((attributes, lost))
}

pub(super) fn attributes(object: &mut Object<'_>, field: &str) -> Result<Vec<KeyValue>, Wrong> {
    object.list(field, key_value)
}

fn key_value(pair: Node<'_>) -> Result<KeyValue, Wrong> {
    let mut pair = Object::of(pair)?;
    Ok(KeyValue {
        key: pair.text("key")?,
        value: pair.message("value", any_value)?,
        key_strindex: 0, // only in profiles
    })
}

/// A value. `serde_json` has bounded how deep others lie in it.
pub(super) fn any_value(mut object: Object<'_>) -> Result<AnyValue, Wrong> {
    for (field, read) in KINDS {
        if let Some(value) = object.take(field) {
            let value = read(value).map_err(|wrong| wrong.within(field))?;
            return Ok(AnyValue { value: Some(value) });
        }
    }
    Ok(AnyValue { value: None })
}

type Read = fn(Node<'_>) -> Result<Sent, Wrong>;

const KINDS: [(&str, Read); 7] = [
    ("stringValue", |value| text(value).map(Sent::StringValue)),
    ("boolValue", |value| truth(value).map(Sent::BoolValue)),
    ("intValue", int_value),
    ("doubleValue", |value| float(&value).map(Sent::DoubleValue)),
    ("arrayValue", array_value),
    ("kvlistValue", |value| {
        let values = Object::of(value)?.list("values", key_value)?;
        Ok(Sent::KvlistValue(KeyValueList { values }))
    }),
    ("bytesValue", bytes_value),
];

fn int_value(value: Node<'_>) -> Result<Sent, Wrong> {
    whole(&value).map(Sent::IntValue).or_else(|wrong| {
        // JavaScript has no other numbers than doubles, and its SDK calls all of them integers that are whole: 1e21 too.
        match float(&value) {
            Ok(number) if number.fract() == 0.0 && value.as_text().is_none() => Ok(Sent::DoubleValue(number)),
            _ => Err(wrong),
        }
    })
}

fn array_value(value: Node<'_>) -> Result<Sent, Wrong> {
    // Some writers have null for an empty value in a list.
    let values = Object::of(value)?.list("values", |item| match item {
        Node::Null => Ok(AnyValue { value: None }),
        item => any_value(Object::of(item)?),
    })?;
    Ok(Sent::ArrayValue(ArrayValue { values }))
}

fn bytes_value(value: Node<'_>) -> Result<Sent, Wrong> {
    // And it takes both alphabets.
    let text = text(value)?.replace('-', "+").replace('_', "/");
    let bytes = BASE64.decode(text);
    bytes
        .map(Sent::BytesValue)
        .map_err(|error| Wrong::new(format!("this is no base64: {error}")))
}
