//! Responses of this crate: JSON, and errors that say what to do.
//!
//! No response contains the inner cause of a store error, and no failure has the status of a
//! success.

use std::error::Error;

use axum::extract::rejection::PathRejection;
use axum::http::header::{CACHE_CONTROL, CONNECTION, CONTENT_TYPE, HeaderName, HeaderValue, RETRY_AFTER};
use axum::http::{HeaderMap, Method, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use spanscope_model::filter::FilterError;
use spanscope_model::{StoreError, StoreErrorKind};

use crate::otlp::Signal;
use crate::response_memory::{AnswerText, ShortText};

const JSON: HeaderValue = HeaderValue::from_static("application/json");
/// Data about programs must not stay in a browser's cache, nor be shown as a page.
const HEADERS: [(HeaderName, HeaderValue); 2] = [
    (CACHE_CONTROL, HeaderValue::from_static("no-store")),
    (
        header::X_CONTENT_TYPE_OPTIONS,
        HeaderValue::from_static("nosniff"),
    ),
];

/// The code of a path without a route.
const NO_SUCH_PATH: &str = "no_such_path";

/// The error of a request, for its sender.
///
/// It is also an extension of its response, so that a refusal before the handler can be converted
/// to another protocol.
#[derive(Debug, Clone)]
pub(crate) struct ApiError {
    status: StatusCode,
    /// For programs; never changes.
    code: &'static str,
    /// The message, for people.
    message: String,
    what_to_do: &'static str,
    /// What may be meant in place of a value of the request.
    hint: Option<Box<Hint>>,
    /// The store's error with its causes. They may contain paths and messages of the database, so
    /// they are only logged, for the server's operator.
    store_failure: Option<String>,
}

#[derive(Debug, Clone)]
enum Hint {
    /// Where a filter is wrong.
    Filter { at: usize, did_you_mean: Option<String> },
    /// Ids like one that is not stored.
    Nearest(Vec<String>),
}

/// The error as one line, for senders that get no JSON.
impl std::fmt::Display for ApiError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}: {}: {}", self.code, self.message, self.what_to_do)
    }
}

/// Why a request failed.
#[derive(Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub(crate) struct Failure<'a> {
    error: ErrorBody<'a>,
}

#[derive(Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[cfg_attr(feature = "schema", schemars(rename = "Error"))]
struct ErrorBody<'a> {
    /// A code for programs; it never changes.
    code: &'a str,
    /// The message, for people.
    message: &'a str,
    /// How to correct the request.
    what_to_do: &'a str,
    /// For an invalid filter: the byte offset of the error.
    #[serde(skip_serializing_if = "Option::is_none")]
    at: Option<usize>,
    /// For an invalid filter: the probable correction.
    #[serde(skip_serializing_if = "Option::is_none")]
    did_you_mean: Option<[&'a str; 1]>,
    /// For an unknown id: similar stored ids, the most similar first.
    #[serde(skip_serializing_if = "Option::is_none")]
    nearest: Option<&'a [String]>,
}

impl ApiError {
    pub(crate) fn new(
        status: StatusCode,
        code: &'static str,
        message: impl Into<String>,
        what_to_do: &'static str,
    ) -> Self {
        Self {
            status,
            code,
            message: message.into(),
            what_to_do,
            hint: None,
            store_failure: None,
        }
    }

    /// Returns the error of an invalid parameter `filter`.
    pub(crate) fn wrong_filter(error: &FilterError) -> Self {
        Self {
            hint: Some(Box::new(Hint::Filter {
                at: error.position(),
                did_you_mean: error.suggestion().map(ToOwned::to_owned),
            })),
            ..Self::invalid(format!("filter: {error}"))
        }
    }

    /// Returns the error of an invalid request.
    pub(crate) fn invalid(message: impl Into<String>) -> Self {
        Self::new(
            StatusCode::BAD_REQUEST,
            "invalid_input",
            message,
            "fix the request as the message says; sending it again unchanged will not help",
        )
    }

