//! The layer in axum 0.8, over TCP.

use std::net::SocketAddr;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::{ConnectInfo, MatchedPath};
use axum::http::StatusCode;
use axum::routing::get;
use http_body_util::BodyExt;
use spanscope_tower::{RequestMetricsLayer, RequestMetricsLayerBuilder};
use tokio::net::TcpListener;
use tower::{Layer, ServiceExt};

use crate::support::{self, PLANNED, Recorder, connect, endless, hush_planned_panics, request};

fn app() -> Router {
    Router::new()
        .route("/v1/models/{id}", get(async || "a model"))
        .route("/v1/broken", get(async || StatusCode::SERVICE_UNAVAILABLE))
        .route("/v1/panics", get(async || -> StatusCode { panic!("{PLANNED}") }))
        .route(
            "/v1/slow",
            get(async || std::future::pending::<StatusCode>().await),
        )
        .route("/v1/stream", get(async || Body::new(endless())))
        .route("/docs", get(async || "the docs"))
}

fn settings() -> RequestMetricsLayerBuilder {
    RequestMetricsLayer::builder()
        .route_of(|extensions| Some(extensions.get::<MatchedPath>()?.as_str().to_owned()))
        .client_of(|extensions| Some(extensions.get::<ConnectInfo<SocketAddr>>()?.0))
}

async fn serve(app: Router) -> SocketAddr {
    let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
    let addr = listener.local_addr().unwrap();
    let app = app.into_make_service_with_connect_info::<SocketAddr>();
    tokio::spawn(axum::serve(listener, app).into_future());
    addr
}

/// Runs the work with a server inside the layer.
fn served<F: Future<Output = ()>>(
    work: impl FnOnce(SocketAddr, std::sync::Arc<Recorder>) -> F,
) -> std::sync::Arc<Recorder> {
    let (subscriber, recorder) = Recorder::subscriber();
    tracing::subscriber::with_default(subscriber, || {
        support::block_on(async {
            let addr = serve(app().layer(settings().build())).await;
            work(addr, std::sync::Arc::clone(&recorder)).await;
        });
    });
    recorder.assert_idle();
    recorder
}

#[test]
fn responses_are_measured_with_their_routes() {
    let recorder = served(async |addr, recorder| {
        assert_eq!(
            support::get(addr, "/v1/models/7?q=x").await,
            (200, "a model".into())
        );
        recorder.wait_for(1).await;
        assert_eq!(support::get(addr, "/v1/broken").await.0, 503);
        recorder.wait_for(2).await;
        assert_eq!(support::get(addr, "/nowhere").await.0, 404);
        recorder.wait_for(3).await;
        assert_eq!(support::get(addr, "/docs").await, (200, "the docs".into()));
    });
    assert_eq!(recorder.counted(), ["models 200", "broken 503", "unknown 404"]);
    let routes: Vec<_> = recorder
        .named("http.server.request.duration")
        .iter()
        .map(|one| one.labels.get("http.route").cloned())
        .collect();
    assert_eq!(
        routes,
        [Some("/v1/models/{id}".into()), Some("/v1/broken".into()), None]
    );
    let spans = recorder.spans();
    let names: Vec<_> = spans.iter().map(|span| span.name.as_str()).collect();
    assert_eq!(names, ["GET /v1/models/{id}", "GET /v1/broken", "GET"]);
    assert_eq!(spans[0].fields["client.address"], "127.0.0.1");
}

#[test]
fn a_client_that_disconnects_before_the_response_counts_as_499() {
    let recorder = served(async |addr, recorder| {
        let mut client = connect(addr).await;
        let slow = client.send_request(request("GET", "/v1/slow"));
        assert!(
            tokio::time::timeout(Duration::from_millis(50), slow)
                .await
                .is_err()
        );
        drop(client);
        recorder.wait_for(1).await;
    });
    assert_eq!(recorder.counted(), ["slow 499"]);
}

#[test]
fn a_client_that_leaves_a_stream_ends_it() {
    let recorder = served(async |addr, recorder| {
        let mut client = connect(addr).await;
        let mut response = client.send_request(request("GET", "/v1/stream")).await.unwrap();
        let first = response.frame().await.unwrap().unwrap();
        assert_eq!(first.into_data().unwrap(), "data");
        assert_eq!(recorder.counted(), [""; 0], "the request is still running");
        drop((response, client));
        recorder.wait_for(1).await;
    });
    assert_eq!(recorder.counted(), ["stream 200"]);
    assert_eq!(
        recorder.standard(),
        [(Some("200".into()), Some("cancelled".into()))]
    );
}

#[test]
fn a_handler_that_panics_counts_as_500() {
    hush_planned_panics();
    let recorder = served(async |addr, recorder| {
        let answer = connect(addr)
            .await
            .send_request(request("GET", "/v1/panics"))
            .await;
        assert!(answer.is_err(), "axum closes the connection");
        recorder.wait_for(1).await;
    });
    assert_eq!(recorder.counted(), ["panics 500"]);
}

#[test]
fn a_head_request_ends_with_the_head_of_its_response() {
    let recorder = served(async |addr, recorder| {
        let response = connect(addr)
            .await
            .send_request(request("HEAD", "/v1/models/7"))
            .await
            .unwrap();
        assert_eq!(response.headers()["content-length"], "7");
        recorder.wait_for(1).await;
    });
    assert_eq!(recorder.counted(), ["models 200"]);
    assert_eq!(recorder.standard(), [(Some("200".into()), None)]);
}

#[test]
fn the_layer_can_wrap_the_whole_router() {
    let recorder = Recorder::of(async {
        let service = settings().build().layer(app());
        let request = http::Request::get("/v1/models/7").body(Body::empty()).unwrap();
        let response = service.oneshot(request).await.unwrap();
        assert_eq!(
            response.into_body().collect().await.unwrap().to_bytes(),
            "a model"
        );
    });
    // The router runs later, so the route is not known.
    assert_eq!(recorder.counted(), ["unknown 200"]);
    assert_eq!(recorder.only_span().name, "GET");
}
