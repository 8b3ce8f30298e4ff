//! Reports a writer's errors on stderr: one line when a cause begins, at most one per minute while
//! it lasts, and one when it is over.
//!
//! Errors that come and go many times a second are normal (a disk that fails intermittently, a
//! reader that holds the log repeatedly), so a cause that was reported within the last minute is
//! not reported again, whether or not the error was gone in between.

use std::collections::HashMap;
use std::path::Path;
use std::time::{Duration, Instant};

use spanscope_core::queue::log_to_stderr;

use super::write_error::WriteError;

/// The minimum interval between two reports of the same cause.
const EVERY: Duration = Duration::from_secs(60);

/// A task that the writer could not do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Task {
    /// Store records.
    Write,
    /// Enforce the file's bounds, or maintain running spans.
    Keep,
}

/// An error of one kind, from its first occurrence on.
#[derive(Debug, Default)]
struct Episode {
    is_on: bool,
    /// Whether it was reported, so that its end is reported too.
    is_reported: bool,
    last_reported: HashMap<&'static str, Instant>,
}

impl Episode {
    /// Returns whether this cause should be reported now.
    fn begin(&mut self, cause: &'static str, now: Instant) -> bool {
        self.is_on = true;
        let is_due = self
            .last_reported
            .get(cause)
            .is_none_or(|last| now.duration_since(*last) >= EVERY);
        if is_due {
            self.is_reported = true;
            self.last_reported.insert(cause, now);
        }
        is_due
    }

    /// Ends the episode. Returns whether to report its end.
    fn end(&mut self) -> bool {
        self.is_on = false;
        std::mem::take(&mut self.is_reported)
    }
}

/// Reports the errors of a file.
#[derive(Debug, Default)]
pub(crate) struct Reports {
    write: Episode,
    keep: Episode,
    /// The time of the last report that the file is another one, by the cause.
    other_file: HashMap<&'static str, Instant>,
}

impl Reports {
    /// Notes the result of a task.
    pub(crate) fn note<T>(&mut self, path: &Path, task: Task, result: Result<T, &WriteError>) {
        let now = Instant::now();
        let episode = match task {
            Task::Write => &mut self.write,
            Task::Keep => &mut self.keep,
        };
        let file = path.display();
        match (result, task) {
            (Ok(_), _) if !episode.is_on => {}
            (Ok(_), Task::Write) => {
                if episode.end() {
                    log_to_stderr(format!("spanscope: {file} is written again"));
                }
            }
            (Ok(_), Task::Keep) => {
                if episode.end() {
                    log_to_stderr(format!("spanscope: {file} is kept within its bounds again"));
                }
            }
            (Err(write_error), _) if !episode.begin(write_error.cause(), now) => {}
            (Err(write_error), Task::Write) => {
                log_to_stderr(format!("spanscope: {file} can't be written now: {write_error}"));
            }
            (Err(write_error), Task::Keep) => {
                log_to_stderr(format!(
                    "spanscope: {file} can't be kept within its bounds now: {write_error}"
                ));
            }
        }
    }

    /// Reports that the clock has jumped.
    pub(crate) fn note_clock(&self, path: &Path, jump: Duration) {
        log_to_stderr(format!(
            "spanscope: the clock has jumped {} s ahead: for an hour nothing in {} is deleted by its age, unless the clock goes \
             back",
            jump.as_secs(),
            path.display()
        ));
    }

    /// Reports that the file was replaced or deleted.
    pub(crate) fn note_replaced(&mut self, path: &Path, is_there: bool) {
        self.note_other_file(
            path,
            match is_there {
                true => "was replaced by another file: records go to that one from now on",
                false => "was deleted: records go to a new file from now on",
            },
        );
    }

    /// Reports that the file was copied to a new one because its log was removed.
    pub(crate) fn note_log_removed(&mut self, path: &Path) {
        self.note_other_file(
            path,
            "has lost its log, which another program removed (-wal or -shm): all records are in a new file of the same name",
        );
    }

    fn note_other_file(&mut self, path: &Path, what: &'static str) {
        let now = Instant::now();
        let last = self.other_file.get(what);
        if last.is_some_and(|last| now.duration_since(*last) < EVERY) {
            return;
        }
        self.other_file.insert(what, now);
        log_to_stderr(format!("spanscope: {} {what}", path.display()));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cause_is_reported_at_once_then_each_minute_and_its_end_once() {
        let mut episode = Episode::default();
        let start = Instant::now();
        assert!(episode.begin("disk", start));
        assert!(!episode.begin("disk", start + Duration::from_secs(59)));
        assert!(
            episode.begin("reader", start + Duration::from_secs(59)),
            "another cause"
        );
        assert!(episode.begin("disk", start + EVERY));
        assert!(episode.end());
        assert!(!episode.end());
    }

    #[test]
    fn an_error_that_comes_and_goes_is_reported_once_a_minute() {
        let mut episode = Episode::default();
        let start = Instant::now();
        let mut lines = 0;
        for tenth in 0..1_200 {
            let now = start + Duration::from_millis(100) * tenth;
            lines += i32::from(episode.begin("disk", now));
            lines += i32::from(episode.end());
        }
        assert_eq!(lines, 4, "two minutes");
    }
}
