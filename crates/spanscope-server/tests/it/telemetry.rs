//! The telemetry API over HTTP, asked of what ordinary `tracing` left in a store.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};
use spanscope_layers::SpanExt as _;
use spanscope_model::{
    Condition, IdMatch, LogEvent, LogFilter, MetricInfo, MetricQuery, MetricSeries, NameStats, Span,
    SpanFilter, SpanId, SpanNode, StoreError, StoreErrorKind, StoreFuture, StoreStats, Timestamp, Trace,
    TraceFilter, TraceId, TraceQuery, TraceStore, TraceSummary, UsageQuery, UsageRow,
};
use spanscope_server::telemetry_router;
use spanscope_sqlite::{SqliteLayer, SqliteStore, wait};
use spanscope_tests::http::{Answer, ask, post, send_as_it_is};
use tower::ServiceExt as _;
use tracing::{info, info_span};
use tracing_subscriber::layer::SubscriberExt as _;

use crate::support::Server;

/// Three traces, the second of which failed, and a server of them.
struct Filled {
    server: Server,
    store: Arc<SqliteStore>,
    /// Of the root spans, in the order they began.
    roots: Vec<(String, String)>,
    folder: tempfile::TempDir,
}

fn filled() -> Filled {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("trace_store.db");
    let (layer, guard) = SqliteLayer::builder().open(&path).unwrap();
    let mut roots = Vec::new();
    tracing::subscriber::with_default(tracing_subscriber::registry().with(layer), || {
        for number in 0..3 {
            let root = info_span!("agent turn", session_id = "s-1", number, is_last = number == 2);
            let (trace_id, span_id) = root.ids().unwrap();
            roots.push((trace_id.to_string(), span_id.to_string()));
            root.in_scope(|| {
                info_span!("chat", gen_ai.request.model = "small", tokens = 10 * number).in_scope(|| {
                    info!(
                        metric = "queue_length",
                        value = 7 + number,
                        unit = "jobs",
                        queue = "embeddings"
                    );
                    if number == 1 {
                        tracing::error!("the model is gone");
                    }
                });
            });
        }
    });
    guard.flush(Duration::from_secs(20)).unwrap();
    let store = Arc::new(SqliteStore::open(&path).unwrap());
    let server = Server::start(telemetry_router(Arc::<SqliteStore>::clone(&store)));
    Filled {
        server,
        store,
        roots,
        folder,
    }
}

fn read(answer: &Answer) -> Value {
    assert_eq!(answer.status, 200, "{}", answer.body);
    assert_eq!(answer.header("content-type"), Some("application/json"));
    assert_eq!(answer.header("cache-control"), Some("no-store"));
    serde_json::from_str(&answer.body).unwrap()
}

impl Filled {
    /// Answers of both prefixes are the same.
    fn post(&self, path: &str, body: &Value) -> Value {
        let body = body.to_string();
        let answer = read(&post(self.server.address, &format!("/v1{path}"), &body).unwrap());
        assert_eq!(answer, read(&post(self.server.address, path, &body).unwrap()));
        answer
    }

    fn get(&self, path: &str) -> Value {
        let answer = read(&ask(self.server.address, "GET", &format!("/v1{path}"), "").unwrap());
        assert_eq!(answer, read(&ask(self.server.address, "GET", path, "").unwrap()));
        answer
    }
}

fn texts<'a>(list: &'a Value, key: &str) -> Vec<&'a str> {
    let list = list.as_array().unwrap().iter();
    list.map(|entry| entry[key].as_str().unwrap()).collect()
}

#[test]
fn traces_are_listed_newest_first_and_filtered() {
    let filled = filled();
    let ids = |body| {
        let answer = filled.post("/telemetry/traces", &body);
        let ids = texts(&answer["data"], "trace_id").into_iter().map(str::to_owned);
        ids.collect::<Vec<_>>()
    };
    let [first, second, third] = [0, 1, 2].map(|number: usize| filled.roots[number].0.clone());
    assert_eq!(ids(json!({})), [&*third, &second, &first]);
    assert_eq!(
        ids(json!({"limit": null, "offset": null, "attribute_filters": null, "order_by": null})).len(),
        3
    );
    assert_eq!(ids(json!({"limit": 1, "offset": 1})), [&*second]);
    assert_eq!(
        ids(json!({"order_by": ["start_time"]})),
        [&*first, &second, &third]
    );
    let failed = json!({"attribute_filters": [{"key": "status", "op": "eq", "value": "error"}]});
    assert_eq!(ids(failed), [&*second]);
    let many =
        json!({"attribute_filters": [{"key": "tokens", "op": "gt", "value": 5}], "order_by": ["start_time"]});
    assert_eq!(ids(many), [&*second, &third]);
    let last = json!({"attribute_filters": [{"key": "is_last", "op": "eq", "value": true}]});
    assert_eq!(ids(last), [&*third]);
    let none = json!({"attribute_filters": [{"key": "tokens", "op": "eq", "value": "10"}]});
    assert!(ids(none).is_empty(), "a text is no number");
    // No body asks for everything, as `curl -X POST` does.
    let answer = ask(filled.server.address, "POST", "/v1/telemetry/traces", "").unwrap();
    assert_eq!(read(&answer)["data"].as_array().unwrap().len(), 3);
}

