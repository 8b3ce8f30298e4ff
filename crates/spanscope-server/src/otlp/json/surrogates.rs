//! Unpaired surrogates, which JavaScript's strings may contain and the JSON parser refuses.
//!
//! JavaScript measures strings in units of UTF-16. Its SDK truncates attributes to a number of
//! units, and `JSON.stringify` writes the remaining half of an emoji as `\ud83d`. Without a repair
//! the whole batch would be lost.

/// Returns the text with U+FFFD in place of each unpaired surrogate; `None` if there is none. A
/// text that is invalid for another reason stays invalid.
pub(super) fn repaired(text: &[u8]) -> Option<Vec<u8>> {
    let mut repaired = Vec::new();
    let mut kept = 0;
    let mut position = 0;
    while let Some(found) = text.get(position..)?.iter().position(|byte| *byte == b'\\') {
        position += found;
        position += match (unit(text, position), unit(text, position + UNIT)) {
            (Some(0xd800..=0xdbff), Some(0xdc00..=0xdfff)) => 2 * UNIT,
            (Some(0xd800..=0xdfff), _) => {
                repaired.extend_from_slice(text.get(kept..position)?);
                repaired.extend_from_slice(b"\\ufffd");
                kept = position + UNIT;
                UNIT
            }
            // Another escape: its second byte may be a backslash that begins none.
            _ => 2,
        };
    }
    if kept == 0 {
        return None;
    }
    repaired.extend_from_slice(text.get(kept..)?);
    Some(repaired)
}

/// The length of `\ud83d` in bytes.
const UNIT: usize = 6;

/// Returns the unit of UTF-16 whose escape begins at this position.
fn unit(text: &[u8], position: usize) -> Option<u32> {
    let digits = text.get(position..position + UNIT)?.strip_prefix(b"\\u")?;
    digits.iter().try_fold(0, |unit, digit| {
        Some(unit << 4 | char::from(*digit).to_digit(16)?)
    })
}
