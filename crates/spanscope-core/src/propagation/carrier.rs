//! [`Carrier`], and its implementations for types of the standard library and of `serde_json`.

use std::collections::{BTreeMap, HashMap};
use std::hash::BuildHasher;
use std::process::Command;

use serde_json::{Map, Value};

use super::environment::variable_of;

/// Maximum number of bytes that are read from all values of one name together.
pub const MAX_READ: usize = 8192;

/// A carrier of a context: the headers of a request, the attributes of a message, the environment
/// of a process.
///
/// Names are passed in lower case (`traceparent`), and compared ignoring ASCII case.
///
/// # Examples
///
/// ```
/// use spanscope_core::propagation::Carrier;
///
/// /// The headers of some message queue.
/// struct Message { headers: Vec<(String, bytes::Bytes)> }
/// # mod bytes { pub type Bytes = Vec<u8>; }
///
/// impl Carrier for Message {
///     fn read(&self, name: &str, each: &mut dyn FnMut(&[u8])) {
///         for (key, value) in &self.headers {
///             if key.eq_ignore_ascii_case(name) {
///                 each(value);
///             }
///         }
///     }
///     fn set(&mut self, name: &str, value: &str) {
///         self.remove(name);
///         self.headers.push((name.to_owned(), value.as_bytes().to_vec()));
///     }
///     fn remove(&mut self, name: &str) {
///         self.headers.retain(|(key, _)| !key.eq_ignore_ascii_case(name));
///     }
/// }
/// ```
pub trait Carrier {
    /// Calls `each` with every value of a name, in order. Values are unchecked: the caller
    /// validates them.
    fn read(&self, name: &str, each: &mut dyn FnMut(&[u8]));

    /// Sets a name to one value, in place of all its values. A value that the carrier can't hold is
    /// left out.
    fn set(&mut self, name: &str, value: &str);

    /// Removes all values of a name.
    fn remove(&mut self, name: &str);

    /// Returns all names, for formats that search them; the W3C formats don't. The default is none.
    fn names(&self) -> Vec<&str> {
        Vec::new()
    }
}

impl<C: Carrier + ?Sized> Carrier for &mut C {
    fn read(&self, name: &str, each: &mut dyn FnMut(&[u8])) {
        (**self).read(name, each);
    }

    fn set(&mut self, name: &str, value: &str) {
        (**self).set(name, value);
    }

    fn remove(&mut self, name: &str) {
        (**self).remove(name);
    }

    fn names(&self) -> Vec<&str> {
        (**self).names()
    }
}

impl<V, S> Carrier for HashMap<String, V, S>
where
    V: AsRef<[u8]> + for<'a> From<&'a str>,
    S: BuildHasher,
{
    fn read(&self, name: &str, each: &mut dyn FnMut(&[u8])) {
        let found = self.iter().filter(|(key, _)| key.eq_ignore_ascii_case(name));
        found.for_each(|(_, value)| each(value.as_ref()));
    }

    fn set(&mut self, name: &str, value: &str) {
        self.remove(name);
        self.insert(name.to_owned(), value.into());
    }

    fn remove(&mut self, name: &str) {
        self.retain(|key, _| !key.eq_ignore_ascii_case(name));
    }

    fn names(&self) -> Vec<&str> {
        self.keys().map(String::as_str).collect()
    }
}

impl<V> Carrier for BTreeMap<String, V>
where
    V: AsRef<[u8]> + for<'a> From<&'a str>,
{
    fn read(&self, name: &str, each: &mut dyn FnMut(&[u8])) {
        let found = self.iter().filter(|(key, _)| key.eq_ignore_ascii_case(name));
        found.for_each(|(_, value)| each(value.as_ref()));
    }

    fn set(&mut self, name: &str, value: &str) {
        self.remove(name);
        self.insert(name.to_owned(), value.into());
    }

    fn remove(&mut self, name: &str) {
        self.retain(|key, _| !key.eq_ignore_ascii_case(name));
    }

    fn names(&self) -> Vec<&str> {
        self.keys().map(String::as_str).collect()
    }
}

