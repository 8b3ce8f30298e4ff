//! Recognizes events that are already stored: a span that is sent while it runs repeats the events
//! of its earlier snapshots, and an import may repeat any event.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::hash::{DefaultHasher, Hash, Hasher};

use spanscope_model::TraceId;

use super::batch::Batch;
use super::prepared::{InEvent, PreparedRecords};
use crate::file::text::without_nul;

/// Stands for the span of an event outside spans; no span has this id.
const NO_SPAN: i64 = 0;

/// The stored events of one trace.
#[derive(Debug, Default)]
pub(super) struct SeenEvents {
    /// The number of equal events, by their span or [`NO_SPAN`] and their digest.
    count: HashMap<(i64, u64), u32>,
    /// The time of the last event of each span.
    last: HashMap<i64, i64>,
}

impl SeenEvents {
    fn note(&mut self, span: i64, time: i64, digest: u64) {
        *self.count.entry((span, digest)).or_default() += 1;
        let last = self.last.entry(span).or_insert(time);
        *last = time.max(*last);
    }
}

/// The identity of an event of an import.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct EventKey {
    trace_id: Option<TraceId>,
    span: i64,
    digest: u64,
}

impl EventKey {
    fn of(event: &InEvent) -> Self {
        Self {
            trace_id: event.trace_id,
            span: event.span.unwrap_or(NO_SPAN),
            digest: digest_of(event),
        }
    }
}

fn digest(time: i64, texts: [&str; 3]) -> u64 {
    let mut hasher = DefaultHasher::new();
    (time, texts).hash(&mut hasher);
    hasher.finish()
}

fn digest_of(event: &InEvent) -> u64 {
    let texts = [&*event.callsite.name, &*event.message, &*event.attributes].map(without_nul);
    digest(event.time, texts.each_ref().map(|text| &**text))
}

impl Batch<'_> {
    /// Returns whether a later snapshot of this running span is stored: it has an event that is
    /// newer than all `events`.
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

    /// Stores the events of a span that are not stored yet, and returns their number.
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

    /// Counts the stored events that equal each event of an import, before any of these is stored.
    pub(super) fn look_for_events(
        &mut self,
        tenant: i64,
        prepared: &PreparedRecords,
    ) -> rusqlite::Result<()> {
        self.events_left.clear();
        let mut traces: HashMap<TraceId, SeenEvents> = HashMap::new();
        for event in prepared.sources.iter().flat_map(|sender| &sender.events) {
            let key = EventKey::of(event);
            if self.events_left.contains_key(&key) {
                continue;
            }
            let count = match key.trace_id {
                None => self.count_loose(tenant, event.time, key.digest)?,
                Some(trace_id) => {
                    let seen = match traces.entry(trace_id) {
                        Entry::Occupied(entry) => entry.into_mut(),
                        Entry::Vacant(entry) => entry.insert(match self.trace_row(tenant, trace_id)? {
                            Some(trace) => self.read_events(trace)?,
                            None => SeenEvents::default(),
                        }),
                    };
                    seen.count.get(&(key.span, key.digest)).copied().unwrap_or(0)
                }
            };
            self.events_left.insert(key, count);
        }
        Ok(())
    }

    /// Returns whether an event of an import was stored before it. Each stored event matches once.
    pub(super) fn was_there(&mut self, event: &InEvent) -> bool {
        match self.events_left.get_mut(&EventKey::of(event)) {
            Some(left) if *left > 0 => {
                *left -= 1;
                true
            }
            _ => false,
        }
    }

    /// Returns the number of stored events outside traces with this time and digest.
    fn count_loose(&mut self, tenant: i64, time: i64, wanted: u64) -> rusqlite::Result<u32> {
        self.rows.flush_records()?;
        let mut find = self.db.prepare_cached(
            "SELECT COALESCE(e.name, c.name, ''), e.message, COALESCE(e.attributes, '{}') FROM _event e
             LEFT JOIN _callsite c ON c.id = e.callsite
             WHERE e.trace IS NULL AND e.time = ?1
             AND COALESCE((SELECT tenant FROM _process WHERE id = e.process), 0) = ?2",
        )?;
        let mut rows = find.query([time, tenant])?;
        let mut count = 0;
        while let Some(row) = rows.next()? {
            let texts: [String; 3] = [row.get(0)?, row.get(1)?, row.get(2)?];
            count += u32::from(digest(time, texts.each_ref().map(String::as_str)) == wanted);
        }
        Ok(count)
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

    /// Returns the events of a trace, which are read once per transaction.
    fn seen_events(&mut self, trace: i64) -> rusqlite::Result<&mut SeenEvents> {
        if !self.seen_events.contains_key(&trace) {
            let seen = self.read_events(trace)?;
            self.seen_events.insert(trace, seen);
        }
        Ok(self.seen_events.entry(trace).or_default())
    }

    fn read_events(&mut self, trace: i64) -> rusqlite::Result<SeenEvents> {
        self.rows.flush_records()?;
        let mut seen = SeenEvents::default();
        let mut find = self.db.prepare_cached(
            "SELECT e.span_id, e.time, COALESCE(e.name, c.name, ''), e.message, COALESCE(e.attributes, '{}')
             FROM _event e LEFT JOIN _callsite c ON c.id = e.callsite WHERE e.trace = ?1",
        )?;
        let mut rows = find.query([trace])?;
        while let Some(row) = rows.next()? {
            let span: Option<i64> = row.get(0)?;
            let time = row.get(1)?;
            let texts: [String; 3] = [row.get(2)?, row.get(3)?, row.get(4)?];
            let texts = texts.each_ref().map(String::as_str);
            seen.note(span.unwrap_or(NO_SPAN), time, digest(time, texts));
        }
        Ok(seen)
    }
}
