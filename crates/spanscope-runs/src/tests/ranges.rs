//! A run that is read in parts has the same events as one that is read at once.

use super::*;
use crate::{DetailLevel, RunReader};

/// A run with spans in random order, parents that are missing or each other's, ends that are stored
/// with the start, later or never.
struct Stored {
    records: RunRecords,
    /// By span: when its end was stored, if that was after its start.
    ends: Vec<Option<u64>>,
}

impl Stored {
    fn random(random: &mut fastrand::Rng) -> Self {
        let count = random.u64(1..30);
        let mut spans = Vec::new();
        for id in 1..=count {
            let parent = random.u64(0..count + 4);
            let start = random.i64(0..100);
            let kinds = [
                "invoke_agent",
                "chat",
                "execute_tool",
                "retrieval",
                "plan",
                "other",
            ];
            let mut made = span(
                id,
                parent,
                "step",
                start..start + random.i64(-5..50),
                &[operation(kinds[random.usize(..6)])],
            );
            if random.bool() {
                made.attributes.set("output", "done");
            }
            if random.u8(..5) == 0 {
                made = failed(made, "because");
            }
            if random.u8(..6) == 0 {
                made = open(made);
            }
            spans.push(made);
        }
        random.shuffle(&mut spans);
        let mut records = records(spans);
        let mut ends: Vec<Option<u64>> = records
            .spans
            .iter()
            .map(|stored| (stored.span.end_time.is_some() && random.bool()).then_some(0))
            .collect();
        let mut order: Vec<usize> = (0..ends.len()).collect();
        random.shuffle(&mut order);
        let mut last_end = 0;
        for end in order {
            if let Some(end) = &mut ends[end] {
                last_end += 1;
                *end = last_end;
            }
        }
        let severity = [Severity::Info, Severity::Error];
        records.events = (1..random.u64(1..10))
            .map(|id| {
                log(
                    id,
                    random.u64(0..count + 2),
                    random.i64(0..100),
                    severity[random.usize(..2)],
                    "said",
                    &[],
                )
            })
            .collect();
        records.upto = Cursor::new([records.spans.len() as u64, last_end, records.events.len() as u64]);
        Self { records, ends }
    }

    /// Returns the records after one cursor up to another, as a store does.
    fn range(&self, after: Cursor, upto: Cursor) -> RunRecords {
        let all = &self.records;
        let [span, end, event] = std::array::from_fn(|part| after.parts()[part] + 1..=upto.parts()[part]);
        let [.., last_end, _] = upto.parts();
        let with_ends = || all.spans.iter().zip(&self.ends);
        all.clone()
            .spans(
                with_ends()
                    .filter(|(stored, _)| span.contains(&stored.order))
                    .map(|(stored, end)| match end {
                        Some(end) if *end > last_end => RunSpan::new(stored.order, open(stored.span.clone())),
                        _ => stored.clone(),
                    })
                    .collect(),
            )
            .ended(
                with_ends()
                    .filter(|(stored, _)| stored.order < *span.start())
                    .filter(|(_, ended)| ended.is_some_and(|ended| end.contains(&ended)))
                    .map(|(stored, _)| stored.clone())
                    .collect(),
            )
            .events(
                (1..)
                    .zip(&all.events)
                    .filter(|(number, _)| event.contains(number))
                    .map(|(_, log)| log.clone())
                    .collect(),
            )
            .upto(upto)
            .more(upto != all.upto)
    }
}

fn ids(events: &[RunEvent]) -> Vec<String> {
    events.iter().map(|event| event.event_id.clone()).collect()
}

