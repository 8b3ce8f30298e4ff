//! Runs of agents: the list of them, their tenants, and the records of one in the order of storing.

use std::collections::{BTreeMap, BTreeSet};

use spanscope_model::{
    Cursor, RunFilter, RunPage, RunRange, RunRecords, RunSpan, RunStatus, Severity, SourceRecords, Span,
    Timestamp, TraceStore, block_on,
};

use crate::made::{MS, ago, event, failed, of, records, running, span, span_id, store, trace_id, with};
use crate::{Fixture, Open};

pub fn agent(trace: u128, id: i64, parent: i64, task: Option<&str>) -> Span {
    let span = with(
        span(trace, id, parent, "invoke_agent librarian"),
        &[
            ("gen_ai.operation.name", "invoke_agent"),
            ("gen_ai.agent.name", "librarian"),
            ("session_id", "s-1"),
            ("user_id", "ada"),
        ],
    );
    match task {
        Some(task) => with(span, &[("task_id", task)]),
        None => span,
    }
}

pub fn chat(trace: u128, id: i64, parent: i64) -> Span {
    with(
        span(trace, id, parent, "chat tiny"),
        &[("gen_ai.operation.name", "chat")],
    )
}

pub fn list(of: &dyn TraceStore, filter: RunFilter) -> RunPage {
    block_on(of.list_runs(filter)).unwrap()
}

pub fn tasks(page: &RunPage) -> Vec<&str> {
    page.runs.iter().map(|run| run.task_id.as_str()).collect()
}

pub fn read(of: &dyn TraceStore, task: &str, range: RunRange) -> RunRecords {
    block_on(of.run_records(task.to_owned(), range)).unwrap()
}

pub fn names(records: &RunRecords) -> BTreeSet<i64> {
    records
        .spans
        .iter()
        .map(|span| i64::from_be_bytes(span.span.span_id.to_bytes()))
        .collect()
}

pub fn a_trace_is_a_run_if_an_agent_a_model_a_search_or_a_tool_is_in_it<F: Fixture>() {
    let Some(open) = Open::<F>::that(|_| true) else {
        return;
    };
    let db = open.store();
    store::<F>(
        db,
        records(vec![span(1, 1, 0, "GET /books"), span(1, 2, 1, "select")]),
    );
    assert_eq!(list(db, RunFilter::default()).total, 0);
    store::<F>(db, records(vec![agent(2, 1, 0, None), chat(2, 2, 1)]));
    store::<F>(db, records(vec![span(3, 1, 0, "GET /ask"), chat(3, 2, 1)]));
    store::<F>(
        db,
        records(vec![with(span(4, 1, 0, "job"), &[("task_id", "t-4")])]),
    );
    let page = list(db, RunFilter::default());
    assert_eq!(page.total, 3);
    let by_task: BTreeMap<&str, _> = page.runs.iter().map(|run| (run.task_id.as_str(), run)).collect();
    let run = by_task[trace_id(2).to_string().as_str()];
    assert_eq!(
        (
            run.agent_id.as_str(),
            run.session_id.as_str(),
            run.user_id.as_str(),
            run.name.as_str()
        ),
        ("librarian", "s-1", "ada", "invoke_agent librarian")
    );
    assert_eq!(
        (run.status, run.span_count, run.error_count),
        (RunStatus::Completed, 2, 0)
    );
    assert!(run.completed_at.is_some() && run.tenant_id == "default");
    assert_eq!(
        by_task[trace_id(3).to_string().as_str()].name,
        "GET /ask",
        "called by its root"
    );
    assert_eq!(by_task["t-4"].trace_id, trace_id(4));
    // The id of a trace finds any trace.
    assert_eq!(names(&read(db, &trace_id(1).to_string(), RunRange::ALL)).len(), 2);
    assert_eq!(
        read(db, &trace_id(4).to_string(), RunRange::ALL).info.task_id,
        "t-4"
    );
}

