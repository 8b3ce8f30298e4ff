//! The gRPC server. Its messages are texts, so that it needs no generated code.

use std::convert::Infallible;
use std::sync::LazyLock;

use axum::http::uri::PathAndQuery;
use rmcp::model::{CallToolRequestParams, JsonObject};
use rmcp::transport::TokioChildProcess;
use rmcp::{Peer, RoleClient, ServiceExt as _};
use spanscope_mcp::{ClientExt as _, TracedTransport};
use spanscope_tower::RequestMetricsLayer;
use tokio::net::TcpListener;
use tokio_stream::wrappers::TcpListenerStream;
use tonic::body::Body;
use tonic::transport::Server;
use tonic::{Request, Response, Status};
use tonic_prost::ProstCodec;
use tower::service_fn;

use crate::{input_has_ended, print_address};

pub(crate) static COUNT: LazyLock<PathAndQuery> =
    LazyLock::new(|| PathAndQuery::from_static("/stock.Stock/Count"));

pub(crate) async fn serve() {
    let mut command = tokio::process::Command::new(std::env::current_exe().unwrap());
    command.arg("tools");
    let transport = TracedTransport::new(TokioChildProcess::new(command).unwrap());
    let mut tools = ().serve(transport).await.unwrap();
    let peer = tools.peer().clone();
    let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
    print_address(listener.local_addr().unwrap());
    let stock = service_fn(move |request: axum::http::Request<Body>| {
        let peer = peer.clone();
        async move {
            let count = service_fn(|request| count(peer.clone(), request));
            let mut grpc = tonic::server::Grpc::new(ProstCodec::<String, String>::default());
            Ok::<_, Infallible>(grpc.unary(count, request).await)
        }
    });
    Server::builder()
        .layer(RequestMetricsLayer::new())
        .serve_with_incoming_shutdown(stock, TcpListenerStream::new(listener), input_has_ended())
        .await
        .unwrap();
    // It ends when its input does.
    tools.close().await.unwrap();
}

async fn count(tools: Peer<RoleClient>, request: Request<String>) -> Result<Response<String>, Status> {
    let mut arguments = JsonObject::new();
    arguments.insert("item".to_owned(), request.into_inner().into());
    let params = CallToolRequestParams::new("count").with_arguments(arguments);
    let result = tools.traced().call_tool(params).await;
    let result = result.map_err(|error| Status::unavailable(error.to_string()))?;
    match result.content.first().and_then(|content| content.as_text()) {
        Some(text) => Ok(Response::new(text.text.clone())),
        None => Err(Status::internal("the tool returned no text")),
    }
}
