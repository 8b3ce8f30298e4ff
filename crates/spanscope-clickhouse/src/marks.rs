//! Marks: the order in which a store without numbers of rows is followed.
//!
//! The tables have no time of arrival, so the mark of a span is its end, and that of a log record
//! its time. What is newer than the lag is not read yet. A cursor is a mark and the numbers of
//! spans and log records at or before it: where these numbers have grown by the next look, records
//! came late, and what may hold them is read again. A follower knows those that it had by their
//! ids.

use spanscope_model::{Cursor, LogEvent, Severity, StoreError, Stored, StoredFilter, Timestamp};

use crate::logs::LogQuery;
use crate::reader::Reader;
use crate::spans::{Detail, StoredSpan, columns, without_copies};
use crate::sql::Sql;
use crate::tables::{END, IS_RECEIVER};

const HOUR: i64 = 3_600_000_000_000;
/// Records that come later than this are in lists, but are not shown to followers.
const LATEST: i64 = HOUR;
/// Spans that took longer than this are not shown to followers.
const LONGEST: i64 = 24 * HOUR;

/// A limit that no page reaches.
const WHOLE_PAGE: u64 = u64::MAX - 1;

/// A cursor of this store.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Mark {
    /// Nanoseconds since 1970.
    pub(crate) time: i64,
    pub(crate) spans: u64,
    pub(crate) events: u64,
}

impl From<Cursor> for Mark {
    fn from(cursor: Cursor) -> Self {
        let [time, spans, events] = cursor.parts();
        Self {
            time: i64::try_from(time).unwrap_or(i64::MAX),
            spans,
            events,
        }
    }
}

impl From<Mark> for Cursor {
    fn from(mark: Mark) -> Self {
        let time = u64::try_from(mark.time).unwrap_or(0);
        Self::new([time, mark.spans, mark.events])
    }
}

impl Reader {
    /// Returns the mark up to which records have arrived.
    pub(crate) fn newest_mark(&self) -> i64 {
        Timestamp::now().before(self.client.address().lag).as_nanos()
    }

    /// Returns the numbers of spans and log records of the last hour before a mark.
    fn counts_at(&self, time: i64, filter: &StoredFilter) -> Result<(u64, u64), StoreError> {
        let sql = Sql::new("SELECT uniqExact(TraceId, SpanId, ")
            .column(IS_RECEIVER)
            .push(") FROM otel_traces WHERE 1")
            .add(&self.ended_between(time.saturating_sub(LATEST), time, filter));
        let spans: Option<(u64,)> = self.client.row(&sql)?;
        let mut events = 0;
        if let Some(logs) = &self.tables.logs {
            let sql = Sql::new("SELECT count() FROM otel_logs WHERE 1")
                .add(&self.scope(&logs.resource))
                .add(&of_trace(filter))
                .push(" AND Timestamp > ")
                .time(Timestamp::from_nanos(time.saturating_sub(LATEST)))
                .push(" AND Timestamp <= ")
                .time(Timestamp::from_nanos(time));
            let found: Option<(u64,)> = self.client.row(&sql)?;
            events = found.map_or(0, |(count,)| count);
        }
        Ok((spans.map_or(0, |(count,)| count), events))
    }

    /// ` AND ...` over spans: they ended after one mark, and at or before another.
    fn ended_between(&self, after: i64, upto: i64, filter: &StoredFilter) -> Sql {
        let sql = self
            .scope_of_spans()
            .add(&of_trace(filter))
            .push(" AND ")
            .push(END)
            .push(" > ")
            .integer(after)
            .push(" AND ")
            .push(END)
            .push(" <= ")
            .integer(upto);
        match after.checked_sub(LONGEST).filter(|from| *from > 0) {
            Some(from) => sql.push(" AND Timestamp >= ").time(Timestamp::from_nanos(from)),
            None => sql,
        }
    }

    /// Returns the cursor after everything that has arrived.
    pub(crate) fn latest(&self) -> Result<Cursor, StoreError> {
        let time = self.newest_mark();
        let (spans, events) = self.counts_at(time, &StoredFilter::default())?;
        Ok(Mark { time, spans, events }.into())
    }

