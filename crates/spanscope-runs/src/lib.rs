//! Runs of agents, read from stored spans: the trace sessions of RAGFlow's agent trace API.
//!
//! A run is not recorded separately. An agent's `tracing` or OpenTelemetry spans are interpreted as
//! steps of a run: agents, model calls, retrievals, tools ([`StepKind`]). From the steps come the
//! events ([`RunEvent`]), which are shown in several formats ([`TraceFormat`], [`DetailLevel`]),
//! and an analysis of where the time was spent ([`Analysis`]). All functions are pure functions of
//! records: this crate knows no store, no network, no runtime.
//!
//! | task | items |
//! |---|---|
//! | find out which traces are runs, while they are written | [`run_attributes`], [`is_run_attribute`], [`RunDescription`] |
//! | stream the events of a run until it is over | [`Follower`], [`format_event`], [`TraceFormat::sse_name`] |
//! | draw any trace as rows over time | [`Waterfall`] |
//! | show a whole run | [`Run`]: events, session, summary, analysis |
//!
//! Invariants: the events of a range of records only depend on the records up to its end; an
//! event's id never changes; durations are never negative; a cycle of spans or a missing parent
//! only affects the tree; nothing recurses by the depth of a run.
//!
//! The feature `schema` adds JSON schemas (`schemars`) to the serialized types.

mod analysis;
mod calls;
mod content;
mod counted;
mod description;
mod enums;
mod event;
mod follower;
mod forest;
mod format;
mod progress;
mod reader;
mod root_steps;
mod run;
mod run_attributes;
mod session;
mod span_attributes;
mod step;
mod summary;
#[cfg(test)]
mod tests;
mod token_usage;
mod waterfall;

pub use analysis::{Analysis, Bottleneck, BottleneckReason, ComponentTime, CriticalStep, RunError};
pub use content::error_of;
pub use counted::counted_calls;
pub use description::{RunDescription, RunRank, RunSource};
pub use enums::{DetailLevel, EventType, StepKind, TraceFormat};
pub use event::{EventMetadata, RunEvent};
pub use follower::{FollowStep, Follower};
pub use format::format_event;
pub use progress::{FollowState, GRACE, ROOTLESS_GRACE, RunProgress, SENT_GRACE};
pub use reader::RunReader;
pub use run::Run;
pub use run_attributes::{MAX_RUN_ATTRIBUTE_LEN, RunAttributes, is_run_attribute, run_attributes};
pub use summary::Summary;
pub use token_usage::TokenUsage;
pub use waterfall::{FoldedSpans, PathSegment, Waterfall};
