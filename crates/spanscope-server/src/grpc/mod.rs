//! OTLP over gRPC: the three `Export` calls, which share the code of OTLP over HTTP.
//!
//! The body of a call is one message after five bytes, so it needs no framework. tonic would read
//! and decode a message before its memory could be counted, and its calls would need code separate
//! from [`receive`](crate::receive). This module only has the framing and the response; HTTP/2 is
//! hyper's.
//!
//! Other layers fail with an HTTP response, for example because of a missing token. [`translated`]
//! converts it to a status of gRPC.

mod http_2;
mod ports;
mod response;
#[cfg(test)]
mod tests;

use axum::Router;
use axum::body::Bytes;
use axum::extract::{Request, State};
use axum::http::header::CONTENT_TYPE;
use axum::http::{HeaderMap, HeaderValue, StatusCode, Version};
use axum::middleware::{Next, from_fn};
use axum::response::{IntoResponse as _, Response};
use axum::routing::post;

pub(crate) use self::http_2::speaks_http_2;
pub(crate) use self::ports::Ports;
use self::response::{failed, succeeded};
use crate::answer::ApiError;
use crate::caller::ScopedStore;
use crate::decompress::ContentCoding;
use crate::otlp::{Encoding, Signal};
use crate::receive::{Receiver, SentBody, count, read, store_body, stored_in};

/// The bytes before a message: whether it is compressed, and its length.
const FRAME: usize = 5;

/// The calls, each under its service's path.
pub(crate) fn routes() -> Router<Receiver> {
    let mut routes = Router::new();
    for signal in Signal::ALL {
        let handler = async move |State(receiver): State<Receiver>, store: ScopedStore, request: Request| {
            receive(signal, &receiver, store, request).await
        };
        routes = routes.route(path(signal), post(handler));
    }
    routes.method_not_allowed_fallback(async || ApiError::method_not_allowed())
}

/// Replaces the HTTP error response of a gRPC call with a gRPC status, whichever layer of the
/// router created it.
pub(crate) fn translated(router: Router) -> Router {
    router.layer(from_fn(async |request: Request, next: Next| {
        let is_call = is_call(&request);
        let mut response = next.run(request).await;
        match response.extensions_mut().remove::<ApiError>() {
            Some(error) if is_call => failed(&error),
            _ => response,
        }
    }))
}

/// Returns whether a request has the content type of gRPC, and arrives over HTTP/2 or has the path
/// of a known call. Some proxies send calls over HTTP/1.
fn is_call(request: &Request) -> bool {
    let is_possible = request.version() == Version::HTTP_2
        || Signal::ALL
            .into_iter()
            .any(|signal| path(signal) == request.uri().path());
    is_possible && is_grpc(request.headers())
}

/// Returns whether the content type is gRPC's. Its variant for browsers, `application/grpc-web`, is
/// not accepted.
fn is_grpc(headers: &HeaderMap) -> bool {
    let kind = headers.get(CONTENT_TYPE).and_then(|kind| kind.to_str().ok());
    let kind = kind
        .and_then(|kind| kind.split(';').next())
        .unwrap_or_default()
        .trim();
    ["application/grpc", "application/grpc+proto"]
        .iter()
        .any(|name| kind.eq_ignore_ascii_case(name))
}

/// Returns the error of a request that has the path of a call, but not the content type of gRPC.
fn not_a_call() -> ApiError {
    ApiError::new(
        StatusCode::UNSUPPORTED_MEDIA_TYPE,
        "unsupported_media_type",
        "this path accepts gRPC calls only",
        "send OTLP over HTTP to /v1/traces, /v1/metrics or /v1/logs",
    )
}

const fn path(signal: Signal) -> &'static str {
    match signal {
        Signal::Traces => "/opentelemetry.proto.collector.trace.v1.TraceService/Export",
        Signal::Metrics => "/opentelemetry.proto.collector.metrics.v1.MetricsService/Export",
        Signal::Logs => "/opentelemetry.proto.collector.logs.v1.LogsService/Export",
    }
}

async fn receive(signal: Signal, receiver: &Receiver, store: ScopedStore, request: Request) -> Response {
    if !is_grpc(request.headers()) {
        return not_a_call().into_response();
    }
    match receive_call(signal, receiver, store, request).await {
        Ok(message) => succeeded(&message),
        Err(error) => {
            count(signal, "refused", 1);
            let mut response = failed(&error);
            response.extensions_mut().insert(error);
            response
        }
    }
}

async fn receive_call(
    signal: Signal,
    receiver: &Receiver,
    store: ScopedStore,
    request: Request,
) -> Result<Vec<u8>, ApiError> {
    let coding = request.headers().get("grpc-encoding");
    let coding = ContentCoding::named(coding.map_or(b"", HeaderValue::as_bytes))?;
    let stored_in = stored_in(request.headers());
    let (bytes, memory) = read(receiver, request.into_body(), None, FRAME).await?;
    let (is_compressed, bytes) = message(bytes)?;
    let coding = match (is_compressed, coding) {
        (false, _) => ContentCoding::Plain,
        (true, ContentCoding::Plain) => {
            return Err(ApiError::invalid(
                "the message is marked as compressed, but the header `grpc-encoding` is missing",
            ));
        }
        (true, coding) => coding,
    };
    let body = SentBody {
        bytes,
        memory,
        encoding: Encoding::Protobuf,
        coding,
        stored_in,
    };
    store_body(signal, receiver, store, body).await
}

/// Returns whether the one message of a call is compressed, and the message.
fn message(mut bytes: Bytes) -> Result<(bool, Bytes), ApiError> {
    let wrong = |message| Err(ApiError::invalid(message));
    let Some((&[flag, ref length @ ..], rest)) = bytes.split_first_chunk::<FRAME>() else {
        return wrong("the call ended before its message");
    };
    let length = u32::from_be_bytes(*length) as usize;
    if rest.len() != length {
        return wrong("the call must contain exactly one message, as long as its length prefix says");
    }
    let is_compressed = match flag {
        0 => false,
        1 => true,
        _ => return wrong("the compression flag before the message must be 0 or 1"),
    };
    Ok((is_compressed, bytes.split_off(FRAME)))
}
