//! A record has the same content on every sink.

use serde_json::{Map, Value as Json, json};

use super::Sinks;

/// Of these attributes, those that a record's callsite and the sinks did not add.
fn own(mut attributes: Map<String, Json>, added: &[&str]) -> Json {
    attributes.retain(|key, _| !added.contains(&key.as_str()));
    Json::Object(attributes)
}

#[test]
fn a_repeated_key_is_stored_once_with_its_last_value() {
    let sinks = Sinks::of("twice");
    for (sink, attributes) in sinks.span_attributes("doubled") {
        assert_eq!(
            own(attributes, &["category"]),
            json!({"a": 3, "b": "last"}),
            "{sink}"
        );
    }
    let span = sinks.stored_span("doubled");
    assert_eq!(span.status.map(|status| status.as_str()), Some("ok"));
    assert_eq!(span.category.as_deref(), Some("agents"));
    let sent = sinks.sent_span("doubled");
    assert_eq!(sent.status.unwrap().code, 1);
    for (sink, event) in sinks.events("kind", "two messages") {
        // `tracing` puts the unnamed text first.
        assert_eq!(event.message, "explicit", "{sink}");
    }
    for (sink, event) in sinks.events("kind", "two fields") {
        assert_eq!(event.attributes["a"], json!(2), "{sink}");
    }
    for (sink, event) in sinks.events("message", "two categories") {
        assert_eq!(event.category, "agents", "{sink}");
    }
    for (sink, event) in sinks.events("message", "theirs") {
        assert_eq!(event.attributes["exception.message"], json!("mine"), "{sink}");
    }
}

/// Keys under which sinks add to an event can be the program's too.
#[test]
fn sinks_add_keys_without_replacing_the_programs() {
    let sinks = Sinks::of("twice");
    for (sink, event) in sinks.events("kind", "ours") {
        let of_program = own(event.attributes, &[]);
        assert_eq!(
            of_program,
            json!({"kind": "ours", "severity": "high", "target": "moon", "category": 5}),
            "{sink}"
        );
        assert_eq!(
            (event.severity.as_str(), event.target.as_str()),
            ("warn", "values::records"),
            "{sink}"
        );
    }
    for (sink, event) in sinks.events("kind", "named") {
        assert_eq!(
            own(event.attributes, &[]),
            json!({"kind": "named", "severity": 3}),
            "{sink}"
        );
        assert_eq!(
            (
                event.message.trim_start_matches("named: "), // as the console writes the name
                event.severity.as_str()
            ),
            ("said", "info"),
            "{sink}"
        );
    }
    for (sink, event) in sinks.events("kind", "categorized") {
        assert_eq!(event.category, "safety", "{sink}");
    }
}

#[test]
fn integers_of_128_bits_are_numbers_if_they_fit_and_measured() {
    let sinks = Sinks::of("wide");
    for (sink, event) in sinks.events("message", "wide") {
        let mut expected = json!({
            "ms": 1234,
            "least": i64::MIN,
            "most": u64::MAX,
            "larger": "18446744073709551616",
            "smaller": "-9223372036854775809",
        });
        if sink.starts_with("collector") {
            expected["most"] = json!(u64::MAX.to_string()); // OTLP has no such number
        }
        assert_eq!(own(event.attributes, &[]), expected, "{sink}");
    }
    for (sink, attributes) in sinks.span_attributes("wide") {
        assert_eq!(attributes["ms"], json!(1234), "{sink}");
    }
    let measured: (f64, String) = sinks
        .sql()
        .query_row(
            "SELECT value, unit FROM metrics WHERE metric = 'took'",
            [],
            |row| Ok((row.get(0)?, row.get(1)?)),
        )
        .unwrap();
    assert_eq!(measured, (1234.0, "ms".to_owned()));
    assert!(
        sinks
            .receiver
            .metrics()
            .iter()
            .any(|metric| metric.record.name == "took")
    );
}

/// SQLite's functions and its command line end a text at a zero byte.
#[test]
fn a_zero_byte_hides_nothing_from_sql() {
    let sinks = Sinks::of("zeros");
    let db = sinks.sql();
    let tables: Vec<String> = db
        .prepare(
            "SELECT name FROM sqlite_master WHERE type IN ('table', 'view') AND name NOT LIKE 'sqlite_%'",
        )
        .unwrap()
        .query_map([], |row| row.get(0))
        .unwrap()
        .collect::<Result<_, _>>()
        .unwrap();
    let mut texts = Vec::new();
    for table in tables {
        let mut rows = db.prepare(&format!("SELECT * FROM \"{table}\"")).unwrap();
        let columns = rows.column_count();
        let mut rows = rows.query([]).unwrap();
        while let Some(row) = rows.next().unwrap() {
            for column in 0..columns {
                if let rusqlite::types::ValueRef::Text(text) = row.get_ref(column).unwrap() {
                    assert!(!text.contains(&0), "{table}: {:?}", String::from_utf8_lossy(text));
                    texts.push(String::from_utf8_lossy(text).into_owned());
                }
            }
        }
    }
    for part in [
        "na\u{fffd}me",
        "mes\u{fffd}sage",
        "ev\u{fffd}ent",
        "tar\u{fffd}get",
        "rea\u{fffd}son",
        "to\u{fffd}ols",
        "te\u{fffd}xt",
        "ke\u{fffd}y",
        "met\u{fffd}ric",
        "un\u{fffd}it",
        "la\u{fffd}bel",
        "ca\u{fffd}llsite",
    ] {
        assert!(texts.iter().any(|text| text.contains(part)), "{part}");
    }
    let found: i64 = db
        .query_row(
            "SELECT COUNT(*) FROM logs WHERE message LIKE '%sage'",
            [],
            |row| row.get(0),
        )
        .unwrap();
    assert_eq!(found, 1);
}