#[test]
fn read_in_parts_a_run_has_the_same_events_each_once() {
    let mut random = fastrand::Rng::with_seed(7);
    for round in 0..400 {
        let stored = Stored::random(&mut random);
        let mut whole = ids(&RunReader::new().read(&stored.records));

        let mut reader = RunReader::new();
        let mut parts = Vec::new();
        let mut cursor = Cursor::default();
        while cursor != stored.records.upto {
            let last = stored.records.upto.parts();
            // A store returns an end only once it has the span.
            let upto = Cursor::new(std::array::from_fn(|part| {
                (cursor.parts()[part] + random.u64(0..4)).min(last[part])
            }));
            let [span, end, _] = upto.parts();
            let has_spans_of_ends = (1..)
                .zip(&stored.ends)
                .all(|(number, ended)| ended.is_none_or(|ended| ended > end || number <= span));
            if !has_spans_of_ends {
                cursor = stored_spans(&stored, &mut reader, &mut parts, cursor);
                continue;
            }
            let range = stored.range(cursor, upto);
            let read = reader.read(&range);
            let times: Vec<Timestamp> = read.iter().map(|event| event.timestamp).collect();
            let skipped = usize::from(read.first().is_some_and(|event| event.event_id == "run:start"));
            assert!(times[skipped..].is_sorted(), "round {round}");
            parts.extend(ids(&read));
            cursor = upto;
        }
        assert_eq!(reader.status(&stored.records), {
            let mut reader = RunReader::new();
            reader.read(&stored.records);
            reader.status(&stored.records)
        });
        parts.sort();
        whole.sort();
        let count = whole.len();
        whole.dedup();
        assert_eq!(count, whole.len(), "round {round}: an id twice");
        assert_eq!(parts, whole, "round {round}");
    }
}

/// Reads the next span, so that its end may be read after it.
fn stored_spans(stored: &Stored, reader: &mut RunReader, parts: &mut Vec<String>, cursor: Cursor) -> Cursor {
    let [span, end, event] = cursor.parts();
    let upto = Cursor::new([(span + 1).min(stored.records.upto.parts()[0]), end, event]);
    parts.extend(ids(&reader.read(&stored.range(cursor, upto))));
    upto
}

#[test]
fn the_events_of_a_range_stay_the_same_when_its_spans_end_later() {
    let mut random = fastrand::Rng::with_seed(11);
    for _ in 0..100 {
        let stored = Stored::random(&mut random);
        let [span, _, event] = stored.records.upto.parts();
        let later = stored.range(Cursor::START, Cursor::new([span, 0, event]));
        let mut then = later.clone();
        for (span, end) in then.spans.iter_mut().zip(&stored.ends) {
            if end.is_some() {
                assert_eq!(span.span.end_time, None);
                span.span.attributes.retain(|key, _| key != "output");
            }
        }
        assert_eq!(
            ids(&RunReader::new().read(&later)),
            ids(&RunReader::new().read(&then))
        );
    }
}

#[test]
fn a_run_that_begins_without_records_still_begins_once() {
    let mut reader = RunReader::new();
    let mut empty = records(vec![]);
    empty.more = true;
    let events = reader.read(&empty);
    assert_eq!(told(&events), [(EventType::WorkflowStarted, "the run")]);
    assert_eq!(reader.status(&empty), RunStatus::Running);
    assert!(reader.read(&empty).is_empty() && reader.last_activity().is_none() && !reader.root_ended());
    let events = reader.read(&librarian());
    assert!(events.iter().all(|event| event.event_id != "run:start"));
    assert!(reader.root_ended());
    assert_eq!(reader.last_activity(), Some(at(1000)));
}

#[test]
fn a_reader_for_a_level_returns_the_same_events_with_fewer_payloads() {
    let records = librarian();
    let whole = RunReader::new().read(&records);
    for level in DetailLevel::ALL {
        let read = RunReader::new().for_level(*level).read(&records);
        assert_eq!(ids(&read), ids(&whole));
        for (event, whole) in read.iter().zip(&whole) {
            if *level >= DetailLevel::Standard && level.shows(event.event_type) {
                assert_eq!(event, whole);
            } else if event.event_type != EventType::MessageGenerated {
                assert!(event.inputs.is_none() && event.outputs.is_none() && event.thoughts.is_none());
            }
        }
    }
}

#[test]
fn the_last_event_names_the_root_even_without_new_records() {
    let records = librarian();
    let mut reader = RunReader::new();
    reader.read(&records);
    let nothing = records.clone().spans(vec![]);
    let here = reader.clone().finish(&records, RunStatus::Completed);
    let there = reader.finish(&nothing, RunStatus::Completed);
    assert_eq!(
        (here.event_id.as_str(), there.event_id.as_str()),
        ("run:end", "run:end")
    );
    assert_eq!(here.metadata.span_id, Some(span_id(1)));
    assert_eq!(there.metadata.span_id, here.metadata.span_id);
    assert_eq!((here.outputs.is_some(), there.outputs.is_some()), (true, false));
    assert_eq!(
        (there.component_name.as_str(), there.elapsed_time),
        ("librarian", Some(1.0))
    );
}
