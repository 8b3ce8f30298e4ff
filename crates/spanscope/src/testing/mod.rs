//! Support for tests of programs that use Spanscope: a store for each test, and queries of its
//! records.
//!
//! Each [`TestStore`] has its own subscriber and store, which it deletes at the end, so concurrent
//! tests in one process see nothing of each other:
//!
//! ```
//! use spanscope::genai::{ModelCall, Usage};
//! use spanscope::testing::TestStore;
//!
//! fn answer(question: &str) -> &'static str {
//!     let call = ModelCall::chat("local", "llama-3");
//!     call.in_scope(|| tracing::info!("asked: {question}"));
//!     call.usage(Usage::new(12, 5));
//!     "42"
//! }
//!
//! let store = TestStore::new();
//! assert_eq!(store.record(|| answer("6 * 7?")), "42");
//!
//! let call = store.spans().named("chat llama-3").one();
//! assert_eq!(call.attributes.get("gen_ai.usage.output_tokens"), Some(&5_i64.into()));
//! store.events().in_span(&call).with_message("6 * 7?").one();
//! store.spans().failed().none();
//! let tokens = store.measurements().named("total_tokens").one();
//! assert_eq!(tokens.value, 17_i64.into());
//! ```
//!
//! Records on other threads, and in tasks that a runtime moves between threads, need the subscriber
//! there too, from [`TestStore::dispatch`]:
//!
//! ```
//! use spanscope::testing::TestStore;
//! use tracing::instrument::WithSubscriber as _;
//!
//! async fn work() {
//!     tracing::info_span!("work").in_scope(|| ());
//! }
//!
//! # fn block_on<F: Future>(future: F) -> F::Output {
//! #     let mut context = std::task::Context::from_waker(std::task::Waker::noop());
//! #     match std::pin::pin!(future).poll(&mut context) {
//! #         std::task::Poll::Ready(output) => output,
//! #         std::task::Poll::Pending => panic!("nothing here waits"),
//! #     }
//! # }
//! let store = TestStore::new();
//! block_on(work().with_subscriber(store.dispatch().clone())); // or tokio::spawn(...)
//! let dispatch = store.dispatch().clone();
//! std::thread::spawn(move || tracing::dispatcher::with_default(&dispatch, || tracing::info!("elsewhere")))
//!     .join()
//!     .unwrap();
//! store.spans().named("work").one();
//! store.events().with_message("elsewhere").one();
//! ```
//!
//! A test of a whole program, in a separate process, can make it the subscriber of all threads:
//! `tracing::dispatcher::set_global_default(store.dispatch().clone())`.
//!
//! Every check here panics if it fails, as assertions do, and prints the recorded spans and events.

mod folder;
mod found;
mod store;

pub use found::{Events, Found, Measured, Measurements, Spans};
pub use store::TestStore;
