//! The threads that ask the server.
//!
//! The client blocks, and the futures of a store run under any async runtime or under none, so each
//! question runs on a thread of its store. The threads are always suppressed: what the HTTP
//! client logs must not become telemetry, which would be stored and read again.

use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::sync::{Arc, Mutex};

use futures_channel::oneshot;
use spanscope_core::sync::lock;
use spanscope_core::threads;
use spanscope_model::{StoreError, StoreErrorKind, StoreFuture};

/// Questions that are asked at the same time. A server has its own limit, 100 by default.
const THREADS: usize = 8;
/// Questions that wait for a thread; further ones are refused.
const WAITING: usize = 256;

type Question = Box<dyn FnOnce() + Send>;

#[derive(Debug)]
pub(crate) struct Pool {
    questions: SyncSender<Question>,
}

impl Pool {
    /// Starts the threads; they end when the pool is dropped.
    pub(crate) fn start() -> Result<Self, StoreError> {
        let (questions, waiting) = sync_channel(WAITING);
        let waiting = Arc::new(Mutex::new(waiting));
        for number in 0..THREADS {
            let waiting = Arc::clone(&waiting);
            threads::spawn(&format!("spanscope-clickhouse-{number}"), move || run(&waiting)).map_err(
                |error| {
                    StoreError::new(
                        StoreErrorKind::Unavailable,
                        "a thread of the store can't be started",
                    )
                    .with_source(error)
                },
            )?;
        }
        Ok(Self { questions })
    }

    /// Runs a question on one of the threads.
    pub(crate) fn ask<T: Send + 'static>(
        &self,
        question: impl FnOnce() -> Result<T, StoreError> + Send + 'static,
    ) -> StoreFuture<'static, T> {
        let (give, answer) = oneshot::channel();
        let question: Question = Box::new(move || {
            // A caller that has left needs no answer.
            if !give.is_canceled() {
                let _ = give.send(question());
            }
        });
        if let Err(error) = self.questions.try_send(question) {
            let error = match error {
                TrySendError::Full(_) => StoreError::new(
                    StoreErrorKind::Overloaded,
                    "too many questions wait for ClickHouse: ask again in a second",
                ),
                TrySendError::Disconnected(_) => failed(),
            };
            return Box::pin(async { Err(error) });
        }
        Box::pin(async move { answer.await.unwrap_or_else(|_| Err(failed())) })
    }
}

fn failed() -> StoreError {
    StoreError::new(
        StoreErrorKind::Unavailable,
        "the store failed: please report it with the query",
    )
}

fn run(waiting: &Mutex<Receiver<Question>>) {
    loop {
        let next = lock(waiting).recv();
        match next {
            Ok(question) => {
                // A question that panics fails for its caller, and the thread goes on.
                let _ = std::panic::catch_unwind(std::panic::AssertUnwindSafe(question));
            }
            Err(_) => return,
        }
    }
}
