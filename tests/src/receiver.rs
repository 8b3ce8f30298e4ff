//! An OTLP receiver over HTTP whose behaviour a test sets: it accepts, refuses, hangs, or sends
//! nonsense.
//!
//! It speaks just enough HTTP/1.1 for that, with a thread per connection. It keeps requests as
//! received, and decodes them with the crate that the collectors' protocol is published with.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use opentelemetry_proto::tonic::collector::logs::v1::ExportLogsServiceRequest;
use opentelemetry_proto::tonic::collector::metrics::v1::ExportMetricsServiceRequest;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::{AnyValue, KeyValue, any_value};
use opentelemetry_proto::tonic::logs::v1::LogRecord;
use opentelemetry_proto::tonic::metrics::v1::Metric;
use opentelemetry_proto::tonic::resource::v1::Resource;
use opentelemetry_proto::tonic::trace::v1::Span;
use prost::Message as _;
use serde_json::{Value as Json, json};

/// A received request.
#[derive(Debug, Clone)]
pub struct ReceivedRequest {
    /// The path.
    pub path: String,
    /// The headers, by lower-case name.
    pub headers: BTreeMap<String, String>,
    /// The body, decompressed.
    pub body: Vec<u8>,
}

/// How the receiver replies to a request.
#[derive(Debug, Clone)]
pub enum Reply {
    /// Responds 200 with an empty body, after this time.
    Accept(Duration),
    /// Responds with this status, these additional headers and this body.
    Respond(u16, Vec<(&'static str, String)>, Vec<u8>),
    /// Sends these bytes in place of a response.
    Nonsense(&'static [u8]),
    /// Reads the request and never responds.
    Hang,
    /// Closes the connection without a response.
    Close,
}

impl Reply {
    /// Accepts without a delay.
    pub const OK: Self = Self::Accept(Duration::ZERO);

    /// Responds with this status and an empty body.
    #[must_use]
    pub fn status(status: u16) -> Self {
        Self::Respond(status, Vec::new(), Vec::new())
    }
}

type Behaviour = dyn Fn(&ReceivedRequest, usize) -> Reply + Send + Sync;

/// A receiver, which listens until it is dropped.
pub struct Receiver {
    scheme: &'static str,
    address: SocketAddr,
    requests: Arc<Mutex<Vec<ReceivedRequest>>>,
    accepted: Arc<Mutex<Vec<ReceivedRequest>>>,
    stop: Arc<AtomicBool>,
    open: Arc<Mutex<Vec<TcpStream>>>,
    /// Counts connections: the thread of each has a clone.
    connected: Arc<()>,
}

impl Receiver {
    /// Starts a receiver that accepts everything.
    #[must_use]
    pub fn start() -> Self {
        Self::with(|_, _| Reply::OK)
    }

    /// Starts a receiver whose behaviour depends on the request and on the number of earlier ones.
    #[must_use]
    pub fn with(behaviour: impl Fn(&ReceivedRequest, usize) -> Reply + Send + Sync + 'static) -> Self {
        Self::at("127.0.0.1:0".parse().unwrap(), behaviour)
    }

    /// Starts a receiver at this address, such as that of an earlier receiver.
    #[must_use]
    pub fn at(
        address: SocketAddr,
        behaviour: impl Fn(&ReceivedRequest, usize) -> Reply + Send + Sync + 'static,
    ) -> Self {
        Self::listen(address, None, behaviour)
    }

    /// Starts a receiver that accepts everything over TLS, with this configuration.
    #[must_use]
    pub fn tls(tls: Arc<rustls::ServerConfig>) -> Self {
        let mut receiver = Self::listen("127.0.0.1:0".parse().unwrap(), Some(tls), |_, _| Reply::OK);
        receiver.scheme = "https";
        receiver
    }

    fn listen(
        address: SocketAddr,
        tls: Option<Arc<rustls::ServerConfig>>,
        behaviour: impl Fn(&ReceivedRequest, usize) -> Reply + Send + Sync + 'static,
    ) -> Self {
        let listener = crate::wait_for("the port", || TcpListener::bind(address).ok());
        let receiver = Self {
            scheme: "http",
            address: listener.local_addr().unwrap(),
            requests: Arc::default(),
            accepted: Arc::default(),
            stop: Arc::default(),
            open: Arc::default(),
            connected: Arc::default(),
        };
        let connected = Arc::clone(&receiver.connected);
        let (requests, accepted) = (Arc::clone(&receiver.requests), Arc::clone(&receiver.accepted));
        let (stop, open) = (Arc::clone(&receiver.stop), Arc::clone(&receiver.open));
        let behaviour: Arc<Behaviour> = Arc::new(behaviour);
        std::thread::spawn(move || {
            for connection in listener.incoming().flatten() {
                if stop.load(Ordering::SeqCst) {
                    return;
                }
                open.lock().unwrap().extend(connection.try_clone());
                let tls = tls.clone();
                let connected = Arc::clone(&connected);
                let (requests, accepted, behaviour) = (
                    Arc::clone(&requests),
                    Arc::clone(&accepted),
                    Arc::clone(&behaviour),
                );
                std::thread::spawn(move || {
                    let stream = match tls {
                        Some(tls) => {
                            let session = rustls::ServerConnection::new(tls).unwrap();
                            Stream::Tls(Box::new(rustls::StreamOwned::new(session, connection)))
                        }
                        None => Stream::Plain(connection),
                    };
                    let _ = serve(BufReader::new(stream), &requests, &accepted, &*behaviour);
                    drop(connected);
                });
            }
        });
        receiver
    }

    /// Returns its URL, without a path.
    #[must_use]
    pub fn url(&self) -> String {
        format!("{}://{}", self.scheme, self.address)
    }

    /// Returns the address at which it listens.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Waits until every connection was closed from the other side: then no request is under way.
    pub fn wait_until_disconnected(&self) {
        // The receiver has one reference, the listener another.
        crate::wait_for("the connections to close", || {
            (Arc::strong_count(&self.connected) <= 2).then_some(())
        });
    }

    /// Returns all requests so far, accepted or not.
    #[must_use]
    pub fn requests(&self) -> Vec<ReceivedRequest> {
        self.requests.lock().unwrap().clone()
    }

    /// Returns all accepted requests.
    #[must_use]
    pub fn accepted(&self) -> Vec<ReceivedRequest> {
        self.accepted.lock().unwrap().clone()
    }

    /// Returns the spans of all accepted requests.
    #[must_use]
    pub fn spans(&self) -> Vec<Sent<Span>> {
        self.accepted().iter().flat_map(spans_in).collect()
    }

    /// Returns the log records of all accepted requests.
    #[must_use]
    pub fn logs(&self) -> Vec<Sent<LogRecord>> {
        self.accepted().iter().flat_map(logs_in).collect()
    }

    /// Returns the metrics of all accepted requests, each export separately.
    #[must_use]
    pub fn metrics(&self) -> Vec<Sent<Metric>> {
        self.accepted().iter().flat_map(metrics_in).collect()
    }
}

impl Drop for Receiver {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::SeqCst);
        // Wakes the listener and cuts every open connection, as a killed process would.
        let _ = TcpStream::connect(self.address);
        for connection in self.open.lock().unwrap().drain(..) {
            let _ = connection.shutdown(std::net::Shutdown::Both);
        }
    }
}

/// A connection, with or without TLS.
enum Stream {
    Plain(TcpStream),
    Tls(Box<rustls::StreamOwned<rustls::ServerConnection, TcpStream>>),
}

impl Stream {
    fn shutdown(&self) -> std::io::Result<()> {
        let socket = match self {
            Self::Plain(socket) => socket,
            Self::Tls(session) => &session.sock,
        };
        socket.shutdown(std::net::Shutdown::Both)
    }
}

impl Read for Stream {
    fn read(&mut self, bytes: &mut [u8]) -> std::io::Result<usize> {
        match self {
            Self::Plain(socket) => socket.read(bytes),
            Self::Tls(session) => session.read(bytes),
        }
    }
}

impl Write for Stream {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        match self {
            Self::Plain(socket) => socket.write(bytes),
            Self::Tls(session) => session.write(bytes),
        }
    }

