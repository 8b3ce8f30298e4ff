//! The data of web pages: lists by cursor, histograms, shapes, completions.

use std::collections::{BTreeMap, BTreeSet};

use spanscope_model::filter::Filter;
use spanscope_model::{
    Completion, CompletionOf, CompletionQuery, Histogram, HistogramRange, LogFilter, Severity, Span,
    SpanFilter, SpanState, StoreError, StoreErrorKind, StoreFuture, Timestamp, TraceFilter, TraceStore,
    UsageBy, UsageQuery, block_on,
};

use crate::filters::{Random, records};
use crate::made::{MS, ago, failed, running, span, span_id, store, trace_id, with};
use crate::tenants::give_two_tenants;
use crate::{Fixture, Open};

const ALL: u64 = u32::MAX as u64;

/// Returns the result; `None`, with a line on stderr, if the store does not support the method.
pub(crate) fn answer<T>(future: StoreFuture<'_, T>) -> Option<Result<T, StoreError>> {
    match block_on(future) {
        Err(error) if error.kind() == StoreErrorKind::Unsupported => {
            eprintln!("skipped: {error}");
            None
        }
        answer => Some(answer),
    }
}

fn last_hour(buckets: u32) -> HistogramRange {
    HistogramRange {
        from: ago(3_600_000),
        to: ago(-1000),
        buckets,
    }
}

/// The sum of each series.
fn sums(histogram: &Histogram) -> BTreeMap<&'static str, u64> {
    let series = histogram.series.iter();
    series
        .map(|(name, counts)| (*name, counts.iter().sum()))
        .collect()
}

/// A store with spans, events and resources of all kinds.
fn filled<F: Fixture>() -> Option<Open<F>> {
    let mut can_run = false;
    let open = Open::<F>::that(|can| {
        can_run = can.running_spans;
        true
    })?;
    let (records, _) = records(&mut Random(7), can_run);
    store::<F>(open.store(), records);
    Some(open)
}

fn spans_of(store: &dyn TraceStore) -> Vec<Span> {
    block_on(store.list_spans(SpanFilter::default().limit(ALL))).unwrap()
}

pub fn pages_of_traces_by_cursor_are_the_list<F: Fixture>() {
    let Some(open) = Open::<F>::that(|_| true) else {
        return;
    };
    // Some traces start at the same time.
    let spans = (1..=30_u128).map(|trace| {
        let number = i64::try_from(trace).unwrap();
        let mut one = span(trace, number, 0, "root");
        one.start_time =
            Timestamp::from_nanos(ago(50_000).as_nanos() / MS / 1000 * MS * 1000 + number / 7 * MS);
        one.end_time = Some(Timestamp::from_nanos(one.start_time.as_nanos() + MS));
        one
    });
    store::<F>(open.store(), crate::made::records(spans.collect()));
    let ids = |filter: TraceFilter| -> Vec<_> {
        let found = block_on(open.store().list_traces(filter)).unwrap();
        let traces = found.into_iter().map(|found| found.trace);
        traces.map(|trace| (trace.start_time, trace.trace_id)).collect()
    };
    let whole = ids(TraceFilter::default());
    assert_eq!(whole.len(), 30);
    for limit in [1, 4, 30] {
        let mut paged = Vec::new();
        loop {
            let page = ids(TraceFilter::default().before(paged.last().copied()).limit(limit));
            if page.is_empty() {
                break;
            }
            paged.extend(page);
        }
        assert_eq!(paged, whole, "pages of {limit}");
    }
}

pub fn running_traces_are_listed_by_themselves<F: Fixture>() {
    let Some(open) = Open::<F>::that(|can| can.running_spans) else {
        return;
    };
    let spans = vec![
        span(1, 1, 0, "ended"),
        running(span(2, 2, 0, "runs")),
        span(3, 3, 0, "ended"),
        running(span(3, 4, 3, "part of it runs")),
    ];
    store::<F>(open.store(), crate::made::records(spans));
    let listed = |running| {
        let filter = TraceFilter::default().running(running);
        let found = block_on(open.store().list_traces(filter)).unwrap();
        let all: BTreeSet<_> = found
            .iter()
            .map(|trace| (trace.trace.trace_id, trace.state))
            .collect();
        all
    };
    let expected: BTreeSet<_> = listed(false)
        .into_iter()
        .filter(|(_, state)| *state == SpanState::Running)
        .collect();
    assert_eq!(listed(true), expected);
    assert!(expected.len() < 3);
}

