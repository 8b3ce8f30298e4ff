//! Sessions of browsers, for pages that require tokens. A browser sends its token once and gets a
//! cookie in place of it. The telemetry API does not accept the cookie.

use std::collections::HashMap;
use std::sync::Mutex;
use std::time::{Duration, Instant};

use axum::extract::{Request, State};
use axum::http::header::{COOKIE, ORIGIN, SET_COOKIE};
use axum::http::{HeaderMap, HeaderValue, StatusCode};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use serde::Deserialize;
use spanscope_core::sync::lock;

use super::router::Pages;
use super::shell::{Mounted, prefix};
use crate::answer::ApiError;
use crate::bearer::{BearerTokens, bearer, unauthorized};
use crate::body::{Bounded, JsonBody};
use crate::caller::Caller;

/// The cookie's name.
const NAME: &str = "spanscope_session";
/// How long a session lasts.
const LIFETIME: Duration = Duration::from_secs(12 * 3600);
/// Maximum number of concurrent sessions; a further one replaces the one that expires first.
const MAX_SESSIONS: usize = 10_000;

/// The sessions of browsers.
pub(super) struct Sessions {
    tokens: Option<BearerTokens>,
    open: Mutex<HashMap<String, (Caller, Instant)>>,
}

impl Sessions {
    pub(super) fn new(tokens: Option<BearerTokens>) -> Self {
        Self {
            tokens,
            open: Mutex::default(),
        }
    }

    pub(super) fn needs_token(&self) -> bool {
        self.tokens.is_some()
    }

    /// Begins a session with a token; returns `None` if the token is unknown.
    fn begin(&self, token: &str) -> Result<Option<String>, getrandom::Error> {
        let known = self
            .tokens
            .as_ref()
            .and_then(|tokens| tokens.caller(token.trim()));
        let Some(caller) = known.cloned() else {
            return Ok(None);
        };
        let mut secret = [0; 32];
        getrandom::fill(&mut secret)?;
        let id = const_hex::encode(secret);
        let mut open = lock(&self.open);
        let now = Instant::now();
        open.retain(|_, (_, ends)| *ends > now);
        if open.len() >= MAX_SESSIONS
            && let Some(first) = open.iter().min_by_key(|(_, (_, ends))| *ends)
        {
            let first = first.0.clone();
            open.remove(&first);
        }
        open.insert(id.clone(), (caller, now + LIFETIME));
        Ok(Some(id))
    }

    fn end(&self, id: &str) {
        lock(&self.open).remove(id);
    }

    fn caller(&self, id: &str) -> Option<Caller> {
        let open = lock(&self.open);
        let (caller, ends) = open.get(id)?;
        (*ends > Instant::now()).then(|| caller.clone())
    }
}

/// Responds 401 to requests without a known token or session, and passes the others on.
pub(super) async fn check(State(pages): State<Pages>, mut request: Request, next: Next) -> Response {
    let sessions = pages.sessions();
    let Some(tokens) = &sessions.tokens else {
        return next.run(request).await;
    };
    let by_token = bearer(request.headers()).and_then(|token| tokens.caller(token).cloned());
    let caller = by_token.or_else(|| sessions.caller(cookie(request.headers())?));
    let Some(caller) = caller else {
        return unauthorized();
    };
    request.extensions_mut().insert(caller);
    next.run(request).await
}

/// Returns the session id in the cookie of a request.
fn cookie(headers: &HeaderMap) -> Option<&str> {
    let all = headers.get_all(COOKIE).iter();
    let mut pairs = all
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(';'));
    pairs.find_map(|pair| {
        let (name, value) = pair.trim().split_once('=')?;
        (name == NAME).then_some(value)
    })
}

/// The body of `POST session`.
#[derive(Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub(super) struct SignIn {
    /// A token of the server.
    token: String,
}

impl Bounded for SignIn {}

/// Refuses requests from pages of other sites.
fn is_own_page(headers: &HeaderMap) -> Result<(), ApiError> {
    let site = headers.get("sec-fetch-site");
    match site.is_none_or(|site| site == "same-origin" || site == "none") {
        true => Ok(()),
        false => Err(ApiError::new(
            StatusCode::FORBIDDEN,
            "wrong_origin",
            "only pages of this server begin and end sessions",
            "sign in on the page /ui/sign-in of this server",
        )),
    }
}

/// `POST session`.
pub(super) async fn begin(
    State(pages): State<Pages>,
    mounted: Mounted,
    headers: HeaderMap,
    JsonBody(sign_in): JsonBody<SignIn>,
) -> Result<Response, ApiError> {
    is_own_page(&headers)?;
    let sessions = pages.sessions();
    if !sessions.needs_token() {
        return Ok(StatusCode::NO_CONTENT.into_response());
    }
    let begun = sessions.begin(&sign_in.token);
    let begun = begun.map_err(|_| ApiError::overloaded("the system gives no random numbers"))?;
    let Some(id) = begun else {
        return Ok(unauthorized());
    };
    Ok(answer(&headers, &mounted, &id, LIFETIME))
}

/// `DELETE session`.
pub(super) async fn end(
    State(pages): State<Pages>,
    mounted: Mounted,
    headers: HeaderMap,
) -> Result<Response, ApiError> {
    is_own_page(&headers)?;
    if let Some(id) = cookie(&headers) {
        pages.sessions().end(id);
    }
    Ok(answer(&headers, &mounted, "", Duration::ZERO))
}

fn answer(headers: &HeaderMap, mounted: &Mounted, id: &str, lasts: Duration) -> Response {
    let origin = headers.get(ORIGIN).map(HeaderValue::as_bytes).unwrap_or_default();
    let secure = if origin.starts_with(b"https://") {
        "; Secure"
    } else {
        ""
    };
    let cookie = format!(
        "{NAME}={id}; Path={}/ui; Max-Age={}; HttpOnly; SameSite=Strict{secure}",
        prefix(mounted),
        lasts.as_secs()
    );
    let mut response = StatusCode::NO_CONTENT.into_response();
    // The path of a route is always ASCII.
    if let Ok(cookie) = HeaderValue::from_str(&cookie) {
        response.headers_mut().insert(SET_COOKIE, cookie);
    }
    response
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test may panic")]
mod tests {
    use super::*;

    #[test]
    fn a_session_identifies_its_tokens_caller_until_it_ends() {
        let tokens = BearerTokens::parse("0123456789abcdef acme").unwrap();
        let sessions = Sessions::new(Some(tokens));
        assert_eq!(sessions.begin("0123456789abcdeg").unwrap(), None);
        let (one, other) = (
            sessions.begin("0123456789abcdef").unwrap().unwrap(),
            sessions.begin(" 0123456789abcdef\n").unwrap().unwrap(),
        );
        assert!(one != other && one.len() == 64);
        assert_eq!(
            sessions.caller(&one),
            Some(Caller::Tenant("acme".parse().unwrap()))
        );
        sessions.end(&one);
        assert_eq!(sessions.caller(&one), None);
        assert!(sessions.caller(&other).is_some() && sessions.caller("").is_none());
    }
}
