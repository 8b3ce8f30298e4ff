//! A small tokenizer with realistic counts.

/// Longest piece of a word that is one token; real tokenizers also average about four letters a
/// token.
const PIECE: usize = 4;
/// Words up to this length are one token.
const SHORT: usize = 6;

/// Returns the number of tokens of a text: one for each short word, each piece of a long one, and
/// each other character that is not white space.
///
/// ```text
/// "a checkpoint, then" -> a | chec kpoi nt | , | then
/// ```
pub(crate) fn count(text: &str) -> usize {
    let mut tokens = 0;
    let mut word = 0;
    for sign in text.chars() {
        if sign.is_alphanumeric() {
            word += 1;
            continue;
        }
        tokens += pieces(word);
        word = 0;
        if !sign.is_whitespace() {
            tokens += 1;
        }
    }
    tokens + pieces(word)
}

fn pieces(letters: usize) -> usize {
    if letters <= SHORT {
        letters.min(1)
    } else {
        letters.div_ceil(PIECE)
    }
}

/// Returns the lower-case words of a text, for search and comparison.
pub(crate) fn words(text: &str) -> impl Iterator<Item = String> {
    text.split(|sign: char| !sign.is_alphanumeric())
        .filter(|word| !word.is_empty())
        .map(str::to_lowercase)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_pieces_and_signs_are_counted() {
        assert_eq!(count(""), 0);
        assert_eq!(count("  \n"), 0);
        assert_eq!(count("a span"), 2);
        assert_eq!(count("a checkpoint, then"), 1 + 3 + 1 + 1);
        assert_eq!(count("größer"), 1);
    }

    #[test]
    fn words_are_lower_case_without_signs() {
        assert_eq!(
            words("Write-ahead Log!").collect::<Vec<_>>(),
            ["write", "ahead", "log"]
        );
    }
}
