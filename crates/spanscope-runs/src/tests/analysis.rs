//! The analysis of a run: critical path, bottlenecks, and spans that contradict each other.

use super::*;
use crate::{Analysis, BottleneckReason, ComponentTime, DetailLevel, Run};

fn path(analysis: &Analysis) -> Vec<(Option<&str>, i64)> {
    let millis = |seconds: f64| (seconds * 1000.0).round() as i64;
    let path = analysis.critical_path.iter();
    path.map(|step| (step.component.as_deref(), millis(step.seconds)))
        .collect()
}

fn component<'a>(analysis: &'a Analysis, name: &str) -> &'a ComponentTime {
    analysis
        .components
        .iter()
        .find(|component| component.component == name)
        .unwrap()
}

#[test]
fn the_critical_path_of_parallel_branches_is_that_of_the_last_ones() {
    // root      0                            10000
    // a          100......6000                       on it to 500: c began before a ended
    // b          100..500
    // c             500................9000          on it
    // c1             600....3000                     parallel to c2: it ended after that began
    // c2                 2500...8000                 on it
    let records = records(vec![
        span(1, 0, "root", 0..10000, &[operation("invoke_workflow")]),
        span(2, 1, "a", 100..6000, &[]),
        span(3, 1, "b", 100..500, &[]),
        span(4, 1, "c", 500..9000, &[]),
        span(5, 4, "c1", 600..3000, &[]),
        span(6, 4, "c2", 2500..8000, &[]),
    ]);
    let analysis = Run::of(&records).analysis();
    assert_eq!(
        path(&analysis),
        [
            (Some("root"), 100 + 1000),
            (Some("b"), 400),
            (Some("c"), 2000 + 1000),
            (Some("c2"), 5500),
        ]
    );
    let total: i64 = path(&analysis).iter().map(|(_, millis)| millis).sum();
    assert_eq!(total, 10_000);

    let root = component(&analysis, "root");
    assert!((root.total_time - 10.0).abs() < 1e-9 && (root.self_time - 1.1).abs() < 1e-9);
    let c = component(&analysis, "c");
    assert!((c.self_time - 1.1).abs() < 1e-9 && (c.critical_path_share - 0.3).abs() < 1e-9);
    assert!((component(&analysis, "c1").critical_path_time).abs() < 1e-9);

    // a is slow on average, although the run did not wait for it; the time of the root and of c
    // without nested steps is short.
    let found: Vec<_> = analysis
        .bottlenecks
        .iter()
        .map(|found| (found.component.as_str(), found.reason))
        .collect();
    assert_eq!(
        found,
        [("c2", BottleneckReason::Both), ("a", BottleneckReason::Average)]
    );
    assert!(!analysis.component_execution_times.contains_key("root"));
    assert_eq!(analysis.component_execution_times["c1"], [2.4]);
    assert!(analysis.recommendations[0].contains("c2") && analysis.recommendations[0].contains("55%"));
}

#[test]
fn many_short_calls_in_a_row_are_a_bottleneck_by_their_share() {
    let mut spans = vec![span(1, 0, "agent", 0..1000, &[operation("invoke_agent")])];
    spans.extend((0..9).map(|n| {
        let begin = n as i64 * 100;
        span(
            10 + n,
            1,
            "t",
            begin..begin + 90,
            &[("tool_name", text("search"))],
        )
    }));
    let analysis = Run::of(&records(spans)).analysis();
    assert_eq!(analysis.bottlenecks.len(), 1);
    let found = &analysis.bottlenecks[0];
    assert_eq!((found.component.as_str(), found.executions), ("search", 9));
    assert_eq!(found.reason, BottleneckReason::CriticalPath);
    assert!(
        (found.critical_path_share - 0.81).abs() < 1e-9 && (found.avg_execution_time - 0.09).abs() < 1e-9
    );
    assert_eq!(
        analysis.recommendations,
        [
            "search is 81% of the critical path (0.09 s on average in 9 executions): run the calls side by side where \
          they don't need each other, or cache their results"
        ]
    );
}

