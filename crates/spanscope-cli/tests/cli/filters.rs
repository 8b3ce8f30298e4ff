//! Filters on the command line: `traces`, `spans`, `logs`, `export`, and their flags.

use spanscope_sqlite::SqliteLayer;
use tracing::{error, info, info_span};
use tracing_subscriber::layer::SubscriberExt as _;

use crate::support::{Store, lines};
use crate::tokens::used;

/// Returns how many spans, traces or events are found; the command may find none.
fn found(store: &Store, words: &[&str]) -> usize {
    let said = store.run(&[words, &["--format", "jsonl"]].concat());
    assert!(said.code == 0 || said.code == 3, "{words:?}: {}", said.err);
    lines(&said.out).len()
}

#[test]
fn spans_and_traces_are_found_by_the_filter_language() {
    let store = Store::filled();
    for (filter, spans, traces) in [
        ("name=chat", 2, 1),
        ("name=chat gen_ai.request.model=llama,other", 1, 1),
        ("name=chat -gen_ai.request.model=llama", 1, 1),
        ("-gen_ai.request.model=llama", 4, 2),
        ("gen_ai.request.model!=llama", 1, 1),
        ("gen_ai.request.model=ll*", 1, 1),
        ("gen_ai.request.model~LAM", 1, 1),
        (
            "gen_ai.usage.input_tokens>=20 gen_ai.usage.input_tokens<=99",
            1,
            1,
        ),
        ("\"such item\"", 1, 1),
        ("status=error", 1, 1),
        ("-status=error kind=client", 2, 1),
        ("parent=*", 3, 1),
        ("-parent=*", 2, 2),
        ("level<info", 1, 1),
        ("trace.spans=4", 4, 1),
        ("trace.errors>0", 1, 1),
        ("duration<1h service=shop", 5, 2),
        ("start>2020-01-01T00:00:00Z", 5, 2),
        ("duration>1h", 0, 0),
    ] {
        assert_eq!(found(&store, &["spans", filter]), spans, "{filter}");
        assert_eq!(
            found(&store, &["spans", "--where", filter]),
            spans,
            "--where {filter}"
        );
        assert_eq!(found(&store, &["traces", filter]), traces, "{filter}");
    }
    // Flags may follow or precede, and filters and conditions are combined.
    let words = [
        "spans",
        "--limit",
        "5",
        "-gen_ai.request.model=mini name=chat",
        "--errors",
    ];
    assert_eq!(found(&store, &words), 0);
    assert_eq!(found(&store, &words[..4]), 1);
    let both = [
        "spans",
        "name=chat",
        "--where",
        "gen_ai.usage.input_tokens=20",
        "--errors",
    ];
    assert_eq!(found(&store, &both), 0);
    let exported = store.out(&["export", "--to", "jsonl", "--where", "-status=error name=order"]);
    assert_eq!(exported.lines().count(), 4, "{exported}");
}

#[test]
fn a_condition_may_be_written_as_it_always_was() {
    let store = Store::filled();
    for condition in [
        "name=bad order",
        "name=\"bad order\"",
        " name =bad order",
        "service_name=shop",
    ] {
        assert!(found(&store, &["spans", "--where", condition]) > 0, "{condition}");
    }
    let said = store.run(&["spans", "--where", "name=order nowhere"]);
    assert_eq!(said.code, 3);
    assert!(
        said.err.contains("is read as name=\"order nowhere\""),
        "{}",
        said.err
    );
}

#[test]
fn a_wrong_filter_is_shown_with_a_caret_at_the_place() {
    let store = Store::filled();
    for words in [
        ["traces", "kind=client status=eror"],
        ["spans", "kind=client status=eror"],
    ] {
        let said = store.run(&words);
        assert_eq!((said.code, said.out.as_str()), (2, ""));
        let lines: Vec<&str> = said.err.lines().collect();
        assert_eq!(
            lines,
            [
                "spanscope: at byte 19: expected ok or error, found \"eror\": did you mean \"error\"?",
                "  kind=client status=eror",
                "                     ^",
            ],
            "{}",
            said.err
        );
    }
}

