//! OTLP over gRPC, called by tonic: stored records and responses are the same as with OTLP over
//! HTTP.

use std::io::Write as _;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::http::Request;
use http_body_util::{BodyExt as _, Full};
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceResponse;
use prost::Message as _;
use prost::bytes::Bytes;
use spanscope_model::StoreErrorKind;
use spanscope_server::AuthMode::Local;
use spanscope_server::Limits;
use spanscope_sqlite::SqliteStore;
use spanscope_tests::{PATIENCE, wait_for};
use tonic::body::Body;
use tonic::transport::{Channel, Endpoint};
use tonic::{Code, Status};
use tonic_types::StatusExt as _;
use tower::ServiceExt as _;

use crate::otlp::{
    PROTOBUF, SIGNALS, TRACES, gzip, rejected, send, span, text, traces, traces_of, zlib, zstd_of,
};
use crate::running::{ACME, ADMIN, Held, OTHER, Open, Running, open, open_with, tokens};
use crate::stores::Failing;
use crate::wire::{Ask, Connection};

const EXPORT: &str = "/opentelemetry.proto.collector.trace.v1.TraceService/Export";
const EXPORTS: [&str; 3] = [
    EXPORT,
    "/opentelemetry.proto.collector.metrics.v1.MetricsService/Export",
    "/opentelemetry.proto.collector.logs.v1.LogsService/Export",
];

/// A compression: its name, and its function.
type Compression = (&'static str, fn(&[u8]) -> Vec<u8>);

const COMPRESSIONS: [Option<Compression>; 4] = [
    None,
    Some(("gzip", gzip)),
    Some(("deflate", zlib)),
    Some(("zstd", zstd_of)),
];

/// A client with one connection. It calls by `tonic` with framed messages: its own codecs do not
/// support all encodings that are accepted here.
struct Client {
    runtime: tokio::runtime::Runtime,
    channel: Channel,
    token: Option<&'static str>,
    compression: Option<Compression>,
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
            compression: None,
        }
    }

    /// A call that runs when it is polled.
    fn begin(&self, path: &str, message: &[u8]) -> impl Future<Output = Result<Bytes, Status>> + use<> {
        let mut request = Request::post(path)
            .header("content-type", "application/grpc")
            .header("te", "trailers");
        if let Some(token) = self.token {
            request = request.header("authorization", format!("Bearer {token}"));
        }
        let message = match self.compression {
            None => frame(0, message),
            Some((name, pack)) => {
                request = request.header("grpc-encoding", name);
                frame(1, &pack(message))
            }
        };
        let request = request.body(Body::new(Full::new(message))).unwrap();
        let channel = self.channel.clone();
        async move {
            let answer = channel.oneshot(request).await;
            let answer = answer.map_err(|error| Status::from_error(Box::new(error)))?;
            let (head, body) = answer.into_parts();
            let body = body.collect().await?;
            let status = Status::from_header_map(&head.headers)
                .or_else(|| Status::from_header_map(body.trailers()?))
                .expect("a status");
            match status.code() {
                Code::Ok => Ok(body.to_bytes().split_off(FRAME)),
                _ => Err(status),
            }
        }
    }

    fn call(&self, path: &str, message: &[u8]) -> Result<Bytes, Status> {
        self.runtime.block_on(self.begin(path, message))
    }

    fn refused(&self, path: &str, message: &[u8]) -> Status {
        self.call(path, message).unwrap_err()
    }
}

/// The bytes before a message: whether it is compressed, and its length.
const FRAME: usize = 5;

fn frame(flag: u8, message: &[u8]) -> Bytes {
    let length = u32::try_from(message.len()).unwrap().to_be_bytes();
    [&[flag][..], &length, message].concat().into()
}