pub fn every_filter_has_true_totals_and_pages_that_meet<F: Fixture>() {
    let Some(open) = Open::<F>::that(|_| true) else {
        return;
    };
    let db = open.store();
    for number in 1..=30_u128 {
        let task = format!("t-{number}");
        let mut root = agent(number, 1, 0, Some(&task));
        if number % 3 == 0 {
            root = failed(root);
        }
        if number % 5 == 0 {
            root.attributes.set("user_id", "bob");
        }
        if number % 10 == 0 {
            root.attributes.set("agent_id", "other");
        }
        root.start_time = ago(i64::try_from(number).unwrap() * 60_000);
        root.end_time = Some(Timestamp::from_nanos(root.start_time.as_nanos() + MS));
        store::<F>(db, records(vec![root]));
    }
    let total = |filter| list(db, filter).total;
    let all = RunFilter::default();
    assert_eq!(total(all.clone()), 30);
    let agent = |agent: &str| RunFilter::default().agent_id(agent.to_owned());
    assert_eq!(
        (
            total(agent("librarian")),
            total(agent("other")),
            total(agent("none"))
        ),
        (27, 3, 0)
    );
    let user = |user: &str| RunFilter::default().user_id(user.to_owned());
    assert_eq!((total(user("ada")), total(user("bob"))), (24, 6));
    let session = RunFilter::default().session_id("s-1".to_owned());
    assert_eq!(total(session), 30);
    let status = |status| RunFilter::default().status(status);
    assert_eq!(
        (
            total(status(RunStatus::Failed)),
            total(status(RunStatus::Completed))
        ),
        (10, 20)
    );
    assert_eq!(
        (
            total(status(RunStatus::Running)),
            total(status(RunStatus::Abandoned))
        ),
        (0, 0)
    );
    let middle = RunFilter::default()
        .since(ago(20 * 60_000 + 30_000))
        .until(ago(10 * 60_000 + 30_000));
    assert_eq!(total(middle), 10);
    let mut seen = Vec::new();
    for page in 0..4 {
        let page = list(db, RunFilter::default().limit(8).offset(page * 8));
        assert_eq!(page.total, 30);
        seen.extend(page.runs.into_iter().map(|run| run.task_id));
    }
    let expected: Vec<String> = (1..=30).map(|number| format!("t-{number}")).collect();
    assert_eq!(seen, expected, "newest first, none twice, none missing");
}

pub fn a_run_changes_from_running_to_its_end_in_every_order_of_spans<F: Fixture>() {
    let Some(open) = Open::<F>::that(|can| can.running_spans) else {
        return;
    };
    let db = open.store();
    let status = |task: &str| {
        let of_list = list(db, RunFilter::default());
        let of_list = of_list
            .runs
            .iter()
            .find(|run| run.task_id == task)
            .map(|run| run.status);
        let of_run = read(db, task, RunRange::ALL).info.status;
        assert_eq!(of_list, Some(of_run));
        let by_filter = list(db, RunFilter::default().status(of_run));
        assert!(tasks(&by_filter).contains(&task));
        of_run
    };
    store::<F>(db, records(vec![running(agent(1, 1, 0, Some("a")))]));
    assert_eq!(status("a"), RunStatus::Running);
    store::<F>(db, records(vec![chat(1, 2, 1)]));
    assert_eq!(status("a"), RunStatus::Running);
    store::<F>(db, records(vec![failed(agent(1, 1, 0, Some("a")))]));
    assert_eq!(status("a"), RunStatus::Failed);

    // Spans are sent when they end: children before their parents, and the root last.
    let task = trace_id(2).to_string();
    let mut child = chat(2, 2, 1);
    child.start_time = ago(10);
    child.end_time = Some(ago(5));
    store::<F>(db, records(vec![child]));
    assert_eq!(status(&task), RunStatus::Running, "its root may be on its way");
    store::<F>(db, records(vec![agent(2, 1, 0, None)]));
    assert_eq!(status(&task), RunStatus::Completed);
    assert_eq!(
        list(db, RunFilter::default()).runs[0].name,
        "invoke_agent librarian"
    );
    // The root has ended, but one of its descendants has not.
    store::<F>(
        db,
        records(vec![agent(3, 1, 0, Some("c")), running(chat(3, 2, 1))]),
    );
    assert_eq!(status("c"), RunStatus::Running);
}

