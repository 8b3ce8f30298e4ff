//! Reads: each tenant sees only its own records.

use super::{Does, Row, SECRET, SPAN, THEIRS, TRACE, filled, rows, store};
use crate::running::{ACME, ADMIN, OTHER, Open, open_with, tokens};
use crate::wire::{Answer, Ask};
use spanscope_server::Limits;

fn rows_that(does: Does) -> impl Iterator<Item = Row> {
    rows().into_iter().filter(move |row| row.does == does)
}

/// Returns whether a response contains anything that only acme may know.
fn reveals(answer: &Answer) -> bool {
    let text = answer.text();
    [SECRET, TRACE, SPAN].iter().any(|known| text.contains(known))
}

#[test]
fn lists_contain_only_records_of_the_caller() {
    let open = filled();
    for row in rows_that(Does::List) {
        let own = row.asked_by(&open, ACME);
        assert!(own.status == 200 && reveals(&own), "{}: {}", row.path, own.text());
        let theirs = row.asked_by(&open, OTHER);
        assert!(
            theirs.status == 200 && !reveals(&theirs),
            "{}: {}",
            row.path,
            theirs.text()
        );
        let is_theirs = theirs.text().contains(THEIRS) || theirs.text().contains("11111111");
        assert!(is_theirs, "{}: {}", row.path, theirs.text());
        let all = row.asked_by(&open, ADMIN);
        assert!(all.status == 200 && reveals(&all), "{}: {}", row.path, all.text());
        assert!(all.body.len() > own.body.len(), "{}", row.path);
    }
}

#[test]
fn records_of_other_tenants_seem_not_to_exist() {
    let open = filled();
    for row in rows_that(Does::Look) {
        for token in [ACME, ADMIN] {
            let own = row.asked_by(&open, token);
            assert!(
                own.status == 200 && own.text().contains(SECRET) | own.text().contains(TRACE),
                "{}: {}",
                row.path,
                own.text()
            );
        }
        let theirs = row.asked_by(&open, OTHER);
        assert_eq!(
            (theirs.status, theirs.code()),
            (404, "not_found".to_owned()),
            "{}",
            row.path
        );
        // Not even its existence: the response is the same as for an unknown id.
        let (trace, span) = ("deadbeefdeadbeefdeadbeefdeadbeef", "deadbeefdeadbeef");
        let unknown = row.ask(trace, span).token(OTHER).to(open.address);
        assert_eq!(unknown.status, 404, "{}", row.path);
        assert_eq!(
            unknown.text(),
            theirs.text().replace(TRACE, trace).replace(SPAN, span),
            "{}",
            row.path
        );
    }
    // Another's span is not in one's own trace either.
    let path = format!("/v1/telemetry/traces/11111111111111111111111111111111/spans/{SPAN}");
    assert_eq!(Ask::get(&path).token(OTHER).to(open.address).status, 404);
}

#[test]
fn conditions_find_no_records_of_another_tenant() {
    let open = filled();
    let filters = serde_json::json!([{"key": "input", "op": "eq", "value": SECRET}]);
    for (path, body) in [
        (
            "/v1/telemetry/traces",
            serde_json::json!({"attribute_filters": filters}),
        ),
        (
            "/v1/telemetry/spans",
            serde_json::json!({"attribute_filters": filters, "attributes_to_return": []}),
        ),
        (
            "/v1/telemetry/metrics/jobs",
            serde_json::json!({"start_time": 0, "label_matchers": [{"name": "queue", "operator": "=", "value": SECRET}]}),
        ),
        (
            "/v1/telemetry/metrics/jobs",
            serde_json::json!({"start_time": 0, "label_matchers": [{"name": "tenant_id", "operator": "=", "value": "acme"}]}),
        ),
    ] {
        let found = |token: &str| {
            let answer = Ask::json(path, &body).token(token).to(open.address);
            answer.json()["data"].as_array().unwrap().len()
        };
        let sees = if body.to_string().contains("tenant_id") {
            ADMIN
        } else {
            ACME
        };
        assert!(found(sees) > 0, "{path} {body}");
        assert_eq!(found(OTHER), 0, "{path} {body}");
    }
}

/// All lines of all datasets, with the folder that they are in.
fn datasets(open: &Open) -> Vec<(String, String)> {
    let folder = open.folder.path().join("datasets");
    let mut folders = vec![folder.clone()];
    let mut found = Vec::new();
    while let Some(next) = folders.pop() {
        for entry in std::fs::read_dir(next).into_iter().flatten() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else {
                let name = path.strip_prefix(&folder).unwrap().display().to_string();
                found.push((name, std::fs::read_to_string(path).unwrap()));
            }
        }
    }
    found.sort();
    found
}

#[test]
fn a_dataset_contains_only_records_of_its_tenant() {
    for row in rows_that(Does::Export) {
        let open = filled();
        for token in [ACME, OTHER] {
            assert_eq!(row.asked_by(&open, token).status, 204, "{}", row.path);
        }
        let datasets = datasets(&open);
        let [(acme, ours), (other, theirs)] = &datasets[..] else {
            panic!("{datasets:?}");
        };
        assert_eq!(
            (acme.as_str(), other.as_str()),
            ("tenants/acme/mine.jsonl", "tenants/other/mine.jsonl")
        );
        assert!(ours.contains(SECRET) && !ours.contains(THEIRS), "{ours}");
        assert!(theirs.contains(THEIRS) && !theirs.contains(SECRET), "{theirs}");
    }
}

#[test]
fn routes_about_the_server_reveal_no_stored_data() {
    let open = filled();
    for row in rows_that(Does::Public) {
        for ask in [row.ask("", ""), row.ask("", "").token("an unknown token 001")] {
            let answer = ask.to(open.address);
            assert!(
                answer.status == 200 && !reveals(&answer),
                "{}: {}",
                row.path,
                answer.text()
            );
        }
    }
    for row in rows_that(Does::ForAdministrators) {
        for token in [ACME, OTHER] {
            let answer = row.asked_by(&open, token);
            assert_eq!(
                (answer.status, answer.code()),
                (403, "forbidden".to_owned()),
                "{}",
                row.path
            );
        }
        assert_eq!(row.asked_by(&open, ADMIN).status, 200, "{}", row.path);
    }
}

#[test]
fn two_tenants_may_use_the_same_ids() {
    let open = open_with(tokens(), Limits::default());
    store(&open, ACME, SECRET, TRACE, SPAN);
    store(&open, OTHER, THEIRS, TRACE, SPAN);
    for row in rows_that(Does::Look).chain(rows_that(Does::List)) {
        for (token, other) in [(ACME, THEIRS), (OTHER, SECRET)] {
            let answer = row.asked_by(&open, token);
            assert_eq!(answer.status, 200, "{}", row.path);
            assert!(!answer.text().contains(other), "{}: {}", row.path, answer.text());
        }
    }
    for tenant in ["acme", "other"] {
        assert_eq!(open.counts_of(tenant), (2, 2, 1), "{tenant}");
    }
}

#[test]
fn lookups_by_name_find_only_records_of_the_caller() {
    let open = filled();
    for row in rows_that(Does::Named) {
        for token in [ACME, ADMIN] {
            let own = row.asked_by(&open, token);
            assert!(own.status == 200 && reveals(&own), "{}: {}", row.path, own.text());
        }
        let theirs = row.asked_by(&open, OTHER);
        assert_eq!(
            (theirs.status, &theirs.json()["total"]),
            (200, &0.into()),
            "{}",
            row.path
        );
        assert!(!reveals(&theirs), "{}: {}", row.path, theirs.text());
    }
}
