//! Responses of gRPC: a message followed by a status, or a status alone.

use axum::body::{Body, Bytes};
use axum::http::header::CONTENT_TYPE;
use axum::http::{HeaderMap, HeaderName, HeaderValue};
use axum::response::Response;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD_NO_PAD;
use http_body_util::{BodyExt as _, Full};
use prost::Message;

use super::FRAME;
use crate::answer::ApiError;

const STATUS: HeaderName = HeaderName::from_static("grpc-status");
const MESSAGE: HeaderName = HeaderName::from_static("grpc-message");
const DETAILS: HeaderName = HeaderName::from_static("grpc-status-details-bin");
const ACCEPTED: HeaderName = HeaderName::from_static("grpc-accept-encoding");
/// Maximum length of a status message before it is escaped, in bytes: headers have a limit.
const MAX_MESSAGE: usize = 2 * 1024;

/// `google.rpc.Status`, with details beyond `grpc-status` and `grpc-message`.
#[derive(Clone, PartialEq, Message)]
pub(super) struct DetailedStatus {
    #[prost(int32, tag = "1")]
    pub(super) code: i32,
    #[prost(string, tag = "2")]
    pub(super) message: String,
    #[prost(message, repeated, tag = "3")]
    pub(super) details: Vec<Detail>,
}

/// `google.protobuf.Any`.
#[derive(Clone, PartialEq, Message)]
pub(super) struct Detail {
    #[prost(string, tag = "1")]
    pub(super) type_url: String,
    #[prost(bytes = "vec", tag = "2")]
    pub(super) value: Vec<u8>,
}

/// `google.rpc.RetryInfo`.
#[derive(Clone, PartialEq, Message)]
pub(super) struct RetryInfo {
    #[prost(message, optional, tag = "1")]
    pub(super) delay: Option<Delay>,
}

/// `google.protobuf.Duration`.
#[derive(Clone, PartialEq, Message)]
pub(super) struct Delay {
    #[prost(int64, tag = "1")]
    pub(super) seconds: i64,
    #[prost(int32, tag = "2")]
    pub(super) nanos: i32,
}

/// Returns a message followed by the status of a success.
pub(super) fn succeeded(message: &[u8]) -> Response {
    let mut framed = Vec::with_capacity(FRAME + message.len());
    framed.push(0); // plain
    framed.extend_from_slice(&u32::try_from(message.len()).unwrap_or(u32::MAX).to_be_bytes());
    framed.extend_from_slice(message);
    let mut trailers = HeaderMap::new();
    trailers.insert(STATUS, HeaderValue::from_static("0"));
    let body = Full::new(Bytes::from(framed)).with_trailers(std::future::ready(Some(Ok(trailers))));
    with_headers(Response::new(Body::new(body)))
}

/// Returns a status alone, among the headers.
pub(super) fn failed(error: &ApiError) -> Response {
    let code = error.grpc_code();
    let mut message = error.to_string();
    let end = (0..=MAX_MESSAGE.min(message.len())).rfind(|end| message.is_char_boundary(*end));
    message.truncate(end.unwrap_or_default());
    let mut response = with_headers(Response::new(Body::empty()));
    let headers = response.headers_mut();
    headers.insert(STATUS, code.into());
    if let Some(seconds) = error.retry_after() {
        let retry = RetryInfo {
            delay: Some(Delay {
                seconds: seconds.into(),
                nanos: 0,
            }),
        };
        let status = DetailedStatus {
            code,
            message: message.clone(),
            details: vec![Detail {
                type_url: "type.googleapis.com/google.rpc.RetryInfo".to_owned(),
                value: retry.encode_to_vec(),
            }],
        };
        let details = STANDARD_NO_PAD.encode(status.encode_to_vec());
        insert(headers, DETAILS, &details);
    }
    insert(headers, MESSAGE, &escaped(&message));
    response
}

fn with_headers(mut response: Response) -> Response {
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/grpc"));
    headers.insert(ACCEPTED, HeaderValue::from_static("identity,gzip,deflate,zstd"));
    response
}

fn insert(headers: &mut HeaderMap, name: HeaderName, ascii: &str) {
    if let Ok(value) = HeaderValue::from_str(ascii) {
        headers.insert(name, value);
    }
}

/// Returns a text as `grpc-message` encodes it: everything but printable ASCII, and the percent
/// sign, as `%` and two digits.
pub(super) fn escaped(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for byte in text.bytes() {
        match byte {
            b'%' => escaped.push_str("%25"),
            b' '..=b'~' => escaped.push(char::from(byte)),
            _ => {
                escaped.push('%');
                escaped.push_str(&const_hex::encode_upper([byte]));
            }
        }
    }
    escaped
}