    pub(crate) fn method_not_allowed() -> Self {
        Self::new(
            StatusCode::METHOD_NOT_ALLOWED,
            "method_not_allowed",
            "this path does not accept this method",
            "use a method that the header `allow` names; OTLP is sent with POST to /v1/traces, /v1/metrics or /v1/logs",
        )
    }

    pub(crate) fn slow() -> Self {
        Self::new(
            StatusCode::REQUEST_TIMEOUT,
            "request_timeout",
            "the body did not arrive in time",
            "send it again, and faster",
        )
    }

    /// Returns the error of an incomplete body.
    pub(crate) fn cut_off() -> Self {
        Self::invalid("the body is incomplete")
    }

    /// Returns the error of datasets that have used up their space.
    pub(crate) fn datasets_full(message: String) -> Self {
        Self::new(
            StatusCode::INSUFFICIENT_STORAGE,
            "datasets_full",
            message,
            "export fewer spans or attributes, or have old datasets removed from the server's folder",
        )
    }

    /// Returns the error of a store that has no room for the records, and can't make any.
    pub(crate) fn store_full() -> Self {
        Self::new(
            StatusCode::INSUFFICIENT_STORAGE,
            "store_full",
            "the records do not fit into the store, and nothing can be deleted to make room for them",
            "send less in one request, or have the store's cap (`--max-size`) raised",
        )
    }

    pub(crate) fn shutting_down() -> Self {
        Self::new(
            StatusCode::SERVICE_UNAVAILABLE,
            "shutting_down",
            "the server is being shut down",
            "try again when it is back",
        )
    }

    /// Returns the error of a path without a route. An exporter may have added its signal's path to
    /// an endpoint that already has one, or not at all: then the message names the setting to fix.
    pub(crate) fn no_such_path(method: &Method, path: &str) -> Self {
        let new =
            |message: String, what_to_do| Self::new(StatusCode::NOT_FOUND, NO_SUCH_PATH, message, what_to_do);
        let signal = Signal::ALL.into_iter().find(|signal| {
            let own = signal.path();
            path.trim_end_matches('/').ends_with(own) || path.matches(own).count() > 1
        });
        let paths_in_it: usize = Signal::ALL
            .iter()
            .map(|signal| path.matches(signal.path()).count())
            .sum();
        match signal {
            Some(signal) if paths_in_it > 1 => new(
                format!(
                    "the path of the signal is in {path:?} twice: exporters add {} to an endpoint by themselves",
                    signal.path()
                ),
                "set OTEL_EXPORTER_OTLP_ENDPOINT to the address alone, as http://HOST:PORT, or the variable of the signal (OTEL_EXPORTER_OTLP_TRACES_ENDPOINT) to the whole path",
            ),
            Some(signal) => new(
                format!("{path:?} is {} with something before or behind it", signal.path()),
                "set OTEL_EXPORTER_OTLP_ENDPOINT to the address alone, as http://HOST:PORT, without a path and without a slash at its end",
            ),
            None if method == Method::POST && path.trim_matches('/').is_empty() => new(
                "the root accepts no data; an exporter uses the endpoint of a single signal unchanged"
                    .to_owned(),
                "send to /v1/traces, /v1/metrics or /v1/logs: set OTEL_EXPORTER_OTLP_ENDPOINT to the address, or OTEL_EXPORTER_OTLP_TRACES_ENDPOINT to the address with /v1/traces",
            ),
            None if method == Method::POST => new(
                "this path accepts no data".to_owned(),
                "send OTLP to /v1/traces, /v1/metrics or /v1/logs, and other formats (Zipkin, Jaeger, Loki, Prometheus) through a collector; /openapi.json lists the other paths",
            ),
            None => new(
                "this path does not exist".to_owned(),
                "/openapi.json lists the paths",
            ),
        }
    }

    /// Returns the error of what this store or server can't do.
    pub(crate) fn unsupported(message: impl Into<String>) -> Self {
        Self::new(
            StatusCode::NOT_IMPLEMENTED,
            "unsupported",
            message,
            "use another store; sending the request again will not help",
        )
    }

