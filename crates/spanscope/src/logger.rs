//! The program's logger, which captures records of the `log` crate.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use spanscope_layers::LogBridge;
use tracing::span::{Attributes, Id, Record};
use tracing::{Dispatch, Event, Metadata, Subscriber, dispatcher};

/// Installs our logger. If the program already has another one, returns a message about the records
/// that are missed.
pub(crate) fn install() -> Option<String> {
    LogBridge::init().err()?;
    if asks_subscriber() {
        return Some(
            "the key-values of records of the `log` crate are not kept, because `tracing_log::LogTracer` was set as the \
             logger before: leave it out, Spanscope sets a logger"
                .to_owned(),
        );
    }
    Some(
        "records of the `log` crate are not kept, because another logger was set before: call `spanscope::init()` \
         before that logger is set, or leave it out"
            .to_owned(),
    )
}

/// Returns whether the logger passes its records to `tracing`, as `LogTracer` does: it then
/// consults the subscriber of the thread for each.
fn asks_subscriber() -> bool {
    let asked = Arc::new(AtomicBool::new(false));
    let listens = Dispatch::new(Listens(Arc::clone(&asked)));
    dispatcher::with_default(&listens, || {
        let mut metadata = log::Metadata::builder();
        let metadata = metadata.level(log::Level::Error).target("spanscope").build();
        log::logger().enabled(&metadata)
    });
    asked.load(Ordering::Relaxed)
}

/// A subscriber that notes that it was consulted, and refuses everything.
struct Listens(Arc<AtomicBool>);

impl Subscriber for Listens {
    fn enabled(&self, _: &Metadata<'_>) -> bool {
        self.0.store(true, Ordering::Relaxed);
        false
    }

    fn new_span(&self, _: &Attributes<'_>) -> Id {
        Id::from_u64(1)
    }

    fn record(&self, _: &Id, _: &Record<'_>) {}

    fn record_follows_from(&self, _: &Id, _: &Id) {}

    fn event(&self, _: &Event<'_>) {}

    fn enter(&self, _: &Id) {}

    fn exit(&self, _: &Id) {}
}
