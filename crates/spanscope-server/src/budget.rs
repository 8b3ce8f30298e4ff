//! [`Budget`]: memory that requests share, reserved before use.

use std::sync::Arc;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// The memory for bodies or for responses, shared by all requests.
#[derive(Debug, Clone)]
pub(crate) struct Budget(Arc<Semaphore>);

/// The bytes of one permit.
const UNIT: usize = 1024;

impl Budget {
    pub(crate) fn new(bytes: usize) -> Self {
        Self(Arc::new(Semaphore::new(
            bytes.div_ceil(UNIT).min(Semaphore::MAX_PERMITS),
        )))
    }

    /// Returns an empty share of the memory.
    pub(crate) fn share(&self) -> Share {
        Share {
            budget: self.clone(),
            taken: None,
            units: 0,
            bytes: 0,
        }
    }
}

/// One request's share of the memory, which is returned when dropped.
#[derive(Debug)]
pub(crate) struct Share {
    budget: Budget,
    taken: Option<OwnedSemaphorePermit>,
    units: usize,
    bytes: usize,
}

impl Share {
    /// Takes `bytes` more; returns `false` if they are not available.
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
