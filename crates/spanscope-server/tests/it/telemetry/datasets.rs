//! Datasets: their contents, complete or absent exports, and their size limits.

use std::collections::BTreeSet;
use std::fs;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};
use spanscope_model::{SpanId, TraceStore, block_on};
use spanscope_server::{AuthMode, Datasets, Limits, Server};
use spanscope_sqlite::SqliteStore;
use spanscope_store_tests::made::{records, span, with};
use spanscope_tests::wait_for;

use crate::running::{ACME, ADMIN, OTHER, Running, tokens};
use crate::wire::{Answer, Ask};

const EXPORT: &str = "/v1/telemetry/spans/export";

/// A store in a folder, and servers of it with datasets in the same folder.
struct Exported {
    folder: tempfile::TempDir,
    store: Arc<SqliteStore>,
}

impl Exported {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let store = SqliteStore::builder()
            .open(folder.path().join("trace_store.db"))
            .unwrap();
        Self {
            folder,
            store: Arc::new(store),
        }
    }

    fn datasets(&self) -> Datasets {
        Datasets::in_folder(self.folder.path().join("sets"))
    }

    fn serve(&self, auth: AuthMode, limits: Limits, datasets: Datasets) -> Running {
        let store = Arc::clone(&self.store);
        Running::in_thread(move || {
            let server = Server::builder(store).auth(auth).limits(limits);
            server.datasets(datasets).build()
        })
    }

    fn file(&self, name: &str) -> std::path::PathBuf {
        self.folder.path().join("sets").join(name)
    }
}

fn export(address: SocketAddr, token: &str, id: &str, attributes: &[&str]) -> Answer {
    let body = json!({"attribute_filters": [], "attributes_to_save": attributes, "dataset_id": id});
    Ask::json(EXPORT, &body).token(token).to(address)
}

/// The rows of a dataset, each of which has to be JSON.
fn rows(file: &Path) -> Vec<Value> {
    let text = fs::read_to_string(file).unwrap_or_default();
    let rows = text.lines().map(|line| serde_json::from_str(line).unwrap());
    rows.collect()
}

#[test]
fn datasets_are_appended_line_by_line() {
    let exported = Exported::new();
    let mut first = with(span(1, 1, 0, "work"), &[("input", "a"), ("name", "own")]);
    first.attributes.set("x", 1);
    let second = with(span(1, 2, 1, "work"), &[("input", "b\n")]);
    block_on(exported.store.store(records(vec![first, second]))).unwrap();
    let server = exported.serve(AuthMode::Local, Limits::default(), exported.datasets());
    let save = |keys: &[&str], id: &str| export(server.address, "", id, keys).status;
    let longest = "x".repeat(128);
    assert_eq!(save(&["input"], "evals-1"), 204);
    assert_eq!(save(&["input", "name"], "evals-1"), 204);
    assert_eq!((save(&[], "all"), save(&[], &longest)), (204, 204));
    let evals = rows(&exported.file("evals-1.jsonl"));
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
    assert_eq!(rows(&exported.file("all.jsonl"))[0]["x"], 1);
    assert_eq!(rows(&exported.file(&format!("{longest}.jsonl"))).len(), 2);
    // Without a row there is no dataset.
    assert_eq!(save(&["missing"], "none"), 204);
    assert!(!exported.file("none.jsonl").exists());
    // A partial row of a killed program is not joined with the next one.
    let torn = exported.file("torn.jsonl");
    fs::write(&torn, "{\"trace_id\":").unwrap();
    assert_eq!(save(&["input"], "torn"), 204);
    let text = fs::read_to_string(&torn).unwrap();
    assert_eq!(text.lines().count(), 3);
    assert!(text.starts_with("{\"trace_id\":\n{\"trace_id\":\""), "{text}");
}

#[cfg(unix)]
#[test]
fn a_link_in_the_dataset_folder_is_not_followed() {
    let exported = Exported::new();
    block_on(exported.store.store(records(vec![span(1, 1, 0, "work")]))).unwrap();
    let server = exported.serve(AuthMode::Local, Limits::default(), exported.datasets());
    fs::create_dir(exported.folder.path().join("sets")).unwrap();
    let outside = exported.folder.path().join("outside");
    std::os::unix::fs::symlink(&outside, exported.file("link.jsonl")).unwrap();
    let answer = export(server.address, "", "link", &[]);
    assert_eq!((answer.status, answer.code().as_str()), (400, "invalid_input"));
    assert!(!outside.exists());
}

