//! Tree mode: the lines of one root span together, however many traces run concurrently.
//!
//! Lines are held until their root ends. Three bounds limit that: for a slow root, for one with
//! very many lines, and for the total. When one is exceeded, the held lines are printed, and the
//! rest of that root follows below.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use spanscope_model::SpanId;

/// Maximum time that a root's lines are held: users of a server want to see progress.
pub(super) const PATIENCE: Duration = Duration::from_secs(10);
/// Maximum size of one root's lines, in bytes.
const MAX_ROOT: usize = 256 * 1024;
/// Maximum size of all held lines, in bytes.
const MAX_ALL: usize = 8 * 1024 * 1024;

#[derive(Debug)]
struct Waiting {
    text: String,
    records: u64,
    since: Instant,
}

#[derive(Debug, Default)]
pub(super) struct Trees {
    waiting: HashMap<SpanId, Waiting>,
    bytes: usize,
}

/// Methods that move lines to `out` return the number of their records.
impl Trees {
    /// Adds a record's lines, which `render` writes, to those of a root; moves lines that must not
    /// be held any longer.
    pub(super) fn add(
        &mut self,
        root: SpanId,
        now: Instant,
        out: &mut String,
        render: impl FnOnce(&mut String),
    ) -> u64 {
        let waiting = self.waiting.entry(root).or_insert_with(|| Waiting {
            text: String::new(),
            records: 0,
            since: now,
        });
        let before = waiting.text.len();
        render(&mut waiting.text);
        waiting.records += 1;
        self.bytes += waiting.text.len() - before;
        if waiting.text.len() > MAX_ROOT {
            self.finish(root, out)
        } else if self.bytes > MAX_ALL {
            self.all(out)
        } else {
            0
        }
    }

    /// Moves the lines of a root that has ended.
    pub(super) fn finish(&mut self, root: SpanId, out: &mut String) -> u64 {
        self.waiting.remove(&root).map_or(0, |done| {
            self.bytes -= done.text.len();
            out.push_str(&done.text);
            done.records
        })
    }

    /// Moves lines that were held too long, the oldest first.
    pub(super) fn overdue(&mut self, now: Instant, out: &mut String) -> u64 {
        let is_overdue = |waiting: &Waiting| now.duration_since(waiting.since) >= PATIENCE;
        let mut roots: Vec<(Instant, SpanId)> = self
            .waiting
            .iter()
            .filter(|(_, waiting)| is_overdue(waiting))
            .map(|(root, waiting)| (waiting.since, *root))
            .collect();
        roots.sort_unstable_by_key(|(since, _)| *since);
        roots.into_iter().map(|(_, root)| self.finish(root, out)).sum()
    }

    /// Moves all lines, the oldest first.
    pub(super) fn all(&mut self, out: &mut String) -> u64 {
        let mut all: Vec<Waiting> = self.waiting.drain().map(|(_, waiting)| waiting).collect();
        all.sort_by_key(|waiting| waiting.since);
        self.bytes = 0;
        let mut records = 0;
        for waiting in all {
            out.push_str(&waiting.text);
            records += waiting.records;
        }
        records
    }

    pub(super) fn is_waiting(&self) -> bool {
        !self.waiting.is_empty()
    }
}
