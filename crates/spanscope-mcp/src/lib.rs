//! Spans and trace context for MCP clients and servers that are built with [`rmcp`], the Model
//! Context Protocol's official SDK.
//!
//! A server: wrap the handler. A client: call through [`traced()`](ClientExt::traced).
//!
//! ```
//! use rmcp::model::{CallToolRequestParams, CallToolResponse, CallToolResult, ContentBlock, ErrorData};
//! use rmcp::service::RequestContext;
//! use rmcp::{RoleServer, ServerHandler, ServiceExt};
//! use spanscope_mcp::{ClientExt as _, TracedServer};
//!
//! struct Clock;
//!
//! impl ServerHandler for Clock {
//!     async fn call_tool(
//!         &self,
//!         _: CallToolRequestParams,
//!         _: RequestContext<RoleServer>,
//!     ) -> Result<CallToolResponse, ErrorData> {
//!         tracing::info!("in the span `tools/call now`, a child of the client's");
//!         Ok(CallToolResult::success(vec![ContentBlock::text("12:00")]).into())
//!     }
//! }
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let (near, far) = tokio::io::duplex(4096); // stdio or HTTP in a real program
//! let (client, server) = tokio::join!(().serve(near), TracedServer::new(Clock).serve(far));
//! let (client, _server) = (client?, server?);
//! let result = client.traced().call_tool(CallToolRequestParams::new("now")).await?;
//! assert_eq!(result.is_error, Some(false));
//! client.cancel().await?;
//! # Ok(())
//! # }
//! ```
//!
//! # Propagation
//!
//! `traceparent`, `tracestate` and `baggage` are keys of a request's `params._meta`, as the
//! protocol [reserves them](https://modelcontextprotocol.io/community/seps/414-request-meta). They
//! are written and read by [`spanscope_core::propagation`], so they follow the propagators of
//! `opentelemetry` where `spanscope-otlp` is in use. Other keys of `_meta` stay. A malformed
//! `traceparent` is ignored. Without one, the server's span is a child of the current span.
//!
//! # The spans
//!
//! They follow OpenTelemetry's [conventions for
//! MCP](https://github.com/open-telemetry/semantic-conventions-genai/blob/main/docs/gen-ai/mcp.md):
//! named by the method and the tool or prompt (`tools/call now`), kind client or server, target
//! `tool_runtime`, with these attributes:
//!
//! | attribute | value |
//! |---|---|
//! | `mcp.method.name` | `tools/call`, `tools/list`, `initialize`, ... |
//! | `gen_ai.operation.name` | `execute_tool` for `tools/call` |
//! | `gen_ai.tool.name`, `gen_ai.prompt.name` | the tool, the prompt |
//! | `mcp.resource.uri` | the resource that is read or subscribed to, without credentials |
//! | `jsonrpc.request.id` | the id of the request; on the client only with [`TracedTransport`] |
//! | `mcp.session.id` | the header `Mcp-Session-Id` of streamable HTTP; on the client by [`TracedClient::session_id`] |
//! | `mcp.protocol.version` | as negotiated |
//! | `network.transport` | `tcp` on a server over HTTP |
//! | `gen_ai.tool.call.arguments`, `gen_ai.tool.call.result` | JSON, only if [content](TracedServer::content) is enabled |
//! | `error.type` | see below |
//! | `rpc.response.status_code` | the code of a JSON-RPC error |
//!
//! | what happened | `error.type` | the span's status |
//! |---|---|---|
//! | a result | none | unset |
//! | a result with `isError` | `tool_error` | error |
//! | a JSON-RPC error | its code (`-32602`) | error, with its message |
//! | the handler panicked | `panic` | error |
//! | cancelled by the client, or dropped before the end | `cancelled` | error |
//! | no response (client) | `timeout`, `transport_closed`, `transport_send`, `unexpected_response` | error, with rmcp's message |
//!
//! If the current span of a client is already an `execute_tool` span of the same tool (from
//! `spanscope_layers::genai::ToolCall`, rig or genai), it gets the attributes of the protocol, and
//! no second span is opened. A request has only one span on each side, even if the handler is
//! wrapped twice, or if a traced call is made inside another traced call of the same request.
//!
//! This crate opens no spans for notifications, for `subscriptions/listen`, or for requests of a
//! server to its client (`sampling/createMessage`, `roots/list`, `elicitation/create`). If the
//! client's handler of `sampling/createMessage` calls a model with a library that opens spans, the
//! model call has a span of that library.

#[cfg(feature = "client")]
mod client;
#[cfg(feature = "server")]
mod server;
#[cfg(any(feature = "client", feature = "server"))]
mod span;
#[cfg(feature = "client")]
mod transport;

#[cfg(feature = "client")]
pub use client::{ClientExt, ToolAnswer, TracedClient};
#[cfg(feature = "server")]
pub use server::TracedServer;
#[cfg(feature = "client")]
pub use transport::TracedTransport;
