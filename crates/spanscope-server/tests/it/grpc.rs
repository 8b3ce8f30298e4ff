//! OTLP over gRPC, called by tonic: what is stored and answered is what OTLP over HTTP stores and answers.

use std::io::Write as _;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceResponse;
use prost::Message as _;
use prost::bytes::{Buf as _, BufMut as _, Bytes};
use spanscope_model::StoreErrorKind;
use spanscope_server::AuthMode::Local;
use spanscope_server::Limits;
use spanscope_tests::{PATIENCE, wait_for};
use tonic::codec::{Codec, CompressionEncoding, DecodeBuf, Decoder, EncodeBuf, Encoder};
use tonic::metadata::MetadataMap;
use tonic::transport::{Channel, Endpoint};
use tonic::{Code, Status};
use tonic_types::StatusExt as _;

use crate::otlp::{PROTOBUF, SIGNALS, TRACES, gzip, rejected, send, span, text, traces, traces_of};
use crate::running::{ACME, ADMIN, Held, OTHER, Open, Running, open, open_with, tokens};
use crate::stores::Failing;
use crate::wire::{Ask, Connection};

const EXPORT: &str = "/opentelemetry.proto.collector.trace.v1.TraceService/Export";
const EXPORTS: [&str; 3] = [
    EXPORT,
    "/opentelemetry.proto.collector.metrics.v1.MetricsService/Export",
    "/opentelemetry.proto.collector.logs.v1.LogsService/Export",
];

/// Messages as the bytes that they are.
#[derive(Debug, Clone, Copy, Default)]
struct Bare;

impl Codec for Bare {
    type Encode = Bytes;
    type Decode = Bytes;
    type Encoder = Self;
    type Decoder = Self;

    fn encoder(&mut self) -> Self {
        Self
    }

    fn decoder(&mut self) -> Self {
        Self
    }
}

impl Encoder for Bare {
    type Item = Bytes;
    type Error = Status;

    fn encode(&mut self, message: Bytes, to: &mut EncodeBuf<'_>) -> Result<(), Status> {
        to.put(message);
        Ok(())
    }
}

impl Decoder for Bare {
    type Item = Bytes;
    type Error = Status;

    fn decode(&mut self, from: &mut DecodeBuf<'_>) -> Result<Option<Bytes>, Status> {
        Ok(Some(from.copy_to_bytes(from.remaining())))
    }
}

/// A client with one connection.
struct Client {
    runtime: tokio::runtime::Runtime,
    channel: Channel,
    token: Option<&'static str>,
    packs: bool,
}

impl Client {
    fn of(address: SocketAddr) -> Self {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()
            .unwrap();
        let channel = {
            let _entered = runtime.enter();
            let endpoint = Endpoint::from_shared(format!("http://{address}")).unwrap();
            endpoint.timeout(PATIENCE).connect_lazy()
        };
        Self {
            runtime,
            channel,
            token: None,
            packs: false,
        }
    }

    fn call(&self, path: &'static str, message: &[u8]) -> Result<Bytes, Status> {
        let mut headers = MetadataMap::new();
        if let Some(token) = self.token {
            headers.insert("authorization", format!("Bearer {token}").parse().unwrap());
        }
        let message = Bytes::copy_from_slice(message);
        let request = tonic::Request::from_parts(headers, tonic::Extensions::new(), message);
        self.runtime.block_on(async {
            let mut client = tonic::client::Grpc::new(self.channel.clone());
            if self.packs {
                client = client.send_compressed(CompressionEncoding::Gzip);
            }
            client.ready().await.unwrap();
            let path = tonic::codegen::http::uri::PathAndQuery::from_static(path);
            client
                .unary(request, path, Bare)
                .await
                .map(tonic::Response::into_inner)
        })
    }

    fn refused(&self, path: &'static str, message: &[u8]) -> Status {
        self.call(path, message).unwrap_err()
    }
}

/// A body over HTTP, and the same as a message over gRPC, each to a server of its own.
fn both_ways(body: &[u8], packs: bool) -> [(Vec<u8>, Open); 2] {
    let by_http = open();
    let mut ask = Ask::post(TRACES, PROTOBUF, body);
    if packs {
        ask = Ask::post(TRACES, PROTOBUF, gzip(body)).header("Content-Encoding", "gzip");
    }
    let answer = ask.to(by_http.address);
    assert_eq!(answer.status, 200, "{answer:?}");
    let by_grpc = open();
    let mut client = Client::of(by_grpc.server.grpc);
    client.packs = packs;
    let message = client.call(EXPORT, body).unwrap();
    [(answer.body, by_http), (message.to_vec(), by_grpc)]
}