    fn flush(&mut self) -> std::io::Result<()> {
        match self {
            Self::Plain(socket) => socket.flush(),
            Self::Tls(session) => session.flush(),
        }
    }
}

fn serve(
    mut connection: BufReader<Stream>,
    requests: &Mutex<Vec<ReceivedRequest>>,
    accepted: &Mutex<Vec<ReceivedRequest>>,
    behaviour: &Behaviour,
) -> std::io::Result<()> {
    while let Some(request) = read_request(&mut connection)? {
        let before = {
            let mut requests = requests.lock().unwrap();
            requests.push(request.clone());
            requests.len() - 1
        };
        let (headers, body) = match behaviour(&request, before) {
            Reply::Accept(after) => {
                // Not a wait: the test requested a slow server.
                std::thread::sleep(after);
                accepted.lock().unwrap().push(request);
                let kind = "content-type: application/x-protobuf\r\n";
                (format!("HTTP/1.1 200 OK\r\n{kind}"), Vec::new())
            }
            Reply::Respond(status, headers, body) => {
                if (200..300).contains(&status) {
                    accepted.lock().unwrap().push(request);
                }
                let headers: String = headers
                    .iter()
                    .map(|(name, value)| format!("{name}: {value}\r\n"))
                    .collect();
                (format!("HTTP/1.1 {status} x\r\n{headers}"), body)
            }
            Reply::Nonsense(bytes) => {
                connection.get_mut().write_all(bytes)?;
                return connection.get_ref().shutdown();
            }
            // Until the client gives up or the receiver is dropped.
            Reply::Hang => {
                let _ = connection.read(&mut [0])?;
                return Ok(());
            }
            Reply::Close => return connection.get_ref().shutdown(),
        };
        let length = body.len();
        let mut answer = format!("{headers}content-length: {length}\r\n\r\n").into_bytes();
        answer.extend(body);
        connection.get_mut().write_all(&answer)?;
        connection.get_mut().flush()?;
    }
    Ok(())
}

