//! [`TracedClient`], and the trait that creates it.

use std::future::Future;

use rmcp::RoleClient;
use rmcp::model::{
    CallToolRequestParams, CallToolResponse, CallToolResult, CompleteRequestParams, CompleteResult,
    GetPromptRequestParams, GetPromptResult, ListPromptsResult, ListResourceTemplatesResult,
    ListResourcesResult, ListToolsResult, PaginatedRequestParams, ReadResourceRequestParams,
    ReadResourceResult, RequestMetaObject, Tool,
};
use rmcp::service::{Peer, RunningService, Service, ServiceError};
use spanscope_core::capture::{FieldReader, Key, SpanRecord};
use spanscope_core::{SpanExt as _, propagation};
use spanscope_model::semconv::SemanticAttribute;
use tracing::{Instrument as _, Span};
use tracing_subscriber::Registry;
use tracing_subscriber::registry::{LookupSpan as _, SpanData as _};

use crate::span::{Operation, Outcome, Request, Running, outcome_of};
use crate::transport;

/// Adds calls with a span to rmcp's clients.
pub trait ClientExt: Sized {
    /// Returns the client with a span for each request. The span's context is sent to the server.
    fn traced(&self) -> TracedClient<'_, Self> {
        TracedClient {
            client: self,
            session_id: None,
            has_content: false,
        }
    }
}

impl ClientExt for Peer<RoleClient> {}

impl<S: Service<RoleClient>> ClientExt for RunningService<RoleClient, S> {}

/// A client of an MCP server, with a span for each request.
///
/// Its methods have the names of rmcp's client. For another of rmcp's ways to call a tool, use
/// [`call_tool_with`](Self::call_tool_with).
#[derive(Debug)]
pub struct TracedClient<'a, C> {
    client: &'a C,
    session_id: Option<String>,
    has_content: bool,
}

impl<C> Clone for TracedClient<'_, C> {
    fn clone(&self) -> Self {
        Self {
            client: self.client,
            session_id: self.session_id.clone(),
            has_content: self.has_content,
        }
    }
}

/// The result of a tool call: rmcp's [`CallToolResult`] or [`CallToolResponse`].
pub trait ToolAnswer: sealed::Sealed {
    #[doc(hidden)]
    fn result(&self) -> Option<&CallToolResult>;
}

mod sealed {
    pub trait Sealed {}
    impl Sealed for rmcp::model::CallToolResult {}
    impl Sealed for rmcp::model::CallToolResponse {}
}

impl ToolAnswer for CallToolResult {
    fn result(&self) -> Option<&CallToolResult> {
        Some(self)
    }
}

impl ToolAnswer for CallToolResponse {
    fn result(&self) -> Option<&CallToolResult> {
        match self {
            Self::Complete(result) => Some(result),
            _ => None,
        }
    }
}

