//! The span of one request, and how it ends. Client and server share it.

use std::fmt;

use rmcp::model::{CallToolResult, ErrorData};
use serde::Serialize;
use spanscope_core::SpanExt as _;
use spanscope_model::semconv::{SemanticAttribute, mask_text};
use tracing::field::{self, Empty};
use tracing::{Span, info_span};

/// The method of a request, and the tool, prompt or resource that the request names.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Operation<'a> {
    pub(crate) method: &'a str,
    pub(crate) tool: Option<&'a str>,
    pub(crate) prompt: Option<&'a str>,
    /// The URI of a resource.
    pub(crate) resource: Option<&'a str>,
}

impl<'a> Operation<'a> {
    pub(crate) fn of_method(method: &'a str) -> Self {
        Self {
            method,
            ..Self::default()
        }
    }

    pub(crate) fn on_resource(method: &'a str, uri: &'a str) -> Self {
        Self {
            resource: Some(uri),
            ..Self::of_method(method)
        }
    }
}

/// The initial data of a request's span.
#[derive(Debug, Default)]
pub(crate) struct Request<'a> {
    pub(crate) kind: &'static str,
    pub(crate) operation: Operation<'a>,
    pub(crate) id: Option<String>,
    pub(crate) session: Option<&'a str>,
    pub(crate) protocol_version: Option<&'a str>,
    pub(crate) transport: Option<&'static str>,
}

/// `tools/call calculator`, or only the method.
struct Name<'a>(&'a str, Option<&'a str>);

impl fmt::Display for Name<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0)?;
        self.1.map_or(Ok(()), |target| write!(f, " {target}"))
    }
}

impl Request<'_> {
    pub(crate) fn open(&self) -> Span {
        let Operation {
            method,
            tool,
            prompt,
            resource,
        } = self.operation;
        info_span!(
            target: "tool_runtime",
            "mcp_request",
            otel.name = field::display(Name(method, tool.or(prompt))),
            otel.kind = self.kind,
            otel.status_code = Empty,
            otel.status_description = Empty,
            error.type = Empty,
            mcp.method.name = method,
            // A URI may hold credentials.
            mcp.resource.uri = resource.map(mask_text).as_deref(),
            mcp.session.id = self.session,
            mcp.protocol.version = self.protocol_version,
            gen_ai.operation.name = tool.map(|_| "execute_tool"),
            gen_ai.tool.name = tool,
            gen_ai.tool.call.arguments = Empty,
            gen_ai.tool.call.result = Empty,
            gen_ai.prompt.name = prompt,
            jsonrpc.request.id = self.id,
            network.transport = self.transport,
            rpc.response.status_code = Empty,
        )
    }
}

/// A request in progress. If it is dropped before [`end`](Self::end), it was cancelled, or the
/// handler panicked.
#[derive(Debug)]
pub(crate) struct Running {
    span: Span,
    /// Whether the span belongs to other code, which ends it and sets its status.
    is_foreign: bool,
    is_over: bool,
}

/// How a request ended.
#[derive(Debug)]
pub(crate) enum Outcome<'a> {
    Result,
    /// A result that reports a failure of the tool.
    ToolError,
    Error(&'a ErrorData),
    /// No response: the kind, and the details.
    #[cfg(feature = "client")]
    NoAnswer(&'static str, String),
    Cancelled,
}

impl Running {
    pub(crate) fn new(span: Span) -> Self {
        Self {
            span,
            is_foreign: false,
            is_over: false,
        }
    }

    #[cfg(feature = "client")]
    pub(crate) fn within_foreign(span: Span) -> Self {
        Self {
            span,
            is_foreign: true,
            is_over: false,
        }
    }

    pub(crate) fn span(&self) -> &Span {
        &self.span
    }

    /// Records the arguments or the result of a tool, as JSON.
    pub(crate) fn content(&self, meaning: SemanticAttribute, value: Option<&impl Serialize>) {
        if self.span.is_disabled() {
            return;
        }
        if let Some(text) = value.and_then(|value| serde_json::to_string(value).ok()) {
            self.span.record_attribute(meaning.name(), text);
        }
    }

    pub(crate) fn end(mut self, outcome: &Outcome<'_>) {
        self.finish(outcome);
    }

    fn finish(&mut self, outcome: &Outcome<'_>) {
        self.is_over = true;
        let code;
        let (kind, description) = match outcome {
            Outcome::Result => ("", None),
            Outcome::ToolError => ("tool_error", None),
            Outcome::Error(error) => {
                code = error.code.0.to_string();
                self.record("rpc.response.status_code", &code);
                (code.as_str(), Some(error.message.as_ref()))
            }
            #[cfg(feature = "client")]
            Outcome::NoAnswer(kind, text) => (*kind, Some(text.as_str())),
            Outcome::Cancelled => ("cancelled", None),
        };
        if !kind.is_empty() {
            self.fail(kind, description);
        }
        if !self.is_foreign {
            self.span.end_now();
        }
    }

    fn fail(&self, kind: &str, description: Option<&str>) {
        self.record("error.type", kind);
        if self.is_foreign {
            return; // the code that owns the span decides whether it failed
        }
        self.record("otel.status_code", "error");
        if let Some(description) = description {
            self.record("otel.status_description", description);
        }
    }

    fn record(&self, key: &'static str, value: &str) {
        if self.is_foreign {
            self.span.record_attribute(key, value);
        } else {
            self.span.record(key, value);
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if self.is_over {
            return;
        }
        if std::thread::panicking() {
            self.fail("panic", None);
            if !self.is_foreign {
                self.span.end_now();
            }
        } else {
            self.finish(&Outcome::Cancelled);
        }
    }
}

/// Returns the outcome of a call from the tool's result.
pub(crate) fn outcome_of(result: &CallToolResult) -> Outcome<'static> {
    if result.is_error == Some(true) {
        Outcome::ToolError
    } else {
        Outcome::Result
    }
}
