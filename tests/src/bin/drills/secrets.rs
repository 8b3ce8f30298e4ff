//! Every place where programs have put secrets, and values that only look like secrets.

use std::collections::BTreeMap;

use spanscope::SpanExt as _;
use spanscope_model::Value;
use tracing::{error, info, info_span};

#[derive(Debug)]
#[expect(dead_code, reason = "read by its Debug")]
struct Login {
    user: &'static str,
    password: Option<&'static str>,
    retries: u32,
}

#[derive(Debug)]
struct Refused;

impl std::fmt::Display for Refused {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("no answer of https://ann:hunter2@db.example/x")
    }
}

impl std::error::Error for Refused {}

pub(crate) fn log_all() {
    let map = BTreeMap::from([("user", "ann"), ("api_key", "hunter2")]);
    let login = Login {
        user: "ann",
        password: Some("hunter2"),
        retries: 3,
    };
    let pairs = [("user", "ann"), ("cookie", "hunter2")];
    let span = info_span!(
        "login",
        passwords = "hunter2",
        user.pwd = "hunter2",
        jwt = "hunter2",
        auth = "hunter2",
        http.auth_header = "hunter2",
        session_tokens = "hunter2",
        db.connection_string = "Server=db;User=ann;Password=hunter2",
        url = "https://ann:hunter2@db.example/x?access_token=hunter2&page=two",
        payload = r#"{"to":{"secret":"hunter2","max_tokens":17},"text":"{\"password\":\"hunter2\"}"}"#,
        map = ?map,
        login = ?login,
        pairs = ?pairs,
        output = "HOME=/root\nAWS_SECRET_ACCESS_KEY=hunter2\nSHELL=/bin/sh",
        command = "curl -H 'x-api-key: hunter2' -u ann:hunter2 https://db.example/x",
        body = "user=ann&password=hunter2&page=two",
        config = "db:\n  user: ann\n  password: hunter2\n",
        input.value = "Put <password>hunter2</password> into the file",
        password_is_set = true,
        token = 4711,
        next_token = "kept-1",
        eos_token = "kept-2",
        time_to_first_token = "kept-3",
        author = "kept-4",
        late = tracing::field::Empty,
    );
    span.record("late", r#"[{"name":"authorization","value":"hunter2"}]"#);
    let nested = serde_json::json!({"a": [{"credentials": {"user": "ann", "is": "hunter2"}}]});
    span.record_attribute("nested", Value::from(nested));
    span.record_attribute("refresh_token", "hunter2");
    span.in_scope(|| {
        info!("opened postgres://ann:hunter2@db.example/x");
        info!("{}", r#"{"password":"hunter2","kept":"kept-5"}"#);
        info!("sent with Authorization: Bearer hunter2");
        info!("-----BEGIN PRIVATE KEY-----\nhunter2\n-----END PRIVATE KEY-----");
        error!(error = &Refused as &dyn std::error::Error, "refused");
        error!(error = &Refused as &dyn std::error::Error);
        info!(
            metric = "logins_total",
            value = 1,
            id_token = "hunter2",
            region = "kept-6"
        );
    });
}
