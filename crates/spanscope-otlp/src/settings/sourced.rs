//! A configured URL, and the part that a message may show: user, password and query may be secret.

use std::fmt;

use http::Uri;

/// A URL, and its origin.
#[derive(Clone)]
pub(crate) struct Located {
    pub(crate) place: String,
    pub(crate) text: String,
}

/// Omits the parts of the URL that may be secret.
impl fmt::Debug for Located {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?} of {}", shown(&self.text), self.place)
    }
}

/// Returns a URL without its possibly secret parts: user and password, query.
pub(crate) fn shown_uri(uri: &Uri) -> String {
    let port = uri.port_u16().map(|port| format!(":{port}")).unwrap_or_default();
    let (scheme, host) = (
        uri.scheme_str().unwrap_or_default(),
        uri.host().unwrap_or_default(),
    );
    format!("{scheme}://{host}{port}{}", uri.path())
}

/// Returns a text that may not be a URL without its possibly secret parts. A password can contain
/// any character, so everything up to the last `@` is left out.
pub(crate) fn shown(url: &str) -> String {
    let (scheme, rest) = match url.split_once("://") {
        Some((scheme, rest)) => (format!("{scheme}://"), rest),
        None => (String::new(), url),
    };
    let rest = rest.rsplit_once('@').map_or(rest, |(_, rest)| rest);
    let rest = rest.split(['?', '#']).next().unwrap_or_default();
    format!("{scheme}{rest}")
}
