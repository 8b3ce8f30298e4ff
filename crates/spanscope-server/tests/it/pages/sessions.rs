//! Sign-in by token, and what each tenant sees.

use std::sync::Arc;

use serde_json::Value;
use spanscope_model::{TraceStore, block_on};
use spanscope_server::{AuthMode, BearerTokens, Server as Builder};
use spanscope_sqlite::SqliteStore;

use super::{Filled, all, records};
use crate::support::Server;

const ACME: &str = "s3cret-of-acme-000001";
const OTHER: &str = "s3cret-of-other-00001";
const ADMIN: &str = "s3cret-of-the-admin-01";

fn with_tokens() -> Filled {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("trace_store.db");
    let store: Arc<dyn TraceStore> = Arc::new(SqliteStore::builder().open(path).unwrap());
    let acme = store.for_tenant(&"acme".parse().unwrap());
    block_on(acme.store(records())).unwrap();
    let tokens = BearerTokens::parse(&format!("{ACME} acme\n{OTHER} other\n{ADMIN} *")).unwrap();
    let router = Builder::builder(Arc::clone(&store))
        .auth(AuthMode::Tokens(tokens))
        .router();
    Filled {
        server: Server::start(router),
        store,
        _folder: folder,
    }
}

const PATHS: [&str; 17] = [
    "/status",
    "/filter?q=a",
    "/complete?of=name",
    "/traces",
    "/traces/histogram",
    "/traces/without",
    "/traces/00000000000000000000000000000001",
    "/traces/00000000000000000000000000000001/find",
    "/traces/00000000000000000000000000000001/export",
    "/traces/00000000000000000000000000000001/live",
    "/traces/00000000000000000000000000000001/spans/0000000000000002",
    "/spans",
    "/logs",
    "/logs/histogram",
    "/store",
    "/changes",
    "/id/0000",
];

impl Filled {
    fn sign_in(&self, token: &str) -> spanscope_tests::http::Answer {
        let body = format!("{{\"token\": \"{token}\"}}");
        let headers = format!(
            "content-type: application/json\r\ncontent-length: {}\r\n",
            body.len()
        );
        self.with_headers("POST", "/ui/api/session", &headers, &body)
    }

    fn cookie(&self, token: &str) -> String {
        let answer = self.sign_in(token);
        assert_eq!(answer.status, 204, "{}", answer.body);
        let cookie = answer.header("set-cookie").unwrap().to_owned();
        for part in ["Path=/ui;", "HttpOnly", "SameSite=Strict", "Max-Age=43200"] {
            assert!(cookie.contains(part), "{cookie}");
        }
        let (pair, _) = cookie.split_once(';').unwrap();
        assert!(
            !pair.contains(token),
            "the cookie stands for the token and does not hold it"
        );
        format!("cookie: theme=dark; {pair}\r\n")
    }

    fn get_with(&self, path: &str, headers: &str) -> Value {
        let answer = self.with_headers("GET", &format!("/ui/api{path}"), headers, "");
        assert_eq!(answer.status, 200, "{path}: {}", answer.body);
        serde_json::from_str(&answer.body).unwrap()
    }
}

#[test]
fn no_stored_data_is_shown_without_a_token() {
    let open = with_tokens();
    for path in PATHS {
        assert_eq!(open.refused(path), "401 unauthorized", "{path}");
    }
    assert_eq!(open.ask("/ui/id/0000").status, 401);
    for path in [
        "/ui/",
        "/ui/sign-in",
        "/ui/traces/00000000000000000000000000000001",
    ] {
        let answer = open.ask(path);
        assert_eq!(answer.status, 200);
        assert!(!answer.body.contains("librarian"));
    }
}

#[test]
fn a_session_shows_only_records_of_the_tenant_of_its_token() {
    let open = with_tokens();
    assert_eq!(open.sign_in("s3cret-of-no-one-0001").status, 401);
    assert_eq!(open.sign_in("").status, 401);
    let [acme, other, admin] = [ACME, OTHER, ADMIN].map(|token| open.cookie(token));
    let names = |cookie: &str| {
        let page = open.get_with("/traces", cookie);
        all(&page["traces"], "root")
            .iter()
            .map(|name| (*name).to_owned())
            .collect::<Vec<_>>()
    };
    assert_eq!(names(&acme), ["POST /v1/chat", "invoke_agent librarian", "old"]);
    assert_eq!(names(&admin), names(&acme));
    assert_eq!(names(&other), Vec::<String>::new());
    let status = open.get_with("/status", &acme);
    assert_eq!(
        (&status["tenant"], &status["tokens"]),
        (&"acme".into(), &true.into())
    );
    assert_eq!((&status["bytes"], &status["db"]), (&Value::Null, &Value::Null));
    assert_eq!(open.get_with("/status", &other)["is_empty"], true);
    assert_eq!(open.get_with("/status", &admin)["tenant"], Value::Null);
    for path in PATHS
        .iter()
        .filter(|path| path.contains("/0000000") || path.contains("/id/"))
    {
        let answer = open.with_headers("GET", &format!("/ui/api{path}"), &other, "");
        assert_eq!(answer.status, 404, "{path}: {}", answer.body);
    }
    // A token in the header is valid for the pages too.
    let bearer = format!("authorization: Bearer {ACME}\r\n");
    assert_eq!(
        open.get_with("/traces", &bearer)["traces"]
            .as_array()
            .unwrap()
            .len(),
        3
    );
    // The cookie is valid only for the responses of the pages.
    let telemetry = "/v1/telemetry/traces/00000000000000000000000000000001";
    assert_eq!(open.with_headers("GET", telemetry, &acme, "").status, 401);
    let ended = open.with_headers("DELETE", "/ui/api/session", &acme, "");
    assert_eq!(ended.status, 204);
    assert!(ended.header("set-cookie").unwrap().contains("Max-Age=0"));
    assert_eq!(open.with_headers("GET", "/ui/api/traces", &acme, "").status, 401);
}

#[test]
fn a_page_of_another_site_begins_and_ends_no_session() {
    let open = with_tokens();
    let body = format!("{{\"token\": \"{ACME}\"}}");
    let length = format!("content-length: {}\r\n", body.len());
    let foreign = format!("content-type: application/json\r\nsec-fetch-site: cross-site\r\n{length}");
    assert_eq!(
        open.with_headers("POST", "/ui/api/session", &foreign, &body)
            .status,
        403
    );
    let form = format!("content-type: text/plain\r\n{length}");
    assert_eq!(
        open.with_headers("POST", "/ui/api/session", &form, &body).status,
        415
    );
    let cookie = open.cookie(ACME);
    let foreign = format!("{cookie}sec-fetch-site: same-site\r\n");
    assert_eq!(
        open.with_headers("DELETE", "/ui/api/session", &foreign, "")
            .status,
        403
    );
    assert_eq!(
        open.get_with("/traces", &cookie)["traces"]
            .as_array()
            .unwrap()
            .len(),
        3
    );
}

#[test]
fn without_tokens_a_session_is_not_needed() {
    let open = super::filled();
    assert_eq!(open.sign_in("anything").status, 204);
    assert_eq!(open.get("/status")["tokens"], false);
}
