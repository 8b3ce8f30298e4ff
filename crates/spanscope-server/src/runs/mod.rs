//! Agent traces over HTTP, as RAGFlow's agent trace API: what an agent did, step by step, live and
//! afterwards.
//!
//! A run is not recorded separately: `spanscope-runs` derives it from the spans of its traces for
//! each request.
//!
//! ```text
//! GET /traces ...          -> QueryParams (checked words and numbers) -> dyn TraceStore::list_runs -> JSON
//! GET /traces/{id} ...     -> TraceStore::run_records(all) -> Run::of, on a thread that may block -> JSON
//! GET /traces/{id}/stream  -> Followed: one reader of the store per run -> pages -> a Watcher per client -> SSE
//! ```
//!
//! This module does not interpret spans, and reads no store but
//! [`ScopedStore`](crate::caller::ScopedStore).

mod agent;
mod agent_trace;
mod followed;
mod handlers;
mod page;
mod position;
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
#[cfg(feature = "schema")]
pub(crate) use self::router::{PREFIXES, api};
pub(crate) use self::router::{queries, streams};
use spanscope_model::setters;

/// The settings of agent traces. Every field names its default and has a setter.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct RunSettings {
    /// How long after its end a run is available. Default: 7 days, as in RAGFlow.
    pub session_ttl: Duration,
    /// How long after its end a run's events are available; its session and summary stay longer.
    /// Default: 3 days, as in RAGFlow.
    pub event_ttl: Duration,
    /// How long after the end of the last span a stream waits before it ends. Default: 3 s.
    pub grace: Duration,
    /// How long it waits if a span of the run was sent over OTLP: SDKs batch for 5 s by default,
    /// and another service may hold back spans. Default: 8 s.
    pub sent_grace: Duration,
    /// How long it waits if no root is stored: a root is sent when it ends, and it may wait for a
    /// slow model. Default: 60 s.
    pub rootless_grace: Duration,
    /// The interval of keep-alives on an idle stream. Default: 15 s.
    pub keep_alive: Duration,
    /// Maximum number of concurrent streams; further ones get 429. Default: 512.
    pub streams: usize,
    /// Maximum number of concurrent streams of one tenant. Default: 384.
    pub tenant_streams: usize,
    /// Approximate memory of the kept events of one followed run for slower readers, in bytes.
    /// Default: 8 MiB.
    pub event_buffer_bytes: usize,
}

setters!(RunSettings {
    session_ttl: [Duration],
    event_ttl: [Duration],
    grace: [Duration],
    sent_grace: [Duration],
    rootless_grace: [Duration],
    keep_alive: [Duration],
    streams: [usize],
    tenant_streams: [usize],
    event_buffer_bytes: [usize],
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
            event_buffer_bytes: 8 << 20,
        }
    }
}
