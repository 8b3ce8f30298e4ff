//! [`AgentRun`]: runs a future or a stream as the run of an agent, and returns its trace with the
//! result, for routes like `POST /agents/{agent_id}/completions/trace`.
//!
//! It opens the span `invoke_agent` with the fields by which agent traces are found; the spans
//! below it describe everything else. The trace is read from the store, as over HTTP, so it is
//! available when the store's writer has written it: a fraction of a second after the end.

use std::fmt::Display;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use futures_util::Stream;
use serde_json::{Value, json};
use spanscope_core::SpanExt;
use spanscope_layers::genai::Agent;
use spanscope_model::text::cut;
use spanscope_model::{SpanId, StoreError, TraceStore};
use spanscope_runs::{DetailLevel, TraceFormat};

use super::agent_trace::{RunEnd, trace_of};

/// Configures a run of an agent.
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
    /// Configures a run of the agent with this name.
    pub fn new(agent: &str) -> Self {
        Self {
            agent: agent.to_owned(),
            ..Self::default()
        }
    }

    /// Sets the agent's id. Default: its name.
    pub fn agent_id(mut self, id: &str) -> Self {
        self.agent_id = Some(id.to_owned());
        self
    }

    /// Sets the run's id. Default: the id of its trace.
    pub fn task(mut self, id: &str) -> Self {
        // In its stored form, so that it can be found.
        let id = cut(id.trim(), spanscope_runs::MAX_RUN_ATTRIBUTE_LEN);
        self.task = Some(id.to_owned()).filter(|id| !id.is_empty());
        self
    }

    /// Sets the session (conversation). Default: none.
    pub fn session(mut self, id: &str) -> Self {
        self.session = Some(id.to_owned());
        self
    }

    /// Sets the user. Default: none.
    pub fn user(mut self, id: &str) -> Self {
        self.user = Some(id.to_owned());
        self
    }

    /// Sets the tenant, if it is the root of its trace. Default: the default tenant.
    pub fn tenant(mut self, id: &str) -> Self {
        self.tenant = Some(id.to_owned());
        self
    }

    /// Sets the level of detail for clients that request none. Default: `standard`.
    pub fn level(mut self, level: DetailLevel) -> Self {
        self.level = Some(level);
        self
    }

    /// Sets the input. It is content: each sink has its policy.
    pub fn input(mut self, input: &str) -> Self {
        self.input = Some(input.to_owned());
        self
    }

    /// Opens the run's span as a child of the current one.
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
            run: EndsRun(AgentHandle(Arc::new(agent))),
            task_id,
            span_id: ids.map(|(_, span_id)| span_id),
        }
    }
}

/// Returns a message in the format of the GenAI conventions.
fn message(role: &str, text: &str) -> String {
    json!([{"role": role, "parts": [{"type": "text", "content": text}]}]).to_string()
}

/// Adds data to a run while it is running. The run ends when its future or its stream does, even if
/// a handle is still held; but the store then shows it as running.
#[derive(Debug, Clone)]
pub struct AgentHandle(Arc<Agent>);

/// Ends the run when it is dropped.
#[derive(Debug)]
struct EndsRun(AgentHandle);

impl Drop for EndsRun {
    fn drop(&mut self) {
        self.0.span().end_now();
    }
}

impl AgentHandle {
    /// Sets the agent's output. It is content.
    pub fn output(&self, output: &str) {
        self.0.output_messages(&message("assistant", output));
    }

    /// Returns the run's span, to set attributes on.
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
    run: EndsRun,
    task_id: String,
    span_id: Option<SpanId>,
}

impl RunningAgent {
    /// Returns the id by which the run is found; empty if no Spanscope layer records it and no task
    /// was named.
    #[must_use]
    pub fn task_id(&self) -> &str {
        &self.task_id
    }

    /// Returns the run's span.
    #[must_use]
    pub fn span(&self) -> &tracing::Span {
        self.run.0.span()
    }

    /// Returns a handle to add data from inside the run.
    #[must_use]
    pub fn handle(&self) -> AgentHandle {
        self.run.0.clone()
    }

