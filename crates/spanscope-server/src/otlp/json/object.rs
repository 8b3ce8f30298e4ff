//! [`Object`]: an object of JSON whose fields are taken out one by one, as protobuf's mapping to JSON has them.

use std::borrow::Cow;

use super::node::Node;
use super::wrong::Wrong;
use spanscope_model::parse_non_finite;

use crate::otlp::tally::{RequestTally, shown};

/// What is left of an object. What nobody takes is unknown, and ignored.
pub(super) struct Object<'a> {
    fields: Vec<(Cow<'a, str>, Node<'a>)>,
    /// Whether a name has an underscore: protobuf's mapping to JSON has names of fields in two
    /// spellings, `scopeSpans` and `scope_spans`, and a reader has to know both.
    has_snake_case: bool,
}

impl<'a> Object<'a> {
    pub(super) fn of(value: Node<'a>) -> Result<Self, Wrong> {
        match value {
            Node::Object(fields) => Ok(Self {
                has_snake_case: fields.iter().any(|(key, _)| key.contains('_')),
                fields,
            }),
            other => Err(unfit(&other, "an object")),
        }
    }

    /// What is left of it.
    pub(super) fn into_node(self) -> Node<'a> {
        Node::Object(self.fields)
    }

    pub(super) fn is_empty(&self) -> bool {
        self.fields.is_empty()
    }

    /// The first field whose value is a list, which may have been meant for another one.
    pub(super) fn first_list(&self) -> Option<&str> {
        let list = self.fields.iter().find(|(_, value)| value.items().is_some());
        list.map(|(key, _)| key.as_ref())
    }

    pub(super) fn has(&self, field: &str) -> bool {
        self.place(field).is_some()
    }

    /// Whether the field is not there, in either way.
    pub(super) fn is_null(&self, field: &str) -> bool {
        self.place(field)
            .is_none_or(|place| self.fields[place].1 == Node::Null)
    }

    /// A field that is there and not null.
    pub(super) fn take(&mut self, field: &str) -> Option<Node<'a>> {
        let (_, value) = self.fields.swap_remove(self.place(field)?);
        (value != Node::Null).then_some(value)
    }

    /// Where a field stands; of several with the name, some one.
    fn place(&self, field: &str) -> Option<usize> {
        let exact = self.fields.iter().position(|(key, _)| key == field);
        if exact.is_some() || !self.has_snake_case {
            return exact;
        }
        let is_it = |(key, _): &(Cow<'_, str>, Node<'_>)| is_snake_case(field, key.as_bytes());
        self.fields.iter().position(is_it)
    }

    /// A field, read by a function; the default where it is not there.
    fn read<T: Default>(
        &mut self,
        field: &str,
        read: impl FnOnce(Node<'a>) -> Result<T, Wrong>,
    ) -> Result<T, Wrong> {
        match self.take(field) {
            Some(value) => read(value).map_err(|wrong| wrong.within(field)),
            None => Ok(T::default()),
        }
    }

    pub(super) fn message<T>(
        &mut self,
        field: &str,
        read: impl FnOnce(Self) -> Result<T, Wrong>,
    ) -> Result<Option<T>, Wrong> {
        self.read(field, |value| Self::of(value).and_then(read).map(Some))
    }

    pub(super) fn list<T>(
        &mut self,
        field: &str,
        mut read: impl FnMut(Node<'a>) -> Result<T, Wrong>,
    ) -> Result<Vec<T>, Wrong> {
        self.read(field, |value| {
            let read_one = |(index, value)| read(value).map_err(|wrong: Wrong| wrong.at(index));
            items(value)?.into_iter().enumerate().map(read_one).collect()
        })
    }

    /// A list of records, without those that can't be read: they are rejected, each for as many as `count` says.
    pub(super) fn records<T>(
        &mut self,
        field: &str,
        tally: &mut RequestTally,
        count: impl Fn(&Node<'a>) -> u64,
        mut read: impl FnMut(Node<'a>, &mut RequestTally) -> Result<T, Wrong>,
    ) -> Result<Vec<T>, Wrong> {
        self.read(field, |value| {
            let mut records = Vec::new();
            for (index, value) in items(value)?.into_iter().enumerate() {
                let stands_for = count(&value);
                match read(value, tally) {
                    Ok(record) => records.push(record),
                    Err(wrong) => {
                        tally.reject(stands_for, wrong.at(index).within(field).to_string());
                    }
                }
            }
            Ok(records)
        })
    }

    pub(super) fn text(&mut self, field: &str) -> Result<String, Wrong> {
        self.read(field, text)
    }

    pub(super) fn truth(&mut self, field: &str) -> Result<bool, Wrong> {
        self.read(field, truth)
    }

    /// A whole number of any width, as a number or as a text.
    pub(super) fn whole<T: Default + TryFrom<i128>>(&mut self, field: &str) -> Result<T, Wrong> {
        self.read(field, |value| whole(&value))
    }

    pub(super) fn wholes<T: TryFrom<i128>>(&mut self, field: &str) -> Result<Vec<T>, Wrong> {
        self.list(field, |value| whole(&value))
    }

    pub(super) fn float(&mut self, field: &str) -> Result<f64, Wrong> {
        self.read(field, |value| float(&value))
    }

    /// A number that is something else than zero where it is not there.
    pub(super) fn maybe_float(&mut self, field: &str) -> Result<Option<f64>, Wrong> {
        self.read(field, |value| float(&value).map(Some))
    }

    pub(super) fn floats(&mut self, field: &str) -> Result<Vec<f64>, Wrong> {
        self.list(field, |value| float(&value))
    }

    /// A value of an enum. OTLP wants its number; writers that go by protobuf's mapping alone give its name.
    pub(super) fn one_of(
        &mut self,
        field: &str,
        by_name: impl FnOnce(&str) -> Option<i32>,
    ) -> Result<i32, Wrong> {
        self.read(field, |value| {
            let named = value.as_text().and_then(by_name);
            named.map_or_else(|| whole(&value), Ok)
        })
    }

    /// An id in hexadecimal digits. How long it must be is not known here.
    pub(super) fn id(&mut self, field: &str) -> Result<Vec<u8>, Wrong> {
        self.read(field, |value| {
            let digits = text(value)?;
            bytes(&digits).ok_or_else(|| {
                Wrong::new(format!(
                    "{} is no id: give an even number of hexadecimal digits",
                    shown(&digits)
                ))
            })
        })
    }
}

/// Whether this is the name in the spelling of protobuf: `scope_spans` for `scopeSpans`.
pub(in crate::otlp) fn is_snake_case(name: &str, given: &[u8]) -> bool {
    let mut given = given.iter().copied();
    name.bytes().all(|byte| match byte.is_ascii_uppercase() {
        true => given.next() == Some(b'_') && given.next() == Some(byte.to_ascii_lowercase()),
        false => given.next() == Some(byte),
    }) && given.next().is_none()
}

pub(super) fn text(value: Node<'_>) -> Result<String, Wrong> {
    match value {
        Node::Text(text) => Ok(text.into_owned()),
        other => Err(unfit(&other, "a text")),
    }
}

pub(super) fn truth(value: Node<'_>) -> Result<bool, Wrong> {
    match value {
        Node::Truth(value) => Ok(value),
        other => Err(unfit(&other, "true or false")),
    }
}

pub(super) fn whole<T: TryFrom<i128>>(value: &Node<'_>) -> Result<T, Wrong> {
    let number = match value {
        Node::Number(number) => match (number.as_i64(), number.as_u64()) {
            (Some(number), _) => Some(i128::from(number)),
            (None, Some(number)) => Some(i128::from(number)),
            (None, None) => number.as_f64().and_then(whole_float),
        },
        Node::Text(text) => text.parse().ok(),
        _ => None,
    };
    let number = number.and_then(|number| T::try_from(number).ok());
    number.ok_or_else(|| unfit(value, "a whole number that fits here"))
}

/// Some writers put a fraction of zero or an exponent to a whole number.
#[expect(
    clippy::cast_possible_truncation,
    reason = "a whole number below 2^64 fits in 128 bits"
)]
fn whole_float(number: f64) -> Option<i128> {
    const TWO_TO_64: f64 = 18_446_744_073_709_551_616.0;
    (number.fract() == 0.0 && number.abs() < TWO_TO_64).then_some(number as i128)
}

/// A text may say what JSON has no number for.
pub(super) fn float(value: &Node<'_>) -> Result<f64, Wrong> {
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

fn items(value: Node<'_>) -> Result<Vec<Node<'_>>, Wrong> {
    match value {
        Node::List(items) => Ok(items),
        other => Err(unfit(&other, "a list")),
    }
}

/// The bytes that hexadecimal digits stand for. The decoder alone would also accept an `0x` before them.
fn bytes(digits: &str) -> Option<Vec<u8>> {
    const_hex::check_raw(digits)
        .then(|| const_hex::decode(digits).ok())
        .flatten()
}

pub(super) fn unfit(value: &Node<'_>, wanted: &str) -> Wrong {
    let value = match value {
        Node::Null => "null".to_owned(),
        Node::Truth(value) => value.to_string(),
        Node::Number(number) => number.to_string(),
        Node::Text(text) => shown(text),
        Node::List(_) => "a list".to_owned(),
        Node::Object(_) => "an object".to_owned(),
    };
    Wrong::new(format!("{value} is not {wanted}"))
}
