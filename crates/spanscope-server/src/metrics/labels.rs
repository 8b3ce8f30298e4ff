//! Labels: from the fields of a measurement to the key of its series, and back when they are
//! written.
//!
//! The key is one text, `key 0x01 value 0x02` for each label, sorted. It is built in a thread-local
//! buffer, so that finding an existing series needs no allocation. Control characters can't occur
//! in keys or values, so the key is unambiguous, and its contents can be written unchanged: the
//! text encoder escapes quotes, backslashes and new lines.
//!
//! An empty value is left out, because for Prometheus it means the same as no label: both would be
//! the same series twice.

use std::cell::RefCell;
use std::fmt::{self, Write};
use std::ops::Range;

use prometheus_client::encoding::{EncodeLabel, EncodeLabelSet, LabelSetEncoder};
use spanscope_core::capture::RawValue;
use spanscope_model::semconv::mask_raw;
use spanscope_model::text::cut;

use super::names::push_identifier;

/// Maximum length of a label's value in bytes; longer ones are truncated on a character boundary,
/// and end in `…`.
pub const MAX_LABEL_VALUE: usize = 256;

/// Maximum number of labels; a measurement with more goes to the overflow series.
pub const MAX_LABELS: usize = 32;

/// The key of the overflow series, with the label that OpenTelemetry's SDKs use.
pub(super) const OVERFLOW_KEY: &str = "otel_metric_overflow\u{1}true\u{2}";

/// Replaces characters that a value can't contain. Each control character has its own symbol (`␀`).
const SUBSTITUTE: char = '\u{2426}';

const AFTER_KEY: char = '\u{1}';
const AFTER_VALUE: char = '\u{2}';

#[derive(Default)]
struct Scratch {
    pieces: String,
    order: Vec<Piece>,
    key: String,
}

struct Piece {
    name: Range<usize>,
    value: Range<usize>,
}

thread_local! {
    static SCRATCH: RefCell<Scratch> = RefCell::default();
}

