//! [`BearerTokens`]: the tokens that requests need, and the caller that each identifies.
//!
//! A token never appears in a response, a message or `Debug`.

use std::fmt;
use std::hint::black_box;
use std::path::Path;
use std::sync::Arc;

use axum::Router;
use axum::extract::{Request, State};
use axum::http::header::{AUTHORIZATION, WWW_AUTHENTICATE};
use axum::http::{HeaderMap, HeaderValue, StatusCode};
use axum::middleware::{Next, from_fn_with_state};
use axum::response::{IntoResponse, Response};
use spanscope_model::Tenant;

use crate::answer::ApiError;
use crate::caller::Caller;

/// Minimum length of a token in characters: a shorter one can be guessed over the network.
pub const MIN_TOKEN_CHARS: usize = 16;
/// The tenant of a caller that may see everything.
const ALL_TENANTS: &str = "*";

/// Bearer tokens, and the tenant of each.
///
/// ```
/// use spanscope_server::BearerTokens;
///
/// let tokens = BearerTokens::parse(
///     "# token                 tenant; * sees everything\n\
///      s3cret-of-acme-000001   acme\n\
///      s3cret-of-the-admin-01  *\n",
/// )?;
/// assert_eq!(tokens.len(), 2);
/// # Ok::<(), spanscope_server::TokensError>(())
/// ```
#[derive(Clone)]
pub struct BearerTokens(Arc<[(String, Caller)]>);

impl fmt::Debug for BearerTokens {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("BearerTokens").field(&self.0.len()).finish()
    }
}

/// The error of an invalid list of tokens. It names the line, never its contents.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TokensError(String);

impl fmt::Display for TokensError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for TokensError {}

impl BearerTokens {
    /// Parses one token per line: the token, spaces, its tenant or `*`. Empty lines and those that
    /// begin with `#` are ignored. Semicolons may replace line ends, and `=` the spaces, for an
    /// environment variable.
    ///
    /// # Errors
    /// Fails if a line has no tenant, or a token that is too short or repeated, or if there is no
    /// token.
    pub fn parse(text: &str) -> Result<Self, TokensError> {
        let mut tokens: Vec<(String, Caller)> = Vec::new();
        let lines = text.lines().map(str::trim).filter(|line| !line.starts_with('#'));
        let parts = lines
            .flat_map(|line| line.split(';'))
            .map(str::trim)
            .filter(|line| !line.is_empty());
        for (number, line) in (1..).zip(parts) {
            let wrong = |what: &str| {
                TokensError(format!(
                    "token {number} {what}: write a line as TOKEN TENANT, with a token of at least {MIN_TOKEN_CHARS} characters \
                     and * for a caller that may see everything"
                ))
            };
            let (token, tenant) = line
                .split_once(|c: char| c == '=' || c.is_whitespace())
                .ok_or_else(|| wrong("has no tenant"))?;
            let tenant = tenant.trim();
            if token.chars().count() < MIN_TOKEN_CHARS {
                return Err(wrong("is too short"));
            }
            if !token.bytes().all(|byte| byte.is_ascii_graphic()) {
                return Err(wrong("has characters that no header can carry"));
            }
            if tokens.iter().any(|(have, _)| have == token) {
                return Err(wrong("occurs twice"));
            }
            let caller = match tenant {
                ALL_TENANTS => Caller::Administrator,
                tenant => {
                    let tenant: Tenant = tenant.parse().map_err(|_| wrong("has no name of a tenant"))?;
                    Caller::Tenant(tenant)
                }
            };
            tokens.push((token.to_owned(), caller));
        }
        if tokens.is_empty() {
            return Err(TokensError(
                "there is no token: write a line as TOKEN TENANT for each".to_owned(),
            ));
        }
        Ok(Self(tokens.into()))
    }

    /// Reads a file of such lines.
    ///
    /// # Errors
    /// Fails if the file can't be read, or as [`parse`](Self::parse) does.
    pub fn read(path: impl AsRef<Path>) -> Result<Self, TokensError> {
        let path = path.as_ref();
        let text = std::fs::read_to_string(path).map_err(|error| {
            TokensError(format!("the tokens of {} can't be read: {error}", path.display()))
        })?;
        Self::parse(&text).map_err(|error| TokensError(format!("{}: {error}", path.display())))
    }

