use rusqlite::params;
use spanscope_model::{Timestamp, TraceStore, block_on};
use spanscope_sqlite::{SqliteLayer, TailRule};
use tracing_subscriber::layer::SubscriberExt as _;

use crate::support::{MIDNIGHT, MILLISECOND, Row, SECOND, StoreFile};

/// Numbers that are the same in each run.
struct Numbers(u64);

impl Numbers {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }
}

#[test]
#[expect(clippy::cast_precision_loss, reason = "percentiles are floats")]
fn percentiles_are_within_one_percent_of_the_true_ones() {
    let file = StoreFile::new();
    let names = ["few", "many", "wide"];
    for (id, name) in (1_i64..).zip(names) {
        file.add(&Row {
            id,
            name,
            duration: Some(0),
            ..Row::default()
        });
    }
    let mut numbers = Numbers(42);
    let mut durations = vec![vec![0_i64]; names.len()];
    let mut insert = file
        .db
        .prepare(
            "INSERT INTO _span (callsite, name, start, duration, status, trace, process, kind, span_id, attributes) \
             VALUES ((SELECT id FROM _callsite WHERE name = ?1), ?2, 5, ?3, ?4, 1, 1, 0, ?5, '{}')",
        )
        .unwrap();
    file.db.execute_batch("BEGIN").unwrap();
    for id in 10..30_000_i64 {
        let name = match id % 100 {
            0 => 0,
            odd if odd % 2 == 1 => 1,
            _ => 2,
        };
        let spread = if name == 2 { numbers.next() % 40 } else { 24 };
        let duration = i64::try_from(numbers.next() % (2 << spread)).unwrap();
        durations[name].push(duration);
        // Some rows say their name themselves and still belong to the same statistics.
        let own = (id % 3 == 0).then_some(names[name]);
        let place = if own.is_some() { "few" } else { names[name] };
        insert
            .execute(params![place, own, duration, id % 5 == 0, id])
            .unwrap();
    }
    file.db.execute_batch("COMMIT").unwrap();
    let stats = block_on(file.store().name_statistics(None)).unwrap();
    assert_eq!(stats.len(), names.len());
    assert!(stats.is_sorted_by(|a, b| a.total_ms >= b.total_ms));
    for (name, mut durations) in names.into_iter().zip(durations) {
        durations.sort_unstable();
        let found = stats.iter().find(|stats| stats.name == name).unwrap();
        assert_eq!(found.count, durations.len() as u64);
        assert!(found.errors > 0);
        let total = durations.iter().sum::<i64>() as f64 / 1e6;
        assert!((found.total_ms - total).abs() <= total * 1e-9);
        for (percent, got) in [(50, found.p50_ms), (95, found.p95_ms), (99, found.p99_ms)] {
            let rank = (durations.len() * percent).div_ceil(100);
            let truth = durations[rank - 1] as f64 / 1e6;
            assert!(
                (got - truth).abs() <= truth * 0.01,
                "{name} p{percent}: {got} for {truth}"
            );
        }
    }
}

#[test]
fn running_and_older_spans_do_not_count() {
    let file = StoreFile::new();
    file.add(&Row {
        id: 1,
        ..Row::default()
    });
    file.add(&Row {
        id: 2,
        start: MIDNIGHT + SECOND,
        duration: Some(7 * MILLISECOND),
        ..Row::default()
    });
    file.add(&Row {
        id: 3,
        start: MIDNIGHT + SECOND,
        duration: None,
        ..Row::default()
    });
    let since = Some(Timestamp::from_nanos(MIDNIGHT + 1));
    let stats = block_on(file.store().name_statistics(since)).unwrap();
    assert_eq!((stats.len(), stats[0].count), (1, 1));
    assert!((stats[0].p50_ms - 7.0).abs() < 1e-9);
    let empty = StoreFile::new();
    assert_eq!(block_on(empty.store().name_statistics(None)).unwrap(), []);
}

#[test]
fn the_account_of_all_processes_is_summed_up() {
    let file = StoreFile::new();
    file.add(&Row {
        id: 1,
        is_error: true,
        ..Row::default()
    });
    file.add(&Row {
        id: 2,
        ..Row::default()
    });
    file.add_with(
        &Row {
            id: 3,
            trace: 2,
            start: MIDNIGHT + 5,
            ..Row::default()
        },
        2,
    );
    file.add_event(None, None, 1, "loose", 9);
    file.db
        .execute_batch(
            "UPDATE _process SET offered = 14, stored = 2, dropped_queue_full = 5, dropped_write_failed = 2, \
             dropped_shutdown = 1, dropped_sampled = 4",
        )
        .unwrap();
    let stats = block_on(file.store().statistics()).unwrap();
    assert_eq!((stats.traces, stats.spans, stats.events), (2, 3, 1));
    let account = stats.account.unwrap();
    assert_eq!((account.offered, account.stored), (28, 4));
    assert_eq!((account.dropped.lost(), account.dropped.sampled), (16, 8));
    assert_eq!(account.offered, account.stored + account.dropped.total());
    assert_eq!(stats.oldest, Some(Timestamp::from_nanos(MIDNIGHT)));
    assert_eq!(stats.newest, Some(Timestamp::from_nanos(MIDNIGHT + 5)));
    let services: Vec<_> = stats
        .services
        .iter()
        .map(|s| (s.service_name.as_str(), s.spans, s.errors))
        .collect();
    assert_eq!(services, [("shop", 2, 1), ("bank", 1, 0)]);
    let file_stats = stats.file.unwrap();
    assert!(file_stats.bytes > 0 && file_stats.wal_bytes > 0);
    assert_eq!(stats.bytes, file_stats.bytes + file_stats.wal_bytes);
    let empty = StoreFile::new();
    let empty = block_on(empty.store().statistics()).unwrap();
    assert_eq!((empty.spans, empty.oldest), (0, None));
}

#[test]
fn a_file_of_version_2_is_read_as_it_is_and_the_first_writer_makes_it_count_what_a_rule_left_out() {
    let file = StoreFile::of_version_3();
    file.add(&Row::default());
    file.db
        .execute_batch(
            "ALTER TABLE _process DROP COLUMN dropped_sampled; DROP TABLE _given; PRAGMA user_version = 2; \
             UPDATE _process SET offered = 5, stored = 4, dropped_shutdown = 1",
        )
        .unwrap();
    let store = file.store();
    let before = block_on(store.statistics()).unwrap();
    assert_eq!(
        (
            before.account.unwrap().dropped.total(),
            before.account.unwrap().dropped.sampled
        ),
        (2, 0)
    );
    assert_eq!(file.number("PRAGMA user_version"), 2, "reading changes nothing");
    let (layer, guard) = SqliteLayer::builder()
        .tail(TailRule::new())
        .open(&file.path)
        .unwrap();
    tracing::subscriber::with_default(tracing_subscriber::registry().with(layer), || {
        drop(tracing::info_span!("unremarkable"));
    });
    assert!(guard.shutdown());
    assert_eq!(file.number("PRAGMA user_version"), 6);
    let after = block_on(store.statistics()).unwrap();
    let account = after.account.unwrap();
    assert_eq!((after.spans, account.offered, account.stored), (1, 11, 8));
    assert_eq!((account.dropped.lost(), account.dropped.sampled), (2, 1));
    let fresh = StoreFile::new();
    let columns = "SELECT group_concat(name) FROM pragma_table_info('_process')";
    let columns = |file: &StoreFile| -> String { file.db.query_row(columns, [], |row| row.get(0)).unwrap() };
    assert_eq!(
        columns(&file),
        columns(&fresh),
        "an old file becomes what a new one is"
    );
}
