//! [`AllowedOrigin`] and [`AllowedHost`]: other pages and names from which a server accepts
//! requests.
//!
//! Before a non-simple request to another origin, a browser asks the server (a preflight of CORS),
//! without the token of the request itself. So preflights of allowed origins are handled before any
//! check of the caller. Their response only says that the origin is allowed.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use axum::Router;
use axum::extract::{Request, State};
use axum::http::header::{
    ACCESS_CONTROL_ALLOW_HEADERS, ACCESS_CONTROL_ALLOW_METHODS, ACCESS_CONTROL_ALLOW_ORIGIN,
    ACCESS_CONTROL_EXPOSE_HEADERS, ACCESS_CONTROL_MAX_AGE, ACCESS_CONTROL_REQUEST_HEADERS,
    ACCESS_CONTROL_REQUEST_METHOD, HeaderName, ORIGIN, VARY,
};
use axum::http::uri::Authority;
use axum::http::{HeaderValue, Method, StatusCode};
use axum::middleware::{Next, from_fn_with_state};
use axum::response::{IntoResponse, Response};

/// How long a browser may cache the response, in seconds.
const MAX_AGE: HeaderValue = HeaderValue::from_static("600");
const METHODS: HeaderValue = HeaderValue::from_static("GET, POST, DELETE");
const EXPOSED: HeaderValue = HeaderValue::from_static("retry-after");
/// Set by browsers when a page from the network requests an address of this machine.
const TO_PRIVATE: HeaderName = HeaderName::from_static("access-control-request-private-network");
const MAY_TO_PRIVATE: HeaderName = HeaderName::from_static("access-control-allow-private-network");

/// The origin of web pages: scheme, host and port.
///
/// ```
/// use spanscope_server::AllowedOrigin;
///
/// let origin: AllowedOrigin = "http://localhost:3000".parse()?;
/// assert_eq!(origin.to_string(), "http://localhost:3000");
/// assert!("*".parse::<AllowedOrigin>().is_err());
/// # Ok::<(), spanscope_server::ParseGuestError>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AllowedOrigin(String);

/// A host name by which a server may be reached, such as `host.docker.internal`.
///
/// ```
/// use spanscope_server::AllowedHost;
///
/// let host: AllowedHost = "host.docker.internal".parse()?;
/// assert_eq!(host.to_string(), "host.docker.internal");
/// assert!("http://host.docker.internal".parse::<AllowedHost>().is_err());
/// # Ok::<(), spanscope_server::ParseGuestError>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AllowedHost(String);

/// The error of a text that is not an origin or not a host name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ParseGuestError(String);

impl fmt::Display for ParseGuestError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for ParseGuestError {}

impl fmt::Display for AllowedOrigin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Display for AllowedHost {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl FromStr for AllowedOrigin {
    type Err = ParseGuestError;

    fn from_str(text: &str) -> Result<Self, ParseGuestError> {
        let lower = text.to_ascii_lowercase();
        let parts = lower.split_once("://");
        let origin = parts.and_then(|(scheme, authority)| {
            let authority: Authority = authority.parse().ok()?;
            let is_origin = !scheme.is_empty()
                && scheme
                    .bytes()
                    .all(|byte| byte.is_ascii_alphanumeric() || b"+-.".contains(&byte))
                && is_name(authority.host())
                && !authority.as_str().contains('@');
            // As browsers write it.
            let port = authority.port_u16().filter(|port| {
                let default = match scheme {
                    "http" => Some(80),
                    "https" => Some(443),
                    _ => None,
                };
                default != Some(*port)
            });
            is_origin.then(|| match port {
                Some(port) => format!("{scheme}://{}:{port}", authority.host()),
                None => format!("{scheme}://{}", authority.host()),
            })
        });
        origin.map(Self).ok_or_else(|| {
            ParseGuestError(format!(
                "{text:?} is not an origin of web pages: write scheme, host and port only, as http://localhost:3000, one per flag"
            ))
        })
    }
}

impl FromStr for AllowedHost {
    type Err = ParseGuestError;

