//! The layer around bare reqwest, over TCP.

use std::sync::atomic::Ordering;
use std::time::Duration;

use reqwest::{Client, Request, Response};
use spanscope_tower::{ClientLayer, SendTraced};
use tower::{Layer, ServiceExt};

use super::server::{self, GZIP, Server};
use crate::support::Recorder;

fn bare() -> Client {
    Client::builder().no_proxy().no_gzip().build().unwrap()
}

async fn get(url: &str) -> reqwest::Result<Response> {
    bare().get(url).send_traced(&ClientLayer::new()).await
}

#[test]
fn responses_are_the_same_as_without_the_layer() {
    let recorder = Recorder::of(async {
        let server = Server::start().await;
        for path in ["/", "/gzip", "/limited", "/moved", "/status/404"] {
            let url = server.url(path);
            let (bare, watched) = (bare().get(&url).send().await.unwrap(), get(&url).await.unwrap());
            assert_eq!(bare.status(), watched.status());
            assert_eq!(bare.url(), watched.url(), "also after a redirect");
            assert_eq!(bare.version(), watched.version());
            assert_eq!(bare.remote_addr(), watched.remote_addr());
            assert_eq!(bare.content_length(), watched.content_length());
            let names = |response: &Response| response.headers().keys().cloned().collect::<Vec<_>>();
            assert_eq!(names(&bare), names(&watched));
            let (bare, watched) = (bare.bytes().await.unwrap(), watched.bytes().await.unwrap());
            assert_eq!(bare, watched, "{path}");
            if path == "/gzip" {
                assert_eq!(watched, GZIP.as_slice());
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
            let request = bare().post(format!("http://{addr}/a%20path?b=c&d"));
            request.header("x-mine", "1").body("a body to the end")
        };
        request().send().await.unwrap();
        let without = String::from_utf8(received.recv().unwrap()).unwrap();
        request().send_traced(&ClientLayer::new()).await.unwrap();
        let with = String::from_utf8(received.recv().unwrap()).unwrap();
        let added: Vec<_> = with
            .split("\r\n")
            .filter(|line| line.starts_with("traceparent: 00-"))
            .collect();
        assert_eq!(added.len(), 1, "{with}");
        assert_eq!(with.replace(&format!("{}\r\n", added[0]), ""), without);
    });
}

#[test]
fn a_body_that_the_client_decompresses_is_the_same_as_without_the_layer() {
    Recorder::of(async {
        let server = Server::start().await;
        let client = Client::builder().no_proxy().build().unwrap();
        let response = client
            .get(server.url("/gzip"))
            .send_traced(&ClientLayer::new())
            .await;
        let text = response.unwrap().text().await.unwrap();
        assert_eq!(text, "hello hello hello hello hello\n");
    });
}

#[test]
fn a_wrapped_client_is_a_service_and_two_layers_make_one_span() {
    let recorder = Recorder::of(async {
        let server = Server::start().await;
        let once = ClientLayer::new().layer(bare());
        let twice = ClientLayer::new().layer(once);
        let request = Request::new(http::Method::GET, server.url("/headers").parse().unwrap());
        let headers = twice.oneshot(request).await.unwrap().text().await.unwrap();
        assert_eq!(headers.matches("traceparent").count(), 1, "{headers}");
    });
    let span = recorder.only_span();
    assert_eq!(span.name, "GET");
    assert_eq!(span.fields["server.address"], "127.0.0.1");
    assert_eq!(recorder.named("http.client.request.duration").len(), 1);
    recorder.assert_idle();
}

#[test]
fn errors_have_their_kind_and_hide_the_secrets_of_the_url() {
    let error_type_of = |work: fn() -> std::pin::Pin<Box<dyn Future<Output = ()>>>| {
        let fields = Recorder::of(work()).only_span().fields;
        assert!(!format!("{fields:?}").contains("hunter2"), "{fields:?}");
        fields["error.type"].clone()
    };
    let refused = error_type_of(|| {
        Box::pin(async {
            let url = format!("http://me:hunter2@{}/?token=hunter2", server::closed().await);
            assert!(get(&url).await.unwrap_err().is_connect());
        })
    });
    assert_eq!(refused, "connection_refused");
    let timed_out = error_type_of(|| {
        Box::pin(async {
            let server = Server::start().await;
            let request = bare().get(server.url("/slow")).timeout(Duration::from_millis(20));
            assert!(
                request
                    .send_traced(&ClientLayer::new())
                    .await
                    .unwrap_err()
                    .is_timeout()
            );
        })
    });
    assert_eq!(timed_out, "timeout");
    let body_timed_out = error_type_of(|| {
        Box::pin(async {
            let server = Server::start().await;
            let request = bare()
                .get(server.url("/stream"))
                .timeout(Duration::from_millis(200));
            let response = request.send_traced(&ClientLayer::new()).await.unwrap();
            assert!(response.bytes().await.unwrap_err().is_timeout());
        })
    });
    assert_eq!(body_timed_out, "timeout");
    let cut = error_type_of(|| {
        Box::pin(async {
            let addr = server::raw(b"HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\nhalf").await;
            assert!(
                get(&format!("http://{addr}/"))
                    .await
                    .unwrap()
                    .bytes()
                    .await
                    .is_err()
            );
        })
    });
    assert_eq!(cut, "unexpected_end");
}

#[test]
fn a_request_that_cannot_be_built_has_no_span() {
    let recorder = Recorder::of(async {
        assert!(get("no url").await.unwrap_err().is_builder());
    });
    assert_eq!(recorder.spans().len(), 0);
}

#[test]
fn an_error_for_the_status_leaves_the_body_unread() {
    let recorder = Recorder::of(async {
        let server = Server::start().await;
        let response = get(&server.url("/status/500")).await.unwrap();
        assert!(response.error_for_status().is_err());
    });
    let fields = recorder.only_span().fields;
    assert_eq!(fields["error.type"], "500");
    assert_eq!(fields["spanscope.body_dropped"], "true");
    recorder.assert_idle();
}

#[test]
fn with_the_policy_a_redirect_does_not_send_the_trace_to_other_hosts() {
    // Both names are this machine's.
    async fn status_and_url(location: &'static str, policy: bool, listed: &[&str]) -> (u16, String, String) {
        let server = Server::start().await;
        let layer = ClientLayer::builder().propagate_to(listed).build();
        let builder = Client::builder().no_proxy();
        let client = match policy {
            true => builder.redirect(layer.redirect_policy()).build().unwrap(),
            false => builder.build().unwrap(),
        };
        let request = client.get(server.url(location));
        let response = request.send_traced(&layer).await.unwrap();
        let (status, host) = (
            response.status().as_u16(),
            response.url().host_str().unwrap().to_owned(),
        );
        (status, host, response.text().await.unwrap())
    }
    let recorder = Recorder::of(async {
        // Without the policy reqwest sends it to the new host.
        let (status, host, headers) = status_and_url("/to-localhost", false, &["127.0.0.1"]).await;
        assert_eq!((status, host.as_str()), (200, "localhost"));
        assert!(headers.contains("traceparent: 00-"), "{headers}");
        // With it the caller gets the redirect.
        let (status, host, _) = status_and_url("/to-localhost", true, &["127.0.0.1"]).await;
        assert_eq!((status, host.as_str()), (302, "127.0.0.1"));
        let (status, host, headers) =
            status_and_url("/to-localhost", true, &["127.0.0.1", "localhost"]).await;
        assert_eq!((status, host.as_str()), (200, "localhost"));
        assert!(headers.contains("traceparent: 00-"), "{headers}");
        let (status, ..) = status_and_url("/moved", true, &["127.0.0.1"]).await;
        assert_eq!(status, 200);
        // In a circle.
        let server = Server::start().await;
        let layer = ClientLayer::new();
        let client = Client::builder().no_proxy().redirect(layer.redirect_policy());
        let request = client.build().unwrap().get(server.url("/around"));
        assert!(request.send_traced(&layer).await.unwrap_err().is_redirect());
        assert_eq!(server.requests.load(Ordering::Relaxed), 11);
    });
    assert_eq!(recorder.spans().len(), 5);
    recorder.assert_idle();
}
