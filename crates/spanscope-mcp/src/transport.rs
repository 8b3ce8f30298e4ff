//! [`TracedTransport`]: records the ids of requests.
//!
//! rmcp assigns the ids of requests inside its client's methods and does not return them, so a
//! transport is the only place that sees both the id and the context. The span of a call in
//! progress is found by the `traceparent` in the request.

use std::borrow::Cow;
use std::collections::HashMap;
use std::future::Future;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{LazyLock, Mutex};

use rmcp::RoleClient;
use rmcp::model::{ClientRequest, JsonRpcMessage, RequestMetaObject, RequestParamsMeta as _};
use rmcp::service::{RxJsonRpcMessage, TxJsonRpcMessage};
use rmcp::transport::Transport;
use spanscope_core::SpanExt as _;
use spanscope_core::propagation::Context;
use spanscope_core::sync::lock;
use spanscope_model::SpanId;
use tracing::Span;

/// A client's transport that adds `jsonrpc.request.id` to the spans of
/// [`TracedClient`](crate::TracedClient).
///
/// Messages pass through it unchanged. Wrap the transport that rmcp creates:
/// `TracedTransport::new(TokioChildProcess::new(..)?)`.
#[derive(Debug)]
pub struct TracedTransport<T> {
    transport: T,
}

impl<T> TracedTransport<T> {
    /// Wraps a transport.
    pub fn new(transport: T) -> Self {
        IS_USED.store(true, Ordering::Relaxed);
        Self { transport }
    }

    /// Returns the inner transport.
    pub fn into_inner(self) -> T {
        self.transport
    }
}

impl<T: Transport<RoleClient>> Transport<RoleClient> for TracedTransport<T> {
    type Error = T::Error;

    fn name() -> Cow<'static, str> {
        T::name()
    }

    fn send(
        &mut self,
        item: TxJsonRpcMessage<RoleClient>,
    ) -> impl Future<Output = Result<(), Self::Error>> + Send + 'static {
        if let JsonRpcMessage::Request(request) = &item
            && let Some(span) = meta_of(&request.request).and_then(sent_with)
        {
            // It may be the span of a caller, which did not declare the field.
            span.record_attribute("jsonrpc.request.id", request.id.to_string());
        }
        self.transport.send(item)
    }

    fn receive(&mut self) -> impl Future<Output = Option<RxJsonRpcMessage<RoleClient>>> + Send {
        self.transport.receive()
    }

    fn close(&mut self) -> impl Future<Output = Result<(), Self::Error>> + Send {
        self.transport.close()
    }
}

/// Whether a traced transport was created. Without one, no span is kept in [`SENT`].
static IS_USED: AtomicBool = AtomicBool::new(false);

/// The spans of calls in progress, by id.
static SENT: LazyLock<Mutex<HashMap<SpanId, Span>>> = LazyLock::new(Mutex::default);

/// Keeps a span in [`SENT`] until it is dropped.
#[derive(Debug)]
pub(crate) struct Sent(Option<SpanId>);

pub(crate) fn note_sent(span: &Span) -> Sent {
    if !IS_USED.load(Ordering::Relaxed) {
        return Sent(None);
    }
    let id = span.ids().map(|(_, id)| id);
    if let Some(id) = id {
        lock(&SENT).insert(id, span.clone());
    }
    Sent(id)
}

impl Drop for Sent {
    fn drop(&mut self) {
        // The span is dropped after the lock is released: that may close it.
        let _span = self.0.and_then(|id| lock(&SENT).remove(&id));
    }
}

fn sent_with(meta: &RequestMetaObject) -> Option<Span> {
    let parent = Context::from_w3c(&meta.0.0).parent?;
    lock(&SENT).get(&parent.span_id).cloned()
}

/// Returns the `_meta` of a request that a traced client sends.
fn meta_of(request: &ClientRequest) -> Option<&RequestMetaObject> {
    match request {
        ClientRequest::CallToolRequest(request) => request.params.meta(),
        ClientRequest::GetPromptRequest(request) => request.params.meta(),
        ClientRequest::ReadResourceRequest(request) => request.params.meta(),
        ClientRequest::CompleteRequest(request) => request.params.meta(),
        ClientRequest::ListToolsRequest(request) => request.params.as_ref()?.meta(),
        ClientRequest::ListPromptsRequest(request) => request.params.as_ref()?.meta(),
        ClientRequest::ListResourcesRequest(request) => request.params.as_ref()?.meta(),
        ClientRequest::ListResourceTemplatesRequest(request) => request.params.as_ref()?.meta(),
        _ => None,
    }
}
