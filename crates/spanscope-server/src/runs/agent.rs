//! [`AgentRun`]: runs a future or a stream as the run of an agent, and hands out its trace with its answer (seed 5's
//! `POST /agents/{agent_id}/completions/trace`).
//!
//! It opens the span `invoke_agent` with the fields that agent traces are found by; everything else that the run does is told by
//! the spans that are made in it. The trace is read from the store, as it is over HTTP, so it is there when the store's writer has
//! written it: a fraction of a second after the end.

use std::fmt::Display;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use futures_util::Stream;
use serde_json::{Value, json};
use spanscope_layers::SpanExt;
use spanscope_layers::genai::Agent;
use spanscope_model::{RunRange, RunRecords, RunStatus, SpanId, StoreError, StoreErrorKind, TraceStore};
use spanscope_runs::{Format, Level, Run};
use tokio::time::{Instant, timeout_at};

/// How long [`Traced::trace`] waits for the run to be stored.
const STORED_WITHIN: Duration = Duration::from_secs(5);

/// A run of an agent that is to be made.
///
/// ```
/// use std::sync::Arc;
/// use spanscope_model::{StoreError, TraceStore};
/// use spanscope_server::{AgentRun, Format, Level};
///
/// # async fn handle(store: Arc<dyn TraceStore>) -> Result<serde_json::Value, StoreError> {
/// let run = AgentRun::new("librarian").session("s-17").user("ada").input("How large is the log?").start();
/// let handle = run.handle();
/// let traced = run
///     .run(async move {
///         // ... spans made here are the steps of the run ...
///         handle.output("4 MiB");
///         Ok::<_, std::io::Error>("4 MiB")
///     })
///     .await;
/// let trace = traced.trace(&store, Format::Compact, Level::Standard).await?;
/// # Ok(trace)
/// # }
/// ```
#[derive(Debug, Clone, Default)]
#[must_use = "a run begins with `start`"]
pub struct AgentRun {
    agent: String,
    agent_id: Option<String>,
    task: Option<String>,
    session: Option<String>,
    user: Option<String>,
    tenant: Option<String>,
    level: Option<Level>,
    input: Option<String>,
}

impl AgentRun {
    /// A run of the agent of this name.
    pub fn new(agent: &str) -> Self {
        Self {
            agent: agent.to_owned(),
            ..Self::default()
        }
    }

    /// The agent's id. Default: its name.
    pub fn agent_id(mut self, id: &str) -> Self {
        self.agent_id = Some(id.to_owned());
        self
    }

    /// The run's id. Default: the id of its trace.
    pub fn task(mut self, id: &str) -> Self {
        self.task = Some(id.to_owned());
        self
    }

    /// The session (conversation) that it is part of. Default: none.
    pub fn session(mut self, id: &str) -> Self {
        self.session = Some(id.to_owned());
        self
    }

    /// Who asked. Default: nobody.
    pub fn user(mut self, id: &str) -> Self {
        self.user = Some(id.to_owned());
        self
    }

    /// Whose it is, if it is the root of its trace. Default: the default tenant's.
    pub fn tenant(mut self, id: &str) -> Self {
        self.tenant = Some(id.to_owned());
        self
    }

    /// The level at which it is shown to whoever asks for none. Default: `standard`.
    pub fn level(mut self, level: Level) -> Self {
        self.level = Some(level);
        self
    }

    /// What was asked. This is content: each sink has its policy.
    pub fn input(mut self, question: &str) -> Self {
        self.input = Some(question.to_owned());
        self
    }

    /// Opens its span, below the current one.
    #[must_use]
    pub fn start(self) -> RunningAgent {
        let agent = Agent::invoke(&self.agent);
        agent.agent_id(self.agent_id.as_deref().unwrap_or(&self.agent));
        if let Some(task) = &self.task {
            agent.task(task);
        }
        if let Some(session) = &self.session {
            agent.session(session);
        }
        if let Some(user) = &self.user {
            agent.user(user);
        }
        if let Some(tenant) = &self.tenant {
            agent.tenant(tenant);
        }
        if let Some(level) = self.level {
            agent.set("trace_level", level.as_str());
        }
        if let Some(input) = &self.input {
            agent.input_messages(&message("user", input));
        }
        let ids = agent.span().ids();
        let task_id = self
            .task
            .or_else(|| ids.map(|(trace_id, _)| trace_id.to_string()))
            .unwrap_or_default();
        RunningAgent {
            agent: AgentHandle(Arc::new(agent)),
            task_id,
            span_id: ids.map(|(_, span_id)| span_id),
        }
    }
}

/// A message as the conventions write it.
fn message(role: &str, text: &str) -> String {
    json!([{"role": role, "parts": [{"type": "text", "content": text}]}]).to_string()
}

/// Says more of a run while it goes on. While one is held the run does not end.
#[derive(Debug, Clone)]
pub struct AgentHandle(Arc<Agent>);

impl AgentHandle {
    /// What the agent answers. This is content.
    pub fn output(&self, answer: &str) {
        self.0.output_messages(&message("assistant", answer));
    }

    /// Its span, to set attributes on.
    #[must_use]
    pub fn span(&self) -> &tracing::Span {
        self.0.span()
    }

    fn failed(&self, error: &dyn Display) {
        self.0.failed("agent_failed", error);
    }
}

