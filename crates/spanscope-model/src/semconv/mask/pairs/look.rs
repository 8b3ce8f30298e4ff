//! Classifies a value: not a secret, a word, or something random.
//!
//! This does not judge the strength of a password. It only distinguishes what people write after
//! the name of a secret: the secret, a word of a sentence, or code that fetches the secret.

use super::super::super::secret_keys::secret_kind;

/// A longer text is never a placeholder.
const MAX_PLACEHOLDER: usize = 256;

/// This number of letters in mixed case is never a word.
const MIN_RANDOM_LETTERS: usize = 16;

/// Words of types, of states and of sentences that can appear in a value's position.
const WORDS: [&str; 88] = [
    "a",
    "an",
    "and",
    "any",
    "are",
    "as",
    "basic",
    "bearer",
    "bool",
    "boolean",
    "by",
    "bytes",
    "can",
    "cannot",
    "changed",
    "char",
    "denied",
    "digest",
    "empty",
    "enter",
    "expected",
    "expired",
    "failed",
    "false",
    "file",
    "for",
    "found",
    "from",
    "got",
    "has",
    "hidden",
    "if",
    "in",
    "incorrect",
    "int",
    "integer",
    "invalid",
    "is",
    "it",
    "masked",
    "may",
    "missing",
    "must",
    "new",
    "nil",
    "no",
    "none",
    "not",
    "null",
    "number",
    "object",
    "of",
    "ok",
    "on",
    "option",
    "optional",
    "or",
    "please",
    "redacted",
    "refused",
    "rejected",
    "required",
    "revoked",
    "secret",
    "secretstr",
    "set",
    "should",
    "str",
    "string",
    "text",
    "that",
    "the",
    "this",
    "timeout",
    "to",
    "true",
    "undefined",
    "unknown",
    "unset",
    "use",
    "used",
    "was",
    "will",
    "with",
    "wrong",
    "yes",
    "you",
    "your",
];

/// The class of a value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum ValueClass {
    /// A number, a type, a call, a variable, a placeholder, a mask or a word that is not a value.
    Nothing,
    /// Any other word or words.
    Word,
    /// Letters mixed with digits or punctuation.
    Random,
}

/// Classifies the value of this key.
pub(super) fn classify(value: &str, key: &str) -> ValueClass {
    let value = value.trim();
    if value.is_empty() || value.contains("[masked") || value.starts_with("[redacted") {
        return ValueClass::Nothing;
    }
    if value.len() <= MAX_PLACEHOLDER
        && (is_number(value) || is_placeholder(value) || is_code(value, key) || is_known(value))
    {
        return ValueClass::Nothing;
    }
    // The end of a closure's parameters or of a table cell.
    let value = value.trim_end_matches('|');
    let has_letter = value.chars().any(char::is_alphabetic);
    let has_digit = value.bytes().any(|byte| byte.is_ascii_digit());
    let has_sign = value.bytes().any(|byte| b"!@#$%^&*+=/~?|\\".contains(&byte));
    if has_letter && (has_digit || has_sign) || (has_digit && has_sign) {
        return ValueClass::Random;
    }
    if !has_letter {
        // A range, a date, stars and the like.
        return ValueClass::Nothing;
    }
    let both_cases = value.bytes().any(|byte| byte.is_ascii_uppercase())
        && value.bytes().any(|byte| byte.is_ascii_lowercase());
    if both_cases && value.len() >= MIN_RANDOM_LETTERS && !value.contains(' ') {
        return ValueClass::Random;
    }
    ValueClass::Word
}

/// Returns whether `f64` parses it.
pub(super) fn is_number(value: &str) -> bool {
    value.starts_with(|first: char| first.is_ascii_digit() || matches!(first, '-' | '+' | '.'))
        && value.parse::<f64>().is_ok()
}

/// `${X}`, `$X`, `$(x)`, `{x}`, `<x>`, `%s`, `***`, and the first line of PEM, which is read
/// separately.
fn is_placeholder(value: &str) -> bool {
    let wraps = |open: &str, close: char| value.starts_with(open) && value.ends_with(close);
    let is_variable = |name: &str| {
        !name.is_empty()
            && name
                .bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
            && !name.starts_with(|first: char| first.is_ascii_digit())
            && (name.bytes().all(|byte| !byte.is_ascii_lowercase()) || secret_kind(name).is_some())
    };
    wraps("${", '}')
        || wraps("$(", ')')
        || wraps("{", '}')
        || wraps("<", '>')
        || (wraps("%", '%') && value.len() > 1)
        || matches!(value, "%s" | "%d" | "%v" | "%q" | "?" | "|" | "|-" | ">" | ">-")
        || value.strip_prefix('$').is_some_and(is_variable)
        || value.starts_with("-----BEGIN")
        || value
            .bytes()
            .all(|byte| matches!(byte, b'*' | b'.' | b'x' | b'X' | b'-'))
        || value
            .chars()
            .all(|letter| matches!(letter, '\u{2022}' | '\u{2026}'))
}

/// Returns whether it is a name, a call, a path or a type of a program: such a text refers to the
/// secret and does not contain it.
fn is_code(value: &str, key: &str) -> bool {
    let is_reference =
        |rest: &str| rest.starts_with(|first: char| first.is_ascii_alphabetic() || first == '[');
    if value.strip_prefix('&').is_some_and(is_reference) || value.starts_with("[&") {
        return true;
    }
    let value = value.trim_end_matches([',', ';', '|']);
    let name_len = value
        .bytes()
        .take_while(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'.' | b':'))
        .count();
    let (name, rest) = value.split_at(name_len);
    let is_name = name.starts_with(|first: char| first.is_ascii_alphabetic() || first == '_');
    if !is_name {
        return false;
    }
    let no_digits = !name.bytes().any(|byte| byte.is_ascii_digit());
    match rest.as_bytes().first() {
        // The rest may be cut off at a space.
        Some(b'(') => return true,
        Some(b'!') if rest[1..].starts_with('(') => return true,
        Some(b'[') => return no_digits,
        Some(b'<') => return no_digits && (rest.ends_with('>') || !rest.contains('>')),
        Some(_) => return false,
        None => {}
    }
    if name.contains("::") {
        return true;
    }
    let last = name.rsplit(['.', ':']).next().unwrap_or_default();
    let is_key = last.eq_ignore_ascii_case(key) || (no_digits && secret_kind(last).is_some());
    let is_path = no_digits && name.contains('.') && name.split('.').all(|part| !part.is_empty());
    is_key || is_path
}

fn is_known(value: &str) -> bool {
    let word = value.trim_end_matches(['.', ',', ';', ':', '!', '?', ')', '|']);
    word.len() <= 9 && WORDS.iter().any(|known| word.eq_ignore_ascii_case(known))
}
