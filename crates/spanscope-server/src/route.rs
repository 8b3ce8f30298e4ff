//! [`matched_route`]: the route of a request, for whoever measures requests.

use axum::extract::MatchedPath;
use axum::http::Extensions;

/// The route that a request to one of this crate's routers matched, with its parameters' names in braces; `None`
/// where it matched none.
///
/// It is known to a layer that [`Server::map_router`](crate::Server::map_router) puts around the routes.
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
