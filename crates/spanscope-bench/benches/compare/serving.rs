//! The server over a socket: how many spans a second it stores, and how long its responses take on
//! a large store. The load generator runs in the same process, on the same cores.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, anyhow, ensure};
use axum::http::Request;
use http_body_util::{BodyExt as _, Full};
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::common::v1::{AnyValue, InstrumentationScope, KeyValue};
use opentelemetry_proto::tonic::resource::v1::Resource;
use opentelemetry_proto::tonic::trace::v1::{ResourceSpans, ScopeSpans, Span};
use prost::Message as _;
use prost::bytes::Bytes;
use spanscope_bench::sample::Sample;
use spanscope_bench::table::{Goal, Table, nanos};
use spanscope_model::{TraceStore, block_on};
use spanscope_server::Server;
use spanscope_sqlite::SqliteStore;
use tokio::runtime::Runtime;
use tokio::sync::oneshot;
use tonic::body::Body;
use tonic::transport::Endpoint;
use tonic::{Code, Status};
use tower::ServiceExt as _;

use crate::sizes::Sizes;
use crate::sustained;

/// Spans of one request, as the SDKs' batch processors send them.
pub(crate) const SPANS_A_REQUEST: usize = 512;
const SPANS_A_TRACE: usize = 8;
/// Concurrent requests.
const SENDERS: usize = 32;
/// Queries a second.
pub(crate) const RATE: u64 = 100;
/// Spans of the queried trace.
const TRACE_SPANS: usize = 200;

/// A server that runs until it is dropped.
pub(crate) struct Running {
    address: SocketAddr,
    /// `None` for a store that only reads.
    grpc: Option<SocketAddr>,
    end: Option<oneshot::Sender<()>>,
    runtime: Option<Runtime>,
}

impl Running {
    pub(crate) fn start(store: &(impl TraceStore + Clone + 'static)) -> Result<Self> {
        let runtime = Runtime::new()?;
        let writes = store.capabilities().writes;
        let server = Server::builder(Arc::new(store.clone())).build();
        let any_port = "127.0.0.1:0".parse()?;
        let mut server = runtime.block_on(server.bind(any_port))?;
        let grpc = match writes {
            true => Some(runtime.block_on(server.listen_grpc(any_port))?),
            false => None,
        };
        let address = server.address();
        let (end, ended) = oneshot::channel();
        runtime.spawn(async move {
            let _ = server.run(async { drop(ended.await) }).await;
        });
        Ok(Self {
            address,
            grpc,
            end: Some(end),
            runtime: Some(runtime),
        })
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    pub(crate) fn client(&self) -> Result<Client> {
        Client::new(self.address)
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        drop(self.end.take());
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_timeout(Duration::from_secs(5));
        }
    }
}

/// A connection that stays open.
pub(crate) struct Client {
    reader: BufReader<TcpStream>,
    host: SocketAddr,
}

impl Client {
    fn new(address: SocketAddr) -> Result<Self> {
        let stream = TcpStream::connect(address)?;
        stream.set_nodelay(true)?;
        Ok(Self {
            reader: BufReader::new(stream),
            host: address,
        })
    }

    /// Posts a body and returns the length of the response; any status but 200 is an error.
    pub(crate) fn post(&mut self, path: &str, kind: &str, body: &[u8]) -> Result<usize> {
        let head = format!(
            "POST {path} HTTP/1.1\r\nhost: {}\r\ncontent-type: {kind}\r\ncontent-length: {}\r\n\r\n",
            self.host,
            body.len()
        );
        let mut request = head.into_bytes();
        request.extend_from_slice(body);
        self.ask(&request)
    }

    /// Posts a query; `false` if it took longer than the server allows (503).
    pub(crate) fn post_long(&mut self, path: &str, body: &str) -> Result<bool> {
        let request = format!(
            "POST {path} HTTP/1.1\r\nhost: {}\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n{body}",
            self.host,
            body.len()
        );
        let (status, answer) = self.answer(request.as_bytes())?;
        ensure!(
            status.contains(" 200 ") || status.contains(" 503 "),
            "{status}: {}",
            String::from_utf8_lossy(&answer)
        );
        Ok(status.contains(" 200 "))
    }

