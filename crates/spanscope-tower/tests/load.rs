//! A separate binary, because threads of a runtime only see the process's global subscriber.
//!
//! 1,000 concurrent requests that end in every way leave exact counters and every gauge at zero.
//! They are sent over HTTP/2, where they need few sockets and a handler that panics only resets its
//! own stream.

#![expect(clippy::unwrap_used, reason = "tests fail by panicking")]

#[path = "it/support.rs"]
#[expect(dead_code, reason = "used by the other tests only")]
mod support;

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use http::{Request, Response};
use http_body_util::{BodyExt, Either};
use hyper::body::Incoming;
use hyper::client::conn::http2::SendRequest;
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::service::TowerToHyperService;
use spanscope_tower::RequestMetricsLayer;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Barrier;
use tower::{Layer, service_fn};

use support::{NoBody, PLANNED, Recorder, Script, Step, answer, endless, hush_planned_panics};

const REQUESTS: usize = 1000;
const CONNECTIONS: usize = 20;

/// How requests end, and the status they are counted with.
const ENDS: [(&str, &str); 8] = [
    ("whole", "200"),
    ("missing", "404"),
    ("broken", "503"),
    ("fails", "500"),
    ("panics", "500"),
    ("dropped", "499"),
    ("stream", "200"),
    ("cut", "200"),
];

async fn handle(
    request: Request<Incoming>,
    all_are_here: Arc<Barrier>,
) -> Result<Response<Either<NoBody, Script>>, std::io::Error> {
    all_are_here.wait().await;
    let text = |status| {
        let Ok(response) = answer(status, "text");
        Ok(response.map(Either::Left))
    };
    match request.uri().path().trim_start_matches("/v1/") {
        "whole" => text(200),
        "missing" => text(404),
        "broken" => text(503),
        "fails" => Err(std::io::Error::other("a planned error")),
        "panics" => panic!("{PLANNED}"),
        "dropped" => std::future::pending().await,
        "stream" => Ok(Response::new(Either::Right(Script::of(&[Step::Data; 5])))),
        _ => Ok(Response::new(Either::Right(endless()))),
    }
}

async fn serve(all_are_here: Arc<Barrier>) -> SocketAddr {
    let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
    let addr = listener.local_addr().unwrap();
    let layer = RequestMetricsLayer::new();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let all_are_here = Arc::clone(&all_are_here);
            let service = service_fn(move |request| handle(request, Arc::clone(&all_are_here)));
            let service = TowerToHyperService::new(layer.layer(service));
            let server = hyper::server::conn::http2::Builder::new(TokioExecutor::new());
            tokio::spawn(async move {
                server
                    .serve_connection(TokioIo::new(stream), service)
                    .await
                    .is_ok()
            });
        }
    });
    addr
}

async fn ask(mut client: SendRequest<NoBody>, end: &'static str, all_are_here: Arc<Barrier>) {
    let uri = format!("http://localhost/v1/{end}");
    let answer = client.send_request(Request::get(uri).body(NoBody::default()).unwrap());
    if end == "dropped" {
        // Leaves when every request has arrived.
        tokio::select! {
            _ = answer => unreachable!("the server never responds"),
            _ = all_are_here.wait() => {}
        }
        return;
    }
    let Ok(mut response) = answer.await else {
        assert!(matches!(end, "fails" | "panics"), "{end}");
        return;
    };
    if end == "cut" {
        assert!(response.frame().await.unwrap().is_ok());
    } else {
        response.into_body().collect().await.unwrap();
    }
}

#[test]
fn a_thousand_concurrent_requests_leave_exact_counters_and_idle_gauges() {
    hush_planned_panics();
    let (subscriber, recorder) = Recorder::subscriber();
    tracing::subscriber::set_global_default(subscriber).unwrap();
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(4)
        .enable_all()
        .build()
        .unwrap();
    let dropped = REQUESTS / ENDS.len();
    // Every handler, every client that leaves, and this test.
    let all_are_here = Arc::new(Barrier::new(REQUESTS + dropped + 1));
    runtime.block_on(async {
        let addr = serve(Arc::clone(&all_are_here)).await;
        let mut asking = tokio::task::JoinSet::new();
        for connection in 0..CONNECTIONS {
            let stream = TokioIo::new(TcpStream::connect(addr).await.unwrap());
            let (client, driver) = hyper::client::conn::http2::handshake(TokioExecutor::new(), stream)
                .await
                .unwrap();
            tokio::spawn(driver);
            for n in 0..REQUESTS / CONNECTIONS {
                let (end, _) = ENDS[(connection * (REQUESTS / CONNECTIONS) + n) % ENDS.len()];
                asking.spawn(ask(client.clone(), end, Arc::clone(&all_are_here)));
            }
        }
        let all_run = async {
            // Each request is in two gauges.
            // Bounded by the timeout below.
            while recorder.gauges().values().sum::<f64>() < (2 * REQUESTS) as f64 {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
            all_are_here.wait().await;
        };
        tokio::time::timeout(Duration::from_secs(60), all_run)
            .await
            .unwrap();
        while let Some(asked) = asking.join_next().await {
            asked.unwrap();
        }
        recorder.wait_for(REQUESTS).await;
    });
    // Nothing is counted later, either.
    runtime.shutdown_timeout(Duration::from_secs(10));

    let mut counted = BTreeMap::new();
    for one in recorder.counted() {
        *counted.entry(one).or_insert(0) += 1;
    }
    let expected = ENDS.map(|(end, status)| (format!("{end} {status}"), dropped));
    assert_eq!(counted, expected.into_iter().collect());
    assert_eq!(recorder.spans().len(), REQUESTS);
    recorder.assert_idle();
}
