//! [`AgentRun`]: runs a future or a stream as the run of an agent, and hands out its trace with its answer (seed 5's
//! `POST /agents/{agent_id}/completions/trace`).
//!
//! It opens the span `invoke_agent` with the fields that agent traces are found by; everything else that the run does is told by
//! the spans that are made in it. The trace is read from the store, as it is over HTTP, so it is there when the store's writer has
//! written it: a fraction of a second after the end.

use std::collections::HashMap;
use std::fmt::Display;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use futures_util::Stream;
use serde_json::{Value, json};
use spanscope_core::SpanExt;
use spanscope_layers::genai::Agent;
use spanscope_model::text::cut;
use spanscope_model::{
    RunRange, RunRecords, RunSpan, RunStatus, SpanId, SpanStatus, StoreError, StoreErrorKind, TraceStore,
};
use spanscope_runs::{DetailLevel, Run, TraceFormat};
use tokio::time::{Instant, timeout_at};

/// How long [`Traced::trace`] waits for the run to be stored.
const STORED_WITHIN: Duration = Duration::from_secs(5);

/// A run of an agent that is to be made.
///
/// ```
/// use std::sync::Arc;
/// use spanscope_model::{StoreError, TraceStore};
/// use spanscope_server::{AgentRun, DetailLevel, TraceFormat};
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
/// let trace = traced.trace(&store, TraceFormat::Compact, DetailLevel::Standard).await?;
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
    level: Option<DetailLevel>,
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
        // As it is stored, so that it is found.
        let id = cut(id.trim(), spanscope_runs::MAX_FACT_LEN);
        self.task = Some(id.to_owned()).filter(|id| !id.is_empty());
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
    pub fn level(mut self, level: DetailLevel) -> Self {
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

    /// Runs the future inside of its span, and ends it. An error fails the run; so does dropping this before its end, as a server
    /// does whose client has left: then it failed as `cancelled`.
    pub fn run<T, E: Display, F: Future<Output = Result<T, E>>>(
        self,
        work: F,
    ) -> impl Future<Output = Traced<Result<T, E>>> + use<T, E, F> {
        // Before it is polled: what is never waited for is cancelled too.
        let unfinished = Unfinished(Some(self.agent.clone()));
        async move {
            let answer = self.agent.0.run(work).await;
            unfinished.finish();
            if let Err(error) = &answer {
                self.agent.failed(error);
            }
            Traced {
                answer,
                task_id: self.task_id,
                span_id: self.span_id,
            }
        }
    }

    /// The stream inside of its span; the run ends when the stream does. An error among its items fails the run, and so does
    /// dropping it before its end: then it failed as `cancelled`.
    pub fn stream<S, T, E>(self, stream: S) -> TracedStream<S>
    where
        S: Stream<Item = Result<T, E>>,
        E: Display,
    {
        TracedStream {
            running: Some((Box::pin(stream), Unfinished(Some(self.agent)))),
            task_id: self.task_id,
            span_id: self.span_id,
        }
    }
}

/// A run whose end was not reached yet.
#[derive(Debug)]
struct Unfinished(Option<AgentHandle>);

impl Unfinished {
    fn finish(mut self) {
        self.0 = None;
    }
}

