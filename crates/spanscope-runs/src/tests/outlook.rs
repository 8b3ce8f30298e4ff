//! When a followed run is over.

use std::time::Duration;

use spanscope_model::RunStatus;

use super::{at, open, operation, records, span};
use crate::{GRACE, Outlook, ROOTLESS_GRACE, RunReader, Watched};

/// A second after the last end, watched for half a second.
fn watched() -> Watched {
    Watched {
        now: at(1_100),
        watched: Duration::from_millis(500),
        since_news: None,
        grace: GRACE,
        rootless_grace: ROOTLESS_GRACE,
    }
}

fn outlook(stored: &spanscope_model::RunRecords, watched: Watched) -> Outlook {
    let mut reader = RunReader::new();
    reader.read(stored);
    reader.outlook(stored, watched)
}

#[test]
fn a_run_is_over_when_nothing_came_for_the_grace() {
    let stored = records(vec![span(1, 0, "ask", 0..100, &[operation("invoke_agent")])]);
    assert_eq!(
        outlook(&stored, watched()),
        Outlook::Waiting(GRACE - Duration::from_secs(1))
    );
    let now = at(3_100);
    assert_eq!(
        outlook(&stored, Watched { now, ..watched() }),
        Outlook::Over(RunStatus::Completed)
    );
    // What came while it was watched counts by its coming: the clock that wrote it may be wrong.
    let since_news = Some(Duration::from_secs(1));
    let news = Watched {
        now,
        since_news,
        ..watched()
    };
    assert_eq!(
        outlook(&stored, news),
        Outlook::Waiting(GRACE - Duration::from_secs(1))
    );
    // A clock that runs ahead does not keep it open for ever.
    let ahead = Watched {
        now: at(-3_600_000),
        watched: GRACE,
        ..watched()
    };
    assert_eq!(outlook(&stored, ahead), Outlook::Over(RunStatus::Completed));
}

#[test]
fn a_run_without_its_root_is_given_longer() {
    let stored = records(vec![span(2, 1, "search", 0..100, &[operation("execute_tool")])]);
    let now = at(3_100);
    assert_eq!(
        outlook(&stored, Watched { now, ..watched() }),
        Outlook::Waiting(ROOTLESS_GRACE - GRACE)
    );
    let now = at(60_100);
    assert_eq!(
        outlook(&stored, Watched { now, ..watched() }),
        Outlook::Over(RunStatus::Completed)
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
    assert_eq!(outlook(&stored, Watched { now, ..watched() }), Outlook::Running);
    stored.alive = false;
    assert_eq!(outlook(&stored, watched()), Outlook::Over(RunStatus::Abandoned));
}
