//! Responses to valid requests.

use serde_json::{Value, json};
use spanscope_model::{Span, Timestamp, TraceStore as _, block_on};
use spanscope_tests::http::{ask, post};

use super::{code, filled, read};

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
    // No body requests everything, as `curl -X POST` does.
    let answer = ask(filled.server.address, "POST", "/v1/telemetry/traces", "").unwrap();
    assert_eq!(read(&answer)["data"].as_array().unwrap().len(), 3);
}

#[test]
fn lists_accept_a_filter_and_an_invalid_one_is_refused_with_its_position() {
    let filled = filled();
    let [first, second, third] = [0, 1, 2].map(|number: usize| filled.roots[number].0.clone());
    let ask_for = |path: &str, filter: &str, body: &Value| {
        let query: String = form_urlencoded::byte_serialize(filter.as_bytes()).collect();
        let path = format!("/v1/telemetry/{path}?filter={query}");
        post(filled.server.address, &path, &body.to_string()).unwrap()
    };
    for (filter, expected) in [
        ("status=error", vec![&second]),
        ("-is_last=true name=\"agent turn\"", vec![&second, &first]),
        ("name=chat tokens>=10", vec![&third, &second]),
        ("gone", vec![&second]),
        ("", vec![&third, &second, &first]),
    ] {
        let answer = read(&ask_for("traces", filter, &json!({})));
        assert_eq!(texts(&answer["data"], "trace_id"), expected, "{filter}");
    }
    let condition = json!({"key": "tokens", "op": "lt", "value": 15});
    let both = json!({"attribute_filters": [condition]});
    let answer = read(&ask_for("traces", "name=chat tokens>5", &both));
    assert_eq!(texts(&answer["data"], "trace_id"), [&second]);
    let spans = json!({"attribute_filters": [], "attributes_to_return": ["tokens"]});
    let answer = read(&ask_for("spans", "tokens=20", &spans));
    assert_eq!(texts(&answer["data"], "trace_id"), [&third]);

    let save = json!({"attribute_filters": [], "attributes_to_save": [], "dataset_id": "d"});
    for (path, body) in [("traces", json!({})), ("spans", spans), ("spans/export", save)] {
        let answer = ask_for(path, "tokens>5 status=eror", &body);
        assert_eq!(
            (answer.status, code(&answer).as_str()),
            (400, "invalid_input"),
            "{path}"
        );
        let error: Value = serde_json::from_str(&answer.body).unwrap();
        assert_eq!(error["error"]["at"], 16, "{error}");
        assert_eq!(error["error"]["did_you_mean"], json!(["error"]), "{error}");
        let unknown = post(
            filled.server.address,
            &format!("/v1/telemetry/{path}?filtre=a"),
            &body.to_string(),
        )
        .unwrap();
        assert_eq!(unknown.status, 400, "{}", unknown.body);
        assert!(unknown.body.contains("use filter"), "{}", unknown.body);
    }
}

#[test]
fn one_trace_and_one_span_have_the_fields_of_llama_stacks_api() {
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
    let kept = block_on(
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
fn trees_and_spans_are_limited_as_requested() {
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
fn datasets_are_written_into_their_folder_and_nowhere_else() {
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
