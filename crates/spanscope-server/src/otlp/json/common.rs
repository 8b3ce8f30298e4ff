//! The common parts of all three requests: values, attributes, resources and scopes.

use std::borrow::Cow;

use opentelemetry_proto::tonic::common::v1::any_value::Value as Sent;
use opentelemetry_proto::tonic::common::v1::{
    AnyValue, ArrayValue, InstrumentationScope, KeyValue, KeyValueList,
};
use opentelemetry_proto::tonic::resource::v1::Resource;

use super::base64::decoded;
use super::invalid_value::InvalidValue;
use super::node::Node;
use super::object::{Object, float, unfit, whole};
use crate::otlp::tally::{RequestTally, quoted};

pub(super) fn resource(mut resource: Object<'_>, tally: &mut RequestTally) -> Resource {
    let (attributes, lost) = attributes(&mut resource, "attributes", tally);
    Resource {
        attributes,
        dropped_attributes_count: dropped(&mut resource, "droppedAttributesCount", lost, tally),
        // The names of the resource's identifying attributes: in development, and no record keeps
        // them.
        entity_refs: Vec::new(),
    }
}

pub(super) fn scope(mut scope: Object<'_>, tally: &mut RequestTally) -> InstrumentationScope {
    let (attributes, lost) = attributes(&mut scope, "attributes", tally);
    InstrumentationScope {
        name: or_left_out(scope.text("name"), tally),
        version: or_left_out(scope.text("version"), tally),
        attributes,
        dropped_attributes_count: dropped(&mut scope, "droppedAttributesCount", lost, tally),
    }
}

/// Returns the value, or the default on an error: a record is worth more than this part of it.
pub(super) fn or_left_out<T: Default>(read: Result<T, InvalidValue>, tally: &mut RequestTally) -> T {
    read.unwrap_or_else(|wrong| {
        tally.leave_out_part(|| wrong.to_string());
        T::default()
    })
}

/// Returns how many the sender left out, plus those left out here.
pub(super) fn dropped(object: &mut Object<'_>, field: &str, here: u32, tally: &mut RequestTally) -> u32 {
    or_left_out(object.whole::<u32>(field), tally).saturating_add(here)
}

/// The attributes that can be read, and how many can't: one costs neither the record nor the
/// others.
pub(super) fn attributes(
    object: &mut Object<'_>,
    field: &str,
    tally: &mut RequestTally,
) -> (Vec<KeyValue>, u32) {
    let pairs = match object.take(field) {
        None => return (Vec::new(), 0),
        Some(Node::List(pairs)) => pairs,
        Some(Node::Object(pairs)) => return attributes_of_map(pairs, field, tally),
        Some(other) => {
            tally.leave_out_part(|| unfit(&other, "a list").within(field).to_string());
            return (Vec::new(), 0);
        }
    };
    let mut attributes = Vec::with_capacity(pairs.len());
    let mut lost = 0;
    for (index, pair) in pairs.into_iter().enumerate() {
        match key_value(pair, tally) {
            Ok(pair) => attributes.push(pair),
            Err(wrong) => {
                lost += 1;
                tally.leave_out_attribute(|| wrong.at(index).within(field).to_string());
            }
        }
    }
    (attributes, lost)
}

/// Reads attributes that were wrongly sent as an object in place of a list. Each takes more memory
/// than was reserved for a field of an object, so it is counted like a copy.
fn attributes_of_map(
    pairs: Vec<(Cow<'_, str>, Node<'_>)>,
    field: &str,
    tally: &mut RequestTally,
) -> (Vec<KeyValue>, u32) {
    let mut attributes = Vec::new();
    let mut lost = 0;
    tally.keep_as_it_is(|| format!("{field}: an object is not a list"));
    for (key, value) in pairs {
        if let Err(why) = tally.copy(size_of::<KeyValue>()) {
            lost += 1;
            tally.leave_out_attribute(|| why);
            continue;
        }
        let value = match value {
            Node::Object(_) => any_value(value, &mut |_| ()),
            other => AnyValue { value: plain(other) },
        };
        attributes.push(KeyValue {
            key: key.into_owned(),
            value: Some(value),
            key_strindex: 0,
        });
    }
    (attributes, lost)
}

/// A pair. It can't be read without its key.
fn key_value(pair: Node<'_>, tally: &mut RequestTally) -> Result<KeyValue, InvalidValue> {
    let mut pair = Object::of(pair)?;
    let key = pair.text("key")?;
    let value = pair.take("value").map(|value| {
        any_value(value, &mut |wrong| {
            tally.keep_as_it_is(|| format!("{}: {wrong}", quoted(&key)));
        })
    });
    Ok(KeyValue {
        key,
        value,
        key_strindex: 0, // only in profiles
    })
}

/// Reads a value. One that is not of its declared type becomes what it is in JSON, and is passed to
/// `wrong`. `serde_json` has bounded the nesting.
pub(super) fn any_value(value: Node<'_>, wrong: &mut dyn FnMut(InvalidValue)) -> AnyValue {
    let mut object = match value {
        Node::Object(_) => match Object::of(value) {
            Ok(object) => object,
            Err(_) => return AnyValue { value: None }, // it is one
        },
        other => {
            wrong(unfit(&other, "an object").within("value"));
            return AnyValue { value: plain(other) };
        }
    };
    for (field, read) in KINDS {
        if let Some(value) = object.take(field) {
            let value = read(value, wrong).unwrap_or_else(|(value, why)| {
                wrong(why.within(field));
                plain(value)
            });
            if let Some((other, _)) = KINDS.iter().find(|(kind, _)| !object.is_null(kind)) {
                wrong(InvalidValue::new(format!(
                    "it has a {field} and a {other}, of which the first was stored"
                )));
            }
            return AnyValue { value };
        }
    }
    // Go's structures without protobuf's mapping: {"Value": {"StringValue": ...}}.
    if let Some(Node::Object(mut fields)) = object.take("Value") {
        for (key, _) in &mut fields {
            if key.starts_with(|first: char| first.is_ascii_uppercase()) {
                key.to_mut()[..1].make_ascii_lowercase();
            }
        }
        return any_value(Node::Object(fields), wrong);
    }
    // Null means a missing field.
    let rest = object.into_node();
    if let Some(field) = rest.first_field() {
        wrong(InvalidValue::new(format!(
            "{} is not a kind of value",
            quoted(field)
        )));
        return AnyValue { value: plain(rest) };
    }
    AnyValue { value: None }
}