#[test]
fn a_server_without_a_folder_refuses_exports() {
    let exported = Exported::new();
    let store = Arc::clone(&exported.store);
    let server = Running::in_thread(move || Server::builder(store).build());
    let answer = export(server.address, "", "d", &[]);
    assert_eq!((answer.status, answer.code().as_str()), (501, "unsupported"));
    assert!(
        answer.message().contains("no folder for datasets"),
        "{}",
        answer.message()
    );
}

#[test]
fn an_export_that_timed_out_leaves_no_row_and_is_stored_once_when_it_is_sent_again() {
    const TRACES: u128 = 40;
    const SPANS: i64 = 500;
    let exported = Exported::new();
    for trace in 1..=TRACES {
        let spans = (1..=SPANS).map(|id| with(span(trace, id, 0, "work"), &[("input", "something")]));
        block_on(exported.store.store(records(spans.collect()))).unwrap();
    }
    let short = Limits::default().request_time(Duration::from_millis(40));
    let hasty = exported.serve(AuthMode::Local, short, exported.datasets());
    let patient = exported.serve(AuthMode::Local, Limits::default(), exported.datasets());
    let answer = export(hasty.address, "", "d", &[]);
    assert_eq!((answer.status, answer.code().as_str()), (503, "timed_out"));
    let answer = wait_for("the first export to have ended", || {
        let answer = export(patient.address, "", "d", &[]);
        (answer.status != 429).then_some(answer)
    });
    assert_eq!(answer.status, 204);
    let rows = rows(&exported.file("d.jsonl"));
    let different: BTreeSet<String> = rows
        .iter()
        .map(|row| format!("{} {}", row["trace_id"], row["span_id"]))
        .collect();
    assert_eq!((rows.len(), different.len()), (20_000, 20_000));
}

#[test]
fn concurrent_exports_into_one_dataset_are_each_whole() {
    let exported = Exported::new();
    let spans = (1..=300).map(|id| with(span(1, id, 0, "work"), &[("input", "something")]));
    block_on(exported.store.store(records(spans.collect()))).unwrap();
    let server = exported.serve(AuthMode::Local, Limits::default(), exported.datasets());
    std::thread::scope(|scope| {
        for _ in 0..6 {
            scope.spawn(|| assert_eq!(export(server.address, "", "d", &[]).status, 204));
        }
    });
    let rows = rows(&exported.file("d.jsonl"));
    let of_one = |id: i64| {
        let id = SpanId::from_bytes(id.to_be_bytes()).unwrap().to_string();
        rows.iter().filter(|row| row["span_id"] == *id).count()
    };
    assert_eq!((rows.len(), of_one(1), of_one(300)), (1_800, 6, 6));
}

#[test]
fn datasets_have_a_cap_for_each_tenant_and_one_in_total() {
    let exported = Exported::new();
    let store = &exported.store;
    let spans = || {
        let spans = (1..=50).map(|id| with(span(1, id, 0, "work"), &[("input", "something")]));
        records(spans.collect())
    };
    for tenant in ["acme", "other"] {
        block_on(store.for_tenant(&tenant.parse().unwrap()).store(spans())).unwrap();
    }
    let datasets = exported.datasets().tenant_bytes(64 << 10).max_bytes(160 << 10);
    let server = exported.serve(tokens(), Limits::default(), datasets);
    // Many small requests, a dataset each.
    let fill = |token: &str| {
        (0..100)
            .map(|number| (number, export(server.address, token, &format!("d{number}"), &[])))
            .find(|(_, answer)| answer.status != 204)
            .expect("no cap")
    };
    let check = |(number, answer): (u32, Answer), whose: &str| {
        assert_eq!(
            (answer.status, answer.code().as_str()),
            (507, "datasets_full"),
            "{}",
            answer.text()
        );
        assert!(
            number > 0 && answer.message().contains(whose),
            "{}",
            answer.message()
        );
        assert_eq!(
            answer.header("retry-after"),
            None,
            "sending it again does not help"
        );
        number
    };
    let own = check(fill(ACME), "of this tenant");
    assert_eq!(
        check(fill(OTHER), "of this tenant"),
        own,
        "no tenant takes another's share"
    );
    check(fill(ADMIN), "of this server");
    // Refused exports left nothing.
    let files = fs::read_dir(exported.file("tenants/acme")).unwrap();
    let lengths: Vec<usize> = files.map(|file| rows(&file.unwrap().path()).len()).collect();
    assert_eq!(lengths, vec![50; usize::try_from(own).unwrap()]);
    // Removing a dataset makes room.
    fs::remove_file(exported.file("tenants/acme/d0.jsonl")).unwrap();
    assert_eq!(export(server.address, ACME, "again", &[]).status, 204);
}
