//! Credentials in URLs and in connection strings.

use std::sync::LazyLock;

use memchr::memmem::Finder;

use super::super::secret_keys::is_secret;
use super::replaced::Replaced;
use super::{is_masked, masked};

/// The replacement in a URL, without a length, because a URL has no spaces.
const MASK: &str = "[masked]";

/// Schemes in which a user without a password is a token.
const TOKEN_SCHEMES: [&str; 4] = ["http", "https", "ws", "wss"];

/// Returns the text without credentials in its URLs; `None` if there were none.
pub(super) fn mask(text: &str) -> Option<String> {
    static SCHEME_ENDS: LazyLock<Finder<'static>> = LazyLock::new(|| Finder::new("://"));
    static ESCAPED_SCHEME_ENDS: LazyLock<Finder<'static>> = LazyLock::new(|| Finder::new(":\\/\\/"));
    // A path with a query is a URL without scheme and host.
    if text.starts_with('/') && text.contains('?') {
        let mut shown = Replaced::new(text);
        mask_query(&mut shown, 0, text.len());
        return shown.finish();
    }
    let ends = |finder: &'static Finder<'static>| {
        let found = finder.find_iter(text.as_bytes());
        found.map(|at| (at, at + finder.needle().len()))
    };
    let mut urls: Vec<(usize, usize)> = ends(&SCHEME_ENDS).collect();
    if text.contains('\\') {
        urls.extend(ends(&ESCAPED_SCHEME_ENDS));
        urls.sort_unstable();
    }
    let mut shown = Replaced::new(text);
    for (scheme_end, start) in urls {
        if start >= shown.copied {
            mask_one(&mut shown, scheme_end, start);
        }
    }
    shown.finish()
}

/// Masks the URL whose scheme ends and whose authority begins at these offsets.
fn mask_one(shown: &mut Replaced<'_>, scheme_end: usize, start: usize) {
    let text = shown.text;
    let scheme = text[..scheme_end]
        .rsplit(|letter: char| !(letter.is_ascii_alphanumeric() || matches!(letter, '+' | '-' | '.')))
        .next()
        .unwrap_or_default();
    if scheme.is_empty() {
        return;
    }
    let rest = &text[start..];
    let url_end = start
        + rest
            .find(|letter: char| {
                letter.is_whitespace()
                    || letter.is_control()
                    || matches!(letter, '"' | '\'' | '<' | '>' | '`')
            })
            .unwrap_or(rest.len());
    let rest = &text[start..url_end];
    let mut end = rest.find(['/', '?', '#', '\\']).unwrap_or(rest.len());
    // A password with an unescaped slash: what follows the colon is then not a port.
    if !rest[..end].contains('@')
        && let Some((host, port)) = rest[..end].split_once(':')
        && !host.starts_with('[')
        && !port.bytes().all(|byte| byte.is_ascii_digit())
    {
        end = rest.rfind('@').map_or(end, |at| at + 1);
    }
    if let Some(at) = rest[..end].rfind('@') {
        let credentials = &rest[..at];
        let is_token = TOKEN_SCHEMES
            .iter()
            .any(|token| scheme.eq_ignore_ascii_case(token));
        if credentials != MASK && !credentials.is_empty() && (is_token || credentials.contains(':')) {
            shown.replace(start, start + at, MASK);
        }
        end = end.max(at + 1);
    }
    mask_query(shown, start + end, url_end);
}

/// Masks the values of secret keys between the question mark and the end.
fn mask_query(shown: &mut Replaced<'_>, start: usize, end: usize) {
    let text = shown.text;
    let Some(query) = text[start..end].find(['?', '#']) else {
        return;
    };
    mask_pairs(
        shown,
        start + query + 1,
        end,
        &['&', ';', '?', '#'],
        |_| MASK.to_owned(),
        |key| is_secret(key) || is_query_secret(key),
    );
}

/// Returns whether a query's key names a secret only there: the signature of a signed URL, which
/// grants its holder access, and the `key` of the APIs of Google and others.
fn is_query_secret(key: &str) -> bool {
    let last = key.rsplit(['-', '_']).next().unwrap_or_default();
    let is_signature = ["sig", "signature"]
        .iter()
        .any(|word| last.eq_ignore_ascii_case(word));
    is_signature || key.eq_ignore_ascii_case("key")
}

/// Masks the values of secret keys among pairs of `key=value`.
fn mask_pairs(
    shown: &mut Replaced<'_>,
    start: usize,
    end: usize,
    separators: &[char],
    mask: impl Fn(&str) -> String,
    is_secret: impl Fn(&str) -> bool,
) {
    let text = shown.text;
    let mut at = start;
    while at < end {
        let pair_end = text[at..end].find(separators).map_or(end, |len| at + len);
        if let Some((key, value)) = text[at..pair_end].split_once('=') {
            let value_start = at + key.len() + 1;
            let mut value_end = pair_end;
            // A value in quotes may hold separators, and a mask does.
            if value.starts_with("[masked") {
                let rest = &text[value_start..end];
                value_end = rest.find(']').map_or(end, |len| value_start + len + 1);
            } else if let Some(quote) = value.chars().next().filter(|quote| matches!(quote, '"' | '\'')) {
                let inside = value_start + 1;
                value_end = text[inside..end].find(quote).map_or(end, |len| inside + len + 1);
            }
            let value = &text[value_start..value_end];
            if is_secret(key.trim()) && !value.is_empty() && !is_masked(value) {
                shown.replace(value_start, value_end, &mask(value));
            }
            at = value_end.max(pair_end) + 1;
        } else {
            at = pair_end + 1;
        }
    }
}

/// Returns a connection string without its password: `Server=db;Password=...`, `host=db
/// password=...`, `user:...@tcp(db)/name`. URLs in it are masked already.
pub(super) fn mask_connection(text: &str) -> Option<String> {
    let mut shown = Replaced::new(text);
    if text.contains('=') && !text.contains("://") {
        // With semicolons, values may contain spaces.
        let separators: &[char] = if text.contains(';') {
            &[';']
        } else {
            &[' ', '\t', '\n', '&', ',']
        };
        let is_password = |key: &str| {
            let last = key.rsplit([' ', '_', '-', '?', '/']).next().unwrap_or_default();
            let ends_with = |word: &str| {
                let start = last.len().checked_sub(word.len());
                start
                    .and_then(|start| last.get(start..))
                    .is_some_and(|end| end.eq_ignore_ascii_case(word))
            };
            // There are few pairs here, with the names that drivers use.
            is_secret(key)
                || ["key", "pass", "signature", "sig"]
                    .iter()
                    .any(|word| ends_with(word))
        };
        let mask = |value: &str| masked(value.trim_matches(['"', '\'']), None);
        mask_pairs(&mut shown, 0, text.len(), separators, mask, is_password);
    }
    // A string that was masked as pairs has no other password; this keeps masking idempotent.
    if shown.is_unchanged()
        && !text.contains("[masked")
        && !text.contains("://")
        && let Some((credentials, _)) = text.rsplit_once('@')
        && let Some((user, password)) = credentials.split_once(':')
        && !user.contains(char::is_whitespace)
    {
        shown.replace(user.len() + 1, credentials.len(), &masked(password, None));
    }
    shown.finish()
}