#[test]
fn clocks_that_disagree_and_gaps_between_roots_make_no_negative_times() {
    let mut records = records(vec![
        // A child that starts before and ends after its parent, and one that ended before it
        // started.
        span(1, 0, "root", 100..200, &[]),
        span(2, 1, "early", 0..150, &[]),
        span(3, 1, "late", 160..900, &[]),
        span(4, 1, "back", 180..180, &[]),
        span(5, 0, "second", 1000..1100, &[]),
    ]);
    records.spans[3].span.end_time = Some(at(170));
    let run = Run::of(&records);
    let analysis = run.analysis();
    // `late` and `early` count only inside their parent; but the run lasts from the first start to
    // the last end.
    assert_eq!(
        path(&analysis),
        [
            (None, 900),
            (Some("root"), 10),
            (Some("early"), 50),
            (Some("late"), 40),
            (Some("second"), 100)
        ]
    );
    assert!(
        analysis
            .components
            .iter()
            .all(|component| component.self_time >= 0.0 && component.total_time >= 0.0)
    );
    let events = run.events(DetailLevel::Debug);
    assert_eq!(event(&events, &end_of(4)).elapsed_time, Some(0.0));
    assert!(
        events
            .iter()
            .all(|event| event.elapsed_time.is_none_or(|seconds| seconds >= 0.0))
    );
}

#[test]
fn cycles_of_parents_are_harmless() {
    let records = records(vec![
        span(1, 3, "a", 0..100, &[]),
        span(2, 1, "b", 10..90, &[]),
        span(3, 2, "c", 20..80, &[operation("execute_tool")]),
        span(4, 4, "own parent", 0..50, &[]),
        span(5, 9, "orphan", 0..100, &[]),
    ]);
    let run = Run::of(&records);
    let total: i64 = path(&run.analysis()).iter().map(|(_, millis)| millis).sum();
    assert_eq!(total, 100);
    assert_eq!(run.analysis().components.len(), 5);
    let events = run.events(DetailLevel::Debug);
    assert_eq!(events.len(), 1 + 2 * 5 + 1);
    assert!(event(&events, &end_of(5)).metadata.pending && !event(&events, &end_of(4)).metadata.pending);
    assert_eq!(run.status(), RunStatus::Completed);
    assert_eq!(run.summary(DetailLevel::Debug).nodes_executed, 5);
}

#[test]
fn failing_components_and_long_prompts_are_named_with_their_numbers() {
    let chat = |tokens: i64| {
        [
            operation("chat"),
            ("model", text("big")),
            ("prompt_tokens", Value::from(tokens)),
        ]
    };
    let records = records(vec![
        span(1, 0, "agent", 0..100, &[operation("invoke_agent")]),
        failed(
            span(2, 1, "t", 0..10, &[("tool_name", text("search\u{1b}[31m"))]),
            "no network",
        ),
        span(3, 1, "t", 10..20, &[("tool_name", text("search\u{1b}[31m"))]),
        span(4, 1, "chat", 20..30, &chat(40_000)),
        span(5, 1, "chat", 30..40, &chat(50_000)),
    ]);
    let analysis = Run::of(&records).analysis();
    let advice = analysis.recommendations.join("\n");
    assert!(
        advice.contains("search\\x1b[31m: 1 of 2 executions failed"),
        "{advice}"
    );
    assert!(
        advice.contains("big: 2 calls with more than 32000 prompt tokens, the longest with 50000"),
        "{advice}"
    );
    assert_eq!(analysis.errors.len(), 1);
    assert_eq!(analysis.errors[0].error, "no network");
}

#[test]
fn a_run_as_deep_as_it_is_long_and_one_as_wide_are_analysed_without_recursion() {
    let deep = (1..=10_000).map(|n| span(n, n - 1, "deep", n as i64..20_000 - n as i64, &[]));
    let chat = librarian().spans[2].span.attributes.clone();
    let wide = (1..=10_000).map(|n| {
        let begin = n as i64 % 3000;
        let mut made = span(n, u64::from(n > 1), "wide", begin..begin + 3, &[]);
        made.attributes = chat.clone();
        for n in 0..12 {
            made.attributes.set(format!("gen_ai.something.{n}"), n);
        }
        made
    });
    for spans in [deep.collect::<Vec<_>>(), wide.collect()] {
        let records = records(spans);
        let begun = std::time::Instant::now();
        let analysis = Run::of(&records).analysis();
        // Ten times the unoptimised duration: quadratic work would take minutes.
        assert!(begun.elapsed().as_secs() < 10, "{:?}", begun.elapsed());
        assert!(!analysis.critical_path.is_empty());
    }
}
