use std::fs;

use serde_json::{Value, json};
use spanscope_model::{Condition, ConditionOp, TraceStore, block_on};

use crate::support::{Row, StoreFile};

#[test]
fn datasets_are_appended_line_by_line() {
    let file = StoreFile::new();
    file.add(&Row {
        id: 1,
        attributes: json!({"input": "a", "name": "own", "x": 1}),
        ..Row::default()
    });
    file.add(&Row {
        id: 2,
        parent: Some(1),
        attributes: json!({"input": "b\n"}),
        ..Row::default()
    });
    let folder = file.folder.path().join("sets");
    let store = file.store().with_dataset_dir(&folder);
    let save = |keys: &[&str], id: &str| {
        let keys = keys.iter().map(|key| (*key).to_owned()).collect();
        block_on(store.save_spans_to_dataset(vec![], keys, id.to_owned(), None))
    };
    assert_eq!(save(&["input"], "evals-1").unwrap(), 2);
    assert_eq!(save(&["input", "name"], "evals-1").unwrap(), 1);
    assert_eq!(save(&[], "all").unwrap(), 2);
    let rows = |id: &str| -> Vec<Value> {
        let text = fs::read_to_string(folder.join(format!("{id}.jsonl"))).unwrap();
        text.lines()
            .map(|line| serde_json::from_str(line).unwrap())
            .collect()
    };
    let evals = rows("evals-1");
    assert_eq!(evals.len(), 3);
    assert_eq!(evals[1]["input"], "b\n");
    assert_eq!(evals[1]["parent_span_id"], "0000000000000001");
    assert_eq!(
        (&evals[2]["name"], &evals[2]["attributes.name"]),
        (&json!("work"), &json!("own"))
    );
    assert_eq!(
        evals[0].as_object().unwrap().keys().collect::<Vec<_>>(),
        [
            "trace_id",
            "span_id",
            "parent_span_id",
            "name",
            "start_time",
            "end_time",
            "input"
        ]
    );
    assert_eq!(rows("all")[0]["x"], 1);
    let none = vec![Condition::new("input", ConditionOp::Eq, "z")];
    assert_eq!(
        block_on(store.save_spans_to_dataset(none, vec![], "none".into(), None)).unwrap(),
        0
    );
}

#[test]
fn a_dataset_id_cannot_leave_its_folder() {
    let file = StoreFile::new();
    file.add(&Row::default());
    let long = "x".repeat(129);
    for id in [
        "",
        ".",
        "..",
        "../x",
        "a/b",
        "a\\b",
        ".hidden",
        "a b",
        "a\0b",
        "ü",
        "/etc/passwd",
        &long,
    ] {
        let error = block_on(
            file.store()
                .save_spans_to_dataset(vec![], vec![], id.to_owned(), None),
        )
        .unwrap_err();
        assert!(error.is_invalid_input(), "{id:?}: {error}");
    }
    assert!(!file.folder.path().join("datasets").exists());
    let longest = "x".repeat(128);
    assert_eq!(
        block_on(file.store().save_spans_to_dataset(vec![], vec![], longest, None)).unwrap(),
        1
    );
}

#[cfg(unix)]
#[test]
fn a_link_in_the_dataset_folder_is_not_followed() {
    let file = StoreFile::new();
    file.add(&Row::default());
    let folder = file.folder.path().join("datasets");
    fs::create_dir(&folder).unwrap();
    let outside = file.folder.path().join("outside");
    std::os::unix::fs::symlink(&outside, folder.join("link.jsonl")).unwrap();
    let error = block_on(
        file.store()
            .save_spans_to_dataset(vec![], vec![], "link".into(), None),
    )
    .unwrap_err();
    assert!(error.is_invalid_input() && !outside.exists(), "{error}");
}
