//! Fields as bytes: the encoding on a calling thread, and the decoding on a sink's thread.
//!
//! A field is its index in its callsite's field set (two bytes) or an undeclared key, a tag, and
//! the value. The reader looks up names, masks and roles, once per callsite, so the writing thread
//! compares no strings. The bytes never leave the process.
//!
//! This module has the only visitor of this crate. It runs user code (`Debug`, `Display`,
//! `Error::source`), so it writes to a thread-local buffer, under no lock; a panic in that code
//! costs only its value.

use std::fmt::{self, Write as _};
use std::panic::{AssertUnwindSafe, catch_unwind};

use spanscope_model::text::cut;
use spanscope_model::{NotScalarError, RawValue, Value};
use tracing_core::Field;
use tracing_core::field::Visit;

/// Index that marks an undeclared key, which follows.
const OWN_KEY: u16 = u16::MAX;

mod tag {
    pub(super) const FALSE: u8 = 0;
    pub(super) const TRUE: u8 = 1;
    pub(super) const I64: u8 = 2;
    pub(super) const U64: u8 = 3;
    pub(super) const F64: u8 = 4;
    pub(super) const TEXT: u8 = 5;
    pub(super) const CUT: u8 = 6;
}

/// The replacement of a value whose `Debug` or `Display` panicked.
pub const PANICKED: &str = "<its Debug or Display panicked>";

/// Encodes fields to a buffer.
pub(crate) struct FieldWriter<'a> {
    pub(crate) bytes: &'a mut Vec<u8>,
    pub(crate) max_len: usize,
    /// Only this field, if a filter needs one value.
    pub(crate) only: Option<&'a Field>,
}

/// Returns the text of one field of a span or an event, if it is present and a string. `record`
/// visits the values: `|visitor| event.record(visitor)`.
pub fn text_of(field: &Field, record: impl FnOnce(&mut dyn Visit)) -> Option<String> {
    let mut bytes = Vec::new();
    record(&mut FieldWriter {
        bytes: &mut bytes,
        max_len: 256,
        only: Some(field),
    });
    FieldReader::new(&bytes)
        .filter_map(|(_, value)| value.as_text().map(ToOwned::to_owned))
        .last()
}