impl Drop for Unfinished {
    fn drop(&mut self) {
        let Some(agent) = &self.0 else { return };
        if std::thread::panicking() {
            agent.0.failed("panic", &"panicked");
        } else {
            let why = &"cancelled: nobody waited for its end";
            agent.0.failed("cancelled", why);
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
    /// What was recorded of the run, its own span and what is below it, once that is stored.
    ///
    /// # Errors
    /// Not found, if it is not stored within 5 seconds: no `SqliteLayer` writes the file of this store, or a level or a tail rule
    /// leaves the run out. And what the store's own failure makes.
    pub fn trace(
        &self,
        store: &Arc<dyn TraceStore>,
        format: TraceFormat,
        level: DetailLevel,
    ) -> impl Future<Output = Result<Value, StoreError>> + Send + use<T> {
        trace_of(
            Arc::clone(store),
            self.task_id.clone(),
            self.span_id,
            format,
            level,
        )
    }
}

/// A stream that is the run of an agent.
#[derive(Debug)]
pub struct TracedStream<S> {
    /// None when the stream has ended; it is dropped then, with whatever it holds of the run.
    running: Option<(Pin<Box<S>>, Unfinished)>,
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
    pub fn trace(
        &self,
        store: &Arc<dyn TraceStore>,
        format: TraceFormat,
        level: DetailLevel,
    ) -> impl Future<Output = Result<Value, StoreError>> + Send + use<S> {
        trace_of(
            Arc::clone(store),
            self.task_id.clone(),
            self.span_id,
            format,
            level,
        )
    }
}

impl<S, T, E> Stream for TracedStream<S>
where
    S: Stream<Item = Result<T, E>>,
    E: Display,
{
    type Item = Result<T, E>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let Some((stream, unfinished)) = &mut self.running else {
            return Poll::Ready(None);
        };
        let Some(agent) = unfinished.0.clone() else {
            return Poll::Ready(None);
        };
        let polled = agent.span().in_scope(|| stream.as_mut().poll_next(context));
        match &polled {
            Poll::Ready(Some(Err(error))) => agent.failed(error),
            Poll::Ready(None) => {
                if let Some((stream, unfinished)) = self.running.take() {
                    drop(stream);
                    unfinished.finish();
                }
            }
            Poll::Ready(Some(Ok(_))) | Poll::Pending => {}
        }
        polled
    }
}

/// How long after the end of a run its trace waits for what it has left running.
const LEFT_RUNNING: Duration = Duration::from_secs(1);

async fn trace_of(
    store: Arc<dyn TraceStore>,
    task_id: String,
    span_id: Option<SpanId>,
    format: TraceFormat,
    level: DetailLevel,
) -> Result<Value, StoreError> {
    let until = Instant::now() + STORED_WITHIN;
    let mut ended: Option<Instant> = None;
    let mut seen = 0;
    let records = loop {
        // Before the store is read, so that what is written meanwhile wakes this up.
        match timeout_at(
            ended.map_or(until, |ended| ended + LEFT_RUNNING),
            store.wait_for_change(seen),
        )
        .await
        {
            Ok(version) => seen = version?,
            Err(_) if ended.is_some() => {}
            Err(_) => {
                return Err(StoreError::not_found(format!(
                    "the run {task_id:?} was not stored within {} s: a layer has to write the file of this store, and no level or rule \
                     may leave the run out",
                    STORED_WITHIN.as_secs()
                )));
            }
        }
        match store.run_records(task_id.clone(), RunRange::ALL).await {
            Ok(mut records) => {
                if let Some(span_id) = span_id {
                    only_below(&mut records, span_id);
                }
                if is_ended(&records, span_id) {
                    let since = *ended.get_or_insert_with(Instant::now);
                    if records.open == 0 || since.elapsed() >= LEFT_RUNNING {
                        break records;
                    }
                }
            }
            Err(error) if error.is_not_found() => {}
            Err(error) => return Err(error),
        }
    };
    let written = tokio::task::spawn_blocking(move || Run::of(&records).session(format, level)).await;
    written.map_err(|error| {
        StoreError::new(StoreErrorKind::Unavailable, "the trace could not be written").with_source(error)
    })
}

/// Whether the end of the run's span is stored.
fn is_ended(records: &RunRecords, span_id: Option<SpanId>) -> bool {
    match span_id {
        Some(span_id) => records
            .spans
            .iter()
            .any(|span| span.span.span_id == span_id && span.span.end_time.is_some()),
        None => records.info.status != RunStatus::Running,
    }
}

/// Leaves of a trace what lies at and below a span, as a run of its own: what is above is the request that it was made for, which
/// still runs while it is answered.
fn only_below(records: &mut RunRecords, head: SpanId) {
    let parents: HashMap<SpanId, Option<SpanId>> = records
        .spans
        .iter()
        .map(|span| (span.span.span_id, span.span.parent_span_id))
        .collect();
    let mut is_below: HashMap<SpanId, bool> = HashMap::from([(head, true)]);
    for id in parents.keys() {
        let mut path = Vec::new();
        let mut at = Some(*id);
        let found = loop {
            match at {
                None => break false,
                Some(id) => match is_below.get(&id) {
                    Some(known) => break *known,
                    None => {
                        // A circle leads nowhere.
                        is_below.insert(id, false);
                        path.push(id);
                        at = parents.get(&id).copied().flatten();
                    }
                },
            }
        };
        for id in path {
            is_below.insert(id, found);
        }
    }
    let belongs = |id: &SpanId| is_below.get(id).copied().unwrap_or(false);
    records.spans.retain(|span| belongs(&span.span.span_id));
    records
        .events
        .retain(|event| event.span_id.as_ref().is_some_and(belongs));
    records.is_shared = false;
    records.open = 0;
    for RunSpan { span, .. } in &mut records.spans {
        records.open += u64::from(span.end_time.is_none());
        if span.span_id == head {
            span.parent_span_id = None;
            records.info.name.clone_from(&span.name);
            records.info.created_at = span.start_time;
            records.info.completed_at = span.end_time;
            records.info.updated_at = span.end_time.unwrap_or(span.start_time);
        }
    }
    records.info.span_count = records.spans.len() as u64;
    let failed = |span: &&RunSpan| span.span.status == Some(SpanStatus::Error);
    records.info.error_count = records.spans.iter().filter(failed).count() as u64;
}
