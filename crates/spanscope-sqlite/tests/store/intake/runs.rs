//! Agent runs in the SQLite store, in addition to the tests of every store: two connections, old
//! versions of the file, imports, query plans and limits.

use std::time::Duration;

use spanscope_model::{RunFilter, RunRange, RunStatus, TraceStore, block_on};
use spanscope_sqlite::SqliteStore;

use spanscope_store_tests::made::{failed, running};
use spanscope_store_tests::runs::{agent, chat, list, read, tasks};

use super::{Open, ago, open, records, span, store};
use crate::support::StoreFile;

/// Depending on their number, rows are found by an index or by a full scan, and open spans by a
/// list or trace by trace.
#[test]
fn a_filtered_list_is_the_matching_part_of_the_whole_list_for_every_query_plan() {
    let Open { store: db, .. } = open();
    let minutes = |number: u128| i64::try_from(number).unwrap() * 60_000;
    for number in 1..=80_u128 {
        let task = format!("t-{number}");
        let mut spans = match number % 8 {
            0 => vec![failed(agent(number, 1, 0, Some(&task)))],
            1 => vec![running(agent(number, 1, 0, Some(&task)))],
            2 => vec![agent(number, 1, 0, Some(&task)), running(chat(number, 2, 1))],
            // A child of another program's span, and a child of a span that has not arrived yet.
            3 => vec![span(number, 1, 0, "GET /ask"), agent(number, 2, 1, Some(&task))],
            4 => vec![agent(number, 2, 1, Some(&task))],
            // Two tasks in one trace, of which one runs.
            5 => vec![
                span(number, 1, 0, "evaluate"),
                agent(number, 2, 1, Some(&task)),
                running(agent(number, 3, 1, Some("other"))),
            ],
            _ => vec![agent(number, 1, 0, Some(&task))],
        };
        for span in &mut spans {
            span.start_time = ago(minutes(number));
            if span.end_time.is_some() {
                // Only the latest two runs without a root may still get one.
                let end = if number < 16 {
                    ago(10)
                } else {
                    ago(minutes(number))
                };
                span.end_time = Some(end);
            }
        }
        store(&db, records(spans));
    }
    let compare = || {
        let whole = RunFilter::default().limit(1_000);
        let whole = list(&db, whole).runs;
        let all_statuses = [
            RunStatus::Running,
            RunStatus::Completed,
            RunStatus::Failed,
            RunStatus::Abandoned,
        ];
        let mut found = 0;
        for status in all_statuses {
            for since in [None, Some(ago(minutes(6))), Some(ago(minutes(70)))] {
                let of_status: Vec<_> = whole
                    .iter()
                    .filter(|run| {
                        // Of a task in several traces the one that began last counts, which was 5
                        // minutes ago.
                        let is_in = |since| run.task_id == "other" || run.created_at >= since;
                        run.status == status && since.is_none_or(is_in)
                    })
                    .cloned()
                    .collect();
                let filter = RunFilter::default().status(status).since(since).limit(1_000);
                let page = list(&db, filter.clone());
                assert_eq!(page.total, of_status.len() as u64, "{status:?} since {since:?}");
                assert_eq!(page.runs, of_status, "{status:?} since {since:?}");
                let of_page = list(&db, filter.limit(3).offset(2));
                let expected: Vec<_> = of_status.iter().skip(2).take(3).cloned().collect();
                assert_eq!(of_page.runs, expected, "{status:?} since {since:?}");
                found += of_status.len();
            }
        }
        assert!(found > 100, "{found} were compared");
        whole
            .iter()
            .filter(|run| run.status == RunStatus::Running)
            .count()
    };
    let running_before = compare();
    // More open spans than a query lists.
    let crowd = (1..=10_001)
        .map(|id| running(span(1_000, id, 0, "waiting")))
        .collect();
    store(&db, records(crowd));
    assert_eq!(compare(), running_before);
}

#[test]
fn writes_of_another_process_wake_up_waiters() {
    let Open { store: db, folder } = open();
    let seen = block_on(db.wait_for_change(0)).unwrap();
    let seen = block_on(db.wait_for_change(seen.saturating_sub(1))).unwrap();
    let path = folder.path().join("trace_store.db");
    let reader = SqliteStore::open(&path).unwrap();
    let (sender, changes) = std::sync::mpsc::channel();
    let waiting = std::thread::spawn(move || {
        // The first check returns at once; later ones only after changes.
        let mut seen = block_on(reader.wait_for_change(0)).unwrap();
        sender.send(seen).unwrap();
        for _ in 0..3 {
            seen = block_on(reader.wait_for_change(seen)).unwrap();
            sender.send(seen).unwrap();
        }
    });
    let patience = Duration::from_secs(20);
    changes.recv_timeout(patience).unwrap();
    for number in 10..40 {
        store(&db, records(vec![agent(number, 1, 0, None)]));
        std::thread::sleep(Duration::from_millis(100)); // the pace of a typing user
        if waiting.is_finished() {
            break;
        }
    }
    waiting.join().unwrap();
    assert!(block_on(db.wait_for_change(seen)).unwrap() > seen);
}

