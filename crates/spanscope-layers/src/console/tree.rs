//! Tree mode: the lines of one root span together, however many traces run side by side.
//!
//! Lines wait until their root ends. Three bounds keep that from hurting: a root that takes long, one with very many
//! lines, and all that waits together; what waits is printed then, and the rest of that root goes on below it.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use spanscope_model::SpanId;

/// A root's lines wait at most so long: who watches a server wants to see that something happens.
pub(super) const PATIENCE: Duration = Duration::from_secs(10);
/// One root's lines, in bytes.
const MAX_ROOT: usize = 256 * 1024;
/// All lines that wait, in bytes.
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

/// What moves lines to `out` answers how many records these are.
impl Trees {
    /// Adds a record's lines, that `render` writes, to those of a root; moves lines where they may not wait longer.
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

    /// The root has ended: its lines go out.
    pub(super) fn finish(&mut self, root: SpanId, out: &mut String) -> u64 {
        self.waiting.remove(&root).map_or(0, |done| {
            self.bytes -= done.text.len();
            out.push_str(&done.text);
            done.records
        })
    }

    /// Lines that have waited too long go out, the oldest first.
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

    /// Everything goes out, the oldest first.
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