    /// Sends a GET; any status but 200 is an error.
    pub(crate) fn get(&mut self, path: &str) -> Result<usize> {
        self.ask(format!("GET {path} HTTP/1.1\r\nhost: {}\r\n\r\n", self.host).as_bytes())
    }

    fn ask(&mut self, request: &[u8]) -> Result<usize> {
        let (status, answer) = self.answer(request)?;
        ensure!(
            status.contains(" 200 "),
            "{status}: {}",
            String::from_utf8_lossy(&answer)
        );
        Ok(answer.len())
    }

    /// Sends a request, and returns the line of its status and its body.
    fn answer(&mut self, request: &[u8]) -> Result<(String, Vec<u8>)> {
        self.reader.get_mut().write_all(request)?;
        let mut status = String::new();
        self.reader.read_line(&mut status)?;
        let mut length = 0;
        loop {
            let mut line = String::new();
            self.reader.read_line(&mut line)?;
            if line.trim().is_empty() {
                break;
            }
            if let Some(value) = line.to_ascii_lowercase().strip_prefix("content-length:") {
                length = value.trim().parse()?;
            }
        }
        let mut answer = vec![0; length];
        self.reader.read_exact(&mut answer)?;
        Ok((status, answer))
    }
}

/// Sends a request in protobuf, and returns when it is acknowledged.
type Send = Box<dyn FnMut(Vec<u8>) -> Result<()>>;

/// A sender over HTTP, with a connection that stays open.
fn by_http(server: &Running) -> Result<Send> {
    let mut client = server.client()?;
    Ok(Box::new(move |body| {
        client
            .post("/v1/traces", "application/x-protobuf", &body)
            .map(drop)
    }))
}

/// A sender over gRPC, with a connection that stays open.
fn by_grpc(server: &Running) -> Result<Send> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    let address = server.grpc.context("the store only reads")?;
    let endpoint = Endpoint::from_shared(format!("http://{address}"))?;
    let channel = runtime.block_on(endpoint.connect())?;
    Ok(Box::new(move |body| {
        runtime.block_on(async {
            let request = Request::post(EXPORT)
                .header("content-type", "application/grpc")
                .header("te", "trailers")
                .body(Body::new(Full::new(framed(&body)?)))?;
            let (head, answer) = channel.clone().oneshot(request).await?.into_parts();
            let answer = answer.collect().await?;
            let status = Status::from_header_map(&head.headers)
                .or_else(|| Status::from_header_map(answer.trailers()?))
                .ok_or_else(|| anyhow!("a call was answered without a status"))?;
            ensure!(status.code() == Code::Ok, "{status}");
            Ok(())
        })
    }))
}

const EXPORT: &str = "/opentelemetry.proto.collector.trace.v1.TraceService/Export";

/// A message with its five-byte prefix: not compressed, and its length.
fn framed(message: &[u8]) -> Result<Bytes> {
    let length = u32::try_from(message.len())?.to_be_bytes();
    Ok([&[0][..], &length, message].concat().into())
}

/// How many spans were stored in a second, and in all, and how many bytes each of them took.
struct Received {
    rate: f64,
    sent: usize,
    span_bytes: u64,
}

