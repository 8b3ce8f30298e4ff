//! An outgoing request, with common access to the request types that the layer knows.

use std::borrow::Cow;

use http::{Extensions, HeaderMap, Method, Request, Uri, Version};
use spanscope_model::semconv::mask_text;

/// A request that a client is about to send, as the closures of a
/// [`ClientLayerBuilder`](crate::ClientLayerBuilder) see it.
#[derive(Debug, Clone, Copy)]
pub struct ClientRequest<'a> {
    pub(crate) method: &'a Method,
    pub(crate) scheme: Option<&'a str>,
    pub(crate) host: Option<&'a str>,
    pub(crate) port: Option<u16>,
    pub(crate) path: &'a str,
    pub(crate) url: UrlText<'a>,
    /// Whether credentials or a query, which may hold secrets, are in the URL.
    pub(crate) may_hold_secrets: bool,
    pub(crate) headers: &'a HeaderMap,
    pub(crate) version: Version,
    pub(crate) extensions: Option<&'a Extensions>,
}

/// The parts that the text of a URL consists of.
#[derive(Debug, Clone, Copy)]
pub(crate) enum UrlText<'a> {
    Whole(&'a Uri),
    /// A path and query, below an origin.
    Below(&'a Uri, &'a Uri),
    #[cfg(feature = "reqwest")]
    Text(&'a str),
}

impl<'a> ClientRequest<'a> {
    /// Reads a request. If its URI has no host, the host is that of the origin, else that of the
    /// header `host`.
    pub(crate) fn of<B>(request: &'a Request<B>, origin: Option<&'a Uri>) -> Self {
        let uri = request.uri();
        let (whole, url) = match origin {
            Some(origin) if uri.authority().is_none() => (origin, UrlText::Below(origin, uri)),
            _ => (uri, UrlText::Whole(uri)),
        };
        let (host, port, has_credentials) = match whole.authority() {
            Some(authority) => {
                let authority = authority.as_str();
                let at = authority.bytes().rposition(|byte| byte == b'@');
                let (host, port) = split_port(&authority[at.map_or(0, |at| at + 1)..]);
                (Some(host), port, at.is_some())
            }
            None => {
                let (host, port) = host_header(request.headers());
                (host, port, false)
            }
        };
        Self {
            method: request.method(),
            scheme: whole.scheme_str(),
            host: host.map(without_brackets),
            port,
            path: uri.path(),
            url,
            may_hold_secrets: has_credentials || uri.query().is_some(),
            headers: request.headers(),
            version: request.version(),
            extensions: Some(request.extensions()),
        }
    }

    /// Reads one of reqwest's requests.
    #[cfg(feature = "reqwest")]
    pub(crate) fn of_reqwest(request: &'a reqwest::Request, extensions: Option<&'a Extensions>) -> Self {
        let url = request.url();
        Self {
            method: request.method(),
            scheme: Some(url.scheme()),
            host: url.host_str().map(without_brackets),
            port: url.port(),
            path: url.path(),
            url: UrlText::Text(url.as_str()),
            may_hold_secrets: url.has_authority() && (!url.username().is_empty() || url.password().is_some())
                || url.query().is_some()
                || url.fragment().is_some(),
            headers: request.headers(),
            version: request.version(),
            extensions,
        }
    }

    /// Returns the request's method.
    #[must_use]
    pub fn method(&self) -> &'a Method {
        self.method
    }

    /// Returns the destination host, without a port and without the brackets of an IPv6 address;
    /// `None` if neither the URL, nor [`origin`](crate::ClientLayerBuilder::origin), nor the header
    /// `host` names one.
    #[must_use]
    pub fn host(&self) -> Option<&'a str> {
        self.host
    }

    /// Returns the path, as it is sent.
    #[must_use]
    pub fn path(&self) -> &'a str {
        self.path
    }

    /// Returns the request's headers, before the layer adds its own.
    #[must_use]
    pub fn headers(&self) -> &'a HeaderMap {
        self.headers
    }

    /// Returns the extensions of the `http` request, or those of `reqwest-middleware`; `None` for a
    /// bare `reqwest` request, whose extensions are private.
    #[must_use]
    pub fn extensions(&self) -> Option<&'a Extensions> {
        self.extensions
    }

    /// Returns the attribute `url.full`, without credentials and with the secrets of the query
    /// masked.
    pub(crate) fn full_url(&self) -> Option<Cow<'a, str>> {
        self.host?;
        let url: Cow<'_, str> = match self.url {
            // A path below a host that only a header names, or a host alone.
            UrlText::Whole(uri) if uri.scheme().is_none() => return None,
            UrlText::Whole(uri) => url_text(uri, uri).into(),
            UrlText::Below(origin, uri) => url_text(origin, uri).into(),
            #[cfg(feature = "reqwest")]
            UrlText::Text(text) => Cow::Borrowed(text),
        };
        Some(match self.may_hold_secrets {
            true => mask_text(&url).into_owned().into(),
            false => url,
        })
    }
}

