//! [`TracedServer`]: a handler with a span for each request.
//!
//! It is a `ServerHandler` and not the more general `Service`, which has one method for all
//! requests: rmcp's server of streamable HTTP only accepts handlers, and a type can't be both. So
//! each method of the trait is forwarded here.

#![expect(
    deprecated,
    reason = "older clients still send requests that the protocol has deprecated"
)]

use std::borrow::Cow;
use std::future::Future;

use rmcp::model::{
    CallToolRequestParams, CallToolResponse, CancelTaskParams, CancelledNotificationParam,
    CompleteRequestParams, CompleteResult, CustomNotification, CustomRequest, CustomResult, DiscoverResult,
    ErrorData, GetPromptRequestParams, GetPromptResponse, GetSkillRequestParams, GetSkillResult,
    GetTaskParams, GetTaskResult, InitializeRequestParams, InitializeResult, ListPromptsResult,
    ListResourceTemplatesResult, ListResourcesResult, ListSkillsResult, ListToolsResult,
    PaginatedRequestParams, ProgressNotificationParam, ProtocolVersion, ReadResourceDirectoryRequestParams,
    ReadResourceDirectoryResult, ReadResourceRequestParams, ReadResourceResponse, ServerConfig,
    SetLevelRequestParams, SubscribeRequestParams, SubscriptionFilter, Tool, UnsubscribeRequestParams,
    UpdateTaskParams,
};
use rmcp::service::{NotificationContext, RequestContext, SubscriptionContext};
use rmcp::{RoleServer, ServerHandler};
use spanscope_core::{SpanExt as _, propagation};
use spanscope_model::semconv::SemanticAttribute;
use tracing::{Instrument as _, Span};

use crate::span::{Operation, Outcome, Request, Running, outcome_of};

/// The header of streamable HTTP that names the session.
const SESSION_HEADER: &str = "mcp-session-id";

/// A server with a span for each request, below the span that the client names in `_meta`.
///
/// It is the handler that rmcp serves, over any transport:
/// `TracedServer::new(handler).serve(stdio())`. For streamable HTTP, create it in the factory:
/// `StreamableHttpService::new(|| Ok(TracedServer::new(handler())), ..)`.
///
/// All requests that reach the handler have a span, including `initialize` and `ping`;
/// notifications and `subscriptions/listen`, which lasts as long as its subscription, have none.
/// The handler runs in the span, so its logs and calls are below it. If the request names a trace
/// and the current span, such as that of the connection, belongs to another one, the span has a
/// link to the current span.
///
/// A tool that panics ends its task in rmcp, and the client gets no response; the span has the
/// error `panic`.
#[derive(Debug, Clone, Default)]
pub struct TracedServer<S> {
    server: S,
    has_content: bool,
}

impl<S> TracedServer<S> {
    /// Wraps a handler, without content.
    #[must_use]
    pub fn new(server: S) -> Self {
        Self {
            server,
            has_content: false,
        }
    }

    /// Sets whether the arguments and results of tools are attributes of the span, as JSON. By
    /// default they are not. Each sink's policy decides what it does with content.
    #[must_use]
    pub fn content(mut self, has_content: bool) -> Self {
        self.has_content = has_content;
        self
    }

    /// Returns the handler.
    pub fn get_ref(&self) -> &S {
        &self.server
    }

    /// Returns the handler.
    pub fn into_inner(self) -> S {
        self.server
    }
}

/// The mark in the extensions of a request that has a span.
#[derive(Debug, Clone)]
struct HasSpan;

/// Handles a request in its span.
async fn in_span<T, F>(
    operation: Operation<'_>,
    mut context: RequestContext<RoleServer>,
    handle: impl FnOnce(RequestContext<RoleServer>) -> F + Send,
) -> Result<T, ErrorData>
where
    F: Future<Output = Result<T, ErrorData>> + Send,
{
    let Some(running) = begin(operation, &mut context) else {
        return handle(context).await;
    };
    let is_cancelled = context.ct.clone();
    let result = handle(context).instrument(running.span().clone()).await;
    running.end(&match &result {
        // rmcp lets the handler continue and drops its response.
        _ if is_cancelled.is_cancelled() => Outcome::Cancelled,
        Ok(_) => Outcome::Result,
        Err(error) => Outcome::Error(error),
    });
    result
}