#[test]
fn a_key_that_no_span_has_is_answered_with_the_one_that_was_meant() {
    let store = Store::filled();
    let said = store.run(&["spans", "gen_ai.request.modle=llama"]);
    assert_eq!(said.code, 3);
    assert!(
        said.err
            .contains("called gen_ai.request.modle: did you mean gen_ai.request.model?"),
        "{}",
        said.err
    );
    // A term that also matches spans without the key finds something, and may be a typo too.
    let said = store.run(&["spans", "-servce=bank"]);
    assert_eq!(said.code, 0);
    assert!(said.err.contains("did you mean service?"), "{}", said.err);
    let said = store.run(&["spans", "user=bob"]);
    assert_eq!(said.err.lines().count(), 1, "the key is there: {}", said.err);
}

#[test]
fn logs_are_found_by_all_that_is_shown_of_them() {
    let store = Store::none();
    for (service, order) in [("bank", "A-7"), ("shop", "B-8")] {
        let (layer, guard) = SqliteLayer::builder()
            .service_name(service)
            .open(store.path())
            .unwrap();
        tracing::subscriber::with_default(tracing_subscriber::registry().with(layer), || {
            let _order = info_span!("order").entered();
            info!(order, attempt = 3, "taken");
            error!(category = "tools", error = %std::io::Error::other("the pipe is broken"), "failed");
        });
        drop(guard);
    }
    let logs = |words: &[&str]| found(&store, &[&["logs"], words].concat());
    for (words, count) in [
        (&["--grep", "TAKEN"][..], 2),
        (&["--grep", "a-7"], 1),
        (&["--grep", "order=B"], 1),
        (&["--grep", "attempt=3"], 2),
        (&["--grep", "pipe is broken"], 2),
        (&["--grep", "nowhere"], 0),
        (&["--service", "bank"], 2),
        (&["--category", "tools"], 2),
        (
            &["--service", "shop", "--category", "tools", "--severity", "error"],
            1,
        ),
        (&["order=A*"], 1),
        (&["level>=error service=bank"], 1),
        (&["--where", "-order=*"], 2),
        (&["-order=A-7", "--service", "bank"], 1),
        (&["--until", "1h"], 0),
        (&["--since", "1h", "--until", "2100-01-01"], 4),
        (&["--trace", "last"], 2),
    ] {
        assert_eq!(logs(words), count, "{words:?}");
    }
    let trace = store.json(&["traces"])[1]["trace_id"]
        .as_str()
        .unwrap()
        .to_owned();
    assert_eq!(logs(&["--trace", &trace]), 2);
    assert_eq!(logs(&["--trace", &trace, "--grep", "taken"]), 1);
}

#[test]
fn each_command_that_takes_a_beginning_takes_an_end() {
    let store = Store::filled();
    let counted = used();
    assert_eq!(found(&counted, &["traces", "trace.tokens>1000000"]), 1);
    assert_eq!(found(&counted, &["traces", "trace.tokens=2"]), 2);
    for words in [&["usage"][..], &["metrics", "total_tokens"]] {
        for (until, code) in [("1h", 3), ("2100-01-01", 0)] {
            let words = [words, &["--since", "2d", "--until", until]].concat();
            let said = counted.run(&words);
            assert_eq!(said.code, code, "{words:?}: {}", said.err);
        }
    }
    for words in [
        &["traces"][..],
        &["spans"],
        &["logs"],
        &["runs"],
        &["stats", "--by", "name"],
        &["export", "--to", "jsonl"],
    ] {
        for (until, code) in [("1h", 3), ("2100-01-01", 0)] {
            let words = [words, &["--since", "2d", "--until", until]].concat();
            let said = store.run(&words);
            assert_eq!(said.code, code, "{words:?}: {}", said.err);
        }
    }
}