    /// Returns the records after a cursor: up to `limit` spans and log records, and those that came
    /// late, of which there are few.
    pub(crate) fn stored_after(
        &self,
        cursor: Cursor,
        filter: &StoredFilter,
        limit: u64,
    ) -> Result<Stored, StoreError> {
        if cursor == Cursor::END {
            return Ok(Stored::default().upto(cursor));
        }
        let cursor = Mark::from(cursor);
        let newest = self.newest_mark().max(cursor.time);
        let limit = limit.max(1);
        let everything = StoredFilter::default();
        let is_new = cursor.time <= 0;
        let mut upto = newest;
        let mut limit_of_page = limit;
        let (mut spans, mut logs);
        let (count, events) = loop {
            // Counted before it is read: a record that arrives in between is read, but not counted,
            // so the next look finds it again. Counted afterwards, it could be missed forever.
            let counts = self.counts_at(upto, &everything)?;
            let came_late =
                !is_new && self.counts_at(cursor.time, &everything)? != (cursor.spans, cursor.events);
            let after = match came_late {
                true => cursor.time.saturating_sub(LATEST),
                false => cursor.time,
            };
            if came_late {
                limit_of_page = WHOLE_PAGE;
            }
            spans = self.ended(after, upto, filter, limit_of_page.saturating_add(1))?;
            logs = self.logged(after, upto, filter, limit_of_page.saturating_add(1))?;
            // A page ends with all records of one mark, so that none of them is passed over.
            let cut_at = |marks: &mut dyn Iterator<Item = i64>| -> Option<i64> {
                let mut beyond = marks.skip(usize::try_from(limit_of_page).unwrap_or(usize::MAX));
                beyond.next()
            };
            let beyond = [
                cut_at(&mut spans.iter().map(StoredSpan::end)),
                cut_at(&mut logs.iter().map(|event| event.timestamp.as_nanos())),
            ];
            let Some(beyond) = beyond.into_iter().flatten().min() else {
                break counts;
            };
            // Where more records than a page holds have one mark, all of them are read.
            upto = match beyond.saturating_sub(1) <= after {
                true => after
                    .saturating_add(1)
                    .max(self.next_mark(after, newest, filter)?),
                false => beyond.saturating_sub(1),
            };
            limit_of_page = WHOLE_PAGE;
        };
        let more = upto < newest;
        let is_serious = |event: &LogEvent| {
            filter
                .min_severity
                .is_none_or(|severity: Severity| event.severity >= severity)
        };
        let mut found = Stored::default();
        for mut span in spans {
            let events = std::mem::take(&mut span.events);
            found.events.extend(events.into_iter().filter(is_serious));
            found.spans.push(span.into_listed());
        }
        found.events.extend(logs.into_iter().filter(is_serious));
        found.upto = Mark {
            time: upto,
            spans: count,
            events,
        }
        .into();
        found.more = more;
        Ok(found)
    }

    /// The first mark after another one.
    fn next_mark(&self, after: i64, upto: i64, filter: &StoredFilter) -> Result<i64, StoreError> {
        let spans = self.ended(after, upto, filter, 1)?;
        let logs = self.logged(after, upto, filter, 1)?;
        let span = spans.first().map(StoredSpan::end);
        let log = logs.first().map(|event| event.timestamp.as_nanos());
        Ok([span, log].into_iter().flatten().min().unwrap_or(upto))
    }

    /// The spans that ended between two marks, in the order of their ends.
    fn ended(
        &self,
        after: i64,
        upto: i64,
        filter: &StoredFilter,
        limit: u64,
    ) -> Result<Vec<StoredSpan>, StoreError> {
        let mut sql = Sql::new("SELECT ")
            .add(&columns(
                self,
                Detail {
                    events: true,
                    resource: false,
                },
            ))
            .push(" FROM otel_traces WHERE 1")
            .add(&self.ended_between(after, upto, filter))
            .push(" ORDER BY ")
            .push(END)
            .push(", SpanId");
        if limit < WHOLE_PAGE {
            sql = sql.push(" LIMIT ").count(limit);
        }
        let mut spans = self.spans(&sql)?;
        without_copies(&mut spans);
        Ok(spans)
    }

    /// The log records between two marks, in the order of their times.
    fn logged(
        &self,
        after: i64,
        upto: i64,
        filter: &StoredFilter,
        limit: u64,
    ) -> Result<Vec<LogEvent>, StoreError> {
        let query = LogQuery {
            from: Some(after.saturating_add(1)),
            to: Some(upto.saturating_add(1)),
            trace_id: filter.trace_id,
            is_ascending: true,
            limit: (limit < WHOLE_PAGE).then_some(limit),
            ..LogQuery::default()
        };
        let found = self.log_records(&query)?;
        Ok(found.into_iter().map(|(event, _)| event).collect())
    }
}

fn of_trace(filter: &StoredFilter) -> Sql {
    match filter.trace_id {
        Some(trace) => Sql::new(" AND TraceId = ").text(&trace.to_string()),
        None => Sql::default(),
    }
}
