//! Work that leaves a running task which holds the span that it was started in. Prints when the
//! work ended: the span's name and nanoseconds since 1970.

use std::convert::Infallible;
use std::pin::pin;
use std::time::Duration;

use futures_util::StreamExt as _;
use http::{Request, Response};
use http_body_util::{BodyExt as _, Full, StreamBody};
use spanscope::genai::{Agent, Embeddings, McpCall, ModelCall, Retrieval, SafetyCheck, ToolCall, Workflow};
use spanscope::model::Timestamp;
use spanscope_server::AgentRun;
use spanscope_tower::RequestMetricsLayer;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tower::{Layer as _, ServiceExt as _, service_fn};
use tracing::Instrument as _;

/// How long the tasks run after the work has ended. A span that lasted as long as its task would be
/// longer than the work by this.
const AFTERWARDS: Duration = Duration::from_millis(300);

/// Running tasks, and the signal that lets them finish.
struct Background {
    let_go: watch::Sender<bool>,
    tasks: Vec<JoinHandle<()>>,
}

impl Background {
    /// Starts a task in the current span. It works in that span once it is released.
    fn start_task(&mut self) {
        let mut is_free = self.let_go.subscribe();
        let task = async move {
            is_free.wait_for(|is_free| *is_free).await.unwrap();
            async { tracing::info!("still at work") }
                .instrument(tracing::info_span!("afterwards"))
                .await;
        };
        self.tasks.push(tokio::spawn(task.in_current_span()));
    }
}

fn print_end(name: &str) {
    println!("{name}\t{}", Timestamp::now().as_nanos());
}

pub(crate) fn leave_tasks_behind() {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .build()
        .unwrap();
    runtime.block_on(async {
        let mut background = Background {
            let_go: watch::Sender::new(false),
            tasks: Vec::new(),
        };
        helpers(&mut background).await;
        requests(&mut background).await;
        runs(&mut background).await;
        tokio::time::sleep(AFTERWARDS).await;
        background.let_go.send(true).unwrap();
        for task in background.tasks {
            task.await.unwrap();
        }
    });
}

/// Each kind of helper.
async fn helpers(background: &mut Background) {
    macro_rules! each {
        ($($helper:expr => $name:literal,)*) => {
            $(
                let helper = $helper;
                helper.run(async { background.start_task() }).await;
                drop(helper);
                print_end($name);
            )*
        };
    }
    each! {
        Agent::invoke("librarian") => "invoke_agent librarian",
        Workflow::invoke("order") => "invoke_workflow order",
        ModelCall::chat("local", "small") => "chat small",
        Embeddings::new("local", "embedder") => "embeddings embedder",
        Retrieval::new("shelves") => "retrieval shelves",
        ToolCall::execute("calculator") => "execute_tool calculator",
        McpCall::list_tools("http://127.0.0.1:1", "none") => "tools/list",
        SafetyCheck::run_shield("llama-guard") => "run_shield llama-guard",
    }
}

/// A request with an immediate response, and one with a streamed body.
async fn requests(background: &mut Background) {
    let layer = RequestMetricsLayer::new();
    let whole = layer.layer(service_fn(|_: Request<()>| {
        background.start_task();
        async { Ok::<_, Infallible>(Response::new(Full::new(&b"whole"[..]))) }
    }));
    let request = Request::get("/whole").body(()).unwrap();
    let response = whole.oneshot(request).await.unwrap();
    assert_eq!(response.into_body().collect().await.unwrap().to_bytes(), "whole");
    print_end("GET whole");

    let streamed = layer.layer(service_fn(|_: Request<()>| {
        background.start_task();
        let frames = [&b"in "[..], b"parts"].map(|part| Ok::<_, Infallible>(http_body::Frame::data(part)));
        let body = StreamBody::new(futures_util::stream::iter(frames));
        async { Ok::<_, Infallible>(Response::new(body)) }
    }));
    let request = Request::get("/streamed").body(()).unwrap();
    let response = streamed.oneshot(request).await.unwrap();
    let mut body = pin!(response.into_body());
    while let Some(frame) = body.frame().await {
        frame.unwrap();
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    print_end("GET streamed");
}

/// A run of an agent as a future, and one as a stream. A handle of each is kept as well.
async fn runs(background: &mut Background) {
    let run = AgentRun::new("runner").task("task-run").start();
    let handle = run.handle();
    let traced = run
        .run(async {
            background.start_task();
            Ok::<_, Infallible>(())
        })
        .await;
    print_end("invoke_agent runner");
    assert_eq!(traced.task_id, "task-run");

    let run = AgentRun::new("streamer").task("task-stream").start();
    let second_handle = run.handle();
    let items = futures_util::stream::iter([1, 2]).map(|number| {
        background.start_task();
        Ok::<_, Infallible>(number)
    });
    let items: Vec<_> = run.stream(items).collect().await;
    print_end("invoke_agent streamer");
    assert_eq!(items.len(), 2);

    let mut is_free = background.let_go.subscribe();
    background.tasks.push(tokio::spawn(async move {
        is_free.wait_for(|is_free| *is_free).await.unwrap();
        handle.output("late");
        drop((handle, second_handle));
    }));
}
