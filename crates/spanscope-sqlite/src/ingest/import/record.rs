//! The records of an import, in the form of rows, and its counts. Nothing here reads or writes a
//! file.

use std::borrow::Cow;

use spanscope_model::semconv::mask_text;
use spanscope_model::{MetricKind, Tenant};

use crate::file::series::Amount;

/// The result of an import.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct ImportReport {
    /// Traces that got at least one new span.
    pub traces: u64,
    /// Spans that were stored.
    pub spans: u64,
    /// Events that were stored.
    pub events: u64,
    /// Measurements that were stored.
    pub points: u64,
    /// Records that were not stored: they are already stored, or have no time or no span.
    pub skipped: u64,
}

/// One trace of the source, or everything outside traces: events, measurements.
#[derive(Debug)]
pub(super) struct Group {
    /// 32 hexadecimal digits; `None` for events outside traces.
    pub(super) trace_id: Option<String>,
    /// The name of the tenant.
    pub(super) tenant: String,
    pub(super) created: Option<i64>,
    pub(super) spans: Vec<InSpan>,
    pub(super) events: Vec<InEvent>,
    /// Equal ones are consecutive, also across groups.
    pub(super) points: Vec<InPoint>,
    /// Records of the source that can't be stored.
    pub(super) unusable: u64,
}

impl Default for Group {
    fn default() -> Self {
        Self {
            trace_id: None,
            tenant: Tenant::DEFAULT.to_owned(),
            created: None,
            spans: Vec::new(),
            events: Vec::new(),
            points: Vec::new(),
            unusable: 0,
        }
    }
}

impl Group {
    /// Masks the secrets of all records: the writer of the source may not have done so. Attributes
    /// are JSON text here, which is masked at every depth.
    pub(super) fn mask_secrets(&mut self) {
        for span in &mut self.spans {
            span.program.mask_secrets();
            let texts = [&mut span.name, &mut span.extra].into_iter().flatten();
            texts.chain([&mut span.attributes]).for_each(mask);
        }
        for event in &mut self.events {
            event.program.mask_secrets();
            let texts = [&mut event.name, &mut event.attributes].into_iter().flatten();
            texts.chain([&mut event.message]).for_each(mask);
        }
        for point in &mut self.points {
            point.program.mask_secrets();
            let detail = point.detail.iter_mut();
            detail.chain([&mut point.labels]).for_each(mask);
        }
    }

    pub(super) fn records(&self) -> u64 {
        (self.spans.len() + self.events.len() + self.points.len()) as u64 + self.unusable
    }
}

impl Program {
    fn mask_secrets(&mut self) {
        let texts = [&mut self.resource, &mut self.scope].into_iter().flatten();
        texts.for_each(mask);
    }
}

fn mask(text: &mut String) {
    if let Cow::Owned(masked) = mask_text(text) {
        *text = masked;
    }
}

/// The source of a record, as in a row of `_process`.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default)]
pub(super) struct Program {
    pub(super) service: String,
    /// A JSON object, like the scope, if the source has them.
    pub(super) resource: Option<String>,
    pub(super) scope: Option<String>,
}

/// The data that all spans or events of one callsite share.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct Callsite {
    pub(super) name: String,
    pub(super) target: String,
    pub(super) level: u8,
    pub(super) category: String,
}

#[derive(Debug)]
pub(super) struct InSpan {
    pub(super) id: i64,
    pub(super) parent: Option<i64>,
    pub(super) callsite: Callsite,
    pub(super) name: Option<String>,
    pub(super) start: i64,
    pub(super) duration: Option<i64>,
    pub(super) status: Option<i64>,
    pub(super) kind: i64,
    pub(super) attributes: String,
    pub(super) extra: Option<String>,
    pub(super) category: Option<String>,
    /// 1 for the server's half of a call whose halves share an id.
    pub(super) half: Option<i64>,
    pub(super) program: Program,
}

#[derive(Debug)]
pub(super) struct InEvent {
    pub(super) span: Option<i64>,
    pub(super) callsite: Callsite,
    pub(super) name: Option<String>,
    pub(super) time: i64,
    pub(super) severity: Option<i64>,
    pub(super) message: String,
    pub(super) attributes: Option<String>,
    pub(super) expires: Option<i64>,
    pub(super) category: Option<String>,
    pub(super) program: Program,
}

#[derive(Debug)]
pub(super) struct InPoint {
    pub(super) metric: String,
    pub(super) unit: String,
    pub(super) kind: MetricKind,
    pub(super) labels: String,
    pub(super) time: i64,
    pub(super) value: Amount,
    pub(super) trace: Option<[u8; 16]>,
    pub(super) span: Option<i64>,
    pub(super) expires: Option<i64>,
    pub(super) detail: Option<String>,
    pub(super) program: Program,
}
