//! Duplicates, limits, and a file that is closed or copied.

use std::sync::Arc;

use spanscope_model::filter::Filter;
use spanscope_model::{
    IngestReceipt, MetricQuery, NewRecords, SourceRecords, SpanFilter, SqlStore as _, StoreErrorKind,
    Temporality, Timestamp, TraceFilter, TraceStore, Value, block_on,
};
use spanscope_sqlite::{SqliteLayer, SqliteStore};

use crate::support::{span_id, trace_id};

use super::{MS, ago, event, of, open, point, points, records, span, store, total};

#[test]
fn a_program_that_writes_the_file_itself_is_not_stored_twice() {
    let open = open();
    let (layer, guard) = SqliteLayer::builder().open(open.store.path()).unwrap();
    let name = guard.store_name().to_owned();
    drop((layer, guard));
    let mine = records(vec![span(1, 1, 0, "mine")]).origin_store(name);
    assert_eq!(store(&open.store, mine), IngestReceipt::default().known(1));
    let theirs = records(vec![span(1, 1, 0, "theirs")]).origin_store("another file".to_owned());
    assert_eq!(store(&open.store, theirs).stored, 1);
}

#[test]
fn too_large_results_are_refused_and_queries_can_be_narrowed() {
    let folder = tempfile::tempdir().unwrap();
    let small = SqliteStore::builder()
        .max_result_bytes(64 * 1024)
        .open(folder.path().join("trace_store.db"))
        .unwrap();
    let long = "x".repeat(1000);
    let spans = (1..=100)
        .map(|id| {
            let mut span = span(1, id, i64::from(id != 1), "many");
            span.attributes.set("text", long.as_str());
            span
        })
        .collect();
    store(&small, records(spans));
    let is_too_large = |result: Result<usize, spanscope_model::StoreError>| {
        result.is_err_and(|error| {
            error.kind() == StoreErrorKind::ResultTooLarge && error.to_string().contains("request less")
        })
    };
    assert!(is_too_large(
        block_on(small.trace_spans(trace_id(1))).map(|spans| spans.len())
    ));
    assert!(is_too_large(
        block_on(small.query_spans(Vec::new(), Filter::default(), Vec::new(), None)).map(|spans| spans.len())
    ));
    assert!(is_too_large(
        block_on(small.get_span_tree(span_id(1), None, None)).map(|tree| tree.len())
    ));
    let raw = (0..5000)
        .map(|number| point("jobs_total", number.into(), Temporality::Delta, ago(number)))
        .collect();
    store(&small, points(raw));
    let mut query = MetricQuery::range("jobs_total", ago(3_600_000));
    query.granularity = None;
    assert!(is_too_large(
        block_on(small.query_metrics(query)).map(|series| series.len())
    ));
    assert_eq!(
        block_on(small.query_spans(Vec::new(), Filter::default(), Vec::new(), Some(1)))
            .unwrap()
            .len(),
        1
    );
    assert_eq!(total(&small, "jobs_total"), Some(Value::I64(4999 * 5000 / 2)));
}

#[test]
fn a_full_queue_refuses_records_and_accepted_ones_are_stored() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("trace_store.db");
    let narrow = SqliteStore::builder().queue_bytes(1000).open(&path).unwrap();
    // Another program locks the file, so that nothing is written for now.
    let foreign = rusqlite::Connection::open(&path).unwrap();
    foreign.execute_batch("BEGIN IMMEDIATE").unwrap();
    let taken: Vec<_> = (1..=20)
        .map(|id| narrow.store(records(vec![span(1, id, 0, "some")])))
        .collect();
    foreign.execute_batch("COMMIT").unwrap();
    let answers: Vec<_> = taken.into_iter().map(block_on).collect();
    let stored = answers.iter().filter(|answer| answer.is_ok()).count();
    let refused = answers.iter().flat_map(|answer| answer.as_ref().err());
    assert!(
        refused
            .clone()
            .all(|error| error.kind() == StoreErrorKind::Overloaded)
    );
    assert!(stored >= 1 && refused.count() >= 1, "{stored} of 20");
    assert_eq!(block_on(narrow.trace_spans(trace_id(1))).unwrap().len(), stored);
}

