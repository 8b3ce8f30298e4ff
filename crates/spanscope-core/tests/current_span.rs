//! The span of an event or a new span, as a sink sees it, compared with what the registry itself
//! reports.
#![expect(clippy::unwrap_used, reason = "tests fail by panicking")]

use std::collections::HashMap;
use std::sync::mpsc;
use std::sync::{Arc, Mutex};

use spanscope_core::capture::{Capture, FieldReader, RawValue, SpanIds, SpanRecord};
use spanscope_core::{SetParentError, SpanExt as _, suppress};
use spanscope_model::{SpanId, TraceId};
use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id};
use tracing::{Dispatch, Event, Span, Subscriber, dispatcher, info, info_span};
use tracing_subscriber::filter::filter_fn;
use tracing_subscriber::layer::{Context, Layer};
use tracing_subscriber::prelude::*;
use tracing_subscriber::registry::LookupSpan;

/// The spans and events that a sink saw, by the numbers that the test assigns.
#[derive(Debug, Default)]
struct Seen {
    events: HashMap<u64, Option<SpanIds>>,
    spans: HashMap<u64, (SpanIds, Option<SpanId>)>,
}

impl Seen {
    fn number_of(&self, span: SpanId) -> u64 {
        let mut known = self.spans.iter();
        *known.find(|(_, (ids, _))| ids.span_id == span).unwrap().0
    }

    /// Returns the number of the span in which an event happened.
    fn span_of(&self, event: u64) -> Option<u64> {
        self.events[&event].map(|ids| self.number_of(ids.span_id))
    }

    fn parent_of(&self, span: u64) -> Option<u64> {
        self.spans[&span].1.map(|parent| self.number_of(parent))
    }
}

/// A minimal sink.
struct Sink {
    capture: Capture,
    seen: Arc<Mutex<Seen>>,
}

impl Sink {
    fn new() -> (Self, Arc<Mutex<Seen>>) {
        let seen = Arc::default();
        let sink = Self {
            capture: Capture::new(1024),
            seen: Arc::clone(&seen),
        };
        (sink, seen)
    }
}

/// The number is the first field of every span and event here.
fn number_in(fields: &[u8]) -> u64 {
    let first = FieldReader::new(fields).next();
    match first {
        Some((_, RawValue::U64(number))) => number,
        other => panic!("{other:?}"),
    }
}

impl<S: Subscriber + for<'a> LookupSpan<'a>> Layer<S> for Sink {
    fn on_register_dispatch(&self, dispatch: &Dispatch) {
        self.capture.on_register_dispatch(dispatch);
    }

    fn on_new_span(&self, attributes: &Attributes<'_>, id: &Id, context: Context<'_, S>) {
        self.capture.on_new_span(attributes, id, &context);
    }

    fn on_enter(&self, id: &Id, _: Context<'_, S>) {
        self.capture.on_enter(id);
    }

    fn on_exit(&self, id: &Id, context: Context<'_, S>) {
        self.capture.on_exit(id, &context);
    }

    fn on_event(&self, event: &Event<'_>, context: Context<'_, S>) {
        self.capture.on_event(event, &context, |ids, _, fields| {
            let mut seen = self.seen.lock().unwrap();
            seen.events.insert(number_in(fields), ids);
        });
    }

    fn on_close(&self, id: Id, context: Context<'_, S>) {
        let take = |record: &SpanRecord, parent, _, _| {
            let mut seen = self.seen.lock().unwrap();
            let number = number_in(record.fields());
            seen.spans.insert(number, (record.ids(), parent));
            true
        };
        self.capture.on_close(&id, &context, take, || {});
    }
}

/// The registry's own report, through the same kind of context.
#[derive(Clone, Default)]
struct Reference {
    events: Arc<Mutex<HashMap<u64, Option<u64>>>>,
    spans: Arc<Mutex<HashMap<u64, Option<u64>>>>,
}

#[derive(Default)]
struct Number(u64);

impl Visit for Number {
    fn record_u64(&mut self, _: &Field, value: u64) {
        self.0 = value;
    }

    fn record_debug(&mut self, _: &Field, _: &dyn std::fmt::Debug) {}
}

impl<S: Subscriber + for<'a> LookupSpan<'a>> Layer<S> for Reference {
    fn on_new_span(&self, attributes: &Attributes<'_>, id: &Id, context: Context<'_, S>) {
        let mut number = Number::default();
        attributes.record(&mut number);
        let span = context.span(id).unwrap();
        let parent = span
            .parent()
            .map(|parent| parent.extensions().get::<Number>().unwrap().0);
        self.spans.lock().unwrap().insert(number.0, parent);
        span.extensions_mut().replace(number);
    }