pub fn runs_of_one_trace_are_distinguished_by_their_task_ids<F: Fixture>() {
    let Some(open) = Open::<F>::that(|_| true) else {
        return;
    };
    let db = open.store();
    store::<F>(
        db,
        records(vec![
            span(1, 1, 0, "evaluate"),
            agent(1, 2, 1, Some("first")),
            chat(1, 3, 2),
            failed(agent(1, 4, 1, Some("second"))),
            chat(1, 5, 4),
        ]),
    );
    let page = list(db, RunFilter::default());
    assert_eq!(page.total, 2);
    assert_eq!(
        BTreeSet::from_iter(tasks(&page)),
        BTreeSet::from(["first", "second"])
    );
    let statuses: BTreeMap<&str, RunStatus> = page
        .runs
        .iter()
        .map(|run| (run.task_id.as_str(), run.status))
        .collect();
    assert_eq!(statuses["first"], RunStatus::Completed);
    assert_eq!(statuses["second"], RunStatus::Failed);
    assert!(read(db, "first", RunRange::ALL).is_shared);
    assert!(!read(db, &trace_id(1).to_string(), RunRange::ALL).is_shared);
    if !db.capabilities().deletes {
        return;
    }

    assert_eq!(block_on(db.delete_run("second".to_owned())).unwrap(), 2);
    assert!(
        block_on(db.run_records("second".to_owned(), RunRange::ALL))
            .unwrap_err()
            .is_not_found()
    );
    let left = read(db, "first", RunRange::ALL);
    assert!(!left.is_shared);
    assert_eq!(names(&left), BTreeSet::from([1, 2, 3]));
    assert_eq!((left.info.span_count, left.info.error_count), (3, 0));
}

pub fn a_task_that_continues_in_another_trace_is_one_run<F: Fixture>() {
    let Some(open) = Open::<F>::that(|_| true) else {
        return;
    };
    let db = open.store();
    store::<F>(db, records(vec![agent(1, 1, 0, Some("job")), chat(1, 2, 1)]));
    let mut later = failed(agent(2, 7, 0, Some("job")));
    later.start_time = ago(1000);
    later.end_time = Some(ago(900));
    store::<F>(db, records(vec![later]));
    let page = list(db, RunFilter::default());
    assert_eq!((page.total, tasks(&page)), (1, vec!["job"]));
    let run = &page.runs[0];
    assert_eq!(
        (run.span_count, run.status),
        (3, RunStatus::Failed),
        "as the later part went out"
    );
    let records = read(db, "job", RunRange::ALL);
    assert_eq!(records.traces, [trace_id(1), trace_id(2)]);
    assert_eq!(names(&records), BTreeSet::from([1, 2, 7]));
    if db.capabilities().deletes {
        assert_eq!(block_on(db.delete_run("job".to_owned())).unwrap(), 3);
        assert_eq!(list(db, RunFilter::default()).total, 0);
    }
}

pub fn no_tenant_sees_or_deletes_the_runs_of_another<F: Fixture>() {
    let Some(open) = Open::<F>::that(|can| can.tenants) else {
        return;
    };
    let db = open.store();
    let acme = db.for_tenant(&"acme".parse().unwrap());
    let other = db.for_tenant(&"other".parse().unwrap());
    store::<F>(&*acme, records(vec![agent(1, 1, 0, Some("same")), chat(1, 2, 1)]));
    store::<F>(&*other, records(vec![agent(1, 1, 0, Some("same"))]));
    store::<F>(&*acme, records(vec![agent(5, 1, 0, Some("only acme's"))]));
    assert_eq!(
        (
            list(&*acme, RunFilter::default()).total,
            list(&*other, RunFilter::default()).total
        ),
        (2, 1)
    );
    assert_eq!(
        list(db, RunFilter::default()).total,
        3,
        "two tenants may call a task the same"
    );
    assert_eq!(names(&read(&*other, "same", RunRange::ALL)), BTreeSet::from([1]));
    for task in ["only acme's".to_owned(), trace_id(5).to_string()] {
        assert!(
            block_on(other.run_records(task.clone(), RunRange::ALL))
                .unwrap_err()
                .is_not_found()
        );
        if db.capabilities().deletes {
            assert!(block_on(other.delete_run(task)).unwrap_err().is_not_found());
        }
    }
    if !db.capabilities().deletes {
        return;
    }
    assert_eq!(block_on(other.delete_runs_before(ago(0))).unwrap(), 1);
    assert_eq!(
        (
            list(&*acme, RunFilter::default()).total,
            list(&*other, RunFilter::default()).total
        ),
        (2, 0)
    );
}

pub fn a_cleanup_takes_runs_that_ended_before_and_leaves_other_traces<F: Fixture>() {
    let Some(open) = Open::<F>::that(|can| can.deletes) else {
        return;
    };
    let db = open.store();
    let at = |mut span: Span, minutes: i64| {
        span.start_time = ago(minutes * 60_000);
        span.end_time = Some(Timestamp::from_nanos(span.start_time.as_nanos() + MS));
        span
    };
    store::<F>(db, records(vec![at(agent(1, 1, 0, Some("old")), 90)]));
    store::<F>(db, records(vec![at(agent(2, 1, 0, Some("new")), 5)]));
    store::<F>(db, records(vec![at(span(3, 1, 0, "GET /books"), 90)]));
    assert_eq!(block_on(db.delete_runs_before(ago(60 * 60_000))).unwrap(), 1);
    assert_eq!(tasks(&list(db, RunFilter::default())), ["new"]);
    assert_eq!(block_on(db.trace_spans(trace_id(3))).unwrap().len(), 1);
    assert_eq!(block_on(db.delete_runs_before(ago(60 * 60_000))).unwrap(), 0);
}

