//! The tokens of a JSON text, for counting its values before it is parsed: 2 bytes of a list become
//! a value of 72.

/// A token of a JSON text, except spaces, numbers and words.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Mark<'a> {
    /// The text between two quotes, as it is written.
    Text(&'a [u8]),
    Colon,
    Comma,
    OpenObject,
    OpenList,
    /// The end of either.
    Close,
}

/// Returns the tokens of a text, which need not be valid JSON.
pub(crate) fn marks(mut text: &[u8]) -> impl Iterator<Item = Mark<'_>> {
    std::iter::from_fn(move || {
        loop {
            let (byte, rest) = text.split_first()?;
            text = rest;
            return Some(match byte {
                b'"' => {
                    let length = length_of_text(text);
                    let (inside, rest) = text.split_at(length);
                    text = rest.get(1..).unwrap_or_default();
                    Mark::Text(inside)
                }
                b':' => Mark::Colon,
                b',' => Mark::Comma,
                b'{' => Mark::OpenObject,
                b'[' => Mark::OpenList,
                b'}' | b']' => Mark::Close,
                _ => continue,
            });
        }
    })
}

/// Returns the number of values: each begins a list or an object, or follows a comma or a bracket.
#[cfg(feature = "http")]
pub(crate) fn values(text: &[u8]) -> usize {
    let begin = |mark: &Mark<'_>| matches!(mark, Mark::Comma | Mark::OpenObject | Mark::OpenList);
    marks(text).filter(begin).count() + 1
}

/// Returns the length up to the closing quote, or up to the end of the text.
fn length_of_text(text: &[u8]) -> usize {
    let mut length = 0;
    while let Some(found) = text[length..]
        .iter()
        .position(|byte| matches!(byte, b'"' | b'\\'))
    {
        length += found;
        if text[length] == b'"' {
            return length;
        }
        length = (length + 2).min(text.len()); // the escaped character may be a quote
    }
    text.len()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn characters_inside_strings_are_no_tokens() {
        let found: Vec<_> = marks(br#" {"a{\"[" : [1, "\\", true]} "#).collect();
        assert_eq!(
            found,
            [
                Mark::OpenObject,
                Mark::Text(br#"a{\"["#),
                Mark::Colon,
                Mark::OpenList,
                Mark::Comma,
                Mark::Text(br"\\"),
                Mark::Comma,
                Mark::Close,
                Mark::Close,
            ]
        );
    }

    #[test]
    fn the_tokens_of_invalid_json_come_to_an_end() {
        for text in ["", "\"", "\"\\", "\"\\\"", "\"a\\", "]]}}", "\"\"\""] {
            assert!(marks(text.as_bytes()).count() <= text.len(), "{text}");
        }
    }

    #[test]
    fn values_are_counted() {
        for (text, count) in [
            ("7", 1),
            ("[1,2,3]", 4),
            (r#"{"a":1,"b":[{}]}"#, 5),
            (r#"",[{""#, 1),
        ] {
            assert_eq!(values(text.as_bytes()), count, "{text}");
        }
    }
}