pub fn a_histogram_counts_each_trace_once_in_its_time<F: Fixture>() {
    let Some(open) = filled::<F>() else { return };
    let store = open.store();
    let range = last_hour(60);
    let Some(histogram) = answer(store.trace_histogram(TraceFilter::default(), range)) else {
        return;
    };
    let histogram = histogram.unwrap();
    assert_eq!(histogram.every, 1);
    assert!(histogram.series.iter().all(|(_, counts)| counts.len() == 60));
    let filters = ["", "status=error", "name~tool", "k=5", "trace.errors>1"];
    for text in filters {
        let filter = TraceFilter::default().filter(text.parse().unwrap()).limit(ALL);
        let listed = block_on(store.list_traces(filter.clone())).unwrap();
        let mut expected = BTreeMap::from([("ok", 0), ("error", 0), ("running", 0)]);
        for trace in &listed {
            let word = match (trace.error_count, trace.trace.end_time) {
                (1.., _) => "error",
                (_, None) => "running",
                _ => "ok",
            };
            *expected.get_mut(word).unwrap() += 1;
        }
        let found = block_on(store.trace_histogram(filter.clone(), range)).unwrap();
        assert_eq!(sums(&found), expected, "{text}");
        // Each is in the bucket of its start.
        for trace in listed {
            let start = trace.trace.start_time.as_nanos() - range.from.as_nanos();
            let bucket = usize::try_from(start / range.step_nanos()).unwrap();
            assert!(found.series.iter().any(|(_, counts)| counts[bucket] > 0));
        }
    }
    let wrong = HistogramRange { buckets: 0, ..range };
    let backwards = HistogramRange {
        to: range.from,
        ..range
    };
    for range in [wrong, backwards] {
        let error = block_on(store.trace_histogram(TraceFilter::default(), range)).unwrap_err();
        assert!(error.is_invalid_input());
        let error = block_on(store.log_histogram(LogFilter::default(), range)).unwrap_err();
        assert!(error.is_invalid_input());
    }
}

pub fn a_histogram_of_logs_counts_what_is_listed<F: Fixture>() {
    let Some(open) = filled::<F>() else { return };
    let store = open.store();
    let range = last_hour(10);
    let one = spans_of(store)[0].trace_id;
    let filters = [
        LogFilter::default(),
        LogFilter::default().min_severity(Severity::Warn),
        LogFilter::default().filter("refused category=tools".parse().unwrap()),
        LogFilter::default().service("bank".to_owned()),
        LogFilter::default().trace_id(one),
    ];
    for filter in filters {
        let Some(found) = answer(store.log_histogram(filter.clone(), range)) else {
            return;
        };
        let listed = block_on(store.list_logs(filter.clone().limit(ALL))).unwrap();
        let mut expected: BTreeMap<&str, u64> = Severity::ALL
            .iter()
            .map(|severity| (severity.as_str(), 0))
            .collect();
        for event in listed {
            *expected.get_mut(event.severity.as_str()).unwrap() += 1;
        }
        assert_eq!(sums(&found.unwrap()), expected, "{filter:?}");
    }
}

pub fn the_oldest_logs_can_be_chosen_in_place_of_the_newest<F: Fixture>() {
    let Some(open) = filled::<F>() else { return };
    let list = |oldest, limit, since| {
        let filter = LogFilter::default().oldest(oldest).limit(limit).since(since);
        block_on(open.store().list_logs(filter)).unwrap()
    };
    let all = list(false, ALL, None);
    assert_eq!(list(true, ALL, None), all);
    assert_eq!(list(true, 5, None), all[..5]);
    assert_eq!(list(false, 5, None), all[all.len() - 5..]);
    let since = all[all.len() / 2].timestamp;
    let from_then: Vec<_> = all
        .iter()
        .filter(|event| event.timestamp >= since)
        .cloned()
        .collect();
    assert_eq!(list(true, 3, Some(since)), from_then[..3]);
}