    fn on_event(&self, event: &Event<'_>, context: Context<'_, S>) {
        let mut number = Number::default();
        event.record(&mut number);
        let span = context
            .event_span(event)
            .map(|span| span.extensions().get::<Number>().unwrap().0);
        self.events.lock().unwrap().insert(number.0, span);
    }
}

fn only_sink() -> (Dispatch, Arc<Mutex<Seen>>) {
    let (sink, seen) = Sink::new();
    (Dispatch::new(tracing_subscriber::registry().with(sink)), seen)
}

fn enter(span: &Span) {
    span.with_subscriber(|(id, dispatch)| dispatch.enter(id));
}

fn exit(span: &Span) {
    span.with_subscriber(|(id, dispatch)| dispatch.exit(id));
}

fn span(number: u64) -> Span {
    info_span!("span", number)
}

fn event(number: u64) {
    info!(number);
}

#[test]
fn two_subscribers_that_use_the_same_numbers_on_one_thread_are_kept_apart() {
    let ((first, seen_first), (second, seen_second)) = (only_sink(), only_sink());
    let within = |dispatch: &Dispatch, work: &mut dyn FnMut()| dispatcher::with_default(dispatch, work);
    let (mut a, mut b) = (Span::none(), Span::none());
    within(&first, &mut || a = span(1));
    within(&second, &mut || b = span(2));
    assert_eq!(a.id(), b.id(), "the test needs equal span numbers");
    within(&first, &mut || a.in_scope(|| event(11)));
    within(&second, &mut || {
        let _inside = b.enter();
        event(21);
        within(&first, &mut || {
            event(12); // in no span of the first
            let _inside = a.enter();
            event(13);
            drop(span(3));
            within(&second, &mut || {
                event(22);
                drop(span(4));
            });
        });
    });
    within(&first, &mut || drop(std::mem::replace(&mut a, Span::none())));
    within(&second, &mut || drop(std::mem::replace(&mut b, Span::none())));
    let (first, second) = (seen_first.lock().unwrap(), seen_second.lock().unwrap());
    assert_eq!(
        [11, 12, 13].map(|event| first.span_of(event)),
        [Some(1), None, Some(1)]
    );
    assert_eq!([21, 22].map(|event| second.span_of(event)), [Some(2), Some(2)]);
    assert_eq!((first.parent_of(3), second.parent_of(4)), (Some(1), Some(2)));
}

#[test]
fn spans_entered_twice_and_exited_out_of_order_match_the_registry() {
    let (dispatch, seen) = only_sink();
    dispatcher::with_default(&dispatch, || {
        let (a, b) = (span(1), span(2));
        enter(&a);
        enter(&b);
        enter(&a);
        event(1); // the second entry of a span that is entered already does not count
        exit(&b);
        event(2);
        exit(&a);
        event(3);
        exit(&a);
        event(4);
        enter(&a);
        enter(&b);
        exit(&a);
        event(5);
        exit(&b);
        event(6);
    });
    let seen = seen.lock().unwrap();
    assert_eq!(
        [1, 2, 3, 4, 5, 6].map(|event| seen.span_of(event)),
        [Some(2), Some(1), Some(1), None, Some(2), None]
    );
}

#[test]
fn a_span_closed_by_another_thread_while_entered_gets_no_more_events() {
    let (dispatch, seen) = only_sink();
    dispatcher::with_default(&dispatch, || {
        let outer = span(1).entered();
        let inner = span(2);
        let id = inner.id().unwrap();
        enter(&inner);
        event(1);
        let other = dispatch.clone();
        // Under the dispatcher, without which the registry does not release the parent.
        let close = move || dispatcher::with_default(&other, || drop(inner));
        std::thread::spawn(close).join().unwrap();
        event(2);
        drop(span(3));
        dispatch.exit(&id);
        event(3);
        drop(outer);
        event(4);
    });
    let seen = seen.lock().unwrap();
    assert_eq!(
        [1, 2, 3, 4].map(|event| seen.span_of(event)),
        [Some(2), None, Some(1), None]
    );
    assert_eq!(seen.parent_of(3), None);
}

#[test]
fn a_span_that_moves_between_threads_keeps_its_events() {
    let (dispatch, seen) = only_sink();
    let moving = dispatcher::with_default(&dispatch, || span(1));
    for number in 0..4 {
        let (dispatch, moving) = (dispatch.clone(), moving.clone());
        let work = move || {
            dispatcher::with_default(&dispatch, || {
                let here = span(10 + number).entered();
                moving.in_scope(|| event(number));
                drop(moving);
                drop(here);
            });
        };
        std::thread::spawn(work).join().unwrap();
    }
    drop(moving);
    let seen = seen.lock().unwrap();
    assert!((0..4).all(|event| seen.span_of(event) == Some(1)), "{seen:?}");
}

