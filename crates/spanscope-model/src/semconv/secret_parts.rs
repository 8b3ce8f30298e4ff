//! Searches for parts that the names of secrets have in common, in one pass over a key or a text.
//!
//! Every text of every record is searched, and almost none contains such a part. So the search
//! reads only every second pair of letters: of the two pairs in three adjacent letters, one is
//! always among them. A table of all pairs of letters holds the parts that contain each pair.

/// Parts of the names of secrets, with the offset of three rare letters.
const PARTS: [(&str, usize); 16] = [
    ("auth", 0),
    ("bearer", 0),
    ("connection", 2),
    ("cookie", 3),
    ("credential", 6),
    ("curl", 0),
    ("dsn", 0),
    ("identified", 4),
    ("jwt", 0),
    ("key", 0),
    ("passphrase", 2),
    ("passw", 2),
    ("pwd", 0),
    ("secret", 1),
    ("sshpass", 3),
    ("token", 1),
];

/// For each pair of letters two bits per part: one for each offset of the pair.
static PAIRS: [u32; 1024] = pairs();

const fn pairs() -> [u32; 1024] {
    let mut pairs = [0; 1024];
    let mut part = 0;
    while part < PARTS.len() {
        let (name, place) = PARTS[part];
        let letters = name.as_bytes();
        let mut second = 0;
        while second < 2 {
            let at = place + second;
            pairs[pair_of(letters[at], letters[at + 1])] |= 1 << (2 * part + second);
            second += 1;
        }
        part += 1;
    }
    pairs
}

/// Returns the index of a pair. Capitals, and a few bytes that are not letters, have the same
/// index.
const fn pair_of(first: u8, second: u8) -> usize {
    ((first & 31) as usize) << 5 | (second & 31) as usize
}

/// Returns where the next part of a secret's name begins, ignoring ASCII case.
pub(super) fn find(bytes: &[u8], from: usize) -> Option<usize> {
    let mut at = from;
    // Four pairs at once: most pairs are in no part.
    while let Some(block) = bytes.get(at..at + 8) {
        let pair = |place: usize| PAIRS[pair_of(block[place], block[place + 1])];
        if pair(0) | pair(2) | pair(4) | pair(6) != 0 {
            for place in [0, 2, 4, 6] {
                if let Some(start) = part_at(bytes, from, at + place, pair(place)) {
                    return Some(start);
                }
            }
        }
        at += 8;
    }
    while let Some(&[first, second]) = bytes.get(at..at + 2) {
        if let Some(start) = part_at(bytes, from, at, PAIRS[pair_of(first, second)]) {
            return Some(start);
        }
        at += 2;
    }
    None
}

/// Returns the start of a part whose pair is at `at`. The bits of `parts` are the candidates.
#[inline(never)]
fn part_at(bytes: &[u8], from: usize, at: usize, mut parts: u32) -> Option<usize> {
    while parts != 0 {
        let bit = parts.trailing_zeros() as usize;
        parts &= parts - 1;
        let (name, place) = PARTS[bit / 2];
        let (third, third_at) = if bit.is_multiple_of(2) {
            (place + 2, at + 2)
        } else {
            (place, at.wrapping_sub(1))
        };
        if bytes
            .get(third_at)
            .is_none_or(|byte| byte | 32 != name.as_bytes()[third])
        {
            continue;
        }
        let start = at.checked_sub(place + bit % 2).filter(|start| *start >= from);
        if let Some(start) = start
            && let Some(found) = bytes.get(start..start + name.len())
            && found.eq_ignore_ascii_case(name.as_bytes())
        {
            return Some(start);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_part_is_found_at_every_offset() {
        for (part, _) in PARTS {
            for before in 0..5 {
                for after in 0..3 {
                    for name in [part.to_owned(), part.to_uppercase()] {
                        let text = format!("{}{name}{}", "-".repeat(before), ".".repeat(after));
                        assert_eq!(find(text.as_bytes(), 0), Some(before), "{text}");
                        assert_eq!(find(text.as_bytes(), before), Some(before), "{text}");
                        assert_eq!(find(text.as_bytes(), before + 1), None, "{text}");
                    }
                    let cut = format!("{}{}", "-".repeat(before), &part[..part.len() - 1]);
                    assert_eq!(find(cut.as_bytes(), 0), None, "{cut}");
                }
            }
        }
        assert_eq!(find(b"", 0), None);
        assert_eq!(find(b"key", 9), None);
    }
}
