//! Tests which values are masked and which are not, in every form of a value.
#![expect(clippy::unwrap_used, reason = "a test may panic")]

use std::borrow::Cow;

use serde_json::json;

use super::{mask_text, mask_text_of, mask_value, masked};
use crate::semconv::secret_kind;
use crate::{Attributes, Value};

/// Returns the text as it is shown under a key.
fn shown(key: &str, text: &str) -> String {
    mask_text_of(secret_kind(key), text, None).unwrap_or_else(|| text.to_owned())
}

fn stays(text: &str) {
    assert!(
        matches!(mask_text(text), Cow::Borrowed(_)),
        "{text} became {}",
        mask_text(text)
    );
}

#[test]
fn secret_members_are_masked_at_every_depth_of_every_notation() {
    for text in [
        r#"{"password":"hunter2"}"#,
        r#"{"password" : "hunter2"}"#,
        r#"{"a":{"b":[{"c":{"password":"hunter2"}}]}}"#,
        r#"[{"name":"Authorization","value":"hunter2"}]"#,
        r#"{"key":"api_key","value":{"stringValue":"hunter2"}}"#,
        r#"[["x","y"],["authorization","hunter2"]]"#,
        r#"{"passwords":["hunter2","hunter2"]}"#,
        r#"{"credentials":{"user":"a","is":"hunter2"}}"#,
        r#"{"arguments":"{\"user\":\"a\",\"password\":\"hunter2\"}"}"#,
        r#"{"a":"{\"b\":\"{\\\"password\\\":\\\"hunter2\\\"}\"}"}"#,
        r#""{\"password\":\"hunter2\"}""#,
        r#"{"pass\u0077ord":"hunter2"}"#,
        r#"{"url":"https:\/\/app:hunter2@host\/x"}"#,
        r#"{"password":"hunter2"#,
        r#"{"password":"hunter2","other":"#,
        r#"{"credentials":{"user":"hunter2"#,
        r#"{"dsn":"Server=db;Password=hunter2;User=a"}"#,
        r#"{"password": "hunter2", "user": "a"}"#,
        r#"Login { user: "a", password: "hunter2" }"#,
        r#"Some(Login { api_key: Some("hunter2") })"#,
        r#"Login { token: Secret("hunter2") }"#,
        r#"Login { secret: hunter2, x: 1 }"#,
        "Login {\n    user: \"a\",\n    password: \"hunter2\",\n}",
        r#"[("user", "a"), ("password", "hunter2")]"#,
        "[\n    (\n        \"password\",\n        \"hunter2\",\n    ),\n]",
        r#"{'user': 'a', 'password': 'hunter2'}"#,
        r#"{"log": "{'password': 'hunter2'}"}"#,
        r#"config(password=hunter2 user=a)"#,
    ] {
        let masked = mask_text(text);
        assert!(!masked.contains("hunter2"), "{text} became {masked}");
        assert!(masked.contains("[masked"), "{text} became {masked}");
        assert_eq!(mask_text(&masked), masked, "masked twice");
    }
}

