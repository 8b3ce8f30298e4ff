//! Two threads that run queries for whoever awaits them, whatever async runtime that is.
//!
//! A query takes milliseconds, which is too long for an executor's thread, and this crate must not demand a runtime
//! for its blocking pool. So the store owns two threads, started with the first question and ended with the store,
//! and futures that they complete. A future that is dropped before its turn is not run.

use std::future::Future;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Waker};

use spanscope_core::sync::lock;
use spanscope_model::{StoreError, StoreErrorKind, StoreFuture};

/// How many queries of one store run at the same time.
const THREADS: usize = 2;

type Job = Box<dyn FnOnce() + Send>;

/// The threads of one store. Dropping it lets them finish what they do and end.
#[derive(Debug, Default)]
pub(super) struct Workers {
    queue: Mutex<Option<Sender<Job>>>,
}

impl Workers {
    /// Runs the question on one of the threads once the future is polled.
    pub(super) fn run<'a, T: Send + 'static>(
        &'a self,
        question: impl FnOnce() -> Result<T, StoreError> + Send + 'static,
    ) -> StoreFuture<'a, T> {
        Box::pin(async move {
            let (promise, answer) = promised();
            self.submit(Box::new(move || {
                if !promise.is_abandoned() {
                    promise.keep(question());
                }
            }));
            answer.await
        })
    }

    fn submit(&self, job: Job) {
        let mut queue = lock(&self.queue);
        if queue.is_none() {
            *queue = start();
        }
        let refused = match queue.as_ref() {
            Some(sender) => sender.send(job).err().map(|refused| refused.0),
            None => Some(job),
        };
        drop(queue);
        // A machine that gives no thread still answers, on this one.
        if let Some(job) = refused {
            job();
        }
    }
}

fn start() -> Option<Sender<Job>> {
    let (sender, receiver) = channel::<Job>();
    let receiver = Arc::new(Mutex::new(receiver));
    let mut started = 0;
    for _ in 0..THREADS {
        let receiver = receiver.clone();
        let thread = std::thread::Builder::new().name("spanscope-read".to_owned());
        started += usize::from(thread.spawn(move || work(&receiver)).is_ok());
    }
    (started > 0).then_some(sender)
}

fn work(receiver: &Mutex<Receiver<Job>>) {
    loop {
        let job = lock(receiver).recv();
        match job {
            // A panic completes its own future through the promise's drop, and must not end the thread.
            Ok(job) => drop(catch_unwind(AssertUnwindSafe(job))),
            Err(_) => return,
        }
    }
}

/// What was asked and what comes back.
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

/// A promise of an answer, and the future that gets it.
pub(crate) fn promised<T: Send>() -> (Promise<T>, Answer<T>) {
    let slot = Arc::new(Slot::default());
    (Promise(slot.clone()), Answer(slot))
}

/// Has to be kept. One that is dropped instead, by a panic or an end, is answered with a failure.
pub(crate) struct Promise<T>(Arc<Slot<T>>);

impl<T> Promise<T> {
    /// Whether the future is gone, so that nobody would see the answer.
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
            "the store failed inside: please report it with what was asked",
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
