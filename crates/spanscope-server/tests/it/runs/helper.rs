//! [`AgentRun`]: a handler's work as a run, with its trace.

use std::sync::Arc;

use futures_util::{StreamExt as _, stream};
use spanscope_layers::genai::ToolCall;
use spanscope_model::{StoreErrorKind, TraceStore};
use spanscope_server::{AgentRun, DetailLevel, TraceFormat};
use spanscope_sqlite::{SqliteLayer, SqliteStore};
use tracing::instrument::WithSubscriber as _;
use tracing_subscriber::layer::SubscriberExt as _;

/// Runs work below a layer that stores, and passes it the store.
fn recorded<F: Future<Output = ()>>(work: impl FnOnce(Arc<dyn TraceStore>) -> F) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("trace_store.db");
    let (layer, guard) = SqliteLayer::builder().open(&path).unwrap();
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .unwrap();
    let store: Arc<dyn TraceStore> = Arc::new(SqliteStore::open(&path).unwrap());
    let subscriber = tracing_subscriber::registry().with(layer);
    runtime.block_on(work(store).with_subscriber(subscriber));
    guard.shutdown().unwrap();
}

#[test]
fn a_result_has_its_trace() {
    recorded(|store| async move {
        let run = AgentRun::new("librarian")
            .agent_id("a-1")
            .task("t-1")
            .session("s-1")
            .user("ada")
            .tenant("acme")
            .level(DetailLevel::Debug)
            .input("6*7?")
            .start();
        assert_eq!(run.task_id(), "t-1");
        let handle = run.handle();
        let traced = run
            .run(async move {
                ToolCall::execute("calculator").result("42");
                handle.output("42");
                Ok::<_, std::io::Error>(42)
            })
            .await;
        assert_eq!(
            (traced.output.as_ref().ok(), traced.task_id.as_str()),
            (Some(&42), "t-1")
        );
        let trace = traced
            .trace(&store, TraceFormat::Detailed, DetailLevel::Debug)
            .await
            .unwrap();
        assert_eq!(
            (&trace["status"], &trace["session_id"]),
            (&"completed".into(), &"s-1".into())
        );
        assert_eq!(trace["metadata"]["tenant_id"], "acme");
        assert_eq!(trace["tool_calls"][0]["tool_name"], "calculator");
        let text = trace.to_string();
        assert!(
            text.contains("6*7?") && text.contains("message_generated"),
            "{text}"
        );
        let of_acme = store.for_tenant(&"acme".parse().unwrap());
        let info = of_acme
            .list_runs(Default::default())
            .await
            .unwrap()
            .runs
            .remove(0);
        assert_eq!(
            (info.agent_id.as_str(), info.trace_level.as_str()),
            ("a-1", "debug")
        );
    });
}

#[test]
fn an_error_fails_the_run_and_a_stream_is_traced_too() {
    recorded(|store| async move {
        let traced = AgentRun::new("librarian")
            .start()
            .run(async { Err::<(), _>(std::io::Error::other("no model")) })
            .await;
        let trace = traced
            .trace(&store, TraceFormat::Streaming, DetailLevel::Standard)
            .await
            .unwrap();
        assert_eq!(
            (&trace["status"], &trace["error"]),
            (&"failed".into(), &"no model".into())
        );

        let run = AgentRun::new("librarian").task("streamed").start();
        let handle = run.handle();
        let pieces = stream::iter(["4", "2"]).map(move |piece| {
            ToolCall::execute("writer");
            handle.output(piece);
            Ok::<_, std::io::Error>(piece)
        });
        let mut traced = run.stream(pieces);
        let mut text = String::new();
        while let Some(piece) = traced.next().await {
            text.push_str(piece.unwrap());
        }
        assert_eq!(text, "42");
        let trace = traced
            .trace(&store, TraceFormat::Compact, DetailLevel::Standard)
            .await
            .unwrap();
        assert_eq!(
            (&trace["status"], &trace["tool_calls"]),
            (&"completed".into(), &2.into())
        );
    });
}

