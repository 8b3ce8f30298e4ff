//! A one-shot channel: a sender of one result, and the future that receives it, for any async
//! runtime.

use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Waker};

use spanscope_core::sync::lock;
use spanscope_model::{StoreError, StoreErrorKind};

/// The shared state of both ends.
#[derive(Debug)]
struct Slot<T> {
    state: Mutex<State<T>>,
}

#[derive(Debug)]
struct State<T> {
    result: Option<Result<T, StoreError>>,
    waker: Option<Waker>,
    is_sent: bool,
}

impl<T> Default for Slot<T> {
    fn default() -> Self {
        Self {
            state: Mutex::new(State {
                result: None,
                waker: None,
                is_sent: false,
            }),
        }
    }
}

pub(crate) fn oneshot<T: Send>() -> (ResultSender<T>, ResultReceiver<T>) {
    let slot = Arc::new(Slot::default());
    (ResultSender(slot.clone()), ResultReceiver(slot))
}

/// The sending end. If it is dropped unused, as in a panic, the receiver gets an error.
pub(crate) struct ResultSender<T>(Arc<Slot<T>>);

impl<T> ResultSender<T> {
    /// Returns whether the future was dropped, so that the result has no receiver.
    pub(crate) fn is_abandoned(&self) -> bool {
        Arc::strong_count(&self.0) == 1
    }

    /// Sends the result; only the first one counts.
    pub(crate) fn send(&self, result: Result<T, StoreError>) {
        let mut state = lock(&self.0.state);
        if state.is_sent {
            return;
        }
        state.is_sent = true;
        state.result = Some(result);
        let waker = state.waker.take();
        drop(state);
        if let Some(waker) = waker {
            waker.wake();
        }
    }
}

impl<T> Drop for ResultSender<T> {
    fn drop(&mut self) {
        self.send(Err(StoreError::new(
            StoreErrorKind::Unavailable,
            "the store failed: please report it with the query",
        )));
    }
}

/// The receiving end: a future of the result.
pub(crate) struct ResultReceiver<T>(Arc<Slot<T>>);

impl<T> Future for ResultReceiver<T> {
    type Output = Result<T, StoreError>;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let mut state = lock(&self.0.state);
        match state.result.take() {
            Some(result) => Poll::Ready(result),
            None => {
                state.waker = Some(context.waker().clone());
                Poll::Pending
            }
        }
    }
}