/// Sends a body over HTTP, and the same as a message over gRPC, each to a separate server.
fn both_ways(body: &[u8], compression: Option<Compression>) -> [(Vec<u8>, Open); 2] {
    let by_http = open();
    let ask = match compression {
        None => Ask::post(TRACES, PROTOBUF, body),
        Some((name, pack)) => Ask::post(TRACES, PROTOBUF, pack(body)).header("Content-Encoding", name),
    };
    let answer = ask.to(by_http.address);
    assert_eq!(answer.status, 200, "{answer:?}");
    let by_grpc = open();
    let mut client = Client::of(by_grpc.server.grpc);
    client.compression = compression;
    let message = client.call(EXPORT, body).unwrap();
    [(answer.body, by_http), (message.to_vec(), by_grpc)]
}

#[test]
fn a_call_has_the_same_result_as_the_same_body_over_http() {
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
        for compression in COMPRESSIONS {
            let [(by_http, http), (by_grpc, grpc)] = both_ways(&body, compression);
            assert_eq!(by_grpc, by_http);
            assert_eq!(grpc.counts(), http.counts());
            assert_eq!(grpc.span_names(), http.span_names());
        }
    }
    let [_, (message, grpc)] = both_ways(&partly.encode_to_vec(), None);
    let answer = ExportTraceServiceResponse::decode(&*message).unwrap();
    assert_eq!(answer.partial_success.unwrap().rejected_spans, 1);
    // A repetition is recognized over either protocol.
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
fn tokens_determine_the_tenant_of_a_call_and_a_call_without_one_is_unauthenticated() {
    let open = open_with(tokens(), Limits::default());
    let body = traces(vec![span("mine")]).encode_to_vec();
    let mut client = Client::of(open.server.grpc);
    for wrong in [None, Some("unknown-token-0000001")] {
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
    let limits = Limits::default().body_bytes(100_000).decompressed_bytes(100_000);
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
    for compression in COMPRESSIONS {
        client.compression = compression;
        // Sixty times as much, of a few kilobytes.
        for size in [100_001, 6_000_000] {
            let status = client.refused(EXPORT, &of_size(size));
            assert_eq!(status.code(), Code::InvalidArgument);
            assert!(status.message().contains("100000 bytes"), "{status:?}");
            assert!(status.get_details_retry_info().is_none());
        }
    }
    // A frame of zstd with a larger window than a decoder must support.
    client.compression = Some(("zstd", |_| {
        vec![0x28, 0xb5, 0x2f, 0xfd, 0x00, 17 << 3, 0x01, 0x00, 0x00]
    }));
    let status = client.refused(EXPORT, &[]);
    assert_eq!(status.code(), Code::InvalidArgument);
    assert!(status.message().contains("8388608"), "{status:?}");
    // An incomplete one, and an unsupported one.
    let cut: fn(&[u8]) -> Vec<u8> = |message| zlib(message)[..20].to_vec();
    for (compression, code) in [
        (("deflate", cut), Code::InvalidArgument),
        (("snappy", gzip as fn(&[u8]) -> Vec<u8>), Code::Unimplemented),
    ] {
        client.compression = Some(compression);
        let status = client.refused(EXPORT, &of_size(1_000));
        assert_eq!(status.code(), code, "{status:?}");
    }
    client.compression = None;
    // The connection continues.
    assert_eq!(client.call(EXPORT, &[]).unwrap(), Bytes::new());
}

#[test]
fn an_error_of_the_store_says_when_to_retry() {
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
fn a_store_that_only_reads_refuses_every_call_for_good() {
    let written = open();
    let reading = SqliteStore::open(written.store.path()).unwrap();
    let server = Running::of(Arc::new(reading), Local, Limits::default());
    for call in EXPORTS {
        let status = Client::of(server.grpc).refused(call, b"not decoded");
        assert_eq!(status.code(), Code::Unimplemented, "{status:?}");
        assert!(status.message().contains("opened for reading"), "{status:?}");
        assert!(status.get_details_retry_info().is_none());
    }
}

#[test]
fn calls_and_requests_share_one_memory_limit() {
    let limits = Limits::default().buffered_bytes(300_000);
    let held = Held::open(StoreErrorKind::Unavailable, limits);
    let large = traces_of(vec![text("filler", &"x".repeat(200_000))], vec![span("a")]);
    let mut by_http = Connection::open(held.address);
    by_http.send(&send(&large).bytes());
    held.wait_for_queries(1);
    let status = Client::of(held.server.grpc).refused(EXPORT, &large.encode_to_vec());
    assert_eq!(status.code(), Code::ResourceExhausted, "{status:?}");
    assert!(status.get_details_retry_info().is_some());
    held.release();
    assert_eq!(by_http.answer().status, 503);
}

#[test]
fn a_client_on_the_wrong_port_is_pointed_to_the_right_one() {
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
    // A call over HTTP/1, as some proxies send it.
    let answer = Ask::post(EXPORT, "application/grpc", vec![0; 5]).to(http);
    assert_eq!(answer.header("grpc-status"), Some("12"), "{answer:?}");
    // A request that is not a gRPC call, to the path of one.
    let answer = Ask::post(EXPORT, PROTOBUF, "").to(http);
    assert_eq!(
        (answer.status, answer.code().as_str()),
        (415, "unsupported_media_type")
    );
}

#[test]
fn an_http_2_client_that_sends_no_request_is_disconnected() {
    let limits = Limits::default().head_time(Duration::from_millis(200));
    let open = open_with(Local, limits);
    for address in [open.address, open.server.grpc] {
        for begin in [&b""[..], b"PRI", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"] {
            let mut connection = Connection::open(address);
            connection.stream.write_all(begin).unwrap();
            // SETTINGS may come before.
            wait_for("the server to hang up", || {
                let mut piece = [0; 1024];
                matches!(
                    std::io::Read::read(&mut connection.stream, &mut piece),
                    Ok(0) | Err(_)
                )
                .then_some(())
            });
        }
        // A client that was idle for longer gets a response on a new connection.
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

/// A stream that its client resets, and a connection that it closes.
#[test]
fn a_call_of_a_disconnected_client_frees_its_memory_before_the_store_responds() {
    let limits = Limits::default().buffered_bytes(300_000);
    let large = traces_of(vec![text("filler", &"x".repeat(200_000))], vec![span("a")]).encode_to_vec();
    for closes_connection in [false, true] {
        let held = Held::open(StoreErrorKind::Unavailable, limits);
        let client = Client::of(held.server.grpc);
        let call = client.runtime.spawn(client.begin(EXPORT, &large));
        held.wait_for_queries(1);
        let other = Client::of(held.server.grpc);
        let status = other.refused(EXPORT, &large);
        assert_eq!(status.code(), Code::ResourceExhausted, "{status:?}");
        if closes_connection {
            client.runtime.shutdown_background();
        } else {
            call.abort();
        }
        // Another one has room, and waits for the store in turn.
        std::thread::scope(|scope| {
            let waits = scope.spawn(|| {
                wait_for("room for another call", || {
                    let status = other.refused(EXPORT, &large);
                    (status.code() != Code::ResourceExhausted).then_some(status)
                })
            });
            held.wait_for_queries(2);
            held.release();
            assert_eq!(waits.join().unwrap().code(), Code::Unavailable);
        });
    }
}

#[test]
fn a_shutdown_waits_for_calls_in_progress() {
    let mut held = Held::open(StoreErrorKind::Unavailable, Limits::default());
    let client = Client::of(held.server.grpc);
    std::thread::scope(|scope| {
        let call = scope.spawn(|| client.refused(EXPORT, &traces(vec![span("a")]).encode_to_vec()));
        held.wait_for_queries(1);
        held.server.begin_shutdown();
        held.release();
        assert_eq!(call.join().unwrap().code(), Code::Unavailable);
    });
    assert!(held.server.ended());
}