#[test]
fn a_run_within_a_request_is_returned_without_the_request() {
    recorded(|store| async move {
        let request = tracing::info_span!("POST /agents/librarian/completions/trace");
        let work = async {
            tracing::info_span!("next to it").in_scope(|| ());
            let traced = AgentRun::new("librarian")
                .start()
                .run(async {
                    ToolCall::execute("calculator");
                    Ok::<_, std::io::Error>(1)
                })
                .await;
            // The request still runs, and the trace of the run is whole.
            traced
                .trace(&store, TraceFormat::Streaming, DetailLevel::Debug)
                .await
                .unwrap()
        };
        let trace = tracing::Instrument::instrument(work, request).await;
        assert_eq!(trace["status"], "completed");
        let types: Vec<_> = trace["events"]
            .as_array()
            .unwrap()
            .iter()
            .map(|event| event["event_type"].as_str().unwrap())
            .collect();
        assert_eq!(
            types,
            [
                "workflow_started",
                "tool_call_started",
                "tool_call_completed",
                "workflow_completed"
            ]
        );
    });
}

#[test]
fn a_task_that_outlives_the_run_does_not_delay_its_trace() {
    recorded(|store| async move {
        let run = AgentRun::new("librarian").start();
        let handle = run.handle();
        let traced = run
            .run(async {
                // It holds the run's span for the duration of the test.
                let left = std::future::pending::<()>();
                tokio::spawn(tracing::Instrument::in_current_span(left));
                Err::<(), _>(std::io::Error::other("no model"))
            })
            .await;
        let trace = traced
            .trace(&store, TraceFormat::Streaming, DetailLevel::Standard)
            .await
            .unwrap();
        assert_eq!(
            (&trace["status"], &trace["error"]),
            (&"failed".into(), &"no model".into())
        );
        assert!(trace["completed_at"].is_string(), "{trace}");

        let mut traced =
            AgentRun::new("librarian")
                .start()
                .stream(stream::iter([Ok::<_, std::io::Error>(1)]).inspect(|_| {
                    tokio::spawn(tracing::Instrument::in_current_span(std::future::pending::<()>()));
                }));
        while let Some(item) = traced.next().await {
            item.unwrap();
        }
        let trace = traced
            .trace(&store, TraceFormat::Streaming, DetailLevel::Standard)
            .await
            .unwrap();
        assert_eq!(trace["status"], "completed", "{trace}");
        drop(handle);
    });
}

#[test]
fn a_run_that_is_dropped_before_its_end_fails_as_cancelled() {
    recorded(|store| async move {
        let never = AgentRun::new("librarian").task("left").start();
        let waited = never.run(std::future::pending::<Result<(), std::io::Error>>());
        tokio::time::timeout(std::time::Duration::from_millis(10), waited)
            .await
            .unwrap_err();
        let mut left = AgentRun::new("librarian")
            .task("half a stream")
            .start()
            .stream(stream::iter([Ok::<_, std::io::Error>(1), Ok(2)]));
        left.next().await.unwrap().unwrap();
        drop(left);
        let mut seen = 0;
        loop {
            seen = store.wait_for_change(seen).await.unwrap();
            let failed = spanscope_model::RunFilter::default().status(spanscope_model::RunStatus::Failed);
            if store.list_runs(failed).await.unwrap().total == 2 {
                break;
            }
        }
    });
}

#[test]
fn the_trace_of_an_unrecorded_run_is_an_error_with_the_reason() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("trace_store.db");
    let store: Arc<dyn TraceStore> = Arc::new(SqliteStore::builder().open(&path).unwrap());
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .start_paused(true)
        .build()
        .unwrap();
    runtime.block_on(async {
        let run = AgentRun::new("librarian").start();
        assert_eq!(run.task_id(), "");
        let traced = run.run(async { Ok::<_, std::io::Error>(1) }).await;
        let error = traced
            .trace(&store, TraceFormat::Compact, DetailLevel::Standard)
            .await
            .unwrap_err();
        assert_eq!(error.kind(), StoreErrorKind::NotFound);
        assert!(error.to_string().contains("a layer has to write"), "{error}");
    });
}
