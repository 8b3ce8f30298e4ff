//! [`matched_route`]: the route of a request, for middleware that measures requests.

use axum::extract::MatchedPath;
use axum::http::Extensions;

/// Returns the route of a request to one of this crate's routers, with its parameters' names in
/// braces; `None` if none matched.
///
/// It is available to a layer that [`Server::map_router`](crate::Server::map_router) puts around
/// the routes.
///
/// ```
/// use spanscope_server::matched_route;
///
/// assert_eq!(matched_route(&axum::http::Extensions::new()), None);
/// ```
#[must_use]
pub fn matched_route(extensions: &Extensions) -> Option<String> {
    Some(extensions.get::<MatchedPath>()?.as_str().to_owned())
}
