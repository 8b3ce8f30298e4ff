//! A follower of a run, without a store.

use std::time::Duration;

use spanscope_model::{RunStatus, Severity, StoreError, StoreErrorKind};

use super::{at, log, open, operation, records, span, span_id, told, trace_id};
use crate::{EventType, FollowStep, Follower, GRACE, ROOTLESS_GRACE};
use spanscope_model::{Cursor, RunRecords, Value};

const SECOND: Duration = Duration::from_secs(1);

/// The store's result if nothing was stored since.
fn nothing_new(stored: &RunRecords) -> RunRecords {
    stored
        .clone()
        .spans(Vec::new())
        .ended(Vec::new())
        .events(Vec::new())
}

fn an_agent(id: u64) -> spanscope_model::Span {
    let output = ("output", Value::from("42"));
    span(id, 0, "ask", 0..100, &[operation("invoke_agent"), output])
}

#[test]
fn a_follower_queries_only_unread_records_page_by_page() {
    let mut follower = Follower::default();
    assert_eq!(follower.range(None).after, Cursor::START);
    let mut page = records(vec![an_agent(1)]);
    page.more = true;
    assert!(!follower.read(&page, SECOND).is_empty());
    assert_eq!(follower.step(&page, at(0), SECOND), FollowStep::ReadMore);
    let range = follower.range(Some(Cursor::END));
    assert_eq!((range.after, range.upto), (page.upto, Some(Cursor::END)));
    follower.skip_to(Cursor::new([9, 9, 9]));
    assert_eq!(follower.range(None).after, Cursor::new([9, 9, 9]));
    assert_eq!(follower.cursor(), Cursor::new([9, 9, 9]));
}

#[test]
fn a_follower_waits_for_the_grace_period_after_the_last_new_event() {
    let tool = |id| span(id, 1, "search", 10..20, &[operation("execute_tool")]);
    let stored = records(vec![an_agent(1)]);
    let mut follower = Follower::default();
    follower.read(&stored, Duration::ZERO);
    let now = at(100); // the end of the agent
    let step = |follower: &Follower, stored, elapsed| follower.step(stored, now, elapsed);
    assert_eq!(step(&follower, &stored, Duration::ZERO), FollowStep::Wait(GRACE));
    // An event a second later restarts the grace period.
    let mut news = records(vec![tool(2)]);
    news.info.status = RunStatus::Completed;
    follower.read(&news, SECOND);
    assert_eq!(step(&follower, &news, SECOND), FollowStep::Wait(GRACE));
    // Records without an event of this run don't restart it.
    let nothing = nothing_new(&news);
    assert!(follower.read(&nothing, 2 * SECOND).is_empty());
    assert_eq!(
        step(&follower, &nothing, 2 * SECOND),
        FollowStep::Wait(GRACE - SECOND)
    );
    let over = FollowStep::Finished(RunStatus::Completed);
    assert_eq!(step(&follower, &nothing, SECOND + GRACE), over);

    let mut hasty = Follower::new(SECOND, SECOND);
    hasty.read(&stored, Duration::ZERO);
    assert_eq!(step(&hasty, &stored, SECOND), over);
}

#[test]
fn a_follower_checks_a_running_run_every_few_seconds_without_new_records() {
    let stored = records(vec![open(an_agent(1))]);
    let mut follower = Follower::default();
    follower.read(&stored, Duration::ZERO);
    let FollowStep::Wait(wait) = follower.step(&stored, at(100), Duration::ZERO) else {
        panic!("the run is not over");
    };
    assert!(wait > Duration::ZERO && wait <= 5 * SECOND);
    // It checks as often while it waits for a missing root, with a grace period of a minute.
    let rootless = records(vec![span(2, 1, "search", 0..100, &[operation("execute_tool")])]);
    let mut follower = Follower::default();
    follower.read(&rootless, Duration::ZERO);
    let step = follower.step(&rootless, at(100), Duration::ZERO);
    assert!(
        ROOTLESS_GRACE > 5 * SECOND && step == FollowStep::Wait(wait),
        "{step:?}"
    );
}

#[test]
fn a_busy_store_is_retried_five_times_and_others_never() {
    let mut follower = Follower::default();
    let error = |kind| StoreError::new(kind, "no");
    for kind in [StoreErrorKind::Unavailable, StoreErrorKind::Overloaded] {
        for _ in 0..5 {
            assert!(follower.retry_after(&error(kind)).is_some(), "{kind:?}");
        }
        assert_eq!(follower.retry_after(&error(kind)), None, "{kind:?}");
        // A successful read in between resets the count.
        follower.read(&records(vec![]), SECOND);
    }
    for kind in [
        StoreErrorKind::NotFound,
        StoreErrorKind::InvalidInput,
        StoreErrorKind::ResultTooLarge,
    ] {
        assert_eq!(follower.retry_after(&error(kind)), None, "{kind:?}");
    }
}

#[test]
fn the_last_event_has_the_output_even_if_the_root_was_read_long_ago() {
    let stored = records(vec![an_agent(1)]);
    let mut follower = Follower::default();
    let events = follower.read(&stored, Duration::ZERO);
    assert_eq!(told(&events)[0], (EventType::WorkflowStarted, "ask"));
    assert_eq!(follower.output_span_to_read(&stored), None, "it is among these");
    let nothing = nothing_new(&stored);
    follower.read(&nothing, SECOND);
    assert_eq!(
        follower.output_span_to_read(&nothing),
        Some((trace_id(), span_id(1)))
    );
    let status = follower.status(&nothing);
    let bare = follower.clone().finish(nothing.clone(), status, None);
    assert_eq!(
        (bare.event_type, bare.outputs),
        (EventType::WorkflowCompleted, None)
    );
    let whole = follower.finish(nothing, status, Some(an_agent(1)));
    assert_eq!(
        (whole.event_id.as_str(), whole.event_type),
        ("run:end", EventType::WorkflowCompleted)
    );
    assert!(whole.outputs.is_some());
}

#[test]
fn records_that_a_store_returns_again_after_a_late_one_have_no_events_again() {
    let failure = |id, span| log(id, span, 50, Severity::Error, "no network", &[]);
    let first = records(vec![an_agent(1)]).events(vec![failure(1, 1)]);
    let mut follower = Follower::default();
    let told_first = follower.read(&first, Duration::ZERO);
    assert_eq!(told_first.len(), 3, "start, error and end");
    // A store with `StoreOrder::Marked` may return all records again when a late span arrives.
    let late = span(2, 1, "search", 10..20, &[operation("execute_tool")]);
    let again = records(vec![an_agent(1), late]).events(vec![failure(1, 1), failure(2, 2)]);
    let mut ids: Vec<String> = told_first.into_iter().map(|event| event.event_id).collect();
    let told_again = follower.read(&again, SECOND);
    assert_eq!(told_again.len(), 3, "start, error and end of the late span");
    ids.extend(told_again.into_iter().map(|event| event.event_id));
    let events = ids.len();
    ids.sort_unstable();
    ids.dedup();
    assert_eq!(ids.len(), events);
    // The same records have no new event, so they don't restart the grace period.
    assert!(follower.read(&again, 2 * SECOND).is_empty());
}
