//! Tests of the tail rule: which traces are kept, when they are decided, and the bounds of its
//! memory.
#![expect(clippy::unwrap_used, reason = "tests fail by panicking")]

use std::collections::HashMap;
use std::time::Duration;

use spanscope_model::{SpanId, TraceId};

use super::*;
use crate::capture::SpanIds;

fn ms(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

fn trace(number: u64) -> TraceId {
    TraceId::from_bytes(u128::from(number + 1).to_be_bytes()).unwrap()
}

fn ids(trace_number: u64, span: u64) -> SpanIds {
    SpanIds {
        trace_id: trace(trace_number),
        span_id: SpanId::from_bytes((span + 1).to_be_bytes()).unwrap(),
    }
}

/// A span without an error that takes a millisecond.
fn child(trace_number: u64, span: u64, start: u64) -> EndedSpan {
    EndedSpan {
        ids: ids(trace_number, span),
        is_local_root: false,
        failed: false,
        start: ms(start),
        end: ms(start + 1),
        closed: ms(start + 1),
    }
}

fn root(trace_number: u64, start: u64, end: u64) -> EndedSpan {
    EndedSpan {
        is_local_root: true,
        end: ms(end),
        closed: ms(end),
        ..child(trace_number, 0, start)
    }
}

fn failed(span: EndedSpan) -> EndedSpan {
    EndedSpan { failed: true, ..span }
}

fn verdicts(decisions: &[Decision]) -> Vec<(TraceId, Verdict)> {
    decisions
        .iter()
        .map(|decision| (decision.trace_id, decision.verdict))
        .collect()
}

#[test]
fn an_error_keeps_its_trace_at_once() {
    let mut decider = TailDecider::new(TailRule::new());
    assert_eq!(decider.ended(&child(1, 1, 0)), Verdict::Undecided);
    assert_eq!(decider.ended(&failed(child(1, 2, 0))), Verdict::Keep);
    assert_eq!(decider.event(trace(2), false, ms(0)), Verdict::Undecided);
    assert_eq!(decider.event(trace(2), true, ms(1)), Verdict::Keep);
    assert_eq!(
        decider.ended(&root(1, 0, 2)),
        Verdict::Keep,
        "later spans follow the decision"
    );
    assert_eq!(
        verdicts(&decider.decide_due(ms(0))),
        [(trace(1), Verdict::Keep), (trace(2), Verdict::Keep)]
    );
    assert!(
        decider.decide_due(ms(9)).is_empty(),
        "each decision is returned once"
    );
}

#[test]
fn without_keep_errors_an_error_keeps_no_trace() {
    let mut decider = TailDecider::new(TailRule::new().keep_errors(false));
    decider.event(trace(1), true, ms(0));
    decider.ended(&failed(child(1, 1, 0)));
    decider.ended(&failed(root(1, 0, 2)));
    assert_eq!(verdicts(&decider.decide_due(ms(2))), [(trace(1), Verdict::Drop)]);
    decider.ended(&failed(child(1, 2, 0)));
    assert_eq!(
        decider.stats().too_late,
        0,
        "without keep_errors no error is too late"
    );
}

#[test]
fn a_trace_is_slow_if_it_takes_longer_than_the_rule_allows() {
    let mut decider = TailDecider::new(TailRule::new());
    assert_eq!(decider.ended(&root(1, 0, 1000)), Verdict::Undecided);
    assert_eq!(decider.ended(&root(2, 0, 1001)), Verdict::Keep);
    let mut decider = TailDecider::new(TailRule::new().slower_than(ms(5)));
    assert_eq!(decider.ended(&root(1, 0, 5)), Verdict::Undecided);
    assert_eq!(decider.ended(&root(2, 0, 6)), Verdict::Keep);
    let mut decider = TailDecider::new(TailRule::new().slower_than(Duration::MAX));
    decider.opened(ids(1, 0), true, ms(0));
    assert!(decider.decide_due(Duration::from_secs(1 << 40)).is_empty());
}

#[test]
fn a_long_child_of_a_known_root_decides_nothing() {
    let mut decider = TailDecider::new(TailRule::new());
    decider.opened(ids(1, 0), true, ms(0));
    let long = EndedSpan {
        end: ms(1500),
        closed: ms(1500),
        ..child(1, 1, 0)
    };
    assert_eq!(decider.ended(&long), Verdict::Undecided);
    assert_eq!(
        decider.ended(&EndedSpan {
            ids: ids(2, 1),
            ..long
        }),
        Verdict::Keep,
        "no root is known"
    );
}

#[test]
fn an_open_root_is_slow_once_it_reaches_the_limit() {
    let mut decider = TailDecider::new(TailRule::new());
    decider.opened(ids(1, 0), true, ms(10));
    decider.opened(ids(1, 0), true, ms(10));
    decider.ended(&child(1, 1, 20));
    assert!(decider.decide_due(ms(1009)).is_empty());
    assert_eq!(
        verdicts(&decider.decide_due(ms(1010))),
        [(trace(1), Verdict::Keep)]
    );
}

#[test]
fn an_unremarkable_trace_is_dropped_when_the_wait_is_over() {
    let mut decider = TailDecider::new(TailRule::new().wait(ms(30)));
    decider.ended(&root(1, 0, 10));
    assert!(decider.decide_due(ms(39)).is_empty());
    assert_eq!(verdicts(&decider.decide_due(ms(40))), [(trace(1), Verdict::Drop)]);
    assert_eq!(
        decider.ended(&child(1, 1, 5)),
        Verdict::Drop,
        "a late span follows the decision"
    );
    assert_eq!(decider.ended(&failed(child(1, 2, 5))), Verdict::Drop);
    let stats = decider.stats();
    assert_eq!((stats.kept, stats.dropped, stats.too_late), (0, 1, 1));
}

#[test]
fn a_root_that_ended_before_it_closed_is_decided_when_it_closes() {
    let held = EndedSpan {
        closed: ms(900),
        ..root(1, 0, 10)
    };
    let mut decider = TailDecider::new(TailRule::new());
    decider.ended(&held);
    assert!(decider.decide_due_and_ended(ms(899)).is_empty());
    assert_eq!(decider.ended(&failed(child(1, 1, 800))), Verdict::Keep);
    let mut decider = TailDecider::new(TailRule::new());
    decider.ended(&held);
    let verdict = verdicts(&decider.decide_due_and_ended(ms(900)));
    assert_eq!(verdict, [(trace(1), Verdict::Drop)], "it took 10 ms");
}

#[test]
fn an_error_within_the_wait_is_in_time() {
    let mut decider = TailDecider::new(TailRule::new().wait(ms(30)));
    decider.ended(&root(1, 0, 10));
    decider.decide_due(ms(20));
    assert_eq!(decider.ended(&failed(child(1, 1, 15))), Verdict::Keep);
}

#[test]
fn a_trace_with_several_local_roots_is_decided_when_all_have_ended() {
    let mut decider = TailDecider::new(TailRule::new().wait(ms(5)));
    decider.opened(ids(1, 0), true, ms(0));
    decider.opened(ids(1, 7), true, ms(500));
    decider.ended(&root(1, 0, 10));
    assert!(
        decider.decide_due(ms(1100)).is_empty(),
        "the second has taken 600 ms"
    );
    let second = EndedSpan {
        ids: ids(1, 7),
        ..root(1, 500, 1200)
    };
    decider.ended(&second);
    assert!(decider.decide_due(ms(1204)).is_empty());
    assert_eq!(
        verdicts(&decider.decide_due(ms(1205))),
        [(trace(1), Verdict::Drop)]
    );
}

#[test]
fn a_trace_with_a_hidden_root_is_decided_by_its_visible_spans() {
    let mut decider = TailDecider::new(TailRule::new());
    decider.ended(&child(1, 1, 0));
    decider.ended(&child(2, 1, 0));
    decider.ended(&child(2, 2, 999)); // together they took 1000 ms
    decider.ended(&child(3, 1, 0));
    decider.ended(&child(3, 2, 1000));
    decider.event(trace(4), false, ms(0)); // its span never ended
    decider.ended(&child(5, 1, 0));
    decider.opened(ids(5, 2), false, ms(900));
    assert!(decider.decide_due(ms(999)).is_empty());
    let mut decided = verdicts(&decider.decide_due(ms(1000)));
    decided.sort_unstable_by_key(|(trace_id, _)| *trace_id);
    assert_eq!(
        decided,
        [
            (trace(1), Verdict::Drop),
            (trace(2), Verdict::Drop),
            (trace(3), Verdict::Keep),
            (trace(4), Verdict::Keep)
        ]
    );
    assert_eq!(
        verdicts(&decider.decide_due(ms(1900))),
        [(trace(5), Verdict::Keep)]
    );
}

#[test]
fn a_flush_decides_ended_traces_and_finish_keeps_open_ones() {
    let mut decider = TailDecider::new(TailRule::new().wait(Duration::from_secs(3600)));
    decider.opened(ids(1, 0), true, ms(0));
    decider.ended(&root(2, 0, 10));
    decider.ended(&child(3, 1, 0));
    decider.ended(&root(4, 0, 30));
    assert_eq!(
        verdicts(&decider.decide_due_and_ended(ms(20))),
        [(trace(2), Verdict::Drop), (trace(3), Verdict::Drop)]
    );
    assert_eq!(
        verdicts(&decider.finish()),
        [(trace(4), Verdict::Drop), (trace(1), Verdict::Keep)]
    );
    assert_eq!(decider.stats().undecided, 0);
}

#[test]
fn the_last_seven_bytes_of_the_trace_id_decide_the_share() {
    let with = |low: u64| TraceId::from_bytes(((0xabcd_u128 << 64) | u128::from(low)).to_be_bytes()).unwrap();
    let top = (1_u64 << 56) - 1;
    for (share, least) in [
        (1.0, 0),
        (7.5, 0),
        (f64::INFINITY, 0),
        (0.5, 1 << 55),
        (0.25, 3 << 54),
        (0.5_f64.powi(56), top),
    ] {
        let rule = TailRule::new().ratio(share);
        assert!(
            rule.is_in_share(with(least)) && rule.is_in_share(with(top)),
            "{share}"
        );
        assert!(
            rule.is_in_share(with(least | 0xff << 56)),
            "the eighth byte does not count"
        );
        assert!(least == 0 || !rule.is_in_share(with(least - 1)), "{share}");
    }
    for none in [0.0, -3.0, f64::NEG_INFINITY, f64::NAN] {
        assert!(!TailRule::new().ratio(none).is_in_share(with(top)), "{none}");
    }
}

#[test]
fn a_trace_in_the_share_is_kept_at_once() {
    let mut decider = TailDecider::new(TailRule::new().ratio(1.0));
    assert_eq!(decider.opened(ids(1, 0), true, ms(0)), Verdict::Keep);
    assert_eq!(decider.stats().kept, 1);
}

#[test]
fn beyond_max_traces_the_oldest_trace_is_kept_and_counted() {
    let mut decider = TailDecider::new(TailRule::new().max_traces(2));
    for number in 1..=3 {
        assert_eq!(decider.ended(&root(number, 0, 10)), Verdict::Undecided);
    }
    assert_eq!(decider.verdict(trace(1)), Some(Verdict::Keep));
    assert_eq!(decider.stats().kept_early, 1);
    assert_eq!(
        verdicts(&decider.decide_due(ms(10))),
        [
            (trace(1), Verdict::Keep),
            (trace(2), Verdict::Drop),
            (trace(3), Verdict::Drop)
        ]
    );
}

#[test]
fn the_oldest_decisions_are_forgotten_but_not_those_just_returned() {
    let mut decider = TailDecider::new(TailRule::new().max_traces(2));
    for number in 1..=4 {
        decider.ended(&failed(root(number, 0, 10)));
    }
    decider.decide_due(ms(10));
    assert!((1..=4).all(|number| decider.verdict(trace(number)) == Some(Verdict::Keep)));
    decider.ended(&root(5, 0, 20));
    decider.decide_due(ms(20));
    assert_eq!(decider.verdict(trace(3)), None);
    assert_eq!(decider.verdict(trace(4)), Some(Verdict::Keep));
    assert_eq!(decider.verdict(trace(5)), Some(Verdict::Drop));
}

/// The events of a random trace.
struct Story {
    /// In the order of their ends, the root last, as `tracing` ends them.
    spans: Vec<EndedSpan>,
    wanted: bool,
    /// The number of reported spans.
    reported: usize,
}

/// A trace with a random start; a third of them has an error somewhere, and some are slow.
fn story(number: u64, random: &mut fastrand::Rng) -> Story {
    let start = random.u64(..5_000);
    let children = random.u64(..6);
    let takes = if random.u8(..5) == 0 {
        random.u64(1_001..4_000)
    } else {
        random.u64(8..1_001)
    };
    let mut spans: Vec<_> = (1..=children)
        .map(|span| child(number, span, start + span))
        .collect();
    spans.push(root(number, start, start + takes));
    spans.sort_by_key(|span| span.end);
    let has_error = random.u8(..3) == 0;
    if has_error {
        let place = random.usize(..spans.len());
        spans[place].failed = true;
    }
    Story {
        spans,
        wanted: has_error || takes > 1000,
        reported: 0,
    }
}

#[test]
fn in_any_order_exactly_the_traces_with_errors_and_the_slow_ones_are_kept() {
    for seed in 0..300 {
        let mut random = fastrand::Rng::with_seed(seed);
        let wait = random.u64(..200);
        let mut decider = TailDecider::new(TailRule::new().wait(ms(wait)));
        let mut stories: Vec<_> = (0..random.u64(1..40))
            .map(|number| story(number, &mut random))
            .collect();
        let mut decided = HashMap::new();
        let mut now = 0;
        let mut note = |decisions: Vec<Decision>| {
            for Decision { trace_id, verdict } in decisions {
                assert!(
                    decided.insert(trace_id, verdict).is_none(),
                    "seed {seed}: decided twice"
                );
            }
        };
        while now < 10_000 {
            now += random.u64(1..400);
            // Ended spans are reported, in any order of the traces; so are some of the open ones.
            random.shuffle(&mut stories);
            for story in &mut stories {
                let root = story
                    .spans
                    .iter()
                    .find(|span| span.is_local_root)
                    .copied()
                    .unwrap();
                if root.start < ms(now) && root.end > ms(now) {
                    decider.opened(root.ids, true, root.start);
                }
                while let Some(span) = story.spans.get(story.reported).filter(|span| span.end <= ms(now)) {
                    decider.ended(span);
                    story.reported += 1;
                }
            }
            note(if random.bool() {
                decider.decide_due(ms(now))
            } else {
                decider.decide_due_and_ended(ms(now))
            });
        }
        note(decider.finish());
        for story in &stories {
            let expected = if story.wanted {
                Verdict::Keep
            } else {
                Verdict::Drop
            };
            let trace_id = story.spans[0].ids.trace_id;
            assert_eq!(
                decided.get(&trace_id),
                Some(&expected),
                "seed {seed}, {:?}",
                story.spans
            );
        }
        let stats = decider.stats();
        assert_eq!(stats.kept + stats.dropped, stories.len() as u64, "seed {seed}");
        assert_eq!(
            (stats.undecided, stats.kept_early, stats.too_late),
            (0, 0, 0),
            "seed {seed}"
        );
    }
}

#[test]
fn memory_is_bounded_for_any_input() {
    let mut random = fastrand::Rng::with_seed(7);
    let mut decider = TailDecider::new(TailRule::new().max_traces(50).ratio(0.1));
    for step in 0..20_000_u64 {
        let number = random.u64(..2_000);
        match random.u8(..4) {
            0 => {
                let _ = decider.opened(ids(number, random.u64(..4)), random.bool(), ms(step));
            }
            1 => {
                let _ = decider.event(trace(number), random.u8(..20) == 0, ms(step));
            }
            _ => drop(decider.ended(&EndedSpan {
                is_local_root: random.bool(),
                failed: random.u8(..20) == 0,
                ..child(number, random.u64(..4), step)
            })),
        }
        if step % 16 == 0 {
            decider.decide_due(ms(step));
            assert!(decider.stats().undecided <= 50);
            let (watched, due, arrived, decided, remembered) = decider.sizes();
            assert_eq!((watched, watched), (due, arrived));
            assert_eq!(decided, remembered);
            assert!(decided <= 50 + 16);
        }
    }
    let stats = decider.stats();
    assert!(stats.kept_early > 0 && stats.dropped > 0, "{stats:?}");
}
