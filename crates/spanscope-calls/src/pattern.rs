//! Recognizes events that equal an earlier one except for some values, without parsing them.
//!
//! The chunks of a streamed response repeat the id, the model and the time, and differ in a piece
//! of text. Comparing a chunk with the last one takes a tenth of the time of searching the chunk
//! for the members that matter.

use std::ops::Range;

/// Longer events are not compared: few streams have them, and each would be copied.
const MAX_LEN: usize = 4096;

/// Events that differ in more values are not compared.
const MAX_VARYING: usize = 8;

/// If the events of a stream keep differing from the previous one, they are compared less and less
/// often.
const MAX_MISSES: u32 = 8;

/// An event that contains only content, and the positions of its values that vary.
///
/// Only texts and numbers may vary, except for texts under the key `type`, which is the kind of an
/// event in some APIs. So an event of this pattern has the same members as the learned event, and
/// the same `null`, `true` and `false`.
#[derive(Debug, Default)]
pub(crate) struct Pattern {
    /// The event with the frame around its JSON.
    event: Vec<u8>,
    varying: Vec<Varying>,
    /// Events that were learned since the pattern last matched one.
    misses: u32,
}

/// A value that varies.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Varying {
    /// Where it is in the event, without its quotes.
    range: Range<usize>,
    is_text: bool,
}

impl Pattern {
    /// Skips the events of this pattern at the start of `bytes`. Returns their number, and the
    /// bytes after them.
    pub(crate) fn skip<'b>(&mut self, bytes: &'b [u8]) -> (u64, &'b [u8]) {
        let (mut count, mut rest) = (0, bytes);
        while let Some(after) = self.after_match(rest) {
            count += 1;
            rest = after;
        }
        if count > 0 {
            self.misses = 0;
        }
        (count, rest)
    }

    /// Returns the bytes after an event of this pattern; `None` if `bytes` don't start with one.
    fn after_match<'b>(&self, bytes: &'b [u8]) -> Option<&'b [u8]> {
        if self.event.is_empty() {
            return None;
        }
        let (mut rest, mut fixed) = (bytes, 0);
        for Varying { range, is_text } in &self.varying {
            rest = rest.strip_prefix(&self.event[fixed..range.start])?;
            let len = if *is_text {
                text_len(rest)?
            } else {
                number_len(rest)?
            };
            rest = &rest[len..];
            fixed = range.end;
        }
        rest.strip_prefix(&self.event[fixed..])
    }

    /// Learns from an event that contains only content: values that differ from the last event may
    /// vary in later ones.
    pub(crate) fn learn(&mut self, event: &[u8]) {
        self.misses = self.misses.saturating_add(1);
        if event.len() > MAX_LEN || (self.misses > MAX_MISSES && !self.misses.is_power_of_two()) {
            return;
        }
        self.varying = self.varying_in(event).unwrap_or_default();
        self.event.clear();
        self.event.extend_from_slice(event);
    }

    /// Returns the values of an event that vary; `None` if it differs from the known event in more
    /// than values.
    fn varying_in(&self, event: &[u8]) -> Option<Vec<Varying>> {
        let known = self.event.as_slice();
        let (mut at_known, mut at) = (json_start(known)?, json_start(event)?);
        if known[..at_known] != event[..at] {
            return None;
        }
        let mut varying = Vec::new();
        let mut key: &[u8] = &[];
        while at_known < known.len() {
            let (before, now) = (known[at_known], *event.get(at)?);
            let is_text = before == b'"';
            if !is_text && !is_number_start(before) {
                if before != now {
                    return None;
                }
                (at_known, at) = (at_known + 1, at + 1);
                continue;
            }
            let (old, new) = if is_text {
                if now != b'"' {
                    return None;
                }
                (at_known, at) = (at_known + 1, at + 1);
                (text_len(&known[at_known..])?, text_len(&event[at..])?)
            } else {
                (number_len(&known[at_known..])?, number_len(&event[at..])?)
            };
            let place = at..at + new;
            let is_same = known[at_known..at_known + old] == event[place.clone()];
            let was_varying = self.varying.iter().any(|one| one.range.start == at_known);
            let quote = usize::from(is_text);
            (at_known, at) = (at_known + old + quote, at + new + quote);
            let is_key = is_text && event[at..].trim_ascii_start().first() == Some(&b':');
            if is_key {
                key = &event[place.clone()];
            }
            if is_same && !was_varying {
                continue;
            }
            if is_key || (is_text && key == b"type") || varying.len() == MAX_VARYING {
                return None;
            }
            varying.push(Varying {
                range: place,
                is_text,
            });
        }
        (at == event.len()).then_some(varying)
    }
}

