//! Streamable HTTP, where several calls share a connection.

use std::sync::Arc;

use axum::Router;
use rmcp::ServiceExt as _;
use rmcp::transport::StreamableHttpClientTransport;
use rmcp::transport::streamable_http_client::StreamableHttpClientTransportConfig;
use rmcp::transport::streamable_http_server::session::local::LocalSessionManager;
use rmcp::transport::{StreamableHttpServerConfig, StreamableHttpService};
use spanscope::model::SpanKind;
use spanscope::testing::TestStore;
use spanscope_mcp::{ClientExt as _, TracedServer};
use tracing::{Instrument as _, info_span};

use crate::support::{Tools, call, text, within};

#[tokio::test]
async fn calls_of_one_session_over_http_are_below_their_callers() {
    let store = TestStore::new();
    let _recording = store.set_default();
    let service = StreamableHttpService::new(
        || Ok(TracedServer::new(Tools)),
        Arc::new(LocalSessionManager::default()),
        StreamableHttpServerConfig::default(),
    );
    let listener = tokio::net::TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
    let url = format!("http://{}/mcp", listener.local_addr().unwrap());
    let router = Router::new().nest_service("/mcp", service);
    let server = tokio::spawn(async move { axum::serve(listener, router).await });
    // The server is on this machine.
    let http = reqwest::Client::builder().no_proxy().build().unwrap();
    let config = StreamableHttpClientTransportConfig::with_uri(url);
    let transport = StreamableHttpClientTransport::with_client(http, config);
    let client = within(().serve(transport)).await.unwrap();
    for name in ["first", "second"] {
        let agent = info_span!("agent", otel.name = name);
        within(client.traced().call_tool(call("add")).instrument(agent))
            .await
            .unwrap();
    }
    within(client.cancel()).await.unwrap();
    server.abort();
    for name in ["first", "second"] {
        let agent = store.spans().named(name).one();
        let by_client = store.spans().children_of(&agent).one();
        let by_server = store.spans().children_of(&by_client).one();
        assert_eq!(
            (by_server.name.as_str(), by_server.kind),
            ("tools/call add", SpanKind::Server)
        );
        assert_eq!(text(&by_server, "network.transport"), "tcp");
        assert_ne!(text(&by_server, "mcp.session.id"), "");
    }
}
