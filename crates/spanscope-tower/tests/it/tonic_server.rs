//! The layer in tonic, over TCP: whole responses, streams and failed calls.

use std::convert::Infallible;
use std::net::SocketAddr;

use bytes::{Buf, BufMut};
use http::uri::PathAndQuery;
use spanscope_tower::RequestMetricsLayer;
use tokio::net::TcpListener;
use tokio_stream::StreamExt;
use tokio_stream::wrappers::TcpListenerStream;
use tonic::codec::{DecodeBuf, Decoder, EncodeBuf, Encoder};
use tonic::transport::{Endpoint, Server};
use tonic::{Request, Response, Status};
use tower::service_fn;

use crate::support::{self, Recorder};

/// Messages that are texts, so that this test needs no generated code.
pub(crate) struct Codec;

impl tonic::codec::Codec for Codec {
    type Encode = String;
    type Decode = String;
    type Encoder = Self;
    type Decoder = Self;

    fn encoder(&mut self) -> Self {
        Self
    }

    fn decoder(&mut self) -> Self {
        Self
    }
}

impl Encoder for Codec {
    type Item = String;
    type Error = Status;

    fn encode(&mut self, item: String, buffer: &mut EncodeBuf<'_>) -> Result<(), Status> {
        buffer.put_slice(item.as_bytes());
        Ok(())
    }
}

impl Decoder for Codec {
    type Item = String;
    type Error = Status;

    fn decode(&mut self, buffer: &mut DecodeBuf<'_>) -> Result<Option<String>, Status> {
        let bytes = buffer.copy_to_bytes(buffer.remaining());
        Ok(Some(String::from_utf8_lossy(&bytes).into_owned()))
    }
}

async fn find(request: Request<String>) -> Result<Response<String>, Status> {
    if request.get_ref() == "nothing" {
        return Err(Status::not_found("no such book"));
    }
    if request.get_ref() == "burnt" {
        return Err(Status::internal("the library is closed"));
    }
    Ok(Response::new(format!("found {}", request.get_ref())))
}

async fn list(
    request: Request<String>,
) -> Result<Response<impl tokio_stream::Stream<Item = Result<String, Status>>>, Status> {
    let title = request.into_inner();
    let books = (0..3).map(move |n| Ok(format!("{title} {n}")));
    Ok(Response::new(tokio_stream::iter(books)))
}

async fn route(
    request: http::Request<tonic::body::Body>,
) -> Result<http::Response<tonic::body::Body>, Infallible> {
    let mut grpc = tonic::server::Grpc::new(Codec);
    Ok(match request.uri().path() {
        "/library.Books/Find" => grpc.unary(service_fn(find), request).await,
        _ => grpc.server_streaming(service_fn(list), request).await,
    })
}

pub(crate) async fn serve() -> SocketAddr {
    let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
    let addr = listener.local_addr().unwrap();
    let incoming = TcpListenerStream::new(listener);
    let server = Server::builder().layer(RequestMetricsLayer::new());
    tokio::spawn(async move { server.serve_with_incoming(service_fn(route), incoming).await });
    addr
}

#[test]
fn calls_are_measured_by_service() {
    let (subscriber, recorder) = Recorder::subscriber();
    tracing::subscriber::with_default(subscriber, || {
        support::block_on(async {
            let addr = serve().await;
            let channel = Endpoint::new(format!("http://{addr}"))
                .unwrap()
                .connect()
                .await
                .unwrap();
            let mut client = tonic::client::Grpc::new(channel);
            let path = PathAndQuery::from_static("/library.Books/Find");
            client.ready().await.unwrap();
            let call = Request::new("Middlemarch".to_owned());
            let answer = client.unary(call, path.clone(), Codec).await.unwrap();
            assert_eq!(answer.into_inner(), "found Middlemarch");
            recorder.wait_for(1).await;

            client.ready().await.unwrap();
            let call = Request::new("nothing".to_owned());
            let status = client.unary(call, path, Codec).await.unwrap_err();
            assert_eq!(status.code(), tonic::Code::NotFound);
            recorder.wait_for(2).await;

            client.ready().await.unwrap();
            let path = PathAndQuery::from_static("/library.Books/List");
            let call = Request::new("volume".to_owned());
            let stream = client.server_streaming(call, path, Codec).await.unwrap();
            let all: Vec<_> = stream.into_inner().map(Result::unwrap).collect().await;
            assert_eq!(all, ["volume 0", "volume 1", "volume 2"]);
            recorder.wait_for(3).await;
        });
    });
    assert_eq!(recorder.counted(), vec!["library.Books 200"; 3]);
    assert_eq!(recorder.standard(), vec![(Some("200".into()), None); 3]);
    let spans = recorder.spans();
    assert_eq!(spans.len(), 3);
    let names: Vec<_> = spans.iter().map(|span| span.name.as_str()).collect();
    assert_eq!(
        names,
        ["library.Books/Find", "library.Books/Find", "library.Books/List"]
    );
    recorder.assert_idle();
}
