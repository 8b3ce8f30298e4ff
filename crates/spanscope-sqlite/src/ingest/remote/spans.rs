//! Stores spans and their ends, which may arrive in any order and repeatedly.

use std::borrow::Cow;

use rusqlite::{OptionalExtension, params};
use spanscope_model::{Attributes, Severity, TraceId, UNCATEGORIZED, wire};

use super::batch::Batch;
use super::encode::merged;
use super::prepared::{Callsite, InEnd, InSpan};
use super::shared_ids::{self, Half};
use super::state::{Known, KnownState};
use crate::file::rows::SpanRow;
use crate::file::runs::Found;
use crate::file::text::without_nul;

/// A trace with at most this number of spans is scanned, instead of using the index by span id.
const FEW_SPANS: i64 = 64;
/// The text of `extra` of a span whose end arrived before its start.
const END_ONLY: &str = r#"{"end_only":true}"#;

/// The result of storing a span.
pub(super) struct StoredSpan {
    /// The id that it has here.
    pub(super) key: i64,
    /// The number of new records: the span, if it has new data, and its events.
    pub(super) records: u64,
    /// Whether the span is one of them.
    pub(super) has_span: bool,
}

/// Returns attributes without the state that an import adds to those of an open span.
fn without_state(attributes: &str) -> Attributes {
    let mut attributes: Attributes = serde_json::from_str(attributes).unwrap_or_default();
    attributes.retain(|key, _| key != wire::STATE);
    attributes
}

/// A received span, in the form in which it is stored.
struct Incoming<'s> {
    span: &'s InSpan,
    process: i64,
    trace_id: TraceId,
    /// The trace's row, and how many spans it had.
    trace: i64,
    stored_spans: i64,
    key: i64,
    parent: Option<i64>,
    half: Option<i64>,
    attributes: Cow<'s, str>,
    callsite: i64,
    name: Option<&'s str>,
}