#[test]
fn a_call_is_stored_and_answered_as_the_same_body_over_http() {
    let good = traces(vec![span("one"), span("two")]);
    let mut without_id = span("three");
    without_id.span_id.clear();
    let partly = traces(vec![span("one"), without_id]);
    let large = traces_of(vec![text("filler", &"x".repeat(2 << 20))], vec![span("large")]);
    let mut no_utf_8 = traces_of(vec![], vec![span("caf@")]).encode_to_vec();
    let at = no_utf_8.iter().position(|byte| *byte == b'@').unwrap();
    no_utf_8[at] = 0xe9;
    for body in [
        Vec::new(),
        good.encode_to_vec(),
        partly.encode_to_vec(),
        large.encode_to_vec(),
        no_utf_8,
    ] {
        for packs in [false, true] {
            let [(by_http, http), (by_grpc, grpc)] = both_ways(&body, packs);
            assert_eq!(by_grpc, by_http);
            assert_eq!(grpc.counts(), http.counts());
            assert_eq!(grpc.span_names(), http.span_names());
        }
    }
    let [_, (message, grpc)] = both_ways(&partly.encode_to_vec(), false);
    let answer = ExportTraceServiceResponse::decode(&*message).unwrap();
    assert_eq!(answer.partial_success.unwrap().rejected_spans, 1);
    // What is sent again is known, whichever way it comes.
    assert_eq!(rejected(&send(&partly).to(grpc.address)).0, 1);
    assert_eq!(grpc.counts().0, 1);
}

#[test]
fn every_signal_has_its_service_and_other_calls_are_unknown() {
    let open = open();
    let client = Client::of(open.server.grpc);
    for export in EXPORTS {
        assert_eq!(client.call(export, &[]).unwrap(), Bytes::new(), "{export}");
    }
    for other in [
        "/opentelemetry.proto.collector.profiles.v1development.ProfilesService/Export",
        "/v1/traces",
        "/health",
    ] {
        let status = client.refused(other, &[]);
        assert_eq!(status.code(), Code::Unimplemented, "{other}: {status:?}");
    }
}

#[test]
fn tokens_say_whose_a_call_is_and_a_call_without_one_is_unauthenticated() {
    let open = open_with(tokens(), Limits::default());
    let body = traces(vec![span("mine")]).encode_to_vec();
    let mut client = Client::of(open.server.grpc);
    for wrong in [None, Some("token-of-nobody-00001")] {
        client.token = wrong;
        for export in EXPORTS {
            let status = client.refused(export, &body);
            assert_eq!(status.code(), Code::Unauthenticated);
            assert!(status.message().contains("authorization"), "{status:?}");
        }
    }
    assert_eq!(open.counts().0, 0);
    for token in [ACME, OTHER, ADMIN] {
        client.token = Some(token);
        client.call(EXPORT, &body).unwrap();
    }
    assert_eq!((open.counts_of("acme").0, open.counts_of("other").0), (1, 1));
}

#[test]
fn a_message_that_can_not_be_read_or_is_too_large_is_an_invalid_argument() {
    let limits = Limits::default().body_bytes(100_000).unpacked_bytes(100_000);
    let open = open_with(Local, limits);
    let mut client = Client::of(open.server.grpc);
    let status = client.refused(EXPORT, b"no protobuf");
    assert_eq!(status.code(), Code::InvalidArgument);
    assert!(
        status.message().contains("ExportTraceServiceRequest"),
        "{status:?}"
    );

    let of_size = |size| traces_of(vec![text("filler", &"x".repeat(size))], vec![]).encode_to_vec();
    client.call(EXPORT, &of_size(99_900)).unwrap();
    for packs in [false, true] {
        client.packs = packs;
        let status = client.refused(EXPORT, &of_size(100_001));
        assert_eq!(status.code(), Code::InvalidArgument);
        assert!(status.message().contains("100000 bytes"), "{status:?}");
        assert!(status.get_details_retry_info().is_none());
    }
    // The connection goes on.
    assert_eq!(client.call(EXPORT, &[]).unwrap(), Bytes::new());
}