#[test]
fn a_store_that_was_opened_for_reading_deletes_nothing() {
    let Open { store: db, folder } = open();
    store(&db, records(vec![agent(1, 1, 0, Some("t"))]));
    let reader = SqliteStore::open(folder.path().join("trace_store.db")).unwrap();
    for error in [
        block_on(reader.delete_run("t".to_owned())).unwrap_err(),
        block_on(reader.delete_runs_before(ago(0))).unwrap_err(),
    ] {
        assert!(
            error.is_unsupported() && error.to_string().contains("SqliteStore::builder"),
            "{error}"
        );
    }
    assert_eq!(list(&reader, RunFilter::default()).total, 1);
}

#[test]
fn a_file_of_version_4_gets_its_runs_from_the_first_writer() {
    let file = StoreFile::of_version_5();
    let path = file.path.clone();
    file.db
        .execute_batch("DROP TABLE _run; DROP TABLE _ended; PRAGMA user_version = 4;")
        .unwrap();
    let reader = SqliteStore::open(&path).unwrap();
    let error = block_on(reader.list_runs(RunFilter::default())).unwrap_err();
    assert!(error.to_string().contains("older version"), "{error}");
    let writer = SqliteStore::builder()
        .retention(Duration::from_secs(u32::MAX.into()))
        .open(&path)
        .unwrap();
    let page = list(&writer, RunFilter::default());
    assert_eq!((page.total, tasks(&page)), (1, vec!["t"]));
    assert_eq!(page.runs[0].status, RunStatus::Completed);
}

#[test]
fn an_import_includes_the_runs() {
    let Open { store: db, folder } = open();
    let acme = db.for_tenant(&"acme".parse().unwrap());
    store(
        &*acme,
        records(vec![failed(agent(1, 1, 0, Some("t"))), chat(1, 2, 1)]),
    );
    drop((db, acme));
    let target = folder.path().join("target.db");
    for _ in 0..2 {
        SqliteStore::import(&target, folder.path().join("trace_store.db"), |_, _| ()).unwrap();
    }
    let other = SqliteStore::open(&target).unwrap();
    let page = list(&*other.for_tenant(&"acme".parse().unwrap()), RunFilter::default());
    assert_eq!(
        (page.total, page.runs[0].status, page.runs[0].span_count),
        (1, RunStatus::Failed, 2)
    );
    assert_eq!(
        list(
            &*other.for_tenant(&"other".parse().unwrap()),
            RunFilter::default()
        )
        .total,
        0
    );
}

#[test]
fn a_run_of_a_program_that_writes_the_file_itself_has_its_roots_attributes() {
    use spanscope_layers::genai::{Agent, ToolCall};
    use tracing_subscriber::layer::SubscriberExt as _;

    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("trace_store.db");
    let (layer, guard) = spanscope_sqlite::SqliteLayer::builder()
        .tail(
            spanscope_core::tail::TailRule::new()
                .ratio(0.0)
                .slower_than(Duration::from_secs(3600)),
        )
        .open(&path)
        .unwrap();
    let db = SqliteStore::open(&path).unwrap();
    tracing::subscriber::with_default(tracing_subscriber::registry().with(layer), || {
        // A dropped trace leaves no run, even if it was listed while it was running.
        let dropped = Agent::invoke("dropped");
        guard.flush(Duration::from_secs(20)).unwrap();
        assert_eq!(list(&db, RunFilter::default()).total, 1);
        drop(dropped);

        let kept = Agent::invoke("librarian");
        guard.flush(Duration::from_secs(20)).unwrap();
        // Late fields count too.
        kept.task("t").tenant("acme").session("s-9");
        kept.in_scope(|| ToolCall::execute("calculator"));
        kept.failed("broken", &"it broke");
    });
    guard.shutdown().unwrap();
    let page = list(&db, RunFilter::default());
    assert_eq!((page.total, tasks(&page)), (1, vec!["t"]));
    let run = &page.runs[0];
    assert_eq!(
        (run.agent_id.as_str(), run.session_id.as_str(), run.status),
        ("librarian", "s-9", RunStatus::Failed)
    );
    assert_eq!(run.tenant_id, "acme");
    let raw = rusqlite::Connection::open(&path).unwrap();
    let rows = |sql: &str| raw.query_row(sql, [], |row| row.get::<_, i64>(0)).unwrap();
    assert_eq!(
        rows("SELECT COUNT(*) FROM _run WHERE trace NOT IN (SELECT id FROM _trace)"),
        0
    );
    assert_eq!(
        rows("SELECT COUNT(*) FROM _ended WHERE trace NOT IN (SELECT id FROM _trace)"),
        0
    );
}

#[test]
fn thousands_of_task_ids_make_neither_a_trace_nor_a_task_slow() {
    let Open { store: db, .. } = open();
    // One trace in which every span belongs to another task, and one task with every span in
    // another trace.
    let of_one_trace = (2..3002).map(|id| agent(1, id, 1, Some(&format!("task-{id}"))));
    store(&db, records(of_one_trace.collect()));
    for batch in 0..3 {
        let of_one_task = (0..1000).map(|number| agent(10 + batch * 1000 + number, 1, 0, Some("everywhere")));
        store(&db, records(of_one_task.collect()));
    }
    let page = list(&db, RunFilter::default());
    assert_eq!(page.total, 1000 + 1);
    let everywhere = read(&db, "everywhere", RunRange::ALL);
    assert_eq!(everywhere.traces.len(), 64, "the newest of them");
}
