//! The shell, the files and their headers.

use std::sync::Arc;

use axum::Router;
use spanscope_server::{PageSettings, pages_router};
use spanscope_sqlite::SqliteStore;
use spanscope_tests::http::{Answer, ask};

use super::filled;
use crate::support::Server;

fn check_headers(answer: &Answer) {
    let policy = answer.header("content-security-policy").unwrap();
    for part in [
        "default-src 'none'",
        "script-src 'self'",
        "trusted-types 'none'",
        "require-trusted-types-for 'script'",
        "frame-ancestors 'none'",
        "base-uri 'self'",
    ] {
        assert!(policy.contains(part), "{part}");
    }
    assert!(!policy.contains("unsafe"));
    for (name, value) in [
        ("x-content-type-options", "nosniff"),
        ("referrer-policy", "no-referrer"),
        ("cross-origin-opener-policy", "same-origin"),
        ("cross-origin-resource-policy", "same-origin"),
    ] {
        assert_eq!(answer.header(name), Some(value));
    }
}

#[test]
fn every_page_is_the_same_html_with_a_strict_policy() {
    let open = filled();
    for (path, page, status) in [
        ("/ui/", "traces", 200),
        ("/ui/traces", "traces", 200),
        ("/ui/traces/4bf9?view=log", "trace", 200),
        ("/ui/traces/%3Cscript%3E", "trace", 200),
        ("/ui/spans", "spans", 200),
        ("/ui/logs", "logs", 200),
        ("/ui/store", "store", 200),
        ("/ui/setup", "setup", 200),
        ("/ui/sign-in", "sign-in", 200),
        ("/ui/nothing", "missing", 404),
        ("/ui/traces/a/b", "missing", 404),
    ] {
        let answer = open.ask(path);
        assert_eq!(answer.status, status, "{path}");
        check_headers(&answer);
        assert_eq!(answer.header("content-type"), Some("text/html; charset=utf-8"));
        assert!(answer.body.contains(&format!("content=\"{page}\"")), "{path}");
        assert!(answer.body.contains("<base href=\"/ui/\">"), "{path}");
        assert!(answer.body.contains("<html lang=\"en\">") && answer.body.contains("<noscript>"));
        assert!(answer.body.len() < 3072, "{} bytes", answer.body.len());
        // The only script is the module, and the HTML contains no text of the request.
        assert_eq!(answer.body.matches("<script").count(), 1);
        assert!(!answer.body.contains("style=") && !answer.body.contains("%3C"));
    }
    for (path, to) in [("/", "/ui/"), ("/ui", "/ui/")] {
        let answer = open.ask(path);
        assert_eq!((answer.status, answer.header("location")), (302, Some(to)));
    }
    for path in [
        "/ui/api/nothing",
        "/ui/assets/x/y.js",
        "/ui/assets/x/../../Cargo.toml",
    ] {
        let answer = open.ask(path);
        assert_eq!(answer.status, 404, "{path}");
        check_headers(&answer);
    }
    let post = open.with_headers("POST", "/", "content-length: 0\r\n", "");
    assert_eq!(post.status, 404, "exporters without a path learn what to do");
    assert!(post.body.contains("/v1/traces"), "{}", post.body);
}

#[test]
fn files_are_immutable_under_the_digest_of_their_build_and_compressed() {
    let open = filled();
    for file in spanscope_ui::FILES {
        let path = format!("/ui/assets/{}/{}", spanscope_ui::DIGEST, file.path);
        let answer = open.ask(&path);
        assert_eq!(answer.status, 200, "{path}");
        check_headers(&answer);
        assert_eq!(answer.body.as_bytes(), file.bytes);
        let kind = spanscope_ui::media_type(file.path);
        assert_eq!(answer.header("content-type"), Some(kind));
        assert_eq!(
            answer.header("cache-control"),
            Some("public, max-age=31536000, immutable")
        );
        let packed = open.with_headers("GET", &path, "accept-encoding: br, gzip\r\n", "");
        if file.bytes.len() > 1000 {
            assert_eq!(packed.header("content-encoding"), Some("gzip"), "{path}");
        }
        let other = format!("/ui/assets/0000000000000000/{}", file.path);
        assert_eq!(open.ask(&other).status, 404, "a file of another build");
    }
}

#[test]
fn the_pages_may_be_mounted_below_any_path() {
    let folder = tempfile::tempdir().unwrap();
    let store = SqliteStore::builder().open(folder.path().join("t.db")).unwrap();
    let pages = pages_router(Arc::new(store), PageSettings::default());
    let server = Server::start(Router::new().nest("/debug/telemetry", pages));
    let get = |path: &str| ask(server.address, "GET", path, "").unwrap();
    let page = get("/debug/telemetry/ui/traces");
    assert!(
        page.body.contains("<base href=\"/debug/telemetry/ui/\">"),
        "{}",
        page.body
    );
    let to = get("/debug/telemetry/ui");
    assert_eq!(
        (to.status, to.header("location")),
        (302, Some("/debug/telemetry/ui/"))
    );
    assert_eq!(get("/debug/telemetry/ui/api/traces").status, 200);
    assert_eq!(get("/ui/traces").status, 404);
}

#[test]
fn a_folder_replaces_the_embedded_files_and_nothing_outside_of_it_is_served() {
    let folder = tempfile::tempdir().unwrap();
    let ui = folder.path().join("ui");
    std::fs::create_dir_all(ui.join("js/pages")).unwrap();
    std::fs::write(folder.path().join("secret.js"), "secret").unwrap();
    std::fs::write(ui.join(".hidden.js"), "secret").unwrap();
    std::fs::write(ui.join("js/main.js"), "import { a } from \"./a.js\";").unwrap();
    std::fs::write(ui.join("js/a.js"), "export const a = 1;").unwrap();
    std::fs::write(ui.join("js/pages/logs.js"), "").unwrap();
    let open = super::filled_with(super::records(), PageSettings::default().folder(&ui));
    let page = open.ask("/ui/logs");
    for module in ["js/main.js", "js/a.js", "js/pages/logs.js"] {
        let link = format!("<link rel=\"modulepreload\" href=\"assets/now/{module}\">");
        assert!(page.body.contains(&link), "{}", page.body);
    }
    let answer = open.ask("/ui/assets/now/js/a.js");
    assert_eq!(answer.header("cache-control"), Some("no-store"));
    assert_eq!(answer.body, "export const a = 1;");
    std::fs::write(ui.join("js/a.js"), "export const a = 2;").unwrap();
    assert_eq!(open.ask("/ui/assets/now/js/a.js").body, "export const a = 2;");
    for path in [
        "../secret.js",
        "%2e%2e/secret.js",
        "js/..%2f..%2fsecret.js",
        ".hidden.js",
        "js//a.js",
        "js",
    ] {
        let answer = open.ask(&format!("/ui/assets/now/{path}"));
        assert_eq!(answer.status, 404, "{path}");
        assert!(!answer.body.contains("secret\""));
    }
}
