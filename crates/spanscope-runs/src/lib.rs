//! Runs of agents, read from stored spans: what the described service (seed 5) calls trace sessions.
//!
//! A run is no second recording. Whatever an agent's program did as `tracing` or OpenTelemetry spans is read again as
//! steps of a run: which of them are agents, model calls, retrievals, tools ([`StepKind`]), what happened when
//! ([`RunEvent`]), how it all is shown ([`TraceFormat`], [`DetailLevel`]), where the time went ([`Analysis`]). Everything here is a
//! pure function of records: this crate knows no store, no network, no runtime.
//!
//! | need | by |
//! |---|---|
//! | a writer notes which traces are runs | [`run_attributes`], [`is_run_attribute`] |
//! | a stream of events while the run goes on, and when it is over | [`Follower`], [`format_event`], [`TraceFormat::sse_name`] |
//! | a run as a whole | [`Run`]: events, session, summary, analysis |
//!
//! Invariants: which events a range of records has depends on nothing but the records up to its end; an event's id never
//! changes; durations are never negative; a circle of spans or a missing parent costs nothing but its place in the tree;
//! nothing recurses by the depth of a run.
//!
//! The feature `schema` gives what is shown its JSON schemas (`schemars`).

mod analysis;
mod calls;
mod content;
mod counted;
mod enums;
mod event;
mod facts;
mod follower;
mod forest;
mod heads;
mod progress;
mod reader;
mod run;
mod session;
mod shown;
mod span_attributes;
mod step;
mod summary;
#[cfg(test)]
mod tests;
mod token_usage;

pub use analysis::{Analysis, Bottleneck, BottleneckReason, ComponentTime, CriticalStep, RunError};
pub use enums::{DetailLevel, EventType, StepKind, TraceFormat};
pub use event::{EventMetadata, RunEvent};
pub use facts::{MAX_FACT_LEN, RunAttributes, is_run_attribute, run_attributes};
pub use follower::{FollowStep, Follower};
pub use progress::{FollowState, GRACE, ROOTLESS_GRACE, RunProgress, SENT_GRACE};
pub use reader::RunReader;
pub use run::Run;
pub use shown::format_event;
pub use summary::Summary;
pub use token_usage::TokenUsage;
