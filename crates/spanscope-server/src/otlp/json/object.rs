//! [`Object`]: an object of JSON whose fields are taken out one by one, by protobuf's mapping to
//! JSON.

use std::borrow::Cow;

use super::invalid_value::InvalidValue;
use super::node::Node;
use spanscope_model::{Timestamp, parse_non_finite};

use super::base64::decoded;
use crate::otlp::ids;
use crate::otlp::tally::{RequestTally, quoted};

/// The remaining fields of an object. Fields that are not taken are unknown, and ignored.
pub(super) struct Object<'a> {
    fields: Vec<(Cow<'a, str>, Node<'a>)>,
    /// Whether a name has an underscore: protobuf's mapping to JSON has names of fields in two
    /// spellings, `scopeSpans` and `scope_spans`, and a reader has to know both.
    has_snake_case: bool,
}

impl<'a> Object<'a> {
    pub(super) fn of(value: Node<'a>) -> Result<Self, InvalidValue> {
        match value {
            Node::Object(fields) => Ok(Self {
                has_snake_case: fields.iter().any(|(key, _)| key.contains('_')),
                fields,
            }),
            other => Err(unfit(&other, "an object")),
        }
    }

    /// Returns the remaining fields.
    pub(super) fn into_node(self) -> Node<'a> {
        Node::Object(self.fields)
    }

    pub(super) fn is_empty(&self) -> bool {
        self.fields.is_empty()
    }

    /// Returns the first field with a list as its value, which may have been meant for another one.
    pub(super) fn first_list(&self) -> Option<&str> {
        let list = self.fields.iter().find(|(_, value)| value.items().is_some());
        list.map(|(key, _)| key.as_ref())
    }

    /// Returns the first field with an object as its value.
    pub(super) fn first_object(&self) -> Option<&str> {
        let object = self
            .fields
            .iter()
            .find(|(_, value)| matches!(value, Node::Object(_)));
        object.map(|(key, _)| key.as_ref())
    }

    pub(super) fn has(&self, field: &str) -> bool {
        self.index_of(field).is_some()
    }

    /// Returns whether the field is missing or null.
    pub(super) fn is_null(&self, field: &str) -> bool {
        self.index_of(field)
            .is_none_or(|index| self.fields[index].1 == Node::Null)
    }

    /// Takes a field that is present and not null.
    pub(super) fn take(&mut self, field: &str) -> Option<Node<'a>> {
        let (_, value) = self.fields.swap_remove(self.index_of(field)?);
        (value != Node::Null).then_some(value)
    }

    /// Returns the index of a field; of several with the name, any one.
    fn index_of(&self, field: &str) -> Option<usize> {
        let exact = self.fields.iter().position(|(key, _)| key == field);
        if exact.is_some() || !self.has_snake_case {
            return exact;
        }
        let is_it = |(key, _): &(Cow<'_, str>, Node<'_>)| is_snake_case(field, key.as_bytes());
        self.fields.iter().position(is_it)
    }

    /// Reads a field with a function; returns the default if it is missing.
    fn read<T: Default>(
        &mut self,
        field: &str,
        read: impl FnOnce(Node<'a>) -> Result<T, InvalidValue>,
    ) -> Result<T, InvalidValue> {
        match self.take(field) {
            Some(value) => read(value).map_err(|wrong| wrong.within(field)),
            None => Ok(T::default()),
        }
    }

    pub(super) fn message<T>(
        &mut self,
        field: &str,
        read: impl FnOnce(Self) -> Result<T, InvalidValue>,
    ) -> Result<Option<T>, InvalidValue> {
        self.read(field, |value| Self::of(value).and_then(read).map(Some))
    }

    pub(super) fn list<T>(
        &mut self,
        field: &str,
        mut read: impl FnMut(Node<'a>) -> Result<T, InvalidValue>,
    ) -> Result<Vec<T>, InvalidValue> {
        self.read(field, |value| {
            let read_one = |(index, value)| read(value).map_err(|wrong: InvalidValue| wrong.at(index));
            items(value)?.into_iter().enumerate().map(read_one).collect()
        })
    }

    /// Reads a list of records, without invalid ones: these are rejected, each counted by `count`.
    pub(super) fn records<T>(
        &mut self,
        field: &str,
        tally: &mut RequestTally,
        count: impl Fn(&Node<'a>) -> u64,
        mut read: impl FnMut(Node<'a>, &mut RequestTally) -> Result<T, InvalidValue>,
    ) -> Result<Vec<T>, InvalidValue> {
        self.read(field, |value| {
            let mut records = Vec::new();
            for (index, value) in items(value)?.into_iter().enumerate() {
                let record_count = count(&value);
                match read(value, tally) {
                    Ok(record) => records.push(record),
                    Err(wrong) => {
                        tally.reject(record_count, wrong.at(index).within(field).to_string());
                    }
                }
            }
            Ok(records)
        })
    }

    /// Reads a list of containers of records, without unreadable ones: their records are rejected,
    /// and `count` returns the number. Null is an empty container.
    pub(super) fn containers<T>(
        &mut self,
        field: &str,
        tally: &mut RequestTally,
        count: impl Fn(&Node<'a>) -> u64,
        mut read: impl FnMut(Self, &mut RequestTally) -> Result<T, InvalidValue>,
    ) -> Result<Vec<T>, InvalidValue> {
        let read = self.records(field, tally, count, |value, tally| match value {
            Node::Null => Ok(None),
            value => Self::of(value)
                .and_then(|of| read(of, tally))
                .map(Some)
                .inspect_err(|_| tally.note_unreadable_container()),
        })?;
        Ok(read.into_iter().flatten().collect())
    }

    pub(super) fn text(&mut self, field: &str) -> Result<String, InvalidValue> {
        self.read(field, text)
    }

    pub(super) fn truth(&mut self, field: &str) -> Result<bool, InvalidValue> {
        self.read(field, truth)
    }

    /// Reads a whole number of any width, sent as a number or as a string.
    pub(super) fn whole<T: Default + TryFrom<i128>>(&mut self, field: &str) -> Result<T, InvalidValue> {
        self.read(field, |value| whole(&value))
    }

    pub(super) fn wholes<T: TryFrom<i128>>(&mut self, field: &str) -> Result<Vec<T>, InvalidValue> {
        self.list(field, |value| whole(&value))
    }

    pub(super) fn float(&mut self, field: &str) -> Result<f64, InvalidValue> {
        self.read(field, |value| float(&value))
    }

    /// Reads a number whose absence differs from zero.
    pub(super) fn maybe_float(&mut self, field: &str) -> Result<Option<f64>, InvalidValue> {
        self.read(field, |value| float(&value).map(Some))
    }

    pub(super) fn floats(&mut self, field: &str) -> Result<Vec<f64>, InvalidValue> {
        self.list(field, |value| float(&value))
    }

    /// Reads an enum. OTLP requires its number; writers that follow only protobuf's mapping send
    /// its name, and others its name without the enum's prefix.
    pub(super) fn one_of(
        &mut self,
        field: &str,
        prefix: &str,
        by_name: impl Fn(&str) -> Option<i32>,
    ) -> Result<i32, InvalidValue> {
        self.read(field, |value| {
            let named = value.as_text().and_then(|name| {
                by_name(name).or_else(|| by_name(&format!("{prefix}{}", name.to_ascii_uppercase())))
            });
            named.map_or_else(|| whole(&value), Ok)
        })
    }

    /// Reads a time in nanoseconds since 1970. Other forms are accepted: numbers with a fraction,
    /// in a unit that [`ids::time_unit`] detects, and dates of RFC 3339.
    pub(super) fn time(&mut self, field: &str, tally: &mut RequestTally) -> Result<u64, InvalidValue> {
        self.read(field, |value| {
            whole(&value).or_else(|wrong| {
                let nanos = nanos_of(&value).ok_or_else(|| wrong.clone())?;
                tally.read_time(|| wrong.within(field).to_string());
                Ok(nanos)
            })
        })
    }

    /// Reads an id in hexadecimal digits. Base64, protobuf's own mapping of the bytes to JSON, is
    /// accepted too.
    pub(super) fn id(&mut self, field: &str, tally: &mut RequestTally) -> Result<Vec<u8>, InvalidValue> {
        self.read(field, |value| {
            let digits = text(value)?;
            let hexadecimal = bytes(&digits);
            let length = if field == "traceId" { 16 } else { 8 };
            if hexadecimal.as_ref().is_some_and(|bytes| bytes.len() == length) {
                return Ok(hexadecimal.unwrap_or_default());
            }
            // Some writers encode the digits instead of the bytes.
            let is_long_enough = |bytes: &Vec<u8>| bytes.len() == length || bytes.len() == 2 * length;
            let decoded = decoded(&digits).ok().filter(is_long_enough);
            if let Some(bytes) = decoded.and_then(|bytes| ids::id_bytes(bytes, length)) {
                tally.read_id(|| quoted(&digits));
                return Ok(bytes);
            }
            hexadecimal.ok_or_else(|| {
                InvalidValue::new(format!(
                    "{} is not an id: give an even number of hexadecimal digits",
                    quoted(&digits)
                ))
            })
        })
    }
}

/// Returns whether this is the name in protobuf's spelling: `scope_spans` for `scopeSpans`.
pub(in crate::otlp) fn is_snake_case(name: &str, given: &[u8]) -> bool {
    let mut given = given.iter().copied();
    name.bytes().all(|byte| match byte.is_ascii_uppercase() {
        true => given.next() == Some(b'_') && given.next() == Some(byte.to_ascii_lowercase()),
        false => given.next() == Some(byte),
    }) && given.next().is_none()
}

pub(super) fn text(value: Node<'_>) -> Result<String, InvalidValue> {
    match value {
        Node::Text(text) => Ok(text.into_owned()),
        other => Err(unfit(&other, "a text")),
    }
}

pub(super) fn truth(value: Node<'_>) -> Result<bool, InvalidValue> {
    match value {
        Node::Truth(value) => Ok(value),
        other => Err(unfit(&other, "true or false")),
    }
}

pub(super) fn whole<T: TryFrom<i128>>(value: &Node<'_>) -> Result<T, InvalidValue> {
    let number = match value {
        Node::Number(number) => match (number.as_i64(), number.as_u64()) {
            (Some(number), _) => Some(i128::from(number)),
            (None, Some(number)) => Some(i128::from(number)),
            (None, None) => number.as_f64().and_then(whole_float),
        },
        Node::Text(text) => text.parse().ok().or_else(|| whole_text(text)),
        _ => None,
    };
    let number = number.and_then(|number| T::try_from(number).ok());
    number.ok_or_else(|| unfit(value, "a whole number that fits here"))
}

/// Returns a whole number that was sent with a fraction of zero or an exponent.
#[expect(
    clippy::cast_possible_truncation,
    reason = "a whole number below 2^64 fits in 128 bits"
)]
fn whole_float(number: f64) -> Option<i128> {
    const TWO_TO_64: f64 = 18_446_744_073_709_551_616.0;
    (number.fract() == 0.0 && number.abs() < TWO_TO_64).then_some(number as i128)
}

/// Returns a whole number that was sent as a string with a fraction of zero or an exponent.
fn whole_text(text: &str) -> Option<i128> {
    if let Some((number, fraction)) = text.split_once('.')
        && !fraction.is_empty()
        && fraction.bytes().all(|digit| digit == b'0')
    {
        return number.parse().ok();
    }
    let is_number = text
        .bytes()
        .all(|byte| byte.is_ascii_digit() || b"+-.eE".contains(&byte));
    is_number
        .then(|| text.parse().ok())
        .flatten()
        .and_then(whole_float)
}

/// Returns the nanoseconds since 1970 of a date, or of a number with a fraction.
fn nanos_of(value: &Node<'_>) -> Option<u64> {
    let number = match value {
        Node::Number(number) => number.as_f64(),
        Node::Text(text) => match text.parse::<f64>() {
            Ok(number) => Some(number),
            Err(_) => return u64::try_from(text.parse::<Timestamp>().ok()?.as_nanos()).ok(),
        },
        _ => None,
    };
    ids::nanos_of_fraction(number?)
}

/// Reads a number. JSON has none for `NaN` and infinity, so it may be sent as a string.
pub(super) fn float(value: &Node<'_>) -> Result<f64, InvalidValue> {
    let number = match value {
        Node::Number(number) => number.as_f64(),
        Node::Text(text) => {
            let finite = || text.parse().ok().filter(|number: &f64| number.is_finite());
            parse_non_finite(text).or_else(finite)
        }
        _ => None,
    };
    number.ok_or_else(|| unfit(value, "a number"))
}

fn items(value: Node<'_>) -> Result<Vec<Node<'_>>, InvalidValue> {
    match value {
        Node::List(items) => Ok(items),
        other => Err(unfit(&other, "a list")),
    }
}

/// Decodes hexadecimal digits. The decoder alone would also accept a leading `0x`.
fn bytes(digits: &str) -> Option<Vec<u8>> {
    const_hex::check_raw(digits)
        .then(|| const_hex::decode(digits).ok())
        .flatten()
}

pub(super) fn unfit(value: &Node<'_>, wanted: &str) -> InvalidValue {
    let value = match value {
        Node::Null => "null".to_owned(),
        Node::Truth(value) => value.to_string(),
        Node::Number(number) => number.to_string(),
        Node::Text(text) => quoted(text),
        Node::List(_) => "a list".to_owned(),
        Node::Object(_) => "an object".to_owned(),
    };
    InvalidValue::new(format!("{value} is not {wanted}"))
}
