//! [`block_on`] and [`block_on_for`]: using a store without an async runtime.

use std::future::Future;
use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll, Wake, Waker};
use std::thread::{self, Thread};
use std::time::{Duration, Instant};

/// Blocks this thread until the future completes, for programs that have no async runtime.
///
/// The futures of a [`TraceStore`](crate::TraceStore) need no particular runtime, so this is all
/// that a program without one needs. Within a runtime, await them instead: a blocked thread runs no
/// other task.
///
/// ```
/// use spanscope_model::{StoreError, TraceQuery, TraceStore, block_on};
///
/// fn newest(store: &dyn TraceStore) -> Result<(), StoreError> {
///     for trace in block_on(store.query_traces(TraceQuery::default()))? {
///         println!("{}", trace.trace_id);
///     }
///     Ok(())
/// }
/// ```
pub fn block_on<F: Future>(future: F) -> F::Output {
    pollster::block_on(future)
}

/// Blocks this thread until the future completes, for at most `at_most`. Returns `None` on timeout;
/// the future is then dropped.
///
/// ```
/// use std::time::Duration;
/// use spanscope_model::block_on_for;
///
/// assert_eq!(block_on_for(async { 7 }, Duration::ZERO), Some(7));
/// assert_eq!(block_on_for(std::future::pending::<()>(), Duration::from_millis(1)), None);
/// ```
pub fn block_on_for<F: Future>(future: F, at_most: Duration) -> Option<F::Output> {
    let until = Instant::now().checked_add(at_most);
    let waker = Waker::from(Arc::new(Unpark(thread::current())));
    let mut context = Context::from_waker(&waker);
    let mut future = pin!(future);
    loop {
        if let Poll::Ready(output) = future.as_mut().poll(&mut context) {
            return Some(output);
        }
        match until.map(|until| until.saturating_duration_since(Instant::now())) {
            Some(Duration::ZERO) => return None,
            Some(left) => thread::park_timeout(left),
            // Later than any time that the clock can represent.
            None => thread::park(),
        }
    }
}

struct Unpark(Thread);

impl Wake for Unpark {
    fn wake(self: Arc<Self>) {
        self.0.unpark();
    }
}