/// The methods that name neither a tool nor a prompt.
macro_rules! requests {
    (of_resources $($name:ident $method:literal ($params:ty) -> $result:ty;)*) => {$(
        async fn $name(
            &self,
            params: $params,
            context: RequestContext<RoleServer>,
        ) -> Result<$result, ErrorData> {
            let uri = params.uri.clone();
            let operation = Operation::on_resource($method, &uri);
            in_span(operation, context, |context| self.server.$name(params, context)).await
        }
    )*};
    ($($name:ident $method:literal ($($params:ty)?) -> $result:ty;)*) => {$(
        requests! { one $name $method ($($params)?) -> $result }
    )*};
    (one $name:ident $method:literal () -> $result:ty) => {
        async fn $name(&self, context: RequestContext<RoleServer>) -> Result<$result, ErrorData> {
            in_span(Operation::of_method($method), context, |context| self.server.$name(context)).await
        }
    };
    (one $name:ident $method:literal ($params:ty) -> $result:ty) => {
        async fn $name(
            &self,
            params: $params,
            context: RequestContext<RoleServer>,
        ) -> Result<$result, ErrorData> {
            in_span(Operation::of_method($method), context, |context| self.server.$name(params, context)).await
        }
    };
}

impl<S: ServerHandler> ServerHandler for TracedServer<S> {
    requests! {
        ping "ping" () -> ();
        initialize "initialize" (InitializeRequestParams) -> InitializeResult;
        discover "server/discover" () -> DiscoverResult;
        complete "completion/complete" (CompleteRequestParams) -> CompleteResult;
        set_level "logging/setLevel" (SetLevelRequestParams) -> ();
        list_prompts "prompts/list" (Option<PaginatedRequestParams>) -> ListPromptsResult;
        list_resources "resources/list" (Option<PaginatedRequestParams>) -> ListResourcesResult;
        list_resource_templates "resources/templates/list" (Option<PaginatedRequestParams>)
            -> ListResourceTemplatesResult;
        list_tools "tools/list" (Option<PaginatedRequestParams>) -> ListToolsResult;
        get_task "tasks/get" (GetTaskParams) -> GetTaskResult;
        update_task "tasks/update" (UpdateTaskParams) -> ();
        cancel_task "tasks/cancel" (CancelTaskParams) -> ();
        list_skills "skills/list" (Option<PaginatedRequestParams>) -> ListSkillsResult;
        get_skill "skills/get" (GetSkillRequestParams) -> GetSkillResult;
    }

    requests! { of_resources
        read_resource "resources/read" (ReadResourceRequestParams) -> ReadResourceResponse;
        subscribe "resources/subscribe" (SubscribeRequestParams) -> ();
        unsubscribe "resources/unsubscribe" (UnsubscribeRequestParams) -> ();
        read_resource_directory "resources/directory/read" (ReadResourceDirectoryRequestParams)
            -> ReadResourceDirectoryResult;
    }

    async fn call_tool(
        &self,
        params: CallToolRequestParams,
        mut context: RequestContext<RoleServer>,
    ) -> Result<CallToolResponse, ErrorData> {
        let operation = Operation {
            tool: Some(params.name.as_ref()),
            ..Operation::of_method("tools/call")
        };
        let Some(running) = begin(operation, &mut context) else {
            return self.server.call_tool(params, context).await;
        };
        if self.has_content {
            running.content(SemanticAttribute::ToolArguments, params.arguments.as_ref());
        }
        let is_cancelled = context.ct.clone();
        let result = self
            .server
            .call_tool(params, context)
            .instrument(running.span().clone())
            .await;
        let answer = match &result {
            Ok(CallToolResponse::Complete(answer)) => Some(answer),
            _ => None,
        };
        if self.has_content {
            running.content(SemanticAttribute::ToolResult, answer);
        }
        running.end(&match &result {
            _ if is_cancelled.is_cancelled() => Outcome::Cancelled,
            Ok(_) => answer.map_or(Outcome::Result, outcome_of),
            Err(error) => Outcome::Error(error),
        });
        result
    }

