//! What a store declares as unsupported fails as unsupported, and nothing else does.

use spanscope_model::{
    Event, EventKind, LabelMatcher, LabelOperator, MetricQuery, Severity, StoreError, block_on,
};

use crate::Fixture;
use crate::made::{ago, point, records, span};

fn event() -> Event {
    Event::new(
        ago(0),
        EventKind::UnstructuredLog {
            message: "hello".to_owned(),
            severity: Severity::Info,
        },
    )
}

pub fn what_a_store_can_not_do_fails_as_unsupported<F: Fixture>() {
    if !F::is_available() {
        eprintln!("skipped: no such store can be opened here");
        return;
    }
    let fixture = F::new();
    let (store, capabilities) = fixture.open();
    assert_eq!(store.capabilities(), capabilities);
    let tenant = store.for_tenant(&"acme".parse().unwrap());
    for store in [&*store, &*tenant] {
        let check = |name: &str, can: bool, result: Result<(), StoreError>| match result {
            Ok(()) => assert!(can, "{name} did what the store says that it can't"),
            Err(error) if error.is_unsupported() => {
                assert!(!can, "{name}: {error}");
                assert!(!error.to_string().is_empty());
            }
            // Nothing is stored under these ids.
            Err(error) => assert!(can && error.is_not_found(), "{name}: {error}"),
        };
        let given = records(vec![span(77, 1, 0, "work")]);
        check(
            "store",
            capabilities.writes,
            block_on(store.store(given)).map(drop),
        );
        let measured = crate::made::points(vec![point(
            "m",
            1.into(),
            spanscope_model::Temporality::Delta,
            ago(0),
        )]);
        check(
            "store",
            capabilities.writes,
            block_on(store.store(measured)).map(drop),
        );
        check(
            "log_event",
            capabilities.writes,
            block_on(store.log_event(event(), 3600)),
        );
        let unknown = block_on(store.delete_run("no such run".to_owned()));
        check("delete_run", capabilities.deletes, unknown.map(drop));
        let old = block_on(store.delete_runs_before(ago(3_600_000)));
        check("delete_runs_before", capabilities.deletes, old.map(drop));
        let mut matched = MetricQuery::range("m", ago(1000));
        matched.matchers = vec![LabelMatcher {
            name: "l".to_owned(),
            value: "a.*".to_owned(),
            operator: LabelOperator::RegexMatch,
        }];
        check(
            "query_metrics",
            capabilities.label_regex,
            block_on(store.query_metrics(matched)).map(drop),
        );
        // Every store supports reading.
        block_on(store.list_traces(Default::default())).unwrap();
        block_on(store.latest()).unwrap();
        block_on(store.statistics()).unwrap();
    }
}
