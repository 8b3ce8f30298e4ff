//! [`block_on`]: a store without an async runtime.

use std::future::Future;

/// Blocks this thread until the future is done, for programs that have no async runtime.
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
