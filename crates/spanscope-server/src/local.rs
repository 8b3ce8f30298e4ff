//! [`local_only`]: keeps what this machine's programs may ask from the pages of strangers.
//!
//! A server on a loopback address is reached by nobody else, but for the browser of whoever sits here: a page can send requests to it,
//! and a page whose name its owner made point to 127.0.0.1 could read the answers too. The first shows in `Origin`, the second in
//! `Host`.

use std::net::IpAddr;

use axum::Router;
use axum::extract::{Request, State};
use axum::http::StatusCode;
use axum::http::header::{HOST, ORIGIN};
use axum::http::uri::Authority;
use axum::middleware::{Next, from_fn_with_state};
use axum::response::{IntoResponse, Response};

use crate::answer::ApiError;
use crate::guests::{Guests, OfAllowedPage};

/// Answers 403 to requests that come from a page of another origin, or were sent to a name that is not this machine's own.
///
/// Accepted as the host are `localhost`, names that end with `.localhost`, and loopback addresses, with any port. A header `Origin`,
/// which browsers send, has to name the same host and port. It says nothing about who else may connect: listen on a loopback
/// address.
///
/// ```
/// let app = axum::Router::new().route("/", axum::routing::get(async || "hello"));
/// let app: axum::Router = spanscope_server::local_only(app);
/// ```
pub fn local_only(router: Router) -> Router {
    local_and(router, Guests::default())
}

/// The same, which lets pages of the allowed origins and requests to the allowed names pass as well.
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
            format!("this server answers only to names of the machine it runs on, and not to {named:?}"),
            "ask for http://localhost or http://127.0.0.1 with the server's port, or start `spanscope serve` with \
             --allow-host NAME",
        ));
    };
    if request.extensions().get::<OfAllowedPage>().is_some() {
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
            "pages of another origin may not ask this server",
            "ask from a page of this server, or by a program that sends no header `origin`, or start `spanscope serve` \
             with --allow-origin ORIGIN",
        )
    })
}

/// Where the request was sent to. `None` where that is not said, or said several times.
fn host_of(request: &Request) -> Option<Authority> {
    let mut hosts = request.headers().get_all(HOST).iter();
    match (hosts.next(), hosts.next()) {
        // Nobody's browser sends a user in it.
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
