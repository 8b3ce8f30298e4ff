//! [`Assets`]: the files that browsers load, compressed once.

use std::collections::HashMap;
use std::io::Write as _;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, OnceLock};

use axum::body::Bytes;
use axum::extract::{Path, State};
use axum::http::header::{ACCEPT_ENCODING, CACHE_CONTROL, CONTENT_ENCODING, CONTENT_TYPE, VARY};
use axum::http::{HeaderMap, Method, Uri};
use axum::response::{IntoResponse, Response};
use flate2::Compression;
use flate2::write::GzEncoder;
use spanscope_core::sync::lock;

use super::router::Pages;
use crate::answer::ApiError;

/// Replaces the digest if the files are read from a folder, where they may change at any time.
const UNCACHED: &str = "now";

/// The files of the pages, embedded or in a folder.
#[derive(Debug)]
pub(super) struct Assets {
    folder: Option<PathBuf>,
    packed: OnceLock<HashMap<&'static str, Bytes>>,
    /// The modules of each page, by its name.
    modules: Mutex<HashMap<&'static str, Arc<[String]>>>,
}

impl Assets {
    pub(super) fn new(folder: Option<PathBuf>) -> Self {
        Self {
            folder,
            packed: OnceLock::new(),
            modules: Mutex::default(),
        }
    }

    pub(super) fn digest(&self) -> &'static str {
        match self.folder {
            Some(_) => UNCACHED,
            None => spanscope_ui::DIGEST,
        }
    }

    /// Returns the modules that a page needs, to name them in its HTML.
    pub(super) fn modules(&self, page: &'static str) -> Arc<[String]> {
        let read = |path: &str| match &self.folder {
            Some(_) => self
                .read(path)
                .and_then(|bytes| String::from_utf8(bytes.into()).ok()),
            None => spanscope_ui::file(path).map(|file| String::from_utf8_lossy(file.bytes).into_owned()),
        };
        if self.folder.is_some() {
            return spanscope_ui::modules(page, read).into();
        }
        let mut known = lock(&self.modules);
        let modules = known
            .entry(page)
            .or_insert_with(|| spanscope_ui::modules(page, read).into());
        Arc::clone(modules)
    }

    fn read(&self, path: &str) -> Option<Bytes> {
        let Some(folder) = &self.folder else {
            return spanscope_ui::file(path).map(|file| Bytes::from_static(file.bytes));
        };
        // No path may lead out of the folder.
        let is_plain = |part: &str| !part.is_empty() && !part.starts_with('.') && !part.contains(['\\', ':']);
        if !path.split('/').all(is_plain) {
            return None;
        }
        std::fs::read(folder.join(path)).ok().map(Bytes::from)
    }

    /// Returns the file compressed with gzip; `None` if it is not shorter then.
    fn packed(&self, path: &str) -> Option<Bytes> {
        if self.folder.is_some() {
            return None;
        }
        let all = self.packed.get_or_init(|| {
            spanscope_ui::FILES
                .iter()
                .filter_map(|file| Some((file.path, compress(file.bytes, Compression::best())?)))
                .collect()
        });
        all.get(path).cloned()
    }
}

/// Compresses bytes with gzip; returns `None` if they are not shorter then.
pub(super) fn compress(bytes: &[u8], level: Compression) -> Option<Bytes> {
    let mut encoder = GzEncoder::new(Vec::with_capacity(bytes.len() / 2), level);
    encoder.write_all(bytes).ok()?;
    let packed = encoder.finish().ok()?;
    (packed.len() < bytes.len()).then(|| packed.into())
}

/// Returns whether a client accepts gzip.
pub(super) fn accepts_gzip(headers: &HeaderMap) -> bool {
    let all = headers.get_all(ACCEPT_ENCODING).iter();
    let mut names = all
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','));
    names.any(|name| {
        let (name, quality) = name.split_once(';').unwrap_or((name, ""));
        let is_refused = matches!(quality.trim(), "q=0" | "q=0.0" | "q=0.00" | "q=0.000");
        name.trim().eq_ignore_ascii_case("gzip") && !is_refused
    })
}

/// `GET assets/{digest}/{path}`.
pub(super) async fn get(
    State(pages): State<Pages>,
    Path((digest, path)): Path<(String, String)>,
    method: Method,
    uri: Uri,
    headers: HeaderMap,
) -> Response {
    let assets = pages.assets();
    // A page of an earlier build requests files by that build's digest, and gets 404.
    let Some(bytes) = (digest == assets.digest()).then(|| assets.read(&path)).flatten() else {
        return ApiError::no_such_path(&method, uri.path()).into_response();
    };
    let cached = match digest == UNCACHED {
        true => "no-store",
        false => "public, max-age=31536000, immutable",
    };
    let kind = [
        (CONTENT_TYPE, spanscope_ui::media_type(&path)),
        (CACHE_CONTROL, cached),
        (VARY, "accept-encoding"),
    ];
    match accepts_gzip(&headers).then(|| assets.packed(&path)).flatten() {
        Some(packed) => (kind, [(CONTENT_ENCODING, "gzip")], packed).into_response(),
        None => (kind, bytes).into_response(),
    }
}