#[test]
fn acknowledged_records_are_there_when_the_file_is_reopened() {
    let open = open();
    for id in 1..=50 {
        store(&open.store, records(vec![span(1, id, 0, "kept")]));
    }
    // As after a crash: the store that wrote is not closed.
    let copy = open.folder.path().join("copy.db");
    std::fs::copy(open.store.path(), &copy).unwrap();
    let wal = format!("{}-wal", open.store.path().display());
    std::fs::copy(wal, open.folder.path().join("copy.db-wal")).unwrap();
    let copy = SqliteStore::open(&copy).unwrap();
    assert_eq!(block_on(copy.trace_spans(trace_id(1))).unwrap().len(), 50);
}

#[test]
fn a_store_that_was_opened_for_reading_says_how_to_write() {
    let open = open();
    let reader = SqliteStore::open(open.store.path()).unwrap();
    let error = block_on(reader.store(records(vec![span(1, 1, 0, "no")]))).unwrap_err();
    assert!(error.is_unsupported() && error.to_string().contains("SqliteStore::builder()"));
    let capabilities = reader.capabilities();
    assert!(!capabilities.writes && !capabilities.deletes && capabilities.running_spans);
}

#[test]
fn a_trace_from_a_clock_that_is_ahead_is_found_by_its_time() {
    let open = open();
    let ahead = Timestamp::from_nanos(Timestamp::now().as_nanos() + 600_000 * MS);
    let span = span(1, 1, 0, "ahead").end_time(Timestamp::from_nanos(ahead.as_nanos() + MS));
    store(&open.store, records(vec![span.start_time(ahead)]));
    // A mark of a later moment.
    let db = rusqlite::Connection::open(open.store.path()).unwrap();
    let later = ahead.as_nanos() - 300_000 * MS;
    db.execute("INSERT INTO _mark (time, span, event) VALUES (?1, 2, 1)", [later])
        .unwrap();
    let since = SpanFilter::default().since(Timestamp::from_nanos(later + MS));
    assert_eq!(block_on(open.store.list_spans(since)).unwrap().len(), 1);
}

#[test]
fn senders_are_deleted_after_their_last_records_expire() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("trace_store.db");
    let keeper = SqliteStore::builder().open(&path).unwrap();
    let mut old = records(vec![span(1, 1, 0, "old")]);
    old.sources[0].source.service_name = "gone".to_owned();
    store(&keeper, old);
    store(
        &keeper,
        points(vec![point(
            "t_total",
            1.into(),
            Temporality::Cumulative { start: ago(5000) },
            ago(0),
        )]),
    );
    drop(keeper);
    let db = rusqlite::Connection::open(&path).unwrap();
    db.execute_batch("UPDATE _process SET seen_at = 0; UPDATE _batch SET time = 0")
        .unwrap();
    let number = |sql: &str| db.query_row(sql, [], |row| row.get::<_, i64>(0)).unwrap();
    assert_eq!(number("SELECT count(*) FROM _total"), 1);
    let keeper = SqliteStore::builder().open(&path).unwrap();
    // The upkeep runs by itself within seconds.
    let deadline = std::time::Instant::now() + std::time::Duration::from_secs(60);
    while number("SELECT count(*) FROM _process WHERE resource IS NOT NULL") > 0 {
        assert!(std::time::Instant::now() < deadline, "senders were not forgotten");
        // The pause of a poll; the deadline bounds it. The upkeep can't be observed from outside.
        std::thread::sleep(std::time::Duration::from_millis(50));
    }
    assert_eq!(number("SELECT count(*) FROM _total"), 0);
    let stats = block_on(keeper.statistics()).unwrap().account.unwrap();
    assert_eq!(
        (stats.offered, stats.stored),
        (2, 2),
        "the account keeps what they gave"
    );
    assert_eq!(block_on(keeper.trace_spans(trace_id(1))).unwrap().len(), 1);
}

