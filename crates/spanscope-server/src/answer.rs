//! How this crate answers: JSON, and errors that say what to do.
//!
//! Never here: a cause from inside of the store in an answer, or a failure with the status of a success.

use std::error::Error;

use axum::extract::rejection::PathRejection;
use axum::http::header::{CACHE_CONTROL, CONNECTION, CONTENT_TYPE, HeaderName, HeaderValue, RETRY_AFTER};
use axum::http::{HeaderMap, Method, StatusCode, header};
use axum::response::{IntoResponse, Response};
use schemars::JsonSchema;
use serde::Serialize;
use spanscope_model::filter::FilterError;
use spanscope_model::{StoreError, StoreErrorKind};

use crate::answer_memory::AnswerText;
use crate::otlp::Signal;

const JSON: HeaderValue = HeaderValue::from_static("application/json");
/// Of what programs did nothing stays in a browser's cache, nor is it taken for a page.
const HEADERS: [(HeaderName, HeaderValue); 2] = [
    (CACHE_CONTROL, HeaderValue::from_static("no-store")),
    (
        header::X_CONTENT_TYPE_OPTIONS,
        HeaderValue::from_static("nosniff"),
    ),
];

/// The code of what is asked for under a path that nothing is served under.
const NO_SUCH_PATH: &str = "no_such_path";

/// What went wrong with a request, for whoever sent it.
///
/// It travels among the extensions of its response, so that what was refused before it reached a handler can
/// be answered in another protocol.
#[derive(Debug, Clone)]
pub(crate) struct ApiError {
    status: StatusCode,
    /// For programs; never changes.
    code: &'static str,
    /// For people.
    message: String,
    what_to_do: &'static str,
    /// Where a text is wrong.
    place: Option<Place>,
}

/// Where a filter is wrong.
#[derive(Debug, Clone)]
struct Place {
    at: usize,
    did_you_mean: Option<String>,
}

/// For senders who get no JSON.
impl std::fmt::Display for ApiError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}: {}: {}", self.code, self.message, self.what_to_do)
    }
}

/// Why a request could not be answered.
#[derive(Serialize, JsonSchema)]
pub(crate) struct Failure<'a> {
    error: Shown<'a>,
}

