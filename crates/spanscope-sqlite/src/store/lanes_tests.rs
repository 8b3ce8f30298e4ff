//! Endless queries do not block other queries.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Waker};
use std::time::{Duration, Instant};

use spanscope_model::{StoreErrorKind, StoreFuture, TraceFilter, TraceStore as _, block_on, block_on_for};

use super::lanes::{LaneTimes, Lanes};
use super::{Failure, SqliteStore};

/// Longer than anything here takes on a busy machine.
const PATIENCE: Duration = Duration::from_secs(60);

/// Scans have no time limit.
const ENDLESS: LaneTimes = LaneTimes {
    longest_read: None,
    ..LaneTimes::SERVED
};
const SHORT: LaneTimes = LaneTimes {
    longest_read: Some(Duration::from_millis(50)),
    ..LaneTimes::SERVED
};

struct Opened {
    _folder: tempfile::TempDir,
    store: SqliteStore,
}

fn open() -> Opened {
    let folder = tempfile::tempdir().unwrap();
    let mut store = SqliteStore::builder()
        .open(folder.path().join("trace_store.db"))
        .unwrap();
    store.lanes = Arc::new(Lanes::new(ENDLESS));
    Opened {
        _folder: folder,
        store,
    }
}

fn of_tenant(store: &SqliteStore, name: &str) -> SqliteStore {
    let mut store = store.clone();
    store.context.tenant = Some(name.parse().unwrap());
    store
}

fn for_ever(db: &rusqlite::Connection) -> Result<i64, Failure> {
    let sql = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT count(*) FROM n";
    Ok(db.query_row(sql, [], |row| row.get(0))?)
}

/// Starts an endless query; counts how often it was started.
fn ask_for_ever<'a>(store: &'a SqliteStore, begun: &Arc<AtomicUsize>) -> StoreFuture<'a, i64> {
    let begun = Arc::clone(begun);
    store.ask(move |db, _| {
        begun.fetch_add(1, Ordering::SeqCst);
        for_ever(db)
    })
}

/// Starts an endless query and polls it.
fn asked_for_ever<'a>(store: &'a SqliteStore, begun: &Arc<AtomicUsize>) -> StoreFuture<'a, i64> {
    let mut future = ask_for_ever(store, begun);
    let mut context = Context::from_waker(Waker::noop());
    assert!(Pin::new(&mut future).poll(&mut context).is_pending());
    future
}

/// Starts a query that takes too long for the interactive lane, and no time in the scan lane.
fn ask_long(store: &SqliteStore) -> StoreFuture<'_, i64> {
    let begun = AtomicUsize::new(0);
    store.ask(move |db, _| match begun.fetch_add(1, Ordering::SeqCst) {
        0 => for_ever(db),
        _ => Ok(7),
    })
}

fn wait_until(what: &str, mut is_so: impl FnMut() -> bool) {
    let began = Instant::now();
    while !is_so() {
        assert!(began.elapsed() < PATIENCE, "{what}");
        std::thread::sleep(Duration::from_millis(2));
    }
}

#[test]
fn neither_lists_nor_the_check_wait_behind_scans() {
    let opened = open();
    let store = &opened.store;
    let begun = Arc::default();
    let _scans = [asked_for_ever(store, &begun), asked_for_ever(store, &begun)];
    // Each was started once in each lane: from here on they fill the scan lane.
    wait_until("both are scans", || begun.load(Ordering::SeqCst) == 4);
    for _ in 0..20 {
        let listed = block_on_for(store.list_traces(TraceFilter::default()), PATIENCE);
        assert!(listed.unwrap().unwrap().is_empty());
        block_on_for(store.check(), PATIENCE).unwrap().unwrap();
    }
    let waiting = block_on_for(ask_long(store), Duration::from_millis(200));
    assert!(waiting.is_none(), "there is no thread for a third scan");
}