/// A list of names and values, as in message queues. A name may occur several times.
impl<K, V> Carrier for Vec<(K, V)>
where
    K: AsRef<str> + for<'a> From<&'a str>,
    V: AsRef<[u8]> + for<'a> From<&'a str>,
{
    fn read(&self, name: &str, each: &mut dyn FnMut(&[u8])) {
        let found = self
            .iter()
            .filter(|(key, _)| key.as_ref().eq_ignore_ascii_case(name));
        found.for_each(|(_, value)| each(value.as_ref()));
    }

    fn set(&mut self, name: &str, value: &str) {
        Carrier::remove(self, name);
        self.push((name.into(), value.into()));
    }

    fn remove(&mut self, name: &str) {
        self.retain(|(key, _)| !key.as_ref().eq_ignore_ascii_case(name));
    }

    fn names(&self) -> Vec<&str> {
        self.iter().map(|(key, _)| key.as_ref()).collect()
    }
}

/// Values that are not strings are skipped.
impl Carrier for Map<String, Value> {
    fn read(&self, name: &str, each: &mut dyn FnMut(&[u8])) {
        let found = self.iter().filter(|(key, _)| key.eq_ignore_ascii_case(name));
        found
            .filter_map(|(_, value)| value.as_str())
            .for_each(|text| each(text.as_bytes()));
    }

    fn set(&mut self, name: &str, value: &str) {
        Carrier::remove(self, name);
        self.insert(name.to_owned(), value.into());
    }

    fn remove(&mut self, name: &str) {
        self.retain(|key, _| !key.eq_ignore_ascii_case(name));
    }

    fn names(&self) -> Vec<&str> {
        self.keys().map(String::as_str).collect()
    }
}

/// The environment of a child process: `traceparent` is the variable `TRACEPARENT`. Reads what was
/// set on the command.
///
/// A removed variable is not inherited from this process either.
impl Carrier for Command {
    fn read(&self, name: &str, each: &mut dyn FnMut(&[u8])) {
        let variable = variable_of(name);
        let found = self
            .get_envs()
            .filter(|(key, _)| *key == std::ffi::OsStr::new(&variable));
        found
            .filter_map(|(_, value)| value)
            .for_each(|value| each(value.as_encoded_bytes()));
    }

    fn set(&mut self, name: &str, value: &str) {
        self.env(variable_of(name), value);
    }

    fn remove(&mut self, name: &str) {
        self.env_remove(variable_of(name));
    }
}

/// The W3C header names, created once: creating one from a text takes longer than inserting it.
#[cfg(feature = "http")]
fn known_header(name: &str) -> Option<&'static http::HeaderName> {
    static TRACEPARENT: http::HeaderName = http::HeaderName::from_static("traceparent");
    static TRACESTATE: http::HeaderName = http::HeaderName::from_static("tracestate");
    static BAGGAGE: http::HeaderName = http::HeaderName::from_static("baggage");
    match name {
        "traceparent" => Some(&TRACEPARENT),
        "tracestate" => Some(&TRACESTATE),
        "baggage" => Some(&BAGGAGE),
        _ => None,
    }
}

#[cfg(feature = "http")]
impl Carrier for http::HeaderMap {
    fn read(&self, name: &str, each: &mut dyn FnMut(&[u8])) {
        for value in self.get_all(name) {
            each(value.as_bytes());
        }
    }

    fn set(&mut self, name: &str, value: &str) {
        let Ok(value) = http::HeaderValue::from_str(value) else {
            return;
        };
        if let Some(known) = known_header(name) {
            self.insert(known, value);
        } else if let Ok(name) = http::HeaderName::from_bytes(name.as_bytes()) {
            self.insert(name, value);
        }
    }

    fn remove(&mut self, name: &str) {
        match known_header(name) {
            Some(known) => http::HeaderMap::remove(self, known),
            None => http::HeaderMap::remove(self, name),
        };
    }

    fn names(&self) -> Vec<&str> {
        self.keys().map(http::HeaderName::as_str).collect()
    }
}