#[test]
fn a_lifetime_is_an_attribute_of_an_ordinary_event() {
    let sinks = Sinks::of("ttl");
    for (sink, event) in sinks.events("message", "an ordinary event") {
        assert_eq!(own(event.attributes, &[]), json!({"ttl_seconds": 0}), "{sink}");
    }
    for (sink, event) in sinks.events("message", "no measurement") {
        let expected = json!({"metric": "not measured", "value": "text", "ttl_seconds": 0});
        assert_eq!(own(event.attributes, &[]), expected, "{sink}");
    }
    let db = sinks.sql();
    let expiring = |sql: &str| db.query_row::<i64, _, _>(sql, [], |row| row.get(0)).unwrap();
    assert_eq!(
        expiring("SELECT COUNT(*) FROM _event WHERE expires IS NOT NULL"),
        0
    );
    assert_eq!(
        expiring("SELECT COUNT(*) FROM _point WHERE expires IS NOT NULL"),
        1
    );
}

/// By chance, one process in ten took a level of the `log` crate for another.
#[test]
fn records_of_the_log_crate_have_their_own_level_in_every_process() {
    let levels = [("RUST_LOG", "trace")];
    let runs: Vec<_> = std::thread::scope(|scope| {
        let run = || {
            (0..16)
                .map(|_| Sinks::with("log levels", &levels))
                .collect::<Vec<_>>()
        };
        let threads: Vec<_> = (0..3).map(|_| scope.spawn(run)).collect();
        threads
            .into_iter()
            .flat_map(|thread| thread.join().unwrap())
            .collect()
    });
    for sinks in &runs {
        for (level, severity) in [
            ("ERROR", "error"),
            ("WARN", "warn"),
            ("INFO", "info"),
            ("DEBUG", "debug"),
            ("TRACE", "verbose"),
        ] {
            for (sink, event) in sinks.events("message", &format!("of the log crate at {level}")) {
                assert_eq!(event.severity, severity, "{sink}");
            }
        }
    }
}

#[test]
fn key_values_of_log_records_are_attributes_and_keep_their_types() {
    let sinks = Sinks::of("key-values");
    for (sink, event) in sinks.events("kind", "typed") {
        assert_eq!(event.message, "with key-values", "{sink}");
        assert_eq!(
            (
                event.target.as_str(),
                event.severity.as_str(),
                event.category.as_str()
            ),
            ("values::own", "info", "tools"),
            "{sink}"
        );
        let mut attributes = event.attributes;
        let secret = attributes.remove("api_key").unwrap();
        assert!(!secret.to_string().contains("sk-secret"), "{sink}: {secret}");
        assert_eq!(
            Json::Object(attributes),
            json!({
                "kind": "typed",
                "count": 3,
                "least": i64::MIN,
                "ratio": 0.5,
                "ok": true,
                "wide": 1234,
                "wider": u128::MAX.to_string(),
                "letter": "x",
                "debug": "Some(1)",
                "display": "no route",
                "nothing": "None",
                "kv.message": "another message",
                "kv.log.target": "forged",
            }),
            "{sink}"
        );
    }
    for (sink, event) in sinks.events("kind", "failed") {
        assert_eq!(event.attributes["err"], json!("refused"), "{sink}");
        assert_eq!(event.attributes["exception.message"], json!("refused"), "{sink}");
        assert_eq!(event.attributes["exception.chain"], json!("no route"), "{sink}");
    }
    for (sink, event) in sinks.events("kind", "long") {
        let long = event.attributes["long"].as_str().unwrap();
        assert!(
            long.starts_with("xxx") && long.len() < 20_000,
            "{sink}: {}",
            long.len()
        );
    }
    for (sink, event) in sinks.events("kind", "panics") {
        let expected = [
            ("before", json!(1)),
            ("panics", json!("<its Debug or Display panicked>")),
            ("after", json!(2)),
        ];
        for (key, value) in expected {
            assert_eq!(event.attributes[key], value, "{key} in the {sink}");
        }
    }
}

#[test]
fn each_of_two_nested_log_records_has_its_own_key_values() {
    let sinks = Sinks::of("key-values");
    for (sink, event) in sinks.events("kind", "outer") {
        assert_eq!(event.message, "around shown", "{sink}");
        let expected = json!({"kind": "outer", "shown": "shown", "outer": 2});
        assert_eq!(Json::Object(event.attributes), expected, "{sink}");
    }
    let inner: Vec<_> = sinks
        .logs
        .iter()
        .filter(|log| log.message == "within Display")
        .collect();
    assert!(!inner.is_empty());
    for log in inner {
        let attributes = serde_json::to_value(&log.attributes).unwrap();
        assert_eq!(attributes, json!({"kind": "inner", "inner": 1}));
    }
    for log in sinks.logs.iter().filter(|log| log.message == "without any") {
        assert_eq!(serde_json::to_value(&log.attributes).unwrap(), json!({}));
    }
    for (sink, event) in sinks.events("kind", "of tracing") {
        assert_eq!(
            Json::Object(event.attributes),
            json!({"kind": "of tracing"}),
            "{sink}"
        );
    }
}
