//! Tests of the reducer of JSON: truncated texts, counts after large members, documents without an
//! end.
#![expect(clippy::unwrap_used, reason = "a test may panic")]

use serde_json::{Value, json};

use super::*;

const SMALL: Limits = Limits {
    whole: 64,
    text: 40,
    total: 400,
};

fn reduced(text: &str, limits: Limits) -> Option<Value> {
    let mut reducer = Reducer::new(limits);
    reducer.push(text.as_bytes());
    let copy = reducer.finish(false)?;
    Some(serde_json::from_slice(&copy).unwrap_or_else(|error| {
        panic!("{error} in {}", String::from_utf8_lossy(&copy));
    }))
}

#[test]
fn a_small_document_is_copied_as_it_is() {
    let documents = [
        json!({ "a": [1, -2.5e3, true, null, "x\"\\\n\u{1F600}"], "b": { "c": {} }, "d": [] }),
        json!([]),
        json!({}),
    ];
    for document in documents {
        let text = serde_json::to_string_pretty(&document).unwrap();
        assert_eq!(reduced(&text, SMALL), Some(document));
    }
}

#[test]
fn long_texts_are_cut_at_a_character() {
    for text in ["ä".repeat(100), "\u{1F600}".repeat(50), "\\\"".repeat(60)] {
        let document = json!({ "content": text }).to_string();
        let copy = reduced(&document, SMALL).unwrap();
        let kept = copy["content"].as_str().unwrap();
        assert!(text.starts_with(kept) && !kept.is_empty(), "{kept}");
    }
    // Escapes are not cut in two, nor are pairs of them.
    for escape in ["\\u00e4", "\\ud83d\\ude00", "\\n"] {
        let document = format!("{{\"content\":\"{}\"}}", escape.repeat(100));
        assert!(reduced(&document, SMALL).is_some(), "{escape}");
    }
}

#[test]
fn half_a_pair_of_escapes_is_replaced() {
    for text in ["\\ud83d", "\\ud83d\\ud83d", "\\ude00", "\\ud83dx", "\\ud83d\\n"] {
        let document = format!("{{\"content\":\"{text}\"}}");
        let copy = reduced(&document, SMALL).unwrap();
        assert!(copy["content"].as_str().unwrap().contains('\u{FFFD}'), "{text}");
    }
}

#[test]
fn counts_after_large_members_are_kept() {
    let usage = json!({ "prompt_tokens": 12, "prompt_tokens_details": { "cached_tokens": 3 } });
    let fillings = [
        json!({ "data": vec![0.25; 100_000] }),
        json!({ "choices": [{ "message": { "content": "x".repeat(1_000_000) }, "finish_reason": "stop" }] }),
        json!({ "output": vec![json!({ "a": "b", "c": { "d": ["e"] } }); 50_000] }),
        json!({ "choices": vec![json!({ "finish_reason": "stop", "index": 1 }); 50_000] }),
    ];
    for mut filling in fillings {
        filling["usage"] = usage.clone();
        filling["id"] = json!("an id");
        let text = filling.to_string();
        let mut document = Document::new(SMALL);
        document.push(text.as_bytes());
        assert!(document.is_reduced());
        let copy = document.take(false).unwrap();
        assert_eq!(copy["usage"], usage);
        assert!(copy.to_string().len() < 50_000, "{}", copy.to_string().len());
    }
}

#[test]
fn counts_inside_of_events_are_kept() {
    let text = "x".repeat(10_000);
    for event in [
        json!({ "type": "response.completed", "response": { "output": [text], "usage": { "input_tokens": 5 } } }),
        json!({ "type": "message_start", "message": { "content": [text], "usage": { "input_tokens": 5 } } }),
    ] {
        let copy = reduced(&event.to_string(), SMALL).unwrap();
        let inner = copy.get("response").or_else(|| copy.get("message")).unwrap();
        assert_eq!(inner["usage"]["input_tokens"], 5);
    }
}

#[test]
fn invalid_json_is_none() {
    for text in [
        "",
        "{",
        "{\"a\":1",
        "{\"a\":1}}",
        "{\"a\" 1}",
        "[1 2]",
        "<html>",
        "{a:1}",
        "nonsense",
    ] {
        assert_eq!(
            Reducer::new(SMALL).finish(false),
            None,
            "an empty text is not a document"
        );
        let mut document = Document::new(SMALL);
        document.push(text.as_bytes());
        assert_eq!(document.take(false), None, "{text}");
    }
}