    /// Returns the error of too many concurrent requests.
    pub(crate) fn overloaded(message: &'static str) -> Self {
        Self::new(
            StatusCode::TOO_MANY_REQUESTS,
            "overloaded",
            message,
            "send the request again after the time that the header `retry-after` says",
        )
    }

    /// Returns the store's error with its causes, if the store failed; for the log.
    pub(crate) fn store_failure(&self) -> Option<&str> {
        self.store_failure.as_deref()
    }

    pub(crate) fn status(&self) -> StatusCode {
        self.status
    }

    /// Returns the seconds after which to retry the same request, if that helps.
    pub(crate) fn retry_after(&self) -> Option<u8> {
        matches!(
            self.status,
            StatusCode::TOO_MANY_REQUESTS | StatusCode::SERVICE_UNAVAILABLE
        )
        .then_some(1)
    }

    /// Adds when to retry the same request, if that helps. An overloaded server closes the
    /// connection as well: a client that waits to retry would keep the connection from others.
    pub(crate) fn add_headers(&self, headers: &mut HeaderMap) {
        if let Some(seconds) = self.retry_after() {
            headers.insert(RETRY_AFTER, u16::from(seconds).into());
        }
        if self.status == StatusCode::TOO_MANY_REQUESTS {
            headers.insert(CONNECTION, HeaderValue::from_static("close"));
        }
    }

    /// The status as gRPC numbers it, for OTLP.
    pub(crate) fn grpc_code(&self) -> i32 {
        match self.status {
            // There is no such call. A record that is not stored gets another code.
            StatusCode::NOT_FOUND if self.code == NO_SUCH_PATH => 12,
            StatusCode::TOO_MANY_REQUESTS => 8,
            // Not RESOURCE_EXHAUSTED: sending the records again does not help.
            StatusCode::INSUFFICIENT_STORAGE => 9,
            StatusCode::SERVICE_UNAVAILABLE => 14,
            StatusCode::INTERNAL_SERVER_ERROR => 13,
            StatusCode::REQUEST_TIMEOUT => 4,
            StatusCode::NOT_IMPLEMENTED
            | StatusCode::METHOD_NOT_ALLOWED
            | StatusCode::UNSUPPORTED_MEDIA_TYPE => 12,
            StatusCode::UNAUTHORIZED => 16,
            StatusCode::FORBIDDEN => 7,
            // The request is wrong. One that is too large as well: some SDKs retry
            // RESOURCE_EXHAUSTED.
            _ => 3,
        }
    }

    /// Returns the error of a body that is too large once decoded.
    pub(crate) fn too_much_in_it(limit: usize) -> Self {
        Self::new(
            StatusCode::PAYLOAD_TOO_LARGE,
            "body_too_large",
            format!("the body holds so much that it would take more than {limit} bytes of memory"),
            "send it in several parts",
        )
    }

    pub(crate) fn too_large(limit: usize) -> Self {
        Self::new(
            StatusCode::PAYLOAD_TOO_LARGE,
            "body_too_large",
            format!("the body is longer than {limit} bytes"),
            "send a shorter one",
        )
    }
}

impl From<StoreError> for ApiError {
    fn from(error: StoreError) -> Self {
        Self::from(&error)
    }
}