pub fn a_shape_has_the_spans_of_the_trace<F: Fixture>() {
    let Some(open) = filled::<F>() else { return };
    let store = open.store();
    let traces: BTreeSet<_> = spans_of(store).iter().map(|span| span.trace_id).collect();
    for trace in traces {
        let Some(shape) = answer(store.trace_shape(trace, 5)) else {
            return;
        };
        let shape = shape.unwrap();
        let spans = block_on(store.trace_spans(trace)).unwrap();
        let mut expected: Vec<_> = spans
            .iter()
            .map(|span| {
                let nanos = span
                    .end_time
                    .map(|end| end.as_nanos() - span.start_time.as_nanos());
                let times = (span.start_time, nanos);
                let ids = (span.span_id, span.parent_span_id);
                let texts = (span.name.clone(), span.service_name.clone());
                (ids, texts, times, span.status, span.state, span.kind)
            })
            .collect();
        let mut found: Vec<_> = shape
            .spans
            .iter()
            .map(|span| {
                let texts = (
                    shape.names[span.name as usize].clone(),
                    shape.services[span.service as usize].clone(),
                );
                let times = (span.start, span.duration_nanos);
                let ids = (span.span_id, span.parent_span_id);
                (ids, texts, times, span.status, span.state, span.kind)
            })
            .collect();
        expected.sort_by_key(|span| span.0);
        found.sort_by_key(|span| span.0);
        assert_eq!(found, expected);
        let numbers: BTreeSet<u64> = shape.spans.iter().map(|span| span.number).collect();
        assert_eq!(numbers.len(), shape.spans.len(), "numbers tell rows apart");
        let events = block_on(store.list_logs(LogFilter::default().trace_id(trace).limit(ALL))).unwrap();
        let of_spans = events.iter().filter(|event| event.span_id.is_some()).count() as u64;
        assert_eq!(shape.events.len() as u64, of_spans.min(5));
        assert_eq!(shape.more_events, of_spans.saturating_sub(5));
        // No record of the shape is after its cursor.
        let filter = spanscope_model::StoredFilter::default().trace_id(trace);
        let later = block_on(store.stored_after(shape.upto, filter, 10)).unwrap();
        assert!(later.spans.is_empty() && later.ended.is_empty() && later.events.is_empty());
    }
    assert!(
        block_on(store.trace_shape(trace_id(404), 5))
            .unwrap_err()
            .is_not_found()
    );
}

pub fn a_shape_says_what_each_span_does_and_the_tokens_it_used<F: Fixture>() {
    let Some(open) = Open::<F>::that(|_| true) else {
        return;
    };
    let mut call = with(
        span(1, 2, 1, "chat"),
        &[
            ("gen_ai.operation.name", "chat"),
            ("gen_ai.request.model", "tiny"),
        ],
    );
    call.attributes.set("gen_ai.usage.input_tokens", 396);
    call.attributes.set("gen_ai.usage.output_tokens", 29);
    let spans = vec![
        span(1, 1, 0, "root"),
        call,
        with(
            span(1, 3, 1, "tool"),
            &[("gen_ai.operation.name", "execute_tool")],
        ),
    ];
    store::<F>(open.store(), crate::made::records(spans));
    let Some(shape) = answer(open.store().trace_shape(trace_id(1), 0)) else {
        return;
    };
    let shape = shape.unwrap();
    let steps: BTreeMap<_, _> = shape.spans.iter().map(|span| (span.span_id, span.step)).collect();
    let expected = [(span_id(1), "node"), (span_id(2), "llm"), (span_id(3), "tool")];
    assert_eq!(steps, BTreeMap::from(expected));
    let usage: u64 = shape.usage.iter().map(|usage| usage.input + usage.output).sum();
    let rows = block_on(
        open.store()
            .usage(UsageQuery::new(UsageBy::Model).trace_id(trace_id(1))),
    )
    .unwrap();
    assert_eq!(usage, rows.iter().map(|row| row.input + row.output).sum::<u64>());
    assert!(
        shape
            .usage
            .iter()
            .all(|usage| usage.span_id == span_id(2) && usage.model == "tiny")
    );
    assert_eq!(
        block_on(open.store().trace_usage(trace_id(1))).unwrap(),
        shape.usage
    );
    assert_eq!(block_on(open.store().trace_usage(trace_id(404))).unwrap(), []);
    let overview = block_on(open.store().trace_overviews(vec![trace_id(404), trace_id(1)])).unwrap();
    assert_eq!(overview.len(), 1);
    assert_eq!(overview[0].usage, rows);
}

pub fn an_overview_names_the_first_error_and_the_run<F: Fixture>() {
    let Some(open) = Open::<F>::that(|_| true) else {
        return;
    };
    let mut late = failed(span(1, 3, 1, "late"));
    late.status_message = Some("much later".to_owned());
    let mut first = failed(span(1, 2, 1, "weather"));
    first.status_message = Some("weather_unavailable".to_owned());
    let root = with(
        span(1, 1, 0, "invoke_agent librarian"),
        &[
            ("gen_ai.operation.name", "invoke_agent"),
            ("gen_ai.agent.name", "librarian"),
            ("session_id", "s-1"),
            ("task_id", "t-1"),
        ],
    );
    let spans = vec![late, first, root, span(2, 4, 0, "plain")];
    store::<F>(open.store(), crate::made::records(spans));
    let ids = vec![trace_id(2), trace_id(1)];
    let Some(found) = answer(open.store().trace_overviews(ids)) else {
        return;
    };
    let found = found.unwrap();
    assert_eq!(found[0].trace_id, trace_id(2));
    assert_eq!((&found[0].error, &found[0].run), (&None, &None));
    let error = found[1].error.as_ref().unwrap();
    assert_eq!((error.span_id, error.name.as_str()), (span_id(2), "weather"));
    assert_eq!(error.message, "weather_unavailable");
    let run = found[1].run.as_ref().unwrap();
    assert_eq!((run.task_id.as_str(), run.session_id.as_str()), ("t-1", "s-1"));
    assert_eq!((run.agent_id.as_str(), run.user_id.as_str()), ("librarian", ""));
}

