//! W3C Baggage: names and values of the application that travel with a request.

use std::borrow::Cow;
use std::fmt;

use percent_encoding::{AsciiSet, CONTROLS, percent_decode_str, utf8_percent_encode};

/// Maximum size of one request's baggage in bytes, as it is sent.
pub const MAX_BAGGAGE_LEN: usize = 8192;

/// Maximum number of members of one request's baggage.
pub const MAX_BAGGAGE_MEMBERS: usize = 64;

/// The characters that have to be percent-encoded in a value.
const ENCODED: &AsciiSet = &CONTROLS
    .add(b' ')
    .add(b'"')
    .add(b'%')
    .add(b',')
    .add(b';')
    .add(b'\\');

/// One name and value of [`Baggage`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Member {
    key: String,
    /// As it is sent.
    encoded: String,
    /// The text after the first semicolon, as received.
    properties: String,
}

impl Member {
    /// Returns its name.
    #[must_use]
    pub fn key(&self) -> &str {
        &self.key
    }

    /// Returns its value. Bytes that are not UTF-8 become U+FFFD, as the recommendation asks.
    #[must_use]
    pub fn value(&self) -> Cow<'_, str> {
        percent_decode_str(&self.encoded).decode_utf8_lossy()
    }

    /// Returns the properties (`ttl=30;internal`) as received; nearly always empty.
    #[must_use]
    pub fn properties(&self) -> &str {
        &self.properties
    }

    fn len(&self) -> usize {
        let properties = match self.properties.len() {
            0 => 0,
            len => len + 1,
        };
        self.key.len() + 1 + self.encoded.len() + properties
    }
}

/// Names and values that the application sends along with its requests, in the clear.
///
/// An unchanged member is sent on as it was received. There are at most [`MAX_BAGGAGE_MEMBERS`]
/// members, and their text is at most [`MAX_BAGGAGE_LEN`] bytes.
///
/// # Examples
///
/// ```
/// use spanscope_core::propagation::{Baggage, BaggageError};
///
/// let mut baggage = Baggage::parse("tenant=acme, tier=gold%20plus;ttl=30, broken");
/// baggage.insert("city", "Zürich, ZH")?;
/// assert_eq!(baggage.get("tier").as_deref(), Some("gold plus"));
/// assert_eq!(baggage.to_string(), "tenant=acme,tier=gold%20plus;ttl=30,city=Z%C3%BCrich%2C%20ZH");
/// # Ok::<(), BaggageError>(())
/// ```
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Baggage {
    members: Vec<Member>,
}

impl Baggage {
    /// Parses a header `baggage`. Malformed members are left out, and so are those that exceed a
    /// limit. Of members with the same key the last one counts.
    #[must_use]
    pub fn parse(text: &str) -> Self {
        let mut baggage = Self::default();
        for member in text.split(',').filter_map(parse_member) {
            let _ = baggage.put(member);
        }
        baggage
    }

    /// Returns the value of a key. Keys are compared exactly.
    #[must_use]
    pub fn get(&self, key: &str) -> Option<Cow<'_, str>> {
        let member = self.members.iter().find(|member| member.key == key)?;
        Some(member.value())
    }

    /// Sets the value of a key, without properties; the value may be any text.
    ///
    /// # Errors
    /// Fails if the key is not an HTTP token, or the baggage would exceed its limits. The baggage
    /// is then unchanged.
    pub fn insert(&mut self, key: &str, value: &str) -> Result<(), BaggageError> {
        self.insert_with(key, value, "")
    }

    /// [`insert`](Self::insert) with properties (`ttl=30;internal`), which are sent as they are.
    ///
    /// # Errors
    /// The errors of `insert`; also if the properties contain a comma, a quote, a backslash or
    /// anything that is not visible ASCII.
    pub fn insert_with(&mut self, key: &str, value: &str, properties: &str) -> Result<(), BaggageError> {
        if !is_token(key) {
            return Err(BaggageError(Kind::Key(shown(key))));
        }
        if !properties.split(';').all(is_property) && !properties.is_empty() {
            return Err(BaggageError(Kind::Properties(shown(properties))));
        }
        self.put(Member {
            key: key.to_owned(),
            encoded: utf8_percent_encode(value, ENCODED).to_string(),
            properties: properties.to_owned(),
        })
    }

    /// Removes a key; returns whether it was present.
    pub fn remove(&mut self, key: &str) -> bool {
        let before = self.members.len();
        self.members.retain(|member| member.key != key);
        self.members.len() < before
    }

    /// Iterates over the members, in the order in which they are sent.
    pub fn iter(&self) -> impl Iterator<Item = &Member> {
        self.members.iter()
    }

    /// Returns the number of members.
    #[must_use]
    pub fn len(&self) -> usize {
        self.members.len()
    }

    /// Returns whether there is no member.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.members.is_empty()
    }

    /// Adds the members of another baggage, which replace those with the same key. Members that
    /// exceed the limits are left out.
    pub fn extend(&mut self, other: &Self) {
        for member in &other.members {
            let _ = self.put(member.clone());
        }
    }

    fn put(&mut self, member: Member) -> Result<(), BaggageError> {
        let place = self.members.iter().position(|known| known.key == member.key);
        let others = self.members.iter().filter(|known| known.key != member.key);
        let (count, len) = others.fold((0, 0), |(count, len), other| (count + 1, len + 1 + other.len()));
        if count == MAX_BAGGAGE_MEMBERS {
            return Err(BaggageError(Kind::Members(shown(&member.key))));
        }
        if len + member.len() > MAX_BAGGAGE_LEN {
            return Err(BaggageError(Kind::Len(shown(&member.key))));
        }
        match place {
            Some(place) => self.members[place] = member,
            None => self.members.push(member),
        }
        Ok(())
    }
}

