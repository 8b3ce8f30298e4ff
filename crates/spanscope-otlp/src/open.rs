//! Events that wait for the end of their span.

use std::collections::HashMap;
use std::collections::hash_map::Entry;

use opentelemetry::trace::Event;
use opentelemetry::{KeyValue, Value};
use spanscope_core::capture::SpanIds;
use spanscope_model::SpanId;

/// Maximum number of kept events of all spans, and their approximate size. Beyond it, the events of
/// the spans without an event for the longest time are dropped: the end of such a span was dropped,
/// or never comes.
const MAX_ALL: usize = 100_000;
const MAX_BYTES: usize = 64 * 1024 * 1024;

/// The events of spans that have not ended.
#[derive(Debug)]
pub(crate) struct OpenSpans {
    spans: HashMap<SpanId, Held>,
    /// Maximum number of exported events of one span.
    max_a_span: usize,
    events: usize,
    bytes: usize,
    now: u64,
}

#[derive(Debug, Default)]
struct Held {
    events: Vec<Event>,
    bytes: usize,
    lost: u32,
    touched: u64,
}

impl OpenSpans {
    pub(crate) fn new(max_a_span: usize) -> Self {
        Self {
            spans: HashMap::new(),
            max_a_span,
            events: 0,
            bytes: 0,
            now: 0,
        }
    }

    pub(crate) fn add(&mut self, ids: SpanIds, event: Event) {
        self.now += 1;
        let held = self.spans.entry(ids.span_id).or_default();
        held.touched = self.now;
        if held.events.len() < self.max_a_span {
            let bytes = bytes_of(&event);
            held.bytes += bytes;
            held.events.push(event);
            self.events += 1;
            self.bytes += bytes;
        } else {
            held.lost = held.lost.saturating_add(1);
        }
        self.bound();
    }

    /// Counts events that were lost elsewhere.
    pub(crate) fn add_lost(&mut self, ids: SpanIds, count: u32) {
        if count > 0 {
            self.now += 1;
            let held = self.spans.entry(ids.span_id).or_default();
            held.touched = self.now;
            held.lost = held.lost.saturating_add(count);
            self.bound();
        }
    }

    /// Enforces the limits. A span whose end was dropped is never taken, so the number of spans is
    /// limited too.
    fn bound(&mut self) {
        if self.events > MAX_ALL || self.bytes > MAX_BYTES || self.spans.len() > MAX_ALL {
            self.drop_older_half();
        }
    }

    /// Takes the events of a span, by time, the number of dropped ones, and their size.
    pub(crate) fn take(&mut self, ids: SpanIds) -> (Vec<Event>, u32, usize) {
        match self.spans.entry(ids.span_id) {
            Entry::Occupied(held) => {
                let mut held = held.remove();
                self.events -= held.events.len();
                self.bytes -= held.bytes;
                held.events.sort_by_key(|event| event.timestamp);
                (held.events, held.lost, held.bytes)
            }
            Entry::Vacant(_) => (Vec::new(), 0, 0),
        }
    }

    /// Drops the events of the older half of the spans, and keeps their counts.
    fn drop_older_half(&mut self) {
        let mut touched: Vec<u64> = self.spans.values().map(|held| held.touched).collect();
        touched.sort_unstable();
        let oldest = touched.get(touched.len() / 2).copied().unwrap_or(0);
        for held in self.spans.values_mut().filter(|held| held.touched <= oldest) {
            self.events -= held.events.len();
            self.bytes -= std::mem::take(&mut held.bytes);
            held.lost = held
                .lost
                .saturating_add(u32::try_from(held.events.len()).unwrap_or(u32::MAX));
            held.events = Vec::new();
        }
        // A span with only a count is small, but their number needs a limit too.
        if self.spans.len() > MAX_ALL {
            self.spans.retain(|_, held| held.touched > oldest);
        }
    }
}

/// Returns the approximate size of an event.
fn bytes_of(event: &Event) -> usize {
    let attributes = event.attributes.iter().map(|attribute| {
        let value = match &attribute.value {
            Value::String(text) => text.as_str().len(),
            _ => 0,
        };
        attribute.key.as_str().len() + value + size_of::<KeyValue>()
    });
    size_of::<Event>() + event.name.len() + attributes.sum::<usize>()
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, UNIX_EPOCH};

    use spanscope_core::capture::new_ids;

    use super::*;

    fn event(seconds: u64) -> Event {
        Event::new("e", UNIX_EPOCH + Duration::from_secs(seconds), Vec::new(), 0)
    }

    #[test]
    fn the_number_of_spans_with_only_a_count_is_bounded_too() {
        let mut open = OpenSpans::new(0);
        for _ in 0..=MAX_ALL {
            open.add(new_ids(), event(1)); // finds no room
        }
        assert!(open.spans.len() <= MAX_ALL);
        let mut open = OpenSpans::new(128);
        for _ in 0..=MAX_ALL {
            open.add_lost(new_ids(), 1);
        }
        assert!(open.spans.len() <= MAX_ALL);
    }

    #[test]
    fn events_of_a_span_are_ordered_by_time_and_returned_once() {
        let mut open = OpenSpans::new(128);
        let (one, other) = (new_ids(), new_ids());
        open.add(one, event(2));
        open.add(other, event(9));
        open.add(one, event(1));
        let (events, lost, _) = open.take(one);
        let times: Vec<_> = events.iter().map(|event| event.timestamp).collect();
        assert_eq!(times, [1, 2].map(|s| UNIX_EPOCH + Duration::from_secs(s)));
        assert_eq!(
            (lost, open.take(one).0.len(), open.take(other).0.len()),
            (0, 0, 1)
        );
    }

    #[test]
    fn a_span_with_too_many_events_has_the_number_of_lost_ones() {
        let mut open = OpenSpans::new(128);
        let ids = new_ids();
        (0..200).for_each(|second| open.add(ids, event(second)));
        let (events, lost, _) = open.take(ids);
        assert_eq!((events.len(), lost), (128, 72));
    }

    #[test]
    fn spans_that_never_end_keep_a_bounded_number_of_events() {
        let mut open = OpenSpans::new(128);
        let first = new_ids();
        open.add(first, event(0));
        for second in 0..300_000 {
            open.add(new_ids(), event(second));
            assert!(open.events <= MAX_ALL && open.spans.len() <= MAX_ALL + 1);
        }
        assert!(
            open.take(first).0.is_empty(),
            "the oldest events are dropped first"
        );
    }
}
