//! The records of one run. A run is small, so all of it is read, and what a range asks for is
//! chosen here, by the marks of the records.

use spanscope_model::semconv::ContentEvent;
use spanscope_model::{Cursor, LogEvent, RunRange, RunRecords, RunSpan, Severity, StoreError};

use crate::logs::LogQuery;
use crate::marks::Mark;
use crate::reader::Reader;
use crate::spans::{Detail, StoredSpan};

impl Reader {
    pub(crate) fn run_records(&self, task_id: &str, range: RunRange) -> Result<RunRecords, StoreError> {
        let found = self.find_run(task_id)?;
        let detail = Detail {
            events: true,
            resource: false,
        };
        let spans = self.spans_of(&found.traces, detail)?;
        // An event of a span comes with its span.
        let mut events: Vec<(i64, LogEvent)> = Vec::new();
        let mut marked: Vec<(i64, StoredSpan)> = Vec::new();
        for mut span in spans {
            let mark = span.end();
            let of_span = std::mem::take(&mut span.events).into_iter();
            events.extend(of_span.filter(may_matter).map(|event| (mark, event)));
            marked.push((mark, span));
        }
        for trace_id in &found.traces {
            let query = LogQuery {
                trace_id: Some(*trace_id),
                is_ascending: true,
                ..LogQuery::default()
            };
            let logs = self.log_records(&query)?.into_iter().map(|(event, _)| event);
            events.extend(
                logs.filter(may_matter)
                    .map(|event| (event.timestamp.as_nanos(), event)),
            );
        }
        marked.sort_by_key(|(mark, span)| (*mark, span.span.start_time, span.span.span_id));
        events.sort_by(|(a, one), (b, other)| {
            (a, one.timestamp, &one.id).cmp(&(b, other.timestamp, &other.id))
        });
        events.dedup_by(|(_, one), (_, other)| one.id == other.id);
        let count = |time: i64| Mark {
            time,
            spans: marked.iter().filter(|(mark, _)| *mark <= time).count() as u64,
            events: events.iter().filter(|(mark, _)| *mark <= time).count() as u64,
        };
        let after = Mark::from(range.after);
        // A caller without a cursor gets all that is stored; its next range has some of it again.
        let is_whole = range.after == Cursor::START && range.upto.is_none();
        let newest = self.newest_mark().max(after.time);
        let bound = match range.upto {
            Some(upto) => Mark::from(upto).time,
            None if is_whole => i64::MAX,
            None => newest,
        };
        let came_late = after.time > 0 && range.after != Cursor::END && count(after.time) != after;
        let from = match came_late {
            true => i64::MIN,
            false if range.after == Cursor::START => i64::MIN,
            false => after.time,
        };
        let is_in = |mark: i64| mark > from && mark <= bound;
        let limit = usize::try_from(range.limit.max(1)).unwrap_or(usize::MAX);
        let last = marked
            .iter()
            .map(|(mark, _)| *mark)
            .filter(|mark| is_in(*mark))
            .nth(limit - 1);
        // A page ends with all spans of one mark.
        let beyond = last.filter(|last| marked.iter().any(|(mark, _)| is_in(*mark) && mark > last));
        let end = beyond.unwrap_or(bound);
        let is_read = |mark: i64| mark > from && mark <= end;
        let upto = match (beyond, range.upto) {
            (Some(end), _) => count(end),
            (None, Some(upto)) => count(Mark::from(upto).time),
            (None, None) => count(newest),
        };
        let order = |mark: i64| u64::try_from(mark).unwrap_or(0);
        let chosen: Vec<RunSpan> = marked
            .iter()
            .filter(|(mark, _)| is_read(*mark))
            .map(|(mark, stored)| RunSpan::new(order(*mark), stored.clone().into_listed()))
            .collect();
        let events_in_range = events.iter().filter(|(mark, _)| is_read(*mark));
        let events_in_range = events_in_range.map(|(_, event)| event.clone()).collect();
        Ok(RunRecords::new(found.info)
            .has_sent(!chosen.is_empty())
            .traces(found.traces)
            .is_shared(found.is_shared)
            .spans(chosen)
            .events(events_in_range)
            .upto(upto.into())
            .more(beyond.is_some())
            .alive(false))
    }
}

/// Whether an event may matter to a run: errors, events of a type, and those that carry the inputs
/// and outputs of steps.
fn may_matter(event: &LogEvent) -> bool {
    event.severity >= Severity::Error
        || event.attributes.get("event_type").is_some()
        || ContentEvent::of_name(&event.name).is_some()
}