pub fn new_records_are_read_once_and_a_range_is_always_the_same<F: Fixture>() {
    let Some(open) = Open::<F>::that(|can| can.running_spans) else {
        return;
    };
    let db = open.store();
    let mut cursor = Cursor::default();
    let mut pages = Vec::new();
    let mut read_on = || {
        let range = RunRange::ALL.after(cursor).upto(None::<Cursor>).limit(100);
        let page = read(db, "t", range);
        let before = std::mem::replace(&mut cursor, page.upto);
        pages.push((before, page.clone()));
        page
    };
    store::<F>(
        db,
        records(vec![running(agent(1, 1, 0, Some("t"))), chat(1, 2, 1)]),
    );
    let first = read_on();
    assert_eq!((first.spans.len(), first.ended.len(), first.open), (2, 0, 1));
    assert!(first.alive);
    let mut log = event(Some(1), "something happened");
    log.event.span_id = Some(span_id(2));
    log.event.severity = Severity::Error;
    let mut of_event = SourceRecords::default();
    of_event.events.push(log);
    of_event
        .events
        .extend((0..50).map(|_| event(Some(1), "of no interest to a run")));
    store::<F>(db, of(of_event));
    store::<F>(db, records(vec![running(chat(1, 3, 1))]));
    let second = read_on();
    assert_eq!(
        (second.spans.len(), second.ended.len(), second.events.len()),
        (1, 0, 1)
    );
    store::<F>(db, records(vec![chat(1, 3, 1), agent(1, 1, 0, Some("t"))]));
    let third = read_on();
    assert_eq!((third.spans.len(), third.ended.len(), third.open), (0, 2, 0));
    let nothing = read_on();
    assert_eq!(
        (nothing.spans.len(), nothing.ended.len(), nothing.events.len()),
        (0, 0, 0)
    );
    assert_eq!(nothing.upto, third.upto);

    // A reader that returns with a cursor sees the run in its state at that cursor: a later end
    // comes later.
    for (after, page) in &pages {
        let again = read(
            db,
            "t",
            RunRange::ALL.after(*after).upto(page.upto).limit(u64::MAX),
        );
        let ends = |page: &RunRecords| -> Vec<_> {
            let end = |span: &RunSpan| (span.order, span.span.end_time, span.span.status, span.span.state);
            page.spans.iter().map(end).collect()
        };
        assert_eq!(ends(&again), ends(page));
        assert_eq!(again.ended.len(), page.ended.len());
        assert_eq!(again.events, page.events);
        assert_eq!(again.upto, page.upto);
    }
    let was_running = |page: &RunRecords| page.spans.iter().any(|span| span.span.end_time.is_none());
    assert_eq!((was_running(&first), was_running(&second)), (true, true));
    // In pages the result is the same.
    let mut cursor = Cursor::default();
    let mut pieces = Vec::new();
    loop {
        let range = RunRange::ALL.after(cursor).upto(None::<Cursor>).limit(1);
        let piece = read(db, "t", range);
        cursor = piece.upto;
        pieces.extend(piece.spans.iter().map(|span| span.order));
        if !piece.more {
            assert_eq!(
                piece.ended.len() + piece.spans.len(),
                2,
                "the last span, and the end of the first"
            );
            break;
        }
    }
    assert_eq!(pieces.len(), 3);
}

