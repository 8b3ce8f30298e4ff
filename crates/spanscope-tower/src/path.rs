//! The API that a path names, and whether the path is excluded.
//!
//! Paths come from the network. Nothing here decodes them, and nothing allocates.

/// The paths that are excluded by default: pages that a web framework serves about itself.
/// [`exclude_none`](crate::RequestMetricsLayerBuilder::exclude_none) removes them.
pub const DEFAULT_EXCLUDED: [&str; 5] = ["/docs", "/redoc", "/openapi.json", "/favicon.ico", "/static"];

/// Returns the API of a path: its first segment after an optional version (`v1`, `v1alpha`,
/// `v1beta1`, `v2`). Returns `None` for the root, with or without a version, and for a text that is
/// not a path (`*`).
///
/// ```
/// use spanscope_tower::api_of;
/// assert_eq!(api_of("/v1/inference/chat-completion"), Some("inference"));
/// assert_eq!(api_of("/v1beta1/datasets"), Some("datasets"));
/// assert_eq!(api_of("/health"), Some("health"));
/// assert_eq!(api_of("/library.Books/Find"), Some("library.Books")); // gRPC: the service
/// assert_eq!(api_of("/v1/"), None);
/// ```
#[must_use]
pub fn api_of(path: &str) -> Option<&str> {
    let mut segments = path
        .strip_prefix('/')?
        .split('/')
        .filter(|segment| !segment.is_empty());
    let first = segments.next()?;
    if is_version(first) {
        segments.next()
    } else {
        Some(first)
    }
}

/// Returns whether a segment is `v`, a digit, and then digits and letters.
fn is_version(segment: &str) -> bool {
    let Some(rest) = segment.strip_prefix('v') else {
        return false;
    };
    rest.starts_with(|first: char| first.is_ascii_digit())
        && rest.bytes().all(|byte| byte.is_ascii_alphanumeric())
}

/// An excluded path, and everything below it.
#[derive(Debug, Clone)]
pub(crate) struct Excluded(Box<str>);

impl Excluded {
    /// Creates it. Slashes at either end are ignored; `/` alone is the root and nothing below it.
    pub(crate) fn new(path: &str) -> Self {
        Self(format!("/{}", path.trim_matches('/')).into())
    }

    /// Returns whether it excludes a path, by whole segments: `/docs` excludes
    /// `/docs/oauth2-redirect`, and not `/docsearch`.
    pub(crate) fn covers(&self, path: &str) -> bool {
        path.strip_prefix(&*self.0)
            .is_some_and(|rest| rest.is_empty() || (rest.starts_with('/') && &*self.0 != "/"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_api_is_the_first_segment_after_a_version() {
        for (path, api) in [
            ("/v1/models", Some("models")),
            ("/v1/datasets/list", Some("datasets")),
            ("/v1alpha/agents/7", Some("agents")),
            ("/v1beta1/files", Some("files")),
            ("/v12/files", Some("files")),
            ("/models/v1/x", Some("models")),
            ("/v1/v1/x", Some("v1")),
            ("/v/models", Some("v")),
            ("/vector-io/insert", Some("vector-io")),
            ("/v1-beta/x", Some("v1-beta")),
            ("/V1/x", Some("V1")),
            ("//models//list", Some("models")),
            ("/v1//models", Some("models")),
            ("/m%C3%B6dels", Some("m%C3%B6dels")),
            ("/", None),
            ("//", None),
            ("", None),
            ("*", None),
            ("/v1", None),
            ("/v1/", None),
        ] {
            assert_eq!(api_of(path), api, "{path}");
        }
    }

    #[test]
    fn paths_are_excluded_by_whole_segments() {
        let docs = Excluded::new("/docs");
        for path in ["/docs", "/docs/", "/docs/oauth2-redirect"] {
            assert!(docs.covers(path), "{path}");
        }
        for path in ["/docsearch", "/v1/docs", "/doc", "/", ""] {
            assert!(!docs.covers(path), "{path}");
        }
        assert!(Excluded::new("health/").covers("/health"));
        assert!(Excluded::new("/").covers("/"));
        assert!(!Excluded::new("/").covers("/models"));
    }
}