/// Sends spans to a server over a new file.
#[expect(clippy::cast_precision_loss, reason = "counts of spans are small")]
fn received(file: &Path, sizes: &Sizes, connect: fn(&Running) -> Result<Send>) -> Result<Received> {
    let store = SqliteStore::builder().max_bytes(4 << 30).open(file)?;
    let server = &Running::start(&store)?;
    let requests = sizes.received_requests.div_ceil(SENDERS);
    let start = Instant::now();
    std::thread::scope(|scope| {
        let senders: Vec<_> = (0..SENDERS)
            .map(|sender| {
                scope.spawn(move || -> Result<()> {
                    let mut send = connect(server)?;
                    let mut request = request(SPANS_A_REQUEST);
                    for number in 0..requests {
                        name_spans(&mut request, (sender * requests + number) as u64 + 1);
                        send(request.encode_to_vec())?;
                    }
                    Ok(())
                })
            })
            .collect();
        senders
            .into_iter()
            .try_for_each(|sender| sender.join().map_err(|_| anyhow!("a sender panicked"))?)
    })?;
    let took = start.elapsed().as_secs_f64();
    let sent = requests * SENDERS * SPANS_A_REQUEST;
    let stats = block_on(store.statistics())?;
    ensure!(stats.spans == sent as u64, "{} of {sent} are stored", stats.spans);
    Ok(Received {
        rate: sent as f64 / took,
        sent,
        span_bytes: stats.file.map_or(0, |file| file.bytes) / stats.spans,
    })
}

/// Sends spans over HTTP and over gRPC, and adds to the table how many of them were stored in a
/// second.
pub(crate) fn receive(table: &mut Table, folder: &Path, sizes: &Sizes) -> Result<()> {
    let http = received(&folder.join("received.db"), sizes, by_http)?;
    let grpc = received(&folder.join("received_grpc.db"), sizes, by_grpc)?;
    table.judged(
        &format!("OTLP in: spans a second, acknowledged when committed ({SPANS_A_REQUEST} a request, protobuf, {SENDERS} senders)"),
        format!("{:.0}", http.rate),
        format!("{} sent, all stored, {} B a span", http.sent, http.span_bytes),
        http.rate,
        Goal::AtLeast(60_000.0),
        ">= 60,000",
    );
    let ratio = grpc.rate / http.rate;
    table.judged(
        "the same over gRPC",
        format!("{:.0}", grpc.rate),
        format!("{ratio:.2} x HTTP ({:.0})", http.rate),
        ratio,
        Goal::AtLeast(0.8),
        ">= 0.8 x HTTP",
    );
    Ok(())
}

/// Sends a query at the [rate](RATE), and returns how long its responses took and the length of the
/// last one. Times count from when a query was due, so that one slow response does not hide the
/// delay of the others.
pub(crate) fn steady(questions: usize, mut ask: impl FnMut() -> Result<usize>) -> Result<(Sample, usize)> {
    let mut took = Vec::new();
    let mut length = 0;
    let begin = Instant::now();
    for number in 0..questions {
        let at = begin + Duration::from_millis(1000 / RATE) * u32::try_from(number)?;
        std::thread::sleep(at.saturating_duration_since(Instant::now()));
        length = ask()?;
        took.push(at.elapsed().as_secs_f64() * 1e9);
    }
    Ok((Sample::new(took), length))
}

/// Sends queries about the file of the sustained run at a steady rate, and adds to the table how
/// long the slowest took.
pub(crate) fn answer(table: &mut Table, folder: &Path, sizes: &Sizes) -> Result<()> {
    let store = SqliteStore::builder()
        .max_bytes(4 << 30)
        .open(sustained::file(folder))?;
    let server = Running::start(&store)?;
    let mut client = Client::new(server.address)?;
    let mut large = request(TRACE_SPANS);
    name_spans(&mut large, u64::MAX >> 8);
    let root = large.resource_spans[0].scope_spans[0].spans[0].clone();
    for span in &mut large.resource_spans[0].scope_spans[0].spans[1..] {
        span.trace_id.clone_from(&root.trace_id);
        span.parent_span_id.clone_from(&root.span_id);
    }
    client.post("/v1/traces", "application/x-protobuf", &large.encode_to_vec())?;
    let spans = block_on(store.statistics())?.spans;
    let root: String = root.span_id.iter().map(|byte| format!("{byte:02x}")).collect();
    let tree = format!("/v1/telemetry/spans/{root}/tree");
    for (what, path) in [
        ("the newest 100 traces", "/v1/telemetry/traces"),
        ("a trace of 200 spans", tree.as_str()),
    ] {
        let (sample, length) = steady(sizes.served_questions, || {
            client.post(path, "application/json", b"{}")
        })?;
        let p99 = sample.quantile(0.99);
        table.judged(
            &format!("{spans} spans stored, {RATE} requests a second: {what} over HTTP, p99 ({length} B)"),
            nanos(p99),
            format!("median {}", nanos(sample.median())),
            p99 / 1e6,
            Goal::AtMost(10.0),
            "<= 10 ms",
        );
    }
    Ok(())
}

