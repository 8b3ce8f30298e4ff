//! Agent traces over HTTP (specification section 10, seed 5): what an agent did, step by step, live and afterwards.
//!
//! A run is not recorded twice: it is read from the spans of its traces, by `spanscope-runs`, each time it is asked for.
//!
//! ```text
//! GET /traces ...          -> QueryParams (checked words and numbers) -> dyn TraceStore::list_runs -> JSON
//! GET /traces/{id} ...     -> TraceStore::run_records(all) -> Run::of, on a thread that may block -> JSON
//! GET /traces/{id}/stream  -> Followed: one reader of the store a run, however many watch it -> pages -> Watcher -> SSE
//! ```
//!
//! Never here: a second look at what a span means, or a store that is not
//! [`ScopedStore`](crate::caller::ScopedStore).

mod agent;
mod agent_trace;
mod followed;
mod handlers;
mod page;
mod place;
mod query_params;
mod replay;
mod router;
mod state;
mod stream;
mod watcher;

use std::time::Duration;

pub use self::agent::{AgentHandle, AgentRun, RunningAgent, Traced, TracedStream};
pub(crate) use self::query_params::{FILTERED, QueryParams};
pub use self::router::runs_router;
pub(crate) use self::router::{PREFIXES, api, questions, streams};
use crate::setters::setters;

/// How agent traces are answered. Every field names its default and has a setter.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct RunSettings {
    /// A run that ended longer ago is no longer answered, whatever of it is stored. Default: 7 days (seed 5).
    pub session_ttl: Duration,
    /// The events of a run that ended longer ago are no longer answered, though its session and summary are. Default: 3 days
    /// (seed 5).
    pub event_ttl: Duration,
    /// A stream waits for so long after the last span has ended before it says that the run is over. Default: 3 s.
    pub grace: Duration,
    /// The same where a span of the run was sent over OTLP: SDKs gather a batch for 5 s by default, and another service may
    /// hold back what it did. Default: 8 s.
    pub sent_grace: Duration,
    /// The same where no root is stored: it is sent when it ends, and what it waits for may be a model that thinks. Default: 60 s.
    pub rootless_grace: Duration,
    /// A stream that has nothing to say says so after this time. Default: 15 s.
    pub keep_alive: Duration,
    /// Streams at one time; further ones are answered 429. Default: 512.
    pub streams: usize,
    /// Of these, those of one tenant, so that none takes all of them. Default: 384.
    pub tenant_streams: usize,
    /// Bytes of events, about, that are kept of one followed run for those who read behind. Default: 8 MiB.
    pub kept_bytes: usize,
}

setters!(RunSettings {
    session_ttl: Duration,
    event_ttl: Duration,
    grace: Duration,
    sent_grace: Duration,
    rootless_grace: Duration,
    keep_alive: Duration,
    streams: usize,
    tenant_streams: usize,
    kept_bytes: usize,
});

impl Default for RunSettings {
    fn default() -> Self {
        let days = |days: u64| Duration::from_secs(days * 86_400);
        Self {
            session_ttl: days(7),
            event_ttl: days(3),
            grace: spanscope_runs::GRACE,
            sent_grace: spanscope_runs::SENT_GRACE,
            rootless_grace: spanscope_runs::ROOTLESS_GRACE,
            keep_alive: Duration::from_secs(15),
            streams: 512,
            tenant_streams: 384,
            kept_bytes: 8 << 20,
        }
    }
}
