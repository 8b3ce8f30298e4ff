//! Halves of characters, which JavaScript's texts may have and JSON's parser refuses.
//!
//! JavaScript counts texts in units of UTF-16. Its SDK cuts attributes to a length in them, and `JSON.stringify` writes the
//! half of an emoji that is left at the end as `\ud83d`. A whole batch would be lost for it.

/// The text with U+FFFD in the place of each half; none if there are none. What is no JSON for another reason stays so.
pub(super) fn mended(text: &[u8]) -> Option<Vec<u8>> {
    let mut mended = Vec::new();
    let mut kept = 0;
    let mut place = 0;
    while let Some(found) = text.get(place..)?.iter().position(|byte| *byte == b'\\') {
        place += found;
        place += match (unit(text, place), unit(text, place + UNIT)) {
            (Some(0xd800..=0xdbff), Some(0xdc00..=0xdfff)) => 2 * UNIT,
            (Some(0xd800..=0xdfff), _) => {
                mended.extend_from_slice(text.get(kept..place)?);
                mended.extend_from_slice(b"\\ufffd");
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
    mended.extend_from_slice(text.get(kept..)?);
    Some(mended)
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
