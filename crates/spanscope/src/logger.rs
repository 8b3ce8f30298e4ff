//! The program's logger, by which records of the `log` crate come in.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use spanscope_layers::LogBridge;
use tracing::span::{Attributes, Id, Record};
use tracing::{Dispatch, Event, Metadata, Subscriber, dispatcher};

/// Makes ours the logger. Where the program has another one already, returns what that one keeps from us.
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

/// Whether the logger hands its records to `tracing`, as `LogTracer` does: then it asks the subscriber of the thread
/// about each.
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

/// A subscriber that notes that it was asked, and takes nothing.
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