/// Returns the position at which the JSON of an event starts. `None` if there are quotes before it,
/// which would be mistaken for those of a text.
fn json_start(event: &[u8]) -> Option<usize> {
    let start = event.iter().position(|byte| matches!(byte, b'{' | b'"'))?;
    (event[start] == b'{').then_some(start)
}

fn is_number_start(byte: u8) -> bool {
    matches!(byte, b'0'..=b'9' | b'-')
}

/// Returns the length of a text up to its closing quote. `None` if `bytes` don't contain its end,
/// or contain bytes that no JSON text has, such as a line feed.
fn text_len(bytes: &[u8]) -> Option<usize> {
    let mut at = 0;
    loop {
        match *bytes.get(at)? {
            b'"' => return Some(at),
            0..=0x1F => return None,
            b'\\' if *bytes.get(at + 1)? >= b' ' => at += 2,
            b'\\' => return None,
            _ => at += 1,
        }
    }
}

/// Returns the length of a number; `None` if there is none.
fn number_len(bytes: &[u8]) -> Option<usize> {
    let is_part = |byte: &u8| is_number_start(*byte) || matches!(byte, b'+' | b'.' | b'e' | b'E');
    let len = bytes.iter().take_while(|byte| is_part(byte)).count();
    (len > 0 && is_number_start(bytes[0])).then_some(len)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn learned(events: &[&str]) -> Pattern {
        let mut pattern = Pattern::default();
        for event in events {
            pattern.learn(event.as_bytes());
        }
        pattern
    }

    fn matches(pattern: &mut Pattern, event: &str) -> bool {
        let (count, rest) = pattern.skip(event.as_bytes());
        assert_eq!(
            (count, rest.len()),
            if count == 1 { (1, 0) } else { (0, event.len()) }
        );
        count == 1
    }

    #[test]
    fn events_that_differ_in_texts_and_numbers_match() {
        let event = |text: &str, number: &str| {
            format!(
                "event: a\ndata: {{\"id\":\"x\",\"n\":{number},\"delta\":{{\"content\": \"{text}\"}},\"finish\":null}}\n\n"
            )
        };
        let mut pattern = learned(&[&event("one", "1"), &event(" two", "12")]);
        for (text, number) in [
            ("one", "1"),
            ("", "-3.5e+7"),
            ("größer \u{1F600} \\\"usage\\\": \\\\", "0"),
            ("}\\u0022{", "99"),
        ] {
            assert!(matches(&mut pattern, &event(text, number)), "{text} {number}");
        }
        // A value that was the same by chance still varies.
        pattern.learn(event(" two", "12").as_bytes());
        assert!(matches(&mut pattern, &event("three", "4")));
        for other in [
            event("one", "null"),
            event("a\nb", "1"),
            event("one\",\"usage\":{},\"b\":\"", "1"),
            event("one", "1").replace(":null", ":\"stop\""),
            event("one", "1").replace("\"x\"", "\"y\""),
            event("one", "1").replace("event: a", "event: b"),
            event("one", "1").replace("\"content\"", "\"Content\""),
        ] {
            assert!(!matches(&mut pattern, &other), "{other}");
        }
        let whole = event("one", "1");
        for end in 0..whole.len() {
            assert!(
                !matches(&mut pattern, &whole[..end]),
                "an event that is cut at {end}"
            );
        }
    }

    #[test]
    fn the_kind_of_an_event_does_not_vary() {
        for (first, second, other) in [
            ("{\"type\":\"a\"}\n", "{\"type\":\"b\"}\n", "{\"type\":\"c\"}\n"),
            ("{\"a\":null}\n", "{\"a\":true}\n", "{\"a\":\"x\"}\n"),
            ("{\"a\":\"x\"}\n", "{\"b\":\"x\"}\n", "{\"c\":\"x\"}\n"),
            (
                ": \"x\"\ndata: {\"a\":1}\n\n",
                ": \"y\"\ndata: {\"a\":1}\n\n",
                ": \"z\"\ndata: {\"a\":1}\n\n",
            ),
        ] {
            let mut pattern = learned(&[first, second]);
            assert!(!matches(&mut pattern, other), "{other}");
            assert!(matches(&mut pattern, second), "the last one still matches itself");
        }
    }

    #[test]
    fn a_stream_of_events_of_many_kinds_is_compared_rarely() {
        let mut pattern = Pattern::default();
        for number in 0..1000 {
            pattern.learn(format!("{{\"key{number}\":1}}").as_bytes());
        }
        let learned = String::from_utf8_lossy(&pattern.event).into_owned();
        assert_eq!(learned, "{\"key511\":1}");
        pattern.learn(&vec![b' '; MAX_LEN + 1]);
        assert_eq!(pattern.event, learned.as_bytes());
    }
}