pub fn a_search_in_a_trace_finds_what_the_list_finds<F: Fixture>() {
    let Some(open) = filled::<F>() else { return };
    let store = open.store();
    let traces: BTreeSet<_> = spans_of(store).iter().map(|span| span.trace_id).collect();
    for text in [
        "refused",
        "tool",
        "k=*",
        "status=error",
        "-name~chat duration>1s",
        "",
    ] {
        let filter: Filter = text.parse().unwrap();
        for &trace in &traces {
            let Some(found) = answer(store.find_spans(trace, filter.clone(), ALL)) else {
                return;
            };
            let found = found.unwrap();
            assert_eq!(found.numbers.len() as u64, found.total);
            let shape = block_on(store.trace_shape(trace, 0)).unwrap();
            let by_number: BTreeMap<u64, _> = shape
                .spans
                .iter()
                .map(|span| (span.number, span.span_id))
                .collect();
            let found: BTreeSet<_> = found.numbers.iter().map(|number| by_number[number]).collect();
            let within = SpanFilter::default()
                .filter(format!("{text} trace={trace}").parse().unwrap())
                .limit(ALL);
            let listed = block_on(store.list_spans(within)).unwrap();
            let listed: BTreeSet<_> = listed.iter().map(|span| span.span_id).collect();
            assert_eq!(found, listed, "{text} in {trace}");
            let one = block_on(store.find_spans(trace, filter.clone(), 1)).unwrap();
            assert_eq!(one.numbers.len(), listed.len().min(1));
            assert_eq!(one.total, listed.len() as u64);
        }
    }
    let missing = block_on(store.find_spans(trace_id(404), Filter::default(), 1));
    assert!(missing.unwrap_err().is_not_found());
}

fn complete(store: &dyn TraceStore, of: CompletionOf, key: &str, part: &str) -> Option<Vec<Completion>> {
    let query = CompletionQuery::new(of, 50).key(key).part(part);
    Some(answer(store.completions(query))?.unwrap())
}

pub fn completions_are_texts_that_are_stored<F: Fixture>() {
    let Some(open) = Open::<F>::that(|_| true) else {
        return;
    };
    let store = open.store();
    let mut spans = Vec::new();
    for number in 1..=6 {
        let model = if number <= 4 { "gpt-4o" } else { "llama \"3\"" };
        let mut one = with(
            span(1, number, 0, if number == 1 { "GET /models" } else { "chat" }),
            &[("gen_ai.request.model", model)],
        );
        one.category = Some("inference".to_owned());
        one.attributes.set("gen_ai.usage.output_tokens", number);
        one.attributes.set("is_last", number == 6);
        spans.push(one);
    }
    let mut records = crate::made::records(spans);
    records.sources[0].source.service_name = "library".to_owned();
    crate::made::store::<F>(store, records);
    let is_typed = store.capabilities().typed_attributes;
    let kind = |kind| if is_typed { kind } else { 's' };
    let texts = |of, key: &str, part: &str| -> Option<Vec<(String, u64, char)>> {
        let found = complete(store, of, key, part)?;
        Some(
            found
                .into_iter()
                .map(|found| (found.text, found.count, found.kind))
                .collect(),
        )
    };
    let Some(keys) = texts(CompletionOf::Key, "", "MODEL") else {
        return;
    };
    assert_eq!(keys, [("gen_ai.request.model".to_owned(), 6, 's')]);
    let all = |of, key: &str, part: &str| texts(of, key, part).unwrap();
    assert_eq!(
        all(CompletionOf::Key, "", "is_l"),
        [("is_last".to_owned(), 6, kind('b'))]
    );
    assert_eq!(
        all(CompletionOf::Value, "gen_ai.request.model", ""),
        [("gpt-4o".to_owned(), 4, 's'), ("llama \"3\"".to_owned(), 2, 's')]
    );
    assert_eq!(
        all(CompletionOf::Value, "gen_ai.usage.output_tokens", "6"),
        [("6".to_owned(), 1, kind('i'))]
    );
    assert_eq!(
        all(CompletionOf::Value, "is_last", "t"),
        [("true".to_owned(), 1, kind('b'))]
    );
    assert_eq!(all(CompletionOf::Value, "no.such'key\"", ""), []);
    // Texts that begin with the part come first, even if they are rare.
    assert_eq!(
        all(CompletionOf::Name, "", "ge"),
        [("GET /models".to_owned(), 1, 's')]
    );
    let letters: Vec<_> = all(CompletionOf::Name, "", "")
        .into_iter()
        .map(|found| found.0)
        .collect();
    assert_eq!(letters, ["chat", "GET /models"]);
    assert_eq!(
        all(CompletionOf::Service, "", "LIB"),
        [("library".to_owned(), 6, 's')]
    );
    assert_eq!(
        all(CompletionOf::Category, "", "inf"),
        [("inference".to_owned(), 6, 's')]
    );
}

