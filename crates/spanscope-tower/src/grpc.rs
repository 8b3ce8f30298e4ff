//! The gRPC data of an HTTP request and its response: method and status code.
//!
//! The span has the names of the current RPC conventions (`rpc.system.name`, `rpc.method`,
//! `rpc.response.status_code`) and those of the versions up to 1.37 that don't contradict them
//! (`rpc.system`, `rpc.service`, `rpc.grpc.status_code`), like the conventions' mode `rpc/dup`, so
//! that tools for either version find their names.

use http::HeaderMap;
use http::header::CONTENT_TYPE;
use tracing::Span;

/// Maximum length of a method's name, because it comes from the network.
const MAX_METHOD_LEN: usize = 255;

/// Returns `library.Books/Find`, if the request is a gRPC call.
pub(crate) fn method_of<'a>(headers: &HeaderMap, path: &'a str) -> Option<&'a str> {
    let kind = headers.get(CONTENT_TYPE)?.as_bytes();
    let rest = kind.strip_prefix(b"application/grpc")?;
    // `application/grpc-web` has its trailers in the body.
    if !matches!(rest.first(), None | Some(b'+' | b';' | b' ')) {
        return None;
    }
    let method = path.strip_prefix('/')?;
    let (service, name) = method.split_once('/')?;
    let is_method = !service.is_empty() && !name.is_empty() && !name.contains('/');
    (is_method && method.len() <= MAX_METHOD_LEN).then_some(method)
}

/// Returns `library.Books`, of a method that [`method_of`] returned.
pub(crate) fn service_of(method: &str) -> &str {
    method.split_once('/').map_or(method, |(service, _)| service)
}

/// A status code of gRPC.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct GrpcCode(u8);

const NAMES: [&str; 17] = [
    "OK",
    "CANCELLED",
    "UNKNOWN",
    "INVALID_ARGUMENT",
    "DEADLINE_EXCEEDED",
    "NOT_FOUND",
    "ALREADY_EXISTS",
    "PERMISSION_DENIED",
    "RESOURCE_EXHAUSTED",
    "FAILED_PRECONDITION",
    "ABORTED",
    "OUT_OF_RANGE",
    "UNIMPLEMENTED",
    "INTERNAL",
    "UNAVAILABLE",
    "DATA_LOSS",
    "UNAUTHENTICATED",
];

impl GrpcCode {
    /// Reads it from trailers, or from the headers of a response that consists of trailers. A code
    /// that gRPC doesn't define counts as `UNKNOWN`, as in gRPC's own clients.
    pub(crate) fn of(headers: &HeaderMap) -> Option<Self> {
        let code = headers.get("grpc-status")?.to_str().ok();
        let code = code.and_then(|code| code.parse::<u8>().ok());
        Some(Self(
            code.filter(|code| usize::from(*code) < NAMES.len()).unwrap_or(2),
        ))
    }

    pub(crate) fn name(self) -> &'static str {
        NAMES[usize::from(self.0)]
    }

    /// Returns whether it is an error of the call, as the client sees it.
    pub(crate) fn is_client_error(self) -> bool {
        self.0 != 0
    }

    /// Returns whether it is an error of the server; the other codes are errors of the client, or
    /// expected results such as a cancellation.
    pub(crate) fn is_server_error(self) -> bool {
        matches!(
            self.name(),
            "UNKNOWN" | "DEADLINE_EXCEEDED" | "UNIMPLEMENTED" | "INTERNAL" | "UNAVAILABLE" | "DATA_LOSS"
        )
    }

    /// Writes it into the fields that a request's span declares for it.
    pub(crate) fn record(self, span: &Span) {
        span.record("rpc.response.status_code", self.name());
        span.record("rpc.grpc.status_code", self.0);
    }
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    fn method<'a>(kind: &'static str, path: &'a str) -> Option<&'a str> {
        let mut headers = HeaderMap::new();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static(kind));
        method_of(&headers, path)
    }

    #[test]
    fn a_call_is_recognized_by_its_content_type_and_the_form_of_its_path() {
        for kind in [
            "application/grpc",
            "application/grpc+proto",
            "application/grpc;charset=x",
        ] {
            assert_eq!(
                method(kind, "/library.Books/Find"),
                Some("library.Books/Find"),
                "{kind}"
            );
        }
        for (kind, path) in [
            ("application/grpc-web", "/library.Books/Find"),
            ("application/json", "/library.Books/Find"),
            ("application/grpc", "/library.Books"),
            ("application/grpc", "/a/b/c"),
            ("application/grpc", "//Find"),
            ("application/grpc", "*"),
        ] {
            assert_eq!(method(kind, path), None, "{kind} {path}");
        }
        let long = format!("/{}/Find", "a".repeat(MAX_METHOD_LEN));
        assert_eq!(method("application/grpc", &long), None);
        assert_eq!(service_of("library.Books/Find"), "library.Books");
    }

    #[test]
    fn codes_are_read_from_trailers_and_classified_for_each_side() {
        let code = |value: &'static str| {
            let mut trailers = HeaderMap::new();
            trailers.insert("grpc-status", HeaderValue::from_static(value));
            GrpcCode::of(&trailers).map(|code| (code.name(), code.is_client_error(), code.is_server_error()))
        };
        assert_eq!(code("0"), Some(("OK", false, false)));
        assert_eq!(code("5"), Some(("NOT_FOUND", true, false)));
        assert_eq!(code("14"), Some(("UNAVAILABLE", true, true)));
        assert_eq!(code("99"), Some(("UNKNOWN", true, true)));
        assert_eq!(code("many"), Some(("UNKNOWN", true, true)));
        assert_eq!(GrpcCode::of(&HeaderMap::new()), None);
    }
}
