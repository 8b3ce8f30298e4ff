//! Output without the parts that differ between runs: times, durations, ids, the lengths of bars,
//! line breaks.

/// Units of a duration.
const UNITS: [&str; 7] = ["ns", "µs", "ms", "s", "m", "h", "d"];

/// A hexadecimal word with more digits than this and at least one of 0 to 9 is an id: ids are shown
/// with at least 8 digits.
const ID_DIGITS: usize = 7;

/// Returns the words of a text, without the parts that differ between runs.
pub(crate) fn words<'a>(lines: impl IntoIterator<Item = &'a str>) -> Vec<String> {
    lines
        .into_iter()
        .flat_map(str::split_whitespace)
        .map(word)
        .filter(|word| !word.is_empty())
        .collect()
}

fn word(word: &str) -> String {
    // Bars, sparklines and the lines of boxes.
    if word
        .chars()
        .all(|c| matches!(c, '▁'..='▏' | '─' | '╭' | '╮' | '╰' | '╯'))
    {
        return String::new();
    }
    let mut normal = String::new();
    let mut rest = without_line(word);
    while let Some(first) = rest.chars().next() {
        let before = normal.chars().next_back();
        let begins = !before.is_some_and(char::is_alphanumeric);
        let length = match variable_part(rest).filter(|_| begins) {
            Some((length, text)) => {
                normal.push_str(text);
                length
            }
            None => {
                normal.push(first);
                first.len_utf8()
            }
        };
        rest = &rest[length..];
    }
    normal
}

/// Removes the line from a position in a source file (`categories::tools:141`): it changes with the
/// file.
fn without_line(word: &str) -> &str {
    match word.trim_end_matches(':').rsplit_once(':') {
        Some((place, line))
            if !line.is_empty()
                && line.bytes().all(|b| b.is_ascii_digit())
                && place.ends_with(|c: char| c.is_alphabetic())
                && place
                    .chars()
                    .all(|c| c.is_alphanumeric() || matches!(c, '_' | ':')) =>
        {
            place
        }
        _ => word,
    }
}

/// Finds a part that differs between runs at the beginning of a text. Returns its length and its
/// placeholder.
fn variable_part(text: &str) -> Option<(usize, &'static str)> {
    let hex = length_of(text, |c| c.is_ascii_digit() || ('a'..='f').contains(&c));
    let digits = length_of(text, |c| c.is_ascii_digit());
    let followed_by_word = |length: usize| text[length..].starts_with(|c: char| c.is_alphanumeric());
    if hex > ID_DIGITS && text[..hex].contains(|c: char| c.is_ascii_digit()) && !followed_by_word(hex) {
        return Some((hex, "ID"));
    }
    if digits == 0 {
        return None;
    }
    // 2026-12-01, 12-01, 16:25:25.459
    let time = length_of(text, |c| c.is_ascii_digit() || matches!(c, ':' | '.'));
    let time = text[..time].trim_end_matches([':', '.']).len();
    if text[..time].matches(':').count() == 2 && digits == 2 {
        return Some((time, "TIME"));
    }
    let date = length_of(text, |c| c.is_ascii_digit() || c == '-');
    if text[..date].matches('-').count() >= 1 && matches!(digits, 2 | 4) && text[..date].len() >= 5 {
        return Some((date, "DATE"));
    }
    let number = length_of(text, |c| c.is_ascii_digit() || matches!(c, '.' | ','));
    let unit = length_of(&text[number..], char::is_alphabetic);
    if UNITS.contains(&&text[number..number + unit]) {
        return Some((number + unit, "TOOK"));
    }
    None
}

fn length_of(text: &str, is_part: impl Fn(char) -> bool) -> usize {
    text.find(|c| !is_part(c)).unwrap_or(text.len())
}

/// Whether the words equal those of a page. A word of the page that ends with `...` is a prefix.
fn are_shown(shown: &[String], words: &[String]) -> bool {
    shown.len() == words.len()
        && shown
            .iter()
            .zip(words)
            .all(|(shown, word)| match shown.strip_suffix("...") {
                Some(beginning) => word.starts_with(beginning),
                None => shown == word,
            })
}

/// Whether the output is what the page shows; three dots at the end of a line stand for any words.
pub(crate) fn is_shown(shown: &[String], output: &str) -> bool {
    let output = words(output.lines());
    let parts: Vec<Vec<String>> = shown
        .split_inclusive(|line| line.ends_with("..."))
        .map(|lines| words(lines.iter().map(|line| if line == "..." { "" } else { line })))
        .collect();
    // Any words may follow three dots at the end.
    let ends_open = shown.last().is_some_and(|line| line.ends_with("..."));
    let parts = [parts, vec![Vec::new(); usize::from(ends_open)]].concat();
    let (Some(first), Some(last)) = (parts.first(), parts.last()) else {
        return output.is_empty();
    };
    if parts.len() == 1 {
        return are_shown(first, &output);
    }
    if output.len() < first.len() + last.len() {
        return false;
    }
    let (beginning, rest) = output.split_at(first.len());
    let (mut rest, end) = rest.split_at(rest.len() - last.len());
    if !are_shown(first, beginning) || !are_shown(last, end) {
        return false;
    }
    for part in &parts[1..parts.len() - 1] {
        let mut places = rest.windows(part.len().max(1));
        let Some(at) = places.position(|words| are_shown(part, words)) else {
            return false;
        };
        rest = &rest[at + part.len()..];
    }
    true
}

#[test]
fn parts_that_differ_between_runs_are_not_compared() {
    let shown = "INFO 16:25:25.480 6b0da375bd50 llm:190 [END] chat (20.38ms) busy 20.4ms,\n  idle 22.8µs ███▎ 12-01 5 tok";
    let other =
        "INFO 09:00:01.001 6b0e0000bd51 llm:190 [END] chat (8.38ms) busy 1.4s, idle 2ns ▏ 01-31 5 tok";
    assert_eq!(words(shown.lines()), words(other.lines()));
    assert_eq!(
        words(["tools:138 http://127.0.0.1:9/"]),
        words(["tools:9: http://127.0.0.1:9/"])
    );
    assert_ne!(words(["5 tok"]), words(["6 tok"]));
    assert_ne!(words(["404"]), words(["200"]));
    assert_eq!(words(["added deadbeef 1.89"]), ["added", "deadbeef", "1.89"]);
}

#[test]
fn three_dots_stand_for_any_lines() {
    let shown = ["a b".to_owned(), "...".to_owned(), "c".to_owned()];
    assert!(is_shown(&shown, "a b\nx\ny\nc\n"));
    assert!(is_shown(&shown, "a b\nc\n"));
    assert!(!is_shown(&shown, "a b\nx\n"));
    assert!(!is_shown(&shown, "a\nd b\nc\n"));
    assert!(is_shown(&["{\"a\":1,...".to_owned()], "{\"a\":1,\"b\": 2}\n"));
}
