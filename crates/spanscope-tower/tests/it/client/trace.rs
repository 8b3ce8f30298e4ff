//! The trace that is propagated with a request.

use http::{HeaderMap, Request};
use http_body_util::BodyExt;
use spanscope_tower::{ClientLayer, RequestMetricsLayer};
use tower::{Layer, ServiceExt, service_fn};

use crate::support::{Recorder, answer};

/// Returns the headers that the service receives of a request to this URL.
async fn seen(layer: &ClientLayer, url: &str) -> HeaderMap {
    let (sender, seen) = std::sync::mpsc::channel();
    let service = layer.layer(service_fn(move |request: Request<()>| {
        sender.send(request.headers().clone()).unwrap();
        std::future::ready(answer(200, ""))
    }));
    let request = Request::get(url).header("x-mine", "kept").body(()).unwrap();
    service.oneshot(request).await.unwrap();
    seen.recv().unwrap()
}

#[test]
fn the_server_continues_the_trace_below_the_clients_span() {
    let recorder = Recorder::of(async {
        let server = RequestMetricsLayer::new().layer(service_fn(async |_: Request<()>| answer(200, "text")));
        let service = ClientLayer::new().layer(server);
        let request = Request::get("http://api/v1/models").body(()).unwrap();
        let response = service.oneshot(request).await.unwrap();
        response.into_body().collect().await.unwrap();
    });
    let spans = recorder.spans();
    let [server, client] = &spans[..] else {
        panic!("two spans: {spans:#?}")
    };
    assert_eq!(
        (server.name.as_str(), client.name.as_str()),
        ("GET models", "GET")
    );
    assert_eq!(server.ids.trace_id, client.ids.trace_id);
    assert_eq!(server.parent, Some(client.ids.span_id));
}

#[test]
fn the_request_names_the_clients_span() {
    let recorder = Recorder::of(async {
        let headers = seen(&ClientLayer::new(), "http://api/").await;
        let sent = headers["traceparent"].to_str().unwrap().to_owned();
        tracing::info_span!("sent", sent).in_scope(|| ());
        assert_eq!(headers["x-mine"], "kept");
    });
    let spans = recorder.spans();
    let ids = spans[0].ids;
    let sent = format!("00-{}-{}-01", ids.trace_id, ids.span_id);
    assert_eq!(spans[1].fields["sent"], sent);
}

#[test]
fn hosts_that_are_not_listed_do_not_see_the_trace() {
    Recorder::of(async {
        let listed = ClientLayer::builder()
            .propagate_to(["api.example.com", "*.internal"])
            .build();
        for (url, is_propagated) in [
            ("http://api.example.com/x", true),
            ("http://API.example.com:8080/x", true),
            ("http://books.internal/", true),
            ("http://example.com/", false),
            ("http://api.example.com.evil.test/", false),
            ("http://evil.test/api.example.com", false),
            ("http://api.example.com@evil.test/", false),
            ("/x", false),
        ] {
            let headers = seen(&listed, url).await;
            assert_eq!(headers.contains_key("traceparent"), is_propagated, "{url}");
        }
        let nowhere = ClientLayer::builder().propagate_to([""; 0]).build();
        assert!(!seen(&nowhere, "http://api/").await.contains_key("traceparent"));
    });
}

#[test]
fn without_a_sink_no_trace_is_sent() {
    crate::support::block_on(async {
        let headers = seen(&ClientLayer::new(), "http://api/").await;
        assert!(!headers.contains_key("traceparent"));
    });
}

#[test]
fn the_received_context_is_forwarded_to_the_allowed_hosts() {
    const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";
    Recorder::of(async {
        let client = ClientLayer::builder().propagate_to(["*.internal"]).build();
        let (sender, received) = std::sync::mpsc::channel();
        let server = RequestMetricsLayer::new().layer(service_fn(move |_: Request<()>| {
            let (client, sender) = (client.clone(), sender.clone());
            async move {
                for host in ["books.internal", "evil.test"] {
                    sender
                        .send(seen(&client, &format!("http://{host}/")).await)
                        .unwrap();
                }
                answer(200, "")
            }
        }));
        let request = Request::get("http://api/")
            .header("traceparent", format!("00-{TRACE}-00f067aa0ba902b7-00"))
            .header("tracestate", "congo=t61rcWkgMzE")
            .header("baggage", "tenant=acme")
            .body(())
            .unwrap();
        server.oneshot(request).await.unwrap();
        let listed = received.recv().unwrap();
        let parent = listed["traceparent"].to_str().unwrap();
        assert!(parent.starts_with(&format!("00-{TRACE}-")), "{parent}");
        assert!(parent.ends_with("-00"), "the caller has not sampled it: {parent}");
        assert_eq!(listed["tracestate"], "congo=t61rcWkgMzE");
        assert_eq!(listed["baggage"], "tenant=acme");
        let other = received.recv().unwrap();
        assert_eq!(
            other.keys().map(http::HeaderName::as_str).collect::<Vec<_>>(),
            ["x-mine"]
        );
    });
}