/// A file of 16 MiB, 50 traces of one tenant in it, and another tenant.
fn full_of_one_tenant() -> (
    tempfile::TempDir,
    SqliteStore,
    Arc<dyn TraceStore>,
    Arc<dyn TraceStore>,
) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("trace_store.db");
    let all = SqliteStore::builder().max_bytes(16 << 20).open(path).unwrap();
    let [quiet, loud] = ["quiet", "loud"].map(|tenant| all.for_tenant(&tenant.parse().unwrap()));
    for trace in 1..=50 {
        store(&*quiet, records(vec![span(trace, 1, 0, "quiet")]));
    }
    (folder, all, quiet, loud)
}

fn traces(of: &dyn TraceStore) -> usize {
    let filter = TraceFilter::default().limit(1_000);
    block_on(of.list_traces(filter)).unwrap().len()
}

#[test]
fn a_tenant_that_fills_the_file_loses_its_own_traces() {
    let (folder, all, quiet, loud) = full_of_one_tenant();
    for batch in 0..100 {
        let spans = (0..50).map(|id| {
            let mut span = span(1_000 + batch * 50 + id, 1, 0, "loud");
            span.attributes.set("text", "x".repeat(8_000));
            span
        });
        store(&*loud, records(spans.collect()));
    }
    let bytes = std::fs::metadata(folder.path().join("trace_store.db"))
        .unwrap()
        .len();
    assert!(bytes <= 16 << 20, "{bytes}");
    assert_eq!(traces(&*quiet), 50);
    assert!(traces(&*loud) >= 500);
    drop(all);
}

#[test]
fn descriptions_of_senders_take_a_bounded_part_of_the_file() {
    let (folder, all, quiet, loud) = full_of_one_tenant();
    for number in 0..3_000 {
        let mut batch = records(vec![span(10_000 + number, 1, 0, "loud")]);
        batch.sources[0].source.resource.set("text", "x".repeat(7_000));
        batch.sources[0].source.resource.set("number", number as i64);
        assert_eq!(store(&*loud, batch).stored, 1);
    }
    let bytes = std::fs::metadata(folder.path().join("trace_store.db"))
        .unwrap()
        .len();
    assert!(bytes <= 8 << 20, "{bytes}");
    assert_eq!(
        (traces(&*quiet), traces(&*loud)),
        (50, 1_000),
        "the requested number"
    );
    drop(all);
}

/// Very many records of a tenant, by the number of a request.
type Flood = fn(u64) -> NewRecords;

/// Requests with new records in each, some 200 KB.
const FLOODS: [(&str, u64, Flood); 5] = [
    ("events outside traces", 200, |number| {
        of(SourceRecords::default().events(
            (0..50)
                .map(|of| event(None, &format!("{number} {of} {}", "x".repeat(4_000))))
                .collect(),
        ))
    }),
    ("metrics and label sets", 200, |number| {
        let made = (0..100).map(|of| {
            let name = format!("m{}_{number}_{of}", "x".repeat(900));
            let mut point = point(&name, 1.into(), Temporality::Delta, ago(0));
            point.labels = vec![("text".to_owned(), "x".repeat(1_000))];
            point
        });
        points(made.collect())
    }),
    ("streams of totals", 200, |number| {
        let mut batch = points(
            (0..2_000)
                .map(|of| {
                    let mut point = point(
                        "t_total",
                        1.into(),
                        Temporality::Cumulative { start: ago(9_000) },
                        ago(0),
                    );
                    point.labels = vec![("of".to_owned(), format!("{of}"))];
                    point
                })
                .collect(),
        );
        batch.sources[0].source.service_name = format!("service {number}");
        batch
    }),
    ("names of spans", 100, |number| {
        let spans = (0..200).map(|of| {
            let trace = 100_000 + u128::from(number * 200 + of);
            span(trace, 1, 0, &format!("{number} {of} {}", "x".repeat(900)))
        });
        records(spans.collect())
    }),
    ("requests", 20_000, |number| {
        of(SourceRecords::default().events(vec![event(None, &format!("{number}"))]))
    }),
];

