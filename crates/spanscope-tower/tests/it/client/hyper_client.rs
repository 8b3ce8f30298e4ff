//! The layer around hyper-util's client, over TCP.

use std::sync::atomic::Ordering;

use http::Request;
use http_body_util::BodyExt;
use hyper::body::Bytes;
use hyper_util::client::legacy::{Client, Error, connect::HttpConnector};
use hyper_util::rt::TokioExecutor;
use spanscope_tower::{ClientBody, ClientLayer, ClientService};
use tower::{Layer, ServiceExt};

use super::server::{self, BIG, GZIP, Server};
use crate::support::{Closed, NoBody, Recorder};

type Plain = Client<HttpConnector, NoBody>;

fn plain() -> Plain {
    Client::builder(TokioExecutor::new()).build_http()
}

fn watched() -> ClientService<Plain> {
    let layer = ClientLayer::builder()
        .inspect_error::<Error>()
        .inspect_error::<hyper::Error>()
        .build();
    layer.layer(plain())
}

fn get(url: &str) -> Request<NoBody> {
    Request::get(url).body(NoBody::default()).unwrap()
}

async fn send(url: &str) -> Result<http::Response<ClientBody<hyper::body::Incoming>>, Error> {
    watched().oneshot(get(url)).await
}

fn fields_of(recorder: &Recorder, keys: &[&str]) -> Vec<Option<String>> {
    let span: Closed = recorder.only_span();
    keys.iter().map(|key| span.fields.get(*key).cloned()).collect()
}

#[test]
fn responses_are_the_same_as_without_the_layer() {
    let recorder = Recorder::of(async {
        let server = Server::start().await;
        for path in ["/", "/gzip", "/limited", "/moved", "/status/404"] {
            let bare = plain().request(get(&server.url(path))).await.unwrap();
            let watched = send(&server.url(path)).await.unwrap();
            let without_date = |headers: &http::HeaderMap| {
                let mut headers = headers.clone();
                headers.remove("date");
                headers
            };
            assert_eq!(bare.status(), watched.status());
            assert_eq!(without_date(bare.headers()), without_date(watched.headers()));
            let bare = bare.into_body().collect().await.unwrap().to_bytes();
            let watched = watched.into_body().collect().await.unwrap().to_bytes();
            assert_eq!(bare, watched, "{path}");
            if path == "/gzip" {
                assert_eq!(watched, Bytes::from_static(&GZIP));
            }
        }
    });
    assert_eq!(recorder.spans().len(), 5);
    recorder.assert_idle();
}

#[test]
fn the_layer_adds_only_the_trace_to_a_request() {
    Recorder::of(async {
        let (addr, received) = server::recording(b"the end").await;
        let request = || {
            let body = NoBody::from("a body to the end");
            let request = Request::post(format!("http://{addr}/a%20path?b=c&d"));
            request
                .header("x-mine", "1")
                .header("x-mine", "2")
                .body(body)
                .unwrap()
        };
        plain().request(request()).await.unwrap();
        let without = String::from_utf8(received.recv().unwrap()).unwrap();
        watched().oneshot(request()).await.unwrap();
        let with = String::from_utf8(received.recv().unwrap()).unwrap();
        let added: Vec<_> = with
            .split("\r\n")
            .filter(|line| line.starts_with("traceparent: 00-"))
            .collect();
        assert_eq!(added.len(), 1, "{with}");
        assert_eq!(with.replace(&format!("{}\r\n", added[0]), ""), without);
        let silent = ClientLayer::builder().propagate_to([""; 0]).build();
        silent.layer(plain()).oneshot(request()).await.unwrap();
        assert_eq!(String::from_utf8(received.recv().unwrap()).unwrap(), without);
    });
}

#[test]
fn a_long_response_is_read_as_it_arrives_and_not_buffered() {
    let recorder = Recorder::of(async {
        let server = Server::start().await;
        let mut response = send(&server.url("/big")).await.unwrap();
        let first = response.body_mut().frame().await.unwrap().unwrap();
        let mut len = first.into_data().unwrap().len();
        // The server can only fill the buffers of sockets and connections.
        let handed = server.handed.load(Ordering::Relaxed);
        assert!(
            handed < BIG / 4,
            "{handed} bytes were sent before the client asked for them"
        );
        while let Some(frame) = response.body_mut().frame().await {
            len += frame.unwrap().into_data().unwrap().len();
        }
        assert_eq!(len, BIG);
    });
    assert_eq!(
        fields_of(&recorder, &["error.type", "spanscope.body_dropped"]),
        [None, None]
    );
    recorder.assert_idle();
}

#[test]
fn a_truncated_response_is_an_error() {
    for answer in [
        "HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\nhalf",
        "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n64\r\nhalf",
        "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n4\r\nhalf\r\n",
    ] {
        let recorder = Recorder::of(async {
            let addr = server::raw(answer.as_bytes()).await;
            let response = send(&format!("http://{addr}/")).await.unwrap();
            assert!(response.into_body().collect().await.is_err());
        });
        let fields = recorder.only_span().fields;
        assert_eq!(fields["http.response.status_code"], "200");
        assert_eq!(fields["otel.status_code"], "error");
        assert_eq!(fields["error.type"], "unexpected_end", "{answer:?} {fields:?}");
        recorder.assert_idle();
    }
}

#[test]
fn an_invalid_response_is_an_error_without_a_status() {
    for answer in ["", "HTTP/1.1 200", "no http\r\n\r\n"] {
        let recorder = Recorder::of(async {
            let addr = server::raw(answer.as_bytes()).await;
            assert!(send(&format!("http://{addr}/")).await.is_err());
        });
        let fields = recorder.only_span().fields;
        assert!(!fields.contains_key("http.response.status_code"));
        assert_eq!(fields["otel.status_code"], "error");
        assert!(!fields["otel.status_description"].is_empty());
        recorder.assert_idle();
    }
}

#[test]
fn a_server_that_refuses_the_connection_is_reported() {
    let recorder = Recorder::of(async {
        let url = format!("http://{}/", server::closed().await);
        assert!(send(&url).await.is_err());
    });
    assert_eq!(
        fields_of(&recorder, &["error.type", "server.address"]),
        [
            Some("connection_refused".to_owned()),
            Some("127.0.0.1".to_owned())
        ]
    );
    recorder.assert_idle();
}

#[test]
fn a_rate_limit_is_recorded_with_its_wait() {
    let recorder = Recorder::of(async {
        let server = Server::start().await;
        let response = send(&server.url("/limited")).await.unwrap();
        assert_eq!(response.into_body().collect().await.unwrap().to_bytes(), "wait");
    });
    assert_eq!(
        fields_of(&recorder, &["error.type", "http.response.header.retry-after"]),
        [Some("429".to_owned()), Some("7".to_owned())]
    );
}

#[test]
fn a_stream_that_is_dropped_ends_its_span() {
    let recorder = Recorder::of(async {
        let server = Server::start().await;
        let mut response = send(&server.url("/stream")).await.unwrap();
        let first = response.body_mut().frame().await.unwrap().unwrap();
        assert_eq!(first.into_data().unwrap(), "data");
        drop(response);
    });
    assert_eq!(
        fields_of(&recorder, &["error.type", "spanscope.body_dropped"]),
        [None, Some("true".to_owned())]
    );
    recorder.assert_idle();
}
