//! The layer around a channel of tonic, over TCP, with the server's layer on the other side.

use http::Uri;
use http::uri::PathAndQuery;
use spanscope_tower::ClientLayer;
use tokio_stream::StreamExt;
use tonic::transport::Endpoint;
use tonic::{Code, Request};
use tower::Layer;

use crate::support::{Closed, Recorder};
use crate::tonic_server::{Codec, serve};

/// Returns those of these fields of a span that have a value.
fn fields(span: &Closed, keys: &[&str]) -> Vec<String> {
    let all = keys.iter().filter_map(|key| {
        let value = span.fields.get(*key)?;
        Some(format!("{key}={value}"))
    });
    all.collect()
}

const RPC: [&str; 8] = [
    "rpc.system.name",
    "rpc.system",
    "rpc.service",
    "rpc.method",
    "rpc.response.status_code",
    "rpc.grpc.status_code",
    "error.type",
    "otel.status_code",
];

#[test]
fn calls_have_the_names_and_codes_of_grpc_on_both_sides() {
    let recorder = Recorder::of(async {
        let addr = serve().await;
        let origin: Uri = format!("http://{addr}").parse().unwrap();
        let channel = Endpoint::from(origin.clone()).connect().await.unwrap();
        let layer = ClientLayer::builder().origin(origin).build();
        let mut client = tonic::client::Grpc::new(layer.layer(channel));
        for title in ["Middlemarch", "nothing", "burnt"] {
            client.ready().await.unwrap();
            let path = PathAndQuery::from_static("/library.Books/Find");
            let answer = client.unary(Request::new(title.to_owned()), path, Codec).await;
            match title {
                "Middlemarch" => assert_eq!(answer.unwrap().into_inner(), "found Middlemarch"),
                "nothing" => assert_eq!(answer.unwrap_err().code(), Code::NotFound),
                _ => assert_eq!(answer.unwrap_err().code(), Code::Internal),
            }
        }
        client.ready().await.unwrap();
        let path = PathAndQuery::from_static("/library.Books/List");
        let stream = client
            .server_streaming(Request::new("volume".to_owned()), path, Codec)
            .await
            .unwrap();
        let all: Vec<_> = stream.into_inner().map(Result::unwrap).collect().await;
        assert_eq!(all.len(), 3);
    });
    let spans = recorder.spans();
    let of_kind = |kind: &str| -> Vec<&Closed> {
        spans
            .iter()
            .filter(|span| span.fields["otel.kind"] == kind)
            .collect()
    };
    let (clients, servers) = (of_kind("client"), of_kind("server"));
    assert_eq!((clients.len(), servers.len()), (4, 4));
    for (client, server) in clients.iter().zip(&servers) {
        assert_eq!(
            server.parent,
            Some(client.ids.span_id),
            "metadata carries the trace"
        );
        assert_eq!(server.ids.trace_id, client.ids.trace_id);
        assert_eq!(server.name, client.name);
        assert_eq!(client.fields["server.address"], "127.0.0.1");
        assert_eq!(client.fields["network.protocol.version"], "2");
    }
    let names: Vec<_> = clients.iter().map(|span| span.name.as_str()).collect();
    assert_eq!(
        names,
        [
            "library.Books/Find",
            "library.Books/Find",
            "library.Books/Find",
            "library.Books/List"
        ]
    );
    let call = |code: &[&str]| {
        let call = [
            "rpc.system.name=grpc",
            "rpc.system=grpc",
            "rpc.service=library.Books",
            "rpc.method=library.Books/Find",
        ];
        call.iter()
            .chain(code)
            .map(ToString::to_string)
            .collect::<Vec<_>>()
    };
    let ok = call(&["rpc.response.status_code=OK", "rpc.grpc.status_code=0"]);
    assert_eq!(fields(clients[0], &RPC), ok);
    assert_eq!(fields(servers[0], &RPC), ok);
    let missing = ["rpc.response.status_code=NOT_FOUND", "rpc.grpc.status_code=5"];
    let error = ["error.type=NOT_FOUND", "otel.status_code=error"];
    assert_eq!(fields(clients[1], &RPC), call(&[missing, error].concat()));
    assert_eq!(
        fields(servers[1], &RPC),
        call(&missing),
        "NOT_FOUND is an error of the client"
    );
    let failed = call(&[
        "rpc.response.status_code=INTERNAL",
        "rpc.grpc.status_code=13",
        "error.type=INTERNAL",
        "otel.status_code=error",
    ]);
    assert_eq!(fields(clients[2], &RPC), failed);
    assert_eq!(fields(servers[2], &RPC), failed);
    recorder.assert_idle();
}