#[test]
fn open_containers_are_closed_at_a_cut() {
    let whole =
        json!({ "id": "x", "choices": [{ "text": "a\u{1F600}b\\", "n": 12.5 }], "t": true }).to_string();
    let escaped = whole.replace('\u{1F600}', "\\ud83d\\ude00");
    for text in [whole, escaped] {
        for end in 1..text.len() {
            let mut document = Document::new(SMALL);
            document.push(&text.as_bytes()[..end]);
            let value = document.take(true);
            assert!(value.is_some_and(|value| value.is_object()), "{}", &end);
        }
    }
}

#[test]
fn depth_is_bounded() {
    let text = format!("{{\"a\":{}1{},\"id\":\"x\"}}", "[".repeat(5000), "]".repeat(5000));
    let mut document = Document::new(SMALL);
    document.push(text.as_bytes());
    assert_eq!(document.take(false).unwrap()["id"], "x");
    let mut reducer = Reducer::new(SMALL);
    reducer.push("[".repeat(10_000_000).as_bytes());
    assert_eq!(reducer.finish(true), None);
}

#[test]
fn a_copy_does_not_depend_on_the_sizes_of_the_pieces() {
    let random = &mut fastrand::Rng::with_seed(7);
    for _ in 0..300 {
        let text = serde_json::to_string(&made_up(random, 0)).unwrap();
        let at_once = reduced(&text, SMALL);
        let mut reducer = Reducer::new(SMALL);
        let mut rest = text.as_bytes();
        while !rest.is_empty() {
            let (piece, after) = rest.split_at(random.usize(1..=rest.len().min(9)));
            reducer.push(piece);
            rest = after;
        }
        let in_pieces = reducer.finish(false);
        let in_pieces = in_pieces.map(|copy| serde_json::from_slice::<Value>(&copy).unwrap());
        assert_eq!(in_pieces, at_once, "{text}");
    }
}

/// Returns random JSON.
fn made_up(random: &mut fastrand::Rng, depth: usize) -> Value {
    const KEYS: [&str; 8] = [
        "usage", "id", "content", "choices", "a\"b", "message", "ä", "model",
    ];
    match random.u8(if depth > 4 { 2..6 } else { 0..6 }) {
        0 => (0..random.usize(0..5))
            .map(|_| made_up(random, depth + 1))
            .collect(),
        1 => (0..random.usize(0..5))
            .map(|_| {
                let key = KEYS[random.usize(..KEYS.len())].to_owned();
                (key, made_up(random, depth + 1))
            })
            .collect::<serde_json::Map<_, _>>()
            .into(),
        2 => random.i32(..).into(),
        3 => Value::Null,
        _ => {
            let letters = ['a', '"', '\\', '\n', 'ä', '\u{1F600}', ' '];
            let len = random.usize(0..60);
            let text: String = (0..len).map(|_| letters[random.usize(..letters.len())]).collect();
            text.into()
        }
    }
}

#[test]
fn consecutive_objects_are_separated() {
    let text = b" {\"a\":\"}\\\"\"}\n{\"b\":[{}]} {}";
    for size in 1..text.len() {
        let mut values = Values::default();
        let mut found = vec![Vec::new()];
        for mut piece in text.chunks(size) {
            while !piece.is_empty() {
                let (part, border, rest) = values.split(piece);
                assert_ne!(border, Piece::Broken);
                found.last_mut().unwrap().extend_from_slice(part);
                if border == Piece::End {
                    found.push(Vec::new());
                }
                piece = rest;
            }
        }
        let found: Vec<Value> = found
            .iter()
            .filter(|bytes| !bytes.trim_ascii().is_empty())
            .map(|bytes| serde_json::from_slice(bytes).unwrap())
            .collect();
        assert_eq!(found, [json!({ "a": "}\"" }), json!({ "b": [{}] }), json!({})]);
    }
    let mut values = Values::default();
    assert_eq!(values.split(b"oops").1, Piece::Broken);
}