/// Reads a value of one type; one of another type is returned, with the error.
type Read =
    for<'n> fn(Node<'n>, &mut dyn FnMut(InvalidValue)) -> Result<Option<Sent>, (Node<'n>, InvalidValue)>;

const KINDS: [(&str, Read); 7] = [
    ("stringValue", |value, _| match value {
        Node::Text(text) => Ok(Some(Sent::StringValue(text.into_owned()))),
        other => Err(refused(other, "a text")),
    }),
    ("boolValue", |value, _| match value {
        Node::Truth(value) => Ok(Some(Sent::BoolValue(value))),
        other => Err(refused(other, "true or false")),
    }),
    ("intValue", |value, _| match int_value(&value) {
        Ok(number) => Ok(Some(number)),
        Err(wrong) => Err((value, wrong)),
    }),
    ("doubleValue", |value, _| match float(&value) {
        Ok(number) => Ok(Some(Sent::DoubleValue(number))),
        Err(wrong) => Err((value, wrong)),
    }),
    ("arrayValue", |value, wrong| {
        let values = values_of(value)?.into_iter();
        // Some writers have null for an empty value in a list.
        let values = values.map(|item| match item {
            Node::Null => AnyValue { value: None },
            item => any_value(item, wrong),
        });
        Ok(Some(Sent::ArrayValue(ArrayValue {
            values: values.collect(),
        })))
    }),
    ("kvlistValue", |value, wrong| {
        let values = values_of(value)?.into_iter();
        let values = values.filter_map(|pair| {
            let read = Object::of(pair).and_then(|mut pair| Ok((pair.text("key")?, pair.take("value"))));
            match read {
                Ok((key, value)) => Some(KeyValue {
                    key,
                    value: value.map(|value| any_value(value, wrong)),
                    key_strindex: 0,
                }),
                Err(why) => {
                    wrong(
                        InvalidValue::new(format!("{why}, so the pair was left out")).within("kvlistValue"),
                    );
                    None
                }
            }
        });
        Ok(Some(Sent::KvlistValue(KeyValueList {
            values: values.collect(),
        })))
    }),
    ("bytesValue", |value, _| match bytes_value(&value) {
        Ok(bytes) => Ok(Some(Sent::BytesValue(bytes))),
        Err(wrong) => Err((value, wrong)),
    }),
];

fn refused<'n>(value: Node<'n>, wanted: &str) -> (Node<'n>, InvalidValue) {
    let wrong = unfit(&value, wanted);
    (value, wrong)
}

/// Returns the list in `{"values": [...]}`.
fn values_of(value: Node<'_>) -> Result<Vec<Node<'_>>, (Node<'_>, InvalidValue)> {
    match value {
        Node::Object(mut fields) => match fields.iter().position(|(key, _)| key == "values") {
            None if fields.iter().any(|(_, value)| *value != Node::Null) => {
                let wrong = InvalidValue::new("the object has no field `values`".to_owned());
                Err((Node::Object(fields), wrong))
            }
            None => Ok(Vec::new()),
            Some(at) => match fields.swap_remove(at).1 {
                Node::Null => Ok(Vec::new()),
                Node::List(values) => Ok(values),
                other => Err(refused(other, "a list")),
            },
        },
        other => Err(refused(other, "an object")),
    }
}

/// Reads a value without regard to its declared type.
fn plain(value: Node<'_>) -> Option<Sent> {
    let any = |value| AnyValue { value: plain(value) };
    Some(match value {
        Node::Null => return None,
        Node::Truth(value) => Sent::BoolValue(value),
        Node::Number(number) => match number.as_i64() {
            Some(number) => Sent::IntValue(number),
            None => Sent::DoubleValue(number.as_f64()?),
        },
        Node::Text(text) => Sent::StringValue(text.into_owned()),
        Node::List(items) => Sent::ArrayValue(ArrayValue {
            values: items.into_iter().map(any).collect(),
        }),
        Node::Object(fields) => Sent::KvlistValue(KeyValueList {
            values: fields
                .into_iter()
                .map(|(key, value)| KeyValue {
                    key: key.into_owned(),
                    value: Some(any(value)),
                    key_strindex: 0,
                })
                .collect(),
        }),
    })
}

fn int_value(value: &Node<'_>) -> Result<Sent, InvalidValue> {
    whole(value).map(Sent::IntValue).or_else(|wrong| {
        // All numbers of JavaScript are doubles, and its SDK sends each whole one as an integer,
        // even 1e21.
        match float(value) {
            Ok(number) if number.fract() == 0.0 && value.as_text().is_none() => Ok(Sent::DoubleValue(number)),
            _ => Err(wrong),
        }
    })
}

fn bytes_value(value: &Node<'_>) -> Result<Vec<u8>, InvalidValue> {
    let text = value.as_text().ok_or_else(|| unfit(value, "a text"))?;
    decoded(text).map_err(|error| InvalidValue::new(format!("this is not base64: {error}")))
}
