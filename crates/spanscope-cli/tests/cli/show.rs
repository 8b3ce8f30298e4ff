//! `tree`, `span` and the ids that they accept.

use serde_json::Value;

use crate::support::{Store, lines};

#[test]
fn a_tree_shows_children_below_their_parents() {
    let store = Store::filled();
    let trace = store.trace("order");
    let tree = store.out(&["tree", &trace]);
    let names: Vec<&str> = tree.lines().skip(3).collect();
    assert!(names[0].starts_with("1 order "), "{tree}");
    assert!(
        names[1].starts_with("2 ├─ chat") && names[1].ends_with("100→7 tok"),
        "{tree}"
    );
    assert!(names[3].starts_with("4 └─ pay"), "{tree}");
    assert!(
        tree.starts_with(&format!("trace {trace}\n")) && tree.contains('█'),
        "{tree}"
    );

    let cut = store.out(&["tree", &trace, "--max-depth", "1"]);
    assert!(
        cut.contains("3 more spans below") && !cut.contains("chat"),
        "{cut}"
    );
    let with = store.out(&["tree", &trace, "--attributes", "user,items"]);
    assert!(with.contains("order  user=ann  items=5"), "{with}");
    let below = store.out(&["tree", &store.span("pay")]);
    assert!(
        below.contains("\n4 pay ") && !below.contains("not stored"),
        "{below}"
    );
}

#[test]
fn the_json_of_a_tree_is_nested() {
    let store = Store::filled();
    let trace = store.trace("order");
    let tree = store.json(&["tree", &trace, "--attributes", "gen_ai.request.model"]);
    assert_eq!(
        (tree["trace_id"].as_str(), tree["span_count"].as_u64()),
        (Some(&*trace), Some(4))
    );
    assert!(tree["duration_ms"].is_number(), "{tree}");
    assert_eq!(tree["roots"].as_array().unwrap().len(), 1);
    let root = &tree["roots"][0];
    let placed = |span: &Value| {
        let part = |key: &str| span[key].as_u64().unwrap();
        (
            span["name"].as_str().unwrap().to_owned(),
            part("row"),
            part("depth"),
        )
    };
    assert_eq!(placed(root), ("order".to_owned(), 1, 1));
    assert_eq!(root["attributes"].as_object().unwrap().len(), 0);
    let below: Vec<_> = root["children"].as_array().unwrap().iter().collect();
    let names: Vec<_> = below.iter().map(|span| placed(span)).collect();
    let named = |name: &str, row| (name.to_owned(), row, 2);
    assert_eq!(names, [named("chat", 2), named("chat", 3), named("pay", 4)]);
    assert_eq!(below[0]["attributes"]["gen_ai.request.model"], "llama");
    assert_eq!(below[2]["children"].as_array().unwrap().len(), 0);

    let cut = store.json(&["tree", &trace, "--max-depth", "1"]);
    assert_eq!(cut["roots"][0]["children"].as_array().unwrap().len(), 0);
    assert_eq!(cut["roots"][0]["omitted_children"], 3);
    let part = store.json(&["tree", &format!("{trace}:4")]);
    assert_eq!(
        (&part["span_id"], &part["span_count"]),
        (&below[2]["span_id"], &1.into())
    );
    assert_eq!(part["roots"][0]["row"], 4);

    let rows = lines(&store.out(&["tree", &trace, "--format", "jsonl"]));
    let rows: Vec<_> = rows.iter().map(placed).collect();
    assert_eq!(rows[1..], names);
}