/// A run that has begun. Dropping it ends it.
#[derive(Debug)]
pub struct RunningAgent {
    agent: AgentHandle,
    task_id: String,
    span_id: Option<SpanId>,
}

impl RunningAgent {
    /// By what the run is found; empty where no layer of ours records it and no task was named.
    #[must_use]
    pub fn task_id(&self) -> &str {
        &self.task_id
    }

    /// Its span.
    #[must_use]
    pub fn span(&self) -> &tracing::Span {
        self.agent.span()
    }

    /// To say more of it from inside.
    #[must_use]
    pub fn handle(&self) -> AgentHandle {
        self.agent.clone()
    }

    /// Runs the future inside of its span, and ends it. An error fails the run.
    pub async fn run<T, E: Display>(self, work: impl Future<Output = Result<T, E>>) -> Traced<Result<T, E>> {
        let answer = self.agent.0.instrument(work).await;
        if let Err(error) = &answer {
            self.agent.failed(error);
        }
        Traced {
            answer,
            task_id: self.task_id,
            span_id: self.span_id,
        }
    }

    /// The stream inside of its span; the run ends when the stream does, or is dropped. An error among its items fails the run.
    pub fn stream<S, T, E>(self, stream: S) -> TracedStream<S>
    where
        S: Stream<Item = Result<T, E>>,
        E: Display,
    {
        TracedStream {
            stream: Box::pin(stream),
            agent: Some(self.agent),
            task_id: self.task_id,
            span_id: self.span_id,
        }
    }
}

/// An answer, and the run that made it.
#[derive(Debug)]
pub struct Traced<T> {
    /// The answer.
    pub answer: T,
    /// By what the run is found; empty where no layer of ours recorded it and no task was named.
    pub task_id: String,
    span_id: Option<SpanId>,
}

impl<T> Traced<T> {
    /// The trace of the run, once it is stored.
    ///
    /// # Errors
    /// Not found, if it is not stored within 5 seconds: no `SqliteLayer` writes the file of this store, or a level or a tail rule
    /// leaves the run out. And what the store's own failure makes.
    pub async fn trace(
        &self,
        store: &Arc<dyn TraceStore>,
        format: Format,
        level: Level,
    ) -> Result<Value, StoreError> {
        trace_of(store, &self.task_id, self.span_id, format, level).await
    }
}

/// A stream that is the run of an agent.
#[derive(Debug)]
pub struct TracedStream<S> {
    stream: Pin<Box<S>>,
    /// None when the stream has ended.
    agent: Option<AgentHandle>,
    task_id: String,
    span_id: Option<SpanId>,
}

impl<S> TracedStream<S> {
    /// As [`RunningAgent::task_id`].
    #[must_use]
    pub fn task_id(&self) -> &str {
        &self.task_id
    }

    /// As [`Traced::trace`]; to be asked when the stream has ended.
    ///
    /// # Errors
    /// As there.
    pub async fn trace(
        &self,
        store: &Arc<dyn TraceStore>,
        format: Format,
        level: Level,
    ) -> Result<Value, StoreError> {
        trace_of(store, &self.task_id, self.span_id, format, level).await
    }
}

impl<S, T, E> Stream for TracedStream<S>
where
    S: Stream<Item = Result<T, E>>,
    E: Display,
{
    type Item = Result<T, E>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let Some(agent) = self.agent.clone() else {
            return Poll::Ready(None);
        };
        let polled = agent.span().in_scope(|| self.stream.as_mut().poll_next(context));
        match &polled {
            Poll::Ready(Some(Err(error))) => agent.failed(error),
            Poll::Ready(None) => self.agent = None,
            Poll::Ready(Some(Ok(_))) | Poll::Pending => {}
        }
        polled
    }
}

async fn trace_of(
    store: &Arc<dyn TraceStore>,
    task_id: &str,
    span_id: Option<SpanId>,
    format: Format,
    level: Level,
) -> Result<Value, StoreError> {
    let until = Instant::now() + STORED_WITHIN;
    let mut seen = 0;
    let records = loop {
        let late = || {
            StoreError::not_found(format!(
                "the run {task_id:?} was not stored within {} s: a layer has to write the file of this store, and no level or rule may \
                 leave the run out",
                STORED_WITHIN.as_secs()
            ))
        };
        // Before the store is read, so that what is written meanwhile wakes this up.
        seen = timeout_at(until, store.changed(seen))
            .await
            .map_err(|_| late())??;
        match store.run_records(task_id.to_owned(), RunRange::ALL).await {
            Ok(records) if is_whole(&records, span_id) => break records,
            Ok(_) => {}
            Err(error) if error.is_not_found() => {}
            Err(error) => return Err(error),
        }
    };
    let written = tokio::task::spawn_blocking(move || Run::of(&records).session(format, level)).await;
    written.map_err(|error| {
        StoreError::new(StoreErrorKind::Unavailable, "the trace could not be written").with_source(error)
    })
}

/// Whether the end of the run's span is stored; what ended before it is then stored too.
fn is_whole(records: &RunRecords, span_id: Option<SpanId>) -> bool {
    match span_id {
        Some(span_id) => records
            .spans
            .iter()
            .any(|span| span.span.span_id == span_id && span.span.end_time.is_some()),
        None => records.info.status != RunStatus::Running,
    }
}
