//! A file that imports the traits that many programs import, and uses every helper: no name of
//! Spanscope may be hidden by a trait of `tracing` or of OpenTelemetry, or be ambiguous with one.

use std::future::Future;
use std::pin::pin;
use std::task::{Context, Poll, Waker};

use spanscope::SpanExt;
use spanscope::genai::{Agent, Embeddings, McpCall, ModelCall, Retrieval, SafetyCheck, ToolCall, Workflow};
use spanscope::otlp::OpenTelemetrySpanExt;
use spanscope::otlp::opentelemetry::trace::{FutureExt as _, Status, TraceContextExt as _};
use tracing::Instrument;
use tracing::instrument::WithSubscriber as _;

pub(crate) fn use_all() {
    let root = tracing::info_span!("root");
    root.record_attribute("ours", 1_i64);
    root.set_attribute("theirs", 2_i64);
    root.add_event("their event", Vec::new());
    let (trace_id, span_id) = root.ids().unwrap();
    let far = tracing::info_span!("far");
    far.set_remote_parent(trace_id, span_id).unwrap();
    far.add_link_to(trace_id, span_id);
    far.add_link(root.context().span().span_context().clone());
    far.end_now();
    let far = tracing::info_span!("far");
    far.set_remote_parent_with(trace_id, span_id, true).unwrap();
    far.set_status(Status::Ok);
    drop(far);
    let context = root.context();
    assert_eq!(
        context.span().span_context().trace_id().to_string(),
        trace_id.to_string()
    );
    done(
        every_helper()
            .with_context(context)
            .instrument(root)
            .with_current_subscriber(),
    );
}

/// One helper of each kind, with a future in each.
async fn every_helper() {
    let agent = Agent::invoke("librarian");
    let workflow = Workflow::invoke("order");
    let call = ModelCall::chat("local", "small");
    let embeddings = Embeddings::new("local", "embedder");
    let retrieval = Retrieval::new("shelves");
    let tool = ToolCall::execute("calculator");
    let mcp = McpCall::list_tools("http://127.0.0.1:1", "none");
    let check = SafetyCheck::run_shield("llama-guard");
    agent.run(inside("agent")).await;
    workflow.run(inside("workflow")).await;
    call.run(inside("call")).await;
    embeddings.run(inside("embeddings")).await;
    retrieval.run(inside("retrieval")).await;
    tool.run(inside("tool")).await;
    mcp.run(inside("mcp")).await;
    check.run(inside("check")).await;
    call.span().record_attribute("ours", "too");
    call.span().set_attribute("theirs", "too");
}

async fn inside(name: &'static str) {
    async { tracing::info!("in it") }
        .instrument(tracing::info_span!("inside", otel.name = name))
        .await;
}

fn done<F: Future>(future: F) -> F::Output {
    let mut future = pin!(future);
    match future.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(output) => output,
        Poll::Pending => panic!("nothing here waits"),
    }
}
