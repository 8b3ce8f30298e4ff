//! [`local_only`]: protects an API for this machine's programs from web pages.
//!
//! A server on a loopback address is only reachable from this machine, but that includes the
//! browser of its user: a page can send requests to it, and a page whose owner has pointed its name
//! to 127.0.0.1 could read the responses too. The header `Origin` reveals the first, `Host` the
//! second.

use std::net::IpAddr;

use axum::Router;
use axum::extract::{Request, State};
use axum::http::StatusCode;
use axum::http::header::{HOST, ORIGIN};
use axum::http::uri::Authority;
use axum::middleware::{Next, from_fn_with_state};
use axum::response::{IntoResponse, Response};

use crate::answer::ApiError;
use crate::cross_origin::{FromAllowedPage, Guests};

/// Responds 403 to requests that come from a page of another origin, or were sent to a name that is
/// not this machine's own.
///
/// Accepted hosts are `localhost`, names that end with `.localhost`, and loopback addresses, with
/// any port. A header `Origin`, which browsers send, has to name the same host and port. This does
/// not restrict who may connect: listen on a loopback address.
///
/// ```
/// let app = axum::Router::new().route("/", axum::routing::get(async || "hello"));
/// let app: axum::Router = spanscope_server::local_only(app);
/// ```
pub fn local_only(router: Router) -> Router {
    local_and(router, Guests::default())
}

/// Does the same as [`local_only`], and also accepts pages of the allowed origins and requests to
/// the allowed names.
pub(crate) fn local_and(router: Router, guests: Guests) -> Router {
    router.layer(from_fn_with_state(guests, check))
}

async fn check(State(guests): State<Guests>, request: Request, next: Next) -> Response {
    match refusal(&request, &guests) {
        None => next.run(request).await,
        Some(error) => error.into_response(),
    }
}

fn refusal(request: &Request, guests: &Guests) -> Option<ApiError> {
    let host = host_of(request);
    let named = host.as_ref().map(Authority::to_string).unwrap_or_default();
    let Some(host) = host.filter(|host| is_allowed(host.host(), guests)) else {
        return Some(ApiError::new(
            StatusCode::FORBIDDEN,
            "wrong_host",
            format!("this server only accepts names of this machine, and not {named:?}"),
            "use http://localhost or http://127.0.0.1 with the server's port, or start `spanscope serve` with \
             --allow-host NAME",
        ));
    };
    if request.extensions().get::<FromAllowedPage>().is_some() {
        return None;
    }
    let mut origins = request.headers().get_all(ORIGIN).iter();
    let all_own = origins.all(|origin| {
        let origin = origin.to_str().unwrap_or_default();
        let authority = origin
            .strip_prefix("http://")
            .or_else(|| origin.strip_prefix("https://"));
        authority.is_some_and(|authority| authority.eq_ignore_ascii_case(host.as_str()))
    });
    (!all_own).then(|| {
        ApiError::new(
            StatusCode::FORBIDDEN,
            "wrong_origin",
            "pages of another origin may not send requests to this server",
            "send requests from a page of this server, or from a program without the header `origin`, or start `spanscope serve` \
             with --allow-origin ORIGIN",
        )
    })
}

/// Returns whether a request seems to come from a program of this machine, and through no proxy.
/// A client can forge that, so it may decide whether to compress a response, but not who may read
/// it.
#[cfg(feature = "pages")]
pub(crate) fn is_of_this_machine(request: &Request) -> bool {
    const BY_PROXIES: [&str; 4] = ["forwarded", "x-forwarded-for", "x-forwarded-host", "via"];
    let is_direct = BY_PROXIES
        .iter()
        .all(|name| !request.headers().contains_key(*name));
    is_direct && host_of(request).is_some_and(|host| is_allowed(host.host(), &Guests::default()))
}

/// Returns the host of the request. `None` if it is missing or repeated.
fn host_of(request: &Request) -> Option<Authority> {
    let mut hosts = request.headers().get_all(HOST).iter();
    match (hosts.next(), hosts.next()) {
        // No browser sends a user in it.
        (Some(host), None) => host
            .to_str()
            .ok()
            .filter(|host| !host.contains('@'))?
            .parse()
            .ok(),
        (None, _) => request.uri().authority().cloned(), // HTTP/2
        (Some(_), Some(_)) => None,
    }
}

fn is_allowed(host: &str, guests: &Guests) -> bool {
    let name = host.trim_end_matches('.').to_ascii_lowercase();
    if guests.has_host(&name) {
        return true;
    }
    let address = name
        .trim_start_matches('[')
        .trim_end_matches(']')
        .parse::<IpAddr>();
    match address {
        Ok(address) => address.to_canonical().is_loopback(),
        Err(_) => name == "localhost" || name.ends_with(".localhost"),
    }
}