/// Reads a chunked body; the SDK for Node sends such bodies.
fn read_chunks(reader: &mut impl BufRead) -> std::io::Result<Vec<u8>> {
    let mut body = Vec::new();
    loop {
        let mut line = String::new();
        reader.read_line(&mut line)?;
        let length = usize::from_str_radix(line.trim_end(), 16).map_err(std::io::Error::other)?;
        let start = body.len();
        body.resize(start + length, 0);
        reader.read_exact(&mut body[start..])?;
        reader.read_line(&mut String::new())?;
        if length == 0 {
            return Ok(body);
        }
    }
}

fn read_request(reader: &mut BufReader<Stream>) -> std::io::Result<Option<ReceivedRequest>> {
    let mut line = String::new();
    if reader.read_line(&mut line)? == 0 {
        return Ok(None);
    }
    let path = line.split(' ').nth(1).unwrap_or_default().to_owned();
    let mut headers = BTreeMap::new();
    loop {
        let mut line = String::new();
        reader.read_line(&mut line)?;
        let Some((name, value)) = line.trim_end().split_once(':') else {
            break;
        };
        headers.insert(name.to_ascii_lowercase(), value.trim().to_owned());
    }
    let is_chunked = headers
        .get("transfer-encoding")
        .is_some_and(|how| how == "chunked");
    let mut body = if is_chunked {
        read_chunks(reader)?
    } else {
        let length = headers
            .get("content-length")
            .and_then(|length| length.parse().ok());
        let mut body = vec![0; length.unwrap_or(0)];
        reader.read_exact(&mut body)?;
        body
    };
    if headers
        .get("content-encoding")
        .is_some_and(|encoding| encoding == "gzip")
    {
        let compressed = std::mem::take(&mut body);
        flate2::read::GzDecoder::new(&compressed[..]).read_to_end(&mut body)?;
    }
    Ok(Some(ReceivedRequest { path, headers, body }))
}

/// A record that was sent, with its sender.
#[derive(Debug, Clone)]
pub struct Sent<T> {
    /// The sender.
    pub resource: Resource,
    /// The instrumentation scope.
    pub scope: String,
    /// The record.
    pub record: T,
}

impl<T> Sent<T> {
    /// Returns a text attribute of the resource.
    #[must_use]
    pub fn resource(&self, key: &str) -> Option<String> {
        text_of(&self.resource.attributes, key)
    }
}

/// Returns the text attribute with this key.
#[must_use]
pub fn text_of(attributes: &[KeyValue], key: &str) -> Option<String> {
    match value_of(attributes, key)? {
        any_value::Value::StringValue(text) => Some(text.clone()),
        _ => None,
    }
}

/// Returns the integer attribute with this key.
#[must_use]
pub fn number_of(attributes: &[KeyValue], key: &str) -> Option<i64> {
    match value_of(attributes, key)? {
        any_value::Value::IntValue(number) => Some(*number),
        _ => None,
    }
}

fn value_of<'a>(attributes: &'a [KeyValue], key: &str) -> Option<&'a any_value::Value> {
    let attribute = attributes.iter().find(|attribute| attribute.key == key)?;
    attribute.value.as_ref()?.value.as_ref()
}

fn is_json(received: &ReceivedRequest) -> bool {
    received
        .headers
        .get("content-type")
        .is_some_and(|kind| kind == "application/json")
}

/// Returns the spans of a request.
#[must_use]
pub fn spans_in(received: &ReceivedRequest) -> Vec<Sent<Span>> {
    if received.path != "/v1/traces" {
        return Vec::new();
    }
    let request: ExportTraceServiceRequest = if is_json(received) {
        serde_json::from_slice(&received.body).unwrap()
    } else {
        ExportTraceServiceRequest::decode(&received.body[..]).unwrap()
    };
    let mut sent = Vec::new();
    for per_resource in request.resource_spans {
        let resource = per_resource.resource.unwrap_or_default();
        for per_scope in per_resource.scope_spans {
            let scope = per_scope.scope.unwrap_or_default().name;
            sent.extend(per_scope.spans.into_iter().map(|record| Sent {
                resource: resource.clone(),
                scope: scope.clone(),
                record,
            }));
        }
    }
    sent
}

