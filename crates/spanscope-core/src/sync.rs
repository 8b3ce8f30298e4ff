//! Locks that ignore poisoning.
//!
//! No user code runs under a Spanscope lock, and the data under a lock is consistent at every
//! moment, so poisoning carries no information; a second panic because of it would end a sink's
//! thread.
//!
//! ```
//! use std::sync::Mutex;
//!
//! use spanscope_core::sync::lock;
//!
//! let count = Mutex::new(1);
//! *lock(&count) += 1;
//! assert_eq!(*lock(&count), 2);
//! ```

use std::sync::{Condvar, Mutex, MutexGuard, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};
use std::time::Duration;

/// Locks a mutex, poisoned or not.
pub fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Locks for reading, poisoned or not.
pub fn read<T>(lock: &RwLock<T>) -> RwLockReadGuard<'_, T> {
    lock.read().unwrap_or_else(PoisonError::into_inner)
}

/// Locks for writing, poisoned or not.
pub fn write<T>(lock: &RwLock<T>) -> RwLockWriteGuard<'_, T> {
    lock.write().unwrap_or_else(PoisonError::into_inner)
}

/// Waits until the condition is false, poisoned or not.
pub fn wait_while<'a, T>(
    changed: &Condvar,
    guard: MutexGuard<'a, T>,
    condition: impl FnMut(&mut T) -> bool,
) -> MutexGuard<'a, T> {
    let result = changed.wait_while(guard, condition);
    result.unwrap_or_else(PoisonError::into_inner)
}

/// Waits until the condition is false or the timeout has passed, poisoned or not; the guard shows
/// which.
pub fn wait_timeout_while<'a, T>(
    changed: &Condvar,
    guard: MutexGuard<'a, T>,
    timeout: Duration,
    condition: impl FnMut(&mut T) -> bool,
) -> MutexGuard<'a, T> {
    let result = changed.wait_timeout_while(guard, timeout, condition);
    result.unwrap_or_else(PoisonError::into_inner).0
}

#[cfg(test)]
mod tests {
    use std::panic::{AssertUnwindSafe, catch_unwind};

    use super::*;

    #[test]
    fn a_poisoned_lock_is_still_locked() {
        let (mutex, lock_of_two) = (Mutex::new(1), RwLock::new(2));
        let panicked = catch_unwind(AssertUnwindSafe(|| {
            let _both = (lock(&mutex), write(&lock_of_two));
            panic!("while both are held");
        }));
        assert!(panicked.is_err() && mutex.is_poisoned() && lock_of_two.is_poisoned());
        *write(&lock_of_two) += 1;
        assert_eq!((*lock(&mutex), *read(&lock_of_two)), (1, 3));
        let guard = wait_timeout_while(&Condvar::new(), lock(&mutex), Duration::ZERO, |_| true);
        assert_eq!(*guard, 1);
        assert_eq!(*wait_while(&Condvar::new(), guard, |_| false), 1);
    }
}
