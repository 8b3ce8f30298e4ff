//! Without a known token there is no response, nothing is stored and nothing is revealed.

use super::{Does, filled, rows};
use crate::running::{ACME, ADMIN, OTHER};
use crate::wire::{Answer, Ask, Connection};

/// Checks that a response requires a token, and reveals nothing about the valid ones.
fn assert_refused(answer: &Answer, sent: &str) {
    assert_eq!(answer.status, 401, "{sent}: {}", answer.text());
    assert_eq!(answer.header("www-authenticate"), Some("Bearer"), "{sent}");
    assert_eq!(answer.code(), "unauthorized", "{sent}");
    for hint in [ACME, OTHER, ADMIN, "acme", "other", "nearly"] {
        assert!(!answer.text().contains(hint), "{sent}: {}", answer.text());
    }
}

#[test]
fn requests_without_exactly_one_token_are_refused_everywhere() {
    let open = filled();
    let before = open.counts();
    let shorter = &ACME[..ACME.len() - 1];
    let headers = [
        String::new(),
        "Authorization: \r\n".to_owned(),
        "Authorization: Bearer\r\n".to_owned(),
        "Authorization: Bearer \r\n".to_owned(),
        "Authorization: Bearer nearly-the-token-001\r\n".to_owned(),
        format!("Authorization: Bearer {shorter}\r\n"),
        format!("Authorization: Bearer {ACME}0\r\n"),
        format!("Authorization: Bearer {}\r\n", ACME.to_uppercase()),
        format!("Authorization: Bearer {ACME},\r\n"),
        format!("Authorization: Bearer {ACME} {OTHER}\r\n"),
        format!("Authorization: Bearer {ACME}, Bearer {OTHER}\r\n"),
        format!("Authorization: Bearer \"{ACME}\"\r\n"),
        format!("Authorization: Bearer{ACME}\r\n"),
        format!("Authorization: {ACME}\r\n"),
        format!("Authorization: Basic {ACME}\r\n"),
        "Authorization: Basic YWNtZTp0b2tlbi1vZi1hY21lLTAwMDAwMDE=\r\n".to_owned(),
        format!("Authorization: Digest {ACME}\r\n"),
        format!("Authorization: Token {ACME}\r\n"),
        format!("Authorization: BearerBearer {ACME}\r\n"),
        format!("Authorization: Bearer {ACME}\u{e9}\r\n"),
        "Authorization: Bearer *\r\n".to_owned(),
        // Two tokens are refused even if they are equal, as it is unclear which of two is meant.
        format!("Authorization: Bearer {ACME}\r\nAuthorization: Bearer {ACME}\r\n"),
        format!("Authorization: Bearer {ACME}\r\nAuthorization: Bearer {OTHER}\r\n"),
        format!("Authorization: Bearer wrong-0123456789\r\nauthorization: Bearer {ACME}\r\n"),
        format!("Proxy-Authorization: Bearer {ACME}\r\n"),
        format!("X-Authorization: Bearer {ACME}\r\nCookie: token={ACME}\r\n"),
        format!("Authorization: Bearer {}\r\n", "x".repeat(10_000)),
    ];
    for row in rows().into_iter().filter(|row| row.does != Does::Public) {
        for header in &headers {
            let ask = row.ask(super::TRACE, super::SPAN);
            let bytes = ask.bytes();
            let text = String::from_utf8(bytes)
                .unwrap()
                .replacen("\r\n", &format!("\r\n{header}"), 1);
            let mut connection = Connection::open(open.address);
            connection.send(text.as_bytes());
            let shown = format!("{} {header}", row.path);
            assert_refused(&connection.answer(), &shown);
        }
    }
    // A token in a URL is refused, as it would appear in logs.
    for path in [
        "/v1/telemetry/traces/x?token=",
        "/v1/telemetry/traces/x?access_token=",
        "/v1/telemetry/traces/",
    ] {
        assert_refused(&Ask::get(&format!("{path}{ACME}")).to(open.address), path);
    }
    assert_eq!(open.counts(), before);
}

#[test]
fn the_token_is_checked_before_anything_else() {
    let open = filled();
    for ask in [
        Ask::get("/v1/telemetry/traces"), // wrong method
        Ask::get("/v1/traces"),
        Ask::post("/v1/telemetry/traces", "text/x", ""), // wrong content type
        Ask::post("/v1/traces", "text/x", "x"),
        Ask::post("/v1/traces", "application/json", "{"),
        Ask::get("/v1/telemetry/traces/%ff"),
        Ask::new("DELETE", "/metrics"),
    ] {
        assert_refused(&ask.to(open.address), &ask.head());
    }
    // The server responds before it reads the body.
    let mut connection = Connection::open(open.address);
    connection.send(b"POST /v1/traces HTTP/1.1\r\nHost: x\r\nContent-Length: 16000000\r\n\r\n");
    assert_refused(&connection.answer(), "16 MB");
}

#[test]
fn the_scheme_has_any_case_and_blanks_around_a_token_are_ignored() {
    let open = filled();
    for header in [
        format!("Bearer {ACME}"),
        format!("bearer {ACME}"),
        format!("BEARER  {ACME}"),
        format!("  Bearer {ACME}  "),
    ] {
        let answer = Ask::get("/v1/telemetry/traces/0af7651916cd43dd8448eb211c80319c")
            .header("Authorization", &header)
            .to(open.address);
        assert_eq!(answer.status, 200, "{header}");
    }
}

#[test]
fn an_unknown_path_reveals_nothing_about_tokens() {
    let open = filled();
    let to_pages = if cfg!(feature = "pages") { 302 } else { 404 };
    for (path, status) in [
        ("/", to_pages),
        ("/nowhere", 404),
        ("/v1", 404),
        ("/v1/telemetry", 404),
        ("/admin", 404),
        ("/metrics/x", 404),
    ] {
        let without = Ask::get(path).to(open.address);
        let with = Ask::get(path).token(ACME).to(open.address);
        assert_eq!((without.status, with.status), (status, status), "{path}");
        assert_eq!(without.text(), with.text());
    }
}
