//! What the sink's thread finds in the queue: open spans, records, and the memory that stays
//! allocated.
#![expect(clippy::unwrap_used, reason = "tests fail by panicking")]

use spanscope_core::capture::{Capture, RawValue, SpanRecord};
use spanscope_core::queue::{Chunk, OverflowPolicy, Queue, QueuedRecord};
use tracing::span::{Attributes, Id};
use tracing::{Dispatch, Event, Span, Subscriber, dispatcher, info, info_span};
use tracing_subscriber::layer::{Context, Layer};
use tracing_subscriber::prelude::*;
use tracing_subscriber::registry::LookupSpan;

/// The calling threads' half of a sink.
struct Sink {
    capture: Capture,
    queue: Queue,
}

impl<S: Subscriber + for<'a> LookupSpan<'a>> Layer<S> for Sink {
    fn on_new_span(&self, attributes: &Attributes<'_>, id: &Id, context: Context<'_, S>) {
        if self.capture.on_new_span(attributes, id, &context) {
            self.queue.push_opened(id);
        }
    }

    fn on_event(&self, event: &Event<'_>, context: Context<'_, S>) {
        self.capture.on_event(event, &context, |ids, time, fields| {
            self.queue.push_event(ids, event.metadata(), time, fields);
        });
    }

    fn on_close(&self, id: Id, context: Context<'_, S>) {
        let push = |record: &SpanRecord, parent, failed, end| {
            self.queue.try_push_span(&id, record, parent, failed, end)
        };
        self.capture.on_close(&id, &context, push, || ());
    }
}

struct Program {
    queue: Queue,
    dispatch: Dispatch,
}

impl Program {
    fn new(max_bytes: usize) -> Self {
        let queue = Queue::new(max_bytes, OverflowPolicy::Drop);
        let sink = Sink {
            capture: Capture::new(1024),
            queue: queue.clone(),
        };
        Self {
            queue,
            dispatch: Dispatch::new(tracing_subscriber::registry().with(sink)),
        }
    }

    fn run<T>(&self, work: impl FnOnce() -> T) -> T {
        dispatcher::with_default(&self.dispatch, work)
    }

    fn drain(&self) -> Vec<Chunk> {
        let mut chunks = Vec::new();
        self.queue.drain(&mut chunks);
        chunks
    }

    /// Returns the open spans that are reported to the sink, and the number of records.
    fn take(&self) -> (Vec<Id>, usize) {
        let chunks = self.drain();
        let opened = chunks.iter().flat_map(Chunk::opened).cloned().collect();
        let records = chunks.iter().map(|chunk| chunk.entries().len()).sum();
        chunks.into_iter().for_each(|chunk| self.queue.recycle(chunk));
        (opened, records)
    }
}

fn ids(spans: &[&Span]) -> Vec<Id> {
    spans.iter().map(|span| span.id().unwrap()).collect()
}

#[test]
fn open_spans_are_reported_once_and_parents_before_children() {
    let program = Program::new(1 << 20);
    program.run(|| {
        let root = info_span!("root");
        let child = info_span!(parent: &root, "child");
        let leaf = info_span!(parent: &child, "leaf");
        assert_eq!(program.take(), (ids(&[&root, &child, &leaf]), 0));
        assert_eq!(program.take(), (Vec::new(), 0), "once");
        let second = info_span!(parent: &child, "second leaf");
        info!("something else");
        assert_eq!(program.take(), (ids(&[&second]), 1));
    });
}

#[test]
fn closed_spans_are_not_reported_as_open() {
    let program = Program::new(1 << 20);
    program.run(|| {
        let root = info_span!("root");
        for _ in 0..3 {
            info_span!(parent: &root, "child").in_scope(|| drop(info_span!("leaf")));
        }
        assert_eq!(program.take(), (ids(&[&root]), 6));
        let (first, second) = (info_span!("first"), info_span!("second"));
        drop(first);
        // It was no longer the newest one when it closed, so it is reported, and found to be
        // closed.
        let (opened, records) = program.take();
        assert_eq!(opened.last(), second.id().as_ref());
        assert_eq!(records, 1);
        drop((second, root));
        assert_eq!(program.take(), (Vec::new(), 2));
    });
}

