//! Two threads that run queries for whoever awaits them, whatever async runtime that is.
//!
//! A query takes milliseconds, which is too long for an executor's thread, and this crate must not demand a runtime
//! for its blocking pool. So the store owns two threads, started with the first question and ended with the store,
//! and futures that they complete. A future that is dropped before its turn is not run.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex};

use spanscope_core::sync::lock;
use spanscope_core::threads;
use spanscope_model::{StoreError, StoreFuture};

use crate::promise::promised;

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
        started += usize::from(threads::spawn("spanscope-read", move || work(&receiver)).is_ok());
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
