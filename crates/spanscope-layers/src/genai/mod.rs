//! Conventional spans: one helper per kind, with the names and fields of the conventions.
//!
//! Each helper opens an ordinary `tracing` span and accepts late values: usage, finish
//! reason, result, error. The span ends when the helper is dropped, even if a background task keeps
//! the span: later events keep their own times. The same fields in a hand-written span, or from
//! another crate, have the same effect; layers don't treat helpers specially.
//!
//! ```
//! use spanscope_layers::genai::{Agent, ModelCall, ToolCall, Usage};
//!
//! let agent = Agent::invoke("librarian");
//! agent.in_scope(|| {
//!     let call = ModelCall::chat("openai", "gpt-4o-mini");
//!     call.in_scope(|| { /* send the request */ });
//!     call.usage(Usage::new(396, 29)).finish_reason("tool_calls");
//!     drop(call);
//!
//!     let tool = ToolCall::execute("calculator");
//!     tool.arguments(r#"{"expression":"6*7"}"#).result("42");
//! });
//! ```
//!
//! In async code the span is attached to the future: `call.run(future).await`.
//!
//! | helper | span | category |
//! |---|---|---|
//! | [`ModelCall`] | `{chat, text_completion, generate_content} {model}`, client | `inference` |
//! | [`Embeddings`] | `embeddings {model}`, client | `inference` |
//! | [`Retrieval`] | `retrieval {data source}`, client | `vector_io` |
//! | [`ToolCall`] | `execute_tool {tool}`, internal | `tools` |
//! | [`McpCall`] | `tools/list`, `tools/call {tool}`, client | `tool_runtime` |
//! | [`Agent`] | `invoke_agent {agent}`, internal | `agents` |
//! | [`Workflow`] | `invoke_workflow {workflow}`, internal | `agents` |
//! | [`SafetyCheck`] | `run_shield {shield}`, internal | `safety` |
//!
//! Prompts, completions, arguments, results and messages are content: each sink's policy decides
//! what it shows of them.

mod agent;
mod model;
mod safety;
mod tool;

use std::ops::Deref;

use spanscope_core::SpanExt as _;
use tracing::Span;

pub use agent::{Agent, Workflow};
pub use model::{Embeddings, ModelCall, Retrieval, Usage};
pub use safety::SafetyCheck;
pub use tool::{McpCall, ToolCall};

/// The span of a helper: it ends with the helper, even if clones of it are kept.
#[derive(Debug)]
struct HelperSpan(Span);

impl Deref for HelperSpan {
    type Target = Span;

    fn deref(&self) -> &Span {
        &self.0
    }
}

impl Drop for HelperSpan {
    fn drop(&mut self) {
        self.0.end_now();
    }
}

/// The methods that every helper has.
macro_rules! spanned {
    ($helper:ty) => {
        impl $helper {
            /// Returns its span, as a parent or to read its ids.
            #[must_use]
            pub fn span(&self) -> &tracing::Span {
                &self.span
            }

            /// Runs work inside the span.
            pub fn in_scope<T>(&self, work: impl FnOnce() -> T) -> T {
                self.span.in_scope(work)
            }

            /// Runs the future in the span: the span is entered whenever the future is polled.
            ///
            /// It is not called `instrument`, because `tracing::Instrument` gives every type a
            /// method of that name, which takes a span.
            pub fn run<F: Future>(&self, future: F) -> tracing::instrument::Instrumented<F> {
                tracing::Instrument::instrument(future, self.span.clone())
            }

            /// Sets an attribute under any key.
            pub fn set(&self, key: &str, value: impl Into<spanscope_model::Value>) -> &Self {
                crate::SpanExt::record_attribute(&*self.span, key, value);
                self
            }

            /// Marks it as failed. `error_type` has few values: a code or the name of an error
            /// type, never a message.
            pub fn failed(&self, error_type: &str, message: &dyn std::fmt::Display) -> &Self {
                self.span.record("error.type", error_type);
                self.span.record("otel.status_code", "error");
                self.span
                    .record("otel.status_description", tracing::field::display(message));
                self
            }
        }
    };
}
use spanned;
