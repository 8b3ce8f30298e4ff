//! The parts of a request that labels and span use, read once. They have a bounded number of
//! values.

use http::{Method, Request, Version};

/// The methods of RFC 9110, PATCH (RFC 5789) and QUERY. Any other one is [`OTHER_METHOD`], because
/// a client may send any word.
pub(crate) const METHODS: [&str; 11] = [
    "GET", "POST", "PUT", "DELETE", "HEAD", "OPTIONS", "PATCH", "CONNECT", "TRACE", "QUERY", "_OTHER",
];

/// The index of an unknown method.
const OTHER_METHOD: usize = METHODS.len() - 1;

/// The schemes that a request may have.
pub(crate) const SCHEMES: [&str; 2] = ["http", "https"];

/// The labels of every measurement of a request.
#[derive(Debug, Clone, Copy)]
pub(crate) struct RequestLabels {
    method: u8,
    is_https: bool,
    /// The version of HTTP; empty if it is an unknown one.
    pub(crate) version: &'static str,
}

impl RequestLabels {
    /// Reads them. A client of HTTP/1 doesn't send its scheme; it is then that of the server, by
    /// `is_https`.
    pub(crate) fn of<B>(request: &Request<B>, is_https: bool) -> Self {
        Self::new(
            request.method(),
            request.uri().scheme_str(),
            request.version(),
            is_https,
        )
    }

    /// Reads them from the parts of a request.
    pub(crate) fn new(method: &Method, scheme: Option<&str>, version: Version, is_https: bool) -> Self {
        let method = method.as_str();
        let method = METHODS[..OTHER_METHOD]
            .iter()
            .position(|known| *known == method)
            .unwrap_or(OTHER_METHOD);
        let is_https = match scheme {
            Some("https") => true,
            Some("http") => false,
            _ => is_https,
        };
        Self {
            method: u8::try_from(method).unwrap_or_default(),
            is_https,
            version: version_text(version),
        }
    }

    /// Returns a known method, or `_OTHER`.
    pub(crate) fn method(self) -> &'static str {
        METHODS[usize::from(self.method)]
    }

    /// Returns whether the method is one of the known ones.
    pub(crate) fn is_known_method(self) -> bool {
        usize::from(self.method) != OTHER_METHOD
    }

    pub(crate) fn scheme(self) -> &'static str {
        SCHEMES[usize::from(self.is_https)]
    }

    /// Returns the method in a span's name, where the conventions require HTTP for an unknown one.
    pub(crate) fn name(self) -> &'static str {
        if self.is_known_method() {
            self.method()
        } else {
            "HTTP"
        }
    }

    /// Returns the default port of this scheme.
    pub(crate) fn default_port(self) -> u16 {
        if self.is_https { 443 } else { 80 }
    }

    /// Returns the index among all pairs of method and scheme.
    pub(crate) fn index(self) -> usize {
        usize::from(self.method) * SCHEMES.len() + usize::from(self.is_https)
    }

    /// Returns whether the response's body, if there is one, is never sent to this client: after
    /// HEAD, and if the connection becomes a tunnel or another protocol.
    pub(crate) fn ends_with_head(self, status: http::StatusCode) -> bool {
        match self.method() {
            "HEAD" => true,
            "CONNECT" if status.is_success() => true,
            _ => status.is_informational() || matches!(status.as_u16(), 204 | 304),
        }
    }
}

/// Returns the value of `network.protocol.version`; empty for an unknown version.
pub(crate) fn version_text(version: Version) -> &'static str {
    match version {
        Version::HTTP_09 => "0.9",
        Version::HTTP_10 => "1.0",
        Version::HTTP_11 => "1.1",
        Version::HTTP_2 => "2",
        Version::HTTP_3 => "3",
        _ => "",
    }
}

#[cfg(test)]
mod tests {
    use http::StatusCode;

    use super::*;

    fn labels(method: &str, uri: &str) -> Option<RequestLabels> {
        let request = Request::builder().method(method).uri(uri).body(()).ok()?;
        Some(RequestLabels::of(&request, false))
    }

    #[test]
    fn an_unknown_method_or_scheme_is_not_a_label() {
        let made_up = labels("BREW", "coffee://pot/x").map(|labels| (labels.method(), labels.scheme()));
        assert_eq!(made_up, Some(("_OTHER", "http")));
        let query = labels("QUERY", "https://host/x").map(|labels| (labels.method(), labels.scheme()));
        assert_eq!(query, Some(("QUERY", "https")));
        assert_eq!(
            labels("get", "/").map(RequestLabels::is_known_method),
            Some(false)
        );
    }

    #[test]
    fn responses_without_a_body_end_with_their_head() {
        let ends = |method, status| labels(method, "/").map(|labels| labels.ends_with_head(status));
        assert_eq!(ends("HEAD", StatusCode::OK), Some(true));
        assert_eq!(ends("GET", StatusCode::SWITCHING_PROTOCOLS), Some(true));
        assert_eq!(ends("GET", StatusCode::NO_CONTENT), Some(true));
        assert_eq!(ends("GET", StatusCode::NOT_MODIFIED), Some(true));
        assert_eq!(ends("CONNECT", StatusCode::OK), Some(true));
        assert_eq!(ends("CONNECT", StatusCode::FORBIDDEN), Some(false));
        assert_eq!(ends("GET", StatusCode::OK), Some(false));
    }
}