pub fn a_run_that_holds_other_runs_is_deleted_with_them_and_its_numbers_are_not_given_again<F: Fixture>() {
    let Some(open) = Open::<F>::that(|can| can.deletes) else {
        return;
    };
    let db = open.store();
    store::<F>(
        db,
        records(vec![agent(1, 1, 0, Some("outer")), agent(1, 2, 1, Some("inner"))]),
    );
    let before = read(db, "outer", RunRange::ALL);
    assert!(before.is_shared);
    assert_eq!(block_on(db.delete_run("outer".to_owned())).unwrap(), 2);
    assert_eq!(list(db, RunFilter::default()).total, 0);
    assert!(block_on(db.trace_spans(trace_id(1))).unwrap_err().is_not_found());
    store::<F>(db, records(vec![agent(1, 3, 0, Some("outer"))]));
    let since = |cursor| RunRange::ALL.after(cursor);
    let after = read(db, "outer", since(before.upto));
    assert_eq!(after.spans.len(), 1, "a follower sees what is new");
    block_on(db.delete_runs_before(ago(0))).unwrap();
    store::<F>(db, records(vec![agent(2, 1, 0, Some("next"))]));
    assert_eq!(read(db, "next", since(after.upto)).spans.len(), 1);
}

pub fn the_last_attempt_tells_how_a_task_went_out_in_lists_too<F: Fixture>() {
    let Some(open) = Open::<F>::that(|_| true) else {
        return;
    };
    let db = open.store();
    let at = |mut span: Span, ms: i64| {
        span.start_time = ago(ms);
        span.end_time = Some(Timestamp::from_nanos(span.start_time.as_nanos() + MS));
        span
    };
    // Below a request: a failed attempt, a successful attempt, and below that a failed agent with
    // the same task.
    store::<F>(
        db,
        records(vec![
            at(span(1, 1, 0, "POST /ask"), 9000),
            failed(at(agent(1, 2, 1, Some("t")), 8000)),
            at(agent(1, 3, 1, Some("t")), 7000),
            failed(at(agent(1, 4, 3, Some("t")), 6000)),
        ]),
    );
    assert_eq!(
        list(db, RunFilter::default()).runs[0].status,
        RunStatus::Completed
    );
    // A successful attempt, then a failed one.
    for span in [
        at(span(2, 1, 0, "POST /ask"), 9000),
        at(agent(2, 2, 1, Some("u")), 8000),
        failed(at(agent(2, 3, 1, Some("u")), 7000)),
    ] {
        store::<F>(db, records(vec![span]));
    }
    let failed_ones = RunFilter::default().status(RunStatus::Failed);
    assert_eq!(tasks(&list(db, failed_ones)), ["u"]);
}

pub fn filters_find_a_task_of_several_traces_by_what_is_shown_of_it<F: Fixture>() {
    let Some(open) = Open::<F>::that(|_| true) else {
        return;
    };
    let db = open.store();
    let bare = |trace, id| with(span(trace, id, 0, "job"), &[("task_id", "t")]);
    store::<F>(db, records(vec![with(bare(1, 1), &[("user_id", "ada")])]));
    store::<F>(
        db,
        records(vec![failed(with(
            bare(2, 2),
            &[("agent_id", "late"), ("session_id", "s")],
        ))]),
    );
    for filter in [
        RunFilter::default().agent_id("late".to_owned()),
        RunFilter::default().user_id("ada".to_owned()),
        RunFilter::default().session_id("s".to_owned()),
        RunFilter::default().status(RunStatus::Failed),
    ] {
        assert_eq!(tasks(&list(db, filter.clone())), ["t"], "{filter:?}");
    }
    let completed = RunFilter::default().status(RunStatus::Completed);
    assert_eq!(list(db, completed).total, 0);
}

pub fn a_cleanup_keeps_running_runs_and_counts_tasks<F: Fixture>() {
    let Some(open) = Open::<F>::that(|can| can.running_spans && can.deletes) else {
        return;
    };
    let db = open.store();
    store::<F>(db, records(vec![running(agent(1, 1, 0, Some("goes on")))]));
    for trace in 2..5 {
        store::<F>(db, records(vec![agent(trace, 1, 0, Some("in three traces"))]));
    }
    assert_eq!(block_on(db.delete_runs_before(ago(0))).unwrap(), 1);
    assert_eq!(tasks(&list(db, RunFilter::default())), ["goes on"]);
}

