//! Spans and their ends, which may come in any order, and more than once.

use rusqlite::{OptionalExtension, params};
use spanscope_model::{Attributes, Severity, TraceId, UNCATEGORIZED};

use super::batch::Batch;
use super::maker::merged;
use super::prepared::{InEnd, InSpan, Place};
use super::state::{Known, KnownState};
use crate::file::rows::SpanRow;
use crate::file::runs::Found;
use crate::file::text::without_nul;

/// A trace of so many spans is looked through sooner than an index.
const FEW_SPANS: i64 = 64;
/// The text of `extra` of a span whose end came before its start.
const END_ONLY: &str = r#"{"end_only":true}"#;

impl Batch<'_> {
    /// Stores a span, or what one that is there lacked; `false` where it lacked nothing.
    pub(super) fn add_span(
        &mut self,
        process: i64,
        trace_id: TraceId,
        span: &InSpan,
    ) -> rusqlite::Result<bool> {
        let end = span.start.saturating_add(span.duration.unwrap_or(0));
        let trace = self.rows.touch(trace_id, span.start, end)?;
        let (trace_row, stored, is_new) = (trace.row, trace.stored_spans, trace.is_new);
        self.note_time(span.start);
        let known = self.known(trace_row, stored, span.key)?;
        let (callsite, name) = self.place(&span.place)?;
        let row = match known {
            Some(Known { row, state }) => match (state, span.duration) {
                (KnownState::Running(_), Some(duration)) => {
                    self.end_running(trace_row, row, callsite, name, duration, span)?;
                    self.rows.note_end(trace_row, row)?;
                    row
                }
                (KnownState::EndOnly, _) => {
                    self.begin_ended(trace_row, row, callsite, name, span)?;
                    row
                }
                _ => return Ok(false),
            },
            None => {
                let row = self.rows.new_span();
                let span_row = SpanRow {
                    callsite,
                    name,
                    start: span.start,
                    duration: span.duration,
                    status: span.status,
                    trace: trace_row,
                    process,
                    kind: span.kind,
                    key: span.key,
                    parent: span.parent,
                    attributes: &span.attributes,
                    extra: span.extra.as_deref(),
                    category: None,
                    half: None,
                };
                self.rows.add_span(row, &span_row)?;
                row
            }
        };
        if let Some(trace) = self.rows.touched(trace_id) {
            match known.map(|known| known.state) {
                None => trace.note_span(span.duration, span.status),
                Some(KnownState::Running(before)) => trace.note_end(before, span.status),
                Some(_) => {}
            }
            if span.parent.is_none() {
                trace.note_root(row, span.start);
            }
            trace.note_expiry(span.expires);
        }
        if let Some(facts) = &span.facts {
            let found = Found {
                facts: facts.clone(),
                row,
                start: span.start,
                has_parent: span.parent.is_some(),
            };
            self.rows.note_run(trace_row, found);
        } else if span.parent.is_none() && !is_new {
            self.rows.note_root_of_run(trace_row);
        }
        for (key, value) in &span.indexed {
            if let Some(key) = self.state.keys.get(key) {
                self.rows.index(*key, value, row)?;
            }
        }
        for event in &span.events {
            self.add_event(process, Some(trace_id), event)?;
        }
        let state = match span.duration {
            None if known.is_none() => KnownState::Running(span.status),
            _ => KnownState::Whole,
        };
        self.met.insert((trace_row, span.key), Known { row, state });
        Ok(true)
    }

    /// A span that ran has come with its end: what it says now is all of it.
    fn end_running(
        &mut self,
        trace: i64,
        row: i64,
        callsite: i64,
        name: Option<&str>,
        duration: i64,
        span: &InSpan,
    ) -> rusqlite::Result<()> {
        self.rows.unindex(row)?;
        self.rows.change_span(trace, row, |db| {
            db.prepare_cached(
                "UPDATE _span SET callsite = ?2, name = ?3, start = ?4, duration = ?5, status = ?6, kind = ?7, parent = ?8,
                 attributes = ?9, extra = ?10 WHERE id = ?1",
            )?
            .execute(params![
                row,
                callsite,
                name.map(without_nul),
                span.start,
                duration,
                span.status,
                span.kind,
                span.parent,
                span.attributes,
                span.extra
            ])
        })?;
        Ok(())
    }

    /// The start has come of a span whose end came first.
    fn begin_ended(
        &mut self,
        trace: i64,
        row: i64,
        callsite: i64,
        name: Option<&str>,
        span: &InSpan,
    ) -> rusqlite::Result<()> {
        self.rows.flush_spans()?;
        let said_at_end: String = self
            .db
            .prepare_cached("SELECT attributes FROM _span WHERE id = ?1")?
            .query_row([row], |found| found.get(0))?;
        let said_at_end: Attributes = serde_json::from_str(&said_at_end).unwrap_or_default();
        let attributes = merged(&span.attributes, &said_at_end, self.max_value_len);
        self.rows.change_span(trace, row, |db| {
            db.prepare_cached(
                "UPDATE _span SET callsite = ?2, name = ?3, duration = MAX(0, start + duration - ?4), start = ?4, kind = ?5,
                 parent = ?6, attributes = ?7, extra = ?8 WHERE id = ?1",
            )?
            .execute(params![
                row,
                callsite,
                name.map(without_nul),
                span.start,
                span.kind,
                span.parent,
                attributes,
                span.extra
            ])
        })?;
        Ok(())
    }

    /// Ends a span; `false` where it has an end. The end of one that is not there is kept, and waits for its start.
    pub(super) fn add_end(&mut self, process: i64, trace_id: TraceId, end: &InEnd) -> rusqlite::Result<bool> {
        let trace = self.rows.touch(trace_id, end.time, end.time)?;
        let (trace_row, stored) = (trace.row, trace.stored_spans);
        self.note_time(end.time);
        let known = self.known(trace_row, stored, end.key)?;
        let (row, was_running) = match known {
            Some(Known {
                row,
                state: KnownState::Running(before),
            }) => {
                self.rows.flush_spans()?;
                let attributes: String = self
                    .db
                    .prepare_cached("SELECT attributes FROM _span WHERE id = ?1")?
                    .query_row([row], |found| found.get(0))?;
                let merged = merged(&attributes, &end.attributes, self.max_value_len);
                self.rows.change_span(trace_row, row, |db| {
                    db.prepare_cached(
                        "UPDATE _span SET duration = MAX(0, ?2 - start), status = ?3, attributes = ?4 WHERE id = ?1",
                    )?
                    .execute(params![row, end.time, end.status, merged])
                })?;
                self.rows.note_end(trace_row, row)?;
                self.rows.note_root_of_run(trace_row);
                (row, Some(before))
            }
            Some(_) => return Ok(false),
            None => {
                let nowhere = Place {
                    name: String::new(),
                    target: String::new(),
                    level: Severity::Info.number(),
                    category: UNCATEGORIZED.to_owned(),
                };
                let (callsite, _) = self.place(&nowhere)?;
                let row = self.rows.new_span();
                let attributes = merged("{}", &end.attributes, self.max_value_len);
                let span_row = SpanRow {
                    callsite,
                    name: None,
                    start: end.time,
                    duration: Some(0),
                    status: Some(end.status),
                    trace: trace_row,
                    process,
                    kind: 0,
                    key: end.key,
                    parent: None,
                    attributes: &attributes,
                    extra: Some(END_ONLY),
                    category: None,
                    half: None,
                };
                self.rows.add_span(row, &span_row)?;
                (row, None)
            }
        };
        if let Some(trace) = self.rows.touched(trace_id) {
            match was_running {
                Some(before) => trace.note_end(before, Some(end.status)),
                None => trace.note_span(Some(0), Some(end.status)),
            }
            trace.note_expiry(end.expires);
        }
        let state = match was_running {
            Some(_) => KnownState::Whole,
            None => KnownState::EndOnly,
        };
        self.met.insert((trace_row, end.key), Known { row, state });
        Ok(true)
    }

    /// What is there of a span, or of its client's half where two halves of a call share its id. A trace without spans has none that this transaction has not met.
    fn known(&mut self, trace: i64, stored_spans: i64, key: i64) -> rusqlite::Result<Option<Known>> {
        if let Some(known) = self.met.get(&(trace, key)) {
            return Ok(Some(*known));
        }
        // A row of a program that writes this file is that program's to end. A small trace is looked through, because the
        // index by id has a segment for every 65,536 spans of the file.
        let mut find = self.db.prepare_cached(match stored_spans {
            0 => return Ok(None),
            1..=FEW_SPANS => {
                "SELECT s.id, s.duration IS NULL AND p.resource IS NOT NULL, s.extra = ?3, s.status FROM _span s INDEXED BY _span_trace
                 LEFT JOIN _process p ON p.id = s.process
                 WHERE s.trace = ?2 AND s.span_id = ?1 AND s.half IS NULL ORDER BY s.id DESC LIMIT 1"
            }
            _ => {
                "SELECT s.id, s.duration IS NULL AND p.resource IS NOT NULL, s.extra = ?3, s.status FROM _span s INDEXED BY _span_hex
                 LEFT JOIN _process p ON p.id = s.process
                 WHERE s.span_hex = printf('%016x', ?1) AND s.trace = ?2 AND s.half IS NULL ORDER BY s.id DESC LIMIT 1"
            }
        })?;
        find.query_row(params![key, trace, END_ONLY], |row| {
            let is_end_only: Option<bool> = row.get(2)?;
            let state = match (row.get(1)?, is_end_only) {
                (true, _) => KnownState::Running(row.get(3)?),
                (false, Some(true)) => KnownState::EndOnly,
                (false, _) => KnownState::Whole,
            };
            Ok(Known {
                row: row.get(0)?,
                state,
            })
        })
        .optional()
    }
}
