//! Events of spans that are sent while they run: each snapshot brings those of the one before again.

use std::collections::HashMap;
use std::hash::{DefaultHasher, Hash, Hasher};

use spanscope_model::TraceId;

use super::batch::Batch;
use super::prepared::InEvent;
use crate::file::text::without_nul;

/// The events of one trace that are stored in spans.
#[derive(Debug, Default)]
pub(super) struct SeenEvents {
    /// How often each one is stored, by its span and its digest.
    count: HashMap<(i64, u64), u32>,
    /// When the last one of a span happened.
    last: HashMap<i64, i64>,
}

impl SeenEvents {
    fn note(&mut self, span: i64, time: i64, digest: u64) {
        *self.count.entry((span, digest)).or_default() += 1;
        let last = self.last.entry(span).or_insert(time);
        *last = time.max(*last);
    }
}

fn digest(time: i64, texts: [&str; 3]) -> u64 {
    let mut hasher = DefaultHasher::new();
    (time, texts).hash(&mut hasher);
    hasher.finish()
}

fn digest_of(event: &InEvent) -> u64 {
    let texts = [&*event.place.name, &*event.message, &*event.attributes].map(without_nul);
    digest(event.time, texts.each_ref().map(|text| &**text))
}

impl Batch<'_> {
    /// Whether a span that runs was sent later than this snapshot of it: an event is stored that happened after
    /// all of the snapshot's.
    pub(super) fn is_outdated(
        &mut self,
        trace: i64,
        span: i64,
        events: &[InEvent],
    ) -> rusqlite::Result<bool> {
        let Some(last) = events.iter().map(|event| event.time).max() else {
            return Ok(false);
        };
        let seen = self.seen_events(trace)?;
        Ok(seen.last.get(&span).is_some_and(|stored| *stored > last))
    }

    /// Stores those of a span's events that are not there, and returns how many they are.
    pub(super) fn add_missing_events(
        &mut self,
        process: i64,
        trace_id: TraceId,
        trace: i64,
        span: i64,
        events: &[InEvent],
    ) -> rusqlite::Result<u64> {
        if events.is_empty() {
            return Ok(0);
        }
        let seen = self.seen_events(trace)?;
        let mut left: HashMap<u64, u32> = HashMap::new();
        for event in events {
            let digest = digest_of(event);
            left.insert(digest, seen.count.get(&(span, digest)).copied().unwrap_or(0));
        }
        let mut added = 0;
        for event in events {
            match left.get_mut(&digest_of(event)) {
                Some(count) if *count > 0 => *count -= 1,
                _ => {
                    self.add_span_event(process, trace_id, trace, span, event)?;
                    added += 1;
                }
            }
        }
        Ok(added)
    }

    /// Stores an event of a span.
    pub(super) fn add_span_event(
        &mut self,
        process: i64,
        trace_id: TraceId,
        trace: i64,
        span: i64,
        event: &InEvent,
    ) -> rusqlite::Result<()> {
        self.add_event(process, Some(trace_id), Some(span), event)?;
        if let Some(seen) = self.seen_events.get_mut(&trace) {
            seen.note(span, event.time, digest_of(event));
        }
        Ok(())
    }

    /// The events of a trace, which are read once in a transaction.
    fn seen_events(&mut self, trace: i64) -> rusqlite::Result<&mut SeenEvents> {
        if !self.seen_events.contains_key(&trace) {
            self.rows.flush_records()?;
            let mut seen = SeenEvents::default();
            let mut find = self.db.prepare_cached(
                "SELECT span_id, time, COALESCE(name, ''), message, COALESCE(attributes, '{}') FROM _event
                 WHERE trace = ?1 AND span_id IS NOT NULL",
            )?;
            let mut rows = find.query([trace])?;
            while let Some(row) = rows.next()? {
                let time = row.get(1)?;
                let texts: [String; 3] = [row.get(2)?, row.get(3)?, row.get(4)?];
                let texts = texts.each_ref().map(String::as_str);
                seen.note(row.get(0)?, time, digest(time, texts));
            }
            drop(rows);
            drop(find);
            self.seen_events.insert(trace, seen);
        }
        Ok(self.seen_events.entry(trace).or_default())
    }
}