impl fmt::Display for Baggage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (number, member) in self.members.iter().enumerate() {
            let comma = if number == 0 { "" } else { "," };
            write!(f, "{comma}{}={}", member.key, member.encoded)?;
            if !member.properties.is_empty() {
                write!(f, ";{}", member.properties)?;
            }
        }
        Ok(())
    }
}

/// Why a member was refused.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BaggageError(Kind);

#[derive(Debug, Clone, PartialEq, Eq)]
enum Kind {
    Key(String),
    Properties(String),
    Members(String),
    Len(String),
    NotRecorded(String),
}

impl BaggageError {
    pub(super) fn not_recorded(key: &str) -> Self {
        Self(Kind::NotRecorded(shown(key)))
    }

    /// Returns whether it would exceed [`MAX_BAGGAGE_MEMBERS`] or [`MAX_BAGGAGE_LEN`].
    #[must_use]
    pub fn is_too_large(&self) -> bool {
        matches!(self.0, Kind::Members(_) | Kind::Len(_))
    }

    /// Returns whether the span is disabled, or its subscriber is not built on a `Registry`.
    #[must_use]
    pub fn is_not_recorded(&self) -> bool {
        matches!(self.0, Kind::NotRecorded(_))
    }
}

impl fmt::Display for BaggageError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Kind::Key(key) => write!(
                f,
                "baggage key {key:?}: use letters, digits and any of !#$%&'*+-.^_`|~"
            ),
            Kind::Properties(properties) => write!(
                f,
                "baggage properties {properties:?}: write name or name=value, separated by semicolons, in visible ASCII \
                 without commas, quotes and backslashes"
            ),
            Kind::Members(key) => write!(
                f,
                "baggage key {key:?}: there are {MAX_BAGGAGE_MEMBERS} members already; remove one first"
            ),
            Kind::Len(key) => write!(
                f,
                "baggage key {key:?}: the baggage would be longer than {MAX_BAGGAGE_LEN} bytes; shorten the value"
            ),
            Kind::NotRecorded(key) => write!(
                f,
                "baggage key {key:?}: the span is disabled or its subscriber has no registry; use an enabled span"
            ),
        }
    }
}

impl std::error::Error for BaggageError {}

fn shown(text: &str) -> String {
    spanscope_model::text::cut(text, 100).to_owned()
}

fn parse_member(text: &str) -> Option<Member> {
    let blanks = [' ', '\t'];
    let (pair, properties) = match text.split_once(';') {
        Some((pair, properties)) => (pair, properties.trim_matches(blanks)),
        None => (text, ""),
    };
    let (key, value) = pair.split_once('=')?;
    let (key, value) = (key.trim_matches(blanks), value.trim_matches(blanks));
    let is_well_formed = is_token(key)
        && value.bytes().all(is_octet)
        && (properties.is_empty() || properties.split(';').all(is_property));
    is_well_formed.then(|| Member {
        key: key.to_owned(),
        encoded: value.to_owned(),
        properties: properties.to_owned(),
    })
}

/// Returns whether a value may contain the byte: visible ASCII without the separators of members
/// and properties, quotes and backslashes.
fn is_octet(byte: u8) -> bool {
    byte.is_ascii_graphic() && !matches!(byte, b'"' | b',' | b';' | b'\\')
}

fn is_property(text: &str) -> bool {
    let text = text.trim_matches([' ', '\t']);
    let (key, value) = text.split_once('=').unwrap_or((text, ""));
    is_token(key.trim_end()) && value.trim_start().bytes().all(is_octet)
}

fn is_token(text: &str) -> bool {
    let is_char = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte);
    !text.is_empty() && text.bytes().all(is_char)
}
