//! Tools, in the program and on other servers.

use tracing::field::Empty;
use tracing::info_span;

use super::{HelperSpan, spanned};

/// One run of a tool.
#[derive(Debug)]
pub struct ToolCall {
    span: HelperSpan,
}

spanned!(ToolCall);

impl ToolCall {
    /// Starts a run.
    pub fn execute(tool: &str) -> Self {
        let span = info_span!(
            target: "tools",
            "execute_tool",
            otel.name = format!("execute_tool {tool}"),
            otel.status_code = Empty,
            otel.status_description = Empty,
            error.type = Empty,
            gen_ai.operation.name = "execute_tool",
            gen_ai.tool.name = tool,
            gen_ai.tool.type = Empty,
            gen_ai.tool.call.id = Empty,
            gen_ai.tool.call.arguments = Empty,
            gen_ai.tool.call.result = Empty,
        );
        Self {
            span: HelperSpan(span),
        }
    }

    /// Sets the id of the model's request for it.
    pub fn call_id(&self, id: &str) -> &Self {
        self.span.record("gen_ai.tool.call.id", id);
        self
    }

    /// Sets `function`, `extension` or `datastore`.
    pub fn tool_type(&self, name: &str) -> &Self {
        self.span.record("gen_ai.tool.type", name);
        self
    }

    /// Sets the arguments, as JSON. They are content.
    pub fn arguments(&self, json: &str) -> &Self {
        self.span.record("gen_ai.tool.call.arguments", json);
        self
    }

    /// Sets the result. It is content.
    pub fn result(&self, result: &str) -> &Self {
        self.span.record("gen_ai.tool.call.result", result);
        self
    }
}

/// A request to an MCP server: its list of tools, or a tool call.
///
/// `server_url`, `server_label` and `mcp_list_tools_id` are Llama Stack's attributes.
#[derive(Debug)]
pub struct McpCall {
    span: HelperSpan,
}

spanned!(McpCall);

impl McpCall {
    /// Starts a request for the list of tools: `tools/list`.
    pub fn list_tools(server_url: &str, server_label: &str) -> Self {
        Self::new("tools/list", None, server_url, server_label)
    }

    /// Starts a tool call: `tools/call`.
    pub fn call_tool(tool: &str, server_url: &str, server_label: &str) -> Self {
        Self::new("tools/call", Some(tool), server_url, server_label)
    }

    fn new(method: &str, tool: Option<&str>, server_url: &str, server_label: &str) -> Self {
        let name = tool.map_or_else(|| method.to_owned(), |tool| format!("{method} {tool}"));
        let span = info_span!(
            target: "tool_runtime",
            "mcp_call",
            otel.name = name,
            otel.kind = "client",
            otel.status_code = Empty,
            otel.status_description = Empty,
            error.type = Empty,
            mcp.method.name = method,
            gen_ai.operation.name = Empty,
            gen_ai.tool.name = Empty,
            gen_ai.tool.call.arguments = Empty,
            gen_ai.tool.call.result = Empty,
            mcp_list_tools_id = Empty,
            mcp.session.id = Empty,
            server_url,
            server_label,
        );
        if let Some(tool) = tool {
            span.record("gen_ai.operation.name", "execute_tool");
            span.record("gen_ai.tool.name", tool);
        }
        Self {
            span: HelperSpan(span),
        }
    }

    /// Sets the id of the returned list of tools, or of the tool's list.
    pub fn list_id(&self, id: &str) -> &Self {
        self.span.record("mcp_list_tools_id", id);
        self
    }

    /// Sets the session with the server.
    pub fn session(&self, id: &str) -> &Self {
        self.span.record("mcp.session.id", id);
        self
    }

    /// Sets the tool's arguments, as JSON. They are content.
    pub fn arguments(&self, json: &str) -> &Self {
        self.span.record("gen_ai.tool.call.arguments", json);
        self
    }

    /// Sets the tool's result. It is content.
    pub fn result(&self, result: &str) -> &Self {
        self.span.record("gen_ai.tool.call.result", result);
        self
    }
}
