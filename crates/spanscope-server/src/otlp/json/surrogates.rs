//! Halves of characters, which JavaScript's texts may have and JSON's parser refuses.
//!
//! JavaScript measures strings in units of UTF-16. Its SDK truncates attributes to a length in
//! them, and `JSON.stringify` writes the remaining half of an emoji as `\ud83d`. Otherwise the
//! whole batch would be lost.

/// Returns the text with U+FFFD in place of each half; `None` if there are none. A text that is
/// invalid for another reason stays so.
pub(super) fn repaired(text: &[u8]) -> Option<Vec<u8>> {
    let mut repaired = Vec::new();
    let mut kept = 0;
    let mut place = 0;
    while let Some(found) = text.get(place..)?.iter().position(|byte| *byte == b'\\') {
        place += found;
        place += match (unit(text, place), unit(text, place + UNIT)) {
            (Some(0xd800..=0xdbff), Some(0xdc00..=0xdfff)) => 2 * UNIT,
            (Some(0xd800..=0xdfff), _) => {
                repaired.extend_from_slice(text.get(kept..place)?);
                repaired.extend_from_slice(b"\\ufffd");
                kept = place + UNIT;
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

/// How long `\ud83d` is.
const UNIT: usize = 6;

/// The unit of UTF-16 that is escaped here.
fn unit(text: &[u8], place: usize) -> Option<u32> {
    let digits = text.get(place..place + UNIT)?.strip_prefix(b"\\u")?;
    digits.iter().try_fold(0, |unit, digit| {
        Some(unit << 4 | char::from(*digit).to_digit(16)?)
    })
}