#[test]
fn a_tenant_that_fills_the_file_loses_its_own_records_and_others_still_store() {
    for (what, requests, flood) in FLOODS {
        let (folder, all, quiet, loud) = full_of_one_tenant();
        let mut waiting = Vec::new();
        for number in 0..requests {
            let mut batch = flood(number);
            batch.batch = Some(u128::from(number) + 1);
            waiting.push(loud.store(batch));
            if waiting.len() == 50 {
                for stored in waiting.drain(..) {
                    block_on(stored).unwrap_or_else(|error| panic!("{what}: {error}"));
                }
            }
        }
        assert_eq!(traces(&*quiet), 50, "{what}");
        let bytes = std::fs::metadata(folder.path().join("trace_store.db"))
            .unwrap()
            .len();
        assert!(bytes <= 16 << 20, "{what}: {bytes}");
        let more = store(&*quiet, records(vec![span(100, 1, 0, "quiet")]));
        assert_eq!((more.stored, traces(&*quiet)), (1, 51), "{what}");
        drop(all);
    }
}

#[test]
fn records_that_can_not_fit_are_refused_before_they_are_acknowledged() {
    let (_folder, all, quiet, loud) = full_of_one_tenant();
    let large = |id: i64| {
        let mut span = span(1_000, id, 0, "large");
        span.attributes.set("text", "x".repeat(10_000));
        span
    };
    let error = block_on(loud.store(records((1..=1_000).map(large).collect()))).unwrap_err();
    assert_eq!(error.kind(), StoreErrorKind::Full, "{error}");
    assert!(error.to_string().contains("send less in one request"), "{error}");
    assert_eq!((traces(&*quiet), traces(&*loud)), (50, 0));
    assert_eq!(store(&*loud, records(vec![large(1)])).stored, 1);
    drop(all);
}

#[test]
fn a_full_file_without_deletable_records_refuses_until_senders_are_deleted() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("trace_store.db");
    let wide = SqliteStore::builder().open(&path).unwrap();
    for number in 0..400 {
        let mut batch = records(vec![span(10_000 + number, 1, 0, "loud")]);
        batch.sources[0].source.resource.set("text", "x".repeat(7_000));
        batch.sources[0].source.resource.set("number", number as i64);
        store(&wide, batch);
    }
    drop(wide);
    let narrow = SqliteStore::builder().max_bytes(2 << 20).open(&path).unwrap();
    let send = |trace: u128| block_on(narrow.store(records(vec![span(trace, 1, 0, "more")])));
    // The first one finds the file larger than it may be.
    let _ = send(1);
    let error = send(2).unwrap_err();
    assert_eq!(error.kind(), StoreErrorKind::Full, "{error}");
    assert!(block_on(narrow.check()).is_err(), "and it is not ready");
    let db = rusqlite::Connection::open(&path).unwrap();
    db.execute_batch("UPDATE _process SET seen_at = 0").unwrap();
    drop(db);
    // The upkeep runs by itself within seconds.
    let deadline = std::time::Instant::now() + std::time::Duration::from_secs(60);
    while send(3).is_err() {
        assert!(std::time::Instant::now() < deadline, "senders were not forgotten");
        std::thread::sleep(std::time::Duration::from_millis(50));
    }
    assert!(block_on(narrow.check()).is_ok());
}

