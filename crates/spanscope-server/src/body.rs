//! [`JsonBody`]: the body of a query, as JSON.

pub(crate) mod marks;

use axum::body::Bytes;
use axum::extract::rejection::BytesRejection;
use axum::extract::{FromRequest, Request};
use axum::http::header::{CONTENT_LENGTH, CONTENT_TYPE};
use axum::http::{HeaderMap, StatusCode};
use serde::de::DeserializeOwned;

use self::marks::values;
use crate::answer::ApiError;
use crate::limits::is_slow;

/// Maximum length of a query's body in bytes. Queries are short; this leaves room for an event's
/// data.
pub(crate) const MAX_BODY: usize = 1024 * 1024;

/// Maximum number of values in a query. A value takes 72 bytes and a list twice as many, however
/// few bytes it has in the body.
const MAX_VALUES: usize = 50_000;

/// Maximum length of each list whose items cost the store work: conditions, matchers, orders.
pub(crate) const MAX_CONDITIONS: usize = 100;

/// A query with lists that have to be bounded.
pub(crate) trait Bounded {
    /// Returns the names of such lists, and their lengths.
    fn lists(&self) -> Vec<(&'static str, usize)> {
        Vec::new()
    }
}

/// A JSON body. A missing one is the empty query, `{}`.
///
/// A body must have the media type of JSON: browsers let foreign pages send other types without
/// asking the server first.
pub(crate) struct JsonBody<T>(pub(crate) T);

impl<S: Send + Sync, T: DeserializeOwned + Bounded> FromRequest<S> for JsonBody<T> {
    type Rejection = ApiError;

    async fn from_request(request: Request, state: &S) -> Result<Self, ApiError> {
        // A body that declares too large a length is not read.
        let length = request.headers().get(CONTENT_LENGTH);
        let length = length.and_then(|length| length.to_str().ok()?.parse::<u64>().ok());
        if length.is_some_and(|length| usize::try_from(length).map_or(true, |length| length > MAX_BODY)) {
            return Err(ApiError::too_large(MAX_BODY));
        }
        let is_json = is_json(request.headers());
        let body = Bytes::from_request(request, state).await?;
        if body.is_empty() {
            return read(b"{}");
        }
        if !is_json {
            return Err(ApiError::new(
                StatusCode::UNSUPPORTED_MEDIA_TYPE,
                "unsupported_media_type",
                "the body is not declared as JSON",
                "send JSON, with the header `content-type: application/json`",
            ));
        }
        read(&body)
    }
}

impl From<BytesRejection> for ApiError {
    fn from(rejection: BytesRejection) -> Self {
        if rejection.status() == StatusCode::PAYLOAD_TOO_LARGE {
            Self::too_large(MAX_BODY)
        } else if is_slow(&rejection) {
            Self::slow()
        } else {
            Self::cut_off()
        }
    }
}

fn read<T: DeserializeOwned + Bounded>(text: &[u8]) -> Result<JsonBody<T>, ApiError> {
    if values(text) > MAX_VALUES {
        return Err(ApiError::new(
            StatusCode::PAYLOAD_TOO_LARGE,
            "body_too_large",
            format!("the body has more than {MAX_VALUES} values"),
            "send fewer",
        ));
    }
    // serde would take a list for the fields in the order of the code.
    if text.trim_ascii_start().starts_with(b"[") {
        return Err(ApiError::invalid(
            "the body is a list: send an object, {\"field\": ...}",
        ));
    }
    let mut reader = serde_json::Deserializer::from_slice(text);
    let read: T = serde_path_to_error::deserialize(&mut reader).map_err(|error| {
        let place = error.path().to_string();
        let error = error.into_inner();
        if place == "." {
            return ApiError::invalid(format!("the body: {error}"));
        }
        // The field's name is enough of a position; bodies rarely have lines.
        let lines = format!(" at line {} column {}", error.line(), error.column());
        let error = error.to_string();
        let error = error.strip_suffix(&lines).unwrap_or(&error);
        ApiError::invalid(format!("the body, at {place}: {error}"))
    })?;
    reader
        .end()
        .map_err(|error| ApiError::invalid(format!("the body, after its end: {error}")))?;
    let long = read
        .lists()
        .into_iter()
        .find(|(_, length)| *length > MAX_CONDITIONS);
    if let Some((name, length)) = long {
        return Err(ApiError::invalid(format!(
            "{name} has {length} items: give at most {MAX_CONDITIONS}"
        )));
    }
    Ok(JsonBody(read))
}

fn is_json(headers: &HeaderMap) -> bool {
    let kind = headers.get(CONTENT_TYPE).and_then(|kind| kind.to_str().ok());
    let kind = kind.and_then(|kind| kind.split(';').next());
    kind.is_some_and(|kind| {
        let kind = kind.trim().to_ascii_lowercase();
        kind == "application/json" || (kind.starts_with("application/") && kind.ends_with("+json"))
    })
}
