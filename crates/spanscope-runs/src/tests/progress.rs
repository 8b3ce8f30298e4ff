//! When a followed run is over.

use std::time::Duration;

use spanscope_model::RunStatus;

use super::{at, open, operation, records, span};
use crate::{FollowState, GRACE, ROOTLESS_GRACE, RunProgress, RunReader, SENT_GRACE};

/// A second after the last end, followed for half a second.
fn state() -> FollowState {
    FollowState {
        now: at(1_100),
        followed_for: Duration::from_millis(500),
        since_last_event: None,
        grace: GRACE,
        sent_grace: SENT_GRACE,
        rootless_grace: ROOTLESS_GRACE,
    }
}

fn progress(stored: &spanscope_model::RunRecords, state: FollowState) -> RunProgress {
    let mut reader = RunReader::new();
    reader.read(stored);
    reader.progress(stored, state)
}

#[test]
fn a_run_is_over_after_the_grace_period_without_events() {
    let stored = records(vec![span(1, 0, "ask", 0..100, &[operation("invoke_agent")])]);
    assert_eq!(
        progress(&stored, state()),
        RunProgress::Waiting(GRACE - Duration::from_secs(1))
    );
    let now = at(3_100);
    assert_eq!(
        progress(&stored, FollowState { now, ..state() }),
        RunProgress::Finished(RunStatus::Completed)
    );
    // For events that arrive while the run is followed, the arrival counts: the sender's clock may
    // be wrong.
    let since_last_event = Some(Duration::from_secs(1));
    let news = FollowState {
        now,
        since_last_event,
        ..state()
    };
    assert_eq!(
        progress(&stored, news),
        RunProgress::Waiting(GRACE - Duration::from_secs(1))
    );
    // A clock that runs ahead does not keep it open for ever.
    let ahead = FollowState {
        now: at(-3_600_000),
        followed_for: GRACE,
        ..state()
    };
    assert_eq!(
        progress(&stored, ahead),
        RunProgress::Finished(RunStatus::Completed)
    );
}

/// Later records and the number of services don't change it.
#[test]
fn a_run_with_a_sent_span_waits_as_long_as_sdks_collect_a_batch() {
    let mut stored = records(vec![span(1, 0, "ask", 0..100, &[operation("invoke_agent")])]);
    stored.has_sent = true;
    let now = at(3_100);
    let seen = FollowState { now, ..state() };
    let wait = SENT_GRACE - GRACE;
    assert_eq!(progress(&stored, seen), RunProgress::Waiting(wait));
    // Later records are not sent: one sent span is enough.
    let mut reader = RunReader::new();
    reader.read(&stored);
    let mut more = records(vec![span(2, 1, "search", 10..90, &[operation("execute_tool")])]);
    more.info.status = RunStatus::Completed;
    reader.read(&more);
    assert_eq!(reader.progress(&more, seen), RunProgress::Waiting(wait));
    let now = at(8_100);
    assert_eq!(
        progress(&stored, FollowState { now, ..state() }),
        RunProgress::Finished(RunStatus::Completed)
    );
}

#[test]
fn a_run_without_a_stored_root_waits_longer() {
    let stored = records(vec![span(2, 1, "search", 0..100, &[operation("execute_tool")])]);
    let now = at(3_100);
    assert_eq!(
        progress(&stored, FollowState { now, ..state() }),
        RunProgress::Waiting(ROOTLESS_GRACE - GRACE)
    );
    let now = at(60_100);
    assert_eq!(
        progress(&stored, FollowState { now, ..state() }),
        RunProgress::Finished(RunStatus::Completed)
    );
}

#[test]
fn an_open_span_keeps_a_run_open_as_long_as_its_program_lives() {
    let mut stored = records(vec![open(span(
        1,
        0,
        "ask",
        0..100,
        &[operation("invoke_agent")],
    ))]);
    let now = at(3_600_000);
    assert_eq!(
        progress(&stored, FollowState { now, ..state() }),
        RunProgress::Running
    );
    stored.alive = false;
    assert_eq!(
        progress(&stored, state()),
        RunProgress::Finished(RunStatus::Abandoned)
    );
}
