//! The counts of a store, summed over its processes and in files of older versions.

use spanscope_model::{Timestamp, TraceStore, block_on};
use spanscope_sqlite::{SqliteLayer, TailRule};
use tracing_subscriber::layer::SubscriberExt as _;

use crate::support::{MIDNIGHT, Row, StoreFile};

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
    guard.shutdown().unwrap();
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