impl Batch<'_> {
    /// Stores a span, or the new data of a stored one; returns `None` if there is nothing new.
    pub(super) fn add_span(
        &mut self,
        process: i64,
        trace_id: TraceId,
        span: &InSpan,
    ) -> rusqlite::Result<Option<StoredSpan>> {
        let end = span.start.saturating_add(span.duration.unwrap_or(0));
        let trace = self.rows.touch(trace_id, span.start, end)?;
        let (trace, stored_spans, is_new) = (trace.row, trace.stored_spans, trace.is_new);
        self.note_time(span.start);
        let (callsite, name) = self.callsite(&span.callsite)?;
        let mut new = Incoming {
            span,
            process,
            trace_id,
            trace,
            stored_spans,
            key: span.key,
            parent: span.parent,
            half: None,
            attributes: Cow::Borrowed(&span.attributes),
            callsite,
            name,
        };
        let known = self.known_half(&mut new)?;
        let (row, state, records) = match known {
            None => self.store_new(&new)?,
            Some(known) if self.is_outdated_snapshot(&new, known)? || self.is_copied(&new, known)? => {
                let records = self.add_missing_events(process, trace_id, trace, new.key, &span.events)?;
                return Ok((records > 0).then_some(StoredSpan {
                    key: new.key,
                    records,
                    has_span: false,
                }));
            }
            Some(known) => match self.update_stored(&new, known)? {
                Some(changed) => changed,
                None => return Ok(None),
            },
        };
        let (key, parent) = (new.key, new.parent);
        let is_root = parent.is_none() && !span.is_rootless;
        if let Some(change) = self.rows.touched(trace_id) {
            if is_root {
                change.note_root(row, span.start);
            }
            change.note_expiry(span.expires);
        }
        if let Some(facts) = &span.facts {
            let found = Found {
                facts: facts.clone(),
                row,
                key,
                start: span.start,
                has_parent: !is_root,
            };
            self.rows.note_run(trace, found);
        } else if is_root && !is_new {
            self.rows.note_root_of_run(trace);
        } else if !is_new {
            self.rows.note_ancestor_in_run(trace);
        }
        for (key, value) in &span.indexed {
            if let Some(key) = self.state.keys.get(key) {
                self.rows.index(*key, value, row)?;
            }
        }
        let known = Known {
            row,
            kind: span.kind,
            is_remote: known.is_none_or(|known| known.is_remote),
            state,
        };
        self.met.insert((trace, key), known);
        Ok(Some(StoredSpan {
            key,
            records,
            has_span: true,
        }))
    }

    /// Returns the stored state of a span. If the other half of its call is stored under its id,
    /// `new` is changed to the half to store.
    fn known_half(&mut self, new: &mut Incoming<'_>) -> rusqlite::Result<Option<Known>> {
        let shared = new.key;
        if self.is_import && shared_ids::is_server_half(new.span) {
            new.half = Some(shared_ids::SERVER);
            return self.known(new.trace, new.stored_spans, shared, new.half);
        }
        let Some(known) = self.known(new.trace, new.stored_spans, shared, None)? else {
            return Ok(None);
        };
        match Half::of(&known, new.span) {
            Half::Same => Ok(Some(known)),
            Half::Server => {
                new.key = shared_ids::server_key(shared);
                new.parent = Some(shared);
                new.half = Some(shared_ids::SERVER);
                new.attributes = shared_ids::with_shared_id(&new.span.attributes, shared).into();
                self.known(new.trace, new.stored_spans, new.key, new.half)
            }
            Half::Client => {
                self.make_server_half(new.trace, new.trace_id, known.row, shared)?;
                Ok(None)
            }
        }
    }

    /// Stores a new span.
    fn store_new(&mut self, new: &Incoming<'_>) -> rusqlite::Result<(i64, KnownState, u64)> {
        let span = new.span;
        let row = self.rows.new_span();
        let span_row = SpanRow {
            callsite: new.callsite,
            name: new.name,
            start: span.start,
            duration: span.duration,
            status: span.status,
            trace: new.trace,
            process: new.process,
            kind: span.kind,
            key: new.key,
            parent: new.parent,
            attributes: &new.attributes,
            extra: span.extra.as_deref(),
            category: None,
            half: new.half,
        };
        self.rows.add_span(row, &span_row)?;
        if let Some(change) = self.rows.touched(new.trace_id) {
            change.note_span(span.duration, span.status);
        }
        for event in &span.events {
            self.add_span_event(new.process, new.trace_id, new.trace, new.key, event)?;
        }
        let state = match span.duration {
            None => KnownState::Running(span.status),
            Some(_) => {
                self.count_span(new.process, span.kind, span.status);
                KnownState::Whole
            }
        };
        Ok((row, state, 1 + span.events.len() as u64))
    }

    /// Returns whether the received snapshot of a running span is older than the stored one.
    fn is_outdated_snapshot(&mut self, new: &Incoming<'_>, known: Known) -> rusqlite::Result<bool> {
        let both_run = matches!(known.state, KnownState::Running(_)) && new.span.duration.is_none();
        Ok(both_run && self.is_outdated(new.trace, new.key, &new.span.events)?)
    }

    /// Returns whether this is an import and the span is already stored, so that only its events
    /// may be new.
    fn is_copied(&mut self, new: &Incoming<'_>, known: Known) -> rusqlite::Result<bool> {
        if !self.is_import {
            return Ok(false);
        }
        match (known.state, new.span.duration) {
            (KnownState::Whole, _) => Ok(true),
            (KnownState::Running(_), None) => {
                self.rows.flush_spans()?;
                let attributes: String = self
                    .db
                    .prepare_cached("SELECT attributes FROM _span WHERE id = ?1")?
                    .query_row([known.row], |found| found.get(0))?;
                Ok(attributes == *new.attributes
                    || without_state(&attributes) == without_state(&new.attributes))
            }
            _ => Ok(false),
        }
    }

    /// Stores the new data of a stored span; returns `None` if there is none.
    fn update_stored(
        &mut self,
        new: &Incoming<'_>,
        known: Known,
    ) -> rusqlite::Result<Option<(i64, KnownState, u64)>> {
        let span = new.span;
        let row = known.row;
        let state = match (known.state, span.duration) {
            (KnownState::Running(before), Some(_)) => {
                self.set_running(row, new)?;
                self.rows.note_end(new.trace, row)?;
                if let Some(change) = self.rows.touched(new.trace_id) {
                    change.note_end(before, span.status);
                }
                self.count_span(new.process, span.kind, span.status);
                KnownState::Whole
            }
            (KnownState::Running(before), None) => {
                self.set_running(row, new)?;
                if let Some(change) = self.rows.touched(new.trace_id) {
                    change.note_status(before, span.status);
                }
                KnownState::Running(span.status)
            }
            (KnownState::EndOnly, _) => {
                let status = self.begin_ended(row, new)?;
                self.count_span(new.process, span.kind, status);
                KnownState::Whole
            }
            (KnownState::Whole, _) => return Ok(None),
        };
        let events = self.add_missing_events(new.process, new.trace_id, new.trace, new.key, &span.events)?;
        Ok(Some((row, state, 1 + events)))
    }

    /// Replaces the data of a running span that was sent again or with its end. The new data are
    /// complete.
    fn set_running(&mut self, row: i64, new: &Incoming<'_>) -> rusqlite::Result<()> {
        let span = new.span;
        self.rows.unindex(row)?;
        self.rows.change_span(new.trace, row, |db| {
            db.prepare_cached(
                "UPDATE _span SET callsite = ?2, name = ?3, start = ?4, duration = ?5, status = ?6, kind = ?7, parent = ?8,
                 attributes = ?9, extra = ?10 WHERE id = ?1",
            )?
            .execute(params![
                row,
                new.callsite,
                new.name.map(without_nul),
                span.start,
                span.duration,
                span.status,
                span.kind,
                new.parent,
                new.attributes,
                span.extra
            ])
        })?;
        Ok(())
    }

    /// Counts a span whose start and end are stored.
    fn count_span(&mut self, process: i64, kind: i64, status: Option<i64>) {
        if let Some(stored) = &mut self.stored {
            stored.add_span(process, kind, status);
        }
    }

    /// Adds the start of a span whose end arrived first. Returns the status of the end.
    fn begin_ended(&mut self, row: i64, new: &Incoming<'_>) -> rusqlite::Result<Option<i64>> {
        self.rows.flush_spans()?;
        let (end_attributes, status): (String, _) = self
            .db
            .prepare_cached("SELECT attributes, status FROM _span WHERE id = ?1")?
            .query_row([row], |found| Ok((found.get(0)?, found.get(1)?)))?;
        let end_attributes: Attributes = serde_json::from_str(&end_attributes).unwrap_or_default();
        let attributes = merged(&new.attributes, &end_attributes, self.max_value_len);
        self.rows.change_span(new.trace, row, |db| {
            db.prepare_cached(
                "UPDATE _span SET callsite = ?2, name = ?3, duration = MAX(0, start + duration - ?4), start = ?4, kind = ?5,
                 parent = ?6, attributes = ?7, extra = ?8 WHERE id = ?1",
            )?
            .execute(params![
                row,
                new.callsite,
                new.name.map(without_nul),
                new.span.start,
                new.span.kind,
                new.parent,
                attributes,
                new.span.extra
            ])
        })?;
        Ok(status)
    }

    /// Ends a span; returns `false` if it already has an end. The end of an unknown span is stored
    /// until its start arrives.
    pub(super) fn add_end(&mut self, process: i64, trace_id: TraceId, end: &InEnd) -> rusqlite::Result<bool> {
        let trace = self.rows.touch(trace_id, end.time, end.time)?;
        let (trace_row, stored) = (trace.row, trace.stored_spans);
        self.note_time(end.time);
        let known = self.known(trace_row, stored, end.key, None)?;
        let (row, was_running) = match known {
            Some(Known {
                row,
                kind,
                state: KnownState::Running(before),
                ..
            }) => {
                self.rows.flush_spans()?;
                let (attributes, of): (String, i64) = self
                    .db
                    .prepare_cached("SELECT attributes, process FROM _span WHERE id = ?1")?
                    .query_row([row], |found| Ok((found.get(0)?, found.get(1)?)))?;
                let merged = merged(&attributes, &end.attributes, self.max_value_len);
                self.rows.change_span(trace_row, row, |db| {
                    db.prepare_cached(
                        "UPDATE _span SET duration = MAX(0, ?2 - start), status = ?3, attributes = ?4 WHERE id = ?1",
                    )?
                    .execute(params![row, end.time, end.status, merged])
                })?;
                self.rows.note_end(trace_row, row)?;
                self.rows.note_root_of_run(trace_row);
                self.count_span(of, kind, Some(end.status));
                (row, Some(before))
            }
            Some(_) => return Ok(false),
            None => {
                let nowhere = Callsite {
                    name: String::new(),
                    target: String::new(),
                    level: Severity::Info.number(),
                    category: UNCATEGORIZED.to_owned(),
                };
                let (callsite, _) = self.callsite(&nowhere)?;
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
        let known = Known {
            row,
            kind: known.map_or(0, |known| known.kind),
            is_remote: true,
            state,
        };
        self.met.insert((trace_row, end.key), known);
        Ok(true)
    }

    /// Returns the stored state of a span; of this half, if two halves of a call share an id. If
    /// the trace had no stored spans, only those of the current records are searched.
    fn known(
        &mut self,
        trace: i64,
        stored_spans: i64,
        key: i64,
        half: Option<i64>,
    ) -> rusqlite::Result<Option<Known>> {
        if let Some(known) = self.met.get(&(trace, key)) {
            return Ok(Some(*known));
        }
        // Only a sender's span can be running here: a program that writes this file ends its own
        // rows. A small trace is scanned, because the index by span id has a segment for every
        // 65,536 spans of the file.
        let mut find = self.db.prepare_cached(match stored_spans {
            0 => return Ok(None),
            1..=FEW_SPANS => {
                "SELECT s.id, s.duration IS NULL AND p.scope IS NOT NULL, s.extra = ?3, s.status, s.kind, p.scope IS NOT NULL FROM _span s INDEXED BY _span_trace
                 LEFT JOIN _process p ON p.id = s.process
                 WHERE s.trace = ?2 AND s.span_id = ?1 AND s.half IS ?4 ORDER BY s.id DESC LIMIT 1"
            }
            _ => {
                "SELECT s.id, s.duration IS NULL AND p.scope IS NOT NULL, s.extra = ?3, s.status, s.kind, p.scope IS NOT NULL FROM _span s INDEXED BY _span_hex
                 LEFT JOIN _process p ON p.id = s.process
                 WHERE s.span_hex = printf('%016x', ?1) AND s.trace = ?2 AND s.half IS ?4 ORDER BY s.id DESC LIMIT 1"
            }
        })?;
        find.query_row(params![key, trace, END_ONLY, half], |row| {
            let is_end_only: Option<bool> = row.get(2)?;
            let state = match (row.get(1)?, is_end_only) {
                (true, _) => KnownState::Running(row.get(3)?),
                (false, Some(true)) => KnownState::EndOnly,
                (false, _) => KnownState::Whole,
            };
            Ok(Known {
                row: row.get(0)?,
                kind: row.get(4)?,
                is_remote: row.get(5)?,
                state,
            })
        })
        .optional()
    }
}