pub fn a_duration_is_compared_with_those_of_its_name<F: Fixture>() {
    let Some(open) = Open::<F>::that(|_| true) else {
        return;
    };
    let spans = (1..=100).map(|number| {
        let name = if number % 2 == 0 { "chat" } else { "other" };
        let mut one = span(1, number, 0, name);
        one.end_time = Some(Timestamp::from_nanos(one.start_time.as_nanos() + number * MS));
        one
    });
    let mut spans: Vec<_> = spans.collect();
    let mut old = span(1, 200, 0, "chat");
    old.start_time = ago(100_000_000);
    spans.push(old);
    store::<F>(open.store(), crate::made::records(spans));
    let since = ago(3_600_000);
    let rank = |name: &str, nanos| open.store().duration_rank(name.to_owned(), since, nanos);
    let Some(found) = answer(rank("chat", 91 * MS as u64)) else {
        return;
    };
    let found = found.unwrap();
    assert_eq!((found.count, found.faster), (50, 45));
    assert_eq!(found.p50_nanos, 50 * MS as u64);
    assert_eq!(found.p95_nanos, 96 * MS as u64);
    assert_eq!(block_on(rank("no such name", 1)).unwrap().count, 0);
}

pub fn pages_show_a_tenant_nothing_of_another_one<F: Fixture>() {
    let Some(open) = Open::<F>::that(|can| can.tenants) else {
        return;
    };
    let [acme, other] = give_two_tenants::<F>(open.store());
    let range = last_hour(4);
    for (tenant, name, traces) in [(&acme, "of acme", 1), (&other, "of other", 2)] {
        let tenant = &**tenant;
        let Some(shape) = answer(tenant.trace_shape(trace_id(1), 100)) else {
            return;
        };
        let shape = shape.unwrap();
        assert_eq!((shape.spans.len(), &shape.names), (2, &vec![name.to_owned()]));
        assert_eq!(shape.services, [name]);
        let histogram = block_on(tenant.trace_histogram(TraceFilter::default(), range)).unwrap();
        assert_eq!(sums(&histogram).values().sum::<u64>(), traces);
        let logs = block_on(tenant.log_histogram(LogFilter::default(), range)).unwrap();
        assert_eq!(sums(&logs).values().sum::<u64>(), 2);
        let found = block_on(tenant.find_spans(trace_id(1), Filter::default(), 10)).unwrap();
        assert_eq!(found.total, 2);
        let overviews = block_on(tenant.trace_overviews(vec![trace_id(1), trace_id(9)])).unwrap();
        assert_eq!(overviews.len() as u64, traces);
        let names = complete(tenant, CompletionOf::Name, "", "of").unwrap();
        assert!(names.len() == 1 && names[0].text == name && names[0].count == 2);
        for of in CompletionOf::ALL {
            let found = complete(tenant, *of, "session_id", "").unwrap();
            let theirs = if name == "of acme" { "of other" } else { "of acme" };
            assert!(found.iter().all(|found| found.text != theirs), "{of}");
            assert!(name == "of other" || found.iter().all(|found| found.text != "secret"));
        }
        let rank = block_on(tenant.duration_rank(name.to_owned(), ago(3_600_000), 1)).unwrap();
        assert_eq!(rank.count, 2);
    }
    let stranger = open.store().for_tenant(&"stranger".parse().unwrap());
    for future in [
        acme.trace_shape(trace_id(9), 1),
        stranger.trace_shape(trace_id(1), 1),
    ] {
        assert!(block_on(future).unwrap_err().is_not_found());
    }
    let found = block_on(acme.find_spans(trace_id(9), Filter::default(), 10));
    assert!(found.unwrap_err().is_not_found());
}