/// Spans of five traces, from which four runs are made; all were over ten minutes ago.
fn spans_of_runs() -> Vec<Span> {
    let begin = ago(600_000).as_nanos();
    let at = |mut span: Span, start: i64| {
        span.start_time = Timestamp::from_nanos(begin + start * MS);
        span.end_time = Some(Timestamp::from_nanos(begin + (start + 30) * MS));
        span
    };
    let agent = |trace, id, parent, name: &str, agent: &str| {
        let attributes = [
            ("gen_ai.operation.name", "invoke_agent"),
            ("gen_ai.agent.name", agent),
        ];
        let attributes: Vec<_> = attributes
            .into_iter()
            .filter(|(_, value)| !value.is_empty())
            .collect();
        with(span(trace, id, parent, name), &attributes)
    };
    let of_task = |span: Span, task: &str| with(span, &[("task_id", task)]);
    vec![
        // Without a root: a span of no run, a step that names an agent, and two agents.
        at(span(1, 1, 99, "request"), 0),
        at(with(chat(1, 2, 1), &[("gen_ai.agent.name", "of the step")]), 1),
        at(
            with(agent(1, 3, 1, "first", "first"), &[("session_id", "s-3")]),
            2,
        ),
        at(
            with(
                agent(1, 4, 1, "second", "second"),
                &[("session_id", "s-4"), ("user_id", "ada")],
            ),
            3,
        ),
        // A root of no run above two agents, of which the earlier is not named.
        at(span(2, 1, 0, "POST /ask"), 0),
        at(agent(2, 2, 1, "unnamed", ""), 1),
        at(agent(2, 3, 1, "named", "named"), 2),
        at(agent(2, 4, 3, "later", "later"), 3),
        // Attempts at one task: the first failed; in the second an agent failed.
        at(span(3, 1, 0, "POST /ask"), 0),
        at(failed(of_task(agent(3, 2, 1, "try 1", "one"), "t-3")), 1),
        at(of_task(agent(3, 3, 1, "try 2", "two"), "t-3"), 5),
        at(failed(of_task(agent(3, 4, 3, "inner", "inner"), "t-3")), 6),
        at(with(chat(3, 5, 4), &[("user_id", "ada")]), 7),
        // The third, below a span that names no task.
        at(of_task(agent(3, 6, 1, "try 3", "three"), "t-3"), 8),
        at(span(3, 7, 6, "between"), 9),
        at(failed(of_task(agent(3, 8, 7, "inner", "inner"), "t-3")), 10),
        // A task that continues in another trace, which does not name the agent.
        at(of_task(agent(4, 1, 0, "begin", "librarian"), "t-4"), 10),
        at(
            of_task(with(agent(5, 1, 0, "go on", ""), &[("session_id", "s-5")]), "t-4"),
            20,
        ),
    ]
}

pub fn a_run_is_the_same_in_every_order_of_its_spans<F: Fixture>() {
    let spans = spans_of_runs();
    let mut expected = None;
    let mut random = crate::filters::Random(3);
    for number in 0..12 {
        let Some(open) = Open::<F>::that(|_| true) else {
            return;
        };
        let db = open.store();
        let mut order: Vec<usize> = (0..spans.len()).collect();
        match number {
            0 => {}
            1 => order.reverse(),
            _ => (1..order.len()).for_each(|place| order.swap(place, random.below(place + 1))),
        }
        for place in &order {
            store::<F>(db, records(vec![spans[*place].clone()]));
        }
        let page = list(db, RunFilter::default());
        assert_eq!(page.total, 4);
        let totals = [
            "first",
            "named",
            "one",
            "librarian",
            "two",
            "of the step",
            "later",
        ]
        .map(|agent| list(db, RunFilter::default().agent_id(agent.to_owned())).total);
        assert_eq!(totals, [1, 1, 1, 1, 0, 0, 0], "{order:?}");
        let mut shown: Vec<_> = page
            .runs
            .into_iter()
            .map(|run| {
                let texts = [run.task_id, run.agent_id, run.session_id, run.user_id, run.name];
                (texts, run.created_at, run.status, run.span_count)
            })
            .collect();
        // Two of them began at the same time.
        shown.sort_by_key(|(texts, ..)| texts[4].clone());
        match &expected {
            None => expected = Some(shown),
            Some(expected) => assert_eq!(&shown, expected, "{order:?}"),
        }
    }
    let begin = spans[0].start_time;
    let expected = expected.unwrap_or_default();
    let of = |name: &str| {
        let found = expected.iter().find(|(texts, ..)| texts[4] == name);
        let (texts, start, status, _) = found.unwrap();
        let texts = [1, 2, 3].map(|place| texts[place].as_str());
        (texts, (start.as_nanos() - begin.as_nanos()) / MS, *status)
    };
    assert_eq!(of("second"), (["first", "s-3", "ada"], 0, RunStatus::Completed));
    assert_eq!(of("POST /ask"), (["named", "", ""], 0, RunStatus::Completed));
    assert_eq!(of("try 3"), (["one", "", ""], 1, RunStatus::Completed));
    assert_eq!(of("begin"), (["librarian", "s-5", ""], 10, RunStatus::Completed));
}
