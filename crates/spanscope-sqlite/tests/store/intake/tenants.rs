//! Tenants of programs that write the file themselves, and of imports.

use std::sync::Arc;

use spanscope_core::capture::SpanExt as _;
use spanscope_model::{LogFilter, Tenant, TraceFilter, TraceQuery, TraceStore, Value, block_on};
use spanscope_sqlite::{SqliteLayer, SqliteStore, TailRule};
use spanscope_store_tests::tenants::give_two_tenants;
use tracing_subscriber::layer::SubscriberExt as _;

use super::{Open, open, records, span, store, total};
use crate::fixture::SqliteFile;
use crate::support::{span_id, trace_id};

/// The same ids in the stores of two tenants, and one trace of only one of them.
fn two_tenants() -> (Open, Arc<dyn TraceStore>, Arc<dyn TraceStore>) {
    let open = open();
    let [acme, other] = give_two_tenants::<SqliteFile>(&open.store);
    (open, acme, other)
}

#[test]
fn a_run_belongs_to_the_tenant_that_its_root_names() {
    let open = open();
    let (layer, guard) = SqliteLayer::builder().open(open.store.path()).unwrap();
    tracing::subscriber::with_default(tracing_subscriber::registry().with(layer), || {
        tracing::info_span!("run", tenant_id = "acme").in_scope(|| {
            tracing::info_span!("step", tenant_id = "other").in_scope(|| tracing::info!("hello"));
        });
        tracing::info_span!("untenanted").in_scope(|| tracing::info!("hello"));
    });
    guard.shutdown().unwrap();
    let seen = |tenant: &str| {
        let store = open.store.for_tenant(&tenant.parse().unwrap());
        let traces = block_on(store.list_traces(TraceFilter::default())).unwrap();
        let logs = block_on(store.list_logs(LogFilter::default())).unwrap();
        (
            traces
                .into_iter()
                .map(|trace| trace.root_name)
                .collect::<Vec<_>>(),
            logs.len(),
        )
    };
    assert_eq!(seen("acme"), (vec!["run".to_owned()], 1));
    assert_eq!(seen("other"), (vec![], 0));
    assert_eq!(seen(Tenant::DEFAULT), (vec!["untenanted".to_owned()], 1));
}

#[test]
fn an_import_keeps_the_tenant_of_each_record() {
    let (open, _, _) = two_tenants();
    let target = open.folder.path().join("target.db");
    let first = SqliteStore::import(&target, open.store.path(), |_, _| ()).unwrap();
    assert_eq!(
        (first.traces, first.spans, first.events, first.points),
        (3, 5, 4, 2)
    );
    let second = SqliteStore::import(&target, open.store.path(), |_, _| ()).unwrap();
    assert_eq!((second.spans, second.events, second.points), (0, 0, 0));
    let target = SqliteStore::open(&target).unwrap();
    for (tenant, name, traces) in [
        ("acme", "of acme", 1),
        ("other", "of other", 2),
        ("default", "", 0),
    ] {
        let tenant = target.for_tenant(&tenant.parse().unwrap());
        assert_eq!(
            block_on(tenant.query_traces(TraceQuery::default()))
                .unwrap()
                .len(),
            traces
        );
        let logs = block_on(tenant.list_logs(LogFilter::default())).unwrap();
        assert!(logs.iter().all(|log| log.message == name));
        assert_eq!(logs.len(), if traces > 0 { 2 } else { 0 });
        let points = (traces > 0).then_some(Value::I64(1));
        assert_eq!(total(&*tenant, "jobs_total"), points);
    }
}

#[test]
fn two_tenants_that_send_the_same_batch_have_each_sent_it() {
    let open = open();
    for tenant in ["acme", "other"] {
        let of = open.store.for_tenant(&tenant.parse().unwrap());
        let batch = records(vec![span(1, 1, 0, "the same")]).batch(7);
        assert_eq!(store(&*of, batch.clone()).stored, 1, "{tenant}");
        assert_eq!(store(&*of, batch).known, 1, "{tenant} again");
        assert_eq!(block_on(of.list_traces(TraceFilter::default())).unwrap().len(), 1);
    }
}

#[test]
fn a_tail_rule_deletes_its_own_trace_and_not_a_senders_with_the_same_id() {
    let open = open();
    let acme = open.store.for_tenant(&"acme".parse().unwrap());
    store(&*acme, records(vec![span(7, 1, 0, "of acme")]));
    let (layer, guard) = SqliteLayer::builder()
        .tail(TailRule::new())
        .open(open.store.path())
        .unwrap();
    tracing::subscriber::with_default(tracing_subscriber::registry().with(layer), || {
        let root = tracing::info_span!("fine");
        root.set_remote_parent(trace_id(7), span_id(170)).unwrap();
        root.in_scope(|| {
            tracing::info_span!("step").in_scope(|| ());
            // Written while it is not decided.
            guard.flush(std::time::Duration::from_secs(30)).unwrap();
        });
    });
    guard.shutdown().unwrap();
    let names = open.sql("SELECT name FROM spans");
    assert_eq!(names, [["of acme"]]);
}