    async fn get_prompt(
        &self,
        params: GetPromptRequestParams,
        context: RequestContext<RoleServer>,
    ) -> Result<GetPromptResponse, ErrorData> {
        let prompt = params.name.clone();
        let operation = Operation {
            prompt: Some(&prompt),
            ..Operation::of_method("prompts/get")
        };
        in_span(operation, context, |context| {
            self.server.get_prompt(params, context)
        })
        .await
    }

    async fn on_custom_request(
        &self,
        request: CustomRequest,
        context: RequestContext<RoleServer>,
    ) -> Result<CustomResult, ErrorData> {
        let method = request.method.clone();
        let handle = |context| self.server.on_custom_request(request, context);
        in_span(Operation::of_method(&method), context, handle).await
    }

    fn negotiate_initialize(&self, request: &InitializeRequestParams) -> Result<InitializeResult, ErrorData> {
        self.server.negotiate_initialize(request)
    }

    fn supported_protocol_versions(&self) -> Cow<'static, [ProtocolVersion]> {
        self.server.supported_protocol_versions()
    }

    fn accepted_subscription_filter(&self, requested: &SubscriptionFilter) -> Option<SubscriptionFilter> {
        self.server.accepted_subscription_filter(requested)
    }

    async fn listen(&self, context: SubscriptionContext) -> Result<(), ErrorData> {
        self.server.listen(context).await
    }

    fn get_tool(&self, name: &str) -> Option<Tool> {
        self.server.get_tool(name)
    }

    async fn on_cancelled(
        &self,
        notification: CancelledNotificationParam,
        context: NotificationContext<RoleServer>,
    ) {
        self.server.on_cancelled(notification, context).await;
    }

    async fn on_progress(
        &self,
        notification: ProgressNotificationParam,
        context: NotificationContext<RoleServer>,
    ) {
        self.server.on_progress(notification, context).await;
    }

    async fn on_initialized(&self, context: NotificationContext<RoleServer>) {
        self.server.on_initialized(context).await;
    }

    async fn on_roots_list_changed(&self, context: NotificationContext<RoleServer>) {
        self.server.on_roots_list_changed(context).await;
    }

    async fn on_custom_notification(
        &self,
        notification: CustomNotification,
        context: NotificationContext<RoleServer>,
    ) {
        self.server.on_custom_notification(notification, context).await;
    }

    fn get_info(&self) -> ServerConfig {
        self.server.get_info()
    }
}

/// Opens the span of a request; returns `None` if the request has one already.
fn begin(operation: Operation<'_>, context: &mut RequestContext<RoleServer>) -> Option<Running> {
    if context.extensions.insert(HasSpan).is_some() {
        return None;
    }
    // Set by rmcp's HTTP server.
    let http = context.extensions.get::<http::request::Parts>();
    let session = http.and_then(|parts| parts.headers.get(SESSION_HEADER)?.to_str().ok());
    let version = context.protocol_version();
    let current = Span::current();
    let span = Request {
        kind: "server",
        operation,
        id: Some(context.id.to_string()),
        session,
        protocol_version: version.as_ref().map(ProtocolVersion::as_str),
        transport: http.map(|_| "tcp"),
    }
    .open();
    if propagation::continue_from(&span, &context.meta.0.0).is_continued()
        && let Some((trace_id, span_id)) = current.ids()
        && span.ids().is_some_and(|(own, _)| own != trace_id)
    {
        span.add_link_to(trace_id, span_id);
    }
    Some(Running::new(span))
}