    /// Returns the number of tokens.
    #[must_use]
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Returns whether there is none, which [`parse`](Self::parse) prevents.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Returns the caller of a token. It takes as long for a wrong token as for a right one.
    pub(crate) fn caller(&self, token: &str) -> Option<&Caller> {
        let mut found = None;
        for (have, caller) in &*self.0 {
            if is_same(have.as_bytes(), token.as_bytes()) {
                found = Some(caller);
            }
        }
        found
    }
}

fn is_same(a: &[u8], b: &[u8]) -> bool {
    let differs = a
        .iter()
        .zip(b)
        .fold(0, |differs, (a, b)| black_box(differs | (a ^ b)));
    a.len() == b.len() && differs == 0
}

/// Responds 401 to requests without one of these tokens as `Authorization: Bearer TOKEN`, and
/// passes the others on with their [`Caller`].
///
/// ```
/// use spanscope_server::{BearerTokens, with_tokens};
///
/// let routes = axum::Router::new().route("/", axum::routing::get(async || "hello"));
/// let app = with_tokens(routes, BearerTokens::parse("s3cret-of-acme-000001 acme")?);
/// # Ok::<(), spanscope_server::TokensError>(())
/// ```
pub fn with_tokens(router: Router, tokens: BearerTokens) -> Router {
    router.layer(from_fn_with_state(tokens, check))
}

async fn check(State(tokens): State<BearerTokens>, mut request: Request, next: Next) -> Response {
    let caller = bearer(request.headers()).and_then(|token| tokens.caller(token));
    let Some(caller) = caller.cloned() else {
        return unauthorized();
    };
    request.extensions_mut().insert(caller);
    next.run(request).await
}

/// The response to a request without a known token.
pub(crate) fn unauthorized() -> Response {
    let error = ApiError::new(
        StatusCode::UNAUTHORIZED,
        "unauthorized",
        "the request has no token that this server knows",
        "send the header `authorization: Bearer TOKEN` with a token from the server's operator",
    );
    let mut response = error.into_response();
    response
        .headers_mut()
        .insert(WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
    response
}

/// The token of a request that brings exactly one.
pub(crate) fn bearer(headers: &HeaderMap) -> Option<&str> {
    let mut all = headers.get_all(AUTHORIZATION).iter();
    let (Some(only), None) = (all.next(), all.next()) else {
        return None;
    };
    let (scheme, token) = only.to_str().ok()?.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| token.trim())
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test may panic")]
    use super::*;

    #[test]
    fn lists_are_read_from_files_and_from_variables() {
        for text in [
            "# mine; all\n\n  0123456789abcdef \t acme corp \n0123456789abcdeg *",
            "0123456789abcdef=acme corp;0123456789abcdeg=*",
        ] {
            let tokens = BearerTokens::parse(text).unwrap();
            let tenant = Caller::Tenant("acme corp".parse().unwrap());
            assert_eq!(tokens.caller("0123456789abcdef"), Some(&tenant));
            assert_eq!(tokens.caller("0123456789abcdeg"), Some(&Caller::Administrator));
            for wrong in ["", "0123456789abcde", "0123456789abcdef0", "0123456789abcdeF"] {
                assert_eq!(tokens.caller(wrong), None);
            }
        }
    }

    #[test]
    fn errors_name_the_problem_and_show_no_token() {
        for (text, what) in [
            ("", "no token"),
            ("# nothing", "no token"),
            ("0123456789abcdef", "token 1 has no tenant"),
            ("a\n", "token 1 has no tenant"),
            ("ok-0123456789abcdef acme\nsecret acme", "token 2 is too short"),
            ("0123456789abcdéf acme", "no header can carry"),
            ("0123456789abcdef \u{7}", "no name of a tenant"),
            ("0123456789abcdef a\n0123456789abcdef b", "token 2 occurs twice"),
        ] {
            let error = BearerTokens::parse(text).unwrap_err().to_string();
            assert!(error.contains(what), "{text}: {error}");
            assert!(!error.contains("secret") && !error.contains("0123"), "{error}");
        }
        let tokens = BearerTokens::parse("0123456789abcdef acme").unwrap();
        assert_eq!(format!("{tokens:?}"), "BearerTokens(1)");
        assert!(
            BearerTokens::read("no/such/file")
                .unwrap_err()
                .to_string()
                .contains("no/such/file")
        );
    }
}
