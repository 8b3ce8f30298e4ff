//! A model's address: the base URL of an OpenAI-compatible server, such as
//! `http://localhost:11434/v1`.

use hyper::Uri;
use hyper::http::uri::Scheme;

use crate::Error;
use crate::http::Place;

/// A parsed base URL.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Endpoint {
    pub(crate) place: Place,
    /// The request target of chat completions: the URL's path with the route below it, and the
    /// URL's query.
    pub(crate) target: String,
}

impl Endpoint {
    pub(crate) fn parse(url: &str) -> Result<Self, Error> {
        let url = url.trim();
        let wrong = |what: &str| Err(Error::new(format!("the URL {:?} {what}", without_secrets(url))));
        let Ok(uri) = url.parse::<Uri>() else {
            return wrong("can't be read: one such as http://localhost:8080/v1 is wanted");
        };
        let is = |scheme: &Scheme| uri.scheme() == Some(scheme);
        if is(&Scheme::HTTPS) {
            return wrong(
                "needs TLS, and this client speaks http only: have a gateway on this machine speak https for it, and name that one",
            );
        }
        let Some(authority) = uri.authority().filter(|_| is(&Scheme::HTTP)) else {
            return wrong("does not begin with http://");
        };
        if authority.as_str().contains('@') {
            return wrong("has a user in it: give the key as the API key");
        }
        let host = authority.host();
        // Not `port_u16`, which returns `None` for a port that is too large.
        let port = match authority.as_str()[host.len()..].trim_start_matches(':') {
            "" => Ok(80),
            port => port.parse(),
        };
        let (Ok(port), false) = (port, host.is_empty()) else {
            return wrong("has no host and port that one could connect to");
        };
        let query = uri.query().map_or_else(String::new, |query| format!("?{query}"));
        Ok(Self {
            place: Place {
                host: host.trim_matches(['[', ']']).to_owned(),
                port,
            },
            target: format!("{}/chat/completions{query}", uri.path().trim_end_matches('/')),
        })
    }
}

/// Returns the URL without user, password and query, which can be secret.
fn without_secrets(url: &str) -> String {
    let url = url.split(['?', '#']).next().unwrap_or_default();
    let (scheme, rest) = url.split_once("://").unwrap_or(("", url));
    let (authority, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
    let host = authority.rsplit('@').next().unwrap_or_default();
    let separator = if scheme.is_empty() { "" } else { "://" };
    format!("{scheme}{separator}{host}{path}")
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test may panic")]
mod tests {
    use super::*;

    #[test]
    fn a_base_url_determines_the_host_and_the_request_target() {
        for (url, place, target) in [
            (
                "http://127.0.0.1:8080/v1",
                "127.0.0.1:8080",
                "/v1/chat/completions",
            ),
            ("http://localhost/v1/", "localhost:80", "/v1/chat/completions"),
            (
                " HTTP://models.internal:7 ",
                "models.internal:7",
                "/chat/completions",
            ),
            (
                "http://[::1]:9/openai/v1?api-version=1",
                "[::1]:9",
                "/openai/v1/chat/completions?api-version=1",
            ),
        ] {
            let endpoint = Endpoint::parse(url).unwrap();
            assert_eq!(
                (endpoint.place.to_string().as_str(), endpoint.target.as_str()),
                (place, target),
                "{url}"
            );
        }
        assert_eq!(Endpoint::parse("http://[::1]/v1").unwrap().place.host, "::1");
    }

    #[test]
    fn an_invalid_base_url_is_reported_with_a_fix_and_without_secrets() {
        for (url, expected) in [
            ("https://api.example.com/v1?key=hunter2", "speaks http only"),
            ("https://me:hunter2@example.com/v1", "\"https://example.com/v1\""),
            ("localhost:8080", "does not begin with http://"),
            ("/v1", "does not begin with http://"),
            ("ftp://example.com/v1", "does not begin with http://"),
            ("", "can't be read"),
            ("http://", "can't be read"),
            ("http://me:hunter2@two hosts/v1", "can't be read"),
            ("http://me:hunter2@example.com/v1", "give the key as the API key"),
            ("http://example.com:99999/v1", "no host and port"),
            ("http://:80/v1", "no host and port"),
        ] {
            let error = Endpoint::parse(url).unwrap_err().to_string();
            assert!(error.contains(expected), "{url}: {error}");
            assert!(!error.contains("hunter2"), "{url}: {error}");
        }
    }
}