fn remote() -> (TraceId, SpanId) {
    (
        "0af7651916cd43dd8448eb211c80319c".parse().unwrap(),
        "b7ad6b7169203331".parse().unwrap(),
    )
}

#[test]
fn a_remote_parent_can_be_set_on_an_entered_span_until_its_ids_are_used() {
    let (dispatch, seen) = only_sink();
    let (trace, parent) = remote();
    dispatcher::with_default(&dispatch, || {
        let _root = span(1).entered();
        event(1);
        for (number, is_exited_first) in [(2, false), (3, true)] {
            let child = span(number);
            enter(&child);
            if is_exited_first {
                exit(&child);
            }
            assert_eq!(
                child.set_remote_parent(trace, parent),
                Ok(()),
                "nothing has used the ids"
            );
            if is_exited_first {
                enter(&child);
            }
            event(number);
            drop(span(number + 10));
            assert_eq!(
                child.set_remote_parent(trace, parent),
                Err(SetParentError::IdsUsed),
                "an event has used the ids"
            );
            exit(&child);
        }
        let used = span(4).entered();
        drop(span(14));
        assert_eq!(
            used.set_remote_parent(trace, parent),
            Err(SetParentError::IdsUsed),
            "a child has used the ids"
        );
        assert_eq!(
            Span::none().set_remote_parent(trace, parent),
            Err(SetParentError::NotRecorded)
        );
    });
    let seen = seen.lock().unwrap();
    for number in [2, 3] {
        let (ids, its_parent) = seen.spans[&number];
        assert_eq!((ids.trace_id, its_parent), (trace, Some(parent)));
        assert_eq!(seen.events[&number], Some(ids));
        assert_eq!(seen.spans[&(number + 10)].0.trace_id, trace);
    }
    let traces = [1, 4, 14].map(|number| seen.spans[&number].0.trace_id);
    assert!(
        traces.iter().all(|of| *of == traces[0] && *of != trace),
        "{seen:?}"
    );
}

#[test]
fn a_remote_parent_set_by_another_thread_reaches_the_thread_inside_the_span() {
    let (dispatch, seen) = only_sink();
    let (trace, parent) = remote();
    dispatcher::with_default(&dispatch, || {
        let inside = span(1).entered();
        let handle = Span::clone(&inside);
        let was_set = std::thread::spawn(move || handle.set_remote_parent(trace, parent));
        assert_eq!(was_set.join().unwrap(), Ok(()));
        event(1);
    });
    let seen = seen.lock().unwrap();
    assert_eq!(seen.events[&1].map(|ids| ids.trace_id), Some(trace));
}

#[test]
fn enter_and_exit_count_on_a_suppressed_thread() {
    let (dispatch, seen) = only_sink();
    dispatcher::with_default(&dispatch, || {
        let a = span(1);
        let quiet = suppress();
        enter(&a);
        event(1);
        drop(quiet);
        event(2);
        let quiet = suppress();
        exit(&a);
        drop(quiet);
        event(3);
    });
    let seen = seen.lock().unwrap();
    assert_eq!(seen.events.get(&1), None);
    assert_eq!([2, 3].map(|event| seen.span_of(event)), [Some(1), None]);
}

#[test]
fn a_span_created_on_a_suppressed_thread_has_no_events() {
    let (dispatch, seen) = only_sink();
    dispatcher::with_default(&dispatch, || {
        let outer = span(1).entered();
        let quiet = suppress();
        let unseen = span(2);
        drop(quiet);
        unseen.in_scope(|| event(1));
        drop(unseen);
        event(2);
        drop(outer);
    });
    let seen = seen.lock().unwrap();
    assert_eq!([1, 2].map(|event| seen.span_of(event)), [None, Some(1)]);
}

#[test]
fn each_of_two_sinks_assigns_events_to_the_spans_that_it_sees() {
    let ((all, seen_by_all), (some, seen_by_some)) = (Sink::new(), Sink::new());
    let some = some.with_filter(filter_fn(|metadata| metadata.name() != "hidden"));
    let dispatch = Dispatch::new(tracing_subscriber::registry().with(all).with(some));
    dispatcher::with_default(&dispatch, || {
        let _outer = span(1).entered();
        let hidden = info_span!("hidden", number = 2_u64).entered();
        event(1);
        drop(span(3));
        drop(hidden);
        // Its parent is not the span that the thread is inside.
        let _unrelated = info_span!(parent: None, "hidden", number = 4_u64).entered();
        event(2);
        drop(span(5));
    });
    let (all, some) = (seen_by_all.lock().unwrap(), seen_by_some.lock().unwrap());
    assert_eq!([1, 2].map(|event| all.span_of(event)), [Some(2), Some(4)]);
    assert_eq!([1, 2].map(|event| some.span_of(event)), [Some(1), Some(1)]);
    assert_eq!([3, 5].map(|span| all.parent_of(span)), [Some(2), Some(4)]);
    assert_eq!([3, 5].map(|span| some.parent_of(span)), [Some(1), None]);
}

