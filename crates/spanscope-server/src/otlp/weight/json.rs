//! The weight of a JSON body, computed without parsing it.

use std::borrow::Cow;

use super::kinds::{ANYTHING, Kind, MAX_DEPTH};
use crate::body::marks::{Mark, marks};
use crate::otlp::json::{Node, is_snake_case};

/// The size of a field; an object is a list of fields.
const FIELD: usize = size_of::<(Cow<'_, str>, Node<'_>)>();
/// A list has room for at least four items, and for up to twice its length.
const OBJECT: usize = 4 * FIELD;
const LIST: usize = 4 * size_of::<Node<'_>>();

/// The open brackets at a position of a body.
#[derive(Clone, Copy)]
enum Open {
    Object(&'static Kind),
    /// A list, by the kind of its items.
    List(&'static Kind),
}

pub(super) fn weight(body: &[u8], request: &'static Kind) -> usize {
    let mut weight = 0;
    let mut open: Vec<Open> = Vec::new();
    let mut last_text: &[u8] = b"";
    let mut held = request;
    for mark in marks(body) {
        match mark {
            Mark::Text(text) => last_text = text,
            Mark::Colon => {
                if let Some(Open::Object(kind)) = open.last() {
                    held = field(kind, last_text);
                }
            }
            Mark::Comma => {
                weight += FIELD;
                if let Some(Open::List(kind)) = open.last() {
                    weight += kind.weight;
                }
            }
            Mark::OpenObject | Mark::OpenList if open.len() == MAX_DEPTH => return weight,
            Mark::OpenObject => match open.last() {
                Some(Open::List(kind)) => {
                    weight += OBJECT;
                    open.push(Open::Object(kind));
                }
                _ => {
                    weight += OBJECT + held.weight;
                    open.push(Open::Object(held));
                }
            },
            Mark::OpenList => {
                let kind = match open.last() {
                    Some(Open::List(kind)) => kind,
                    _ => held,
                };
                // The weight of the list and of its first item.
                weight += LIST + kind.weight;
                open.push(Open::List(kind));
            }
            Mark::Close => drop(open.pop()),
        }
    }
    weight
}

/// Returns the content of the field with this name.
fn field(of: &'static Kind, name: &[u8]) -> &'static Kind {
    if std::ptr::eq(of, &ANYTHING) || name.contains(&b'\\') {
        return &ANYTHING;
    }
    let held = of.fields.iter().find(|(_, have, _)| is_name(have, name));
    held.map_or(&NOTHING, |(_, _, held)| held)
}

/// Returns whether this is the name, in JSON's spelling (`scopeSpans`) or in protobuf's
/// (`scope_spans`).
fn is_name(name: &str, given: &[u8]) -> bool {
    given == name.as_bytes() || (given.contains(&b'_') && is_snake_case(name, given))
}

/// The kind of fields whose contents are not converted.
static NOTHING: Kind = Kind {
    weight: 0,
    fields: &[],
};
