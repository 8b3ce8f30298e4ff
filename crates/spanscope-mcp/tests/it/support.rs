//! A server with a few tools, and a client that is connected to it in one process.

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use rmcp::model::{
    CallToolRequestParams, CallToolResponse, CallToolResult, ContentBlock, ErrorData, GetPromptRequestParams,
    GetPromptResponse, GetPromptResult, JsonObject, ListToolsResult, PaginatedRequestParams, PromptMessage,
    ReadResourceRequestParams, ReadResourceResponse, ReadResourceResult, RequestParamsMeta as _,
    ResourceContents, Role, ServerCapabilities, ServerConfig, Tool,
};
use rmcp::service::{RequestContext, RunningService, Service};
use rmcp::transport::async_rw::AsyncRwTransport;
use rmcp::{RoleClient, RoleServer, ServerHandler, ServiceExt as _};
use spanscope::model::{Span, Value};
use spanscope_mcp::{TracedServer, TracedTransport};

/// The tools do what their names say; `hang` responds once it is cancelled.
#[derive(Debug, Clone, Default)]
pub(crate) struct Tools;

impl ServerHandler for Tools {
    fn get_info(&self) -> ServerConfig {
        ServerConfig::new(
            ServerCapabilities::builder()
                .enable_tools()
                .enable_prompts()
                .enable_resources()
                .build(),
        )
    }

    async fn call_tool(
        &self,
        params: CallToolRequestParams,
        context: RequestContext<RoleServer>,
    ) -> Result<CallToolResponse, ErrorData> {
        let text = match params.name.as_ref() {
            "add" => {
                tracing::info!("adding");
                "42".to_owned()
            }
            // The client's `_meta`, as JSON.
            "meta" => serde_json::to_string(&context.meta).unwrap(),
            "fail" => return Ok(CallToolResult::error(vec![ContentBlock::text("secret reason")]).into()),
            "refuse" => return Err(ErrorData::invalid_params("no such thing", None)),
            "panic" => panic!("the tool panics"),
            "hang" => {
                tracing::info!("hanging");
                context.ct.cancelled().await;
                "too late".to_owned()
            }
            "never" => {
                tracing::info!("hanging");
                std::future::pending().await
            }
            other => panic!("unknown tool {other}"),
        };
        Ok(CallToolResult::success(vec![ContentBlock::text(text)]).into())
    }

    /// Two pages of one tool.
    async fn list_tools(
        &self,
        params: Option<PaginatedRequestParams>,
        _: RequestContext<RoleServer>,
    ) -> Result<ListToolsResult, ErrorData> {
        let is_first = params.is_none_or(|params| params.cursor.is_none());
        let name = if is_first { "add" } else { "meta" };
        let tool = Tool::new(name, "", Arc::new(JsonObject::new()));
        let mut page = ListToolsResult::with_all_items(vec![tool]);
        page.next_cursor = is_first.then(|| "second".to_owned());
        Ok(page)
    }

    async fn read_resource(
        &self,
        params: ReadResourceRequestParams,
        _: RequestContext<RoleServer>,
    ) -> Result<ReadResourceResponse, ErrorData> {
        let contents = ResourceContents::text("a text", params.uri);
        Ok(ReadResourceResult::new(vec![contents]).into())
    }

    async fn get_prompt(
        &self,
        _: GetPromptRequestParams,
        _: RequestContext<RoleServer>,
    ) -> Result<GetPromptResponse, ErrorData> {
        Ok(GetPromptResult::new(vec![PromptMessage::new_text(Role::User, "hello")]).into())
    }
}

pub(crate) type Client = RunningService<RoleClient, ()>;
pub(crate) type Server<S> = RunningService<RoleServer, S>;

/// Connects client and server by a pipe in memory. The client has a traced transport.
pub(crate) async fn connected<S: Service<RoleServer>>(server: S) -> (Client, Server<S>) {
    let (near, far) = tokio::io::duplex(64 * 1024);
    let (read, write) = tokio::io::split(near);
    let near = TracedTransport::new(AsyncRwTransport::new_client(read, write));
    let (client, server) = tokio::join!(().serve(near), server.serve(far));
    (client.unwrap(), server.unwrap())
}

pub(crate) async fn connected_to_tools() -> (Client, Server<TracedServer<Tools>>) {
    connected(TracedServer::new(Tools)).await
}

/// Waits at most 20 seconds, and fails then.
pub(crate) async fn within<T>(work: impl Future<Output = T>) -> T {
    tokio::time::timeout(Duration::from_secs(20), work).await.unwrap()
}

pub(crate) fn text(span: &Span, key: &str) -> String {
    match span.attributes.get(key) {
        Some(Value::Str(text)) => text.clone(),
        None => String::new(),
        Some(other) => panic!("{key} is {other:?}"),
    }
}

pub(crate) fn call(tool: &'static str) -> CallToolRequestParams {
    CallToolRequestParams::new(tool)
}

/// A call with these keys in its `_meta`.
pub(crate) fn call_with(tool: &'static str, keys: &[(&str, serde_json::Value)]) -> CallToolRequestParams {
    let mut params = call(tool);
    let meta = params.meta_or_default();
    meta.0
        .0
        .extend(keys.iter().map(|(key, value)| ((*key).to_owned(), value.clone())));
    params
}

/// The text of a result.
pub(crate) fn answer(result: &CallToolResult) -> String {
    result.content[0].as_text().unwrap().text.clone()
}