#[test]
fn records_of_a_clock_that_was_ahead_age_from_the_time_of_storage() {
    let open = open();
    let path = open.store.path().to_path_buf();
    let ahead = ago(-30 * 86_400_000);
    let mut late = event(None, "ahead");
    late.event.timestamp = ahead;
    store(
        &open.store,
        of(SourceRecords::default()
            .events(vec![late, event(None, "now")])
            .points(vec![point("jobs_total", 1.into(), Temporality::Delta, ahead)])
            .spans(
                records(vec![span(1, 1, 0, "ahead").start_time(ahead).end_time(ahead)])
                    .sources
                    .remove(0)
                    .spans,
            )),
    );
    drop(open.store);
    // As a program leaves it whose own clock was ahead.
    let db = rusqlite::Connection::open(&path).unwrap();
    db.execute_batch(
        "UPDATE _trace SET created = start; UPDATE _event SET expires = NULL; UPDATE _point SET expires = NULL",
    )
    .unwrap();
    let again = SqliteStore::builder().open(&path).unwrap();
    let number = |sql: &str| db.query_row(sql, [], |row| row.get::<_, i64>(0)).unwrap();
    let rows = "SELECT (SELECT count(*) FROM _trace WHERE created < start) \
                + (SELECT count(*) FROM _event WHERE expires IS NOT NULL) + (SELECT count(*) FROM _point WHERE expires IS NOT NULL)";
    let deadline = std::time::Instant::now() + std::time::Duration::from_secs(60);
    while number(rows) < 3 {
        assert!(std::time::Instant::now() < deadline, "{}", number(rows));
        std::thread::sleep(std::time::Duration::from_millis(50));
    }
    assert_eq!(number("SELECT count(*) FROM _event WHERE expires IS NULL"), 1);
    drop(again);
    // A week later.
    db.execute_batch(
        "UPDATE _trace SET created = 1; UPDATE _event SET expires = 1 WHERE expires > 0; UPDATE _point SET expires = 1",
    )
    .unwrap();
    let deleted = SqliteStore::cleanup(&path, std::time::Duration::from_secs(86_400), false).unwrap();
    assert_eq!((deleted.traces, deleted.events, deleted.points), (1, 1, 1));
}

#[test]
fn traces_with_future_dates_age_from_the_time_of_storing() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("trace_store.db");
    let all = SqliteStore::builder().max_bytes(1 << 20).open(&path).unwrap();
    let of = |name: &str, from: u128, start: Option<Timestamp>| {
        let spans = (from..from + 100).map(|trace| {
            let mut span = span(trace, 1, 0, name);
            let start = start.unwrap_or_else(Timestamp::now);
            (span.start_time, span.end_time) = (start, Some(start));
            span.attributes.set("text", "x".repeat(500));
            span
        });
        records(spans.collect())
    };
    let ahead: Timestamp = "2100-01-01T00:00:00Z".parse().unwrap();
    store(&all, of("ahead", 1, Some(ahead)));
    for batch in 1..40 {
        store(&all, of("now", batch * 100 + 1, None));
    }
    let names = all
        .sql("SELECT name, count(*) FROM spans GROUP BY name", 10)
        .unwrap()
        .rows;
    assert_eq!(names.len(), 1, "{names:?}");
    assert_eq!(names[0][0], "now");
    store(&all, of("ahead", 1_000_000, Some(ahead)));
    store(
        &all,
        points(vec![point("jobs_total", 1.into(), Temporality::Delta, ahead)]),
    );
    let expires = all
        .sql("SELECT expires IS NOT NULL FROM _point", 10)
        .unwrap()
        .rows;
    assert_eq!(expires, [[1]], "a measurement has no time of storing but this");
    drop(all);
    let planned = SqliteStore::cleanup(&path, std::time::Duration::ZERO, true).unwrap();
    let deleted = SqliteStore::cleanup(&path, std::time::Duration::ZERO, false).unwrap();
    assert_eq!(planned, deleted);
    let left = SqliteStore::open(&path).unwrap();
    assert_eq!(traces(&left), 0);
}