impl<C> TracedClient<'_, C> {
    /// Sets the session, for the attribute `mcp.session.id`: for streamable HTTP the value of the
    /// header `Mcp-Session-Id`. By default there is none, since rmcp's clients don't expose it.
    #[must_use]
    pub fn session_id(mut self, id: impl Into<String>) -> Self {
        self.session_id = Some(id.into());
        self
    }

    /// Sets whether the arguments and results of tools are attributes of the span, as JSON. By
    /// default they are not. Each sink's policy decides what it does with content.
    #[must_use]
    pub fn content(mut self, has_content: bool) -> Self {
        self.has_content = has_content;
        self
    }

    /// Calls a tool by the method of rmcp's client that `send` chooses. `send` receives the
    /// parameters with the context in their `_meta`.
    ///
    /// ```
    /// # use rmcp::{RoleClient, model::*, service::*};
    /// # use spanscope_mcp::ClientExt as _;
    /// # async fn call<S: Service<RoleClient>>(client: &RunningService<RoleClient, S>) -> Result<(), ServiceError> {
    /// let params = CallToolRequestParams::new("now");
    /// let call = |params| client.call_tool_with_mrtr_max_rounds(params, 3);
    /// let result = client.traced().call_tool_with(params, call).await?;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// Those of `send`.
    pub async fn call_tool_with<T, F>(
        &self,
        mut params: CallToolRequestParams,
        send: impl FnOnce(CallToolRequestParams) -> F,
    ) -> Result<T, ServiceError>
    where
        T: ToolAnswer,
        F: Future<Output = Result<T, ServiceError>>,
    {
        let current = Span::current();
        if is_inside(&current) {
            // This call is already in the span of another traced call.
            inject(&current, &mut params.meta);
            return send(params).await;
        }
        let running = if is_execution_of(&current, &params.name) {
            current.record_attribute(SemanticAttribute::McpMethod.name(), "tools/call");
            Running::within_foreign(current)
        } else {
            let operation = Operation {
                tool: Some(params.name.as_ref()),
                ..Operation::of_method("tools/call")
            };
            Running::new(self.request(operation).open())
        };
        if self.has_content {
            running.content(SemanticAttribute::ToolArguments, params.arguments.as_ref());
        }
        let (running, result) = run(running, &mut params.meta.take(), |meta| {
            params.meta = meta;
            send(params)
        })
        .await;
        if self.has_content {
            let answer = result.as_ref().ok().and_then(ToolAnswer::result);
            running.content(SemanticAttribute::ToolResult, answer);
        }
        running.end(&match &result {
            Ok(answer) => answer.result().map_or(Outcome::Result, outcome_of),
            Err(error) => outcome_of_error(error),
        });
        result
    }

    fn request<'a>(&'a self, operation: Operation<'a>) -> Request<'a> {
        Request {
            kind: "client",
            operation,
            session: self.session_id.as_deref(),
            ..Request::default()
        }
    }

    /// Sends a request that calls no tool.
    async fn send<T, F>(
        &self,
        operation: Operation<'_>,
        mut meta: Option<RequestMetaObject>,
        send: impl FnOnce(Option<RequestMetaObject>) -> F,
    ) -> Result<T, ServiceError>
    where
        F: Future<Output = Result<T, ServiceError>>,
    {
        let current = Span::current();
        if is_inside(&current) {
            inject(&current, &mut meta);
            return send(meta).await;
        }
        let running = Running::new(self.request(operation).open());
        let (running, result) = run(running, &mut meta, send).await;
        running.end(&match &result {
            Ok(_) => Outcome::Result,
            Err(error) => outcome_of_error(error),
        });
        result
    }
}

/// Sends a request in its span, with the span's context in `_meta`.
async fn run<T, F>(
    running: Running,
    meta: &mut Option<RequestMetaObject>,
    send: impl FnOnce(Option<RequestMetaObject>) -> F,
) -> (Running, Result<T, ServiceError>)
where
    F: Future<Output = Result<T, ServiceError>>,
{
    inject(running.span(), meta);
    let _sent = transport::note_sent(running.span());
    let result = send(meta.take()).instrument(running.span().clone()).await;
    (running, result)
}

fn inject(span: &Span, meta: &mut Option<RequestMetaObject>) {
    let is_new = meta.is_none();
    let object = meta.get_or_insert_default();
    propagation::inject(span, &mut object.0.0);
    if is_new && object.0.0.is_empty() {
        *meta = None;
    }
}

/// Returns whether the span is that of a traced call.
fn is_inside(span: &Span) -> bool {
    span.metadata()
        .is_some_and(|metadata| metadata.name() == "mcp_request" && metadata.target() == "tool_runtime")
        && text_of(span, SemanticAttribute::SpanKind).is_some_and(|kind| kind == "client")
}

/// Returns whether the span is an `execute_tool` span that covers this call of a tool.
fn is_execution_of(span: &Span, tool: &str) -> bool {
    let is = |meaning, value: &str| text_of(span, meaning).is_some_and(|text| text == value);
    is(SemanticAttribute::Operation, "execute_tool")
        && is(SemanticAttribute::ToolName, tool)
        && text_of(span, SemanticAttribute::McpMethod).is_none()
}

/// Returns the text that the span has under OpenTelemetry's name of this meaning, if a sink records
/// the span.
fn text_of(span: &Span, meaning: SemanticAttribute) -> Option<String> {
    span.with_subscriber(|(id, dispatch)| {
        let data = dispatch.downcast_ref::<Registry>()?.span_data(id)?;
        let extensions = data.extensions();
        let record = extensions.get::<SpanRecord>()?;
        let declared = record.metadata().fields();
        let mut values = FieldReader::new(record.fields()).select(|key| {
            let is_wanted = match key {
                Key::Declared(index) => declared
                    .iter()
                    .nth(index)
                    .is_some_and(|field| field.name() == meaning.name()),
                Key::Undeclared(name) => name == meaning.name(),
            };
            is_wanted.then_some(())
        });
        values.next()?.1.as_text().map(str::to_owned)
    })
    .flatten()
}