#[test]
fn spans_are_found_by_row_and_the_newest_trace_by_last() {
    let store = Store::filled();
    let trace = store.trace("order");
    let tree = store.out(&["tree", &trace, "--utc"]);
    let starts: Vec<&str> = tree.lines().skip(3).map(|line| &line[..2]).collect();
    assert_eq!(starts, ["1 ", "2 ", "3 ", "4 "], "{tree}");
    let pay = store.span("pay");
    let short = &trace[..24];
    for row in [
        format!("{trace}:4"),
        format!("{short}:4"),
        format!(" {short} : 4 "),
    ] {
        assert_eq!(store.json(&["span", &row])["span_id"], *pay, "{row}");
    }
    // Rows are numbered in the whole tree, also if only a part is shown.
    let part = store.out(&["tree", &pay]);
    assert!(part.lines().nth(3).unwrap().starts_with("4 pay"), "{part}");

    let newest = store.trace("bad order");
    assert_eq!(store.json(&["tree", "last"])["trace_id"], *newest);
    assert_eq!(store.json(&["span", "LAST"])["name"], "bad order");
    assert_eq!(store.json(&["span", "last:1"])["name"], "bad order");
    let exported = store.out(&["export", "last", "--to", "jsonl"]);
    assert_eq!(lines(&exported)[0]["trace_id"], *newest);
    // The hostile order is not a run of an agent.
    assert_eq!(store.json(&["run", "last"])["metadata"]["traces"][0], *trace);

    for (row, code) in [
        ("last:2", 3),
        ("last:0", 3),
        ("last:99999999999999999999", 3),
        ("last:x", 2),
    ] {
        let result = store.run(&["span", row]);
        assert_eq!(result.code, code, "{row}: {}", result.err);
    }
    let result = store.run(&["span", "last:2"]);
    assert!(
        result.err.contains(&newest) && result.err.contains("give a row from 1 to 1"),
        "{}",
        result.err
    );
    let result = store.run(&["tree", &format!("{pay}:1")]);
    assert!(
        result.code == 2 && result.err.contains("write TRACE:ROW"),
        "{}",
        result.err
    );
}

#[test]
fn an_empty_store_has_no_last_trace_and_no_last_run() {
    let store = Store::none();
    let (_, guard) = spanscope_sqlite::SqliteLayer::open(store.path()).unwrap();
    drop(guard);
    for words in [
        &["tree", "last"][..],
        &["span", "last"],
        &["span", "last:1"],
        &["export", "last", "--to", "jsonl"],
        &["run", "last"],
        &["run", "last", "--follow"],
    ] {
        let result = store.run(words);
        assert_eq!((result.code, result.out.as_str()), (3, ""), "{words:?}");
        assert!(
            result.err.contains("is stored") && result.err.contains("spanscope demo"),
            "{words:?}: {}",
            result.err
        );
    }
}

#[test]
fn failures_are_marked() {
    let store = Store::filled();
    let tree = store.out(&["tree", &store.trace("bad order")]);
    assert!(tree.contains('✗') && tree.contains("1 failed"), "{tree}");
}

#[test]
fn ids_may_be_shortened_to_an_unambiguous_prefix() {
    let store = Store::filled();
    let trace = store.trace("order");
    let whole = store.out(&["tree", &trace, "--utc"]);
    assert_eq!(store.out(&["tree", &trace[..24], "--utc"]), whole);
    assert_eq!(store.out(&["tree", &trace[..24].to_uppercase(), "--utc"]), whole);
    let span = store.span("pay");
    assert!(store.out(&["span", &span]).contains(&span));
    // The ids of one process and second have the same prefix.
    assert_eq!(store.run(&["tree", &trace[..4]]).code, 2);
    assert_eq!(store.run(&["tree", "a"]).code, 2);
    let result = store.run(&["span", &trace]);
    assert_eq!(result.code, 2);
    assert!(result.err.contains("spanscope tree"), "{}", result.err);
}

#[test]
fn a_span_is_shown_with_its_fields_attributes_and_events() {
    let store = Store::filled();
    let text = store.out(&["span", &store.span("pay")]);
    for word in [
        "pay",
        "duration",
        "parent",
        "events",
        "the bank is slow",
        "retry",
        "debug",
        "shop",
    ] {
        assert!(text.contains(word), "{word}:\n{text}");
    }
    let long = store.out(&["span", &store.span("bad order")]);
    let words: Vec<&str> = long.split_whitespace().collect();
    assert!(words.join(" ").contains("cut here; 3,000 bytes"), "{long}");
    let json = store.json(&["span", &store.span("bad order")]);
    assert_eq!(json["attributes"]["long"].as_str().unwrap().len(), 3000);
    assert_eq!(json["events"][0]["message"], "no \x1b[2J such item");
    assert_eq!(json["status"], "error");
}

#[test]
fn times_are_local_unless_utc_is_requested() {
    let store = Store::filled();
    let trace = store.trace("order");
    let start = store.json(&["traces"])[1]["start_time"].as_str().unwrap()[..19].replace('T', " ");
    let utc = store.out(&["tree", &trace, "--utc"]);
    assert!(utc.contains(&start) && utc.contains("+00:00"), "{utc}");
    let mut command = store.command(&["tree", &trace]);
    let local = command.env("TZ", "UTC-05:30").output().unwrap();
    assert!(String::from_utf8(local.stdout).unwrap().contains("+05:30"));
}