#[derive(Serialize, JsonSchema)]
#[schemars(rename = "Error")]
struct Shown<'a> {
    /// For programs; it never changes.
    code: &'a str,
    /// For people.
    message: &'a str,
    /// How it can be mended.
    what_to_do: &'a str,
    /// Of a wrong filter: the byte where it is wrong.
    #[serde(skip_serializing_if = "Option::is_none")]
    at: Option<usize>,
    /// Of a wrong filter: what was probably meant there.
    #[serde(skip_serializing_if = "Option::is_none")]
    did_you_mean: Option<[&'a str; 1]>,
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
            place: None,
        }
    }

    /// The parameter `filter` is none.
    pub(crate) fn wrong_filter(error: &FilterError) -> Self {
        Self {
            place: Some(Place {
                at: error.position(),
                did_you_mean: error.suggestion().map(ToOwned::to_owned),
            }),
            ..Self::invalid(format!("filter: {error}"))
        }
    }

    /// The request makes no sense.
    pub(crate) fn invalid(message: impl Into<String>) -> Self {
        Self::new(
            StatusCode::BAD_REQUEST,
            "invalid_input",
            message,
            "mend the request as the message says; sending it again unchanged will not help",
        )
    }

    pub(crate) fn method_not_allowed() -> Self {
        Self::new(
            StatusCode::METHOD_NOT_ALLOWED,
            "method_not_allowed",
            "this path does not know this method",
            "use a method that the header `allow` names",
        )
    }

    pub(crate) fn slow() -> Self {
        Self::new(
            StatusCode::REQUEST_TIMEOUT,
            "request_timeout",
            "the body did not come in time",
            "send it again, and faster",
        )
    }

    /// The body ended before its end.
    pub(crate) fn cut_off() -> Self {
        Self::invalid("the body did not come to its end")
    }

    /// Datasets have taken all the space that they may.
    pub(crate) fn datasets_full(message: String) -> Self {
        Self::new(
            StatusCode::INSUFFICIENT_STORAGE,
            "datasets_full",
            message,
            "export fewer spans or attributes, or have old datasets removed from the server's folder",
        )
    }

    /// The store has no room for what was sent, and can't make any.
    pub(crate) fn store_full() -> Self {
        Self::new(
            StatusCode::INSUFFICIENT_STORAGE,
            "store_full",
            "what was sent does not fit into the store, and nothing can be deleted to make room for it",
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

    /// Nothing is served under the path. An exporter that adds the path of its signal to an endpoint that
    /// has one already, or does not add it, learns how it is set up.
    pub(crate) fn no_such_path(method: &Method, path: &str) -> Self {
        let new =
            |message: String, what_to_do| Self::new(StatusCode::NOT_FOUND, NO_SUCH_PATH, message, what_to_do);
        let signal = Signal::ALL.into_iter().find(|signal| {
            let own = signal.path();
            path.trim_end_matches('/').ends_with(own) || path.matches(own).count() > 1
        });
        match signal {
            Some(signal) if path.matches("/v1/").count() > 1 => new(
                format!("the path of the signal is in {path:?} twice: exporters add {} to an endpoint by themselves", signal.path()),
                "set OTEL_EXPORTER_OTLP_ENDPOINT to the address alone, as http://HOST:PORT, or the variable of the signal (OTEL_EXPORTER_OTLP_TRACES_ENDPOINT) to the whole path",
            ),
            Some(signal) => new(
                format!("{path:?} is {} with something before or behind it", signal.path()),
                "set OTEL_EXPORTER_OTLP_ENDPOINT to the address alone, as http://HOST:PORT, without a path and without a slash at its end",
            ),
            None if method == Method::POST && path.trim_matches('/').is_empty() => new(
                "nothing is taken in at the root; an exporter whose endpoint is set for one signal alone sends to it as it is".to_owned(),
                "send to /v1/traces, /v1/metrics or /v1/logs: set OTEL_EXPORTER_OTLP_ENDPOINT to the address, or OTEL_EXPORTER_OTLP_TRACES_ENDPOINT to the address with /v1/traces",
            ),
            None => new(
                "nothing is answered under this path".to_owned(),
                "ask /openapi.json which paths there are",
            ),
        }
    }

    /// Too much is asked for at one time.
    pub(crate) fn overloaded(message: &'static str) -> Self {
        Self::new(
            StatusCode::TOO_MANY_REQUESTS,
            "overloaded",
            message,
            "send the request again after the time that the header `retry-after` says",
        )
    }

    pub(crate) fn status(&self) -> StatusCode {
        self.status
    }

    /// Seconds after which the same request can be answered, if it can.
    pub(crate) fn retry_after(&self) -> Option<u8> {
        matches!(
            self.status,
            StatusCode::TOO_MANY_REQUESTS | StatusCode::SERVICE_UNAVAILABLE
        )
        .then_some(1)
    }

    /// Adds when the same request can be answered, if it can. An overloaded server ends the connection as well: one that
    /// waits for its client to ask again would keep the place from others.
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
            // Such a call there is not; what the store did not find is another matter.
            StatusCode::NOT_FOUND if self.code == NO_SUCH_PATH => 12,
            StatusCode::TOO_MANY_REQUESTS => 8,
            // Sent again it fits no better.
            StatusCode::INSUFFICIENT_STORAGE => 9,
            StatusCode::SERVICE_UNAVAILABLE => 14,
            StatusCode::INTERNAL_SERVER_ERROR => 13,
            StatusCode::REQUEST_TIMEOUT => 4,
            StatusCode::NOT_IMPLEMENTED
            | StatusCode::METHOD_NOT_ALLOWED
            | StatusCode::UNSUPPORTED_MEDIA_TYPE => 12,
            StatusCode::UNAUTHORIZED => 16,
            StatusCode::FORBIDDEN => 7,
            // The request is wrong. One that is too large as well: some SDKs send again what is
            // RESOURCE_EXHAUSTED.
            _ => 3,
        }
    }

    /// Too large as what it becomes.
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
        let message = error.to_string();
        match error.kind() {
            StoreErrorKind::InvalidInput => return Self::invalid(message),
            StoreErrorKind::NotFound => {
                return Self::new(
                    StatusCode::NOT_FOUND,
                    "not_found",
                    message,
                    "ask for the ids that are stored with POST /v1/telemetry/traces; it may have been deleted for its age",
                );
            }
            StoreErrorKind::Overloaded => {
                return Self::overloaded("more is sent or asked than can be done now");
            }
            // How large the store may be is no secret, and where it is is one.
            StoreErrorKind::Full => return Self::store_full(),
            StoreErrorKind::Unsupported => {
                return Self::new(
                    StatusCode::NOT_IMPLEMENTED,
                    "unsupported",
                    message,
                    "ask another store; sending the request again will not help",
                );
            }
            StoreErrorKind::AnswerTooLarge => {
                return Self::new(
                    StatusCode::UNPROCESSABLE_ENTITY,
                    "answer_too_large",
                    message,
                    "ask for less, or for one part after the other",
                );
            }
            StoreErrorKind::TooLong => {
                return Self::new(
                    StatusCode::UNPROCESSABLE_ENTITY,
                    "question_too_long",
                    message,
                    "ask for less, or for one part after the other",
                );
            }
            _ => {}
        }
        // Paths and what the database said are for whoever runs the server.
        tracing::error!(error = %with_causes(&error), "the store could not answer a request");
        if error.kind() == StoreErrorKind::Unavailable {
            Self::new(
                StatusCode::SERVICE_UNAVAILABLE,
                "store_unavailable",
                "the store can't answer now",
                "try again in a second; the server's log says why",
            )
        } else {
            Self::new(
                StatusCode::INTERNAL_SERVER_ERROR,
                "store_unusable",
                "the store can't be read",
                "ask whoever runs the server; its log says why",
            )
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
        let shown = Failure {
            error: Shown {
                code: self.code,
                message: &self.message,
                what_to_do: self.what_to_do,
                at: self.place.as_ref().map(|place| place.at),
                did_you_mean: self
                    .place
                    .as_ref()
                    .and_then(|place| place.did_you_mean.as_deref())
                    .map(|meant| [meant]),
            },
        };
        let text = serde_json::to_vec(&shown).unwrap_or_default(); // texts and a number can't fail
        let mut response = (self.status, HEADERS, [(CONTENT_TYPE, JSON)], text).into_response();
        self.add_headers(response.headers_mut());
        response.extensions_mut().insert(self);
        response
    }
}

/// Answers with JSON, whose memory is counted.
pub(crate) async fn json<T: Serialize + Send + 'static>(value: T) -> Result<Response, ApiError> {
    let mut text = AnswerText::new();
    // A long list is megabytes of text, which would hold up the other requests of this thread.
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
            "too many answers wait for their clients to take them",
        )),
        Err(error) => Err(ApiError::new(
            StatusCode::INTERNAL_SERVER_ERROR,
            "internal",
            format!("the answer can't be written as JSON: {error}"),
            "report this with the request that led to it",
        )),
    }
}
