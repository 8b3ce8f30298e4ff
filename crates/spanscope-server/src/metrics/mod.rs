//! Metrics for Prometheus: aggregates measurements, and renders them for a scrape.
//!
//! ```text
//! Measurement -> PrometheusSink::record -> Families: a Family per metric, an Instrument per label set
//! GET /metrics -> router -> negotiation -> exposition: a snapshot of one Family after the other
//! ```
//!
//! Sums, buckets, exemplars and the text are `prometheus-client`'s. This module adds what it lacks:
//! names and labels that are only known at run time ([`names`], [`labels`]), limits on their number
//! ([`families`]), and the classic format in addition to OpenMetrics ([`exposition`]).
//!
//! Recording never waits for a scrape that is being written: a scrape copies the references to a
//! family's instruments and lets go of the family before it writes. At most the one instrument
//! being written makes its writers wait.

mod buckets;
mod exposition;
mod families;
mod format;
mod instrument;
mod labels;
mod names;
mod negotiation;
mod router;
mod sink;

pub use families::{MAX_LABEL_SETS, MAX_METRICS};
pub use labels::{MAX_LABEL_VALUE, MAX_LABELS};
#[cfg(feature = "schema")]
pub(crate) use router::api;
pub use router::metrics_router;
pub use sink::PrometheusSink;
