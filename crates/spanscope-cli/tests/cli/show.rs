//! `tree`, `span` and the ids that they take.

use crate::support::{Store, lines};

#[test]
fn a_tree_shows_what_hangs_on_what() {
    let store = Store::filled();
    let trace = store.trace("order");
    let tree = store.out(&["tree", &trace]);
    let names: Vec<&str> = tree.lines().skip(3).collect();
    assert!(names[0].starts_with("order "), "{tree}");
    assert!(
        names[1].starts_with("├─ chat") && names[1].ends_with("100→7 tok"),
        "{tree}"
    );
    assert!(names[3].starts_with("└─ pay"), "{tree}");
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
        below.contains("\npay ") && !below.contains("not stored"),
        "{below}"
    );
}

#[test]
fn the_json_of_a_tree_is_a_map_of_spans_with_depths() {
    let store = Store::filled();
    let trace = store.trace("order");
    let map = store.json(&["tree", &trace, "--attributes", "gen_ai.request.model"]);
    let nodes: Vec<_> = map.as_object().unwrap().values().collect();
    assert_eq!(nodes.len(), 4);
    let root = nodes.iter().find(|node| node["name"] == "order").unwrap();
    assert_eq!(
        (
            root["depth"].as_u64(),
            root["attributes"].as_object().unwrap().len()
        ),
        (Some(1), 0)
    );
    assert_eq!(nodes.iter().filter(|node| node["depth"] == 2).count(), 3);
    assert_eq!(lines(&store.out(&["tree", &trace, "--format", "jsonl"])).len(), 4);
    assert_eq!(
        store
            .json(&["tree", &trace, "--max-depth", "1"])
            .as_object()
            .unwrap()
            .len(),
        1
    );
}

#[test]
fn failures_are_marked() {
    let store = Store::filled();
    let tree = store.out(&["tree", &store.trace("bad order")]);
    assert!(tree.contains('✗') && tree.contains("1 failed"), "{tree}");
}

#[test]
fn ids_may_be_cut_while_they_stay_unambiguous() {
    let store = Store::filled();
    let trace = store.trace("order");
    let whole = store.out(&["tree", &trace, "--utc"]);
    assert_eq!(store.out(&["tree", &trace[..24], "--utc"]), whole);
    assert_eq!(store.out(&["tree", &trace[..24].to_uppercase(), "--utc"]), whole);
    let span = store.span("pay");
    assert!(store.out(&["span", &span]).contains(&span));
    // The traces of one process and second begin alike.
    assert_eq!(store.run(&["tree", &trace[..4]]).code, 2);
    assert_eq!(store.run(&["tree", "a"]).code, 2);
    let said = store.run(&["span", &trace]);
    assert_eq!(said.code, 2);
    assert!(said.err.contains("spanscope tree"), "{}", said.err);
}

#[test]
fn a_span_is_shown_with_all_that_is_known() {
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
fn times_are_local_unless_utc_is_asked_for() {
    let store = Store::filled();
    let trace = store.trace("order");
    let start = store.json(&["traces"])[1]["start_time"].as_str().unwrap()[..19].replace('T', " ");
    let utc = store.out(&["tree", &trace, "--utc"]);
    assert!(utc.contains(&start) && utc.contains("+00:00"), "{utc}");
    let mut command = store.command(&["tree", &trace]);
    let local = command.env("TZ", "UTC-05:30").output().unwrap();
    assert!(String::from_utf8(local.stdout).unwrap().contains("+05:30"));
}
