//! Spans made by hand at chosen times, and a store that takes them in when it is asked.

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

/// A span to be stored; `Row::default()` is an ended one of a tenth of a second.
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
    /// None while it runs.
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

/// A store and the spans that it takes in before it is asked next.
pub struct Rows<F> {
    open: Open<F>,
    waiting: RefCell<Vec<(&'static str, NewSpan)>>,
}

impl<F: Fixture> Rows<F> {
    /// Opens a store; none if it can't do what the test is about.
    #[must_use]
    pub fn that(can: impl FnOnce(&Capabilities) -> bool) -> Option<Self> {
        Some(Self {
            open: Open::that(can)?,
            waiting: RefCell::default(),
        })
    }

    pub fn add(&self, row: &Row) {
        let span = NewSpan {
            span: row.to_span(),
            events: Vec::new(),
            expires: None,
        };
        self.waiting.borrow_mut().push((row.service, span));
    }

    /// The store, with all that was added, in the order of adding.
    #[must_use]
    pub fn store(&self) -> &dyn TraceStore {
        let mut sources: Vec<SourceRecords> = Vec::new();
        for (service, span) in self.waiting.take() {
            if sources
                .last()
                .is_none_or(|last| last.source.service_name != service)
            {
                sources.push(SourceRecords {
                    source: Source {
                        service_name: service.to_owned(),
                        ..Source::default()
                    },
                    ..SourceRecords::default()
                });
            }
            if let Some(last) = sources.last_mut() {
                last.spans.push(span);
            }
        }
        if !sources.is_empty() {
            let records = NewRecords {
                sources,
                ..NewRecords::default()
            };
            store::<F>(self.open.store(), records);
        }
        self.open.store()
    }
}
