//! What is next to a trace, a span or an id.

use serde_json::{Value, json};
use spanscope_model::{Link, NewRecords, SourceRecords};
use spanscope_server::PageSettings;
use spanscope_store_tests::made::{of, span, span_id, trace_id, with};

use super::{AGENT, PLAIN, all, filled, filled_with, new_span};

#[test]
fn a_trace_names_the_ones_that_began_before_and_after_it() {
    let open = filled();
    let newest_first: Vec<String> = all(&open.get("/traces")["traces"], "trace_id")
        .into_iter()
        .map(String::from)
        .collect();
    assert_eq!(newest_first.len(), 3);
    for (index, id) in newest_first.iter().enumerate() {
        let shape = open.get(&format!("/traces/{id}"));
        let newer = index.checked_sub(1).map(|index| newest_first[index].as_str());
        let older = newest_first.get(index + 1).map(String::as_str);
        assert_eq!((&shape["older"], &shape["newer"]), (&json!(older), &json!(newer)));
    }
    let part = open.get(&format!("/traces/{AGENT}?below=0000000000000003"));
    assert_eq!((&part["older"], &part["newer"]), (&Value::Null, &Value::Null));
}

#[test]
fn a_span_names_the_errors_and_calls_next_to_it() {
    let open = filled();
    let around = |id: &str| open.get(&format!("/traces/{AGENT}/spans/{id}/around"));
    let root = around("0000000000000001");
    assert_eq!(
        root,
        json!({"previous_error": null, "next_error": "0000000000000003", "previous_call": null,
               "next_call": "0000000000000002", "linked_by": [], "linked_by_more": false})
    );
    assert_eq!(around("0000000000000003")["previous_call"], "0000000000000002");
    assert_eq!(
        open.refused(&format!("/traces/{PLAIN}/spans/0000000000000001/around")),
        "404 not_found"
    );
}

/// A span to which this number of others link.
fn linked(links: i64) -> NewRecords {
    let mut spans = vec![new_span(span(1, 1, 0, "target"))];
    spans.extend((2..links + 2).map(|id| {
        let mut from = span(2, id, 0, "follows");
        from.links = vec![Link::new(trace_id(1), span_id(1))];
        new_span(from)
    }));
    let mut records = SourceRecords::default().spans(spans);
    records.source.service_name = "library".to_owned();
    of(records)
}

#[test]
fn a_span_names_the_spans_that_link_to_it() {
    let target = format!("/traces/{}/spans/{}/around", trace_id(1), span_id(1));
    let open = filled_with(linked(2), PageSettings::default());
    let found = open.get(&target);
    let row = |id| json!({"trace_id": trace_id(2), "span_id": span_id(id), "name": "follows", "service": "library"});
    assert_eq!(found["linked_by"], json!([row(3), row(2)]));
    assert_eq!(found["linked_by_more"], false);
    let open = filled_with(linked(60), PageSettings::default());
    let found = open.get(&target);
    assert_eq!(found["linked_by"].as_array().unwrap().len(), 50);
    assert_eq!(found["linked_by_more"], true);
}

#[test]
fn an_unknown_id_is_refused_with_stored_ids_that_begin_like_it() {
    let open = filled();
    let almost = format!("{}9", &AGENT[..31]);
    for path in [format!("/id/{almost}"), format!("/traces/{almost}")] {
        let answer = open.ask(&format!("/ui/api{path}"));
        assert_eq!(answer.status, 404, "{path}");
        let error: Value = serde_json::from_str(&answer.body).unwrap();
        let nearest = error["error"]["nearest"].as_array().unwrap();
        assert_eq!(nearest.len(), 3, "{path}");
        assert!(nearest.contains(&json!(AGENT)));
    }
    let answer = open.ask("/ui/api/id/ffff");
    let error: Value = serde_json::from_str(&answer.body).unwrap();
    assert_eq!((answer.status, error["error"].get("nearest")), (404, None));
}

#[test]
fn the_id_of_a_task_leads_to_its_trace() {
    let agent = with(
        span(1, 1, 0, "invoke_agent librarian"),
        &[("gen_ai.operation.name", "invoke_agent"), ("task_id", "task-9")],
    );
    let open = filled_with(
        of(SourceRecords::default().spans(vec![new_span(agent)])),
        PageSettings::default(),
    );
    let found = json!({"trace_id": trace_id(1), "span_id": null});
    assert_eq!(open.get("/id/task-9"), found);
    let answer = open.ask("/ui/id/task-9");
    assert_eq!(
        (answer.status, answer.header("location")),
        (303, Some(format!("/ui/traces/{}", trace_id(1)).as_str()))
    );
    // Neither an id nor a task: the advice is about ids.
    assert_eq!(open.ask("/ui/api/id/task-8").status, 400);
}
