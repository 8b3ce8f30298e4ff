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
    answer: Option<Result<T, StoreError>>,
    waker: Option<Waker>,
    is_kept: bool,
}

impl<T> Default for Slot<T> {
    fn default() -> Self {
        Self {
            state: Mutex::new(State {
                answer: None,
                waker: None,
                is_kept: false,
            }),
        }
    }
}

/// Creates a sender of one result, and the future that receives it.
pub(crate) fn promised<T: Send>() -> (Promise<T>, Answer<T>) {
    let slot = Arc::new(Slot::default());
    (Promise(slot.clone()), Answer(slot))
}

/// The sending end. If it is dropped unused, by a panic or an end, the future gets an error.
pub(crate) struct Promise<T>(Arc<Slot<T>>);

impl<T> Promise<T> {
    /// Returns whether the future was dropped, so that the result has no receiver.
    pub(crate) fn is_abandoned(&self) -> bool {
        Arc::strong_count(&self.0) == 1
    }

    pub(crate) fn keep(&self, answer: Result<T, StoreError>) {
        let mut state = lock(&self.0.state);
        if state.is_kept {
            return;
        }
        state.is_kept = true;
        state.answer = Some(answer);
        let waker = state.waker.take();
        drop(state);
        if let Some(waker) = waker {
            waker.wake();
        }
    }
}

impl<T> Drop for Promise<T> {
    fn drop(&mut self) {
        self.keep(Err(StoreError::new(
            StoreErrorKind::Unavailable,
            "the store failed: please report it with the query",
        )));
    }
}

pub(crate) struct Answer<T>(Arc<Slot<T>>);

impl<T> Future for Answer<T> {
    type Output = Result<T, StoreError>;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let mut state = lock(&self.0.state);
        match state.answer.take() {
            Some(answer) => Poll::Ready(answer),
            None => {
                state.waker = Some(context.waker().clone());
                Poll::Pending
            }
        }
    }
}
