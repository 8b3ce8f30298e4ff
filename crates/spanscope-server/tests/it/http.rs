//! The router, over TCP.

use spanscope_layers::metrics::Number::I64;
use spanscope_server::{PrometheusSink, metrics_router};
use spanscope_tests::http::ask;

use crate::support::{OPENMETRICS, Server, TOKENS, span};

#[test]
fn the_router_responds_in_the_requested_format() {
    let sink = PrometheusSink::new();
    let server = Server::start(axum::Router::new().merge(metrics_router(sink.clone())));
    TOKENS.record_in(&sink, &[("model_id", "ä\"")], I64(3), span(1));
    let classic = ask(server.address, "GET", "/metrics", "").unwrap();
    assert_eq!(classic.status, 200);
    assert_eq!(
        classic.header("content-type"),
        Some("text/plain; version=0.0.4; charset=utf-8")
    );
    assert_eq!(classic.body, sink.encode("").1);
    assert!(
        classic
            .body
            .ends_with("llama_stack_tokens_total{model_id=\"ä\\\"\"} 3\n")
    );
    // The header may be repeated.
    let both = format!("text/plain;q=0.5\r\nAccept: {OPENMETRICS}");
    let open = ask(server.address, "GET", "/metrics", &both).unwrap();
    let content_type = "application/openmetrics-text; version=1.0.0; charset=utf-8";
    assert_eq!(open.header("content-type"), Some(content_type));
    assert_eq!(open.body, sink.encode(OPENMETRICS).1);
    assert!(
        open.body
            .contains("trace_id=\"01010101010101010101010101010101\"")
    );
}

#[test]
fn the_router_serves_only_get_and_head_of_one_path() {
    let sink = PrometheusSink::new();
    TOKENS.record(&sink, &[], I64(3));
    let server = Server::start(axum::Router::new().merge(metrics_router(sink.clone())));
    let head = ask(server.address, "HEAD", "/metrics", "").unwrap();
    assert_eq!((head.status, head.body.as_str()), (200, ""));
    assert_eq!(
        head.header("content-length"),
        Some(&*sink.encode("").1.len().to_string())
    );
    for method in ["POST", "PUT", "DELETE", "OPTIONS", "NONSENSE"] {
        let answer = ask(server.address, method, "/metrics", "").unwrap();
        assert_eq!(
            (answer.status, answer.header("allow")),
            (405, Some("GET,HEAD")),
            "{method}"
        );
    }
    assert_eq!(
        ask(server.address, "GET", "/metrics/more", "").unwrap().status,
        404
    );
    assert_eq!(ask(server.address, "GET", "/", "").unwrap().status, 404);
}
