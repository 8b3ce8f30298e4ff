//! The `tracestate` of W3C trace context, which is forwarded and never interpreted.

/// A longer `tracestate` is shortened to this number of bytes, the minimum that the recommendation
/// requires.
pub const MAX_TRACE_STATE_LEN: usize = 512;

/// A `tracestate` with more members is malformed.
pub const MAX_TRACE_STATE_MEMBERS: usize = 32;

/// If it is too long, members longer than this are dropped first.
const LARGE_MEMBER_LEN: usize = 128;

/// Returns the header as it is sent on, without spaces around its members; `None` if it is
/// malformed or empty.
pub(super) fn parse(text: &str) -> Option<String> {
    let mut members: Vec<&str> = Vec::new();
    for member in text.split(',').map(|member| member.trim_matches([' ', '\t'])) {
        if member.is_empty() {
            continue; // the recommendation allows it
        }
        if members.len() == MAX_TRACE_STATE_MEMBERS || !is_member(member) {
            return None;
        }
        members.push(member);
    }
    let len = |members: &[&str]| members.iter().map(|member| member.len() + 1).sum::<usize>();
    // From the right, because the newest entry is the leftmost.
    while len(&members) > MAX_TRACE_STATE_LEN + 1 {
        let large = members.iter().rposition(|member| member.len() > LARGE_MEMBER_LEN);
        members.remove(large.unwrap_or(members.len() - 1));
    }
    (!members.is_empty()).then(|| members.join(","))
}

fn is_member(member: &str) -> bool {
    let Some((key, value)) = member.split_once('=') else {
        return false;
    };
    let is_value_char = |byte| matches!(byte, 0x20..=0x7e) && byte != b',' && byte != b'=';
    is_key(key) && value.len() <= 256 && !value.is_empty() && value.bytes().all(is_value_char)
}

fn is_key(key: &str) -> bool {
    let is_part = |part: &str, max_len: usize| {
        let is_char = |byte| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'_' | b'-' | b'*' | b'/');
        (1..=max_len).contains(&part.len())
            && part.bytes().all(is_char)
            && part.starts_with(|c: char| c.is_ascii_alphanumeric())
    };
    match key.split_once('@') {
        None => is_part(key, 256),
        Some((tenant, system)) => is_part(tenant, 241) && is_part(system, 14),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn members_are_kept_as_they_are() {
        for (text, kept) in [
            ("congo=t61rcWkgMzE", Some("congo=t61rcWkgMzE")),
            (
                " a=1 ,\tb=2 ,, 0vendor@sys=a b!~ ",
                Some("a=1,b=2,0vendor@sys=a b!~"),
            ),
            ("", None),
            (" , ,", None),
        ] {
            assert_eq!(parse(text).as_deref(), kept, "{text:?}");
        }
    }

    #[test]
    fn a_malformed_tracestate_is_dropped_whole() {
        for text in [
            "a",
            "a=1,b",
            "A=1",
            "a=",
            "=1",
            "a=1=2",
            "a=é",
            "a=\u{1}",
            "_a=1",
            "a@=1",
            "a@b@c=1",
            &format!("{}=1", "k".repeat(257)),
            &format!("k={}", "v".repeat(257)),
        ] {
            assert_eq!(parse(text), None, "{text:?}");
        }
        let members = |count: usize| vec!["k=v"; count].join(",");
        assert_eq!(parse(&members(32)), Some(members(32)));
        assert_eq!(parse(&members(33)), None);
    }

    #[test]
    fn a_long_tracestate_loses_large_members_first_and_then_the_oldest() {
        let large = format!("large={}", "v".repeat(200));
        let small: Vec<String> = (0..8).map(|n| format!("k{n}={}", "v".repeat(50))).collect();
        let text = format!("{large},{}", small.join(","));
        assert_eq!(parse(&text), Some(small.join(",")));
        let small: Vec<String> = (10..30).map(|n| format!("k{n}={}", "v".repeat(96))).collect();
        assert_eq!(parse(&small.join(",")), Some(small[..5].join(",")));
    }
}
