//! The MCP server, with one tool.

use rmcp::model::{
    CallToolRequestParams, CallToolResponse, CallToolResult, ContentBlock, ErrorData, ServerCapabilities,
    ServerConfig,
};
use rmcp::service::RequestContext;
use rmcp::{RoleServer, ServerHandler, ServiceExt as _};
use spanscope::propagation;
use spanscope_mcp::TracedServer;
use tracing::{Span, info, info_span};

struct Tools;

impl ServerHandler for Tools {
    fn get_info(&self) -> ServerConfig {
        ServerConfig::new(ServerCapabilities::builder().enable_tools().build())
    }

    async fn call_tool(
        &self,
        params: CallToolRequestParams,
        _: RequestContext<RoleServer>,
    ) -> Result<CallToolResponse, ErrorData> {
        let arguments = params.arguments.unwrap_or_default();
        let item = arguments
            .get("item")
            .and_then(|item| item.as_str())
            .unwrap_or_default();
        let text = info_span!("look up").in_scope(|| {
            info!(item, "looking");
            // The baggage of the first caller.
            let context = propagation::context(&Span::current());
            let tenant = context.baggage.get("tenant").unwrap_or_default();
            format!("42 {item} for {tenant}, {}", context.trace_state)
        });
        Ok(CallToolResult::success(vec![ContentBlock::text(text)]).into())
    }
}

pub(crate) async fn serve() {
    let server = TracedServer::new(Tools)
        .serve(rmcp::transport::stdio())
        .await
        .unwrap();
    server.waiting().await.unwrap();
}