#[test]
fn a_query_whose_future_is_dropped_is_stopped() {
    let opened = open();
    let store = &opened.store;
    let begun = Arc::default();
    let scans = [asked_for_ever(store, &begun), asked_for_ever(store, &begun)];
    wait_until("both are scans", || begun.load(Ordering::SeqCst) == 4);
    drop(scans);
    assert_eq!(block_on_for(ask_long(store), PATIENCE).unwrap().unwrap(), 7);
}

#[test]
fn each_tenant_has_its_share_of_the_scans() {
    let opened = open();
    let (acme, other) = (
        of_tenant(&opened.store, "acme"),
        of_tenant(&opened.store, "other"),
    );
    let begun = Arc::default();
    let _scans: Vec<_> = (0..5).map(|_| asked_for_ever(&acme, &begun)).collect();
    // All five started in the interactive lane, and one of them in the scan lane.
    wait_until("one is a scan", || begun.load(Ordering::SeqCst) == 6);
    for _ in 0..3 {
        assert_eq!(block_on_for(ask_long(&other), PATIENCE).unwrap().unwrap(), 7);
    }
    assert_eq!(begun.load(Ordering::SeqCst), 6, "the others of acme wait for it");
}

#[test]
fn more_scans_of_one_tenant_than_may_wait_are_refused() {
    let opened = open();
    let acme = of_tenant(&opened.store, "acme");
    let begun = Arc::default();
    // One runs and 32 wait.
    let _scans: Vec<_> = (0..33).map(|_| asked_for_ever(&acme, &begun)).collect();
    wait_until("one is a scan and the others wait", || {
        begun.load(Ordering::SeqCst) == 34 && opened.store.lanes.waiting_scans() == 32
    });
    let refused = block_on_for(ask_long(&acme), PATIENCE).unwrap().unwrap_err();
    assert_eq!(refused.kind(), StoreErrorKind::Overloaded);
    let other = of_tenant(&opened.store, "other");
    assert_eq!(block_on_for(ask_long(&other), PATIENCE).unwrap().unwrap(), 7);
}

#[test]
fn a_read_transaction_has_a_time_limit() {
    let mut opened = open();
    opened.store.lanes = Arc::new(Lanes::new(SHORT));
    let begun = Arc::default();
    let stopped = block_on(ask_for_ever(&opened.store, &begun)).unwrap_err();
    assert_eq!(stopped.kind(), StoreErrorKind::QueryTooLarge);
    assert!(stopped.to_string().contains("request less"), "{stopped}");
    assert_eq!(begun.load(Ordering::SeqCst), 2, "once in each lane");
    // Its connection still works.
    assert!(block_on(opened.store.list_traces(TraceFilter::default())).is_ok());
}

#[test]
fn a_query_that_panics_fails_and_its_lane_continues() {
    let opened = open();
    for _ in 0..5 {
        let failed: StoreFuture<'_, ()> = opened.store.ask(|_, _| panic!("on purpose"));
        assert_eq!(block_on(failed).unwrap_err().kind(), StoreErrorKind::Unavailable);
    }
    assert!(block_on(opened.store.list_traces(TraceFilter::default())).is_ok());
}

#[cfg(target_os = "linux")]
#[test]
fn scans_of_a_shared_store_have_a_lower_priority_than_other_queries() {
    let nice = || rustix::process::getpriority_process(None).unwrap();
    let mut opened = open();
    for (times, lower) in [(LaneTimes::SERVED, 5), (ENDLESS, 0)] {
        opened.store.lanes = Arc::new(Lanes::new(times));
        let interactive = block_on(opened.store.ask(move |_, _| Ok(nice()))).unwrap();
        assert_eq!(interactive, nice());
        let begun = AtomicUsize::new(0);
        // Stopped in the interactive lane, and started again in the scan lane.
        let scan = opened
            .store
            .ask(move |db, _| match begun.fetch_add(1, Ordering::SeqCst) {
                0 => for_ever(db),
                _ => Ok(nice().into()),
            });
        assert_eq!(block_on(scan).unwrap(), i64::from((nice() + lower).min(19)));
    }
}