/// Returns the URL of a path and query at the server of an origin.
fn url_text(origin: &Uri, uri: &Uri) -> String {
    let authority = origin.authority().map_or("", |authority| authority.as_str());
    let path = uri.path_and_query().map_or("", |path| path.as_str());
    [origin.scheme_str().unwrap_or("http"), "://", authority, path].concat()
}

fn host_header(headers: &HeaderMap) -> (Option<&str>, Option<u16>) {
    let host = headers
        .get(http::header::HOST)
        .and_then(|host| host.to_str().ok());
    let Some(host) = host.filter(|host| !host.is_empty()) else {
        return (None, None);
    };
    let (host, port) = split_port(host);
    (Some(host), port)
}

/// Splits a port off a host. The colons of an IPv6 address are in brackets.
fn split_port(host: &str) -> (&str, Option<u16>) {
    match host.bytes().rposition(|byte| matches!(byte, b':' | b']')) {
        Some(colon) if colon > 0 && host.as_bytes()[colon] == b':' => {
            (&host[..colon], host[colon + 1..].parse().ok())
        }
        _ => (host, None),
    }
}

pub(super) fn without_brackets(host: &str) -> &str {
    let inside = host.strip_prefix('[').and_then(|host| host.strip_suffix(']'));
    inside.unwrap_or(host)
}

/// The template of a request's path (`/users/{id}`), for the name of its span and the attribute
/// `url.template`.
///
/// Put it into the extensions of an [`http::Request`], or of `reqwest-middleware`'s request
/// builder. Never derive it from the path: there must be few templates.
///
/// ```
/// use spanscope_tower::UrlTemplate;
///
/// let request = http::Request::get("https://api.example.com/users/7")
///     .extension(UrlTemplate::new("/users/{id}"))
///     .body(())?;
/// # Ok::<(), http::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct UrlTemplate(Cow<'static, str>);

impl UrlTemplate {
    /// Creates a template, in any notation.
    #[must_use]
    pub fn new(template: impl Into<Cow<'static, str>>) -> Self {
        Self(template.into())
    }

    /// Returns the text of the template.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// The ordinal number of a repeated attempt, from 1 for the first one, for the attribute
/// `http.request.resend_count`.
///
/// A retry policy outside the layer puts it into the extensions of the [`http::Request`] that it
/// sends again. `reqwest-middleware` needs none: the layer counts there.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct ResendCount(pub u32);

#[cfg(test)]
mod tests {
    use super::*;

    fn request(uri: &str) -> Request<()> {
        Request::get(uri).body(()).unwrap_or_default()
    }

    #[test]
    fn host_and_port_come_from_the_url_the_origin_or_the_header() {
        let origin = Uri::from_static("https://[::1]:8443");
        let whole = request("http://EXAMPLE.com/x");
        let read = ClientRequest::of(&whole, Some(&origin));
        assert_eq!(
            (read.host, read.port, read.scheme),
            (Some("EXAMPLE.com"), None, Some("http"))
        );
        let mut below = request("/x?y=1");
        let read = ClientRequest::of(&below, Some(&origin));
        assert_eq!(
            (read.host, read.port, read.scheme),
            (Some("::1"), Some(8443), Some("https"))
        );
        assert_eq!(
            read.full_url().map(|url| url.to_string()).as_deref(),
            Some("https://[::1]:8443/x?y=1")
        );
        for (header, host, port) in [
            ("api:80", Some("api"), Some(80)),
            ("api", Some("api"), None),
            ("[::1]", Some("::1"), None),
            ("[::1]:80", Some("::1"), Some(80)),
            ("", None, None),
        ] {
            below
                .headers_mut()
                .insert("host", http::HeaderValue::from_static(header));
            let read = ClientRequest::of(&below, None);
            assert_eq!((read.host, read.port), (host, port), "{header}");
            assert!(read.full_url().is_none());
        }
    }

    #[test]
    fn a_url_shows_no_credentials_and_no_secrets() {
        let shown = |uri| {
            let request = request(uri);
            ClientRequest::of(&request, None)
                .full_url()
                .map(|url| url.to_string())
                .unwrap_or_default()
        };
        assert_eq!(shown("http://host/a?b=c"), "http://host/a?b=c");
        assert_eq!(shown("http://me:hunter2@host/a"), "http://[masked]@host/a");
        assert_eq!(
            shown("http://host/a?api_key=hunter2&b=c"),
            "http://host/a?api_key=[masked]&b=c"
        );
    }
}
