//! The OTLP receiver: `/v1/traces`, `/v1/metrics`, `/v1/logs`.
//!
//! A body is read piece by piece and its memory is counted before it is allocated; decompression
//! and decoding run on blocking threads. The response is sent when the records are committed.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::{FromRef, Request, State};
use axum::http::header::{CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_TYPE};
use axum::http::{HeaderMap, HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::MethodFilter;
use http_body_util::BodyExt as _;
use spanscope_layers::metrics::record_value;
use spanscope_model::wire::STORED_IN;
use spanscope_model::{MetricKind, TraceStore};

use crate::answer::ApiError;
use crate::api::{Api, Content, Parameter, Route, Takes};
use crate::budget::{Budget, Share};
use crate::caller::ScopedStore;
use crate::capability::{Needs, check_writes};
use crate::decompress::{ContentCoding, ENCODINGS, too_much_held, unpack};
use crate::limits::{Limits, is_slow};
use crate::otlp::{Converted, Encoding, Signal, answer, convert, failure, weight};
use crate::store_log::logged;

/// The media types of requests and responses.
const KINDS: [&str; 2] = ["application/x-protobuf", "application/json"];

/// The state that all requests share.
#[derive(Clone)]
pub(crate) struct Receiver {
    store: Arc<dyn TraceStore>,
    /// The memory of bodies, as received and decompressed.
    budget: Budget,
    /// The memory of decoded bodies.
    decoded: Budget,
    limits: Limits,
}

impl FromRef<Receiver> for Arc<dyn TraceStore> {
    fn from_ref(receiver: &Receiver) -> Self {
        Arc::clone(&receiver.store)
    }
}

/// Receives OTLP over HTTP from OpenTelemetry SDKs and collectors: `POST /v1/traces`, `/v1/metrics`
/// and `/v1/logs`, as protobuf or JSON, uncompressed or with gzip, deflate or zstd.
///
/// 200 means that the records are stored; invalid ones are left out, counted and described in the
/// response's `partial_success`. 400 means an unreadable body, 413 one that is too large, 415 one
/// of another type, 501 that the store only reads, 507 a body that does not fit into it. 429 and
/// 503 have `Retry-After`, and the same request may be sent again: nothing is stored twice. The
/// body of such a failure is a `google.rpc.Status` in the encoding of the request; a caller without
/// permission, another method or type, or a timeout gets this crate's `{"error": ...}`.
///
/// ```
/// use std::sync::Arc;
/// use spanscope_server::{Limits, local_only, otlp_router};
/// use spanscope_sqlite::SqliteStore;
///
/// # fn serve(path: &std::path::Path) -> Result<axum::Router, spanscope_model::StoreError> {
/// let store = SqliteStore::builder().open(path)?;
/// let app = local_only(otlp_router(Arc::new(store), Limits::default()));
/// # Ok(app)
/// # }
/// ```
pub fn otlp_router(store: Arc<dyn TraceStore>, limits: Limits) -> Router {
    let receiver = Receiver {
        store,
        budget: Budget::new(limits.buffered_bytes),
        decoded: Budget::new(limits.decoded_bytes),
        limits,
    };
    let router = api().into_router();
    #[cfg(feature = "grpc")]
    let router = router.merge(crate::grpc::routes());
    logged(router.with_state(receiver))
}

/// The name of these routes' failures in the document.
pub(crate) const FAILURE: &str = "OtlpFailure";

/// The headers that are read, besides `content-type`.
const HEADERS: [Parameter; 2] = [
    Parameter::header(
        CONTENT_ENCODING_NAME,
        Takes::Word(|| ENCODINGS.to_vec()),
        "Content encoding of the body; none by default.",
    ),
    Parameter::header(
        STORED_IN,
        Takes::AnyText,
        "The store to which the sender itself writes these records; a server of that store does not store them again.",
    ),
];
const CONTENT_ENCODING_NAME: &str = "content-encoding";

/// The routes.
pub(crate) fn api() -> Api<Receiver> {
    let route = |path, summary, containers| Route {
        method: MethodFilter::POST,
        path,
        summary,
        parameters: &HEADERS,
        reads: Content::Otlp(containers),
        answers: Content::Other(
            &KINDS,
            "An export response of OTLP, with rejected records in its partial success.",
        ),
        needs: Some(Needs::Writes),
    };
    let handler = |signal| {
        async move |State(receiver): State<Receiver>, store: ScopedStore, request: Request| {
            receive(signal, &receiver, store, request).await
        }
    };
    Api::new()
        .failing_as(
            FAILURE,
            route(
                "/v1/traces",
                "Receives spans (OTLP).",
                ["resourceSpans", "scopeSpans", "spans"],
            ),
            handler(Signal::Traces),
        )
        .failing_as(
            FAILURE,
            route(
                "/v1/metrics",
                "Receives metrics (OTLP).",
                ["resourceMetrics", "scopeMetrics", "metrics"],
            ),
            handler(Signal::Metrics),
        )
        .failing_as(
            FAILURE,
            route(
                "/v1/logs",
                "Receives logs (OTLP).",
                ["resourceLogs", "scopeLogs", "logRecords"],
            ),
            handler(Signal::Logs),
        )
}

async fn receive(signal: Signal, receiver: &Receiver, store: ScopedStore, request: Request) -> Response {
    let encoding = match encoding_of(request.headers()) {
        Ok(encoding) => encoding,
        Err(error) => return error.into_response(),
    };
    match receive_body(signal, encoding, receiver, store, request).await {
        Ok(body) => in_encoding(StatusCode::OK, encoding, body),
        Err(error) => {
            count(signal, "refused", 1);
            refusal(encoding, error)
        }
    }
}

/// Reads, converts and stores the body of a request over HTTP.
async fn receive_body(
    signal: Signal,
    encoding: Encoding,
    receiver: &Receiver,
    store: ScopedStore,
    request: Request,
) -> Result<Vec<u8>, ApiError> {
    let coding = request.headers().get(CONTENT_ENCODING);
    let coding = ContentCoding::named(coding.map_or(b"", HeaderValue::as_bytes))?;
    let stored_in = stored_in(request.headers());
    let length = request.headers().get(CONTENT_LENGTH);
    let length = length.and_then(|length| length.to_str().ok()?.parse::<u64>().ok());
    let (bytes, memory) = read(receiver, request.into_body(), length, 0).await?;
    let body = SentBody {
        bytes,
        memory,
        encoding,
        coding,
        stored_in,
    };
    store_body(signal, receiver, store, body).await
}

/// One export request as it was sent, over HTTP or gRPC.
pub(crate) struct SentBody {
    pub(crate) bytes: Bytes,
    /// The memory that `bytes` take.
    pub(crate) memory: Share,
    pub(crate) encoding: Encoding,
    pub(crate) coding: ContentCoding,
    /// The name of the file to which the sender wrote the same records.
    pub(crate) stored_in: Option<String>,
}

/// Converts and stores one body. Returns the body of the response when the records are committed.
pub(crate) async fn store_body(
    signal: Signal,
    receiver: &Receiver,
    ScopedStore(store): ScopedStore,
    body: SentBody,
) -> Result<Vec<u8>, ApiError> {
    let SentBody {
        bytes: body,
        memory: mut share,
        encoding,
        coding,
        stored_in,
    } = body;
    check_writes(&*store).await?;
    let limits = receiver.limits;
    let retention = store.capabilities().retention;
    let mut decoded = receiver.decoded.share();
    let begun = tokio::task::spawn_blocking(move || {
        let body = match coding {
            ContentCoding::Plain => body,
            coding => unpack(coding, &body, limits.decompressed_bytes, &mut share)?.into(),
        };
        let weight = weight(signal, encoding, &body);
        if weight > limits.decoded_bytes {
            return Err(ApiError::too_much_in_it(limits.decoded_bytes));
        }
        if !decoded.take(weight) {
            return Err(ApiError::overloaded("too many bodies are being decoded"));
        }
        let mut converted = convert(signal, encoding, &body, retention).map_err(ApiError::invalid)?;
        converted.records.origin_store = stored_in;
        let storing = begin(async move { store.store(converted.records).await });
        let Converted {
            rejected,
            message,
            repaired,
            ..
        } = converted;
        Ok((storing, rejected, message, repaired, (share, decoded)))
    });
    let begun = begun.await.map_err(|_| ApiError::shutting_down())?;
    let (storing, mut rejected, mut message, repaired, memory) = begun?;
    let receipt = storing.await;
    drop(memory);
    let receipt = receipt?;
    if receipt.rejected_points > 0 {
        rejected += receipt.rejected_points;
        if message.is_empty() {
            message = format!(
                "{} totals are of more streams than are followed for one sender: send fewer label sets",
                receipt.rejected_points
            );
        }
    }
    for (outcome, records) in [
        ("stored", receipt.stored),
        ("known", receipt.known),
        ("rejected", rejected),
        ("repaired", repaired),
    ] {
        count(signal, outcome, records);
    }
    Ok(answer(signal, encoding, rejected, &message))
}

/// Starts a future on this thread, and leaves waiting for it to another one.
///
/// A store converts records to rows before it waits, which is work that an async thread must not
/// do. Waiting here as well would take one of few threads for each request, and the server could
/// not end before the store responds. Records that are being stored are stored even if the sender
/// hangs up.
fn begin<T>(work: impl Future<Output = T> + Send + 'static) -> impl Future<Output = T> + Send
where
    T: Send + 'static,
{
    let mut work: Pin<Box<dyn Future<Output = T> + Send>> = Box::pin(work);
    match work.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(done) => Box::pin(std::future::ready(done)),
        Poll::Pending => work, // the waiting task polls it again, with its own waker
    }
}

/// Reads a whole body and counts its memory. `length` is the sender's declaration, `frame` the
/// number of bytes that the protocol adds to the limit.
pub(crate) async fn read(
    receiver: &Receiver,
    mut body: Body,
    length: Option<u64>,
    frame: usize,
) -> Result<(Bytes, Share), ApiError> {
    let limit = receiver.limits.body_bytes;
    let too_large = || ApiError::too_large(limit);
    // A body that declares too large a length is not read.
    let length = match length.map(usize::try_from) {
        Some(Ok(length)) if length <= limit => length,
        Some(_) => return Err(too_large()),
        None => 0,
    };
    let mut share = receiver.budget.share();
    let mut bytes = Vec::new();
    if share.take(length) {
        bytes.reserve(length);
    } else {
        return Err(too_much_held());
    }
    while let Some(piece) = body.frame().await {
        let piece = piece.map_err(|error| match is_slow(&error) {
            true => ApiError::slow(),
            false => ApiError::cut_off(),
        })?;
        let Ok(data) = piece.into_data() else { continue };
        if bytes.len() + data.len() > limit.saturating_add(frame) {
            return Err(too_large());
        }
        let beyond = (bytes.len() + data.len()).saturating_sub(length.max(bytes.len()));
        if !share.take(beyond) {
            return Err(too_much_held());
        }
        bytes.extend_from_slice(&data);
    }
    Ok((bytes.into(), share))
}

fn encoding_of(headers: &HeaderMap) -> Result<Encoding, ApiError> {
    let kind = headers.get(CONTENT_TYPE).and_then(|kind| kind.to_str().ok());
    let kind = kind
        .and_then(|kind| kind.split(';').next())
        .unwrap_or_default()
        .trim();
    // The first is OTLP's, the second the registered one.
    if ["application/x-protobuf", "application/protobuf"]
        .iter()
        .any(|name| kind.eq_ignore_ascii_case(name))
    {
        Ok(Encoding::Protobuf)
    } else if kind.eq_ignore_ascii_case("application/json") {
        Ok(Encoding::Json)
    } else {
        Err(ApiError::new(
            StatusCode::UNSUPPORTED_MEDIA_TYPE,
            "unsupported_media_type",
            "the body is declared neither as protobuf nor as JSON",
            "send OTLP with the header `content-type: application/x-protobuf` or `application/json`",
        ))
    }
}

/// Returns the name of the file to which the sender wrote the same records, if it names one.
pub(crate) fn stored_in(headers: &HeaderMap) -> Option<String> {
    let name = headers.get(STORED_IN)?;
    name.to_str().ok().map(str::to_owned)
}

pub(crate) fn count(signal: Signal, outcome: &str, records: u64) {
    if records > 0 {
        let records = i64::try_from(records).unwrap_or(i64::MAX);
        let labels = [("signal", signal.name()), ("outcome", outcome)];
        record_value(
            "spanscope_received_total",
            records,
            "records",
            MetricKind::Counter,
            &labels,
        );
    }
}

fn in_encoding(status: StatusCode, encoding: Encoding, body: Vec<u8>) -> Response {
    let kind = match encoding {
        Encoding::Protobuf => "application/x-protobuf",
        Encoding::Json => "application/json",
    };
    (status, [(CONTENT_TYPE, kind)], body).into_response()
}

fn refusal(encoding: Encoding, error: ApiError) -> Response {
    let body = failure(encoding, error.grpc_code(), &error.to_string());
    let mut response = in_encoding(error.status(), encoding, body);
    error.add_headers(response.headers_mut());
    response.extensions_mut().insert(error);
    response
}