#[test]
fn json_stays_json_and_keeps_everything_else() {
    for (text, expected) in [
        (
            json!({"password": "hunter2", "n": 1, "tokens": [1, 2], "is_password": true, "secret": null}),
            json!({"password": "[masked: 7 characters]", "n": 1, "tokens": [1, 2], "is_password": true, "secret": null}),
        ),
        (
            json!({"args": r#"{"cookie":"a\"b","q":"é\n"}"#, "auth": {"user": "a"}}),
            json!({"args": r#"{"cookie":"[masked: 3 characters]","q":"é\n"}"#, "auth": "[masked: 12 characters]"}),
        ),
    ] {
        let masked = mask_text(&text.to_string()).into_owned();
        let read: serde_json::Value = serde_json::from_str(&masked).unwrap();
        assert_eq!(read, expected, "{masked}");
        let mut value = Value::Json(text);
        mask_value("payload", &mut value);
        assert_eq!(value, Value::Json(expected));
    }
}

#[test]
fn texts_without_a_secret_stay_unchanged() {
    for text in [
        "",
        "password",
        "my password: swordfish is a word of a sentence",
        r#"{"user":"a","max_tokens":5,"next_token":"abc","eos_token":"</s>","author":"me"}"#,
        r#"{"password":5,"token":1.5e3,"secret":true,"cookie":null}"#,
        r#"{"required":["password","city"],"order":["token","x","y"]}"#,
        r#"Login { user: "a", password: None, token: Some(5) }"#,
        r#"{"a":"it's","b":"'tis {"}"#,
        "see https://example.com/a?next_token=b#c and mail a@b.c",
        "https://medium.com/@user/x:y",
        "http://[::1]:8080/a@b",
        "http://localhost:8080/a@b",
        "ssh://git@example.com/x",
        "postgres://app@db/x",
        "a://",
        "://@",
        "}}]])",
        "fn main() { auth::check(x) }",
    ] {
        stays(text);
    }
}

#[test]
fn urls_lose_their_credentials_wherever_they_are() {
    for (text, expected) in [
        (
            "postgres://app:hunter2@db:5432/x",
            "postgres://[masked]@db:5432/x",
        ),
        ("redis://:hunter2@cache", "redis://[masked]@cache"),
        ("https://ghp_1@github.com/a", "https://[masked]@github.com/a"),
        (
            "amqp://a:b@c and amqp://d:e@f",
            "amqp://[masked]@c and amqp://[masked]@f",
        ),
        ("x=(mongodb+srv://u:p@h)", "x=(mongodb+srv://[masked]@h)"),
        ("http://u:p/w#d@host/path", "http://[masked]@host/path"),
        (
            "https://h/p?a=1&access_token=abc&b=2#x",
            "https://h/p?a=1&access_token=[masked]&b=2#x",
        ),
        ("/v1/x?api_key=abc&b=2", "/v1/x?api_key=[masked]&b=2"),
        (
            "https://h/v1beta/models/m:generateContent?key=AIza1&alt=sse",
            "https://h/v1beta/models/m:generateContent?key=[masked]&alt=sse",
        ),
        (
            "https://h/blob?sv=2024&sig=ab%3D&se=1",
            "https://h/blob?sv=2024&sig=[masked]&se=1",
        ),
        (
            "https://h/o?X-Amz-Date=1&X-Amz-Signature=ab&sort_key=name&design=x",
            "https://h/o?X-Amz-Date=1&X-Amz-Signature=[masked]&sort_key=name&design=x",
        ),
        (
            "error for url (https://u:p@h/x): refused",
            "error for url (https://[masked]@h/x): refused",
        ),
    ] {
        assert_eq!(mask_text(text), expected);
        stays(expected);
    }
}

#[test]
fn connection_strings_lose_only_their_passwords() {
    for (text, expected) in [
        (
            "Server=db;User Id=a;Password=hunter2;",
            "Server=db;User Id=a;Password=[masked: 7 characters];",
        ),
        (
            "host=db password='hunter 2' user=a",
            "host=db password=[masked: 8 characters] user=a",
        ),
        (
            "AccountName=x;AccountKey=abc==",
            "AccountName=x;AccountKey=[masked: 5 characters]",
        ),
        (
            "app:hunter2@tcp(db:3306)/x",
            "app:[masked: 7 characters]@tcp(db:3306)/x",
        ),
        ("postgres://app:hunter2@db/x", "postgres://[masked]@db/x"),
        ("file:store.db", "file:store.db"),
        ("host=db user=a", "host=db user=a"),
    ] {
        for key in [
            "dsn",
            "DB_DSN",
            "database.connection_string",
            "ConnectionStrings.Default",
        ] {
            assert_eq!(shown(key, text), expected, "{key}");
            assert_eq!(shown(key, expected), expected, "{key}: masked twice");
        }
    }
}

#[test]
fn a_mask_states_the_length_and_is_not_masked_again() {
    assert_eq!(shown("password", "größe"), "[masked: 5 characters]");
    assert_eq!(masked("begin", Some(20_000)), "[masked: 20,000 bytes]");
    assert_eq!(
        shown("password", "[masked: 20,000 bytes]"),
        "[masked: 20,000 bytes]"
    );
    assert_eq!(shown("password", "[masked]"), "[masked]");
    assert_eq!(shown("password", "[masked: hunter2]"), "[masked: 17 characters]");
    let mut list = Value::Json(json!(["a", "b"]));
    mask_value("passwords", &mut list);
    assert_eq!(list, Value::from("[masked: 9 characters]"));
    for mut number in [
        Value::from(5),
        Value::from(true),
        Value::from(0.5),
        Value::Json(json!(null)),
    ] {
        let before = number.clone();
        mask_value("password", &mut number);
        assert_eq!(number, before);
    }
}

#[test]
fn malformed_texts_neither_panic_nor_take_long() {
    let parts = [
        "{", "}", "[", "]", "(", ")", "\"", "'", "\\", ":", "=", ",", " ", "password", "é", "Some(", "://",
        "@", "?", "\\u", "\\ud800", "1", "\n",
    ];
    // Every fifth combination of four parts, under the key of a connection string, which reaches
    // all code paths.
    for number in (0..parts.len().pow(4)).step_by(5) {
        let text: String = (0..4)
            .map(|place| parts[number / parts.len().pow(place) % parts.len()])
            .collect();
        let _ = shown("dsn", &text);
        let _ = mask_text(&format!("{{\"{text}"));
    }
    for part in parts {
        let _ = mask_text(&format!("{{{}", part.repeat(100_000)));
    }
    let nested = (0..12).fold(r#"{"password":"hunter2"}"#.to_owned(), |inside, _| {
        serde_json::to_string(&json!({ "a": inside })).unwrap()
    });
    assert!(!mask_text(&nested).contains("hunter2"));
}

#[test]
fn urls_that_are_keys_lose_their_credentials_and_other_keys_stay() {
    let keyed = json!({"https://ann:hunter2@h/x": 1, "https://bob:hunter2@h/x": 2, "password": "x", "https://h/y": 3});
    let expected = json!({
        "https://[masked]@h/x": 2, "password": "[masked: 1 characters]", "https://h/y": 3
    });
    let mut nested = Value::Json(json!([{ "a": keyed.clone() }]));
    mask_value("servers", &mut nested);
    assert_eq!(nested, Value::Json(json!([{ "a": expected.clone() }])));
    let mut attributes: Attributes = serde_json::from_value(keyed).unwrap();
    attributes.mask_secrets();
    assert_eq!(serde_json::to_value(&attributes).unwrap(), expected);
}

#[test]
fn in_a_list_only_the_argument_after_a_secret_flag_is_masked() {
    let list = json!([
        "login",
        "--password",
        "hunter2",
        "--api-key",
        "hunter2",
        "-v",
        "--token",
        "--max-tokens",
        "5",
        "x"
    ]);
    let mask = "[masked: 7 characters]";
    let expected = json!([
        "login",
        "--password",
        mask,
        "--api-key",
        mask,
        "-v",
        "--token",
        "--max-tokens",
        "5",
        "x"
    ]);
    let mut value = Value::Json(list.clone());
    mask_value("process.command_args", &mut value);
    assert_eq!(value, Value::Json(expected.clone()));
    assert_eq!(mask_text(&list.to_string()), expected.to_string());
    assert_eq!(
        mask_text("[\"--password\", \"hunter2\"]"),
        "[\"--password\", \"[masked: 7 characters]\"]"
    );
    stays("[\"--password=\", \"x\"]");
    stays("[\"--password\"]");
}
