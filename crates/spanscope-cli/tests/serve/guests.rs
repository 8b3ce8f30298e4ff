//! Web pages of other origins, and the host names by which containers reach this machine.

use spanscope_tests::http::{Answer, send_as_it_is};
use spanscope_tests::terminal::run_piped;

use super::support::{Folder, Serve, json_of, one_span};

const PAGE: &str = "http://localhost:3000";
const TOKEN: &str = "of-acme-0123456789";

fn ask(server: &Serve, method: &str, headers: &str) -> Answer {
    let body = match method {
        "POST" => one_span(1).to_string(),
        _ => String::new(),
    };
    let address = server.address();
    let host = match headers.contains("Host: ") {
        true => String::new(),
        false => format!("Host: {address}\r\n"),
    };
    let headers = format!(
        "{host}{headers}Content-Type: application/json\r\nContent-Length: {}\r\n",
        body.len()
    );
    send_as_it_is(address, method, "/v1/traces", &headers, body.as_bytes()).unwrap()
}

fn preflight(server: &Serve, origin: &str) -> Answer {
    ask(
        server,
        "OPTIONS",
        &format!(
            "Origin: {origin}\r\nAccess-Control-Request-Method: POST\r\n\
             Access-Control-Request-Headers: content-type,authorization\r\n\
             Access-Control-Request-Private-Network: true\r\n"
        ),
    )
}

#[test]
fn a_page_of_an_allowed_origin_sends_and_others_do_not() {
    for with_tokens in [false, true] {
        let folder = Folder::new();
        let mut command = folder.command(&["serve", "--listen", "127.0.0.1:0", "--allow-origin", PAGE]);
        command.args(["--allow-origin", "https://app.example"]);
        let mut token = String::new();
        if with_tokens {
            command
                .arg("--tokens")
                .arg(folder.file("tokens.txt", &format!("{TOKEN} acme\n")));
            token = format!("Authorization: Bearer {TOKEN}\r\n");
        }
        let server = Serve::start(command);
        for origin in [PAGE, "https://app.example"] {
            // A browser sends the preflight without the token.
            let allowed = preflight(&server, origin);
            assert_eq!(allowed.status, 204, "{allowed:?}");
            for (name, value) in [
                ("access-control-allow-origin", origin),
                ("access-control-allow-methods", "GET, POST, DELETE"),
                ("access-control-allow-headers", "content-type,authorization"),
                ("access-control-allow-private-network", "true"),
                ("vary", "origin"),
            ] {
                assert_eq!(allowed.header(name), Some(value), "{allowed:?}");
            }
            let sent = ask(&server, "POST", &format!("Origin: {origin}\r\n{token}"));
            assert_eq!(sent.status, 200, "{sent:?}");
            assert_eq!(sent.header("access-control-allow-origin"), Some(origin));
            // Refusals can be read as well.
            if with_tokens {
                let refused = ask(&server, "POST", &format!("Origin: {origin}\r\n"));
                assert_eq!(refused.status, 401);
                assert_eq!(refused.header("access-control-allow-origin"), Some(origin));
            }
        }
        for origin in ["http://localhost:3001", "https://evil.example", "null"] {
            for answer in [
                preflight(&server, origin),
                ask(&server, "POST", &format!("Origin: {origin}\r\n")),
            ] {
                assert!([401, 403].contains(&answer.status), "{answer:?}");
                assert_eq!(answer.header("access-control-allow-origin"), None, "{answer:?}");
                if !with_tokens {
                    let error = &json_of(&answer)["error"];
                    assert!(
                        error["what_to_do"]
                            .as_str()
                            .unwrap()
                            .contains("--allow-origin ORIGIN"),
                        "{error}"
                    );
                }
            }
        }
        server.stop();
    }
}

#[test]
fn an_allowed_host_name_is_served_and_the_refusal_of_others_names_the_flag() {
    let folder = Folder::new();
    let words = [
        "serve",
        "--listen",
        "127.0.0.1:0",
        "--allow-host",
        "host.docker.internal",
    ];
    let server = Serve::start(folder.command(&words));
    for host in ["host.docker.internal", "host.docker.internal:4318", "localhost"] {
        let answer = ask(&server, "POST", &format!("Host: {host}\r\n"));
        assert_eq!(answer.status, 200, "{answer:?}");
    }
    for host in ["evil.example", "host.docker.internal.evil.example"] {
        let answer = ask(&server, "POST", &format!("Host: {host}\r\n"));
        assert_eq!(answer.status, 403);
        let error = &json_of(&answer)["error"];
        assert!(error["message"].as_str().unwrap().contains(host), "{error}");
        assert!(
            error["what_to_do"]
                .as_str()
                .unwrap()
                .contains("--allow-host NAME"),
            "{error}"
        );
    }
    server.stop();
}

#[test]
fn an_invalid_origin_or_host_name_is_refused_with_an_example() {
    let folder = Folder::new();
    for (flag, wrong, example) in [
        ("--allow-origin", "*", "http://localhost:3000"),
        ("--allow-origin", "http://a/path", "http://localhost:3000"),
        ("--allow-host", "http://a", "host.docker.internal"),
        ("--allow-host", "*", "host.docker.internal"),
    ] {
        let ended = run_piped(folder.command(&["serve", flag, wrong]));
        let err = String::from_utf8(ended.stderr).unwrap();
        assert_eq!(ended.status.code(), Some(2), "{err}");
        assert!(err.contains(flag) && err.contains(example), "{err}");
    }
}