impl FieldWriter<'_> {
    fn is_unwanted(&self, field: &Field) -> bool {
        self.only.is_some_and(|only| only != field)
    }

    fn key(&mut self, field: &Field, tag: u8) {
        let index = u16::try_from(field.index()).unwrap_or(OWN_KEY - 1);
        let [low, high] = index.to_le_bytes();
        self.bytes.extend_from_slice(&[low, high, tag]);
    }

    fn own_key(&mut self, key: &str, tag: u8) {
        let key = cut(key, 255);
        self.bytes.extend_from_slice(&OWN_KEY.to_le_bytes());
        self.bytes.push(u8::try_from(key.len()).unwrap_or(u8::MAX));
        self.bytes.extend_from_slice(key.as_bytes());
        self.bytes.push(tag);
    }

    /// Adds a field whose text was truncated, as it was read.
    pub(super) fn cut_text(&mut self, key: Key<'_>, kept: &str, original: u64) {
        match key {
            Key::Declared(index) => {
                let index = u16::try_from(index).unwrap_or(OWN_KEY - 1);
                self.bytes.extend_from_slice(&index.to_le_bytes());
                self.bytes.push(tag::CUT);
            }
            Key::Undeclared(name) => self.own_key(name, tag::CUT),
        }
        self.bytes.extend_from_slice(&original.to_le_bytes());
        self.bytes
            .extend_from_slice(&u32::try_from(kept.len()).unwrap_or(u32::MAX).to_le_bytes());
        self.bytes.extend_from_slice(kept.as_bytes());
    }

    fn text(&mut self, text: &str) {
        let kept = cut(text, self.max_len);
        if kept.len() < text.len() {
            if let Some(tag) = self.bytes.last_mut() {
                *tag = tag::CUT;
            }
            self.bytes.extend_from_slice(&(text.len() as u64).to_le_bytes());
        }
        self.bytes
            .extend_from_slice(&u32::try_from(kept.len()).unwrap_or(u32::MAX).to_le_bytes());
        self.bytes.extend_from_slice(kept.as_bytes());
    }

    /// Formats the value after the tag [`tag::TEXT`], which has just been written.
    fn format(&mut self, value: fmt::Arguments<'_>) {
        if let Some(text) = value.as_str() {
            return self.text(text);
        }
        let tag_at = self.bytes.len() - 1;
        self.bytes.extend_from_slice(&[0; 4]);
        let start = self.bytes.len();
        let mut out = Bounded {
            bytes: self.bytes,
            end: start.saturating_add(self.max_len),
            total: 0,
            full: false,
        };
        // The buffer holds whole writes only, so it is valid text even after a panic, which
        // discards it.
        let formatted = catch_unwind(AssertUnwindSafe(|| out.write_fmt(value)));
        let total = out.total;
        if formatted.is_err() {
            self.bytes.truncate(start - 4);
            return self.text(PANICKED);
        }
        let kept = self.bytes.len() - start;
        self.bytes[start - 4..start].copy_from_slice(&u32::try_from(kept).unwrap_or(u32::MAX).to_le_bytes());
        if kept < total {
            self.bytes[tag_at] = tag::CUT;
            self.bytes
                .splice(start - 4..start - 4, (total as u64).to_le_bytes());
        }
    }

    /// Adds a field under an undeclared key, as it was read.
    pub(crate) fn own_raw(&mut self, key: &str, value: &RawValue<'_>) {
        match value {
            RawValue::Bool(value) => self.own_key(key, u8::from(*value)),
            RawValue::I64(value) => {
                self.own_key(key, tag::I64);
                self.bytes.extend_from_slice(&value.to_le_bytes());
            }
            RawValue::U64(value) => {
                self.own_key(key, tag::U64);
                self.bytes.extend_from_slice(&value.to_le_bytes());
            }
            RawValue::F64(value) => {
                self.own_key(key, tag::F64);
                self.bytes.extend_from_slice(&value.to_le_bytes());
            }
            RawValue::Text(value, _) => {
                self.own_key(key, tag::TEXT);
                self.text(value);
            }
        }
    }

    /// Adds a field under an undeclared key.
    pub(crate) fn own(&mut self, key: &str, value: &Value) {
        let json;
        let raw = match RawValue::try_from(value) {
            Ok(raw) => raw,
            Err(NotScalarError) => {
                json = value.to_string();
                RawValue::Text(&json, None)
            }
        };
        self.own_raw(key, &raw);
    }
}

/// Writes text up to a limit, on a character boundary, and counts the full length.
struct Bounded<'a> {
    bytes: &'a mut Vec<u8>,
    end: usize,
    total: usize,
    full: bool,
}

impl fmt::Write for Bounded<'_> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        self.total = self.total.saturating_add(text.len());
        if !self.full {
            let kept = cut(text, self.end.saturating_sub(self.bytes.len()));
            self.bytes.extend_from_slice(kept.as_bytes());
            self.full = kept.len() < text.len();
        }
        Ok(())
    }
}

impl Visit for FieldWriter<'_> {
    fn record_bool(&mut self, field: &Field, value: bool) {
        if self.is_unwanted(field) {
            return;
        }
        self.key(field, if value { tag::TRUE } else { tag::FALSE });
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        if self.is_unwanted(field) {
            return;
        }
        self.key(field, tag::I64);
        self.bytes.extend_from_slice(&value.to_le_bytes());
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        if self.is_unwanted(field) {
            return;
        }
        self.key(field, tag::U64);
        self.bytes.extend_from_slice(&value.to_le_bytes());
    }

    /// Recorded as a number if it fits into 64 bits, as nearly all do: `Duration::as_millis` has
    /// 128 bits. A larger one is recorded as a string, because no sink has such numbers.
    fn record_i128(&mut self, field: &Field, value: i128) {
        match (i64::try_from(value), u64::try_from(value)) {
            (Ok(value), _) => self.record_i64(field, value),
            (_, Ok(value)) => self.record_u64(field, value),
            _ => self.record_debug(field, &value),
        }
    }

    /// As [`record_i128`](Self::record_i128).
    fn record_u128(&mut self, field: &Field, value: u128) {
        match u64::try_from(value) {
            Ok(value) => self.record_u64(field, value),
            Err(_) => self.record_debug(field, &value),
        }
    }

    fn record_f64(&mut self, field: &Field, value: f64) {
        if self.is_unwanted(field) {
            return;
        }
        self.key(field, tag::F64);
        self.bytes.extend_from_slice(&value.to_le_bytes());
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        if self.is_unwanted(field) {
            return;
        }
        self.key(field, tag::TEXT);
        self.text(value);
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        if self.is_unwanted(field) {
            return;
        }
        self.key(field, tag::TEXT);
        self.format(format_args!("{value:?}"));
    }

    /// An error is recorded as its message under its field, together with the details that
    /// OpenTelemetry defines.
    fn record_error(&mut self, field: &Field, value: &(dyn std::error::Error + 'static)) {
        if self.is_unwanted(field) {
            return;
        }
        self.key(field, tag::TEXT);
        self.format(format_args!("{value}"));
        self.exception(value);
    }
}

