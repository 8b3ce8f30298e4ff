//! The layer around a service of plain hyper 1, over TCP.

use std::convert::Infallible;
use std::net::SocketAddr;

use http::{Request, Response};
use http_body_util::{BodyExt, Either};
use hyper::body::Incoming;
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::service::TowerToHyperService;
use spanscope_tower::RequestMetricsLayer;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tower::{Layer, service_fn};

use crate::support::{self, NoBody, Recorder, Script, Step, answer, connect, request};

async fn handle(request: Request<Incoming>) -> Result<Response<Either<NoBody, Script>>, std::io::Error> {
    let stream = |steps: &[Step]| Ok(Response::new(Either::Right(Script::of(steps))));
    match request.uri().path() {
        "/v1/fails" => Err(std::io::Error::other("a planned error")),
        "/v1/stream" => stream(&[Step::Data, Step::Data]),
        "/v1/breaks" => stream(&[Step::Data, Step::Fail]),
        "/v1/length" => {
            // A stream whose length the head announces: hyper stops polling after it.
            let mut response = Response::new(Either::Right(Script::of(&[Step::Data, Step::Data])));
            response.headers_mut().insert("content-length", 8.into());
            Ok(response)
        }
        "/v1/upgrade" => {
            let upgraded = Response::builder()
                .status(101)
                .header("connection", "upgrade")
                .header("upgrade", "echo");
            Ok(upgraded.body(Either::Left(NoBody::default())).unwrap())
        }
        _ => {
            let Ok(response) = answer(200, "hello");
            Ok(response.map(Either::Left))
        }
    }
}

async fn serve(is_http2: bool) -> SocketAddr {
    let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
    let addr = listener.local_addr().unwrap();
    let layer = RequestMetricsLayer::new();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let service = TowerToHyperService::new(layer.layer(service_fn(handle)));
            let stream = TokioIo::new(stream);
            if is_http2 {
                let server = hyper::server::conn::http2::Builder::new(TokioExecutor::new());
                tokio::spawn(async move { server.serve_connection(stream, service).await.map_err(drop) });
            } else {
                let server = hyper::server::conn::http1::Builder::new();
                let connection = server.serve_connection(stream, service).with_upgrades();
                tokio::spawn(async move { connection.await.map_err(drop) });
            }
        }
        Ok::<_, Infallible>(())
    });
    addr
}

#[test]
fn responses_streams_and_failures_are_measured() {
    let (subscriber, recorder) = Recorder::subscriber();
    tracing::subscriber::with_default(subscriber, || {
        support::block_on(async {
            let addr = serve(false).await;
            assert_eq!(support::get(addr, "/v1/models").await, (200, "hello".into()));
            recorder.wait_for(1).await;
            assert_eq!(support::get(addr, "/v1/stream").await, (200, "datadata".into()));
            recorder.wait_for(2).await;
            assert_eq!(support::get(addr, "/v1/length").await, (200, "datadata".into()));
            recorder.wait_for(3).await;
            assert!(
                connect(addr)
                    .await
                    .send_request(request("GET", "/v1/fails"))
                    .await
                    .is_err()
            );
            recorder.wait_for(4).await;
            let breaks = connect(addr)
                .await
                .send_request(request("GET", "/v1/breaks"))
                .await;
            if let Ok(response) = breaks {
                assert!(response.into_body().collect().await.is_err());
            }
            recorder.wait_for(5).await;
        });
    });
    assert_eq!(
        recorder.counted(),
        [
            "models 200",
            "stream 200",
            "length 200",
            "fails 500",
            "breaks 500"
        ]
    );
    let errors: Vec<_> = recorder.standard().into_iter().map(|(_, error)| error).collect();
    assert_eq!(
        errors,
        [
            None,
            None,
            None,
            Some("service_error".into()),
            Some("body_error".into())
        ]
    );
    recorder.assert_idle();
}

#[test]
fn an_upgrade_ends_with_the_head_of_its_response() {
    let (subscriber, recorder) = Recorder::subscriber();
    tracing::subscriber::with_default(subscriber, || {
        support::block_on(async {
            let mut stream = TcpStream::connect(serve(false).await).await.unwrap();
            let request =
                "GET /v1/upgrade HTTP/1.1\r\nhost: x\r\nconnection: upgrade\r\nupgrade: echo\r\n\r\n";
            stream.write_all(request.as_bytes()).await.unwrap();
            let mut head = [0; 12];
            stream.read_exact(&mut head).await.unwrap();
            assert_eq!(&head, b"HTTP/1.1 101");
            // The connection is still open.
            recorder.wait_for(1).await;
            recorder.assert_idle();
        });
    });
    assert_eq!(recorder.counted(), ["upgrade 101"]);
}

#[test]
fn a_request_over_http_2_has_its_version_and_scheme() {
    let (subscriber, recorder) = Recorder::subscriber();
    tracing::subscriber::with_default(subscriber, || {
        support::block_on(async {
            let stream = TcpStream::connect(serve(true).await).await.unwrap();
            let (mut client, connection) =
                hyper::client::conn::http2::handshake(TokioExecutor::new(), TokioIo::new(stream))
                    .await
                    .unwrap();
            tokio::spawn(connection);
            let request = Request::get("https://localhost/v1/stream")
                .body(NoBody::default())
                .unwrap();
            let response = client.send_request(request).await.unwrap();
            assert_eq!(
                response.into_body().collect().await.unwrap().to_bytes(),
                "datadata"
            );
            recorder.wait_for(1).await;
        });
    });
    let labels = &recorder.named("http.server.request.duration")[0].labels;
    assert_eq!(labels["network.protocol.version"], "2");
    assert_eq!(labels["url.scheme"], "https");
    recorder.assert_idle();
}
