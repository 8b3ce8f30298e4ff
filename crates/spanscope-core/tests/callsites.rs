//! The data that is computed once for each callsite.
#![expect(clippy::unwrap_used, reason = "tests fail by panicking")]

use std::sync::{Arc, Mutex};

use spanscope_core::capture::{CallsiteCache, CallsiteCategory, CategoryLookup, severity_of};
use tracing::{Event, Metadata, Subscriber};
use tracing_subscriber::layer::{Context, Layer};
use tracing_subscriber::prelude::*;

#[derive(Debug)]
struct NoCategories;

impl CategoryLookup for NoCategories {
    fn category_of_place<'a>(
        &'a self,
        _: &'a str,
        _: Option<&'a str>,
        _: Option<&str>,
    ) -> CallsiteCategory<'a> {
        CallsiteCategory {
            category: "",
            is_app: false,
        }
    }
}

#[derive(Clone, Default)]
struct Callsites(Arc<Mutex<Vec<&'static Metadata<'static>>>>);

impl<S: Subscriber> Layer<S> for Callsites {
    fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
        self.0.lock().unwrap().push(event.metadata());
    }
}

/// The five callsites of `tracing-log` have equal identifiers with different hashes: a table keyed
/// by them confuses them in about every tenth process, so almost certainly in one of the test's 500
/// tables.
#[test]
fn the_callsites_of_the_log_crate_are_kept_apart() {
    let seen = Callsites::default();
    let subscriber = tracing_subscriber::registry().with(seen.clone());
    tracing::subscriber::with_default(subscriber, || {
        for level in log::Level::iter() {
            let mut record = log::Record::builder();
            let record = record.args(format_args!("")).level(level).build();
            tracing_log::format_trace(&record).unwrap();
        }
    });
    let seen = seen.0.lock().unwrap();
    assert_eq!(seen.len(), 5);
    for _ in 0..500 {
        let mut cache = CallsiteCache::new(Arc::new(NoCategories));
        for metadata in seen.iter() {
            let severity = cache.get_or_insert_with(metadata, |info| info.severity);
            assert_eq!(*severity, severity_of(*metadata.level()));
        }
    }
}
