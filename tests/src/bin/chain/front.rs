//! The HTTP server.

use axum::Router;
use axum::extract::{MatchedPath, Path, State};
use axum::http::{StatusCode, Uri};
use axum::routing::get;
use spanscope_tower::{ClientLayer, ClientService, RequestMetricsLayer};
use tokio::net::TcpListener;
use tonic::Request;
use tonic::client::Grpc;
use tonic::transport::{Channel, Endpoint};
use tonic_prost::ProstCodec;
use tower::Layer as _;

use crate::middle::COUNT;
use crate::{Part, input_has_ended, print_address};

type Stock = Grpc<ClientService<Channel>>;

pub(crate) async fn serve() {
    let middle = Part::start("middle");
    let origin: Uri = middle.url.parse().unwrap();
    let channel = Endpoint::from(origin.clone()).connect().await.unwrap();
    let requests_sent = ClientLayer::builder().origin(origin).build();
    let requests_received = RequestMetricsLayer::builder()
        .route_of(|extensions| Some(extensions.get::<MatchedPath>()?.as_str().to_owned()))
        .build();
    let router = Router::new()
        .route("/orders/{item}", get(order))
        .route_layer(requests_received)
        .with_state(Grpc::new(requests_sent.layer(channel)));
    let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
    print_address(listener.local_addr().unwrap());
    let server = axum::serve(listener, router).with_graceful_shutdown(input_has_ended());
    server.await.unwrap();
    middle.end();
}

async fn order(State(mut stock): State<Stock>, Path(item): Path<String>) -> Result<String, StatusCode> {
    let failed = |_| StatusCode::BAD_GATEWAY;
    stock.ready().await.map_err(|_| StatusCode::BAD_GATEWAY)?;
    let codec = ProstCodec::<String, String>::default();
    let count = stock
        .unary(Request::new(item), COUNT.clone(), codec)
        .await
        .map_err(failed)?;
    Ok(count.into_inner())
}