/// A thread that runs its tasks one after another.
struct Worker {
    work: mpsc::Sender<Box<dyn FnOnce() + Send>>,
    done: mpsc::Receiver<()>,
}

impl Worker {
    fn new(dispatch: &Dispatch) -> Self {
        let (work, tasks) = mpsc::channel::<Box<dyn FnOnce() + Send>>();
        let (finished, done) = mpsc::channel();
        let dispatch = dispatch.clone();
        std::thread::spawn(move || {
            dispatcher::with_default(&dispatch, || {
                for work in tasks {
                    work();
                    let _ = finished.send(());
                }
            });
        });
        Self { work, done }
    }

    fn run(&self, work: impl FnOnce() + Send + 'static) {
        self.work.send(Box::new(work)).unwrap();
        self.done.recv().unwrap();
    }
}

fn make(name_is_hidden: bool, parent: Option<&Span>, is_root: bool, number: u64) -> Span {
    match (name_is_hidden, parent, is_root) {
        (false, Some(parent), _) => info_span!(parent: parent, "span", number),
        (true, Some(parent), _) => info_span!(parent: parent, "hidden", number),
        (false, None, true) => info_span!(parent: None, "span", number),
        (true, None, true) => info_span!(parent: None, "hidden", number),
        (false, None, false) => info_span!("span", number),
        (true, None, false) => info_span!("hidden", number),
    }
}

/// Creates, enters, exits and closes spans in random order on two threads, with and without a
/// filter on the sink.
fn anything_in_any_order(seed: u64, is_filtered: bool) {
    let mut random = fastrand::Rng::with_seed(seed);
    let (sink, seen) = Sink::new();
    let reference = Reference::default();
    let dispatch = if is_filtered {
        let visible = || filter_fn(|metadata| metadata.name() != "hidden");
        Dispatch::new(
            tracing_subscriber::registry()
                .with(sink.with_filter(visible()))
                .with(reference.clone().with_filter(visible())),
        )
    } else {
        Dispatch::new(tracing_subscriber::registry().with(sink).with(reference.clone()))
    };
    // The last handle may be dropped here, and the registry then needs the dispatcher to release
    // the parent.
    let _here = dispatcher::set_default(&dispatch);
    let threads = [Worker::new(&dispatch), Worker::new(&dispatch)];
    let mut spans: Vec<Span> = Vec::new();
    let mut entered: [Vec<Span>; 2] = Default::default();
    for number in 1..300 {
        let thread = random.usize(..2);
        let any = (!spans.is_empty()).then(|| spans[random.usize(..spans.len())].clone());
        match (random.u8(..12), any) {
            (0..3, any) => {
                let (hidden, root) = (random.u8(..4) == 0, random.u8(..6) == 0);
                let parent = any.filter(|_| random.u8(..6) == 0);
                let (give, take) = mpsc::channel();
                threads[thread].run(move || {
                    let _ = give.send(make(hidden, parent.as_ref(), root, number));
                });
                spans.push(take.recv().unwrap());
            }
            (3..6, Some(span)) => {
                entered[thread].push(span.clone());
                threads[thread].run(move || enter(&span));
            }
            (6..8, _) if !entered[thread].is_empty() => {
                let last = entered[thread].len() - 1;
                let place = if random.bool() {
                    last
                } else {
                    random.usize(..=last)
                };
                let span = entered[thread].remove(place);
                threads[thread].run(move || exit(&span));
            }
            (8, Some(_)) => {
                let span = spans.swap_remove(random.usize(..spans.len()));
                threads[thread].run(move || drop(span));
            }
            (9, Some(span)) => threads[thread].run(move || {
                tracing::event!(parent: &span, tracing::Level::INFO, number);
            }),
            _ => threads[thread].run(move || event(number)),
        }
    }
    for (thread, entered) in threads.iter().zip(entered) {
        for span in entered {
            thread.run(move || exit(&span));
        }
    }
    threads[0].run(move || drop(spans));
    let seen = seen.lock().unwrap();
    for (event, span) in reference.events.lock().unwrap().iter() {
        assert_eq!(seen.span_of(*event), *span, "event {event}, seed {seed}");
    }
    for (span, parent) in reference.spans.lock().unwrap().iter() {
        assert_eq!(seen.parent_of(*span), *parent, "span {span}, seed {seed}");
    }
}

#[test]
fn in_any_order_of_calls_a_sink_agrees_with_the_registry() {
    for seed in 0..60 {
        anything_in_any_order(seed, seed % 2 == 0);
    }
}