fn text(key: &str, value: &str) -> KeyValue {
    attribute(key, Value::StringValue(value.to_owned()))
}

fn attribute(key: &str, value: Value) -> KeyValue {
    KeyValue {
        key: key.to_owned(),
        value: Some(AnyValue { value: Some(value) }),
        ..KeyValue::default()
    }
}

/// Spans as an instrumented model server sends them, in traces of a few; ids are missing. As in the
/// other sections, the root of a trace names its session, a key that the store indexes by default.
pub(crate) fn request(spans: usize) -> ExportTraceServiceRequest {
    let names = [
        "POST /v1/chat",
        "agent turn",
        "retrieve",
        "chat",
        "tool call",
        "SELECT",
        "embed",
        "render",
    ];
    let spans = (0..spans).map(|number| {
        let mut attributes = vec![
            text("http.route", "/v1/chat/{conversation}"),
            text("server.address", "model-07.internal.example.org"),
            attribute("http.response.status_code", Value::IntValue(200)),
            attribute("duration.queue", Value::DoubleValue(0.25)),
            attribute("cache.hit", Value::BoolValue(number % 3 == 0)),
            text("document", &format!("doc-{number:05}")),
        ];
        if number % SPANS_A_TRACE == 0 {
            attributes.push(text("session.id", &format!("session-{:05}", number % 1000)));
            attributes.push(text("user.id", &format!("user-{:03}", number % 100)));
        }
        Span {
            name: names[number % names.len()].to_owned(),
            kind: i32::try_from(number % 5).unwrap_or(0) + 1,
            attributes,
            ..Span::default()
        }
    });
    ExportTraceServiceRequest {
        resource_spans: vec![ResourceSpans {
            resource: Some(Resource {
                attributes: vec![text("service.name", "bench"), text("host.name", "here")],
                ..Resource::default()
            }),
            scope_spans: vec![ScopeSpans {
                scope: Some(InstrumentationScope {
                    name: "bench.tracer".to_owned(),
                    version: "1.0".to_owned(),
                    ..InstrumentationScope::default()
                }),
                spans: spans.collect(),
                ..ScopeSpans::default()
            }],
            ..ResourceSpans::default()
        }],
    }
}

/// Sets ids and times that no other request has. Span ids are spread, as those of SDKs are.
pub(crate) fn name_spans(request: &mut ExportTraceServiceRequest, number: u64) {
    let now = std::time::UNIX_EPOCH.elapsed().unwrap_or_default();
    let now = u64::try_from(now.as_nanos()).unwrap_or(u64::MAX);
    let spans = &mut request.resource_spans[0].scope_spans[0].spans;
    let mut root = Vec::new();
    for (place, span) in spans.iter_mut().enumerate() {
        let trace = (number << 16) + (place / SPANS_A_TRACE) as u64;
        let id = (number << 16) + place as u64;
        let spread = |id: u64| id.wrapping_mul(0x9e37_79b9_7f4a_7c15).to_be_bytes();
        span.trace_id = [spread(trace), spread(!trace)].concat();
        span.span_id = spread(id).to_vec();
        if place % SPANS_A_TRACE == 0 {
            span.parent_span_id = Vec::new();
            root.clone_from(&span.span_id);
        } else {
            span.parent_span_id.clone_from(&root);
        }
        span.start_time_unix_nano = now - 1_000_000 + place as u64;
        span.end_time_unix_nano = now;
    }
}
