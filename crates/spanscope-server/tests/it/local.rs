//! Which callers may use a server that is for this machine only.

use axum::Router;
use axum::routing::get;
use spanscope_server::local_only;
use spanscope_tests::http::send_as_it_is;

use crate::running::open;
use crate::support::Server;
use crate::tenants::{Does, SPAN, TRACE, rows};

#[test]
fn only_requests_to_names_of_this_machine_and_from_own_pages_are_accepted() {
    let app = Router::new().route("/", get(async || "secret").post(async || "written"));
    let server = Server::start(local_only(app));
    let port = server.address.port();
    let cases: &[(&str, u16)] = &[
        ("Host: localhost:PORT\r\n", 200),
        ("Host: LOCALHOST\r\n", 200),
        ("Host: app.localhost:PORT\r\n", 200),
        ("Host: 127.0.0.1:PORT\r\n", 200),
        ("Host: 127.8.9.1\r\n", 200),
        ("Host: [::1]:PORT\r\n", 200),
        ("Host: [::ffff:127.0.0.1]:PORT\r\n", 200),
        // A name whose owner has pointed it here.
        ("Host: evil.example:PORT\r\n", 403),
        ("Host: localhost.evil.example\r\n", 403),
        ("Host: notlocalhost\r\n", 403),
        ("Host: 127.0.0.1.evil.example\r\n", 403),
        ("Host: 192.168.1.7:PORT\r\n", 403),
        ("Host: 0.0.0.0:PORT\r\n", 403),
        ("Host: localhost@evil.example\r\n", 403),
        ("Host: evil.example@localhost\r\n", 403),
        ("Host: \r\n", 403),
        ("", 403),
        ("Host: localhost\r\nHost: evil.example\r\n", 403),
        // Pages.
        ("Host: localhost:PORT\r\nOrigin: http://localhost:PORT\r\n", 200),
        ("Host: 127.0.0.1:PORT\r\nOrigin: http://127.0.0.1:PORT\r\n", 200),
        ("Host: localhost:PORT\r\nOrigin: http://evil.example\r\n", 403),
        ("Host: localhost:PORT\r\nOrigin: http://localhost:1\r\n", 403),
        ("Host: localhost:PORT\r\nOrigin: http://127.0.0.1:PORT\r\n", 403),
        ("Host: localhost:PORT\r\nOrigin: null\r\n", 403),
        ("Host: localhost:PORT\r\nOrigin: file://localhost:PORT\r\n", 403),
        (
            "Host: localhost:PORT\r\nOrigin: http://localhost:PORT\r\nOrigin: http://evil.example\r\n",
            403,
        ),
    ];
    for (headers, status) in cases {
        let headers = headers.replace("PORT", &port.to_string());
        for method in ["GET", "POST"] {
            let answer = send_as_it_is(server.address, method, "/", &headers, "").unwrap();
            assert_eq!(answer.status, *status, "{headers:?}");
            assert_eq!(
                answer.body.contains("what_to_do"),
                *status == 403,
                "{}",
                answer.body
            );
            assert!(*status == 200 || !answer.body.contains("secret"));
        }
    }
}

#[test]
fn no_route_of_a_local_server_serves_a_foreign_page() {
    let open = open();
    for row in rows() {
        for (name, value, code) in [
            ("Host", "evil.example", "wrong_host"),
            ("Host", "192.168.1.7", "wrong_host"),
            ("Origin", "http://evil.example", "wrong_origin"),
            ("Origin", "null", "wrong_origin"),
            ("Origin", "http://localhost:1", "wrong_origin"),
        ] {
            let answer = row.ask(TRACE, SPAN).header(name, value).to(open.address);
            assert_eq!(
                (answer.status, answer.code().as_str()),
                (403, code),
                "{} {name}: {value}",
                row.path
            );
        }
    }
    assert_eq!(open.counts(), (0, 0, 0));
    assert!(!open.folder.path().join("datasets").exists());
    // The server's page may, and so may a program.
    for row in rows() {
        let own = row
            .ask(TRACE, SPAN)
            .header("Origin", "http://localhost")
            .to(open.address);
        let program = row.ask(TRACE, SPAN).to(open.address);
        for answer in [own, program] {
            // Before the first record there is nothing to read.
            let is_answered = answer.status < 300
                || (matches!(row.does, Does::Look | Does::Delete) && answer.status == 404);
            assert!(is_answered, "{}: {}", row.path, answer.text());
        }
    }
    assert_ne!(open.counts(), (0, 0, 0));
}

#[tokio::test]
async fn a_server_without_tokens_does_not_listen_where_other_machines_reach_it() {
    use std::sync::Arc;

    use spanscope_server::{AuthMode, Server};

    let folder = tempfile::tempdir().unwrap();
    let store = spanscope_sqlite::SqliteStore::builder()
        .open(folder.path().join("store.db"))
        .unwrap();
    let store = Arc::new(store);
    let server = |auth: AuthMode| Server::builder(store.clone()).auth(auth).build();
    for address in ["0.0.0.0:0", "[::]:0"] {
        let refused = server(AuthMode::Local).bind(address.parse().unwrap()).await;
        let error = refused.unwrap_err();
        assert_eq!(error.kind(), std::io::ErrorKind::InvalidInput, "{error}");
        assert!(error.to_string().contains("AuthMode::Tokens"), "{error}");
    }
    for address in ["127.0.0.1:0", "[::ffff:127.0.0.1]:0"] {
        server(AuthMode::Local)
            .bind(address.parse().unwrap())
            .await
            .unwrap();
    }
    let tokens = crate::running::tokens();
    server(tokens).bind("0.0.0.0:0".parse().unwrap()).await.unwrap();
}

#[tokio::test]
async fn nine_hundred_simultaneous_clients_connect_at_the_first_attempt() {
    use std::net::TcpStream;
    use std::time::Duration;

    let folder = tempfile::tempdir().unwrap();
    let store = spanscope_sqlite::SqliteStore::builder()
        .open(folder.path().join("store.db"))
        .unwrap();
    let server = spanscope_server::Server::builder(std::sync::Arc::new(store)).build();
    let bound = server.bind("127.0.0.1:0".parse().unwrap()).await.unwrap();
    // None of them is accepted yet. The system sends the first packet again after a second.
    let clients: Vec<_> = (0..900)
        .map(|_| TcpStream::connect_timeout(&bound.address(), Duration::from_millis(900)))
        .collect();
    let late = clients.iter().filter(|client| client.is_err()).count();
    assert_eq!(late, 0, "of {}", clients.len());
}