    /// Runs the future inside the run's span, and ends the run. An error fails the run; so does
    /// dropping the future before its end, as a server does when its client leaves: the run then
    /// fails as `cancelled`.
    pub fn run<T, E: Display, F: Future<Output = Result<T, E>>>(
        self,
        work: F,
    ) -> impl Future<Output = Traced<Result<T, E>>> + use<T, E, F> {
        let agent = self.handle();
        // Created before the first poll: a future that is never awaited is cancelled too.
        let unfinished = Unfinished(Some(self.run));
        async move {
            let output = agent.0.run(work).await;
            unfinished.finish();
            if let Err(error) = &output {
                agent.failed(error);
            }
            Traced {
                ended: RunEnd::now(output.is_err()),
                output,
                task_id: self.task_id,
                span_id: self.span_id,
            }
        }
    }

    /// Returns the stream inside the run's span; the run ends when the stream does. An error among
    /// its items fails the run; so does dropping the stream before its end: the run then fails as
    /// `cancelled`.
    pub fn stream<S, T, E>(self, stream: S) -> TracedStream<S>
    where
        S: Stream<Item = Result<T, E>>,
        E: Display,
    {
        TracedStream {
            running: Some((Box::pin(stream), Unfinished(Some(self.run)))),
            has_failed: false,
            ended: None,
            task_id: self.task_id,
            span_id: self.span_id,
        }
    }
}

/// A run that has not reached its end.
#[derive(Debug)]
struct Unfinished(Option<EndsRun>);

impl Unfinished {
    fn finish(mut self) {
        self.0 = None;
    }
}

impl Drop for Unfinished {
    fn drop(&mut self) {
        let Some(EndsRun(agent)) = &self.0 else { return };
        if std::thread::panicking() {
            agent.0.failed("panic", &"panicked");
        } else {
            let why = &"cancelled: it was dropped before its end";
            agent.0.failed("cancelled", why);
        }
    }
}

/// The result of a run, and the run's id.
#[derive(Debug)]
pub struct Traced<T> {
    /// The result.
    pub output: T,
    /// The id by which the run is found; empty if no Spanscope layer recorded it and no task was
    /// named.
    pub task_id: String,
    span_id: Option<SpanId>,
    ended: RunEnd,
}

impl<T> Traced<T> {
    /// Waits until the run's span and those below it are stored, and returns them. It waits up to a
    /// second for tasks that the run left running; their later work is not included.
    ///
    /// # Errors
    /// Not found, if it is not stored within 5 seconds: no `SqliteLayer` writes the file of this
    /// store, or a level or a tail rule drops the run. Also the store's own failures.
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
            Some(self.ended),
            format,
            level,
        )
    }
}

/// A stream that is the run of an agent.
#[derive(Debug)]
pub struct TracedStream<S> {
    /// `None` when the stream has ended; it is dropped then, with everything it holds of the run.
    running: Option<(Pin<Box<S>>, Unfinished)>,
    has_failed: bool,
    ended: Option<RunEnd>,
    task_id: String,
    span_id: Option<SpanId>,
}

impl<S> TracedStream<S> {
    /// Returns the id by which the run is found, as [`RunningAgent::task_id`] does.
    #[must_use]
    pub fn task_id(&self) -> &str {
        &self.task_id
    }

    /// Returns the trace, as [`Traced::trace`] does; call it when the stream has ended.
    ///
    /// # Errors
    /// Fails as [`Traced::trace`] does.
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
            self.ended,
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
        let Some(EndsRun(agent)) = &unfinished.0 else {
            return Poll::Ready(None);
        };
        let agent = agent.clone();
        let polled = agent.span().in_scope(|| stream.as_mut().poll_next(context));
        match &polled {
            Poll::Ready(Some(Err(error))) => {
                agent.failed(error);
                self.has_failed = true;
            }
            Poll::Ready(None) => {
                self.ended = Some(RunEnd::now(self.has_failed));
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