#[test]
fn one_trace_and_one_span_have_the_fields_of_the_seed() {
    let filled = filled();
    let (trace_id, root) = &filled.roots[1];
    let trace = filled.get(&format!("/telemetry/traces/{trace_id}"));
    assert_eq!(trace["trace_id"], **trace_id);
    assert_eq!(trace["root_span_id"], **root);
    for key in ["start_time", "end_time"] {
        trace[key].as_str().unwrap().parse::<Timestamp>().unwrap();
    }
    let span = filled.get(&format!("/telemetry/traces/{trace_id}/spans/{root}"));
    assert_eq!(span["span_id"], **root);
    assert_eq!(span["trace_id"], **trace_id);
    assert_eq!(span["parent_span_id"], Value::Null);
    assert_eq!(span["name"], "agent turn");
    assert_eq!(span["attributes"]["session_id"], "s-1");
    assert_eq!(span["attributes"]["number"], 1, "numbers stay numbers");
    assert_eq!(span["attributes"]["is_last"], false);
    let kept = wait(
        filled
            .store
            .get_span(trace_id.parse().unwrap(), root.parse().unwrap()),
    )
    .unwrap();
    assert_eq!(serde_json::from_value::<Span>(span).unwrap(), kept);
    // The span of another trace is not found in this one.
    let other = &filled.roots[0].1;
    let path = format!("/v1/telemetry/traces/{trace_id}/spans/{other}");
    assert_eq!(ask(filled.server.address, "GET", &path, "").unwrap().status, 404);
    let head = ask(
        filled.server.address,
        "HEAD",
        &format!("/v1/telemetry/traces/{trace_id}"),
        "",
    )
    .unwrap();
    assert_eq!((head.status, head.body.as_str()), (200, ""));
}

#[test]
fn trees_and_spans_are_cut_as_asked() {
    let filled = filled();
    let (trace_id, root) = &filled.roots[1];
    let path = format!("/telemetry/spans/{root}/tree");
    let tree = filled.post(&path, &json!({}));
    let tree = tree["data"].as_object().unwrap();
    assert_eq!(tree.len(), 2);
    assert_eq!(tree[root]["depth"], 1);
    assert_eq!(tree[root]["status"], "ok");
    let (_, chat) = tree.iter().find(|(id, _)| *id != root).unwrap();
    assert_eq!(chat["name"], "chat");
    assert_eq!(chat["parent_span_id"], **root);
    assert_eq!(chat["status"], "error");
    let one = filled.post(
        &path,
        &json!({"max_depth": 1, "attributes_to_return": ["session_id", "no such"]}),
    );
    assert_eq!(one["data"].as_object().unwrap().len(), 1);
    assert_eq!(one["data"][root]["attributes"], json!({"session_id": "s-1"}));

    let question = json!({
        "attribute_filters": [{"key": "number", "op": "eq", "value": 1}],
        "attributes_to_return": ["tokens"],
    });
    let spans = filled.post("/telemetry/spans", &question);
    assert_eq!(texts(&spans["data"], "name"), ["chat"], "only it carries tokens");
    assert_eq!(
        texts(&spans["data"], "trace_id"),
        [&**trace_id],
        "its own, not the root's span id"
    );
    assert_eq!(spans["data"][0]["attributes"], json!({"tokens": 10}));
}