/// Returns the log records of a request.
#[must_use]
pub fn logs_in(received: &ReceivedRequest) -> Vec<Sent<LogRecord>> {
    if received.path != "/v1/logs" {
        return Vec::new();
    }
    let request: ExportLogsServiceRequest = if is_json(received) {
        serde_json::from_slice(&received.body).unwrap()
    } else {
        ExportLogsServiceRequest::decode(&received.body[..]).unwrap()
    };
    let mut sent = Vec::new();
    for per_resource in request.resource_logs {
        let resource = per_resource.resource.unwrap_or_default();
        for per_scope in per_resource.scope_logs {
            let scope = per_scope.scope.unwrap_or_default().name;
            sent.extend(per_scope.log_records.into_iter().map(|record| Sent {
                resource: resource.clone(),
                scope: scope.clone(),
                record,
            }));
        }
    }
    sent
}

/// Returns the metrics of a request.
#[must_use]
pub fn metrics_in(received: &ReceivedRequest) -> Vec<Sent<Metric>> {
    if received.path != "/v1/metrics" {
        return Vec::new();
    }
    let request: ExportMetricsServiceRequest = if is_json(received) {
        serde_json::from_slice(&received.body).unwrap()
    } else {
        ExportMetricsServiceRequest::decode(&received.body[..]).unwrap()
    };
    let mut sent = Vec::new();
    for per_resource in request.resource_metrics {
        let resource = per_resource.resource.unwrap_or_default();
        for per_scope in per_resource.scope_metrics {
            let scope = per_scope.scope.unwrap_or_default().name;
            sent.extend(per_scope.metrics.into_iter().map(|record| Sent {
                resource: resource.clone(),
                scope: scope.clone(),
                record,
            }));
        }
    }
    sent
}

/// Returns a span in the format of `spanscope export --to otlp-json`, its attributes sorted by key.
#[must_use]
pub fn span_as_json(span: &Span) -> Json {
    let mut object = json!({
        "traceId": hex(&span.trace_id),
        "spanId": hex(&span.span_id),
        "name": span.name,
        "kind": span.kind,
        "startTimeUnixNano": span.start_time_unix_nano.to_string(),
        "endTimeUnixNano": span.end_time_unix_nano.to_string(),
        "attributes": attributes_as_json(&span.attributes),
    });
    if !span.parent_span_id.is_empty() {
        object["parentSpanId"] = json!(hex(&span.parent_span_id));
    }
    if !span.events.is_empty() {
        let events = span.events.iter().map(|event| {
            json!({
                "timeUnixNano": event.time_unix_nano.to_string(),
                "name": event.name,
                "attributes": attributes_as_json(&event.attributes),
            })
        });
        object["events"] = events.collect();
    }
    if !span.links.is_empty() {
        let links = span.links.iter().map(|link| {
            json!({
                "traceId": hex(&link.trace_id),
                "spanId": hex(&link.span_id),
                "attributes": attributes_as_json(&link.attributes),
            })
        });
        object["links"] = links.collect();
    }
    let status = span.status.clone().unwrap_or_default();
    let mut status_json = json!({});
    if !status.message.is_empty() {
        status_json["message"] = json!(status.message);
    }
    if status.code != 0 {
        status_json["code"] = json!(status.code);
    }
    object["status"] = status_json;
    object
}

fn attributes_as_json(attributes: &[KeyValue]) -> Json {
    let mut all: Vec<_> = attributes
        .iter()
        .map(|attribute| json!({"key": attribute.key, "value": value_as_json(attribute.value.as_ref())}))
        .collect();
    sort_attributes(&mut all);
    all.into()
}

fn value_as_json(value: Option<&AnyValue>) -> Json {
    match value.and_then(|value| value.value.as_ref()) {
        None => json!({}),
        Some(any_value::Value::StringValue(text)) => json!({"stringValue": text}),
        Some(any_value::Value::BoolValue(value)) => json!({"boolValue": value}),
        Some(any_value::Value::IntValue(number)) => json!({"intValue": number.to_string()}),
        Some(any_value::Value::DoubleValue(number)) => json!({"doubleValue": number}),
        Some(any_value::Value::ArrayValue(items)) => {
            json!({"arrayValue": {"values": items.values.iter().map(|item| value_as_json(Some(item))).collect::<Json>()}})
        }
        Some(other) => panic!("Spanscope never sends {other:?}"),
    }
}

/// Sorts attributes by key.
pub fn sort_attributes(attributes: &mut [Json]) {
    attributes.sort_by_key(|attribute| attribute["key"].as_str().unwrap_or_default().to_owned());
}

/// Returns bytes as hexadecimal digits.
#[must_use]
pub fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