#[test]
fn a_store_that_can_not_take_it_says_when_to_come_again() {
    for (kind, code, again) in [
        (StoreErrorKind::Overloaded, Code::ResourceExhausted, true),
        (StoreErrorKind::Unavailable, Code::Unavailable, true),
        (StoreErrorKind::Unusable, Code::Internal, false),
        (StoreErrorKind::Unsupported, Code::Unimplemented, false),
        (StoreErrorKind::InvalidInput, Code::InvalidArgument, false),
    ] {
        let server = Running::of(Arc::new(Failing::new(kind)), Local, Limits::default());
        let body = traces(vec![span("lost")]).encode_to_vec();
        let status = Client::of(server.grpc).refused(EXPORT, &body);
        assert_eq!(status.code(), code, "{status:?}");
        let retry = status.get_details_retry_info();
        let delay = retry.and_then(|retry| retry.retry_delay);
        assert_eq!(delay, again.then_some(Duration::from_secs(1)), "{status:?}");
        assert!(!status.message().contains("fire"), "{status:?}");
    }
}

#[test]
fn what_is_held_of_calls_and_requests_has_one_limit() {
    let limits = Limits::default().held_bytes(300_000);
    let held = Held::open(StoreErrorKind::Unavailable, limits);
    let large = traces_of(vec![text("filler", &"x".repeat(200_000))], vec![span("a")]);
    let mut by_http = Connection::open(held.address);
    by_http.send(&send(&large).bytes());
    held.wait_until_asked(1);
    let status = Client::of(held.server.grpc).refused(EXPORT, &large.encode_to_vec());
    assert_eq!(status.code(), Code::ResourceExhausted, "{status:?}");
    assert!(status.get_details_retry_info().is_some());
    held.let_go();
    assert_eq!(by_http.answer().status, 503);
}

#[test]
fn who_comes_to_the_other_port_is_told_the_right_one() {
    let open = open();
    let (http, grpc) = (open.address, open.server.grpc);
    let status = Client::of(http).refused(EXPORT, &[]);
    assert_eq!(status.code(), Code::Unimplemented);
    for word in [&grpc.to_string(), "OTEL_EXPORTER_OTLP_PROTOCOL"] {
        assert!(status.message().contains(word), "{status:?}");
    }
    for path in SIGNALS {
        let answer = Ask::post(path, PROTOBUF, "").to(grpc);
        assert_eq!((answer.status, answer.code().as_str()), (400, "wrong_port"));
        assert!(answer.message().contains(&http.to_string()), "{answer:?}");
    }
    assert_eq!(Ask::get("/health").to(grpc).status, 400);
    // A call over HTTP/1, as some proxies make of it.
    let answer = Ask::post(EXPORT, "application/grpc", vec![0; 5]).to(http);
    assert_eq!(answer.header("grpc-status"), Some("12"), "{answer:?}");
    // And no call at all under the path of one.
    let answer = Ask::post(EXPORT, PROTOBUF, "").to(http);
    assert_eq!(
        (answer.status, answer.code().as_str()),
        (415, "unsupported_media_type")
    );
}

#[test]
fn a_client_of_http_2_that_begins_nothing_is_hung_up_on() {
    let limits = Limits::default().head_time(Duration::from_millis(200));
    let open = open_with(Local, limits);
    for address in [open.address, open.server.grpc] {
        for begin in [&b""[..], b"PRI", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"] {
            let mut connection = Connection::open(address);
            connection.stream.write_all(begin).unwrap();
            // A greeting may come before.
            wait_for("the server to hang up", || {
                let mut piece = [0; 1024];
                matches!(
                    std::io::Read::read(&mut connection.stream, &mut piece),
                    Ok(0) | Err(_)
                )
                .then_some(())
            });
        }
        // A client that rested longer is answered on a connection that it makes anew.
        let client = Client::of(open.server.grpc);
        client.call(EXPORT, &[]).unwrap();
        std::thread::scope(|scope| {
            scope.spawn(|| {
                let mut idle = Connection::open(open.server.grpc);
                assert!(idle.is_ended());
            });
        });
        client.call(EXPORT, &[]).unwrap();
    }
}

#[test]
fn an_end_waits_for_calls_that_have_begun() {
    let mut held = Held::open(StoreErrorKind::Unavailable, Limits::default());
    let client = Client::of(held.server.grpc);
    std::thread::scope(|scope| {
        let call = scope.spawn(|| client.refused(EXPORT, &traces(vec![span("a")]).encode_to_vec()));
        held.wait_until_asked(1);
        held.server.tell_to_end();
        held.let_go();
        assert_eq!(call.join().unwrap().code(), Code::Unavailable);
    });
    assert!(held.server.ended());
}
