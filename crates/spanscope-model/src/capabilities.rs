//! [`Capabilities`]: what a store supports, so that its callers request nothing else.

use std::time::Duration;

/// What a store can do. Other methods fail as [unsupported](crate::StoreErrorKind::Unsupported).
///
/// ```
/// use spanscope_model::{Capabilities, StoreOrder};
///
/// let mut read_only = Capabilities::all();
/// read_only.writes = false;
/// read_only.deletes = false;
/// assert_eq!(read_only.order, StoreOrder::Exact);
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Capabilities {
    /// `store` and `log_event` accept records.
    pub writes: bool,
    /// `delete_run` and `delete_runs_before` are supported.
    pub deletes: bool,
    /// Spans are visible before they end.
    pub running_spans: bool,
    /// Attribute values keep their types: 7 is not "7".
    pub typed_attributes: bool,
    /// Measurements keep their times to the nanosecond, and integers as integers. Otherwise times
    /// may be whole seconds since 1970, and values are floats.
    pub exact_measurements: bool,
    /// Records with a time to live are deleted when it expires.
    pub ttl: bool,
    /// The store knows the tenant of each record. Any other store holds records of the default
    /// tenant only, and shows other tenants nothing.
    pub tenants: bool,
    /// Conditions on the labels of a metric can be regular expressions.
    pub label_regex: bool,
    /// `span_neighbours` and `spans_linking_to` are supported.
    pub neighbours: bool,
    /// The order that a follower can rely on.
    pub order: StoreOrder,
    /// How far back a query without `since` looks; `None`: to the first record.
    pub longest_without_since: Option<Duration>,
    /// How long records are kept; `None`: forever, or unknown.
    pub retention: Option<Duration>,
}

/// How [`stored_after`](crate::TraceStore::stored_after) orders records.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum StoreOrder {
    /// Each record is returned once, in the order of storing.
    Exact,
    /// Records are ordered by marks such as times. No record is lost, but a record that arrives
    /// late makes the store return others again: followers deduplicate them by their ids.
    Marked,
}

impl Capabilities {
    /// Every capability, with exact order.
    #[must_use]
    pub const fn all() -> Self {
        Self {
            writes: true,
            deletes: true,
            running_spans: true,
            typed_attributes: true,
            exact_measurements: true,
            ttl: true,
            tenants: true,
            label_regex: true,
            neighbours: true,
            order: StoreOrder::Exact,
            longest_without_since: None,
            retention: None,
        }
    }
}