impl From<&StoreError> for ApiError {
    fn from(error: &StoreError) -> Self {
        let message = error.to_string();
        match error.kind() {
            StoreErrorKind::InvalidInput => return Self::invalid(message),
            StoreErrorKind::NotFound => {
                let not_found = Self::new(
                    StatusCode::NOT_FOUND,
                    "not_found",
                    message,
                    "list the stored ids with POST /v1/telemetry/traces; it may have been deleted because of its age",
                );
                let nearest = error.nearest();
                return Self {
                    hint: (!nearest.is_empty()).then(|| Box::new(Hint::Nearest(nearest.to_vec()))),
                    ..not_found
                };
            }
            StoreErrorKind::Overloaded => {
                return Self::overloaded("the server receives more than it can handle now");
            }
            // The store's size limit is no secret; its location is.
            StoreErrorKind::Full => return Self::store_full(),
            StoreErrorKind::Unsupported => return Self::unsupported(message),
            StoreErrorKind::ResultTooLarge => {
                return Self::new(
                    StatusCode::UNPROCESSABLE_ENTITY,
                    "answer_too_large",
                    message,
                    "request less, or one part after the other",
                );
            }
            StoreErrorKind::QueryTooLarge => {
                return Self::new(
                    StatusCode::UNPROCESSABLE_ENTITY,
                    "question_too_long",
                    message,
                    "request less, or one part after the other",
                );
            }
            _ => {}
        }
        let failed = if error.kind() == StoreErrorKind::Unavailable {
            Self::new(
                StatusCode::SERVICE_UNAVAILABLE,
                "store_unavailable",
                "the store can't respond now",
                "try again in a second; the server's log says why",
            )
        } else {
            Self::new(
                StatusCode::INTERNAL_SERVER_ERROR,
                "store_unusable",
                "the store can't be read",
                "ask the server's operator; its log has the reason",
            )
        };
        Self {
            store_failure: Some(with_causes(error)),
            ..failed
        }
    }
}

fn with_causes(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(inner) = cause {
        text.push_str(": ");
        text.push_str(&inner.to_string());
        cause = inner.source();
    }
    text
}

impl From<PathRejection> for ApiError {
    fn from(rejection: PathRejection) -> Self {
        Self::invalid(format!("the path can't be read: {}", rejection.body_text()))
    }
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        let (at, did_you_mean, nearest) = match self.hint.as_deref() {
            None => (None, None, None),
            Some(Hint::Filter { at, did_you_mean }) => {
                (Some(*at), did_you_mean.as_deref().map(|meant| [meant]), None)
            }
            Some(Hint::Nearest(nearest)) => (None, None, Some(&**nearest)),
        };
        let shown = Failure {
            error: ErrorBody {
                code: self.code,
                message: &self.message,
                what_to_do: self.what_to_do,
                at,
                did_you_mean,
                nearest,
            },
        };
        let text = serde_json::to_vec(&shown).unwrap_or_default(); // strings and a number can't fail
        let mut response = (self.status, HEADERS, [(CONTENT_TYPE, JSON)], text).into_response();
        self.add_headers(response.headers_mut());
        response.extensions_mut().insert(self);
        response
    }
}

/// Responds with JSON, whose memory is counted if it is long.
pub(crate) async fn json<T: Serialize + Send + 'static>(value: T) -> Result<Response, ApiError> {
    let mut short = ShortText::default();
    // Any other failure here occurs again below, and is reported there.
    if serde_json::to_writer(&mut short, &value).is_ok() {
        return Ok((HEADERS, [(CONTENT_TYPE, JSON)], short.finish()).into_response());
    }
    let mut text = AnswerText::new();
    // A long list is megabytes of text, which would hold up the other requests of this thread. To
    // have another thread write a short one takes longer than to write it.
    let written = tokio::task::spawn_blocking(move || {
        let written = serde_json::to_writer(&mut text, &value);
        (written, text)
    });
    let Ok((written, text)) = written.await else {
        return Err(ApiError::shutting_down());
    };
    match written {
        Ok(()) => {
            let (text, memory) = text.finish();
            let mut response = (HEADERS, [(CONTENT_TYPE, JSON)], text).into_response();
            if let Some(memory) = memory {
                response.extensions_mut().insert(memory);
            }
            Ok(response)
        }
        Err(_) if text.is_refused() => Err(ApiError::overloaded(
            "too many responses wait for their clients to read them",
        )),
        Err(error) => Err(ApiError::new(
            StatusCode::INTERNAL_SERVER_ERROR,
            "internal",
            format!("the response can't be written as JSON: {error}"),
            "report this with the request that led to it",
        )),
    }
}
