//! The HTML of every page. It names the modules to load, and contains no stored data.

use axum::extract::{NestedPath, Path, State};
use axum::http::header::{CACHE_CONTROL, CONTENT_TYPE};
use axum::http::{Method, StatusCode, Uri};
use axum::response::{IntoResponse, Redirect, Response};

use spanscope_model::TraceId;

use super::router::{API, Pages};
use crate::answer::ApiError;

/// The path where the pages are mounted; an error if that is the root.
pub(super) type Mounted =
    Result<NestedPath, <NestedPath as axum::extract::FromRequestParts<Pages>>::Rejection>;

/// Returns the path below which the pages are, without a slash at its end.
pub(super) fn prefix(mounted: &Mounted) -> &str {
    let Ok(path) = mounted else { return "" };
    // The routes of the JSON are nested in the pages, which may be nested themselves.
    let path = path.as_str().trim_end_matches('/');
    path.strip_suffix(API).unwrap_or(path)
}

/// `GET /` and `GET /ui`.
pub(super) async fn to_pages(mounted: Mounted) -> Response {
    // Not a permanent redirect: the root may be another program's tomorrow.
    let to = format!("{}/ui/", prefix(&mounted));
    (StatusCode::FOUND, [(axum::http::header::LOCATION, to)]).into_response()
}

/// Redirects to a path below `/ui/`.
pub(super) fn redirect(mounted: &Mounted, path: &str) -> Response {
    Redirect::to(&format!("{}/ui/{path}", prefix(mounted))).into_response()
}

/// `GET /ui/`.
pub(super) async fn home(State(pages): State<Pages>, mounted: Mounted) -> Response {
    html(&pages, &mounted, "traces", StatusCode::OK, None)
}

/// `GET /ui/{path}`.
pub(super) async fn page(
    State(pages): State<Pages>,
    Path(path): Path<String>,
    method: Method,
    uri: Uri,
    mounted: Mounted,
) -> Response {
    if path.starts_with("api/") || path.starts_with("assets/") {
        return ApiError::no_such_path(&method, uri.path()).into_response();
    }
    match page_of(&path) {
        Some(name) => {
            let request = first_request(name, &path, uri.query());
            html(&pages, &mounted, name, StatusCode::OK, request.as_deref())
        }
        // The page shows that nothing is here, with its navigation.
        None => html(&pages, &mounted, "missing", StatusCode::NOT_FOUND, None),
    }
}

/// Returns the page of a path below `/ui/`.
fn page_of(path: &str) -> Option<&'static str> {
    let path = path.trim_end_matches('/');
    Some(match path.split_once('/') {
        None => match path {
            "traces" => "traces",
            "spans" => "spans",
            "logs" => "logs",
            "store" => "store",
            "setup" => "setup",
            "sign-in" => "sign-in",
            _ => return None,
        },
        Some(("traces", id)) if !id.contains('/') => "trace",
        Some(_) => return None,
    })
}

/// Returns the address that the page requests first, so that the browser can load it together with
/// the modules. `None` if it depends on the page's parameters, which only the modules interpret:
/// browsers warn about a preloaded response that is not used.
fn first_request(page: &str, path: &str, query: Option<&str>) -> Option<String> {
    let is_plain = query.unwrap_or_default().is_empty();
    match page {
        "traces" | "spans" | "logs" if is_plain => Some(format!("api/{page}?limit=100")),
        "trace" => {
            let id = path.trim_end_matches('/').strip_prefix("traces/")?;
            let is_id = id.len() == TraceId::DIGITS
                && id.bytes().all(|digit| matches!(digit, b'0'..=b'9' | b'a'..=b'f'));
            let is_whole = !query
                .unwrap_or_default()
                .split('&')
                .any(|parameter| parameter.starts_with("below"));
            (is_id && is_whole).then(|| format!("api/traces/{id}"))
        }
        _ => None,
    }
}

fn html(
    pages: &Pages,
    mounted: &Mounted,
    page: &'static str,
    status: StatusCode,
    first_request: Option<&str>,
) -> Response {
    let assets = pages.assets();
    let files = format!("assets/{}", assets.digest());
    let prefix = escaped(prefix(mounted));
    let mut text = format!(
        "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
         <meta name=\"color-scheme\" content=\"light dark\">\n\
         <meta name=\"spanscope-page\" content=\"{page}\">\n<title>Spanscope</title>\n\
         <base href=\"{prefix}/ui/\">\n<link rel=\"icon\" href=\"{files}/icon.svg\" type=\"image/svg+xml\">\n\
         <link rel=\"stylesheet\" href=\"{files}/{}\">\n",
        spanscope_ui::STYLE
    );
    if let Some(address) = first_request {
        text.push_str(&format!(
            "<link rel=\"preload\" as=\"fetch\" crossorigin href=\"{}\">\n",
            escaped(address)
        ));
    }
    for module in assets.modules(page).iter() {
        text.push_str(&format!(
            "<link rel=\"modulepreload\" href=\"{files}/{}\">\n",
            escaped(module)
        ));
    }
    text.push_str(&format!(
        "<script type=\"module\" src=\"{files}/{}\"></script>\n</head>\n<body>\n\
         <noscript><p>These pages need JavaScript. The command <code>spanscope traces</code> prints the same \
         lists in a terminal; <code>spanscope help</code> names the others.</p></noscript>\n\
         <div id=\"app\"></div>\n</body>\n</html>\n",
        spanscope_ui::MAIN
    ));
    let headers = [
        (CONTENT_TYPE, "text/html; charset=utf-8"),
        // It names the files of this build.
        (CACHE_CONTROL, "no-cache"),
    ];
    (status, headers, text).into_response()
}

/// Escapes a text for the value of an HTML attribute.
fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&#39;"),
            c => out.push(c),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_path_has_its_page() {
        for (path, page) in [
            ("traces", Some("traces")),
            ("traces/", Some("traces")),
            ("traces/4bf92f35", Some("trace")),
            ("traces/<script>", Some("trace")),
            ("traces/a/b", None),
            ("sign-in", Some("sign-in")),
            ("runs", None),
            ("", None),
        ] {
            assert_eq!(page_of(path), page, "{path}");
        }
        let id = "4bf92f3577b34da6a3ce929d0e0e4736";
        for (page, path, query, address) in [
            ("traces", "traces", None, Some("api/traces?limit=100".to_owned())),
            ("logs", "logs/", Some(""), Some("api/logs?limit=100".to_owned())),
            ("traces", "traces", Some("errors=1"), None),
            ("store", "store", None, None),
            (
                "trace",
                &format!("traces/{id}"),
                Some("span=a&x=below"),
                Some(format!("api/traces/{id}")),
            ),
            ("trace", &format!("traces/{id}"), Some("below=a"), None),
            ("trace", "traces/4bf92f35", None, None),
            ("trace", &format!("traces/{}", id.to_uppercase()), None, None),
        ] {
            assert_eq!(first_request(page, path, query), address, "{path} {query:?}");
        }
        assert_eq!(escaped("/a\"b<c>&'"), "/a&quot;b&lt;c&gt;&amp;&#39;");
    }
}
