//! Hand-made spans at chosen times, and a store that stores the added spans before its next query.

use std::cell::RefCell;

use serde_json::{Value, json};
use spanscope_model::{
    Capabilities, NewRecords, NewSpan, Source, SourceRecords, Span, SpanKind, SpanState, SpanStatus,
    Timestamp, TraceStore,
};

use crate::made::{span_id, store, trace_id};
use crate::{Fixture, Open};

pub const SECOND: i64 = 1_000_000_000;
pub const MILLISECOND: i64 = 1_000_000;
/// 2026-11-21T00:00:00Z
pub const MIDNIGHT: i64 = 1_795_219_200 * SECOND;

/// A span to be stored; the default is an ended one with a duration of a tenth of a second.
#[derive(Clone)]
pub struct Row {
    pub trace: u128,
    pub id: i64,
    pub parent: Option<i64>,
    pub name: &'static str,
    pub service: &'static str,
    pub category: &'static str,
    pub kind: SpanKind,
    pub start: i64,
    /// `None` while it runs.
    pub duration: Option<i64>,
    pub is_error: bool,
    pub attributes: Value,
}

impl Default for Row {
    fn default() -> Self {
        Self {
            trace: 1,
            id: 1,
            parent: None,
            name: "work",
            service: "shop",
            category: "core",
            kind: SpanKind::Internal,
            start: MIDNIGHT,
            duration: Some(100 * MILLISECOND),
            is_error: false,
            attributes: json!({}),
        }
    }
}

impl Row {
    fn to_span(&self) -> Span {
        let status = match self.is_error {
            true => SpanStatus::Error,
            false => SpanStatus::Ok,
        };
        let mut span = Span::new(
            trace_id(self.trace),
            span_id(self.id),
            self.name,
            Timestamp::from_nanos(self.start),
        );
        span.parent_span_id = self.parent.map(span_id);
        span.end_time = self
            .duration
            .map(|duration| Timestamp::from_nanos(self.start + duration));
        span.status = self.duration.map(|_| status);
        span.state = match self.duration {
            Some(_) => SpanState::Ended,
            None => SpanState::Running,
        };
        span.kind = self.kind;
        span.category = Some(self.category.to_owned());
        span.attributes = serde_json::from_value(self.attributes.clone()).unwrap();
        span
    }
}

/// A store and the spans that are stored before its next query.
pub struct Rows<F> {
    open: Open<F>,
    waiting: RefCell<Vec<(&'static str, NewSpan)>>,
}

impl<F: Fixture> Rows<F> {
    /// Opens a store; returns `None` if it does not support the test's subject.
    #[must_use]
    pub fn that(can: impl FnOnce(&Capabilities) -> bool) -> Option<Self> {
        Some(Self {
            open: Open::that(can)?,
            waiting: RefCell::default(),
        })
    }

    pub fn add(&self, row: &Row) {
        let span = NewSpan::new(row.to_span());
        self.waiting.borrow_mut().push((row.service, span));
    }

    /// Returns the store, with everything that was added, in the order of adding.
    #[must_use]
    pub fn store(&self) -> &dyn TraceStore {
        let mut sources: Vec<SourceRecords> = Vec::new();
        for (service, span) in self.waiting.take() {
            if sources
                .last()
                .is_none_or(|last| last.source.service_name != service)
            {
                sources.push(SourceRecords::default().source(Source::default().service_name(service)));
            }
            if let Some(last) = sources.last_mut() {
                last.spans.push(span);
            }
        }
        if !sources.is_empty() {
            let records = NewRecords::default().sources(sources);
            store::<F>(self.open.store(), records);
        }
        self.open.store()
    }
}
