//! A user's tests with `spanscope::testing`: in parallel, on threads and in tasks, and failing.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Barrier;

use spanscope::genai::{ModelCall, Usage};
use spanscope::model::Severity;
use spanscope::testing::TestStore;
use spanscope::{Categories, CategoryFilter, Levels};
use tracing::instrument::WithSubscriber as _;

/// The number of tests that run in parallel.
const TESTS: u64 = 8;

pub(crate) fn run_all() {
    let begin = Barrier::new(TESTS as usize);
    std::thread::scope(|scope| {
        for number in 0..TESTS {
            let begin = &begin;
            scope.spawn(move || {
                begin.wait();
                one_of_many(number);
            });
        }
    });
    in_tasks();
    with_the_levels_of_the_program();
    failures();
    println!("all passed");
}

/// The same names as in the parallel tests, with other values.
fn one_of_many(number: u64) {
    let store = TestStore::new();
    let _recording = store.set_default();
    for step in 0..number + 1 {
        let call = ModelCall::chat("local", "small");
        call.in_scope(|| tracing::warn!(step, "of test {number}"));
        call.usage(Usage::new(number, 1));
    }
    let expected = usize::try_from(number).unwrap() + 1;
    store.spans().named("chat small").exactly(expected);
    let last = store.events().with("step", number).one();
    assert_eq!(last.message, format!("of test {number}"));
    store.events().at_least(Severity::Warn).exactly(expected);
    let tokens = store
        .measurements()
        .named("prompt_tokens")
        .with("model_id", "small");
    for measured in tokens.exactly(expected) {
        assert_eq!(
            (measured.value, measured.unit.as_str()),
            (number.cast_signed().into(), "tokens")
        );
    }
    // The next query finds what is recorded after this one.
    let open = tracing::info_span!("still open");
    let found = store.spans().named("still open").one();
    assert_eq!(found.end_time, None);
    open.in_scope(|| drop(tracing::info_span!("inside")));
    drop(open);
    let found = store.spans().named("still open").roots().one();
    assert!(found.end_time.is_some());
    store.spans().children_of(&found).one();
}

fn in_tasks() {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .build()
        .unwrap();
    let store = TestStore::new();
    runtime.block_on(async {
        let work = async |number: u64| {
            tokio::task::yield_now().await;
            tracing::info_span!("work", number).in_scope(|| tracing::info!("done"));
        };
        let tasks =
            (0..20).map(|number| tokio::spawn(work(number).with_subscriber(store.dispatch().clone())));
        for task in tasks.collect::<Vec<_>>() {
            task.await.unwrap();
        }
    });
    store.spans().named("work").exactly(20);
    store.events().with_message("done").exactly(20);
}

fn with_the_levels_of_the_program() {
    let filter = CategoryFilter::new(Categories::of_caller(), Levels::default());
    let store = TestStore::with_filter(filter);
    store.record(|| {
        tracing::debug!("hidden");
        tracing::info!("shown");
    });
    assert_eq!(store.events().one().message, "shown");
}

/// The message of a failed expectation lists the records.
fn failures() {
    let store = TestStore::new();
    store.record(|| {
        tracing::info_span!("outer").in_scope(|| {
            tracing::info_span!("inner").in_scope(|| tracing::error!("refused"));
        });
    });
    std::panic::set_hook(Box::new(|_| ()));
    let message = |ask: &dyn Fn()| -> String {
        let panic = catch_unwind(AssertUnwindSafe(ask)).unwrap_err();
        *panic.downcast().unwrap()
    };
    let none = message(&|| drop(store.spans().named("chat").one()));
    let many = message(&|| drop(store.spans().one()));
    let some = message(&|| store.events().none());
    let few = message(&|| drop(store.spans().failed().exactly(2)));
    let nothing = message(&|| drop(store.measurements().named("total_tokens").one()));
    let _ = std::panic::take_hook();
    let recorded = "recorded was:\n  outer\n  inner, in outer, failed";
    assert_eq!(
        none,
        format!("spans named \"chat\": one was expected, there are 0; {recorded}")
    );
    assert_eq!(many, format!("spans: one was expected, there are 2; {recorded}"));
    assert_eq!(
        some,
        "events: expected none, there are 1; recorded was:\n  error: refused"
    );
    assert_eq!(
        few,
        format!("spans that failed: 2 were expected, there are 1; {recorded}")
    );
    assert_eq!(
        nothing,
        "measurements named \"total_tokens\": one was expected, there are 0; recorded was: nothing"
    );
}
