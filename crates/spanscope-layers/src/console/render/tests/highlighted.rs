//! What the highlighter paints, and that hostile texts are cheap.

use super::super::highlight::highlight;
use super::super::theme::Ink;

/// Returns the painted pieces with their styles.
fn painted(text: &str) -> Vec<(&str, Ink)> {
    let mut pieces = Vec::new();
    let mut start = 0;
    highlight(text, Ink::Plain, |end, ink| {
        pieces.push((&text[start..end], ink));
        start = end;
    });
    assert_eq!(start, text.len(), "every byte belongs to a piece");
    pieces.retain(|(_, ink)| *ink != Ink::Plain);
    pieces
}

#[test]
fn values_are_highlighted_as_in_rich() {
    use Ink::*;
    for (text, pieces) in [
        (
            "3 of -4.5 or 1e-9, 0xff",
            vec![
                ("3", Number),
                ("-4.5", Number),
                ("1e-9", Number),
                ("0xff", Number),
            ],
        ),
        ("took 12.5ms at 80%", vec![("12.5", Number), ("80", Number)]),
        ("say \"hi\" or 'ho'", vec![("\"hi\"", Text), ("'ho'", Text)]),
        (
            "see https://x.org/a?b=1, or not",
            vec![("https://x.org/a?b=1", Url)],
        ),
        ("in /usr/lib/a.so now", vec![("/usr/lib/", Path), ("a.so", File)]),
        (
            "true false None",
            vec![("true", True), ("false", False), ("None", Nothing)],
        ),
        ("from 10.0.0.7:80", vec![("10.0.0.7", Ip), ("80", Number)]),
        (
            "6f1c2a9e-8d0b-4c57-9a35-0f6f3f1b2c4d",
            vec![("6f1c2a9e-8d0b-4c57-9a35-0f6f3f1b2c4d", Uuid)],
        ),
        ("span 00f067aa0ba902b7", vec![("00f067aa0ba902b7", Uuid)]),
    ] {
        assert_eq!(painted(text), pieces, "{text}");
    }
}

#[test]
fn words_that_only_contain_values_are_not_highlighted() {
    for text in [
        "don't can't",
        "llama-3.2 v1.2.3 1.2.3",
        "2026-11-21",
        "and/or / //",
        "truely untrue",
        "http:// x",
        "x86_64 12monkeys é3",
        "\"unclosed",
        "",
    ] {
        assert_eq!(painted(text), vec![], "{text}");
    }
}

#[test]
fn hostile_texts_cost_no_more_than_others() {
    let started = std::time::Instant::now();
    for part in ["\"", "'\" ", "/", "1.", "-1", "\\\"'", "a://", "6f1c2a9e-", "é"] {
        painted(&part.repeat(100_000));
    }
    // Some milliseconds if it reads each text once; hours if it did so from every byte.
    assert!(started.elapsed().as_secs() < 10);
}
