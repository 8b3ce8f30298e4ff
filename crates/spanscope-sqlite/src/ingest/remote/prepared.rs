//! Records in the form of rows, converted on the caller's thread, so that the writing thread only
//! writes.
//!
//! Received records are treated like captured ones: values of secrets are masked, long values are
//! truncated and keep their original length.

use std::hash::{Hash, Hasher};

use spanscope_model::semconv::SpanCall;
use spanscope_model::{Attributes, MetricKind, Tenant, TraceId};
use spanscope_runs::RunAttributes;

use crate::file::rows::Indexed;
use crate::file::series::Amount;

/// Approximate memory of a record in addition to its texts.
const RECORD_BYTES: usize = 256;

/// Records for the store, as rows.
#[derive(Debug)]
pub(super) struct PreparedRecords {
    pub(super) tenant: Option<Tenant>,
    pub(super) digest: Option<[u8; 16]>,
    /// Whether ids of these records may be aliases: they come from the telemetry API.
    pub(super) resolve_aliases: bool,
    /// The trace that a span of these continues under another id.
    pub(super) trace_alias: Option<(TraceId, TraceId)>,
    pub(super) sources: Vec<Sender>,
    pub(super) records: u64,
    pub(super) bytes: usize,
}

/// Records of one sender.
#[derive(Debug)]
pub(super) struct Sender {
    pub(super) key: SenderKey,
    pub(super) spans: Vec<InSpan>,
    pub(super) ends: Vec<InEnd>,
    pub(super) events: Vec<InEvent>,
    pub(super) points: Vec<InPoint>,
}

/// The identity of a sender of a tenant.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct SenderKey {
    pub(super) service_name: String,
    pub(super) resource: String,
    pub(super) scope: String,
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
    pub(super) trace_id: TraceId,
    pub(super) key: i64,
    pub(super) parent: Option<i64>,
    pub(super) callsite: Callsite,
    pub(super) start: i64,
    pub(super) duration: Option<i64>,
    pub(super) status: Option<i64>,
    pub(super) kind: i64,
    pub(super) attributes: String,
    pub(super) extra: Option<String>,
    pub(super) indexed: Vec<(String, Indexed)>,
    /// The call of a model that it describes.
    pub(super) call: Option<SpanCall>,
    /// Whether it has no parent and is still not the root of its trace: it was derived from an
    /// event of a session, whose program sends no span of the session.
    pub(super) is_rootless: bool,
    /// Its run attributes.
    pub(super) facts: Option<RunAttributes>,
    pub(super) events: Vec<InEvent>,
    pub(super) expires: Option<i64>,
}

#[derive(Debug)]
pub(super) struct InEnd {
    pub(super) trace_id: TraceId,
    pub(super) key: i64,
    pub(super) time: i64,
    pub(super) status: i64,
    pub(super) attributes: Attributes,
    pub(super) expires: Option<i64>,
}

#[derive(Debug)]
pub(super) struct InEvent {
    pub(super) trace_id: Option<TraceId>,
    pub(super) span: Option<i64>,
    pub(super) callsite: Callsite,
    pub(super) time: i64,
    pub(super) message: String,
    pub(super) attributes: String,
    pub(super) expires: Option<i64>,
}

#[derive(Debug)]
pub(super) struct InPoint {
    pub(super) metric: String,
    pub(super) unit: String,
    pub(super) kind: MetricKind,
    pub(super) labels: String,
    pub(super) time: i64,
    pub(super) value: Amount,
    /// The start of its stream, if it is a total (cumulative).
    pub(super) since: Option<i64>,
    pub(super) trace: Option<[u8; 16]>,
    pub(super) span: Option<i64>,
    pub(super) detail: Option<String>,
    pub(super) expires: Option<i64>,
}

impl InPoint {
    /// Returns the identity of a total's stream among those of its sender.
    pub(super) fn stream(&self) -> i64 {
        let mut hasher = std::hash::DefaultHasher::new();
        (&self.metric, &self.unit, &self.labels).hash(&mut hasher);
        hasher.finish().cast_signed()
    }
}

impl Sender {
    pub(super) fn bytes(&self) -> usize {
        // Names and label sets are in an index too, and may be new.
        let callsite = |callsite: &Callsite| 2 * (callsite.name.len() + callsite.target.len());
        let events = |events: &[InEvent]| {
            let of = |event: &InEvent| {
                RECORD_BYTES + event.message.len() + event.attributes.len() + callsite(&event.callsite)
            };
            events.iter().map(of).sum::<usize>()
        };
        let span = |span: &InSpan| {
            RECORD_BYTES
                + callsite(&span.callsite)
                + span.attributes.len()
                + span.extra.as_ref().map_or(0, String::len)
                + events(&span.events)
        };
        let point = |point: &InPoint| {
            RECORD_BYTES
                + 2 * (point.metric.len() + point.labels.len())
                + point.detail.as_ref().map_or(0, String::len)
        };
        2 * (self.key.resource.len() + self.key.scope.len())
            + self.spans.iter().map(span).sum::<usize>()
            + self.ends.len() * RECORD_BYTES
            + events(&self.events)
            + self.points.iter().map(point).sum::<usize>()
    }
}
