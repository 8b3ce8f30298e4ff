//! What a writer reports of its trouble on stderr: one line a cause at once, then one a minute while
//! it lasts, and one when it is over.
//!
//! Trouble that comes and goes many times a second is the rule (a disk that fails now and then, a
//! reader that parks again and again), so a cause that was reported within the last minute is not
//! reported again, whether the trouble was over in between or not.

use std::collections::HashMap;
use std::path::Path;
use std::time::{Duration, Instant};

use spanscope_core::queue::log_to_stderr;

use super::trouble::Trouble;

/// The same cause is reported at most this often.
const EVERY: Duration = Duration::from_secs(60);

/// What the writer could not do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Task {
    /// Store records.
    Write,
    /// Keep the file within its bounds, or look after running spans.
    Keep,
}

/// Trouble of one kind.
#[derive(Debug, Default)]
struct Episode {
    is_on: bool,
    /// It was reported, so its end is reported too.
    is_reported: bool,
    last_reported: HashMap<&'static str, Instant>,
}

impl Episode {
    /// Whether this cause is to be reported now.
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

    /// Whether the end of trouble is to be reported.
    fn end(&mut self) -> bool {
        self.is_on = false;
        std::mem::take(&mut self.is_reported)
    }
}

/// The one place where trouble with a file is reported.
#[derive(Debug, Default)]
pub(crate) struct Reports {
    write: Episode,
    keep: Episode,
    replaced: Option<Instant>,
}

impl Reports {
    /// Notes how a task went.
    pub(crate) fn note<T>(&mut self, path: &Path, task: Task, result: Result<T, &Trouble>) {
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
            (Err(trouble), _) if !episode.begin(trouble.cause(), now) => {}
            (Err(trouble), Task::Write) => {
                log_to_stderr(format!("spanscope: {file} can't be written now: {trouble}"));
            }
            (Err(trouble), Task::Keep) => {
                log_to_stderr(format!(
                    "spanscope: {file} can't be kept within its bounds now: {trouble}"
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

    /// Reports that the file is another one than before.
    pub(crate) fn note_replaced(&mut self, path: &Path, is_there: bool) {
        let now = Instant::now();
        if self.replaced.is_some_and(|last| now.duration_since(last) < EVERY) {
            return;
        }
        self.replaced = Some(now);
        let what = match is_there {
            true => "was replaced by another file: records go to that one from now on",
            false => "was deleted: records go to a new file from now on",
        };
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
    fn trouble_that_comes_and_goes_is_reported_once_a_minute() {
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
