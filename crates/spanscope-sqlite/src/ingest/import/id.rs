//! Converts the ids of other systems to those of the store.

use std::fmt::Write;

/// An id in the store's form, and whether it had to be derived.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Id<T> {
    pub(super) id: T,
    /// Whether it was derived from a hash of the source's text, because the text is not a valid id.
    pub(super) is_derived: bool,
}

/// Parses a span id; missing leading zeros are added.
pub(super) fn span(text: &str) -> Id<i64> {
    match hex(text, 16) {
        Some(number) => Id {
            id: i64::from_be_bytes(number.to_be_bytes().last_chunk().copied().unwrap_or_default()),
            is_derived: false,
        },
        None => Id {
            id: i64::from_be_bytes(hash(text, 0).to_be_bytes()),
            is_derived: true,
        },
    }
}

/// Parses a trace id; missing leading zeros are added.
pub(super) fn trace(text: &str) -> Id<String> {
    match hex(text, 32) {
        Some(number) => Id {
            id: format!("{number:032x}"),
            is_derived: false,
        },
        None => {
            let mut id = format!("{:016x}", hash(text, 1));
            // Writing into a text can't fail.
            let _ = write!(id, "{:016x}", hash(text, 2));
            Id { id, is_derived: true }
        }
    }
}

fn hex(text: &str, digits: usize) -> Option<u128> {
    let significant = text.trim_start_matches('0');
    let is_hex = text.bytes().all(|byte| byte.is_ascii_hexdigit());
    if !is_hex || significant.is_empty() || significant.len() > digits {
        return None;
    }
    u128::from_str_radix(significant, 16).ok()
}

/// FNV-1a with a final mix, because it must give the same id in every version of this program.
/// Never zero.
fn hash(text: &str, seed: u64) -> u64 {
    let mut hash = 0xcbf2_9ce4_8422_2325 ^ seed.wrapping_mul(0x9e37_79b9_7f4a_7c15);
    for byte in text.bytes() {
        hash = (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3);
    }
    hash = (hash ^ (hash >> 33)).wrapping_mul(0xff51_afd7_ed55_8ccd);
    (hash ^ (hash >> 33)).max(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_padded_and_others_get_stable_ones() {
        assert_eq!(span("1f").id, 0x1f);
        assert_eq!(span("ffffffffffffffff").id, -1);
        assert_eq!(span("000000000000000000001f").id, 0x1f);
        assert_eq!(trace("ABC").id, "00000000000000000000000000000abc");
        for foreign in ["", "0", "not hex", "1b4e28ba-2fa1-11d2-883f-0016d3cca427"] {
            assert!(span(foreign).is_derived && trace(foreign).is_derived);
            assert_eq!(span(foreign), span(foreign));
            assert_eq!(trace(foreign).id.len(), 32);
        }
        assert_ne!(span("a span").id, span("another span").id);
        assert!(
            span("11112222333344445555").is_derived,
            "longer than a span id can be"
        );
    }
}
