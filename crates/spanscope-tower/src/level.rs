//! The number of running requests, changed by many threads and reported to sinks so that the last
//! reported number is right.
//!
//! Changing a counter and reporting its value are two steps. If each thread did both, the thread
//! that ended the last request could report its 0 before another one reports the 1 that was true
//! just before, and the gauge would stay at 1 for good. A lock around both steps would be held
//! while sinks run. So one thread at a time reports: a thread that changes the number meanwhile
//! only leaves a note, and the reporter continues until no note is left. Values that were true for
//! less time than a sink takes are skipped; the last one never is.

use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};

/// A number that increases and decreases.
#[derive(Debug, Default)]
pub(crate) struct InFlightGauge {
    value: AtomicI64,
    /// The number of changes since the present reporter began; 0 while there is none.
    notes: AtomicU64,
}

impl InFlightGauge {
    /// Changes the number and ensures that it is reported.
    pub(crate) fn change(&self, by: i64, mut report: impl FnMut(i64)) {
        self.value.fetch_add(by, Ordering::Relaxed);
        // The note publishes the change above to its reader.
        if self.notes.fetch_add(1, Ordering::AcqRel) != 0 {
            return;
        }
        let mut role = ReporterRole {
            notes: &self.notes,
            is_held: true,
        };
        loop {
            let seen = self.notes.load(Ordering::Acquire);
            report(self.value.load(Ordering::Relaxed));
            let given_back = self
                .notes
                .compare_exchange(seen, 0, Ordering::AcqRel, Ordering::Acquire);
            if given_back.is_ok() {
                role.is_held = false;
                return;
            }
        }
    }
}

/// The reporter's role. Dropping it gives the role back, also if a sink panics against its
/// contract.
struct ReporterRole<'a> {
    notes: &'a AtomicU64,
    is_held: bool,
}

impl Drop for ReporterRole<'_> {
    fn drop(&mut self) {
        if self.is_held {
            self.notes.store(0, Ordering::Release);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::panic::{AssertUnwindSafe, catch_unwind};
    use std::sync::{Barrier, Mutex};

    use super::*;

    #[test]
    fn the_last_reported_number_is_right_in_any_interleaving_of_threads() {
        for _ in 0..200 {
            let gauge = InFlightGauge::default();
            let reported = Mutex::new(Vec::new());
            let report = |value| {
                // Time for another thread to report something newer first.
                std::thread::yield_now();
                let Ok(mut reported) = reported.lock() else { return };
                reported.push(value);
            };
            std::thread::scope(|scope| {
                for _ in 0..4 {
                    scope.spawn(|| {
                        for _ in 0..50 {
                            gauge.change(1, report);
                            gauge.change(-1, report);
                        }
                    });
                }
            });
            let reported = reported.into_inner().unwrap_or_default();
            assert_eq!(reported.last(), Some(&0));
            assert!(reported.iter().all(|value| (0..=4).contains(value)));
        }
    }

    #[test]
    fn changes_during_a_report_are_reported_by_the_same_thread() {
        let gauge = InFlightGauge::default();
        gauge.change(2, |_| ());
        let reported = Mutex::new(Vec::new());
        let push = |value| {
            if let Ok(mut reported) = reported.lock() {
                reported.push(value);
            }
        };
        let step = Barrier::new(2);
        std::thread::scope(|scope| {
            scope.spawn(|| {
                gauge.change(-1, |value| {
                    if value == 1 {
                        step.wait(); // The 1 is counted and not reported yet.
                        step.wait(); // The other one is done.
                    }
                    push(value);
                });
            });
            step.wait();
            gauge.change(-1, push);
            step.wait();
        });
        assert_eq!(reported.into_inner().unwrap_or_default(), [1, 0]);
    }

    #[test]
    fn a_sink_that_panics_does_not_silence_the_gauge() {
        let gauge = InFlightGauge::default();
        let panicked = catch_unwind(AssertUnwindSafe(|| gauge.change(1, |_| panic!("a bad sink"))));
        assert!(panicked.is_err());
        let reported = Mutex::new(Vec::new());
        gauge.change(-1, |value| {
            if let Ok(mut reported) = reported.lock() {
                reported.push(value);
            }
        });
        assert_eq!(reported.into_inner().unwrap_or_default(), [0]);
    }

    #[test]
    fn a_change_within_a_sink_is_reported_after_it() {
        let gauge = InFlightGauge::default();
        let reported = Mutex::new(Vec::new());
        gauge.change(1, |value| {
            if let Ok(mut reported) = reported.lock() {
                reported.push(value);
            }
            if value == 1 {
                gauge.change(1, |_| unreachable!("the outer call reports"));
            }
        });
        assert_eq!(reported.into_inner().unwrap_or_default(), [1, 2]);
    }
}
