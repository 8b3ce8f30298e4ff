//! Filters on the command line: `traces`, `spans`, `logs`, `export`, and their flags.

use spanscope_sqlite::SqliteLayer;
use tracing::{error, info, info_span};
use tracing_subscriber::layer::SubscriberExt as _;

use crate::support::{Store, lines};
use crate::tokens::store_with_usage;

/// Returns how many spans, traces or events are found; the command may find none.
fn found(store: &Store, words: &[&str]) -> usize {
    let result = store.run(&[words, &["--format", "jsonl"]].concat());
    assert!(result.code == 0 || result.code == 3, "{words:?}: {}", result.err);
    lines(&result.out).len()
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
fn a_condition_may_contain_blanks_and_quotes() {
    let store = Store::filled();
    for condition in [
        "name=bad order",
        "name=\"bad order\"",
        " name =bad order",
        "service_name=shop",
    ] {
        assert!(found(&store, &["spans", "--where", condition]) > 0, "{condition}");
    }
    let result = store.run(&["spans", "--where", "name=order nowhere"]);
    assert_eq!(result.code, 3);
    assert!(
        result.err.contains("is read as name=\"order nowhere\""),
        "{}",
        result.err
    );
}

#[test]
fn an_invalid_filter_is_shown_with_a_caret_at_the_error() {
    let store = Store::filled();
    for words in [
        ["traces", "kind=client status=eror"],
        ["spans", "kind=client status=eror"],
    ] {
        let result = store.run(&words);
        assert_eq!((result.code, result.out.as_str()), (2, ""));
        let lines: Vec<&str> = result.err.lines().collect();
        assert_eq!(
            lines,
            [
                "spanscope: at byte 19: expected ok or error, found \"eror\": did you mean \"error\"?",
                "  kind=client status=eror",
                "                     ^",
            ],
            "{}",
            result.err
        );
    }
}

#[test]
fn an_unknown_key_is_reported_with_the_nearest_known_one() {
    let store = Store::filled();
    let result = store.run(&["spans", "gen_ai.request.modle=llama"]);
    assert_eq!(result.code, 3);
    assert!(
        result
            .err
            .contains("called gen_ai.request.modle: did you mean gen_ai.request.model?"),
        "{}",
        result.err
    );
    // A term that also matches spans without the key finds something, and may be a typo too.
    let result = store.run(&["spans", "-servce=bank"]);
    assert_eq!(result.code, 0);
    assert!(result.err.contains("did you mean service?"), "{}", result.err);
    let result = store.run(&["spans", "user=bob"]);
    assert_eq!(result.err.lines().count(), 1, "the key is there: {}", result.err);
}

#[test]
fn logs_are_found_by_every_part_that_is_shown() {
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
fn each_command_with_since_also_has_until() {
    let store = Store::filled();
    let counted = store_with_usage();
    assert_eq!(found(&counted, &["traces", "trace.tokens>1000000"]), 1);
    assert_eq!(found(&counted, &["traces", "trace.tokens=2"]), 2);
    for words in [&["usage"][..], &["metrics", "total_tokens"]] {
        for (until, code) in [("1h", 3), ("2100-01-01", 0)] {
            let words = [words, &["--since", "2d", "--until", until]].concat();
            let result = counted.run(&words);
            assert_eq!(result.code, code, "{words:?}: {}", result.err);
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
            let result = store.run(&words);
            assert_eq!(result.code, code, "{words:?}: {}", result.err);
        }
    }
}