impl FieldWriter<'_> {
    /// Adds OpenTelemetry's attributes of an error.
    fn exception(&mut self, value: &(dyn std::error::Error + 'static)) {
        self.own_key("exception.message", tag::TEXT);
        self.format(format_args!("{value}"));
        let mut debug = Vec::new();
        FieldWriter {
            bytes: &mut debug,
            max_len: 256,
            only: None,
        }
        .debug_head(value);
        let type_name = String::from_utf8_lossy(&debug);
        if !type_name.is_empty() {
            self.own_key("exception.type", tag::TEXT);
            self.text(&type_name);
        }
        let chain = catch_unwind(AssertUnwindSafe(|| {
            let causes = std::iter::successors(value.source(), |cause| cause.source());
            // A cyclic chain of causes must end too.
            causes
                .take(32)
                .map(ToString::to_string)
                .collect::<Vec<_>>()
                .join("\n")
        }));
        if let Ok(chain) = chain
            && !chain.is_empty()
        {
            self.own_key("exception.chain", tag::TEXT);
            self.text(&chain);
        }
    }

    /// Adds an error under an undeclared key, as [`record_error`](Visit::record_error) does under a
    /// field.
    pub(super) fn own_error(&mut self, key: &str, value: &(dyn std::error::Error + 'static)) {
        self.own_key(key, tag::TEXT);
        self.format(format_args!("{value}"));
        self.exception(value);
    }

    /// Adds a string under an undeclared key.
    pub(super) fn own_text(&mut self, key: &str, value: fmt::Arguments<'_>) {
        self.own_key(key, tag::TEXT);
        self.format(value);
    }

    /// Adds fields under undeclared keys, as they were read; strings are truncated as usual.
    pub(super) fn own_fields(&mut self, fields: FieldReader<'_>) {
        for (key, value) in fields {
            let Key::Undeclared(name) = key else { continue };
            match value {
                RawValue::Text(text, Some(original)) => {
                    self.cut_text(key, cut(text, self.max_len), original);
                }
                value => self.own_raw(name, &value),
            }
        }
    }

    /// Writes the name of the error's type, with which derived `Debug` output begins; a trait
    /// object does not reveal its type otherwise.
    fn debug_head(&mut self, value: &dyn std::error::Error) {
        let mut out = Bounded {
            bytes: self.bytes,
            end: self.max_len,
            total: 0,
            full: false,
        };
        if catch_unwind(AssertUnwindSafe(|| write!(out, "{value:?}"))).is_err() {
            return self.bytes.clear();
        }
        let is_name = |byte: &u8| byte.is_ascii_alphanumeric() || *byte == b'_' || *byte == b':';
        let len = self.bytes.iter().take_while(|byte| is_name(byte)).count();
        // The name of an enum's variant or of a wrapped value is not the type's: `io::Error` begins
        // with `Custom`.
        let is_type = [&b"Error"[..], b"Err", b"Exception", b"Failure"]
            .iter()
            .any(|ending| self.bytes[..len].ends_with(ending));
        self.bytes.truncate(if is_type { len } else { 0 });
    }
}

/// The key of a value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Key<'a> {
    /// The field with this index in the callsite's field set.
    Declared(usize),
    /// An undeclared key.
    Undeclared(&'a str),
}

/// Decodes the fields of a [`SpanRecord`](super::SpanRecord) or a
/// [`QueuedRecord`](crate::queue::QueuedRecord), oldest first.
#[derive(Debug, Clone)]
pub struct FieldReader<'a> {
    bytes: &'a [u8],
}