#[test]
fn datasets_are_written_where_the_store_keeps_them_and_nowhere_else() {
    let filled = filled();
    let save = |id: &str| {
        let body = json!({
            "attribute_filters": [{"key": "number", "op": "gt", "value": 0}],
            "attributes_to_save": ["tokens"],
            "dataset_id": id,
        });
        post(
            filled.server.address,
            "/v1/telemetry/spans/export",
            &body.to_string(),
        )
        .unwrap()
    };
    let answer = save("failed-turns");
    assert_eq!((answer.status, answer.body.as_str()), (204, ""));
    let file = filled.folder.path().join("datasets/failed-turns.jsonl");
    let rows = std::fs::read_to_string(file).unwrap();
    let rows: Vec<Value> = rows
        .lines()
        .map(|row| serde_json::from_str(row).unwrap())
        .collect();
    assert_eq!(
        rows.iter().map(|row| row["tokens"].clone()).collect::<Vec<_>>(),
        [json!(20), json!(10)]
    );
    for id in [
        "../../x",
        "a/b",
        "..",
        ".hidden",
        "",
        "a\\b",
        "a\u{0}b",
        "/etc/passwd",
        "a%2fb",
    ] {
        let answer = save(id);
        assert_eq!(
            (answer.status, code(&answer)),
            (400, "invalid_input".to_owned()),
            "{id}"
        );
    }
    let written = std::fs::read_dir(filled.folder.path().join("datasets")).unwrap();
    assert_eq!(written.count(), 1);
}

#[test]
fn metrics_come_as_series_with_their_labels() {
    let filled = filled();
    let path = "/telemetry/metrics/queue_length";
    let raw = filled.post(path, &json!({"start_time": 0, "granularity": null}));
    let series = raw["data"].as_array().unwrap();
    assert_eq!(series.len(), 1);
    assert_eq!(series[0]["metric"], "queue_length");
    assert_eq!(
        series[0]["labels"],
        json!([{"name": "queue", "value": "embeddings"}])
    );
    let values: Vec<_> = series[0]["values"].as_array().unwrap().iter().collect();
    assert_eq!(
        values.iter().map(|point| &point["value"]).collect::<Vec<_>>(),
        [7, 8, 9]
    );
    let now = Timestamp::now().as_nanos() / 1_000_000_000;
    assert!(
        values
            .iter()
            .all(|point| (now - point["timestamp"].as_i64().unwrap()).abs() < 600)
    );
    let last = json!({"start_time": now - 3600, "end_time": now + 60, "query_type": "instant"});
    assert_eq!(filled.post(path, &last)["data"][0]["values"][0]["value"], 9);
    let matched = |operator: &str, value: &str| {
        let matcher = json!({"name": "queue", "operator": operator, "value": value});
        let answer = filled.post(path, &json!({"start_time": 0, "label_matchers": [matcher]}));
        answer["data"].as_array().unwrap().len()
    };
    assert_eq!(
        [
            matched("=~", "emb.*"),
            matched("=~", "emb"),
            matched("!=", "x"),
            matched("=", "x"),
            matched("!~", "e.*")
        ],
        [1, 0, 1, 0, 0],
    );
    let plain = json!({"start_time": 0, "label_matchers": [{"name": "queue", "value": "embeddings"}]});
    assert_eq!(filled.post(path, &plain)["data"].as_array().unwrap().len(), 1);
    assert_eq!(
        filled.post("/telemetry/metrics/no%20such%2Fmetric", &json!({"start_time": 0})),
        json!({"data": []})
    );
}

fn code(answer: &Answer) -> String {
    assert_eq!(
        answer.header("content-type"),
        Some("application/json"),
        "{}",
        answer.body
    );
    let error: Value = serde_json::from_str(&answer.body).unwrap();
    let error = &error["error"];
    assert!(!error["what_to_do"].as_str().unwrap().is_empty());
    error["code"].as_str().unwrap().to_owned()
}