    fn from_str(text: &str) -> Result<Self, ParseGuestError> {
        let name = text.trim_end_matches('.').to_ascii_lowercase();
        let authority: Option<Authority> = name.parse().ok();
        match authority {
            Some(authority) if authority.as_str() == authority.host() && is_name(authority.host()) => {
                Ok(Self(name))
            }
            _ => Err(ParseGuestError(format!(
                "{text:?} is not a host name: write only the name, without a scheme and a port, as \
                 host.docker.internal"
            ))),
        }
    }
}

/// Whether this names one host: no wildcards.
fn is_name(host: &str) -> bool {
    !host.is_empty() && !host.contains(['*', '%', '_', '\''])
}

/// The allowed origins and hosts.
#[derive(Debug, Clone, Default)]
pub(crate) struct Guests {
    pub(crate) origins: Arc<[AllowedOrigin]>,
    pub(crate) hosts: Arc<[AllowedHost]>,
}

impl Guests {
    pub(crate) fn has_host(&self, name: &str) -> bool {
        self.hosts.iter().any(|host| host.0 == name)
    }

    /// The one origin that a request names, if it is allowed.
    fn origin(&self, request: &Request) -> Option<HeaderValue> {
        let mut all = request.headers().get_all(ORIGIN).iter();
        let (Some(only), None) = (all.next(), all.next()) else {
            return None;
        };
        let is_allowed = self
            .origins
            .iter()
            .any(|origin| only.as_bytes().eq_ignore_ascii_case(origin.0.as_bytes()));
        is_allowed.then(|| only.clone())
    }
}

/// An extension of requests from pages of an allowed origin.
#[derive(Debug, Clone, Copy)]
pub(crate) struct FromAllowedPage;

/// Handles preflights from pages of allowed origins, and lets these read the responses.
pub(crate) fn with_guests(router: Router, guests: Guests) -> Router {
    if guests.origins.is_empty() {
        return router;
    }
    router.layer(from_fn_with_state(guests, allow))
}

async fn allow(State(guests): State<Guests>, mut request: Request, next: Next) -> Response {
    let Some(origin) = guests.origin(&request) else {
        return next.run(request).await;
    };
    let headers = request.headers();
    let is_preflight =
        request.method() == Method::OPTIONS && headers.contains_key(ACCESS_CONTROL_REQUEST_METHOD);
    let mut response = if is_preflight {
        let asked = headers.get(ACCESS_CONTROL_REQUEST_HEADERS).cloned();
        let to_private = headers.contains_key(TO_PRIVATE);
        let mut response = StatusCode::NO_CONTENT.into_response();
        let headers = response.headers_mut();
        headers.insert(ACCESS_CONTROL_ALLOW_METHODS, METHODS);
        headers.insert(ACCESS_CONTROL_MAX_AGE, MAX_AGE);
        if let Some(asked) = asked {
            headers.insert(ACCESS_CONTROL_ALLOW_HEADERS, asked);
        }
        if to_private {
            headers.insert(MAY_TO_PRIVATE, HeaderValue::from_static("true"));
        }
        response
    } else {
        request.extensions_mut().insert(FromAllowedPage);
        next.run(request).await
    };
    let headers = response.headers_mut();
    headers.insert(ACCESS_CONTROL_ALLOW_ORIGIN, origin);
    headers.insert(ACCESS_CONTROL_EXPOSE_HEADERS, EXPOSED);
    headers.append(VARY, HeaderValue::from_static("origin"));
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn origins_are_kept_as_browsers_write_them() {
        for (text, origin) in [
            ("http://localhost:3000", "http://localhost:3000"),
            ("HTTPS://App.Example", "https://app.example"),
            ("http://localhost:80", "http://localhost"),
            ("https://a.b:443", "https://a.b"),
            ("http://[::1]:3000", "http://[::1]:3000"),
            ("chrome-extension://abcdef", "chrome-extension://abcdef"),
        ] {
            let parsed = text.parse::<AllowedOrigin>().map(|origin| origin.to_string());
            assert_eq!(parsed.as_deref(), Ok(origin));
        }
        for wrong in [
            "*",
            "null",
            "",
            "localhost:3000",
            "http://",
            "http://*.example",
            "http://a/b",
            "http://a/",
            "http://u@a",
        ] {
            assert!(wrong.parse::<AllowedOrigin>().is_err(), "{wrong}");
        }
    }

    #[test]
    fn hosts_are_names_alone() {
        let parsed = "Host.Docker.Internal."
            .parse::<AllowedHost>()
            .map(|host| host.to_string());
        assert_eq!(parsed.as_deref(), Ok("host.docker.internal"));
        for wrong in ["", "*", "*.a", "a:1", "http://a", "a/b", "u@a", "a b"] {
            assert!(wrong.parse::<AllowedHost>().is_err(), "{wrong}");
        }
    }
}