impl<'a> FieldReader<'a> {
    /// Creates a reader of these bytes.
    #[must_use]
    #[inline]
    pub fn new(bytes: &'a [u8]) -> Self {
        Self { bytes }
    }

    /// Returns how many bytes are left to read.
    #[must_use]
    pub fn bytes_left(&self) -> usize {
        self.bytes.len()
    }

    /// Returns a reader that skips the first `bytes` bytes. Given the
    /// [`bytes_left`](Self::bytes_left) of an earlier, unread reader of the record, it reads the
    /// fields that were added since.
    #[must_use]
    pub fn skip_bytes(&self, bytes: usize) -> Self {
        Self::new(self.bytes.get(bytes..).unwrap_or_default())
    }

    /// Copies the remaining fields that `is_wanted` selects, in their encoded form. Values are
    /// skipped by their length, not decoded: a prompt may be long.
    pub fn copy_selected(mut self, mut is_wanted: impl FnMut(Key<'_>) -> bool, to: &mut Vec<u8>) {
        loop {
            let field = self.bytes;
            let Some(wanted) = self.key().map(&mut is_wanted) else {
                return;
            };
            if self.skip_value().is_none() {
                return;
            }
            if wanted {
                to.extend_from_slice(&field[..field.len() - self.bytes.len()]);
            }
        }
    }

    /// Returns the values of the fields whose keys `wanted` maps to `Some`, each with the result of
    /// `wanted`. Other values are skipped without decoding.
    #[inline]
    pub fn select<T>(
        mut self,
        mut wanted: impl FnMut(Key<'_>) -> Option<T>,
    ) -> impl Iterator<Item = (T, RawValue<'a>)> {
        std::iter::from_fn(move || {
            loop {
                match wanted(self.key()?) {
                    Some(wanted) => return Some((wanted, self.value()?)),
                    None => self.skip_value()?,
                }
            }
        })
    }

    #[inline]
    fn key(&mut self) -> Option<Key<'a>> {
        Some(match u16::from_le_bytes(self.take()?) {
            OWN_KEY => {
                let [len] = self.take()?;
                Key::Undeclared(self.text(usize::from(len))?)
            }
            index => Key::Declared(usize::from(index)),
        })
    }

    #[inline]
    fn value(&mut self) -> Option<RawValue<'a>> {
        let [tag] = self.take()?;
        Some(match tag {
            tag::FALSE => RawValue::Bool(false),
            tag::TRUE => RawValue::Bool(true),
            tag::I64 => RawValue::I64(i64::from_le_bytes(self.take()?)),
            tag::U64 => RawValue::U64(u64::from_le_bytes(self.take()?)),
            tag::F64 => RawValue::F64(f64::from_le_bytes(self.take()?)),
            _ => {
                let original = if tag == tag::CUT {
                    Some(u64::from_le_bytes(self.take()?))
                } else {
                    None
                };
                let len = usize::try_from(u32::from_le_bytes(self.take()?)).ok()?;
                RawValue::Text(self.text(len)?, original)
            }
        })
    }

    #[inline]
    fn skip_value(&mut self) -> Option<()> {
        let [tag] = self.take()?;
        let len = match tag {
            tag::FALSE | tag::TRUE => 0,
            tag::I64 | tag::U64 | tag::F64 => 8,
            _ => {
                if tag == tag::CUT {
                    self.take::<8>()?;
                }
                usize::try_from(u32::from_le_bytes(self.take()?)).ok()?
            }
        };
        self.bytes = self.bytes.split_at_checked(len)?.1;
        Some(())
    }

    #[inline]
    fn take<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (head, rest) = self.bytes.split_first_chunk::<N>()?;
        self.bytes = rest;
        Some(*head)
    }

    #[inline]
    fn text(&mut self, len: usize) -> Option<&'a str> {
        let (head, rest) = self.bytes.split_at_checked(len)?;
        self.bytes = rest;
        std::str::from_utf8(head).ok()
    }
}

impl<'a> Iterator for FieldReader<'a> {
    type Item = (Key<'a>, RawValue<'a>);

    #[inline]
    fn next(&mut self) -> Option<Self::Item> {
        let key = self.key()?;
        Some((key, self.value()?))
    }
}
