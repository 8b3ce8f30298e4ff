//! Records in the form of rows, made on the thread of whoever gives them, so that the one thread that writes only writes.
//!
//! What comes from outside is treated as capture treats what is recorded here: values of secrets are masked, long values are
//! cut and say how long they were.

use std::hash::{Hash, Hasher};

use spanscope_model::semconv::SpanCall;
use spanscope_model::{Attributes, MetricKind, Tenant, TraceId};
use spanscope_runs::RunAttributes;

use crate::file::rows::Indexed;
use crate::file::series::Amount;

/// What a record takes in memory beside its texts, about.
const RECORD_BYTES: usize = 256;

/// Records that were given to the store, as rows.
#[derive(Debug)]
pub(super) struct PreparedRecords {
    pub(super) tenant: Option<Tenant>,
    pub(super) digest: Option<[u8; 16]>,
    /// Ids of these records may have been continued elsewhere: they come from the telemetry API.
    pub(super) follows: bool,
    /// The trace that a span of these continues under another id.
    pub(super) continues: Option<(TraceId, TraceId)>,
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

/// What tells one sender of a tenant from another.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct SenderKey {
    pub(super) service_name: String,
    pub(super) resource: String,
    pub(super) scope: String,
}

/// Where in a program something comes from.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct Place {
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
    pub(super) place: Place,
    pub(super) start: i64,
    pub(super) duration: Option<i64>,
    pub(super) status: Option<i64>,
    pub(super) kind: i64,
    pub(super) attributes: String,
    pub(super) extra: Option<String>,
    pub(super) indexed: Vec<(String, Indexed)>,
    /// The call of a model that it describes.
    pub(super) call: Option<SpanCall>,
    /// What it tells of an agent run.
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
    pub(super) place: Place,
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
    /// When the stream of totals began that this is the last of.
    pub(super) since: Option<i64>,
    pub(super) trace: Option<[u8; 16]>,
    pub(super) span: Option<i64>,
    pub(super) detail: Option<String>,
    pub(super) expires: Option<i64>,
}

impl InPoint {
    /// Tells the stream of a total from the others of its sender.
    pub(super) fn stream(&self) -> i64 {
        let mut hasher = std::hash::DefaultHasher::new();
        (&self.metric, &self.unit, &self.labels).hash(&mut hasher);
        hasher.finish().cast_signed()
    }
}

impl Sender {
    pub(super) fn bytes(&self) -> usize {
        // Names and label sets stand in an index too, and may be new.
        let place = |place: &Place| 2 * (place.name.len() + place.target.len());
        let events = |events: &[InEvent]| {
            let of = |event: &InEvent| {
                RECORD_BYTES + event.message.len() + event.attributes.len() + place(&event.place)
            };
            events.iter().map(of).sum::<usize>()
        };
        let span = |span: &InSpan| {
            RECORD_BYTES
                + place(&span.place)
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