/// Calls `with` with the key of these labels.
pub(super) fn with_key<R>(labels: &[(&str, RawValue<'_>)], with: impl FnOnce(&str) -> R) -> R {
    if labels.len() > MAX_LABELS {
        return with(OVERFLOW_KEY);
    }
    // The buffer is taken out for the call, so that nothing is borrowed meanwhile; while the thread
    // ends there is none.
    let mut scratch = SCRATCH.try_with(RefCell::take).unwrap_or_default();
    scratch.fill(labels);
    let result = with(&scratch.key);
    let _ = SCRATCH.try_with(|home| home.replace(scratch));
    result
}

impl Scratch {
    fn fill(&mut self, labels: &[(&str, RawValue<'_>)]) {
        let Self { pieces, order, key } = self;
        pieces.clear();
        order.clear();
        key.clear();
        for (name, value) in labels {
            let start = pieces.len();
            push_name(pieces, name);
            let middle = pieces.len();
            match mask_raw(name, value) {
                Some(masked) => push_text(pieces, &masked),
                None => push_value(pieces, value),
            }
            if pieces.len() > middle {
                order.push(Piece {
                    name: start..middle,
                    value: middle..pieces.len(),
                });
            }
        }
        order.sort_unstable_by(|left, right| {
            let of = |piece: &Piece| (&pieces[piece.name.clone()], &pieces[piece.value.clone()]);
            of(left).cmp(&of(right))
        });
        let mut last = None;
        for piece in order.iter() {
            let name = &pieces[piece.name.clone()];
            if last == Some(name) {
                // Two labels whose names have become one: both values, by OpenTelemetry's rules.
                key.pop();
                key.push(';');
            } else {
                key.push_str(name);
                key.push(AFTER_KEY);
                last = Some(name);
            }
            key.push_str(&pieces[piece.value.clone()]);
            key.push(AFTER_VALUE);
        }
    }
}

fn push_name(out: &mut String, name: &str) {
    if let "le" | "quantile" = name {
        out.push_str("exported_"); // these two distinguish samples of one series
    }
    push_identifier(out, name, "key_");
}

fn push_value(out: &mut String, value: &RawValue<'_>) {
    match value {
        RawValue::Text(text, _) => push_text(out, text),
        // Writing to a String can't fail.
        value => drop(write!(out, "{value}")),
    }
}

fn push_text(out: &mut String, text: &str) {
    let short = cut(text, MAX_LABEL_VALUE);
    if short.bytes().all(|byte| (b' '..=b'~').contains(&byte)) {
        out.push_str(short);
    } else {
        let clean = |character: char| match character {
            '\n' | '\t' => character,
            '\0'..' ' => char::from_u32(0x2400 + u32::from(character)).unwrap_or(SUBSTITUTE),
            // The last one can be scraped, but a query that contains it is refused.
            _ if character.is_control() || character == char::REPLACEMENT_CHARACTER => SUBSTITUTE,
            _ => character,
        };
        out.extend(short.chars().map(clean));
    }
    if short.len() < text.len() {
        out.push('…');
    }
}

/// The labels in a key.
pub(super) struct Labels<'a>(pub(super) &'a str);

impl EncodeLabelSet for Labels<'_> {
    fn encode(&self, encoder: &mut LabelSetEncoder<'_>) -> fmt::Result {
        for (name, value) in self
            .0
            .split_terminator(AFTER_VALUE)
            .filter_map(|label| label.split_once(AFTER_KEY))
        {
            (name, value).encode(encoder.encode_label())?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use spanscope_core::capture::RawValue;

    use super::{MAX_LABEL_VALUE, MAX_LABELS, OVERFLOW_KEY, with_key};

    fn text(text: &str) -> RawValue<'_> {
        RawValue::Text(text, None)
    }

    #[test]
    fn the_order_of_labels_makes_no_difference() {
        let one = [("b", text("2")), ("a", text("1"))];
        let other = [("a", text("1")), ("b", text("2"))];
        let key = with_key(&one, str::to_owned);
        assert_eq!(key, "a\u{1}1\u{2}b\u{1}2\u{2}");
        assert_eq!(key, with_key(&other, str::to_owned));
    }

    #[test]
    fn names_that_become_one_keep_both_values() {
        let labels = [("a_b", text("z")), ("a.b", text("y")), ("a", RawValue::I64(-1))];
        assert_eq!(with_key(&labels, str::to_owned), "a\u{1}-1\u{2}a_b\u{1}y;z\u{2}");
    }

    #[test]
    fn no_value_can_pretend_to_be_another_label() {
        let labels = [("a", text("1\u{2}b\u{1}2\0"))];
        let key = with_key(&labels, str::to_owned);
        assert_eq!(key, "a\u{1}1␂b␁2␀\u{2}");
    }

    #[test]
    fn an_empty_value_is_no_label() {
        let labels = [("a", text("")), ("b", RawValue::Bool(true))];
        assert_eq!(with_key(&labels, str::to_owned), "b\u{1}true\u{2}");
    }

    #[test]
    fn long_values_are_cut_and_too_many_labels_overflow() {
        let long = "ä".repeat(5_000);
        let key = with_key(&[("a", text(&long))], str::to_owned);
        assert_eq!(key, format!("a\u{1}{}…\u{2}", "ä".repeat(MAX_LABEL_VALUE / 2)));
        let many = vec![("a", text("1")); MAX_LABELS + 1];
        assert_eq!(with_key(&many, str::to_owned), OVERFLOW_KEY);
    }

    #[test]
    fn a_label_le_is_no_bucket() {
        for (name, key) in [
            ("le", "exported_le"),
            ("quantile", "exported_quantile"),
            ("level", "level"),
        ] {
            assert_eq!(
                with_key(&[(name, text("1"))], str::to_owned),
                format!("{key}\u{1}1\u{2}")
            );
        }
    }
}
