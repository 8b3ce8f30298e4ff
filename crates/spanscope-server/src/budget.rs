//! [`Budget`]: memory that requests share, counted before it is used.

use std::sync::Arc;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// Memory for bodies or for answers, shared by all requests.
#[derive(Debug, Clone)]
pub(crate) struct Budget(Arc<Semaphore>);

/// What one permit stands for.
const UNIT: usize = 1024;

impl Budget {
    pub(crate) fn new(bytes: usize) -> Self {
        Self(Arc::new(Semaphore::new(
            bytes.div_ceil(UNIT).min(Semaphore::MAX_PERMITS),
        )))
    }

    /// Memory that nothing was taken of yet.
    pub(crate) fn share(&self) -> Share {
        Share {
            budget: self.clone(),
            taken: None,
            units: 0,
            bytes: 0,
        }
    }
}

/// One request's part of the memory; given back when it is dropped.
#[derive(Debug)]
pub(crate) struct Share {
    budget: Budget,
    taken: Option<OwnedSemaphorePermit>,
    units: usize,
    bytes: usize,
}

impl Share {
    /// Takes so many more bytes; `false` where there are none left.
    pub(crate) fn take(&mut self, bytes: usize) -> bool {
        self.bytes += bytes;
        let Some(more) = self
            .bytes
            .div_ceil(UNIT)
            .checked_sub(self.units)
            .filter(|more| *more > 0)
        else {
            return true;
        };
        let permit = u32::try_from(more)
            .ok()
            .and_then(|more| Arc::clone(&self.budget.0).try_acquire_many_owned(more).ok());
        let Some(permit) = permit else { return false };
        self.units += more;
        match &mut self.taken {
            Some(taken) => taken.merge(permit),
            none => *none = Some(permit),
        }
        true
    }
}