/// Each is answered with 400 and a message that has these words in it.
#[test]
fn questions_that_make_no_sense_are_refused_by_name() {
    let filled = filled();
    let (open, close) = ("[".repeat(100_000), "]".repeat(100_000));
    let deep = format!(r#"{{"attribute_filters": [{{"key": "k", "op": "eq", "value": {open}{close}}}]}}"#);
    let span = "/v1/telemetry/spans/00f067aa0ba902b7/tree";
    let spans = "/v1/telemetry/spans";
    let traces = "/v1/telemetry/traces";
    let metric = "/v1/telemetry/metrics/m";
    let cases: &[(&str, &str, &[&str])] = &[
        (traces, "{", &["EOF"]),
        (traces, "no json", &["expected"]),
        (traces, "{} {}", &["after its end"]),
        (traces, "[]x", &[]),
        (traces, "\u{feff}{}", &["expected"]),
        (traces, &deep, &["recursion limit"]),
        (traces, r#"{"limt": 3}"#, &["limt", "limit", "order_by"]),
        (traces, r#"{"limit": -1}"#, &["limit is -1"]),
        (traces, r#"{"limit": 1e400}"#, &["out of range"]),
        (traces, r#"{"limit": "3"}"#, &["at limit", "string"]),
        (traces, r#"{"offset": -7}"#, &["offset is -7"]),
        (
            traces,
            r#"{"order_by": ["name; drop table"]}"#,
            &["drop table", "start_time"],
        ),
        (
            traces,
            r#"{"attribute_filters": [{"key": "k", "op": "like", "value": 1}]}"#,
            &["attribute_filters[0].op", "like", "eq"],
        ),
        (
            traces,
            r#"{"attribute_filters": [{"key": "k", "op": "eq", "value": [1]}]}"#,
            &["k"],
        ),
        (
            traces,
            r#"{"attribute_filters": [{"op": "eq", "value": 1}]}"#,
            &["key"],
        ),
        (span, r#"{"max_depth": -1}"#, &["max_depth is -1"]),
        (span, r#"{"max_depth": 0}"#, &["max_depth is 0"]),
        (span, r#"{"max_depth": 4294967296}"#, &["max_depth is 4294967296"]),
        (
            "/v1/telemetry/spans/0000000000000000/tree",
            "{}",
            &["span id", "16"],
        ),
        ("/v1/telemetry/spans/xyz/tree", "{}", &["xyz"]),
        ("/v1/telemetry/spans/a%2F..%2Fb/tree", "{}", &["a/../b"]),
        ("/v1/telemetry/spans/%ff/tree", "{}", &["path"]),
        (spans, "{}", &["attribute_filters"]),
        (spans, r#"{"attribute_filters": []}"#, &["attributes_to_return"]),
        (
            "/v1/telemetry/spans/export",
            r#"{"attribute_filters": [], "attributes_to_save": []}"#,
            &["dataset_id"],
        ),
        (metric, "{}", &["start_time"]),
        (
            metric,
            r#"{"start_time": 1753000000000000}"#,
            &["start_time", "milliseconds"],
        ),
        (metric, r#"{"start_time": 5, "end_time": 1}"#, &["end"]),
        (
            metric,
            r#"{"start_time": 0, "granularity": "0s"}"#,
            &["granularity", "0s"],
        ),
        (
            metric,
            r#"{"start_time": 0, "query_type": "all"}"#,
            &["query_type", "all", "range"],
        ),
        (
            metric,
            r#"{"start_time": 0, "label_matchers": [{"name": "a", "operator": "=~", "value": "("}]}"#,
            &["("],
        ),
    ];
    for (path, body, words) in cases {
        let answer = post(filled.server.address, path, body).unwrap();
        let shown: String = body.chars().take(80).collect();
        assert_eq!(answer.status, 400, "{path} {shown}: {}", answer.body);
        assert_eq!(code(&answer), "invalid_input");
        let error: Value = serde_json::from_str(&answer.body).unwrap();
        let message = error["error"]["message"].as_str().unwrap();
        assert!(
            words.iter().all(|word| message.contains(word)),
            "{path} {shown}: {message}"
        );
    }
    for path in [
        "xyz",
        "00000000000000000000000000000000",
        "4bf92f3577b34da6",
        "4bf9%2f",
        "%e4",
    ] {
        let answer = ask(
            filled.server.address,
            "GET",
            &format!("/v1/telemetry/traces/{path}"),
            "",
        )
        .unwrap();
        assert_eq!(
            (answer.status, code(&answer)),
            (400, "invalid_input".to_owned()),
            "{path}"
        );
    }
}

#[test]
fn what_is_not_stored_is_not_found() {
    let filled = filled();
    let unknown = "4bf92f3577b34da6a3ce929d0e0e4736";
    let missing = [
        ask(
            filled.server.address,
            "GET",
            &format!("/v1/telemetry/traces/{unknown}"),
            "",
        ),
        ask(
            filled.server.address,
            "GET",
            &format!("/telemetry/traces/{unknown}/spans/00f067aa0ba902b7"),
            "",
        ),
        post(
            filled.server.address,
            "/v1/telemetry/spans/00f067aa0ba902b7/tree",
            "{}",
        ),
    ];
    for answer in missing {
        let answer = answer.unwrap();
        assert_eq!((answer.status, code(&answer)), (404, "not_found".to_owned()));
    }
}

#[test]
fn bodies_of_the_wrong_kind_or_length_are_not_read() {
    let filled = filled();
    let send = |headers: &str, body: &str| {
        let headers = format!("Host: localhost\r\n{headers}");
        send_as_it_is(
            filled.server.address,
            "POST",
            "/v1/telemetry/traces",
            &headers,
            body,
        )
        .unwrap()
    };
    // What a page of a stranger can send without asking first.
    for kind in [
        "",
        "Content-Type: text/plain\r\n",
        "Content-Type: application/x-www-form-urlencoded\r\n",
    ] {
        let answer = send(&format!("{kind}Content-Length: 2\r\n"), "{}");
        assert_eq!(
            (answer.status, code(&answer)),
            (415, "unsupported_media_type".to_owned()),
            "{kind}"
        );
    }
    for kind in [
        "application/json; charset=utf-8",
        "Application/JSON",
        "application/vnd.api+json",
    ] {
        let answer = send(&format!("Content-Type: {kind}\r\nContent-Length: 2\r\n"), "{}");
        assert_eq!(answer.status, 200, "{kind}");
    }
    // It says so, and is believed.
    let answer = send(
        "Content-Type: application/json\r\nContent-Length: 100000000\r\n",
        "",
    );
    assert_eq!((answer.status, code(&answer)), (413, "body_too_large".to_owned()));
    let long = format!("{{\"order_by\": [\"{}\"]}}", "x".repeat(1024 * 1024));
    let length = long.len();
    let answer = send(
        &format!("Content-Type: application/json\r\nContent-Length: {length}\r\n"),
        "",
    );
    assert_eq!((answer.status, code(&answer)), (413, "body_too_large".to_owned()));
}

#[test]
fn bodies_that_do_not_say_their_length_are_bounded_too() {
    use std::io::{Read as _, Write as _};

    let filled = filled();
    let mut stream = std::net::TcpStream::connect(filled.server.address).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    let head = "POST /v1/telemetry/traces HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\
                Content-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n";
    stream.write_all(head.as_bytes()).unwrap();
    let chunk = format!("10000\r\n{}\r\n", " ".repeat(0x10000));
    // The server may hang up before all of it is sent.
    let _ = (0..32).try_for_each(|_| stream.write_all(chunk.as_bytes()));
    let mut answer = Vec::new();
    let _ = stream.read_to_end(&mut answer);
    let answer = String::from_utf8_lossy(&answer);
    assert!(answer.starts_with("HTTP/1.1 413 "), "{answer}");
    assert!(answer.contains("body_too_large"), "{answer}");
}

#[test]
fn wrong_methods_and_paths_are_told_apart() {
    let filled = filled();
    for (method, path, allowed) in [
        ("GET", "/v1/telemetry/traces", "POST"),
        (
            "DELETE",
            "/telemetry/traces/4bf92f3577b34da6a3ce929d0e0e4736",
            "GET,HEAD",
        ),
        ("GET", "/v1/telemetry/spans/export", "POST"),
    ] {
        let answer = ask(filled.server.address, method, path, "").unwrap();
        assert_eq!(
            (answer.status, code(&answer)),
            (405, "method_not_allowed".to_owned()),
            "{path}"
        );
        assert_eq!(answer.header("allow"), Some(allowed), "{path}");
    }
    for path in [
        "/v1/telemetry",
        "/v2/telemetry/traces",
        "/v1/telemetry/traces/a/b",
    ] {
        assert_eq!(
            ask(filled.server.address, "GET", path, "").unwrap().status,
            404,
            "{path}"
        );
    }
}

/// A store whose disk fails.
struct Failing(StoreErrorKind);

impl Failing {
    fn fail<T: Send + 'static>(&self) -> StoreFuture<'_, T> {
        let cause = std::io::Error::other("disk 7 is on fire");
        let error = StoreError::new(self.0, "cannot read /secret/place.db").with_source(cause);
        Box::pin(std::future::ready(Err(error)))
    }
}

impl TraceStore for Failing {
    fn query_traces(&self, _: TraceQuery) -> StoreFuture<'_, Vec<Trace>> {
        self.fail()
    }
    fn get_trace(&self, _: TraceId) -> StoreFuture<'_, Trace> {
        self.fail()
    }
    fn get_span(&self, _: TraceId, _: SpanId) -> StoreFuture<'_, Span> {
        self.fail()
    }
    fn get_span_tree(
        &self,
        _: SpanId,
        _: Option<Vec<String>>,
        _: Option<u32>,
    ) -> StoreFuture<'_, BTreeMap<SpanId, SpanNode>> {
        self.fail()
    }
    fn query_spans(&self, _: Vec<Condition>, _: Vec<String>, _: Option<u32>) -> StoreFuture<'_, Vec<Span>> {
        self.fail()
    }
    fn save_spans_to_dataset(
        &self,
        _: Vec<Condition>,
        _: Vec<String>,
        _: String,
        _: Option<u32>,
    ) -> StoreFuture<'_, u64> {
        self.fail()
    }
    fn resolve_id(&self, _: String) -> StoreFuture<'_, IdMatch> {
        self.fail()
    }
    fn list_traces(&self, _: TraceFilter) -> StoreFuture<'_, Vec<TraceSummary>> {
        self.fail()
    }
    fn list_spans(&self, _: SpanFilter) -> StoreFuture<'_, Vec<Span>> {
        self.fail()
    }
    fn trace_spans(&self, _: TraceId) -> StoreFuture<'_, Vec<Span>> {
        self.fail()
    }
    fn list_logs(&self, _: LogFilter) -> StoreFuture<'_, Vec<LogEvent>> {
        self.fail()
    }
    fn statistics(&self) -> StoreFuture<'_, StoreStats> {
        self.fail()
    }
    fn name_statistics(&self, _: Option<Timestamp>) -> StoreFuture<'_, Vec<NameStats>> {
        self.fail()
    }
    fn query_metrics(&self, _: MetricQuery) -> StoreFuture<'_, Vec<MetricSeries>> {
        self.fail()
    }
    fn list_metrics(&self) -> StoreFuture<'_, Vec<MetricInfo>> {
        self.fail()
    }
    fn usage(&self, _: UsageQuery) -> StoreFuture<'_, Vec<UsageRow>> {
        self.fail()
    }
}

