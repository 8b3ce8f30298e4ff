//! [`Capabilities`]: what a store can do, so that its callers ask for nothing else.

use std::time::Duration;

/// What a store can do. Methods beyond it fail as
/// [unsupported](crate::StoreErrorKind::Unsupported).
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
    /// `store` and `log_event` take records in.
    pub writes: bool,
    /// `delete_run` and `delete_runs_before` delete.
    pub deletes: bool,
    /// Spans are seen before they end.
    pub running_spans: bool,
    /// Values of attributes keep their types: 7 is not "7".
    pub typed_attributes: bool,
    /// Records that bring a time to live are forgotten when it is over.
    pub ttl: bool,
    /// The store knows whose each record is. A store that does not holds records of the default
    /// tenant only, and shows another tenant nothing.
    pub tenants: bool,
    /// What a follower can rely on.
    pub order: StoreOrder,
    /// A question over all times looks back this far where it names no `since`; none: to the first
    /// record.
    pub longest_without_since: Option<Duration>,
    /// How long records are kept; none: for ever, or nobody knows.
    pub retention: Option<Duration>,
}

/// How [`stored_after`](crate::TraceStore::stored_after) orders records.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum StoreOrder {
    /// Each record comes once, at its place in the order of storing.
    Exact,
    /// Records are ordered by marks such as times. None is lost, but a record that came late makes
    /// the store return others again: followers tell them by their ids.
    Marked,
}

impl Capabilities {
    /// Everything that the contract names, in exact order.
    #[must_use]
    pub const fn all() -> Self {
        Self {
            writes: true,
            deletes: true,
            running_spans: true,
            typed_attributes: true,
            ttl: true,
            tenants: true,
            order: StoreOrder::Exact,
            longest_without_since: None,
            retention: None,
        }
    }
}