fn outcome_of_error(error: &ServiceError) -> Outcome<'_> {
    let kind = match error {
        ServiceError::McpError(error) => return Outcome::Error(error),
        ServiceError::Cancelled { .. } => return Outcome::Cancelled,
        ServiceError::TransportSend(_) => "transport_send",
        ServiceError::TransportClosed => "transport_closed",
        ServiceError::Timeout { .. } => "timeout",
        ServiceError::UnexpectedResponse => "unexpected_response",
        _ => "_OTHER",
    };
    Outcome::NoAnswer(kind, error.to_string())
}

/// Generates the methods of a traced client, which both of rmcp's client types have.
macro_rules! client_methods {
    ([$($generics:tt)*] $client:ty) => {
        impl<$($generics)*> TracedClient<'_, $client> {
            /// Calls a tool.
            ///
            /// # Errors
            /// Those of rmcp's method. A tool that failed is a result with `is_error`.
            pub async fn call_tool(&self, params: CallToolRequestParams) -> Result<CallToolResult, ServiceError> {
                self.call_tool_with(params, |params| self.client.call_tool(params)).await
            }

            /// Requests a prompt.
            ///
            /// # Errors
            /// Those of rmcp's method.
            pub async fn get_prompt(
                &self,
                mut params: GetPromptRequestParams,
            ) -> Result<GetPromptResult, ServiceError> {
                let (prompt, meta) = (params.name.clone(), params.meta.take());
                let send = |meta| {
                    params.meta = meta;
                    self.client.get_prompt(params)
                };
                let operation = Operation {
                    prompt: Some(&prompt),
                    ..Operation::of_method("prompts/get")
                };
                self.send(operation, meta, send).await
            }

            /// Reads a resource.
            ///
            /// # Errors
            /// Those of rmcp's method.
            pub async fn read_resource(
                &self,
                mut params: ReadResourceRequestParams,
            ) -> Result<ReadResourceResult, ServiceError> {
                let (uri, meta) = (params.uri.clone(), params.meta.take());
                let send = |meta| {
                    params.meta = meta;
                    self.client.read_resource(params)
                };
                self.send(Operation::on_resource("resources/read", &uri), meta, send).await
            }

            /// Requests completions of an argument.
            ///
            /// # Errors
            /// Those of rmcp's method.
            pub async fn complete(
                &self,
                mut params: CompleteRequestParams,
            ) -> Result<CompleteResult, ServiceError> {
                let meta = params.meta.take();
                let send = |meta| {
                    params.meta = meta;
                    self.client.complete(params)
                };
                self.send(Operation::of_method("completion/complete"), meta, send).await
            }

            client_methods! { list "a page of the list of tools": list_tools "tools/list" ListToolsResult }
            client_methods! { list "a page of the list of prompts": list_prompts "prompts/list" ListPromptsResult }
            client_methods! {
                list "a page of the list of resources": list_resources "resources/list" ListResourcesResult
            }
            client_methods! {
                list "a page of the list of templates of resources":
                list_resource_templates "resources/templates/list" ListResourceTemplatesResult
            }

            /// Requests all tools, with a span per page.
            ///
            /// # Errors
            /// Those of rmcp's method.
            pub async fn list_all_tools(&self) -> Result<Vec<Tool>, ServiceError> {
                let mut tools = Vec::new();
                let mut cursor = None;
                loop {
                    let params = PaginatedRequestParams::default().with_cursor(cursor);
                    let page = self.list_tools(Some(params)).await?;
                    tools.extend(page.tools);
                    cursor = page.next_cursor;
                    if cursor.is_none() {
                        return Ok(tools);
                    }
                }
            }
        }
    };
    (list $what:literal: $name:ident $method:literal $result:ty) => {
        #[doc = concat!("Requests ", $what, ".")]
        ///
        /// # Errors
        /// Those of rmcp's method.
        pub async fn $name(&self, params: Option<PaginatedRequestParams>) -> Result<$result, ServiceError> {
            let mut params = params.unwrap_or_default();
            let meta = params.meta.take();
            let send = |meta| {
                params.meta = meta;
                self.client.$name(Some(params))
            };
            self.send(Operation::of_method($method), meta, send).await
        }
    };
}

client_methods!([] Peer<RoleClient>);
client_methods!([S: Service<RoleClient>] RunningService<RoleClient, S>);