#[test]
fn a_span_that_another_thread_closes_does_not_hide_the_next_one() {
    let program = Program::new(1 << 20);
    program.run(|| {
        let moved = info_span!("moved");
        let id = moved.id().unwrap();
        let dispatch = program.dispatch.clone();
        let close = move || dispatcher::with_default(&dispatch, || drop(moved));
        std::thread::spawn(close).join().unwrap();
        let next = info_span!("next");
        let (opened, records) = program.take();
        assert_eq!(opened, [id, next.id().unwrap()]);
        assert_eq!(records, 1);
    });
}

#[test]
fn the_open_span_of_an_ended_thread_is_reported() {
    let program = Program::new(1 << 20);
    let dispatch = program.dispatch.clone();
    let open = move || dispatcher::with_default(&dispatch, || info_span!("left open"));
    let span = std::thread::spawn(open).join().unwrap();
    assert_eq!(program.take(), (ids(&[&span]), 0));
}

#[test]
fn memory_of_a_burst_is_kept_for_the_next_one_and_freed_when_idle() {
    let program = Program::new(16 << 20);
    let burst = || {
        program.run(|| {
            for number in 0..20_000 {
                info!(number, "one of many");
            }
        });
        assert_eq!(program.take(), (Vec::new(), 20_000));
    };
    burst();
    let kept = program.queue.spare_bytes();
    assert!(kept > 20_000 * 64, "{kept}");
    burst();
    let after = program.queue.spare_bytes();
    assert!(
        after <= kept + kept / 8,
        "the second burst reused the memory: {kept} and {after}"
    );
    for _ in 0..32 {
        assert_eq!(program.take(), (Vec::new(), 0));
    }
    let left = program.queue.spare_bytes();
    assert!(left <= 512 * 1024, "{left}");
    assert_eq!(program.queue.bytes(), 0, "an idle queue uses no budget");
}

#[test]
fn a_full_queue_and_its_spare_chunks_stay_within_the_budget() {
    let max_bytes = 1 << 20;
    let program = Program::new(max_bytes);
    for _ in 0..3 {
        program.run(|| {
            for number in 0..50_000 {
                info!(number, "one of too many");
            }
        });
        let chunks = program.drain();
        assert!(program.queue.bytes() <= max_bytes);
        chunks.into_iter().for_each(|chunk| program.queue.recycle(chunk));
        // Memory is allocated in steps: a chunk may be an eighth larger than its paid size.
        assert!(program.queue.spare_bytes() <= max_bytes + max_bytes / 4);
    }
    let counts = program.queue.counts();
    assert!(
        counts.dropped_full > 0 && counts.dropped_full < counts.offered,
        "{counts:?}"
    );
}

#[test]
fn the_records_of_a_thread_stay_in_order_while_the_sink_drains() {
    const THREADS: u64 = 3;
    const EVENTS: u64 = 100_000;
    let program = Program::new(256 << 20);
    let mut next = [0; THREADS as usize];
    std::thread::scope(|scope| {
        for thread in 0..THREADS {
            let program = &program;
            scope.spawn(move || {
                program.run(|| (0..EVENTS).for_each(|number| info!(place = thread << 32 | number)));
            });
        }
        while next != [EVENTS; THREADS as usize] {
            for chunk in program.drain() {
                for entry in chunk.entries() {
                    let QueuedRecord::Event(event) = entry else {
                        continue;
                    };
                    let Some((_, RawValue::U64(place))) = chunk.event_fields(event).next() else {
                        panic!("an event without its place");
                    };
                    let next = &mut next[usize::try_from(place >> 32).unwrap()];
                    assert_eq!(place & 0xffff_ffff, *next, "of thread {}", place >> 32);
                    *next += 1;
                }
                program.queue.recycle(chunk);
            }
        }
    });
    assert_eq!(program.queue.counts().offered, THREADS * EVENTS);
}