#[test]
fn a_store_that_fails_does_not_say_why_in_the_answer() {
    let ids = "/v1/telemetry/traces/4bf92f3577b34da6a3ce929d0e0e4736";
    let export = r#"{"attribute_filters": [], "attributes_to_save": [], "dataset_id": "d"}"#;
    let spans = r#"{"attribute_filters": [], "attributes_to_return": []}"#;
    for (kind, status, expected) in [
        (StoreErrorKind::Unavailable, 503, "store_unavailable"),
        (StoreErrorKind::Unusable, 500, "store_unusable"),
    ] {
        let server = Server::start(telemetry_router(Arc::new(Failing(kind))));
        let answers = [
            post(server.address, "/v1/telemetry/traces", "{}"),
            ask(server.address, "GET", ids, ""),
            ask(
                server.address,
                "GET",
                &format!("{ids}/spans/00f067aa0ba902b7"),
                "",
            ),
            post(server.address, "/v1/telemetry/spans/00f067aa0ba902b7/tree", "{}"),
            post(server.address, "/v1/telemetry/spans", spans),
            post(server.address, "/v1/telemetry/spans/export", export),
            post(server.address, "/v1/telemetry/metrics/m", r#"{"start_time": 0}"#),
        ];
        for answer in answers {
            let answer = answer.unwrap();
            assert_eq!((answer.status, code(&answer)), (status, expected.to_owned()));
            assert!(
                !answer.body.contains("secret") && !answer.body.contains("fire"),
                "{}",
                answer.body
            );
            assert_eq!(answer.header("retry-after").is_some(), status == 503);
        }
    }
}

#[test]
fn a_store_that_fails_says_why_in_the_log() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("trace_store.db");
    let (layer, guard) = SqliteLayer::builder().open(&path).unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let app = telemetry_router(Arc::new(Failing(StoreErrorKind::Unavailable)));
    let request = axum::http::Request::builder()
        .uri("/v1/telemetry/traces/4bf92f3577b34da6a3ce929d0e0e4736")
        .body(axum::body::Body::empty())
        .unwrap();
    // On this thread, whose subscriber it is.
    tracing::subscriber::with_default(tracing_subscriber::registry().with(layer), || {
        let answer = runtime.block_on(app.oneshot(request)).unwrap();
        assert_eq!(answer.status(), 503);
    });
    guard.flush(Duration::from_secs(20)).unwrap();
    let store = SqliteStore::open(&path).unwrap();
    let logs = wait(store.list_logs(LogFilter::default())).unwrap();
    let said = serde_json::to_string(&logs).unwrap();
    assert!(
        said.contains("cannot read /secret/place.db: disk 7 is on fire"),
        "{said}"
    );
}
